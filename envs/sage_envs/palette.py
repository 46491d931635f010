"""Colours and light of the worlds, as the ray caster shows them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import warp as wp
from torch import Tensor

if TYPE_CHECKING:
    from .sage_env import SageEnv

LIGHT = (-1.0, 1.0, -1.0)
"""Where the ray caster's light shines to unless told otherwise."""
KEPT = "goal"
"""What has this in its name keeps its colour: it is told by it."""


class Palette:
    """Colours of all shapes, world by world.

    The ray caster has one light for the scene. What it shades is diffuse, so that a world under a brighter light looks
    as one whose surfaces reflect more: brightness is per world through the colours, the direction is the scene's.

    Args:
        env: The environment, its simulation started.
        asked: What wants colours, for the error.

    Raises:
        ValueError: The renderer is not the ray caster.
    """

    def __init__(self, env: SageEnv, asked: str = "randomisation.color/light") -> None:
        renderer = env.scene["camera"]._renderer
        self._sensor: Any = getattr(renderer, "newton_sensor", None)
        if self._sensor is None:
            name = type(renderer).__name__
            raise ValueError(f"{asked}: {name} cannot be told; use renderer=newton_renderer or 0")
        model, n = renderer.backend.model, env.num_envs
        self._shadows = renderer.cfg.enable_shadows
        self._colors = wp.to_torch(model.shape_color)
        world = wp.to_torch(model.shape_world)
        self._shapes = torch.stack([(world == i).nonzero().squeeze(1) for i in range(n)])
        self._nominal = self._colors[self._shapes].clone()
        labels = [str(model.shape_label[shape]) for shape in self._shapes[0].tolist()]
        self._free = torch.tensor([KEPT not in label for label in labels], device=self._colors.device)

    def get(self) -> Tensor:
        """Colours in force (N, K, 3), sRGB in 0..1."""
        return self._colors[self._shapes].clone()

    def put(self, colors: Tensor, env_ids: Tensor) -> None:
        """Put colours (n, K, 3) in force in some worlds."""
        self._colors[self._shapes[env_ids]] = colors.to(self._colors)

    def mix(self, env_ids: Tensor, share: float | Tensor, light: Tensor, generator: torch.Generator) -> None:
        """Mix random colours into the nominal ones of some worlds.

        Args:
            env_ids: Worlds (n,).
            share: How much of the random colour, in all or in each (n,); 0 keeps the own one.
            light: Brightness of each world's light as a factor (n,).
            generator: Source of chance.
        """
        colors = self._nominal[env_ids]
        if isinstance(share, Tensor) or share:
            drawn = torch.rand(colors.shape, generator=generator, device=generator.device).to(colors)
            mixed = torch.lerp(colors, drawn, torch.as_tensor(share).to(colors).view(-1, 1, 1))
            colors = torch.where(self._free.view(1, -1, 1), mixed, colors)
        linear = colors.pow(2.2) * light.to(colors).view(-1, 1, 1)
        self.put(linear.clamp(0.0, 1.0).pow(1 / 2.2), env_ids)

    def turn_light(self, yaw: float, pitch: float) -> None:
        """Turn the scene's light.

        Args:
            yaw: About the vertical [rad].
            pitch: Towards the horizon, below 0 towards straight down [rad].
        """
        x, y, z = LIGHT
        azimuth, height = math.atan2(y, x) + yaw, math.atan2(z, math.hypot(x, y)) + pitch
        height = min(max(height, -math.pi / 2), -0.1)
        flat = math.cos(height)
        direction = wp.vec3f(flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(height))
        self._sensor.utils.create_default_light(enable_shadows=self._shadows, direction=direction)
