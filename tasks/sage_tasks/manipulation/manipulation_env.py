"""What the manipulation tasks have in common: the arm, its senses, the table and what lies on it."""

from __future__ import annotations

import math

import gymnasium as gym
import torch
from isaaclab.utils.math import quat_from_euler_xyz
from torch import Tensor

from sage_envs.rearrange import Ground
from sage_envs.sage_env import SageEnv
from sage_envs.scene_description import POSITION, Follow
from sage_envs.senses.camera import camera_pose
from sage_envs.senses.pads import Pad, PadTouch
from sage_envs.table import FINGERS, HAND, OBJECTS, OPEN, READY

from ..navigation.placement import outlines, scatter
from .arm import CONTROLS, Arm
from .manipulation_env_cfg import ManipulationEnvCfg

PAD = Pad(low=(-0.00875, 0.036), high=(0.00875, 0.0545))
LOST = -0.05
"""An object whose centre is lower than this has fallen off the table [m]."""


class ManipulationEnv(SageEnv):
    """A robot arm at a table.

    An episode is a success once its goal was reached, and goes on until its time is up or the object it is about has
    fallen off the table.

    Attributes:
        arm: The arm and its gripper.
        goal: Where something shall be, in the worlds' frames (N, 3) [m].
        chosen: Index of the object that the episode is about (N,).
        succeeded: Whether the goal was reached in this episode (N,) bool.
    """

    cfg: ManipulationEnvCfg
    touch: PadTouch
    objects = OBJECTS
    camera_link = "panda_link0"
    imu_link = HAND
    shell, shell_size = "plastic", 0.05
    drives = ("joint_position", "joint_velocity", "joint_torque")
    time_odd = ("joint_velocity", "hand_linear_velocity", "hand_angular_velocity", "imu_angular_velocity")

    def _setup(self) -> None:
        n, device = self.num_envs, self.device
        self.cfg.action_space = gym.spaces.Box(-1.0, 1.0, (self.action_width,))
        # What stands still need not be read back after each physics step.
        self._marker = self.scene.rigid_objects.pop("goal", None)
        self.goal = torch.zeros(n, 3, device=device)
        self.chosen = torch.zeros(n, dtype=torch.long, device=device)
        self.succeeded = torch.zeros(n, dtype=torch.bool, device=device)
        self._each = torch.arange(n, device=device)
        yaw = torch.tensor([self.cfg.camera_yaw], device=device)
        self._facing = quat_from_euler_xyz(torch.zeros_like(yaw), torch.zeros_like(yaw), yaw)
        self.robot = self.scene["robot"]
        self.arm = Arm(self)
        super()._setup()

    @property
    def action_width(self) -> int:
        """Hand or joint motion, then the gripper."""
        return CONTROLS[self.cfg.control]

    def make_touch(self) -> PadTouch:
        """The pads on the fingertips."""
        return PadTouch(self, FINGERS, PAD)

    def _write_action(self) -> None:
        self.arm.command(self.last_action)

    def _apply_action(self) -> None:
        super()._apply_action()
        self.arm.ticked()

    # -- camera and ears, which stand beside the robot -----------------------------------------

    def _stand(self) -> Tensor:
        """Pose of what carries the camera (N, 7)."""
        pose = self.robot.data.body_link_pose_w.torch[:, self._camera_body].clone()
        pose[:, :3] += self._mount
        pose[:, 3:] = self._facing
        return pose

    def camera_pose(self) -> tuple[Tensor, Tensor]:
        """See :meth:`SageEnv.camera_pose`."""
        return camera_pose(self._stand(), torch.zeros_like(self._mount), self.cfg.camera_tilt, self.viewpoint)

    def head_pose(self) -> tuple[Tensor, Tensor]:
        """See :meth:`SageEnv.head_pose`."""
        pose = self._stand()
        return pose[:, :3], pose[:, 3:].contiguous()

    # -- what is told ----------------------------------------------------------------------

    def object_pose(self) -> Tensor:
        """Poses of the loose objects in their worlds' frames (N, B, 7)."""
        poses = self.loose.data.body_link_pose_w.torch.clone()
        poses[..., :3] -= self.scene.env_origins.unsqueeze(1)
        return poses

    def chosen_position(self) -> Tensor:
        """Where the object is that the episode is about (N, 3) [m]."""
        return self._of_chosen(self.loose.data.body_link_pos_w.torch) - self.scene.env_origins

    def chosen_velocity(self) -> Tensor:
        """Its linear and angular velocity (N, 6)."""
        return self._of_chosen(self.loose.data.body_com_vel_w.torch)

    def sought(self) -> Tensor:
        """From the pads to the object that the episode is about."""
        return self.chosen_position() - self.arm.pads_pose()[:, :3]

    def meant(self) -> Tensor:
        """That object."""
        return self.chosen

    def _of_chosen(self, values: Tensor) -> Tensor:
        return values[self._each, self.chosen]

    def _which(self) -> Tensor:
        """The chosen object as one of all (N, B)."""
        return torch.nn.functional.one_hot(self.chosen, len(OBJECTS)).float()

    def _proprioception(self) -> dict[str, Tensor]:
        data, velocity = self.robot.data, self.arm.pads_velocity()
        return {
            "joint_position": data.joint_pos.torch,
            "joint_velocity": data.joint_vel.torch,
            "joint_torque": data.applied_torque.torch,
            "hand_pose": self.arm.pads_pose(),
            "hand_linear_velocity": velocity[:, :3],
            "hand_angular_velocity": velocity[:, 3:],
            **self.imu(),
            **self._instruction(),
            "last_action": self.last_action,
        }

    def _instruction(self) -> dict[str, Tensor]:
        """What the robot is told to do: at most 10 numbers."""
        return {"goal_position": self.goal, "goal_object": self._which()}

    def _critic(self) -> dict[str, Tensor]:
        data = self.robot.data
        return {
            "joint_position": data.joint_pos.torch.clone(),
            "joint_velocity": data.joint_vel.torch.clone(),
            "hand_pose": self.arm.pads_pose(),
            "hand_velocity": self.arm.pads_velocity(),
            "goal_position": self.goal.clone(),
            "goal_object": self._which(),
            "object_pose": self.object_pose(),
            "object_velocity": self.loose.data.body_com_vel_w.torch.clone(),
            "object_contact_force": self.scene["object_contacts"].data.net_normal_forces_w.torch.clone(),
            "object_size": self.sizes.edges,
            "object_mass": self.loose.data.body_mass.torch.reshape(self.num_envs, -1).to(self.device, copy=True),
            "object_friction": self.physics.friction["objects"].to(self.device),
            "pad_force": self.touch.forces(1)[:, 0],
            "gravity": self.physics.gravity,
            "friction_scale": self.physics.friction_scale.unsqueeze(1),
        }

    def ground(self, rows: Tensor) -> Ground:
        """The part of the table where objects are put."""
        nothing = torch.zeros(len(rows), 0, 2, device=self.device)
        return Ground(*self.cfg.area, nothing, nothing[..., 0])

    def followed(self) -> dict[str, list[Follow]]:
        """See :meth:`SageEnv.followed`."""
        joints = {name: [Follow("joint_position", i)] for i, name in enumerate(self.robot.joint_names)}
        return super().followed() | joints | {"goal": [Follow("goal_position", 0, POSITION)]}

    def task_state(self) -> dict[str, Tensor]:
        """Goal, joint targets and progress."""
        progress = [self.chosen, self.succeeded, self.episode_length_buf]
        return {
            "goal": self.goal,
            "targets": self.arm.target,
            "progress": torch.stack([p.float() for p in progress], 1),
        }

    def set_task_state(self, env_ids: Tensor, state: dict[str, Tensor]) -> None:
        """Inverse of :meth:`task_state`."""
        chosen, succeeded, length = state["progress"].unbind(dim=1)
        self.chosen[env_ids], self.succeeded[env_ids] = chosen.long(), succeeded > 0.5
        self.episode_length_buf[env_ids] = length.long()
        self.arm.set_target(state["targets"], env_ids)
        self._put_goal(env_ids, state["goal"])

    def _put_goal(self, ids: Tensor, goal: Tensor) -> None:
        self.goal[ids] = goal
        if self._marker is None:
            return
        pose = torch.zeros(len(ids), 7, device=self.device)
        pose[:, :3], pose[:, 6] = goal + self.scene.env_origins[ids], 1.0
        self._marker.write_root_pose_to_sim_index(root_pose=pose, env_ids=ids.int())

    # -- ends and resets -------------------------------------------------------------------

    def _get_dones(self) -> tuple[Tensor, Tensor]:
        lost = self.chosen_position()[:, 2] < LOST
        broken = ~torch.isfinite(self.robot.data.joint_pos.torch).all(dim=1)
        broken |= ~torch.isfinite(self.loose.data.body_link_pose_w.torch).flatten(1).all(dim=1)
        return lost | broken, self.episode_length_buf >= self.max_episode_length

    def _succeed(self, reached: Tensor) -> Tensor:
        """Note which worlds reach their goals; those for which it is the first time (N,) bool."""
        first = reached & ~self.succeeded
        self.succeeded |= reached
        self.extras["log"] = {"success": self.succeeded.float().mean()}
        self.extras["success"] = self.succeeded.clone()
        return first

    def _reset_task(self, env_ids: Tensor) -> None:
        n = len(env_ids)
        joints = torch.tensor([*READY, OPEN, OPEN], device=self.device).repeat(n, 1)
        joints[:, len(READY) - 1] += self.cfg.wrist
        joints[:, : len(READY)] += self.cfg.joint_noise * self._uniform(n, len(READY))
        self.arm.place(joints, env_ids)
        self.succeeded[env_ids] = False
        self._place_objects(env_ids, self._draw_places(env_ids))

    def _draw_places(self, env_ids: Tensor) -> Tensor:
        """Places of the objects on the table (n, B, 2) [m]."""
        return self._scatter(torch.zeros(len(env_ids), 0, 2, device=self.device), torch.zeros(0), env_ids)

    def _scatter(self, taken: Tensor, taken_radii: Tensor, env_ids: Tensor) -> Tensor:
        """Places of the objects (n, B, 2) in the area, clear of places taken already (n, T, 2) [m]."""
        radii = outlines([], OBJECTS, self.sizes.scale[env_ids])
        (x0, x1), (y0, y1) = self.cfg.area
        middle = torch.tensor([(x0 + x1) / 2, (y0 + y1) / 2], device=self.device)
        half = (x1 - x0) / 2, (y1 - y0) / 2
        places = scatter(taken - middle, taken_radii, radii, half, self.cfg.clearance, self.generator)
        return places + middle

    def _place_objects(self, ids: Tensor, places: Tensor) -> None:
        """Put the objects down at rest, turned at random."""
        n, many = len(ids), len(OBJECTS)
        poses = torch.zeros(n, many, 7, device=self.device)
        poses[..., :2], poses[..., 2] = places, self.sizes.edges[ids, :, 2] / 2 + 0.001
        half = 0.5 * math.pi * self._uniform(n, many)
        poses[..., 5], poses[..., 6] = half.sin(), half.cos()
        poses[..., :3] += self.scene.env_origins[ids].unsqueeze(1)
        self.loose.write_body_link_pose_to_sim_index(body_poses=poses, env_ids=ids.int())
        still = torch.zeros(n, many, 6, device=self.device)
        self.loose.write_body_com_velocity_to_sim_index(body_velocities=still, env_ids=ids.int())

    def _uniform(self, *shape: int) -> Tensor:
        """Numbers in -1..1."""
        return 2.0 * torch.rand(*shape, generator=self.generator, device=self.device) - 1.0
