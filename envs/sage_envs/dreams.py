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
from isaaclab.utils.math import quat_apply_inverse
from torch import Tensor

from . import snapshot
from .relive import relive
from .senses.hearing import EAR_BANDS
from .senses.spectrogram import log_mel

if TYPE_CHECKING:
    from .sage_env import SageEnv

LAWS = ("float", "vanish", "reversal")
LIFT = 9.81
"""Upward acceleration of a floating object: it falls up [m/s^2]."""
GONE = 30.0
"""How far below the floor a vanished object is put [m]."""
LARGE = 0.06
"""Radius over distance from which an object counts as seen: about 2 pixels of 64."""
LIVELY = 0.4
"""Speed an object in view must have had for a reversal to be worth watching [m/s]."""


@dataclass
class Dream:
    """Scenes that break a law, and their twins.

    Attributes:
        impossible: ``policy`` observations (n, T, ...).
        twin: The same from the branch that obeys physics.
        valid: Whether the moment was fit for its law (n,), for example an object was in view.
        at: Look from which the two differ.
        body: Index of the object that breaks the law (n,); -1 where none does.
    """

    impossible: dict[str, Tensor]
    twin: dict[str, Tensor]
    valid: Tensor
    at: int
    body: Tensor


def dream(env: SageEnv, rows: Tensor, actions: Tensor, laws: Sequence[str]) -> Dream:
    """Break a law in each world, in the middle of the stretch.

    Args:
        env: The environment.
        rows: Snapshots (n, S).
        actions: Actions (n, T, A), T even.
        laws: One of :data:`LAWS` a world (n).

    Raises:
        ValueError: An unknown law or an odd number of steps.
    """
    unknown = [law for law in laws if law not in LAWS]
    if unknown:
        raise ValueError(f"law={unknown[0]}: unknown; use one of {', '.join(LAWS)}")
    n, steps = actions.shape[:2]
    if steps % 2 or len(laws) != n:
        raise ValueError(f"dream={steps} steps and {len(laws)} laws for {n} worlds: steps even, a law a world")
    at = steps // 2
    waves, visible, speed, distance = [], [], [], []

    def watch(_: int) -> None:
        waves.append(env.senses.hearing.waveform[:n].clone())
        visible.append(objects_in_view(env)[:n])
        distance.append((env.loose.data.body_link_pos_w.torch[:n] - env.camera_pose()[0][:n, None]).norm(dim=-1))
        speed.append(env.loose.data.body_com_vel_w.torch[:n, :, :3].norm(dim=-1))

    twin = relive(env, rows, actions, after_look=watch)["policy"]
    in_view = visible[at - 1]
    body = torch.where(in_view, distance[at - 1], torch.inf).argmin(dim=1)
    reversal = torch.tensor([law == "reversal" for law in laws], device=env.device)
    moved = (torch.stack(speed[:at]) * torch.stack(visible[:at])).amax(dim=(0, 2))
    valid = torch.where(reversal, moved > LIVELY, in_view.any(dim=1))

    lift = torch.tensor([law == "float" for law in laws], device=env.device) & valid
    gone = torch.tensor([law == "vanish" for law in laws], device=env.device) & valid
    start, dt = at * env.cfg.decimation, env.physics_dt

    def break_law(tick: int) -> None:
        if tick >= start and bool(lift.any()):
            _lift(env, lift.nonzero().squeeze(1), body, LIFT * dt * (tick - start + 1))
        if tick == start and bool(gone.any()):
            _remove(env, gone.nonzero().squeeze(1), body)

    impossible = twin
    if bool((lift | gone).any()):
        impossible = relive(env, rows, actions, before_tick=break_law)["policy"]
    backwards = _reverse(env, twin, torch.stack(waves, dim=1), at)
    chosen = {k: torch.where(reversal.view(-1, *[1] * (v.dim() - 1)), backwards[k], v) for k, v in impossible.items()}
    return Dream(chosen, twin, valid, at, torch.where(reversal, -1, body))


def foresee(env: SageEnv, rows: Tensor, laws: Sequence[str]) -> Tensor:
    """Whether moments look fit for their laws, without stepping or rendering: cheap, not certain.

    Args:
        env: The environment; the first n worlds are left at the moments.
        rows: Snapshots (n, S).
        laws: One of :data:`LAWS` a world (n).

    Returns:
        (n,) bool.
    """
    n = len(rows)
    snapshot.restore(env, rows, torch.arange(n, device=env.device))
    _, _, _, in_picture = _project(env)
    lively = env.loose.data.body_com_vel_w.torch[..., :3].norm(dim=-1) > LIVELY
    reversal = torch.tensor([law == "reversal" for law in laws], device=env.device).unsqueeze(1)
    return (in_picture & (lively | ~torch.nn.functional.pad(reversal, (0, 0, 0, env.num_envs - n)))).any(dim=1)[:n]


def objects_in_view(env: SageEnv) -> Tensor:
    """Whether the centre of each loose object is in the last picture, not hidden and not tiny (N, B) bool."""
    row, column, ahead, in_picture = _project(env)
    depth = env.scene["camera"].data.output["depth"].torch[..., 0]
    height, width = depth.shape[1:]
    world = torch.arange(len(depth), device=depth.device).unsqueeze(1)
    seen = depth[world, row.long().clamp(0, height - 1), column.long().clamp(0, width - 1)]
    radius = env.sizes.edges[..., 0] / 2
    return in_picture & ((seen - ahead).abs() < 1.5 * radius + 0.02)


def _project(env: SageEnv) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Row, column and distance ahead of the objects' centres, and whether they are in the frame and large enough."""
    position, quat = env.camera_pose()
    centre = env.loose.data.body_link_pos_w.torch
    n, b = centre.shape[:2]
    offset = quat_apply_inverse(quat[:, None].expand(n, b, 4).contiguous(), (centre - position[:, None]).contiguous())
    camera = env.scene["camera"]
    matrix = camera.data.intrinsic_matrices.torch
    height, width = camera.image_shape
    ahead = offset[..., 0].clamp(min=1e-3)
    column = matrix[:, 0, 2, None] - matrix[:, 0, 0, None] * offset[..., 1] / ahead
    row = matrix[:, 1, 2, None] - matrix[:, 1, 1, None] * offset[..., 2] / ahead
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (offset[..., 0] > 0.2)
    radius = env.sizes.edges[..., 0] / 2
    return row, column, ahead, inside & (radius / ahead > LARGE)


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
