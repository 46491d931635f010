"""The loose objects of a remembered moment elsewhere: a scene that was never lived, and could have been."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from . import snapshot
from .sight import in_picture

if TYPE_CHECKING:
    from .sage_env import SageEnv

CANDIDATES = 48
"""Places tried for each object; where none is free it stays."""
MOVED, SHOWN, PUSHED = 0.9, 0.75, 0.5
"""Chances that an object is moved, that it is then moved into view, and that it is given a push."""
GAP = 0.01
"""Kept between things [m]."""
SPEED = 1.2
"""A push gives it up to so much along each axis [m/s]: enough to slide over several looks."""
ALOFT, HIGH = 0.25, 0.6
"""Chance that what is moved is in the air, and by how much it is then higher than it would lie, at most [m]."""


class Ground(NamedTuple):
    """Where loose objects can lie, in the frame of a world.

    Attributes:
        x: From and to [m].
        y: From and to [m].
        taken: Middles of what stands there (n, K, 2) [m].
        radii: Radii of that (n, K) [m].
    """

    x: tuple[float, float]
    y: tuple[float, float]
    taken: Tensor
    radii: Tensor


def rearrange(env: SageEnv, rows: Tensor, generator: torch.Generator, lived_on: bool = True) -> Tensor:
    """Put most of the loose objects elsewhere, upright on the ground, many of them in view and some in motion.

    Before that the task may move what stands fixed, see :meth:`~sage_envs.task.Task.refurnished`: rooms would else
    be as few as there are episodes.

    Args:
        env: The environment; its first n worlds are left at the moments.
        rows: Snapshots (n, S).
        generator: Source of chance, on the CPU.
        lived_on: Whether the moments will be lived on from. If they are only looked at, some objects are in the air,
            turned anyhow; nothing keeps them clear of an arm.

    Returns:
        New snapshots (n, S).
    """
    n, bodies = len(rows), len(env.objects)
    snapshot.check(env, rows, n)
    rows = rows.to(env.device).float().clone()
    snapshot.place(env, rows, torch.arange(n, device=env.device))
    rows = env.refurnished(rows, generator)
    where, ground = snapshot.layout(env), env.ground(rows)
    poses = rows[:, where["objects.pose"]].clone().view(n, bodies, 7)
    velocities = rows[:, where["objects.velocity"]].clone().view(n, bodies, 6)
    scale = env.sizes.scale[:n]
    radii = torch.tensor([thing.outline for thing in env.objects], device=env.device) * scale

    def chance(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator).to(env.device)

    low = torch.tensor([ground.x[0], ground.y[0]], device=env.device)
    high = torch.tensor([ground.x[1], ground.y[1]], device=env.device)
    for body in torch.randperm(bodies, generator=generator).tolist():
        thing, rest = env.objects[body], [other for other in range(bodies) if other != body]
        edge = radii[:, body].view(n, 1, 1) + GAP
        spots = low + edge + chance(n, CANDIDATES, 2) * (high - low - 2 * edge)
        taken = torch.cat([ground.taken, poses[:, rest, :2]], 1)
        gaps = torch.cdist(spots, taken) - torch.cat([ground.radii, radii[:, rest]], 1).unsqueeze(1)
        free = (gaps > edge).all(-1)
        height = (thing.height / 2 * scale[:, body]).view(n, 1, 1).expand(n, CANDIDATES, 1)
        flies = torch.zeros(n, dtype=torch.bool, device=env.device) if lived_on else chance(n) < ALOFT
        if not lived_on:
            height = height + HIGH * (flies * chance(n)).view(n, 1, 1)
        shown = in_picture(env, torch.cat([spots, height], -1)) == (chance(n, 1) < SHOWN)
        chosen = (2 * free.float() + shown.float()).argmax(1)
        worlds = torch.arange(n, device=env.device)
        # What would stand within an obstacle that was put there has to move.
        beset = (torch.cdist(poses[:, body : body + 1, :2], ground.taken)[:, 0] < ground.radii + edge[:, 0]).any(1)
        fits = free[worlds, chosen] & ((chance(n) < MOVED) | beset)
        half = torch.pi * chance(n)
        zero = torch.zeros_like(half)
        place = torch.cat([spots[worlds, chosen], height[:, 0]], 1)
        turn = torch.stack([zero, zero, half.sin(), half.cos()], 1)
        if not lived_on:
            anyhow = torch.randn(n, 4, generator=generator).to(env.device)
            turn = torch.where(flies.unsqueeze(1), anyhow / anyhow.norm(dim=1, keepdim=True), turn)
        pose = torch.cat([place, turn], 1)
        pushed = (chance(n, 1) < PUSHED) * SPEED * (2 * chance(n, 2) - 1)
        poses[:, body] = torch.where(fits.unsqueeze(1), pose, poses[:, body])
        velocity = torch.nn.functional.pad(pushed, (0, 4))
        velocities[:, body] = torch.where(fits.unsqueeze(1), velocity, velocities[:, body])
    rows[:, where["objects.pose"]] = poses.flatten(1)
    rows[:, where["objects.velocity"]] = velocities.flatten(1)
    # What the ears take a body's velocity to have been at their last look: a push is not to be heard.
    rows[:, where["senses.velocity"]] = velocities.flatten(1)
    return rows
