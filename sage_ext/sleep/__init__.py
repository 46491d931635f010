"""Sleep: remembered moments lived again under other conditions, and learned from."""

from .kept import Keeper, Rehearsal
from .moments import Moments, relive_moments
from .priority import Priorities
from .rounds import Rounds
from .train import consolidate

__all__ = ["Keeper", "Moments", "Priorities", "Rehearsal", "Rounds", "consolidate", "relive_moments"]
