"""Dream: scenes that cannot happen, each beside its possible twin, and how coherent the mind finds them."""

from .exploration import Explored, calibrate_on_memory, explore

__all__ = ["Explored", "calibrate_on_memory", "explore"]
