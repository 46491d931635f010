"""Domain randomisation: what differs from world to world and from episode to episode.

Physics, colours, light and camera are drawn anew at each reset (J. Tobin et al., "Domain Randomization for Transferring
Deep Neural Networks from Simulation to the Real World", IROS 2017; X. B. Peng et al., "Sim-to-Real Transfer of Robotic
Control with Dynamics Randomization", ICRA 2018).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from isaaclab.utils import configclass
from torch import Tensor

from .palette import Palette
from .physics import FRICTION, KNOBS, SIZE

if TYPE_CHECKING:
    from .sage_env import SageEnv

Range = tuple[float, float]
SAME: Range = (1.0, 1.0)


@configclass
class RandomisationCfg:
    """Ranges; what is left as it is draws nothing, so that it moves nothing else that is drawn."""

    gravity_scale: Range = SAME
    """Factor on the nominal gravity."""
    static_friction_scale: Range = SAME
    dynamic_friction_scale: Range = SAME
    """Both frictions of a world lie at the same place of their ranges."""
    restitution_scale: Range = SAME
    mass_scale: Range = SAME
    strength_scale: Range = SAME
    size_scale: Range = SAME
    """Of the loose objects; one of those sizes within the range that the scene was made with."""
    yaw_deg: float = 0.0
    """The camera is turned by up to this, either way."""
    pitch_deg: float = 0.0
    shift_m: float = 0.0
    """And moved by up to this, each way."""
    color: float = 0.0
    """Share of a random colour mixed into that of each shape."""
    light: Range = SAME
    """Brightness, as a factor."""
    light_turn_deg: float = 0.0
    """The light's direction is turned by up to this; one for all worlds, drawn when all begin anew together."""


class Randomiser:
    """Draws from :attr:`SageEnv.generator`.

    Args:
        env: The environment, its physics control made.

    Raises:
        ValueError: A range that the engine or the renderer cannot follow.
    """

    def __init__(self, env: SageEnv) -> None:
        self._env, self._cfg = env, env.cfg.randomisation
        ranges: dict[str, Range] = {name: getattr(self._cfg, name) for name in KNOBS if hasattr(self._cfg, name)}
        self._ranges = {name: span for name, span in ranges.items() if tuple(span) != SAME}
        for name, span in self._ranges.items():
            env.physics.check(name, self._sizes(span) if name == SIZE else span)
        cfg = self._cfg
        colored = bool(cfg.color) or tuple(cfg.light) != SAME or bool(cfg.light_turn_deg)
        self.palette = Palette(env) if colored else None
        """Colours, where they are drawn."""

    def _uniform(self, low: float, high: float, *shape: int) -> Tensor:
        device = self._env.device
        return low + (high - low) * torch.rand(*shape, generator=self._env.generator, device=device)

    def _sizes(self, span: Range) -> list[float]:
        """Sizes within a range.

        Raises:
            ValueError: There is none.
        """
        sizes = self._env.physics.object_sizes
        inside = [size for size in sizes if span[0] <= size <= span[1]]
        if not inside:
            raise ValueError(
                f"randomisation.{SIZE}={list(span)}: holds none of the sizes {list(sizes)} that objects have"
            )
        return inside

    def _one_of(self, choices: list[float], n: int) -> Tensor:
        place = self._uniform(0.0, len(choices), n).long().clamp(max=len(choices) - 1)
        return torch.tensor(choices, device=self._env.device)[place]

    def draw(self, env_ids: Tensor) -> None:
        """Draw anew for some worlds (n,), whose physics and camera are nominal now."""
        env, cfg, n = self._env, self._cfg, len(env_ids)
        values = {}
        if tuple(cfg.gravity_scale) != SAME:
            values["gravity"] = env.physics.nominal_gravity[env_ids] * self._uniform(*cfg.gravity_scale, n, 1)
        if any(name in self._ranges for name in FRICTION):
            place = self._uniform(0.0, 1.0, n)
            for name in FRICTION:
                low, high = getattr(cfg, name)
                values |= {name: low + (high - low) * place} if name in self._ranges else {}
        for name, span in self._ranges.items():
            if name not in FRICTION:
                values[name] = self._one_of(self._sizes(span), n) if name == SIZE else self._uniform(*span, n)
        env.physics.put(values, env_ids)
        if cfg.yaw_deg or cfg.pitch_deg or cfg.shift_m:
            reach = [math.radians(cfg.yaw_deg), math.radians(cfg.pitch_deg), *[cfg.shift_m] * 3]
            env.viewpoint[env_ids] = torch.tensor(reach, device=env.device) * self._uniform(-1.0, 1.0, n, 5)
        if self.palette is not None:
            same = tuple(cfg.light) == SAME
            light = torch.ones(n) if same else self._uniform(*cfg.light, n)
            self.palette.mix(env_ids, cfg.color, light, env.generator)
            if cfg.light_turn_deg and n == env.num_envs:
                turn = math.radians(cfg.light_turn_deg)
                self.palette.turn_light(*self._uniform(-turn, turn, 2).tolist())
