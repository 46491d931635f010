"""Reach a goal in a room with obstacles and clutter."""
