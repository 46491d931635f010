"""What cannot happen, beside what can: a broken law and its possible twin from the same moment."""

from .dream import Dream, dream, foresee, known_kinds

__all__ = ["Dream", "dream", "foresee", "known_kinds"]
