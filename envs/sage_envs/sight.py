"""What of the loose objects is in the picture, and where, and where what is sought is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from isaaclab.utils.math import quat_apply_inverse
from torch import Tensor

if TYPE_CHECKING:
    from .sage_env import SageEnv

LARGE = 0.02
"""Radius as a share of the picture's width from which an object counts as seen: 1.3 pixels of 64."""
NEAREST = 0.2
"""Nearer than this to the camera nothing counts as seen [m]."""


class Sight(NamedTuple):
    """The loose objects as the camera has them.

    Attributes:
        position: In the camera's frame (N, B, 3): ahead, left, up [m].
        velocity: Through the world, in the camera's frame (N, B, 3) [m/s].
        pixel: Row and column of the centre (N, B, 2).
        radius: Of the objects as they are shown (N, B) [m].
        distance: From the robot's base (N, B) [m].
        extent: The radius in the picture (N, B) [pixels]; 0 where an object is behind the camera or too near.
        in_frame: Whether the centre is in the picture and the object large enough (N, B) bool; it may be hidden.
        sought: See :meth:`sage_envs.task.Task.sought` (N, 3) [m].
        meant: See :meth:`sage_envs.task.Task.meant` (N,).
    """

    position: Tensor
    velocity: Tensor
    pixel: Tensor
    radius: Tensor
    distance: Tensor
    extent: Tensor
    in_frame: Tensor
    sought: Tensor
    meant: Tensor


def sight(env: SageEnv) -> Sight:
    """The loose objects as the cameras have them now, without looking."""
    centre = env.loose.data.body_link_pos_w.torch
    offset, turn = _in_camera(env, centre)
    velocity = quat_apply_inverse(turn, env.loose.data.body_com_vel_w.torch[..., :3].contiguous())
    pixel, inside = _project(env, offset)
    radius, ahead = env.sizes.edges[..., 0] / 2 * env.shown_scale(), offset[..., 0]
    share = torch.where(ahead > NEAREST, _zoom(env) * radius / ahead.clamp(min=1e-3), 0.0)
    distance = (centre - env.robot.data.root_link_pose_w.torch[:, None, :3]).norm(dim=-1)
    width = env.scene["camera"].cfg.width
    seen = inside & (share > LARGE)
    return Sight(offset, velocity, pixel, radius, distance, share * width, seen, env.sought(), env.meant())


def in_picture(env: SageEnv, points: Tensor, radius: Tensor | float = torch.inf) -> Tensor:
    """Whether points (n, C, 3) [m], in the frames of the first n worlds, are before their cameras (n, C) bool.

    Args:
        env: The environment.
        points: Where.
        radius: Of what would be there [m]; it has to be large enough to be seen.
    """
    n = len(points)
    offset, _ = _in_camera(env, points + env.scene.env_origins[:n].unsqueeze(1))
    return _project(env, offset)[1] & (_zoom(env) * radius / offset[..., 0].clamp(min=1e-3) > LARGE)


def _in_camera(env: SageEnv, points: Tensor) -> tuple[Tensor, Tensor]:
    """Points (n, C, 3) of the scene in the frames of the first n cameras, and how these are turned (n, C, 4)."""
    n, count = points.shape[:2]
    origin, quat = (part[:n] for part in env.camera_pose())
    turn = quat[:, None].expand(n, count, 4).contiguous()
    return quat_apply_inverse(turn, (points - origin[:, None]).contiguous()), turn


def _zoom(env: SageEnv) -> float:
    """Focal length over the picture's width. From the config: to read any of the camera's data would render."""
    lens = env.scene["camera"].cfg.spawn
    return float(lens.focal_length / lens.horizontal_aperture)


def _project(env: SageEnv, offset: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column (n, C, 2) of points in the cameras' frames (n, C, 3), and whether they are in the picture."""
    camera = env.scene["camera"].cfg
    height, width = camera.height, camera.width
    focal, ahead = _zoom(env) * width, offset[..., 0].clamp(min=1e-3)
    column = width / 2 - focal * offset[..., 1] / ahead
    row = height / 2 - focal * offset[..., 2] / ahead
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (offset[..., 0] > NEAREST)
    return torch.stack([row, column], -1), inside


def objects_in_view(env: SageEnv, seen: Sight) -> Tensor:
    """Whether the centre of each loose object is in the last picture, not hidden and not tiny (N, B) bool.

    Args:
        env: The environment.
        seen: The objects as the cameras had them then.
    """
    depth = env.scene["camera"].data.output["depth"].torch[..., 0]
    height, width = depth.shape[1:]
    world = torch.arange(len(depth), device=depth.device).unsqueeze(1)
    row, column = seen.pixel.long().unbind(-1)
    there = depth[world, row.clamp(0, height - 1), column.clamp(0, width - 1)]
    return seen.in_frame & ((there - seen.position[..., 0]).abs() < 1.5 * seen.radius + 0.02)
