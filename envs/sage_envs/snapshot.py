"""Snapshots: a moment of chosen worlds as a flat row of numbers, and back.

A row holds poses relative to the world's origin, velocities, joints, physics in force, what the
ears still hear and the task's own state. It does not hold the solver's contact caches: compare a
re-lived branch with a branch that was restored as well (``docs/physics.md`` has the figures).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .physics import SIZE

if TYPE_CHECKING:
    from .sage_env import SageEnv


def _parts(env: SageEnv) -> Iterator[tuple[str, Tensor]]:
    """Name and value (N, k) of everything a snapshot holds, in order."""
    origins = torch.nn.functional.pad(env.scene.env_origins, (0, 4))
    yield "robot.pose", env.robot.data.root_link_pose_w.torch - origins
    yield "robot.velocity", env.robot.data.root_com_vel_w.torch
    yield "robot.joint_position", env.robot.data.joint_pos.torch
    yield "robot.joint_velocity", env.robot.data.joint_vel.torch
    yield "objects.pose", (env.loose.data.body_link_pose_w.torch - origins.unsqueeze(1)).flatten(1)
    yield "objects.velocity", env.loose.data.body_com_vel_w.torch.flatten(1)
    for name in env.physics.per_world:
        yield name, env.physics.get(name).view(env.num_envs, -1)
    if len(env.sizes.options) > 1:
        yield "object_scale", env.sizes.scale
    yield "viewpoint", env.viewpoint
    if env.randomiser.palette is not None:
        yield "colors", env.randomiser.palette.get().flatten(1)
    yield "last_action", env.last_action
    for name, value in env.sense_state().items():
        yield f"senses.{name}", value
    for name, value in env.task_state().items():
        yield f"task.{name}", value


def layout(env: SageEnv) -> dict[str, slice]:
    """Where each named part lies in a row. Worked out once: it stays as it is as long as the environment lives."""
    if env.snapshot_layout is None:
        where, start = {}, 0
        for name, value in _parts(env):
            where[name] = slice(start, start + value.shape[1])
            start += value.shape[1]
        env.snapshot_layout = where
    return env.snapshot_layout


def take(env: SageEnv, env_ids: Tensor | None = None) -> Tensor:
    """Remember the present moment of some worlds.

    Args:
        env: The environment.
        env_ids: Worlds (n,); all when None.

    Returns:
        Rows (n, S), float32.
    """
    rows = torch.cat([value.float() for _, value in _parts(env)], dim=1)
    return rows if env_ids is None else rows[torch.as_tensor(env_ids, device=rows.device).long()]


def check(env: SageEnv, rows: Tensor, n: int) -> None:
    """Refuse what is no snapshot of this task.

    Raises:
        ValueError: Rows of another task or another number of them than n, or not finite.
    """
    width = max(part.stop for part in layout(env).values())
    if tuple(rows.shape) != (n, width):
        raise ValueError(f"snapshot.shape={tuple(rows.shape)}: must be ({n}, {width}); use snapshots of this task")
    if not bool(torch.isfinite(rows).all()):
        raise ValueError("snapshot: holds numbers that are not finite; take it from a memory that is not damaged")


def place(env: SageEnv, rows: Tensor, env_ids: Tensor) -> None:
    """Put everything where it was in remembered moments, to be looked at and no more: nothing moves, sounds or is felt.

    Args:
        env: The environment.
        rows: Snapshots (n, S) of this task.
        env_ids: Worlds (n,).
    """
    where, index, origins = layout(env), env_ids.int(), env.scene.env_origins[env_ids]
    _resize(env, rows, env_ids, where)
    # Copies: a slice may share its numbers with the caller's rows.
    pose = rows[:, where["robot.pose"]].clone()
    pose[:, :3] += origins
    env.robot.write_root_pose_to_sim_index(root_pose=pose, env_ids=index)
    joints = rows[:, where["robot.joint_position"]].contiguous()
    env.robot.write_joint_position_to_sim_index(position=joints, env_ids=index)
    poses = rows[:, where["objects.pose"]].clone().view(len(rows), -1, 7)
    poses[..., :3] += origins.unsqueeze(1)
    env.loose.write_body_link_pose_to_sim_index(body_poses=poses, env_ids=index)
    env.set_task_state(env_ids, {k[5:]: rows[:, where[k]].clone() for k in where if k.startswith("task.")})
    _paint(env, rows, env_ids, where)


def _resize(env: SageEnv, rows: Tensor, env_ids: Tensor, where: dict[str, slice]) -> None:
    """Sizes as they were; before poses are written, which they move."""
    if "object_scale" in where:
        env.physics.put({SIZE: rows[:, where[SIZE]].squeeze(1)}, env_ids)
        env.physics.set_object_sizes(rows[:, where["object_scale"]], env_ids)


def _paint(env: SageEnv, rows: Tensor, env_ids: Tensor, where: dict[str, slice]) -> None:
    """Cameras and colours as they were."""
    env.viewpoint[env_ids] = rows[:, where["viewpoint"]]
    if env.randomiser.palette is not None:
        env.randomiser.palette.put(rows[:, where["colors"]].view(len(rows), -1, 3), env_ids)


def restore(env: SageEnv, rows: Tensor, env_ids: Tensor | None = None) -> None:
    """Put remembered moments back into some worlds.

    Args:
        env: The environment; other worlds keep their state.
        rows: Snapshots (n, S) of this task.
        env_ids: Worlds (n,); all when None.

    Raises:
        ValueError: Rows of another task or another number of worlds, or not finite.
    """
    where = layout(env)
    n = env.num_envs if env_ids is None else len(env_ids)
    check(env, rows, n)
    rows = rows.to(env.device).float()
    ids = torch.arange(n, device=env.device) if env_ids is None else torch.as_tensor(env_ids, device=env.device).long()
    index, origins = ids.int(), env.scene.env_origins[ids]
    _resize(env, rows, ids, where)

    def part(name: str) -> Tensor:
        return rows[:, where[name]].clone()

    pose = part("robot.pose")
    pose[:, :3] += origins
    env.robot.write_root_pose_to_sim_index(root_pose=pose, env_ids=index)
    env.robot.write_root_velocity_to_sim_index(root_velocity=part("robot.velocity"), env_ids=index)
    env.robot.write_joint_position_to_sim_index(position=part("robot.joint_position"), env_ids=index)
    env.robot.write_joint_velocity_to_sim_index(velocity=part("robot.joint_velocity"), env_ids=index)
    poses = part("objects.pose").view(n, -1, 7)
    poses[..., :3] += origins.unsqueeze(1)
    velocities = part("objects.velocity").view(n, -1, 6)
    env.loose.write_body_link_pose_to_sim_index(body_poses=poses, env_ids=index)
    env.loose.write_body_com_velocity_to_sim_index(body_velocities=velocities, env_ids=index)
    env.physics.put({name: part(name).squeeze(1) for name in env.physics.per_world}, ids)
    _paint(env, rows, ids, where)
    env.last_action[ids] = part("last_action")
    env.command(env.last_action)
    env.set_task_state(ids, {k[5:]: part(k) for k in where if k.startswith("task.")})
    env.set_sense_state(ids, {k[7:]: part(k) for k in where if k.startswith("senses.")})
