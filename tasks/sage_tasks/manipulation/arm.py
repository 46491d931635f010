"""Control of the arm: actions become joint targets that stay where they are when nothing is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from isaaclab.controllers import DifferentialIKController, DifferentialIKControllerCfg
from isaaclab.utils.math import quat_apply
from torch import Tensor

from sage_envs.table import ARM_JOINTS, FINGER_JOINTS, HAND, OPEN, PAD_HEIGHT

if TYPE_CHECKING:
    from .manipulation_env import ManipulationEnv

CONTROLS = {"hand": 7, "joints": 8}
"""Kinds of control, and how many numbers their actions have."""
LEASH = 0.15
"""How far joint targets may run ahead of the joints, so that an arm that is blocked does not wind up [rad]."""


class Arm:
    """The arm and gripper of all worlds.

    Each action moves the *targets* of the joints, not the joints as measured: under its weight an arm hangs a little
    below its targets, and targets taken from there would sink at every step.

    Args:
        env: The environment, its simulation started.

    Attributes:
        target: Joint targets in force, arm then fingers (N, 9) [rad, m].
    """

    def __init__(self, env: ManipulationEnv) -> None:
        cfg, robot, device = env.cfg, env.robot, env.device
        if cfg.control not in CONTROLS:
            raise ValueError(f"control={cfg.control}: unknown; use one of {', '.join(CONTROLS)}")
        self._env, self._robot = env, robot
        self._joints = [robot.joint_names.index(name) for name in (*ARM_JOINTS, *FINGER_JOINTS)]
        self._arm = self._joints[: len(ARM_JOINTS)]
        self._hand = robot.body_names.index(HAND)
        ik = DifferentialIKControllerCfg(command_type="pose", use_relative_mode=True, ik_method="dls")
        self._ik = DifferentialIKController(ik, env.num_envs, device)
        self._limits = robot.data.joint_pos_limits.torch[:, self._arm]
        scale = [cfg.hand_speed] * 3 + [cfg.hand_turn] * 3 if cfg.control == "hand" else [cfg.joint_speed] * 7
        self._scale = torch.tensor(scale, device=device) * env.step_dt
        self._fastest = cfg.joint_speed * env.step_dt
        self._offset = torch.tensor([0.0, 0.0, PAD_HEIGHT], device=device).expand(env.num_envs, 3).contiguous()
        self.target = robot.data.joint_pos.torch[:, self._joints].clone()
        self._base = self.target.clone()
        self._moved = False

    def pads_pose(self) -> Tensor:
        """Pose of the point between the pads in its world's frame (N, 7), z out of the hand."""
        pose = self._robot.data.body_link_pose_w.torch[:, self._hand].clone()
        pose[:, :3] += quat_apply(pose[:, 3:].contiguous(), self._offset) - self._env.scene.env_origins
        return pose

    def pads_velocity(self) -> Tensor:
        """Linear and angular velocity of that point (N, 6)."""
        data = self._robot.data
        velocity = data.body_link_vel_w.torch[:, self._hand].clone()
        lever = quat_apply(data.body_link_pose_w.torch[:, self._hand, 3:].contiguous(), self._offset)
        velocity[:, :3] += torch.linalg.cross(velocity[:, 3:], lever)
        return velocity

    def ticked(self) -> None:
        """Physics stepped: the next command goes on from the targets in force."""
        self._moved = True

    def command(self, action: Tensor) -> None:
        """Move the targets; commands with no physics step between replace one another.

        Args:
            action: (N, 7) hand motion and gripper, or (N, 8) joint motion and gripper, in -1..1.
        """
        if self._moved:
            self._base, self._moved = self.target.clone(), False
        joints = self._robot.data.joint_pos.torch[:, self._arm]
        step = action[:, :-1] * self._scale
        if self._env.cfg.control == "hand":
            step = self._hand_step(step, joints)
        # A step that is too fast for one joint is slowed down as a whole: the hand keeps its direction.
        step = step * (self._fastest / step.abs().amax(dim=1, keepdim=True).clamp(min=1e-9)).clamp(max=1.0)
        target = self._base[:, : len(ARM_JOINTS)] + step
        target = torch.minimum(torch.maximum(target, joints - LEASH), joints + LEASH)
        target = torch.minimum(torch.maximum(target, self._limits[..., 0]), self._limits[..., 1])
        grip = 0.5 * OPEN * (action[:, -1:] + 1.0)
        self.target = torch.cat([target, grip, grip], dim=1)
        self._write(torch.nn.functional.pad(target - self._base[:, : len(ARM_JOINTS)], (0, 2)) / self._env.step_dt)

    def _hand_step(self, step: Tensor, joints: Tensor) -> Tensor:
        """Change of the arm's joints (N, 7) that moves the point between the pads by a step (N, 6)."""
        pose = self.pads_pose()
        position, quat = pose[:, :3], pose[:, 3:].contiguous()
        # The first row is that of the first body that moves.
        jacobian = self._robot.data.body_link_jacobian_w.torch[:, self._hand - 1][..., self._arm].clone()
        lever = quat_apply(quat, self._offset).unsqueeze(-1)
        jacobian[:, :3] += torch.linalg.cross(jacobian[:, 3:], lever.expand(-1, -1, len(self._arm)), dim=1)
        self._ik.set_command(step, position, quat)
        return self._ik.compute(position, quat, jacobian, joints) - joints

    def _write(self, velocity: Tensor) -> None:
        command = self._robot.actuators.target_command
        command.set_position_index(value=self.target, joint_ids=self._joints)
        # Told how fast their targets move, the joints do not lag behind them.
        command.set_velocity_index(value=velocity, joint_ids=self._joints)

    def set_target(self, target: Tensor, env_ids: Tensor) -> None:
        """Put joint targets (n, 9) in force in some worlds."""
        self.target[env_ids] = target
        self._base[env_ids] = target
        self._write(torch.zeros_like(self.target))

    def place(self, joints: Tensor, env_ids: Tensor) -> None:
        """Put the joints (n, 9) of some worlds at rest somewhere."""
        ids = env_ids.int()
        ordered = torch.zeros(len(ids), self._robot.num_joints, device=joints.device)
        ordered[:, self._joints] = joints
        self._robot.write_joint_position_to_sim_index(position=ordered, env_ids=ids)
        self._robot.write_joint_velocity_to_sim_index(velocity=torch.zeros_like(ordered), env_ids=ids)
        self.set_target(joints, env_ids)
