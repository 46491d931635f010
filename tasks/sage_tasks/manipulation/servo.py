"""What the scripted experts share: actions that bring the hand to a pose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from isaaclab.utils.math import axis_angle_from_quat, quat_conjugate, quat_mul, quat_unique
from torch import Tensor

if TYPE_CHECKING:
    from .manipulation_env import ManipulationEnv

GAIN = 0.3
"""Share of the way that is left to go in one step: the arm lags behind its targets by about two."""


class Servo:
    """Turns poses wanted of the hand into actions.

    Args:
        env: A manipulation environment with ``control="hand"``; only its config and time step are used.

    Raises:
        ValueError: The environment takes joint motions.
    """

    def __init__(self, env: ManipulationEnv) -> None:
        if env.cfg.control != "hand":
            raise ValueError(f"policy=expert: acts with control=hand, not control={env.cfg.control}; use control=hand")
        self._step, self._turn = env.cfg.hand_speed * env.step_dt, env.cfg.hand_turn * env.step_dt

    def towards(self, pose: Tensor, position: Tensor, yaw: Tensor, grip: Tensor, speed: float = 1.0) -> Tensor:
        """Actions that bring the hand, pointing down, to a place.

        Args:
            pose: Pose of the point between the pads (N, 7).
            position: Where it shall be (N, 3) [m].
            yaw: How the hand shall be turned about the vertical (N,) [rad].
            grip: The gripper, from closed (-1) to open (1) (N,).
            speed: Largest share of the full speed to use.

        Returns:
            Actions (N, 7) in -1..1.
        """
        way = GAIN * (position - pose[:, :3]) / self._step
        way = way * (speed / way.norm(dim=1, keepdim=True).clamp(min=1e-9)).clamp(max=1.0)
        turn = quat_unique(quat_mul(pointing_down(yaw), quat_conjugate(pose[:, 3:].contiguous())))
        turn = GAIN * axis_angle_from_quat(turn) / self._turn
        turn = turn * (1.0 / turn.norm(dim=1, keepdim=True).clamp(min=1e-9)).clamp(max=1.0)
        return torch.cat([way, turn, grip.unsqueeze(1)], dim=1).clamp(-1.0, 1.0)


def pointing_down(yaw: Tensor) -> Tensor:
    """Orientations xyzw (N, 4) of a hand that points down; its fingers open along y, turned by ``yaw`` (N,) [rad]."""
    zero = torch.zeros_like(yaw)
    # A half turn about x, then the turn about the vertical.
    return torch.stack([(0.5 * yaw).cos(), (0.5 * yaw).sin(), zero, zero], dim=1)


def hand_yaw(quat: Tensor) -> Tensor:
    """The inverse of :func:`pointing_down`, for hands that lean a little (N, 4) -> (N,) [rad]."""
    return 2.0 * torch.atan2(quat[:, 1], quat[:, 0])


def yaw_of(quat: Tensor) -> Tensor:
    """Turn about the vertical of upright bodies (...,) [rad]."""
    x, y, z, w = quat.unbind(dim=-1)
    return torch.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
