"""Experience on disk: a ring of steps in which episodes stay whole or are forgotten whole."""

from .index import Episode
from .memory import Memory

__all__ = ["Episode", "Memory"]
