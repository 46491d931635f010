"""Sleep: remembered moments lived again under other conditions, and learned from."""

from .moments import Moments, relive_moments
from .train import consolidate

__all__ = ["Moments", "consolidate", "relive_moments"]
