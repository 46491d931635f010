"""The numbers that a run told over time, read from its TensorBoard files."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

POINTS = 300
"""Points of a drawn curve at most."""
TREND = 10
"""Share of a curve over which its trend is averaged, 1 in so many points."""


@dataclass
class Curve:
    """A number over time; longer ones are drawn by bins of steps.

    Attributes:
        steps: What was counted, ascending (n,).
        values: The number, or its mean in each bin (n,).
        low: Least in each bin (n,).
        high: Greatest in each bin (n,).
        trend: Running mean of the values (n,).
        last: The last number told.
    """

    steps: np.ndarray
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    trend: np.ndarray
    last: float


def read_curves(folder: Path) -> dict[str, Curve]:
    """All numbers in a folder of event files.

    What a resumed run told again replaces what it told before; what is not finite is left out.

    Args:
        folder: Folder of the event files; it may not exist.

    Returns:
        Name, such as ``sleep/loss`` -> its curve.
    """
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    told: dict[str, dict[int, float]] = {}
    # Their names begin with the time at which they were opened.
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.HasField("simple_value") and math.isfinite(value.simple_value):
                    told.setdefault(value.tag, {})[event.step] = value.simple_value
    return {name: _curve(points.items()) for name, points in told.items()}


def _curve(points: Iterable[tuple[int, float]]) -> Curve:
    steps, values = (np.array(column, float) for column in zip(*sorted(points), strict=True))
    bins = [(part.mean(), part.min(), part.max()) for part in np.array_split(values, min(POINTS, len(values)))]
    middles = [part.mean() for part in np.array_split(steps, len(bins))]
    mean, low, high = np.array(bins).T
    window = np.ones(2 * (len(mean) // (2 * TREND)) + 1)
    # Near the ends the mean is over what is there.
    trend = np.convolve(mean, window, "same") / np.convolve(np.ones_like(mean), window, "same")
    return Curve(np.array(middles), mean, low, high, trend, float(values[-1]))
