"""The live view: what a running job shows to those who watch it, and the page on which they do."""
