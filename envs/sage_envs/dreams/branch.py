"""One of the two ways a staged moment goes on: what is where at its beginning, what is shown, and what breaks a law."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .. import snapshot
from ..relive import Observations, relive
from ..sight import objects_in_view, sight

if TYPE_CHECKING:
    from ..sage_env import SageEnv

GONE = 30.0
"""How far below the floor an object is put that is not there [m]."""
ASIDE = 1.3
"""How far the camera turns to look away [rad]."""


@dataclass
class Looks:
    """How the objects of n worlds look, sound and weigh, in one branch.

    Attributes:
        colors: Colours to paint objects in (n, B, 3), sRGB; below 0 leaves one as it is.
        scale: Factors on the sizes they are shown in (n, B).
        shown: Where they are shown instead of where they are (n, B, 7), in their worlds' frames.
        elsewhere: Which are (n, B) bool.
        voices: Which object each sounds as (n, B).
        masses: Factors on their masses (n, B).
        gaze: How far the camera is turned aside at each look (n, T) [rad].
    """

    colors: Tensor
    scale: Tensor
    shown: Tensor
    elsewhere: Tensor
    voices: Tensor
    masses: Tensor
    gaze: Tensor

    @staticmethod
    def plain(env: SageEnv, n: int, steps: int) -> Looks:
        """Everything as it is."""
        count, device = len(env.objects), env.device
        one = torch.ones(n, count, device=device)
        return Looks(
            colors=-torch.ones(n, count, 3, device=device),
            scale=one.clone(),
            shown=torch.zeros(n, count, 7, device=device),
            elsewhere=torch.zeros(n, count, dtype=torch.bool, device=device),
            voices=torch.arange(count, device=device).repeat(n, 1),
            masses=one.clone(),
            gaze=torch.zeros(n, steps, device=device),
        )

    def copy(self) -> Looks:
        """The same in tensors of its own."""
        return Looks(**{name: value.clone() for name, value in vars(self).items()})

    @property
    def feigned(self) -> bool:
        """Whether anything is shown otherwise than it is."""
        return bool((self.colors >= 0).any() or (self.scale != 1).any() or self.elsewhere.any())


@dataclass
class Lived:
    """What a branch was like.

    Attributes:
        policy: What was sensed (n, T, ...).
        truth: Ground truth (n, T, ...).
        waves: Pressure at the ears (n, T, ears, samples) [Pa].
        visible: Which objects were in view and not hidden (n, T, B) bool.
        in_frame: Which were before the camera (n, T, B) bool.
    """

    policy: dict[str, Tensor]
    truth: dict[str, Tensor]
    waves: Tensor
    visible: Tensor
    in_frame: Tensor


def live(
    env: SageEnv,
    rows: Tensor,
    actions: Tensor,
    looks: Looks,
    act: Callable[[int], None] = lambda _: None,
    unseen: int = 0,
) -> Lived:
    """Live a branch.

    Args:
        env: The environment.
        rows: Snapshots (n, S).
        actions: Actions (n, T, A).
        looks: How its objects look, sound and weigh.
        act: Called before each physics step with its number; breaks laws.
        unseen: Looks at the beginning whose pictures nobody needs.
    """
    n, hold, hearing = len(rows), env.cfg.decimation, env.senses.hearing
    waves: list[Tensor] = []
    visible: list[Tensor] = []
    in_frame: list[Tensor] = []
    viewpoint = painted = masses = torch.zeros(0)

    def before(tick: int) -> None:
        nonlocal viewpoint, painted, masses
        if tick == 0:
            viewpoint = env.viewpoint[:n].clone()
            painted = _show(env, looks)
            hearing.voices[:n] = looks.voices
            if bool((looks.masses != 1).any()):
                masses = _masses(env, n)
                env.physics.set_object_masses(masses * looks.masses, torch.arange(n, device=env.device))
        if (tick + 1) % hold == 0:
            env.viewpoint[:n] = viewpoint
            env.viewpoint[:n, 0] += looks.gaze[:, tick // hold]
        act(tick)

    def after(look: int) -> None:
        waves.append(hearing.waveform[:n].clone())
        seen = sight(env)
        in_frame.append(seen.in_frame[:n])
        # Before the first picture there is no depth to tell by.
        visible.append(objects_in_view(env, seen)[:n] if look >= unseen else torch.zeros_like(in_frame[-1]))

    try:
        lived: Observations = relive(env, rows, actions, unseen=unseen, before_tick=before, after_look=after)
    finally:
        hearing.voices[:] = torch.arange(hearing.voices.shape[1], device=env.device)
        if looks.feigned:
            shown = env.appearance()
            shown.moved[:] = False
            shown.put(None, None)
            if len(painted):
                shown.paint(painted)
        if len(masses):
            env.physics.set_object_masses(masses, torch.arange(n, device=env.device))
    truth = lived["critic"]
    steps = actions.shape[1]
    truth["object_size"] = truth["object_size"] * looks.scale[:, None, :, None]
    truth["object_voice"] = looks.voices.float().unsqueeze(1).expand(-1, steps, -1)
    if looks.feigned:
        truth["object_color"] = _colors(painted[:n], looks).unsqueeze(1).expand(-1, steps, -1, -1)
    truth["object_feigned"] = looks.elsewhere.float().unsqueeze(1).expand(-1, steps, -1)
    return Lived(lived["policy"], truth, *(torch.stack(each, 1) for each in (waves, visible, in_frame)))


def _show(env: SageEnv, looks: Looks) -> Tensor:
    """Show objects otherwise than they are; gives the colours of all that are (N, B, 3), none where all are plain."""
    if not looks.feigned:
        return torch.zeros(0)
    shown, n = env.appearance(), len(looks.scale)
    shown.put(looks.scale, torch.arange(n, device=env.device))
    shown.moved[:n], shown.elsewhere[:n] = looks.elsewhere, looks.shown
    shown.elsewhere[:n, :, :3] += env.scene.env_origins[:n].unsqueeze(1)
    colors = shown.colors()
    mixed = colors.clone()
    mixed[:n] = _colors(colors[:n], looks)
    shown.paint(mixed)
    return colors


def _colors(own: Tensor, looks: Looks) -> Tensor:
    return torch.where(looks.colors >= 0, looks.colors, own)


def _masses(env: SageEnv, n: int) -> Tensor:
    """What the objects of the first n worlds weigh where ``mass_scale`` is 1 (n, B) [kg]."""
    masses = env.loose.data.body_mass.torch.reshape(env.num_envs, -1)[:n].to(env.device)
    return masses / env.physics.get("mass_scale")[:n, None]


def put(env: SageEnv, rows: Tensor, which: Tensor, body: Tensor, pose: Tensor, velocity: Tensor | None = None) -> None:
    """Put an object somewhere in snapshots, in place.

    Args:
        env: The environment.
        rows: Snapshots (n, S), changed.
        which: In which of them (n,) bool.
        body: Which object in each (n,).
        pose: Its pose in its world's frame (n, 7).
        velocity: Its velocity (n, 6); at rest when None.
    """
    where, count = snapshot.layout(env), len(env.objects)
    index = which.nonzero().squeeze(1)
    chosen = body[index]
    speed = torch.zeros(len(rows), 6, device=rows.device) if velocity is None else velocity
    for name, width, values in (
        ("objects.pose", 7, pose),
        ("objects.velocity", 6, speed),
        # What the ears take its velocity to have been: no push is to be heard.
        ("senses.velocity", 6, speed),
    ):
        part = rows[:, where[name]].view(len(rows), count, width).clone()
        part[index, chosen] = values[index]
        rows[:, where[name]] = part.flatten(1)
    # Nor is its own weight, where it lies on something.
    weight = env.loose.data.body_mass.torch.reshape(env.num_envs, -1)[: len(rows)].to(rows) * 9.81
    lies = (speed[:, 2].abs() < 1e-6) & (pose[:, 2] > -1.0)
    rows[index, where["senses.force"].start + chosen] = (weight[torch.arange(len(rows)), body] * lies)[index]


def gone(pose: Tensor, body: Tensor) -> Tensor:
    """Poses (n, 7) of objects that are not there."""
    away = pose.clone()
    away[:, 2] = -GONE - 2.0 * body
    return away


def glance(at: Tensor, steps: int, side: Tensor) -> Tensor:
    """How far the camera is turned at each look, away for the looks around the violation (n, T) [rad].

    Args:
        at: Look of the violation (n,).
        steps: T.
        side: To which side, 1 is left (n,).
    """
    since = torch.arange(steps, device=at.device) - at.unsqueeze(1)
    away = ((since >= -2) & (since <= 1)).float() + 0.5 * ((since == -3) | (since == 2)).float()
    return ASIDE * side.unsqueeze(1) * away


def velocities(env: SageEnv, write: Sequence[tuple[Tensor, Tensor, Tensor]]) -> None:
    """Give objects velocities: worlds (k,), objects (k,) and velocities (k, 6), each."""
    for ids, body, speed in write:
        if len(ids):
            every = env.loose.data.body_com_vel_w.torch[ids].clone()
            every[torch.arange(len(ids), device=ids.device), body] = speed
            env.loose.write_body_com_velocity_to_sim_index(body_velocities=every, env_ids=ids.int())
