"""Scenes put together from several memories: each object as another moment has it, in one room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .. import snapshot
from .branch import put

if TYPE_CHECKING:
    from ..sage_env import SageEnv

MEMORIES = 4
"""Moments that a scene takes from, at most; its own is one of them."""
GAP = 0.01
"""Kept between things [m]."""


def blend(env: SageEnv, rows: Tensor, which: Tensor, generator: torch.Generator) -> Tensor:
    """Take loose objects from other moments, in motion as they were.

    An object that would stand in something else is left where it was.

    Args:
        env: The environment.
        rows: Snapshots (n, S).
        which: Which of them are blended (n,) bool.
        generator: Source of chance, on the CPU.

    Returns:
        New snapshots (n, S).
    """
    n, count = len(rows), len(env.objects)
    rows, source = rows.clone(), rows
    where, ground = snapshot.layout(env), env.ground(rows)
    outline = torch.tensor([thing.outline for thing in env.objects], device=rows.device)
    many = torch.randint(2, MEMORIES + 1, (n,), generator=generator)
    world = torch.arange(n, device=rows.device)
    for body in torch.randperm(count, generator=generator).tolist():
        # Of its own moment and the next ones: every object from one of the first so many.
        step = (torch.rand(n, generator=generator) * many).long().to(rows.device)
        donor = (world + step) % n
        poses = source[:, where["objects.pose"]].view(n, count, 7)[donor]
        speeds = source[:, where["objects.velocity"]].view(n, count, 6)[donor]
        here = rows[:, where["objects.pose"]].view(n, count, 7)
        rest = [i for i in range(count) if i != body]
        things = torch.cat([here[:, rest, :2], ground.taken], 1)
        radii = torch.cat([outline[rest].expand(n, -1), ground.radii], 1)
        gap = (things - poses[:, body, None, :2]).norm(dim=-1) - radii - outline[body] - GAP
        low, high = (torch.tensor([ground.x[i], ground.y[i]], device=rows.device) for i in (0, 1))
        inside = ((poses[:, body, :2] > low) & (poses[:, body, :2] < high)).all(-1)
        able = which & (gap > 0).all(-1) & inside
        put(env, rows, able, torch.full_like(donor, body), poses[:, body], speeds[:, body])
    return rows
