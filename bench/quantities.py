"""What the probes ask for: named quantities of the world, worked out from the simulator's ground truth.

Places and velocities are in the robot's own frame (ahead, left, up), as its senses have them. A quantity counts only
where the senses can tell it: an object's place while at least :data:`SEEN` of its pixels are in the picture, a
material while it is touched. Where several things are asked alike (five objects), each has a probe of its own and the
score is their mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

SEEN = 6
"""Pixels of 64x64 from which an object counts as seen."""
TOUCHED = 0.1
"""Force from which a touch counts [N]."""
AHEAD = 15
"""Steps of "half a second ahead"."""
SLID = 0.1
"""Speed from which an object moves [m/s]."""
FREE = 0.25
"""Half the width that the rover needs [m]."""
FAR = 3.0
HALF = 2.0
"""Free distance is not told further than this [m]."""
GROUP_OF = {
    "object position": "objects",
    "object velocity": "dynamics",
    "object position 0.5 s ahead": "predictive",
    "object class": "objects",
    "object count": "objects",
    "gravity": "dynamics",
    "friction": "materials",
    "robot velocity": "dynamics",
    "robot spin": "dynamics",
    "robot position 0.5 s ahead": "predictive",
    "contact": "constraints",
    "material": "materials",
    "mass": "materials",
    "free distance": "constraints",
    "reachable": "constraints",
    "person position": "objects",
    "person velocity": "intentions",
    "person goal": "intentions",
}
"""Quantity -> the context group that carries its name; the others have none of theirs."""
ACCURATE = ("object class", "contact", "material", "reachable")
"""Quantities that are classes, scored by balanced accuracy; the others by R2."""

Truth = Mapping[str, Tensor]


class Quantity(NamedTuple):
    """One thing to read.

    Attributes:
        name: What it is called; several of one name are scored together.
        values: Numbers (E, T, k), or classes (E, T) int64.
        counts: Where it can be told (E, T) bool.
    """

    name: str
    values: Tensor
    counts: Tensor


def turned_back(quat: Tensor, vector: Tensor) -> Tensor:
    """Vectors (..., 3) of the room in the frame of bodies turned by quaternions xyzw (..., 4)."""
    axis, real = quat[..., :3].expand_as(vector), quat[..., 3:]
    cross = 2 * torch.linalg.cross(vector, axis)
    return vector + real * cross + torch.linalg.cross(cross, axis)


def quantities(family: str, truth: Truth, kinds: tuple[int, ...]) -> list[Quantity]:
    """Everything that is asked of a task of a family.

    Args:
        family: ``navigation``, ``manipulation`` or ``social``.
        truth: ``critic`` of whole episodes, name -> (E, T, ...), with ``object_pixels``.
        kinds: Material of each loose object, as a number.
    """
    asked = _objects(truth) + _physics(truth)
    if family == "manipulation":
        return asked + _arm(truth)
    return asked + _rover(truth, kinds) + (_people(truth) if family == "social" else [])


def _frame(truth: Truth) -> tuple[Tensor, Tensor]:
    """Place (E, T, 3) and turn (E, T, 4) of the robot's own frame: its body, or the base of an arm."""
    if "robot_pose" in truth:
        return truth["robot_pose"][..., :3], truth["robot_pose"][..., 3:]
    place = torch.zeros_like(truth["hand_pose"][..., :3])
    turn = torch.zeros_like(truth["hand_pose"][..., 3:])
    turn[..., 3] = 1.0
    return place, turn


def _everywhere(truth: Truth) -> Tensor:
    return torch.ones(truth["gravity"].shape[:2], dtype=torch.bool)


def _later(values: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """What will be :data:`AHEAD` steps later, where the episode lasts so long."""
    later, told = torch.roll(values, -AHEAD, 1), counts.clone()
    told[:, -AHEAD:] = False
    return later, told


def _objects(truth: Truth) -> list[Quantity]:
    place, turn = _frame(truth)
    where = turned_back(turn.unsqueeze(2), truth["object_pose"][..., :3] - place.unsqueeze(2))
    speed = turned_back(turn.unsqueeze(2), truth["object_velocity"][..., :3])
    seen = truth["object_pixels"] >= SEEN
    asked = []
    for body in range(where.shape[2]):
        shown = seen[:, :, body]
        later, told = _later(where[:, :, body], shown)
        asked += [
            Quantity("object position", where[:, :, body], shown),
            Quantity("object velocity", speed[:, :, body], shown),
            Quantity("object position 0.5 s ahead", later, told),
        ]
    distance = torch.where(seen, where.norm(dim=-1), torch.inf)
    asked.append(Quantity("object class", distance.argmin(-1), seen.any(-1)))
    asked.append(Quantity("object count", seen.sum(-1, keepdim=True).float(), _everywhere(truth)))
    return asked


def _physics(truth: Truth) -> list[Quantity]:
    felt = _lately(_touching(truth))
    return [
        Quantity("gravity", truth["gravity"][..., 2:], _everywhere(truth)),
        Quantity("friction", truth["friction_scale"].clamp(min=1e-3).log(), felt & _slid(truth)),
    ]


def _slid(truth: Truth) -> Tensor:
    """Whether an object in view moved within the last second (E, T) bool."""
    moving = truth["object_velocity"][..., :2].norm(dim=-1) > SLID
    return _lately((moving & (truth["object_pixels"] >= SEEN)).any(-1))


def _touching(truth: Truth) -> Tensor:
    """Whether the robot touches something it can move or run into (E, T) bool."""
    force = truth["skin_force"] if "skin_force" in truth else truth["pad_force"]
    return force.norm(dim=-1).flatten(2).sum(-1) > TOUCHED


def _lately(felt: Tensor) -> Tensor:
    """Whether there was a touch within the last second (E, T) bool."""
    return (
        torch.nn.functional.max_pool1d(
            torch.nn.functional.pad(felt.float(), (29, 0)).unsqueeze(1), 30, stride=1
        ).squeeze(1)
        > 0
    )


def _rover(truth: Truth, kinds: tuple[int, ...]) -> list[Quantity]:
    always, (place, turn) = _everywhere(truth), _frame(truth)
    heading = turned_back(turn * torch.tensor([-1.0, -1.0, -1.0, 1.0]), torch.tensor([1.0, 0.0, 0.0]).expand_as(place))
    velocity, spin = truth["robot_velocity"][..., :3], truth["robot_velocity"][..., 5:]
    ahead, told = _later(place, always)
    goal = turned_back(turn, torch.nn.functional.pad(truth["goal_position"], (0, 1)) - place)[..., :2]
    force = truth["skin_force"].norm(dim=-1)
    touched, felt = force.argmax(-1), _touching(truth)
    bodies = len(kinds)
    fixed = max(kinds) + 1
    material = torch.tensor([*kinds, *[fixed] * (force.shape[-1] - bodies)])[touched]
    pushed = _lately(force[..., :bodies].sum(-1) > TOUCHED)
    free = _free_ahead(truth, place, turn)
    return [
        Quantity("robot position", place[..., :2], always),
        Quantity("robot heading", heading[..., :2], always),
        Quantity("robot velocity", turned_back(turn, velocity)[..., :2], always),
        Quantity("robot spin", spin, always),
        Quantity("robot position 0.5 s ahead", turned_back(turn, ahead - place)[..., :2], told),
        Quantity("contact", felt.long(), always),
        Quantity("material", material, felt),
        Quantity("mass", truth["object_mass"][..., :1].clamp(min=1e-3).log(), pushed),
        Quantity("free distance", free.unsqueeze(-1), always),
        Quantity("reachable", _way_is_free(truth, place).long(), always),
        Quantity("goal position", goal, always),
    ]


def _blocks(truth: Truth) -> Tensor:
    """Middles of what can stand in a rover's way (E, T, K, 2) [m]; what is buried is far away."""
    standing = truth["obstacle_position"]
    middles = [standing[..., :2] + 100.0 * (standing[..., 2:] < 0), truth["object_pose"][..., :2]]
    if "person_position" in truth:
        middles.append(truth["person_position"][..., :2])
    return torch.cat(middles, 2)


def _free_ahead(truth: Truth, place: Tensor, turn: Tensor) -> Tensor:
    """How far the rover can drive straight on before its body meets something's middle or a wall (E, T) [m]."""
    blocks = _blocks(truth)
    offset = turned_back(turn.unsqueeze(2), torch.nn.functional.pad(blocks, (0, 1)) - place.unsqueeze(2))
    inside = (offset[..., 1].abs() < FREE + 0.1) & (offset[..., 0] > 0)
    thing = torch.where(inside, offset[..., 0], FAR).amin(-1)
    ahead = turned_back(turn * torch.tensor([-1.0, -1.0, -1.0, 1.0]), torch.tensor([1.0, 0.0, 0.0]).expand_as(place))
    half = truth["obstacle_position"].new_tensor(HALF)
    wall = torch.where(
        ahead[..., :2].abs() > 1e-3, (half - place[..., :2] * ahead[..., :2].sign()) / ahead[..., :2].abs(), FAR
    )
    return torch.minimum(thing, wall.amin(-1)).clamp(0.0, FAR)


def _way_is_free(truth: Truth, place: Tensor) -> Tensor:
    """Whether nothing stands on the straight way to the goal (E, T) bool."""
    start, way = place[..., :2], truth["goal_position"] - place[..., :2]
    offset = _blocks(truth) - start.unsqueeze(2)
    length = way.square().sum(-1, keepdim=True).clamp(min=1e-6)
    share = ((offset * way.unsqueeze(2)).sum(-1) / length).clamp(0.0, 1.0)
    miss = (offset - share.unsqueeze(-1) * way.unsqueeze(2)).norm(dim=-1)
    return ~((miss < FREE + 0.15) & (share > 0)).any(-1)


def _arm(truth: Truth) -> list[Quantity]:
    always, felt = _everywhere(truth), _touching(truth)
    hand = truth["hand_pose"][..., :3]
    ahead, told = _later(hand, always)
    return [
        Quantity("robot position", hand, always),
        Quantity("robot velocity", truth["hand_velocity"][..., :3], always),
        Quantity("robot position 0.5 s ahead", ahead - hand, told),
        Quantity("contact", felt.long(), always),
        Quantity("mass", truth["object_mass"][..., :1].clamp(min=1e-3).log(), _lately(felt) & _slid(truth)),
        Quantity("goal position", truth["goal_position"] - hand, always),
    ]


def _people(truth: Truth) -> list[Quantity]:
    place, turn = _frame(truth)
    asked = []
    for person in range(truth["person_position"].shape[2]):
        flat = torch.nn.functional.pad
        where = turned_back(turn, flat(truth["person_position"][:, :, person, :2], (0, 1)) - place)
        walk = turned_back(turn, flat(truth["person_velocity"][:, :, person, :2], (0, 1)))
        goal = turned_back(turn, flat(truth["person_goal"][:, :, person, :2], (0, 1)) - place)
        seen = (where[..., 0] > 0.3) & (where[..., 1].abs() < 0.8 * where[..., 0]) & (where.norm(dim=-1) < 3.0)
        asked += [
            Quantity("person position", where[..., :2], seen),
            Quantity("person velocity", walk[..., :2], seen),
            Quantity("person goal", goal[..., :2], seen),
        ]
    return asked
