"""Whether a dream came out as it was meant: seen, undisturbed, and broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .branch import Lived
from .plan import STRUCK, Kind
from .stage import Staged

if TYPE_CHECKING:
    from ..sage_env import SageEnv
    from .violation import Violation

ALIKE = 3e-3
"""Up to the violation everything else is this much the same in both branches [m]."""
LOUD, FELT = 6.0, 0.1
"""Least difference that must be heard [dB] or felt by what drives the robot, as a share of its span."""
PARTED = 0.15
"""Objects must come to be so many of their radii apart."""


def wheel_change(env: SageEnv, twin: Lived) -> Tensor:
    """Look in the middle half of scenes at which what drives the robot changes its speed most (n,)."""
    driven = env.proprioceptive_layout[next(name for name in env.drives if name in env.time_odd)]
    speed = twin.policy["proprioceptive"][..., driven]
    change = speed.diff(dim=1).norm(dim=-1)
    steps = speed.shape[1]
    low, high = steps // 4, 3 * steps // 4
    return low + change[:, low - 1 : high - 1].argmax(1)


def fit(
    env: SageEnv,
    kinds: Sequence[Kind],
    staged: Staged,
    broken: Violation,
    at: Tensor,
    twin: Lived,
    other: Lived,
    impossible: Mapping[str, Tensor],
) -> Tensor:
    """Which dreams are fit to be shown (n,) bool."""
    n, steps = twin.visible.shape[:2]
    world, device = torch.arange(n, device=env.device), env.device
    body, mark = staged.body, broken.mark

    def of(*changes: str) -> Tensor:
        return torch.tensor([kind.change in changes for kind in kinds], device=device)

    def moves(*motions: str) -> Tensor:
        return torch.tensor([kind.motion in motions for kind in kinds], device=device)

    hidden = torch.tensor([kind.hidden for kind in kinds], device=device)
    before = (at - 1).clamp(min=0)
    # Seen just before, or not then but earlier and in the end.
    after = torch.where(of("shape"), staged.other, body)
    seen = twin.visible[world, before, mark]
    seen = torch.where(of("appear"), other.visible[world, at, body], seen)
    away = ~twin.in_frame[world, before, body] & ~twin.in_frame[world, at, body]
    away &= twin.visible[world, 1, body] & other.visible[world, steps - 1, after]
    # What is tiny is not held to be in view.
    sized = of("grow", "shrink")
    seen = torch.where(sized, twin.in_frame[world, before, body], seen)
    seen = torch.where(hidden, away, seen)
    seen = torch.where(of("shape") & ~hidden, seen & other.visible[world, at, after], seen)
    seen |= of("wheels-follow")

    same = _same(twin, other, before, body, staged.other)
    where = [branch.truth["object_pose"][world, :, body, :3] for branch in (twin, other)]
    apart = (where[0] - where[1]).norm(dim=-1)
    radius = env.sizes.edges[:n][world, body, 0] / 2
    parts = apart[:, -1] > PARTED * radius
    good = staged.fits & seen & same
    good &= parts | ~(moves("fly", "ball") | of("pass-through", "rebound"))
    # Before the violation the object must not have been where the branches disagree.
    joined = of("float", "fall-up", "fall-fast", "stop-dead", "pass-through", "rebound", "early-motion")
    good &= (apart[world, before] < ALIKE) | ~joined
    good &= (apart[world, at] < 0.5 * radius) | ~of("halt", "from-nothing")
    # A flight that met something is none.
    flown = where[0][:, -1, 2] - _flight(env, staged, steps)
    good &= (flown.abs() < 0.03 + 0.1 * radius) | ~moves("fly")
    struck = [branch.truth["object_velocity"][world, :, staged.other, :3].norm(dim=-1) for branch in (twin, other)]
    hit = (struck[0] > 0.02).any(1) & (struck[0][world, before] < 0.02)
    good &= hit | ~of("pass-through", "early-motion")
    good &= (struck[0] > 0.02).any(1) | ~of("reversal")
    good &= (other.truth["object_velocity"][world, before, staged.other, :3].norm(dim=-1) < 0.02) | ~of("rebound")
    good &= ((at >= 2) & (at <= steps - 3)) | ~of(*STRUCK)
    heard = (impossible["audio"] - twin.policy["audio"]).abs().flatten(2).amax(-1)
    later = torch.arange(steps, device=device) >= at.unsqueeze(1)
    good &= ((heard * later).amax(1) > LOUD) | ~of("material", "weight", "early-sound")
    felt = (impossible["proprioceptive"] - twin.policy["proprioceptive"]).abs().amax(-1)
    span = twin.policy["proprioceptive"].abs().amax(-1).amax(1)
    return good & (((felt * later).amax(1) > FELT * span) | ~of("wheels-follow"))


def _flight(env: SageEnv, staged: Staged, steps: int) -> Tensor:
    """Height of a free flight in the end (n,) [m]."""
    time = steps * env.step_dt
    gravity = env.physics.gravity[: len(staged.start), 2]
    return staged.start[:, 2] + staged.velocity[:, 2] * time + 0.5 * gravity * time**2


def _same(twin: Lived, other: Lived, look: Tensor, *but: Tensor) -> Tensor:
    """Whether all but some objects is at the same places in two branches just before the violation (n,) bool."""
    n = len(look)
    world = torch.arange(n, device=look.device)
    gaps = []
    for name in ("robot_pose", "joint_position", "object_pose"):
        if name in twin.truth:
            gap = (twin.truth[name][world, look] - other.truth[name][world, look]).abs()
            if name == "object_pose":
                gap = gap[..., :3].amax(-1)
                for body in but:
                    gap = gap.scatter(1, body.unsqueeze(1), 0.0)
            gaps.append(gap.flatten(1).amax(1))
    return torch.stack(gaps).amax(0) < ALIKE
