"""The guard: a world whose state is no longer numbers, or that lost a body, ends its episode."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import snapshot

if TYPE_CHECKING:
    from .sage_env import SageEnv

FILES = 10
"""Files written by one environment at most, so that a simulation that keeps breaking does not fill the disk."""
BELOW = -1.0
"""Height under which a body has fallen out of its world [m]."""


class Guard:
    """Looks at every world after each step.

    Args:
        env: The environment, its simulation started.

    Attributes:
        broken: How many worlds were found with numbers that are not finite, so far.
        strayed: How many were found with a body outside :attr:`SageEnvCfg.bounds`.
    """

    def __init__(self, env: SageEnv) -> None:
        self._env, self.broken, self.strayed, self._files = env, 0, 0, 0
        width, depth, height = env.cfg.bounds
        self._low = torch.tensor([-width, -depth, BELOW], device=env.device)
        self._high = torch.tensor([width, depth, height], device=env.device)
        self._before = self._state()

    def _parts(self) -> dict[str, Tensor]:
        robot, loose = self._env.robot.data, self._env.loose.data
        return {
            "robot.pose": robot.root_link_pose_w.torch,
            "robot.velocity": robot.root_com_vel_w.torch,
            "robot.joint_position": robot.joint_pos.torch,
            "robot.joint_velocity": robot.joint_vel.torch,
            "objects.pose": loose.body_link_pose_w.torch.flatten(1),
            "objects.velocity": loose.body_com_vel_w.torch.flatten(1),
        }

    def _state(self) -> Tensor:
        return torch.cat(list(self._parts().values()), dim=1)

    def _outside(self) -> Tensor:
        """Worlds in which a body is outside the room (N,) bool."""
        bodies = self._env.loose.data.body_link_pose_w.torch[..., :3]
        places = torch.cat([self._env.robot.data.root_link_pose_w.torch[:, None, :3], bodies], dim=1)
        places = places - self._env.scene.env_origins.unsqueeze(1)
        return ((places < self._low) | (places > self._high)).flatten(1).any(dim=1)

    def end_lost_worlds(self) -> None:
        """Terminate the episodes of worlds that broke or lost a body; the reset that follows mends them."""
        env, state = self._env, self._state()
        broken = ~torch.isfinite(state).all(dim=1)
        lost = self._outside() | broken
        if bool(lost.any()):
            if bool(broken.any()):
                self._report(broken.nonzero().squeeze(1), state)
                env.reward_buf[broken] = 0.0
            self.broken += int(broken.sum())
            self.strayed += int((lost & ~broken).sum())
            env.reset_terminated |= lost
            env.reset_buf |= lost
        self._before = state

    def _report(self, ids: Tensor, state: Tensor) -> None:
        names = [name for name, part in self._parts().items() if not bool(torch.isfinite(part[ids]).all())]
        worlds = ", ".join(map(str, ids.tolist()))
        text = f"world {worlds}: {', '.join(names)} no longer finite, its episode ends"
        if self._files < FILES:
            self._files += 1
            path = Path(self._env.cfg.faults) / f"step-{self._env.common_step_counter}-{os.getpid()}.safetensors"
            try:
                self._write(path, ids, state)
                text += f"; state saved to {path}"
            except OSError as error:
                text += f"; state not saved ({error.strerror}): make {path.parent} writable"
        warnings.warn(text, RuntimeWarning, stacklevel=2)

    def _write(self, path: Path, ids: Tensor, state: Tensor) -> None:
        from safetensors.torch import save_file

        env = self._env
        layout = {name: [part.start, part.stop] for name, part in snapshot.layout(env).items()}
        start, states = 0, {}
        for name, part in self._parts().items():
            states[name], start = [start, start + part.shape[1]], start + part.shape[1]
        tensors = {
            "worlds": ids,
            "before": self._before[ids],
            "state": state[ids],
            "action": env.last_action[ids],
            "snapshot": env.snapshot(ids),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: tensor.cpu().contiguous() for name, tensor in tensors.items()},
            path,
            metadata={
                "engine": env.physics.engine.name,
                "step": str(env.common_step_counter),
                "state": json.dumps(states),
                "snapshot": json.dumps(layout),
            },
        )
