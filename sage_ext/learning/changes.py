"""What sleep changed, read back from the two contexts of a moment.

When a moment is lived again, the simulator knows what became other: the gravity that was put in force, an object that
now lies elsewhere. Each such change is read linearly, without bias, from the difference of one group between the
branches. Swapping the branches negates it, equal branches give exactly none, and since a difference of linear readings
is the reading of the difference, the group comes to hold the quantity itself so that a linear probe finds it.
Equivariance to known transformations teaches position like this in SIE (Garrido et al., arXiv 2302.10283) and pose in
transforming auto-encoders (Hinton et al., ICANN 2011).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from ..context.layout import GROUPS


class Change(NamedTuple):
    """One kind of change.

    Attributes:
        group: The group from whose difference it is read.
        width: Numbers, of each loose object where ``each`` is set.
        each: Whether every loose object has its own.
        usual: Size of a change worth telling, in its unit.
    """

    group: str
    width: int
    each: bool
    usual: float


CHANGES: dict[str, Change] = {
    "log_gravity": Change("dynamics", 1, False, 0.3),
    "log_friction": Change("materials", 1, False, 0.3),
    "log_mass": Change("materials", 1, False, 0.3),
    "log_speed": Change("immediate", 1, False, 0.5),
    "object_position": Change("objects", 3, True, 0.1),  # in the camera's frame [m]
    "object_seen": Change("objects", 1, True, 0.5),  # 1 where it came into view, -1 where it left it
    "object_nearest": Change("objects", 1, True, 0.5),  # 1 where it became the nearest to the robot of those in view
    "object_velocity": Change("dynamics", 3, True, 0.5),  # in the camera's frame [m/s]
    "touched": Change("constraints", 1, False, 0.5),  # 1 where the skin came to touch something, -1 where it let go
}
"""Name -> where it is read."""
SENSED = ("touched",)
"""Changes that the senses themselves tell: see :func:`sensed`."""
TOUCH = 0.1
"""Force on the skin from which something is touched [N]."""


def width(name: str, bodies: int) -> int:
    """How many numbers a change has in a scene of so many loose objects."""
    return CHANGES[name].width * (bodies if CHANGES[name].each else 1)


class ChangeHeads(nn.Module):
    """Reads every kind of change.

    Args:
        bodies: Loose objects of the scene.
    """

    def __init__(self, bodies: int) -> None:
        super().__init__()
        self.bodies = bodies
        self.read = nn.ModuleDict(
            {
                name: nn.Linear(GROUPS[change.group].width, width(name, bodies), bias=False)
                for name, change in CHANGES.items()
                if width(name, bodies)
            }
        )
        for layer in self.read.values():
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]

    def config(self) -> dict[str, int]:
        """What building it again needs."""
        return {"bodies": self.bodies}

    def take(self, bodies: int) -> None:
        """Read more loose objects than so far: nothing is known of the new ones.

        Args:
            bodies: How many; fewer change nothing.
        """
        if bodies > self.bodies:
            for name, module in self.read.items():
                layer = cast(nn.Linear, module)
                layer.weight.data = self.larger(name, layer.weight.data, bodies)
                layer.out_features = len(layer.weight)
            self.bodies = bodies

    @staticmethod
    def larger(name: str, weight: Tensor, bodies: int) -> Tensor:
        """What belongs to the weights of a kind of change (k, width of the group), for more loose objects."""
        return nn.functional.pad(weight, (0, 0, 0, width(name, bodies) - len(weight)))

    def forward(self, difference: Tensor) -> dict[str, Tensor]:
        """Differences of contexts ``(..., 4096)`` -> name -> change ``(..., k)``."""
        return {name: layer(difference[..., GROUPS[CHANGES[name].group].slice]) for name, layer in self.read.items()}


def unexplained(read: Tensor, change: Tensor, asked: Tensor, usual: float) -> Tensor:
    """Share of a change that was not read: 1 for a reading of nothing, 0 for a perfect one.

    Args:
        read: What was read, any shape.
        change: What it is; may hold anything, NaN too, where it is not asked.
        asked: Where it is meant, bool.
        usual: Size of a change worth telling. Moments in which nothing changes are asked too, and without it the
            least noise of the reading would be charged as many times the change: to read nothing would be best.
    """
    truth = torch.where(asked, change, 0.0)
    wrong = torch.where(asked, read - truth, 0.0).square().sum()
    return wrong / (truth.square().sum() + usual**2 * asked.sum().clamp(min=1))


def sensed(
    remembered: Mapping[str, Tensor], varied: Mapping[str, Tensor], present: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What the senses themselves tell of a change, for which nobody has to know the world.

    Args:
        remembered: Sense -> (B, T, ...).
        varied: The same of the other branch.
        present: Sense -> (B, T) bool, where that is not everywhere.

    Returns:
        Kind of change -> (B, T, k), and where it is asked, bool.
    """
    if "tactile" not in remembered:
        return {}, {}
    # What stands under a false mask may be no number.
    was, is_ = (v["tactile"].flatten(2).nan_to_num().sum(-1, keepdim=True) > TOUCH for v in (remembered, varied))
    there = present["tactile"].unsqueeze(-1) if "tactile" in present else torch.ones_like(was)
    return {"touched": is_.float() - was.float()}, {"touched": there}


def check(change: Mapping[str, Tensor], shape: tuple[int, ...], bodies: int) -> str:
    """What is wrong with changes given for ``shape`` = (B, T) and at most so many bodies; empty where nothing is."""
    for name, value in change.items():
        if name not in CHANGES:
            return f"{name}: use some of {', '.join(CHANGES)}"
        known = {width(name, some) for some in range(bodies if CHANGES[name].each else 1, 0, -1)}
        if tuple(value.shape[:-1]) != shape or value.shape[-1] not in known:
            return f"{name}: must be {(*shape, width(name, bodies))}, is {tuple(value.shape)}"
    return ""


def evened(parts: Sequence[Mapping[str, Tensor]]) -> list[dict[str, Tensor]]:
    """Changes of several scenes, or where they are asked, with as many loose objects each: those beyond are nothing.

    Args:
        parts: Kind of change -> (M, T, k) of each.
    """
    widths = {name: max(p[name].shape[-1] for p in parts if name in p) for part in parts for name in part}

    def of(part: Mapping[str, Tensor], name: str) -> Tensor:
        value = part[name] if name in part else next(iter(part.values()))[..., :0]
        return nn.functional.pad(value, (0, widths[name] - value.shape[-1]))

    return [{name: of(part, name) for name in widths} for part in parts]
