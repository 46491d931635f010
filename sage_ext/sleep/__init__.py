"""Sleep: remembered moments lived again under other conditions, and learned from."""

from .kept import Keeper, Rehearsal
from .moments import Moments, relive_moments
from .rounds import Rounds
from .train import consolidate

__all__ = ["Keeper", "Moments", "Rehearsal", "Rounds", "consolidate", "relive_moments"]
