"""Hearing: two ears that pick up what contacts, motors and others do to the air.

The ears are a near-coincident stereo pair as in recording practice (ORTF: two cardioids 17 cm apart, 110 degrees
between them; M. Williams, "Unified Theory of Microphone Systems for Stereophonic Sound Recording", AES 82, 1987). A
cardioid picks up (1 + cos angle) / 2 of the pressure. What stands between a sound and an ear takes 10 dB of it, as a
thin screen does to middle frequencies that bend a little around it (Z. Maekawa, "Noise reduction by screens",
Applied Acoustics 1, 1968).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from isaaclab.utils.math import quat_apply
from torch import Tensor

from ..materials import MATERIALS
from .audio import ContactAudio, Source
from .contacts import onset_impulse, slip_and_roll

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
SCREEN = 10.0 ** (-10.0 / 20.0)
"""Share of the pressure that gets past what stands between: -10 dB."""


class Barriers(NamedTuple):
    """Upright boxes that block sound, in the frame of the scene.

    Attributes:
        centre: Middle of each (N, O, 3) [m].
        half: Half its edges (N, O, 3) or (O, 3) [m].
        yaw: Turn about the vertical (N, O) [rad].
    """

    centre: Tensor
    half: Tensor
    yaw: Tensor


def blocked(ear: Tensor, source: Tensor, barriers: Barriers) -> Tensor:
    """Whether the straight way from ears to sources meets a barrier.

    Args:
        ear: Positions (N, E, 3) [m].
        source: Positions (N, B, 3) [m].
        barriers: What stands about.

    Returns:
        (N, E, B) bool.
    """
    cos, sin = barriers.yaw.cos(), barriers.yaw.sin()

    def local(points: Tensor) -> Tensor:
        offset = points.unsqueeze(2) - barriers.centre.unsqueeze(1)  # (N, P, O, 3)
        x = cos.unsqueeze(1) * offset[..., 0] + sin.unsqueeze(1) * offset[..., 1]
        y = cos.unsqueeze(1) * offset[..., 1] - sin.unsqueeze(1) * offset[..., 0]
        return torch.stack([x, y, offset[..., 2]], dim=-1)

    start, end = local(ear).unsqueeze(2), local(source).unsqueeze(1)  # (N, E, 1, O, 3), (N, 1, B, O, 3)
    half = barriers.half if barriers.half.dim() == 3 else barriers.half.unsqueeze(0)
    half = half[:, None, None]
    way = end - start
    # Slabs: the part of the way (0..1) that lies between each pair of opposite faces.
    safe = torch.where(way.abs() < 1e-9, torch.full_like(way, 1e-9), way)
    one, other = (-half - start) / safe, (half - start) / safe
    enter, leave = torch.minimum(one, other).amax(-1), torch.maximum(one, other).amin(-1)
    return ((enter < leave) & (leave > 0.0) & (enter < 1.0)).any(-1)


class Hearing:
    """What the ears of all worlds hear.

    Args:
        env: The environment, its simulation started. Its loose objects sound when struck, sliding and rolling; the
            links that feel sound when struck; then come its other sources.
        seed: Of the noise of rubbing.

    Attributes:
        audio: The synthesis; rows are ears, world by world.
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
            num_worlds=EARS * n,
            sources=sources,
            num_motors=env.robot.num_joints,
            physics_dt=env.physics_dt,
            bands=EAR_BANDS,
            device=device,
            seed=seed,
            ears=EARS,
        )
        self._support = torch.tensor([t.height / 2 for t in env.objects], device=device)
        side = torch.tensor([1.0, -1.0], device=device)
        self._ears = torch.zeros(EARS, 3, device=device)
        self._ears[:, 1] = side * SPAN / 2
        self._ahead = torch.stack([torch.full_like(side, math.cos(TURN)), side * math.sin(TURN), 0.0 * side], dim=1)
        self._last_force = torch.zeros(n, len(env.objects) + len(env.touch.links), device=device)
        self._last_speed = torch.zeros(n, env.robot.num_joints, device=device)
        self.heard = self._spectrogram()
        """Levels of the last look in dB (N, 1024): ear, band, frame."""

    @property
    def waveform(self) -> Tensor:
        """Pressure heard since the look before (N, 2, samples) [Pa]."""
        return self.audio.waveform.unflatten(0, (-1, EARS))

    def listen(self, normal: Tensor, friction: Tensor, path: Tensor, fresh: Tensor) -> None:
        """Hear the physics steps since the last look.

        Args:
            normal: Net normal force on each loose object and each link that feels, oldest step first (N, S, B, 3) [N].
            friction: Net friction force on each loose object (N, S, O, 3) [N].
            path: Velocities of the loose objects at each step (N, S, O, 6).
            fresh: Worlds whose state was just written (N,) bool: nothing has sounded there.
        """
        env, steps = self._env, normal.shape[1]
        live = (~fresh).float().view(-1, 1, 1)
        slip, roll = slip_and_roll(
            normal[:, :, : len(env.objects)],
            friction,
            path[..., :3],
            path[..., 3:],
            (self._support * env.sizes.scale).unsqueeze(1),
        )
        impulse = onset_impulse(normal, self._last_force, env.physics_dt)
        others, places = env.other_sounds(steps)
        sized, objects = env.sizes.spread, len(env.objects)
        impulse = torch.cat([sized(impulse[:, :objects]), impulse[:, objects:], others], dim=1) * live
        slip, roll = sized(slip), sized(roll)
        rest = torch.zeros(env.num_envs, impulse.shape[1] - slip.shape[1], steps, device=slip.device)

        speed = env.robot.data.joint_vel.torch
        self._last_speed[fresh] = speed[fresh]
        blend = torch.arange(1, steps + 1, device=speed.device) / steps
        motor = torch.lerp(self._last_speed.unsqueeze(-1), speed.unsqueeze(-1), blend.expand(1, 1, steps)) * live
        torque = (env.robot.data.applied_torque.torch.unsqueeze(-1) * live).expand_as(motor)
        distance, gain = self._paths(places)

        def both(value: Tensor) -> Tensor:
            return value.repeat_interleave(EARS, dim=0)

        self.audio.hear(
            impulse=both(impulse),
            slip_power=both(torch.cat([slip * live, rest], dim=1)),
            roll_power=both(torch.cat([roll * live, rest], dim=1)),
            distance=distance.flatten(0, 1),
            motor_speed=both(motor),
            motor_torque=both(torque),
            gain=gain.flatten(0, 1),
        )
        self.heard = self._spectrogram()
        self._last_force = normal[:, -1].norm(dim=-1)
        self._last_speed = speed.clone()

    def _paths(self, others: Tensor) -> tuple[Tensor, Tensor]:
        """Distance [m] and share of the pressure that arrives, from each source at each ear (N, 2, B)."""
        env = self._env
        head, quat = env.head_pose()
        turn = quat.unsqueeze(1).expand(-1, EARS, -1).contiguous()
        ears = head.unsqueeze(1) + quat_apply(turn, self._ears.expand(len(head), -1, -1).contiguous())
        ahead = quat_apply(turn, self._ahead.expand(len(head), -1, -1).contiguous())
        loose = env.loose.data.body_link_pose_w.torch[..., :3].repeat(1, len(env.sizes.options), 1)
        sources = torch.cat([loose, env.touch_positions(), others], dim=1)
        way = sources.unsqueeze(1) - ears.unsqueeze(2)
        distance = way.norm(dim=-1)
        towards = (way * ahead.unsqueeze(2)).sum(-1) / distance.clamp(min=1e-3)
        gain = 0.5 * (1.0 + towards)
        barriers = env.barriers()
        if barriers is not None:
            gain = torch.where(blocked(ears, sources, barriers), SCREEN * gain, gain)
        return distance, gain

    def _spectrogram(self) -> Tensor:
        return self.audio.spectrogram().view(self._env.num_envs, -1)

    def state(self) -> dict[str, Tensor]:
        """What later hearing depends on, each (N, k)."""
        rows = self.audio.state().view(self._env.num_envs, -1)
        return {"audio": rows, "force": self._last_force, "joint_speed": self._last_speed}

    def set_state(self, env_ids: Tensor, state: dict[str, Tensor]) -> None:
        """Inverse of :meth:`state` for some worlds."""
        self.audio.set_state(state["audio"].reshape(EARS * len(env_ids), -1), self._rows(env_ids))
        self._last_force[env_ids] = state["force"]
        self._last_speed[env_ids] = state["joint_speed"]

    def forget(self, env_ids: Tensor) -> None:
        """Silence in some worlds."""
        self.audio.reset(self._rows(env_ids))
        self.heard[env_ids] = self._spectrogram()[env_ids]
        self._last_force[env_ids] = 0.0
        self._last_speed[env_ids] = 0.0

    @staticmethod
    def _rows(env_ids: Tensor) -> Tensor:
        """Rows of the ears of some worlds."""
        return (EARS * env_ids.unsqueeze(1) + torch.arange(EARS, device=env_ids.device)).flatten()


def no_sounds(num_worlds: int, steps: int, device: str | torch.device) -> tuple[Tensor, Tensor]:
    """Impulses (N, 0, S) and places (N, 0, 3) where nothing but contacts and motors sounds."""
    return torch.zeros(num_worlds, 0, steps, device=device), torch.zeros(num_worlds, 0, 3, device=device)


def upright(centre: Tensor, quat: Tensor, half: Sequence[Sequence[float]]) -> Barriers:
    """Barriers of upright boxes.

    Args:
        centre: Their middles (N, O, 3) [m].
        quat: Their turns xyzw (N, O, 4), about the vertical.
        half: Half the edges of each (O, 3) [m].
    """
    yaw = 2.0 * torch.atan2(quat[..., 2], quat[..., 3])
    return Barriers(centre, torch.tensor(half, device=centre.device), yaw)
