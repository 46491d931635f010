"""Living a remembered moment again: the same or other actions, physics, viewpoint and speed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import snapshot
from .senses.camera import VIEWPOINT_WIDTH

if TYPE_CHECKING:
    from .sage_env import SageEnv

SPEEDS = (0.5, 1.0, 2.0)
"""How many environment steps pass between two looks; the physics step stays the same."""


@dataclass
class Variation:
    """What is other than remembered, per world; None leaves it as it was.

    Attributes:
        gravity_scale: Factor on the gravity in force then (n,).
        friction_scale: Factor on the friction in force then (n,).
        viewpoint: Turn and shift of the camera (n, 5), see :data:`sage_envs.senses.camera.VIEWPOINT_WIDTH`.
        speed: One of :data:`SPEEDS`, for all worlds of the call: 2 looks half as often, so that
            what is seen goes by twice as fast.
    """

    gravity_scale: Tensor | None = None
    friction_scale: Tensor | None = None
    viewpoint: Tensor | None = None
    speed: float = 1.0


def relive(
    env: SageEnv,
    rows: Tensor,
    actions: Tensor,
    variation: Variation | None = None,
    before_look: Callable[[int], None] | None = None,
    progress: Callable[[], None] | None = None,
) -> dict[str, dict[str, Tensor]]:
    """Restore snapshots and live on from them.

    All worlds are used; fewer snapshots than worlds fill the first ones. Episodes neither end
    nor reset meanwhile, and the worlds are left where the re-living ended: reset before going on.

    Args:
        env: The environment.
        rows: Snapshots (n, S), n at most the number of worlds.
        actions: Actions of T environment steps (n, T, A).
        variation: What shall be other than remembered.
        before_look: Called with the index of each look just before it, to change the worlds.
        progress: Called after each look.

    Returns:
        ``policy`` and ``critic`` observations (n, T / speed, ...): those after each step.

    Raises:
        ValueError: Too many snapshots, wrong shapes or an unknown speed.
    """
    variation = variation or Variation()
    n, steps = actions.shape[:2]
    if n != rows.shape[0] or n > env.num_envs:
        raise ValueError(f"relive={rows.shape[0]} snapshots and {n} actions: must be equal, at most {env.num_envs}")
    if variation.speed not in SPEEDS:
        raise ValueError(f"speed={variation.speed}: use one of {', '.join(map(str, SPEEDS))}")
    if steps % max(1, int(variation.speed)):
        raise ValueError(f"actions.steps={steps}: must be a multiple of the speed {variation.speed:g}")
    ids = torch.arange(n, device=env.device)
    restore_anchored(env, rows, ids)
    vary(env, variation, ids)
    hold = env.cfg.decimation
    look_every = int(hold * variation.speed)
    padded = torch.zeros(env.num_envs, steps, actions.shape[2], device=env.device)
    padded[:n] = actions.to(env.device)
    seen: list[dict[str, dict[str, Tensor]]] = []
    for tick in range(0, hold * steps, min(hold, look_every)):
        env.last_action = padded[:, tick // hold].clamp(-1.0, 1.0)
        env.advance(min(hold, look_every))
        if (tick + min(hold, look_every)) % look_every == 0:
            if before_look is not None:
                before_look(len(seen))
            seen.append(env.observe())
            if progress is not None:
                progress()
    env.viewpoint[ids] = 0.0
    return {
        group: {k: torch.stack([s[group][k][:n] for s in seen], dim=1) for k in seen[0][group]} for group in seen[0]
    }


def restore_anchored(env: SageEnv, rows: Tensor, ids: Tensor) -> None:
    """Restore so that the engine's caches of the past cannot show.

    The solver warm-starts contacts it remembers; one step with everything lifted apart makes it
    forget them, so that the same snapshot always leads to the same future.
    """
    lifted = rows.clone()
    where = snapshot.layout(env)
    for i, name in enumerate(k for k in where if k.endswith(".pose")):
        lifted[:, where[name].start + 2] += 3.0 + i
    snapshot.restore(env, lifted, ids)
    env.advance(1)
    env.discard_ticks()
    snapshot.restore(env, rows, ids)


def vary(env: SageEnv, variation: Variation, ids: Tensor) -> None:
    """Put a variation in force on top of what was restored."""
    if variation.gravity_scale is not None:
        scale = variation.gravity_scale.to(env.device).unsqueeze(1)
        env.physics.set_gravity(env.physics.gravity[ids] * scale, ids)
    if variation.friction_scale is not None:
        env.physics.set_friction_scale(env.physics.friction_scale[ids] * variation.friction_scale.to(env.device), ids)
    env.viewpoint[ids] = 0.0
    if variation.viewpoint is not None:
        if tuple(variation.viewpoint.shape) != (len(ids), VIEWPOINT_WIDTH):
            raise ValueError(f"viewpoint.shape={tuple(variation.viewpoint.shape)}: must be ({len(ids)}, 5)")
        env.viewpoint[ids] = variation.viewpoint.to(env.device)


def render_states(env: SageEnv, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Pictures of given states, without stepping physics.

    Args:
        env: The environment.
        rows: Snapshots (n, S) a look.

    Returns:
        RGB (n, T, H, W, 3) uint8 and depth (n, T, H, W, 1) [m].
    """
    looks = []
    for row in rows:
        snapshot.restore(env, row, torch.arange(len(row), device=env.device))
        looks.append(tuple(x[: len(row)] for x in env.look()))
    return torch.stack([x[0] for x in looks], dim=1), torch.stack([x[1] for x in looks], dim=1)
