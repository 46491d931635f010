"""Hearing: two ears that pick up what contacts, motors and others do to the air.

The ears are a near-coincident stereo pair as in recording practice (ORTF: two cardioids 17 cm apart, 110 degrees
between them; M. Williams, "Unified Theory of Microphone Systems for Stereophonic Sound Recording", AES 82, 1987). How
sound gets to them is in :mod:`.paths`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..materials import MATERIALS
from .audio import ContactAudio, Source
from .contacts import causes_of_sound
from .paths import paths

if TYPE_CHECKING:
    from ..sage_env import SageEnv

EARS = 2
"""Left, then right."""
EAR_BANDS = 32
"""Mel bands of an ear; both together are the 64 rows of the ``audio`` sense."""
SPAN = 0.17
"""Between the ears [m]."""
TURN = math.radians(55.0)
"""How far each ear is turned out from straight ahead [rad]."""


class Hearing:
    """What the ears of all worlds hear.

    Args:
        env: The environment, its simulation started. Its loose objects sound when struck, sliding and rolling; the
            links that feel sound when struck; then come its other sources.
        seed: Of the noise of rubbing.

    Attributes:
        audio: The synthesis; rows of what is heard are ears, world by world.
    """

    def __init__(self, env: SageEnv, seed: int) -> None:
        self._env, n, device = env, env.num_envs, env.device
        # An object sounds as large as it is: it is a source of its own in each size it can have.
        sources = [
            Source(t.name, MATERIALS[t.material], 2 * t.radius * scale)
            for scale in env.sizes.options
            for t in env.objects
        ]
        sources += [Source(link, MATERIALS[env.shell], env.shell_size) for link in env.touch.links]
        sources += list(env.other_sources)
        self.audio = ContactAudio(
            num_worlds=n,
            sources=sources,
            num_motors=env.robot.num_joints,
            physics_dt=env.physics_dt,
            bands=EAR_BANDS,
            device=device,
            seed=seed,
            ears=EARS,
        )
        side = torch.tensor([1.0, -1.0], device=device)
        self._ears = torch.zeros(EARS, 3, device=device)
        self._ears[:, 1] = side * SPAN / 2
        self._ahead = torch.stack([torch.full_like(side, math.cos(TURN)), side * math.sin(TURN), 0.0 * side], dim=1)
        self._last_force = torch.zeros(n, len(env.objects) + len(env.touch.links), device=device)
        self._last_speed = torch.zeros(n, env.robot.num_joints, device=device)
        self._last_velocity = self._velocity()
        self._causes = torch.zeros(3, n, self._last_force.shape[1] + len(env.other_sources), 1, device=device)
        self._ways = torch.zeros(2, EARS * n, len(sources), device=device)
        self.voices = torch.arange(len(env.objects), device=device).repeat(n, 1)
        """Which object each object sounds as (N, O): a permutation in each world."""
        self.heard = self._spectrogram()
        """Levels of the last look in dB (N, 1024): ear, band, frame."""

    @property
    def waveform(self) -> Tensor:
        """Pressure heard since the look before (N, 2, samples) [Pa]."""
        return self.audio.waveform.unflatten(0, (-1, EARS))

    def _velocity(self) -> Tensor:
        """Velocities of the loose objects (N, O, 6)."""
        return self._env.loose.data.body_com_vel_w.torch.clone()

    def listen(self, ticks: int, fresh: Tensor) -> None:
        """Hear the physics steps since the last look, from the contact forces that the engine's sensors kept.

        Args:
            ticks: How many.
            fresh: Worlds whose state was just written (N,) bool: nothing has sounded there.
        """
        env, robot = self._env, self._env.robot.data
        objects, skin = env.scene["object_contacts"].data, env.scene["skin_contacts"].data
        velocity = self._velocity()
        if self._causes.shape[3] != ticks:
            self._causes = self._causes.new_zeros(*self._causes.shape[:3], ticks)
        causes = self._causes.zero_()
        causes_of_sound(
            objects.net_normal_forces_w_history.torch,
            objects.net_friction_forces_w_history.torch,
            skin.net_normal_forces_w_history.torch,
            self._last_velocity,
            velocity,
            env.sizes.half_height,
            fresh,
            env.physics_dt,
            self._last_force,
            causes,
        )
        live = (~fresh).float().view(-1, 1, 1)
        others, places = env.other_sounds(ticks)
        if others.shape[1]:
            causes[0, :, self._last_force.shape[1] :] = others * live

        speed = robot.joint_vel.torch.clone()
        before = torch.where(fresh.unsqueeze(1), speed, self._last_speed)
        blend = torch.arange(1, ticks + 1, device=speed.device) / ticks
        motor = torch.lerp(before.unsqueeze(-1), speed.unsqueeze(-1), blend.view(1, 1, -1)) * live
        torque = (robot.applied_torque.torch.unsqueeze(-1) * live).expand_as(motor)
        loose, many = env.loose.data.body_link_pose_w.torch[..., :3], len(env.sizes.options)
        count = self.voices.shape[1]
        if not bool((self.voices == torch.arange(count, device=loose.device)).all()):
            speakers = self.voices.argsort(dim=1)
            loose = loose.gather(1, speakers.unsqueeze(-1).expand_as(loose))
            turn = speakers.view(1, -1, count, 1).expand(3, -1, -1, ticks)
            causes = torch.cat([causes[:, :, :count].gather(2, turn), causes[:, :, count:]], dim=2)
        if many > 1:
            sounding = (causes[:, :, : len(env.objects)], causes[:, :, len(env.objects) :])
            spread = torch.stack([env.sizes.spread(cause) for cause in sounding[0]])
            causes, loose = torch.cat([spread, sounding[1]], dim=2), loose.repeat(1, many, 1)
        sources = torch.cat([loose, env.touch_positions(), places], dim=1)
        paths(*env.head_pose(), self._ears, self._ahead, sources, env.barriers(), self._ways)
        self.audio.hear(causes[0], causes[1], causes[2], self._ways[0], motor, torque, self._ways[1])
        self.heard = self._spectrogram()
        self._last_speed, self._last_velocity = speed, velocity

    def _spectrogram(self) -> Tensor:
        return self.audio.spectrogram().view(self._env.num_envs, -1)

    def state(self) -> dict[str, Tensor]:
        """What later hearing depends on, each (N, k)."""
        return {
            "audio": self.audio.state(),
            "force": self._last_force,
            "joint_speed": self._last_speed,
            "velocity": self._last_velocity.flatten(1),
        }

    def set_state(self, env_ids: Tensor, state: dict[str, Tensor]) -> None:
        """Inverse of :meth:`state` for some worlds."""
        self.audio.set_state(state["audio"], env_ids)
        self._last_force[env_ids] = state["force"]
        self._last_speed[env_ids] = state["joint_speed"]
        self._last_velocity[env_ids] = state["velocity"].view(len(env_ids), -1, 6)

    def forget(self, env_ids: Tensor) -> None:
        """Silence in some worlds."""
        self.audio.reset(env_ids)
        self.heard[env_ids] = self._spectrogram()[env_ids]
        self._last_force[env_ids] = 0.0
        self._last_speed[env_ids] = 0.0
        self._last_velocity[env_ids] = self._velocity()[env_ids]


def no_sounds(num_worlds: int, steps: int, device: str | torch.device) -> tuple[Tensor, Tensor]:
    """Impulses (N, 0, S) and places (N, 0, 3) where nothing but contacts and motors sounds."""
    return torch.zeros(num_worlds, 0, steps, device=device), torch.zeros(num_worlds, 0, 3, device=device)
