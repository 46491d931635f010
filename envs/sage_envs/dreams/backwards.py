"""Scenes made from what their twins sensed: time turned round, sounds too early, wheels too late."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..senses.hearing import EAR_BANDS
from ..senses.spectrogram import log_mel
from .branch import Lived

if TYPE_CHECKING:
    from ..sage_env import SageEnv


def take(values: Tensor, index: Tensor) -> Tensor:
    """Looks (n, T) of values (n, T, ...)."""
    return values[torch.arange(len(values), device=values.device).unsqueeze(1), index]


def hear(env: SageEnv, waves: Tensor, first: Tensor, heard: Tensor) -> Tensor:
    """The audio sense of other waves from some looks on.

    Args:
        env: The environment.
        waves: Pressure (n, T, ears, samples) [Pa].
        first: Look from which it is heard anew (n,).
        heard: The audio sense before (n, T, 1024).
    """
    steps, samples, rate = waves.shape[1], waves.shape[-1], env.senses.hearing.audio.sample_rate
    sound, out = waves.transpose(1, 2).flatten(2), heard.clone()
    for look in range(int(first.min()), steps):
        piece, past = sound[..., look * samples : (look + 1) * samples], sound[..., : look * samples]
        anew = log_mel(piece, rate, past, EAR_BANDS).flatten(1)
        out[:, look] = torch.where((first <= look).unsqueeze(1), anew, heard[:, look])
    return out


def reverse(env: SageEnv, twin: Lived, at: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """From the violation on, backwards what came before, as a body in that world would sense it.

    Forces and places are the same backwards, velocities change sign, sound plays in reverse. The robot goes on giving
    the twin's commands: only the world runs backwards.

    Returns:
        What is sensed, and ground truth.
    """
    steps = twin.waves.shape[1]
    look = torch.arange(steps, device=at.device)
    later = look >= at.unsqueeze(1)
    index = torch.where(later, (2 * at.unsqueeze(1) - 1 - look).clamp(min=0), look)
    policy = {key: take(value, index) for key, value in twin.policy.items()}
    truth = {key: take(value, index) for key, value in twin.truth.items()}
    felt, layout = policy["proprioceptive"], env.proprioceptive_layout
    sign = torch.where(later, -1.0, 1.0).unsqueeze(-1)
    for name in env.time_odd:
        felt[..., layout[name]] *= sign
    felt[..., layout["last_action"]] = twin.policy["proprioceptive"][..., layout["last_action"]]
    for name in truth:
        if name.endswith("_velocity"):
            truth[name] = truth[name] * sign.view(*sign.shape[:2], *[1] * (truth[name].dim() - 2))
    waves = take(twin.waves, index)
    waves = torch.where(later.view(*later.shape, 1, 1), waves.flip(-1), waves)
    policy["audio"] = hear(env, waves, at, policy["audio"])
    return policy, truth


def hear_early(env: SageEnv, twin: Lived, at: Tensor, lead: Tensor) -> dict[str, Tensor]:
    """What is heard comes earlier by ``lead`` looks; what was heard meanwhile comes last, so that as much sounds."""
    steps = twin.waves.shape[1]
    since = torch.arange(steps, device=at.device) - at.unsqueeze(1)
    length = (steps - at).unsqueeze(1)
    shifted = at.unsqueeze(1) + (since + lead.unsqueeze(1)) % length
    index = torch.where(since >= 0, shifted, torch.arange(steps, device=at.device))
    policy = dict(twin.policy)
    policy["audio"] = hear(env, take(twin.waves, index), at, twin.policy["audio"])
    return policy


def follow_late(env: SageEnv, twin: Lived, at: Tensor, lag: Tensor) -> dict[str, Tensor]:
    """What drives the robot is felt, and heard, to turn ``lag`` looks after the body has moved."""
    steps = twin.waves.shape[1]
    look = torch.arange(steps, device=at.device)
    later = look >= at.unsqueeze(1)
    index = torch.where(later, look - lag.unsqueeze(1), look).clamp(min=0)
    policy = dict(twin.policy)
    felt = twin.policy["proprioceptive"].clone()
    late = take(felt, index)
    for name in env.drives:
        felt[..., env.proprioceptive_layout[name]] = late[..., env.proprioceptive_layout[name]]
    policy["proprioceptive"] = felt
    policy["audio"] = hear(env, take(twin.waves, index), at, twin.policy["audio"])
    return policy
