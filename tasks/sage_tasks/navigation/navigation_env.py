"""``Sage-Navigation``: drive to the goal post, around what stands in the way."""

from __future__ import annotations

import math

import torch
from isaaclab.utils.math import quat_apply, quat_apply_inverse, quat_from_euler_xyz
from sage_envs.room import GOAL_HEIGHT, OBJECTS, OBSTACLES, ROOM_HALF, Thing
from sage_envs.sage_env import SageEnv
from sage_envs.senses.touch import CylinderSkin
from torch import Tensor

from .navigation_env_cfg import NavigationEnvCfg
from .placement import scatter

ROVER_RADIUS = 0.2


class NavigationEnv(SageEnv):
    """A rover in a room.

    A reached goal is drawn anew, so an episode lasts until its time is up unless the rover tips
    over or leaves the room. ``extras["log"]`` and :attr:`goals_reached` tell how many were
    reached; an episode with at least one is a success.
    """

    cfg: NavigationEnvCfg
    skin = CylinderSkin(bottom=0.05, top=0.25)
    objects = OBJECTS

    def _setup(self) -> None:
        self.obstacles = [self.scene[t.name] for t in OBSTACLES]
        self.goal_post = self.scene["goal"]
        self.goal = torch.zeros(self.num_envs, 2, device=self.device)
        self.goals_reached = torch.zeros(self.num_envs, dtype=torch.long, device=self.device)
        self._distance = torch.zeros(self.num_envs, device=self.device)
        self._obstacle_xy = torch.zeros(self.num_envs, len(OBSTACLES), 2, device=self.device)
        super()._setup()

    @property
    def action_width(self) -> int:
        """Left and right wheel."""
        return 2

    def _write_action(self) -> None:
        self.robot.actuators.target_command.set_velocity_index(value=self.last_action * self.cfg.wheel_speed)

    # -- what is told ----------------------------------------------------------------------

    def _pose(self) -> Tensor:
        """Pose of the rover's body in its world's frame (N, 7)."""
        pose = self.robot.data.body_link_pose_w.torch[:, self._skin_body].clone()
        pose[:, :3] -= self.scene.env_origins
        return pose

    def _goal_in_body(self) -> Tensor:
        pose = self._pose()
        offset = torch.cat([self.goal - pose[:, :2], torch.zeros_like(pose[:, :1])], dim=1)
        return quat_apply_inverse(pose[:, 3:].contiguous(), offset)[:, :2]

    def _proprioception(self) -> dict[str, Tensor]:
        data = self.robot.data
        quat = data.body_link_pose_w.torch[:, self._skin_body, 3:].contiguous()
        velocity = data.body_com_vel_w.torch[:, self._skin_body, :3].contiguous()
        angle = data.joint_pos.torch
        return {
            "wheel_angle_sin": angle.sin(),
            "wheel_angle_cos": angle.cos(),
            "wheel_speed": data.joint_vel.torch,
            "wheel_torque": data.applied_torque.torch,
            "base_linear_velocity": quat_apply_inverse(quat, velocity),
            **self.imu(),
            "goal_position": self._goal_in_body(),
            "last_action": self.last_action,
        }

    def _critic(self) -> dict[str, Tensor]:
        origins = self.scene.env_origins.unsqueeze(1)
        poses = torch.stack([o.data.root_link_pose_w.torch for o in self.loose], dim=1).clone()
        poses[..., :3] -= origins
        velocities = torch.stack([o.data.root_com_vel_w.torch for o in self.loose], dim=1)
        forces = self.scene["object_contacts"].data.net_normal_forces_w.torch
        skin = self.skin_forces(1)[:, 0]
        friction = self.physics.friction
        return {
            "robot_pose": self._pose(),
            "robot_velocity": self.robot.data.body_com_vel_w.torch[:, self._skin_body].clone(),
            "goal_position": self.goal.clone(),
            "object_pose": poses,
            "object_velocity": velocities,
            "object_contact_force": forces.clone(),
            "object_mass": torch.stack([o.data.body_mass.torch[:, 0] for o in self.loose], dim=1).to(self.device),
            "object_friction": torch.stack([friction[t.name][:, 0] for t in OBJECTS], dim=1).to(self.device),
            "obstacle_position": self._obstacle_xy.clone(),
            "skin_force": skin,
            "gravity": self.physics.gravity,
            "friction_scale": self.physics.friction_scale.unsqueeze(1),
        }

    def task_state(self) -> dict[str, Tensor]:
        """Goal, obstacles and progress."""
        origins = self.scene.env_origins
        obstacles = {
            t.name: o.data.root_link_pose_w.torch - torch.nn.functional.pad(origins, (0, 4))
            for t, o in zip(OBSTACLES, self.obstacles, strict=True)
        }
        progress = torch.stack([self.goals_reached, self.episode_length_buf], dim=1).float()
        return {"goal": self.goal, "progress": progress, **obstacles}

    def set_task_state(self, env_ids: Tensor, state: dict[str, Tensor]) -> None:
        """Inverse of :meth:`task_state`."""
        for i, (thing, asset) in enumerate(zip(OBSTACLES, self.obstacles, strict=True)):
            pose = state[thing.name].clone()
            self._obstacle_xy[env_ids, i] = pose[:, :2]
            pose[:, :3] += self.scene.env_origins[env_ids]
            asset.write_root_pose_to_sim_index(root_pose=pose, env_ids=env_ids.int())
        self.goals_reached[env_ids] = state["progress"][:, 0].long()
        self.episode_length_buf[env_ids] = state["progress"][:, 1].long()
        self._put_goal(env_ids, state["goal"])

    # -- reward, ends and resets -------------------------------------------------------------

    def _get_dones(self) -> tuple[Tensor, Tensor]:
        pose = self._pose()
        up = quat_apply(pose[:, 3:].contiguous(), torch.tensor([0.0, 0.0, 1.0], device=self.device).expand(len(pose), 3))
        lost = (pose[:, :2].abs() > ROOM_HALF + 0.2).any(dim=1) | ~torch.isfinite(pose).all(dim=1)
        terminated = lost | (up[:, 2] < 0.5)
        return terminated, self.episode_length_buf >= self.max_episode_length

    def _get_rewards(self) -> Tensor:
        distance = (self.goal - self._pose()[:, :2]).norm(dim=1)
        reached = distance < self.cfg.goal_reach
        touch = self.skin_forces(1)[:, 0].norm(dim=-1).sum(dim=1)
        reward = (
            self.cfg.progress_reward * (self._distance - distance)
            + self.cfg.goal_reward * reached
            - self.cfg.action_cost * self.last_action.square().mean(dim=1)
            - self.cfg.touch_cost * touch
        )
        self._distance = distance
        self.goals_reached += reached
        if bool(reached.any()):
            self._draw_goal(reached.nonzero().squeeze(1))
        self.extras["log"] = {"goals_reached": self.goals_reached.float().mean()}
        self.extras["success"] = self.goals_reached > 0
        return reward

    def _draw_goal(self, ids: Tensor) -> None:
        taken = torch.cat([self._obstacle_xy[ids], self._pose()[ids, None, :2]], dim=1)
        radii = torch.tensor([t.radius * (1.42 if t.kind == "box" else 1.0) for t in OBSTACLES] + [0.8])
        place = scatter(taken, radii, torch.tensor([ROVER_RADIUS]), ROOM_HALF, self.cfg.clearance, self.generator)
        self._put_goal(ids, place[:, 0])

    def _put_goal(self, ids: Tensor, goal: Tensor) -> None:
        self.goal[ids] = goal
        self._distance[ids] = (goal - self._pose()[ids, :2]).norm(dim=1)
        pose = torch.zeros(len(ids), 7, device=self.device)
        pose[:, :2], pose[:, 2], pose[:, 6] = goal, GOAL_HEIGHT / 2, 1.0
        pose[:, :3] += self.scene.env_origins[ids]
        self.goal_post.write_root_pose_to_sim_index(root_pose=pose, env_ids=ids.int())

    def _reset_task(self, env_ids: Tensor) -> None:
        n, device, draw = len(env_ids), self.device, self._uniform
        things: tuple[Thing, ...] = (*OBSTACLES, *OBJECTS)
        radii = torch.tensor([ROVER_RADIUS] + [t.radius * (1.42 if t.kind == "box" else 1.0) for t in things])
        nothing = torch.zeros(n, 0, 2, device=device)
        place = scatter(nothing, radii[:0], radii, ROOM_HALF, self.cfg.clearance, self.generator)
        origins, ids = self.scene.env_origins[env_ids], env_ids.int()
        zero = torch.zeros(n, device=device)

        pose = torch.zeros(n, 7, device=device)
        pose[:, :2] = place[:, 0]
        pose[:, 3:] = quat_from_euler_xyz(zero, zero, draw(n) * math.pi)
        pose[:, :3] += origins
        self.robot.write_root_pose_to_sim_index(root_pose=pose, env_ids=ids)
        self.robot.write_root_velocity_to_sim_index(root_velocity=torch.zeros(n, 6, device=device), env_ids=ids)
        still = torch.zeros(n, self.robot.num_joints, device=device)
        self.robot.write_joint_position_to_sim_index(position=still, env_ids=ids)
        self.robot.write_joint_velocity_to_sim_index(velocity=still, env_ids=ids)

        for i, thing in enumerate(OBSTACLES):
            self._obstacle_xy[env_ids, i] = place[:, 1 + i]
            pose = torch.zeros(n, 7, device=device)
            pose[:, :2], pose[:, 2] = place[:, 1 + i], thing.height / 2
            pose[:, 3:] = quat_from_euler_xyz(zero, zero, draw(n) * math.pi)
            pose[:, :3] += origins
            self.obstacles[i].write_root_pose_to_sim_index(root_pose=pose, env_ids=ids)
        for i, thing in enumerate(OBJECTS):
            pose = torch.zeros(n, 7, device=device)
            pose[:, :2] = place[:, 1 + len(OBSTACLES) + i]
            pose[:, 2] = thing.height / 2 + 0.01 + self.cfg.throw_height * (0.5 + 0.5 * draw(n))
            pose[:, 3:] = quat_from_euler_xyz(zero, zero, draw(n) * math.pi)
            pose[:, :3] += origins
            velocity = torch.zeros(n, 6, device=device)
            velocity[:, :2] = self.cfg.throw_speed * torch.stack([draw(n), draw(n)], dim=1)
            self.loose[i].write_root_pose_to_sim_index(root_pose=pose, env_ids=ids)
            self.loose[i].write_root_velocity_to_sim_index(root_velocity=velocity, env_ids=ids)
        self.goals_reached[env_ids] = 0
        self._draw_goal(env_ids)

    def _uniform(self, n: int) -> Tensor:
        """Numbers in -1..1 (n,)."""
        return 2.0 * torch.rand(n, generator=self.generator, device=self.device) - 1.0
