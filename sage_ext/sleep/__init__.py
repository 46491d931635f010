"""Sleep: remembered moments lived again under other conditions, and learned from."""

from .moments import Moments, relive_moments
from .rounds import Rounds
from .train import consolidate

__all__ = ["Moments", "Rounds", "consolidate", "relive_moments"]
