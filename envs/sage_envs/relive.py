"""Living a remembered moment again: the same or other actions, physics, viewpoint and speed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import snapshot
from .physics import FRICTION
from .senses.camera import VIEWPOINT_WIDTH
from .sight import Sight, sight

if TYPE_CHECKING:
    from .sage_env import SageEnv

SPEEDS = (0.5, 1.0, 2.0)
"""How many environment steps pass between two looks; the physics step stays the same."""

APART = 2.0
"""How far above each other bodies are put for the solver to forget their contacts [m]."""

BLIND = ("audio", "tactile", "proprioceptive")
"""The senses that are no pictures."""

Observations = dict[str, dict[str, Tensor]]


def relive(
    env: SageEnv,
    rows: Tensor,
    actions: Tensor,
    gravity_scale: Tensor | None = None,
    friction_scale: Tensor | None = None,
    viewpoint: Tensor | None = None,
    color: Tensor | None = None,
    light: Tensor | None = None,
    size: Tensor | None = None,
    speed: float = 1.0,
    senses: Collection[str] | None = None,
    start: bool = False,
    located: bool = False,
    unseen: int = 0,
    before_tick: Callable[[int], None] | None = None,
    after_look: Callable[[int], None] | None = None,
    **scales: Tensor,
) -> Observations:
    """Restore snapshots and live on from them.

    Fewer snapshots than worlds fill the first ones. Episodes neither end nor reset meanwhile,
    and the worlds are left where the re-living ended: reset before going on with a task.

    Args:
        env: The environment.
        rows: Snapshots (n, S), n at most the number of worlds.
        actions: Actions of T environment steps (n, T, A); with none nothing moves, and only ``start`` and ``sight`` are
            given.
        gravity_scale: Factor on the gravity that was in force (n,).
        friction_scale: Factor on the friction that was in force, static and dynamic (n,).
        viewpoint: Turn and shift of the camera from where it was (n, 5): yaw, pitch [rad], forward, left, up [m].
        color: Share of a random colour mixed into the nominal one of each shape (n,), drawn from the environment's
            generator; without it and ``light`` the colours stay that were in force. Afterwards those are in force
            again.
        light: Brightness beside it, as a factor (n,); 1 when None.
        size: How much larger the loose objects look than they are, as factors (n, B), for the call alone.
        speed: One of :data:`SPEEDS`, for all worlds of the call: 2 looks half as often, so that
            what is seen goes by twice as fast.
        senses: Which of the senses are wanted under ``policy``; all when None. ``()`` gives ``critic`` alone.
        start: Whether to look at the instant itself, too, before anything moves.
        located: Whether to tell where the loose objects are.
        unseen: Looks at the beginning of which no picture is wanted: theirs are black, and cost nothing.
        before_tick: Called before each physics step with its number.
        after_look: Called after each look with its number.
        **scales: Factors on other knobs that were in force, such as ``mass_scale`` (n,).

    Returns:
        ``policy`` and ``critic`` observations after each look (n, T / speed, ...); if ``located``, ``sight``: where the
        loose objects are as the camera has them, at the instant and after each look (n, 1 + T / speed, ...), see
        :class:`~sage_envs.sight.Sight`; with ``start`` also ``start``, the pictures of the instant (n, ...).

    Raises:
        ValueError: Too many snapshots, wrong shapes, an unknown speed or knob, or a product out of its range.
    """
    n, steps = actions.shape[:2]
    if n != rows.shape[0] or n > env.num_envs:
        raise ValueError(f"relive={rows.shape[0]} snapshots, {n} actions: must be as many, at most {env.num_envs}")
    if speed not in SPEEDS:
        raise ValueError(f"speed={speed}: use one of {', '.join(map(str, SPEEDS))}")
    if steps % max(1, int(speed)):
        raise ValueError(f"actions.steps={steps}: must be a multiple of the speed {speed:g}")
    look_every, kept = int(env.cfg.decimation * speed), env.scene["object_contacts"].cfg.history_length
    if look_every > kept or look_every < 1:
        raise ValueError(f"speed={speed:g}: looks {look_every} physics steps apart, must be 1..{kept}; set time_step")
    ids = torch.arange(n, device=env.device)
    _forget_contacts(env, rows, ids)
    snapshot.restore(env, rows, ids)
    if gravity_scale is not None:
        scales["gravity"] = gravity_scale.unsqueeze(1)
    if friction_scale is not None:
        scales |= {name: friction_scale for name in FRICTION if name in env.physics.per_world}
    env.physics.put({name: env.physics.get(name)[ids] * scale.to(env.device) for name, scale in scales.items()}, ids)
    _turn(env, ids, viewpoint)
    colors = _paint(env, ids, color, light)
    shown = None if size is None else env.appearance().scale[ids]
    if size is not None:
        env.show_sizes(size, ids)
    hold = env.cfg.decimation
    plan = torch.zeros(steps, env.num_envs, actions.shape[2], device=env.device)
    plan[:, :n] = actions.to(env.device).transpose(0, 1)
    begin: dict[str, Tensor] = {}
    if start:
        visual, depth = env.look()
        begin = {"visual": visual[:n], "depth": depth[:n]}
    seen: list[Observations] = []
    sights = [sight(env)] if located else []
    for tick in range(hold * steps):
        if tick % hold == 0:
            env.command(plan[tick // hold])
        if before_tick is not None:
            before_tick(tick)
        env.advance(1)
        if (tick + 1) % look_every == 0:
            seen.append(env.observe(senses if len(seen) >= unseen else BLIND))
            if located:
                sights.append(sight(env))
            if after_look is not None:
                after_look(len(seen) - 1)
    env.viewpoint[ids] = 0.0
    if shown is not None:
        env.show_sizes(shown, ids)
    if colors is not None:
        env.palette().put(colors, ids)
    for look in seen[:unseen]:
        look["policy"] = {k: look["policy"].get(k, torch.zeros_like(v)) for k, v in seen[-1]["policy"].items()}
    groups = seen[0] if seen else {}
    lived = {group: {k: torch.stack([s[group][k][:n] for s in seen], dim=1) for k in groups[group]} for group in groups}
    if located:
        lived["sight"] = {k: torch.stack([getattr(s, k)[:n] for s in sights], dim=1) for k in Sight._fields}
    return lived | ({"start": begin} if start else {})


def _forget_contacts(env: SageEnv, rows: Tensor, ids: Tensor) -> None:
    """Make the solver forget the contacts of whatever the worlds did before.

    It starts from the impulses it remembers, so that the same moment could go on differently
    after another past. One step with all bodies apart in the air leaves it nothing to remember.
    """
    apart, where = rows.clone(), snapshot.layout(env)
    apart[:, where["robot.pose"].start + 2] += APART
    for body in range(len(env.objects)):
        apart[:, where["objects.pose"].start + 7 * body + 2] += APART * (2 + body)
    snapshot.restore(env, apart, ids)
    env.advance(1)
    env.discard_ticks()


def _paint(env: SageEnv, ids: Tensor, color: Tensor | None, light: Tensor | None) -> Tensor | None:
    """Draw colours anew; those that were in force (n, K, 3), or None where nothing is asked."""
    if color is None and light is None:
        return None
    palette = env.palette()
    before = palette.get()[ids]
    light = torch.ones(len(ids)) if light is None else light
    palette.mix(ids, 0.0 if color is None else color, light, env.generator)
    return before


def _turn(env: SageEnv, ids: Tensor, viewpoint: Tensor | None) -> None:
    """Turn and move the cameras, from where they were."""
    if viewpoint is not None:
        if tuple(viewpoint.shape) != (len(ids), VIEWPOINT_WIDTH):
            raise ValueError(f"viewpoint.shape={tuple(viewpoint.shape)}: must be ({len(ids)}, {VIEWPOINT_WIDTH})")
        env.viewpoint[ids] += viewpoint.to(env.device)
