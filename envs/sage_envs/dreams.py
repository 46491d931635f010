"""What cannot happen, beside what can: a broken law and its possible twin from the same moment.

Both branches are re-lived from one snapshot with the same actions. Up to the violation they are
the same; from then on the twin obeys physics.

========= ==========================================================================================
law       what happens at the violation
========= ==========================================================================================
float     an object in view rises against gravity, with nothing under it
vanish    an object in view is gone
reversal  time turns round: what just happened plays backwards, in all senses
========= ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import snapshot
from .dream_kinds import KINDS
from .relive import relive
from .senses.hearing import EAR_BANDS
from .senses.spectrogram import log_mel
from .sight import objects_in_view, sight

if TYPE_CHECKING:
    from .sage_env import SageEnv

LIFT = 9.81
"""Upward acceleration of a floating object: it falls up [m/s^2]."""
GONE = 30.0
"""How far below the floor a vanished object is put [m]."""
LIVELY = 0.4
"""Speed an object in view must have had for a reversal to be worth watching [m/s]."""


@dataclass
class Dream:
    """Scenes that break a law, and their twins; see :class:`sage_ext.environment.DreamScenes`."""

    impossible: dict[str, Tensor]
    twin: dict[str, Tensor]
    impossible_truth: dict[str, Tensor]
    twin_truth: dict[str, Tensor]
    actions: Tensor
    valid: Tensor
    at: Tensor
    law: list[str]
    kind: list[str]
    object: Tensor
    place: Tensor
    magnitude: Tensor


def dream(
    env: SageEnv,
    rows: Tensor,
    actions: Tensor,
    kinds: Sequence[str],
    *,
    difficulty: float = 0.5,
    generator: torch.Generator | None = None,
) -> Dream:
    """Break a law in each world, in the middle of the stretch.

    Args:
        env: The environment.
        rows: Snapshots (n, S).
        actions: Actions (n, T, A), T even.
        kinds: Full name of one of :data:`sage_envs.dream_kinds.KINDS` a world (n).
        difficulty: 0 breaks the law grossly, 1 subtly.
        generator: Source of chance, on the CPU.

    Raises:
        ValueError: An unknown kind or an odd number of steps.
    """
    laws = _kinds(kinds)
    n, steps = actions.shape[:2]
    if steps % 2 or len(laws) != n:
        raise ValueError(f"dream={steps} steps and {len(laws)} kinds for {n} worlds: steps even, a kind a world")
    at = steps // 2
    waves, visible, speed, distance = [], [], [], []

    def watch(_: int) -> None:
        waves.append(env.senses.hearing.waveform[:n].clone())
        visible.append(objects_in_view(env)[:n])
        distance.append((env.loose.data.body_link_pos_w.torch[:n] - env.camera_pose()[0][:n, None]).norm(dim=-1))
        speed.append(env.loose.data.body_com_vel_w.torch[:n, :, :3].norm(dim=-1))

    possible = relive(env, rows, actions, after_look=watch)
    twin, truth = possible["policy"], possible["critic"]
    in_view = visible[at - 1]
    body = torch.where(in_view, distance[at - 1], torch.inf).argmin(dim=1)
    reversal = torch.tensor([law == "reversal" for law in laws], device=env.device)
    moved = (torch.stack(speed[:at]) * torch.stack(visible[:at])).amax(dim=(0, 2))
    valid = torch.where(reversal, moved > LIVELY, in_view.any(dim=1))

    lift = torch.tensor([law == "float" for law in laws], device=env.device) & valid
    place = truth["object_pose"][torch.arange(n, device=env.device), at, body, :3]
    level = 2.0 * (1.0 - difficulty) * LIFT
    gone = torch.tensor([law == "vanish" for law in laws], device=env.device) & valid
    start, dt = at * env.cfg.decimation, env.physics_dt

    def break_law(tick: int) -> None:
        if tick >= start and bool(lift.any()):
            _lift(env, lift.nonzero().squeeze(1), body, level * dt * (tick - start + 1))
        if tick == start and bool(gone.any()):
            _remove(env, gone.nonzero().squeeze(1), body)

    impossible, broken = twin, truth
    if bool((lift | gone).any()):
        lived = relive(env, rows, actions, before_tick=break_law)
        impossible, broken = lived["policy"], lived["critic"]
    backwards = _reverse(env, twin, torch.stack(waves, dim=1), at)

    def chosen(back: dict[str, Tensor], other: dict[str, Tensor]) -> dict[str, Tensor]:
        return {k: torch.where(reversal.view(-1, *[1] * (v.dim() - 1)), back[k], v) for k, v in other.items()}

    mirrored = {k: torch.cat([v[:, :at], v[:, :at].flip(1)], dim=1) for k, v in truth.items()}
    mirrored["object_velocity"][:, at:] *= -1.0
    sizes = {"float": level + LIFT, "vanish": 1.0, "reversal": 1.0}
    acted = actions.to(env.device)
    return Dream(
        impossible=chosen(backwards, impossible),
        twin=twin,
        impossible_truth=chosen(mirrored, broken),
        twin_truth=truth,
        actions=torch.cat([acted[:, 1:], acted[:, -1:]], dim=1),
        valid=valid,
        at=torch.full((n,), at, dtype=torch.long, device=env.device),
        law=[kind.split("/")[0] for kind in kinds],
        kind=laws,
        object=torch.where(reversal, -1, body),
        place=place,
        magnitude=torch.tensor([sizes[law] for law in laws], device=env.device),
    )


def _kinds(kinds: Sequence[str]) -> list[str]:
    """The kinds without their laws.

    Raises:
        ValueError: One is unknown.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"kind={unknown[0]}: unknown; use one of {', '.join(KINDS)}")
    return [kind.split("/")[1] for kind in kinds]


def foresee(env: SageEnv, rows: Tensor, kinds: Sequence[str]) -> Tensor:
    """Whether moments look fit for their kinds, without stepping or rendering: cheap, not certain.

    Args:
        env: The environment; the first n worlds are left at the moments.
        rows: Snapshots (n, S).
        kinds: Full name of one of :data:`sage_envs.dream_kinds.KINDS` a world (n).

    Returns:
        (n,) bool.
    """
    n, laws = len(rows), _kinds(kinds)
    snapshot.restore(env, rows, torch.arange(n, device=env.device))
    in_picture = sight(env).in_frame
    lively = env.loose.data.body_com_vel_w.torch[..., :3].norm(dim=-1) > LIVELY
    reversal = torch.tensor([law == "reversal" for law in laws], device=env.device).unsqueeze(1)
    return (in_picture & (lively | ~torch.nn.functional.pad(reversal, (0, 0, 0, env.num_envs - n)))).any(dim=1)[:n]


def _lift(env: SageEnv, ids: Tensor, body: Tensor, upward: float) -> None:
    velocity = env.loose.data.body_com_vel_w.torch[ids].clone()
    velocity[torch.arange(len(ids)), body[ids], 2] = upward
    env.loose.write_body_com_velocity_to_sim_index(body_velocities=velocity, env_ids=ids.int())


def _remove(env: SageEnv, ids: Tensor, body: Tensor) -> None:
    pose = env.loose.data.body_link_pose_w.torch[ids].clone()
    pose[torch.arange(len(ids)), body[ids], 2] = -GONE
    env.loose.write_body_link_pose_to_sim_index(body_poses=pose, env_ids=ids.int())


def _reverse(env: SageEnv, twin: dict[str, Tensor], waves: Tensor, at: int) -> dict[str, Tensor]:
    """The first half forwards, then backwards, as a body in that world would sense it.

    Forces and places are the same backwards, velocities change sign, sound plays in reverse. The
    robot goes on giving the twin's commands: only the world runs backwards.
    """
    out = {}
    for key, value in twin.items():
        mirrored = value.clone()
        mirrored[:, at : 2 * at] = value[:, :at].flip(1)
        out[key] = mirrored
    layout = env.proprioceptive_layout
    felt = out["proprioceptive"]
    for name in env.time_odd:
        felt[:, at:, layout[name]] *= -1.0
    felt[:, at:, layout["last_action"]] = twin["proprioceptive"][:, at:, layout["last_action"]]

    samples = waves.shape[-1]
    forwards = waves[:, :at].transpose(1, 2).flatten(2)  # (n, ears, samples)
    sound, rate = torch.cat([forwards, forwards.flip(2)], dim=2), env.senses.hearing.audio.sample_rate
    for look in range(at, 2 * at):
        piece, past = sound[..., look * samples : (look + 1) * samples], sound[..., : look * samples]
        out["audio"][:, look] = log_mel(piece, rate, past, EAR_BANDS).flatten(1)
    return out
