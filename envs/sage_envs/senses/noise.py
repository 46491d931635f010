"""Imperfect sensors, off by default: what real cameras, microphones, skins and encoders add and lose.

===============  ======================================================================================================
visual           Gaussian readout noise
depth            Gaussian, growing with the square of the distance (C. V. Nguyen, S. Izadi, D. Lovell, "Modeling Kinect
                 sensor noise for improved 3D reconstruction and tracking", 3DIMPVT 2012), and pixels without a reading
audio            the microphone's own noise: white, so that its power in each cell of the spectrogram is exponential
tactile          Gaussian on every taxel, and taxels that died, the same ones for the environment's life
proprioceptive   Gaussian in proportion to the reading and on top of it; what is no measurement (goal, last action)
                 keeps its value
every sense      a reading that does not arrive: the last one comes again
===============  ======================================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ..sage_env import SageEnv

EXACT = ("goal_position", "last_action")
"""Proprioceptive entries that are told and not measured."""


@dataclass
class SensorNoiseCfg:
    """How imperfect the sensors are."""

    visual_std: float = 0.0
    """Of the 8-bit levels."""
    depth_std: float = 0.0
    """At 1 m [m]; grows with the square of the distance."""
    depth_missing: float = 0.0
    """Share of pixels without a reading."""
    audio_floor: float = -200.0
    """Level of the microphone's own noise in each band [dB]."""
    tactile_std: float = 0.0
    """[N]"""
    tactile_dead: float = 0.0
    """Share of taxels that died."""
    proprioceptive_relative: float = 0.0
    """Standard deviation as a share of the reading."""
    proprioceptive_std: float = 0.0
    """Standard deviation on top of it [SI]."""
    dropout: float = 0.0
    """Chance that a sense's reading does not arrive."""


NOISE: dict[str, SensorNoiseCfg | None] = {
    "none": None,
    "mild": SensorNoiseCfg(
        visual_std=2.0,
        depth_std=0.002,
        depth_missing=0.01,
        audio_floor=-70.0,
        tactile_std=0.02,
        tactile_dead=0.02,
        proprioceptive_relative=0.005,
        proprioceptive_std=0.002,
    ),
    "harsh": SensorNoiseCfg(
        visual_std=8.0,
        depth_std=0.01,
        depth_missing=0.05,
        audio_floor=-55.0,
        tactile_std=0.1,
        tactile_dead=0.1,
        proprioceptive_relative=0.02,
        proprioceptive_std=0.01,
        dropout=0.05,
    ),
}
"""Models by name."""


class SensorNoise:
    """Applies a model to observations.

    Args:
        env: The environment.
        cfg: The model.
        seed: Of everything drawn.
    """

    def __init__(self, env: SageEnv, cfg: SensorNoiseCfg, seed: int) -> None:
        self._env, self._cfg = env, cfg
        self._generator = torch.Generator(device=env.device).manual_seed(seed)
        self._dead = self._luck((env.num_envs, env.touch.width)) < cfg.tactile_dead
        self._last: dict[str, Tensor] = {}
        self._known = torch.zeros(env.num_envs, dtype=torch.bool, device=env.device)

    def reseed(self, seed: int) -> None:
        """Seed what is drawn from now on; dead taxels stay as they are."""
        self._generator.manual_seed(seed)

    def _luck(self, shape: tuple[int, ...]) -> Tensor:
        return torch.rand(shape, generator=self._generator, device=self._env.device)

    def _normal(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self._generator, device=like.device)

    def __call__(self, policy: dict[str, Tensor]) -> dict[str, Tensor]:
        """Noisy readings in the place of true ones.

        Args:
            policy: Sense -> true reading (N, ...).
        """
        readings = {name: getattr(self, f"_{name}")(value) for name, value in policy.items()}
        for name, value in readings.items():
            if not self._cfg.dropout:
                continue
            # Drawn in any case: chance must not depend on what was looked at before.
            lost = (self._luck((len(value),)) < self._cfg.dropout) & self._known
            if name in self._last:
                readings[name] = torch.where(lost.view(-1, *[1] * (value.dim() - 1)), self._last[name], value)
        self._last |= readings
        self._known[:] = True
        return readings

    def forget(self, env_ids: Tensor) -> None:
        """Worlds that begin anew: no reading from before can come again there."""
        self._known[env_ids] = False

    def _visual(self, value: Tensor) -> Tensor:
        return (value + self._cfg.visual_std * self._normal(value)).round().clamp(0.0, 255.0).to(value.dtype)

    def _depth(self, value: Tensor) -> Tensor:
        noisy = (value + self._cfg.depth_std * value.square() * self._normal(value)).clamp(min=0.0)
        arrived = (value > 0.0) & (self._luck(tuple(value.shape)) >= self._cfg.depth_missing)
        return torch.where(arrived, noisy, 0.0)

    def _audio(self, value: Tensor) -> Tensor:
        own = 10.0 ** (self._cfg.audio_floor / 10.0) * -self._luck(tuple(value.shape)).clamp(min=1e-12).log()
        # Power adds up; below the floor of the sense nothing is told.
        return torch.maximum(10.0 * (10.0 ** (value / 10.0) + own).log10(), value)

    def _tactile(self, value: Tensor) -> Tensor:
        noisy = (value + self._cfg.tactile_std * self._normal(value)).clamp(min=0.0)
        return torch.where(self._dead, 0.0, noisy)

    def _proprioceptive(self, value: Tensor) -> Tensor:
        layout = self._env.proprioceptive_layout
        measured = torch.zeros(value.shape[1], dtype=torch.bool, device=value.device)
        for name, where in layout.items():
            measured[where] = name not in EXACT
        std = self._cfg.proprioceptive_relative * value.abs() + self._cfg.proprioceptive_std
        return torch.where(measured, value + std * self._normal(value), value)
