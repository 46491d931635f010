"""Reach, lift and push with a robot arm at a table."""
