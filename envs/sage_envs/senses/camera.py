"""Where the camera is: on the robot, turned and moved per world when a viewpoint is asked for."""

from __future__ import annotations

import torch
from isaaclab.utils.math import quat_apply, quat_mul
from torch import Tensor

VIEWPOINT_WIDTH = 5
"""Yaw and pitch [rad], then a shift forward, left and up [m]."""

TO_OPENGL = (0.5, -0.5, -0.5, 0.5)
"""Quaternion xyzw that turns Isaac Lab's world convention (x forward, z up) into OpenGL's (-z forward, y up)."""


def camera_pose(pose: Tensor, mount: Tensor, tilt: float, viewpoint: Tensor) -> tuple[Tensor, Tensor]:
    """Pose of the cameras in Isaac Lab's world convention (x forward, z up).

    Args:
        pose: Pose of the robots' bodies (N, 7), position [m] and quaternion xyzw.
        mount: Position of the camera on the body (3,) [m].
        tilt: How far the camera looks down [rad].
        viewpoint: Turn and shift of each world's camera (N, 5), see :data:`VIEWPOINT_WIDTH`.

    Returns:
        Positions (N, 3) and quaternions xyzw (N, 4).
    """
    quat = pose[:, 3:].contiguous()
    position = pose[:, :3] + quat_apply(quat, (mount + viewpoint[:, 2:]).contiguous())
    (yaw_sin, yaw_cos), (pitch_sin, pitch_cos) = _halves(viewpoint[:, 0]), _halves(tilt + viewpoint[:, 1])
    turn = torch.stack([-yaw_sin * pitch_sin, yaw_cos * pitch_sin, yaw_sin * pitch_cos, yaw_cos * pitch_cos], dim=1)
    return position, quat_mul(quat, turn)


def _halves(angle: Tensor) -> tuple[Tensor, Tensor]:
    """Sine and cosine of half an angle [rad]."""
    half = 0.5 * angle
    return half.sin(), half.cos()
