"""Dream: scenes that cannot happen, each beside its possible twin, and how coherent the mind finds them."""

from .exploration import Explored, calibrate_on_memory, explore, first_judged
from .lessons import Lessons, keep, recall, teach

__all__ = ["Explored", "Lessons", "calibrate_on_memory", "explore", "first_judged", "keep", "recall", "teach"]
