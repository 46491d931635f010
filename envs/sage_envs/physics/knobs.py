"""What physics can be turned: one table of knobs, and what an engine can do with each."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor


class Scope(StrEnum):
    """How far an engine can tell worlds apart."""

    WORLD = "per world"
    SCENE = "whole scene"
    ABSENT = "not at all"


class CapabilityError(ValueError):
    """An engine was asked for what it cannot do."""


@dataclass(frozen=True)
class Knob:
    """Something about physics that can be set.

    Attributes:
        name: By which it is set.
        unit: SI unit; empty for factors on what the scene was made with.
        low: Least value.
        high: Greatest value; of a vector, its greatest length.
        width: Numbers a world.
    """

    name: str
    unit: str
    low: float
    high: float
    width: int = 1

    @property
    def span(self) -> str:
        """The allowed range in words."""
        if self.width > 1:
            return f"be finite and at most {self.high:g} {self.unit} long"
        return f"lie in {self.low:g}..{self.high:g}{' ' if self.unit else ''}{self.unit}"

    def check(self, value: object, worlds: int, device: torch.device | str) -> Tensor:
        """A value as a tensor.

        Args:
            value: One for all worlds, or one a world.
            worlds: How many worlds it is for.
            device: Where the tensor shall be.

        Returns:
            Shape (worlds,), or (worlds, width) of a vector.

        Raises:
            ValueError: Not finite, out of range, or of the wrong shape.
        """
        one = (self.width,) if self.width > 1 else ()
        tensor = torch.as_tensor(value, dtype=torch.float32, device=device)
        if tuple(tensor.shape) not in (one, (worlds, *one)):
            unit = f" [{self.unit}]" if self.unit else ""
            raise ValueError(f"{self.name}.shape={tuple(tensor.shape)}: must be {one} or {(worlds, *one)}{unit}")
        size = tensor.norm(dim=-1) if self.width > 1 else tensor
        low = 0.0 if self.width > 1 else self.low
        if not bool(torch.isfinite(tensor).all() and ((size >= low) & (size <= self.high)).all()):
            raise ValueError(f"{self.name}={tensor.tolist()}: must {self.span}")
        return tensor.expand(worlds, *one)


FRICTION = ("static_friction_scale", "dynamic_friction_scale")
MATERIAL = (*FRICTION, "restitution_scale")
SIZE = "size_scale"

KNOBS: dict[str, Knob] = {
    knob.name: knob
    for knob in (
        Knob("gravity", "m/s^2", 0.0, 100.0, width=3),
        Knob("static_friction_scale", "", 0.0, 10.0),
        Knob("dynamic_friction_scale", "", 0.0, 10.0),
        Knob("restitution_scale", "", 0.0, 2.0),
        Knob("mass_scale", "", 0.05, 20.0),
        Knob("strength_scale", "", 0.0, 10.0),
        Knob(SIZE, "", 0.1, 10.0),
        Knob("time_step", "s", 1 / 240, 1 / 30),
    )
}
"""Every knob by its name.

Friction and restitution belong to all moving bodies, mass (with inertia) and size to the loose
objects, strength (gains and effort limits of the drives) to the robot.
"""


def knob(name: str) -> Knob:
    """A knob by its name.

    Raises:
        ValueError: There is none; the message names the nearest.
    """
    if name not in KNOBS:
        near = difflib.get_close_matches(name, KNOBS, n=1, cutoff=0.3)
        raise ValueError(f"physics.{name}: unknown knob; use {near[0] if near else ', '.join(KNOBS)}")
    return KNOBS[name]
