"""What the simulator tells of a variation: by how much the branches differ, where that can be sensed."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..environment import Observation
from .variations import Draw

SETTLED = 2
"""Looks after which a change of velocity or of physics can be sensed."""
PARTED = 0.01
"""How far apart an object in view is in the two branches from which friction and mass can have shown [m]."""
SEEN = 4 / 64**2
"""Share of the picture that an object has to take to be seen."""
MOVING = 0.1
"""Speed of an object in view from which its branch can have shown them [m/s]."""


def what_changed(
    drawn: Draw, before: Observation, after: Observation, depths: tuple[Tensor, Tensor]
) -> tuple[Observation, Observation]:
    """By how much the varied branch differs, and where that can be sensed.

    Args:
        drawn: The variation.
        before: Where the loose objects are in the remembered branch, see :class:`sage_ext.environment.Environment`.
        after: The same of the varied branch.
        depths: Both branches' pictures (n, T, H, W, 1) [m].

    Returns:
        Kind of change -> (n, T, k), and where it is asked, bool.
    """
    n, looks = depths[0].shape[:2]
    settled = (torch.arange(looks) >= SETTLED).view(1, -1, 1)
    usual = drawn.speed == 1.0
    change, asked = {}, {}
    for name, factor in (("gravity", drawn.gravity), ("friction", drawn.friction), ("mass", drawn.mass)):
        change[f"log_{name}"] = factor.log().view(n, 1, 1).expand(n, looks, 1)
        asked[f"log_{name}"] = (settled & usual).expand(n, looks, 1)
    change["log_speed"] = torch.full((n, looks, 1), math.log(drawn.speed))
    asked["log_speed"] = settled.expand(n, looks, 1)
    bodies = before["position"].shape[2]
    # At another speed the looks of the two branches show other instants.
    was, came = in_view(before, depths[0]), in_view(after, depths[1])
    change["object_seen"] = came.float() - was.float()
    change["object_nearest"] = nearest(after, came) - nearest(before, was)
    asked["object_seen"] = asked["object_nearest"] = torch.full_like(was, usual)
    seen = was & came & usual
    each = seen.unsqueeze(-1).expand(n, looks, bodies, 3).flatten(2)
    shift = (after["position"] - before["position"]).cpu()
    change["object_position"] = shift.flatten(2)
    change["object_velocity"] = (after["velocity"] - before["velocity"]).cpu().flatten(2)
    # Where nothing goes, or nothing goes otherwise, nobody could tell that the floor is another or a thing heavier.
    shown = [(shift.norm(dim=-1) > PARTED) & seen]
    shown += [v & (s["velocity"].cpu().norm(dim=-1) > MOVING) for s, v in ((before, was), (after, came))]
    told = torch.stack([each.any(-1).cumsum(1) > 0 for each in shown]).all(0).unsqueeze(-1)
    for name in ("log_friction", "log_mass"):
        asked[name] = asked[name] & told
    asked["object_position"], asked["object_velocity"] = each, each & settled
    return change, asked


def sighted(sight: Observation, depth: Tensor) -> Tensor:
    """Where each loose object is in the picture (n, T, 6 B), see :data:`~sage_ext.learning.sighting.TOLD`.

    Args:
        sight: As in :func:`in_view`.
        depth: As in :func:`in_view`.
    """
    place = sight["pixel"].cpu() / torch.tensor(depth.shape[2:4])
    seen, radius = in_view(sight, depth), sight["extent"].cpu() / depth.shape[3]
    parts = [place[..., 0], place[..., 1], sight["position"][..., 0].cpu(), radius, seen, torch.ones_like(seen)]
    return torch.stack([part.float() for part in parts], -1).flatten(2)


def sought(sight: Observation) -> Tensor:
    """The way to what is sought (n, T, 5), see :data:`~sage_ext.learning.seeking.TOLD`.

    Args:
        sight: As in :func:`in_view`.
    """
    way, which = sight["sought"].cpu(), sight["meant"].cpu().unsqueeze(-1).to(torch.float32)
    return torch.cat([way, which, torch.ones_like(which)], -1)


def in_view(sight: Observation, depth: Tensor) -> Tensor:
    """Which loose objects are in the picture, whole or in part, with enough to be seen (n, T, B) bool.

    Nine points of each are looked up in the picture; where it is as far as the object, the object is not hidden.

    Args:
        sight: Where the objects are, see :class:`sage_ext.environment.Environment`.
        depth: The picture (n, T, H, W, 1) [m].
    """
    n, looks, height, width = depth.shape[:4]
    told = {k: v.cpu() for k, v in sight.items()}
    extent = told["extent"]
    # Within the outline of a ball.
    points = 0.6 * torch.cartesian_prod(torch.arange(-1, 2), torch.arange(-1, 2))
    where = (told["pixel"].unsqueeze(-2) + extent[..., None, None] * points).floor().long()  # (n, T, B, 9, 2)
    row, column = where.unbind(-1)
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    flat = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    there = depth.reshape(n, looks, -1).gather(2, flat.flatten(2)).view(flat.shape)
    near = (there - told["position"][..., :1]).abs() < 1.5 * told["radius"].unsqueeze(-1) + 0.02
    pixels = (inside & near).float().mean(-1) * math.pi * extent.square()
    return pixels > SEEN * height * width


def nearest(sight: Observation, seen: Tensor) -> Tensor:
    """Which of the loose objects in view is nearest to the robot: 1 for that, else 0 (n, T, B).

    Args:
        sight: As in :func:`in_view`.
        seen: From :func:`in_view`.
    """
    distance = torch.where(seen, sight["distance"].cpu(), torch.inf)
    return (seen & (distance == distance.amin(-1, keepdim=True))).float()
