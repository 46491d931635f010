"""What the terms of the objective weigh, and what they leave to chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from .sigreg import Lines


@dataclass(frozen=True)
class Weights:
    """Weights of the terms, and what else there is to choose.

    Attributes:
        prediction: Weight of that term.
        calibration: Touches the variances alone.
        foresight: Weight.
        regularity: The statistic grows with the batch for a collapsed encoder and does not for a Gaussian one.
        invariance: Weight.
        change: Weight of the sum over all kinds of change.
        sighting: Weight.
        seeking: Weight.
        projections: Random lines a group and update.
        drop: Chance that a sense is taken from a slice in training.
    """

    prediction: float = 1.0
    calibration: float = 0.1
    foresight: float = 0.3
    regularity: float = 0.03
    invariance: float = 0.3
    change: float = 3.0
    sighting: float = 2.0
    seeking: float = 2.0
    projections: int = 32
    drop: float = 0.1


class Chance(NamedTuple):
    """What a batch leaves to chance.

    Attributes:
        luck: For each pair and sense (B, 5), uniform; the sense is dropped below :attr:`Weights.drop`. None drops none.
        lines: On which contexts are projected.
    """

    luck: Tensor | None
    lines: Lines
