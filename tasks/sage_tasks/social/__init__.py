"""Tasks among people who walk."""
