"""What would have been: remembered moments lived again in many ways at once, and pictures of moments without living."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import snapshot
from .engines import resizes
from .relive import Observations
from .senses.camera import VIEWPOINT_WIDTH

if TYPE_CHECKING:
    from .sage_env import SageEnv


@dataclass(frozen=True)
class Variation:
    """One way in which a moment could go otherwise.

    Attributes:
        scales: Factors on the physics that was in force, by the names :func:`~sage_envs.relive.relive` knows, for
            example ``{"gravity_scale": 0.8}``.
        viewpoint: Turn and shift of the camera: yaw, pitch [rad], forward, left, up [m].
        actions: Other actions (T, A); None repeats those that were taken.
    """

    scales: Mapping[str, float] = field(default_factory=dict)
    viewpoint: tuple[float, ...] = (0.0,) * VIEWPOINT_WIDTH
    actions: Tensor | None = None


def counterfactuals(
    env: SageEnv,
    rows: Tensor,
    actions: Tensor,
    variations: Sequence[Variation],
    senses: Collection[str] | None = None,
) -> Observations:
    """Live moments again under each of some variations, in all worlds at once and as many goes as it takes.

    Branches that are to be compared to the last digit should come from the same world: its place in the scene costs
    digits. They do where the number of moments is a multiple of the number of worlds.

    Args:
        env: The environment; where its worlds stand afterwards is of no meaning: reset before going on with a task.
        rows: Snapshots of M moments (M, S).
        actions: What was done from there on (M, T, A).
        variations: V of them; ``Variation()`` is the moment as it was.
        senses: Which senses are wanted, see :meth:`~sage_envs.sage_env.SageEnv.observe`; ``()`` is ground truth alone.

    Returns:
        ``policy`` and ``critic`` after each step (M, V, T, ...), ``sight`` also at the instant (M, V, 1 + T, ...).

    Raises:
        ValueError: No variation, shapes that do not fit, an unknown knob or a value out of its range.
    """
    moments = len(actions)
    if len(rows) != moments or not moments or not variations:
        raise ValueError(f"counterfactuals={len(rows)} snapshots, {moments} actions, {len(variations)} variations: "
                         "must be as many snapshots as actions, and one of each at least")  # fmt: skip
    for variation in variations:
        if variation.actions is not None and variation.actions.shape != actions.shape[1:]:
            given, want = tuple(variation.actions.shape), tuple(actions.shape[1:])
            raise ValueError(f"variation.actions.shape={given}: must be {want} like those that were taken")
    names = {name for variation in variations for name in variation.scales}
    # Variation by variation, so that a moment's branches meet the same world where they can.
    acted = torch.cat([actions if v.actions is None else v.actions.expand_as(actions) for v in variations])
    scales = {
        name: torch.tensor([v.scales.get(name, 1.0) for v in variations]).repeat_interleave(moments) for name in names
    }
    views = torch.tensor([v.viewpoint for v in variations]).repeat_interleave(moments, dim=0)
    parts: list[Observations] = []
    for start in range(0, len(acted), env.num_envs):
        some = torch.arange(start, min(start + env.num_envs, len(acted)))
        parts.append(
            env.relive(
                rows[some % moments],
                acted[some],
                viewpoint=views[some],
                senses=senses,
                **{name: value[some] for name, value in scales.items()},
            )
        )
    return {
        group: {
            key: torch.cat([part[group][key] for part in parts])
            .unflatten(0, (len(variations), moments))
            .transpose(0, 1)
            for key in parts[0][group]
        }
        for group in parts[0]
    }


def render_states(env: SageEnv, rows: Tensor, viewpoint: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Pictures of given moments, without stepping physics.

    Args:
        env: The environment; its worlds are left where the last moments were: reset before going on with a task.
        rows: Snapshots (n, S), any number.
        viewpoint: Turn and shift of the camera in each (n, 5): yaw, pitch [rad], forward, left, up [m].

    Returns:
        RGB (n, H, W, 3) uint8 and depth (n, H, W, 1) [m].

    Raises:
        ValueError: Snapshots of another task, or viewpoints that do not fit.
    """
    if viewpoint is not None and tuple(viewpoint.shape) != (len(rows), VIEWPOINT_WIDTH):
        raise ValueError(f"viewpoint.shape={tuple(viewpoint.shape)}: must be ({len(rows)}, {VIEWPOINT_WIDTH})")
    snapshot.check(env, rows, len(rows))
    seen: list[tuple[Tensor, Tensor]] = []
    starts = list(range(0, len(rows), env.num_envs))

    def put(start: int) -> None:
        some = rows[start : start + env.num_envs].to(env.device)
        ids = torch.arange(len(some), device=env.device)
        snapshot.place(env, some, ids)
        if viewpoint is not None:
            env.viewpoint[ids] += viewpoint[start : start + env.num_envs].to(env.device)

    apart = _looks_apart(env)
    for number, start in enumerate(starts):
        if number == 0 or not apart:
            put(start)
        later = starts[number + 1 : number + 2] if apart else []
        visual, depth = env.look(partial(put, later[0])) if later else env.look()
        count = min(env.num_envs, len(rows) - start)
        seen.append((visual[:count], depth[:count]))
    env.viewpoint[:] = 0.0
    return torch.cat([visual for visual, _ in seen]), torch.cat([depth for _, depth in seen])


def _looks_apart(env: SageEnv) -> bool:
    """Whether bodies can be moved while rays are cast: the renderer has its own copy of where they are.

    Colours and sizes it shares, and with Newton the bodies as well.
    """
    renderer, sizes = env.scene["camera"]._renderer, env.sizes.options
    shared = resizes(env.cfg.sim.physics) or env.randomiser.palette is not None or len(sizes) > 1
    return hasattr(renderer, "meanwhile") and not shared
