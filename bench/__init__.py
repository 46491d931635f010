"""The tables: each is one command, ``python -m bench.NAME``; DESIGN.md names their rows."""
