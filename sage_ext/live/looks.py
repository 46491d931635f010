"""Looks: what one world sensed at one moment, and what was true then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Look:
    """One world at one moment.

    Attributes:
        senses: Sense -> what the robot sensed, as in the observation contract, without the worlds' axis.
        truth: Name -> ground truth.
        action: The action that led to it (A,).
        begins: Whether nothing is known of what was before.
    """

    senses: dict[str, np.ndarray]
    truth: dict[str, np.ndarray]
    action: np.ndarray
    begins: bool
