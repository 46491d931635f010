"""``Sage-Navigation``: drive to the goal post, around what stands in the way."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from isaaclab.assets import RigidObjectCollection
from isaaclab.utils.math import quat_apply_inverse
from torch import Tensor

from sage_envs.rearrange import Ground
from sage_envs.room import GOAL_HEIGHT, OBJECTS, OBSTACLES, ROOM_HALF
from sage_envs.sage_env import SageEnv
from sage_envs.scene_description import PLACE, POSE, POSITION, TURN, Follow
from sage_envs.scene_parts import Thing
from sage_envs.senses.paths import Barriers, upright
from sage_envs.senses.touch import CylinderSkin, SkinTouch
from sage_envs.snapshot import layout

from .navigation_env_cfg import NavigationEnvCfg
from .placement import outlines, scatter

ROVER_RADIUS = 0.2
BURIED = 2.0
"""Depth of what is not in use [m]."""
SKIN = CylinderSkin(bottom=0.05, top=0.25)


def block_halves(things: Sequence[Thing]) -> tuple[tuple[float, float, float], ...]:
    """Half the edges of the boxes that things block sound as [m]; a cylinder as a box of the same ground area does."""
    edges = [thing.radius * (1.0 if thing.kind == "box" else 0.5 * math.sqrt(math.pi)) for thing in things]
    return tuple((edge, edge, thing.height / 2) for edge, thing in zip(edges, things, strict=True))


class NavigationEnv(SageEnv):
    """A rover in a room.

    A reached goal is drawn anew, so an episode lasts until its time is up unless the rover tips
    over or leaves the room. ``extras["log"]`` and :attr:`goals_reached` tell how many were
    reached; an episode with at least one is a success.
    """

    cfg: NavigationEnvCfg
    touch: SkinTouch
    objects = OBJECTS
    obstacles: tuple[Thing, ...] = OBSTACLES
    obstacle_halves = block_halves(OBSTACLES)
    room_half = ROOM_HALF
    post_height = GOAL_HEIGHT / 2
    """Where the middle of the goal post is [m]."""
    drives = ("wheel_angle_sin", "wheel_angle_cos", "wheel_speed", "wheel_torque")
    time_odd = ("wheel_speed", "base_linear_velocity", "imu_angular_velocity")

    def _setup(self) -> None:
        # What stands still need not be read back after each physics step.
        self.fixtures: RigidObjectCollection = self.scene.rigid_object_collections.pop("fixtures")
        # Obstacles, then the goal, in their worlds' frames. Written together: a write of some
        # bodies of a collection writes the others' stale poses too.
        self._fixture_pose = torch.zeros(self.num_envs, len(self.obstacles) + 1, 7, device=self.device)
        self._fixture_pose[..., 6] = 1.0
        self._halves = torch.tensor(self.obstacle_halves, device=self.device)
        self.goal = torch.zeros(self.num_envs, 2, device=self.device)
        self.goals_reached = torch.zeros(self.num_envs, dtype=torch.long, device=self.device)
        self._distance = torch.zeros(self.num_envs, device=self.device)
        super()._setup()

    @property
    def action_width(self) -> int:
        """Left and right wheel."""
        return 2

    def make_touch(self) -> SkinTouch:
        """The skin around the rover's body."""
        return SkinTouch(self, "chassis", SKIN)

    def barriers(self) -> Barriers:
        """The obstacles: nothing else stands between the ears and what sounds."""
        pose = self._fixture_pose[:, :-1]
        return upright(pose[..., :3] + self.scene.env_origins.unsqueeze(1), pose[..., 3:], self._halves)

    def _write_action(self) -> None:
        self.robot.actuators.target_command.set_velocity_index(value=self.last_action * self.cfg.wheel_speed)

    # -- what is told ----------------------------------------------------------------------

    def _pose(self) -> Tensor:
        """Pose of the rover's body in its world's frame (N, 7)."""
        pose = self.robot.data.body_link_pose_w.torch[:, self._camera_body].clone()
        pose[:, :3] -= self.scene.env_origins
        return pose

    def sought(self) -> Tensor:
        """From the robot to its goal, in its own frame; the goal is as high as the robot."""
        pose = self._pose()
        offset = torch.cat([self.goal - pose[:, :2], torch.zeros_like(pose[:, :1])], dim=1)
        return quat_apply_inverse(pose[:, 3:].contiguous(), offset)

    def _proprioception(self) -> dict[str, Tensor]:
        data = self.robot.data
        quat = data.body_link_pose_w.torch[:, self._camera_body, 3:].contiguous()
        velocity = data.body_com_vel_w.torch[:, self._camera_body, :3].contiguous()
        angle = data.joint_pos.torch
        return {
            "wheel_angle_sin": angle.sin(),
            "wheel_angle_cos": angle.cos(),
            "wheel_speed": data.joint_vel.torch,
            "wheel_torque": data.applied_torque.torch,
            "base_linear_velocity": quat_apply_inverse(quat, velocity),
            **self.imu(),
            "goal_position": self.sought()[:, :2],
            "last_action": self.last_action,
        }

    def _critic(self) -> dict[str, Tensor]:
        origins = self.scene.env_origins.unsqueeze(1)
        poses = self.loose.data.body_link_pose_w.torch.clone()
        poses[..., :3] -= origins
        velocities = self.loose.data.body_com_vel_w.torch.clone()
        forces = self.scene["object_contacts"].data.net_normal_forces_w.torch
        skin = self.touch.forces(1)[:, 0]
        friction = self.physics.friction
        return {
            "robot_pose": self._pose(),
            "robot_velocity": self.robot.data.body_com_vel_w.torch[:, self._camera_body].clone(),
            "goal_position": self.goal.clone(),
            "object_pose": poses,
            "object_velocity": velocities,
            "object_contact_force": forces.clone(),
            "object_size": self.sizes.edges,
            "object_mass": self.loose.data.body_mass.torch.reshape(self.num_envs, -1).to(self.device, copy=True),
            "object_friction": friction["objects"].to(self.device),
            "obstacle_position": self._fixture_pose[:, :-1, :3].clone(),
            "obstacle_orientation": self._fixture_pose[:, :-1, 3:].clone(),
            "skin_force": skin,
            "gravity": self.physics.gravity,
            "friction_scale": self.physics.friction_scale.unsqueeze(1),
        }

    def ground(self, rows: Tensor) -> Ground:
        """The floor but for the rover and what stands on it."""
        where = layout(self)
        rover = rows[:, None, where["robot.pose"].start : where["robot.pose"].start + 2]
        standing = rows[:, where["task.obstacles"]].view(len(rows), -1, 7)
        # What is buried leaves the floor free.
        radii = torch.tensor([thing.outline for thing in self.obstacles], device=self.device) * (standing[..., 2] > 0)
        own = torch.full_like(radii[:, :1], ROVER_RADIUS + self.cfg.clearance)
        half = (-self.room_half, self.room_half)
        return Ground(half, half, torch.cat([standing[..., :2], rover], 1), torch.cat([radii, own], 1))

    def refurnished(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Moments with the obstacles of others of them, turned and mirrored, where these clear the rover and the goal.

        A square room allows four turns, each mirrored or not: eight rooms of one.
        """
        n, where = len(rows), layout(self)
        given = rows[torch.randperm(n, generator=generator).to(rows.device)][:, where["task.obstacles"]]
        standing = self._turned(given.view(n, -1, 7), generator)
        kept = rows[:, where["robot.pose"]][:, None, :2], rows[:, where["task.goal"]][:, None, :2]
        gaps = torch.cdist(standing[..., :2], torch.cat(kept, 1)) - ROVER_RADIUS
        gaps -= torch.tensor([thing.outline for thing in self.obstacles], device=self.device).view(1, -1, 1)
        # What is buried is in nobody's way.
        fits = ((gaps > self.cfg.clearance) | (standing[..., 2:3] <= 0)).all(-1).all(-1)
        rows = rows.clone()
        rows[:, where["task.obstacles"]] = torch.where(
            fits.unsqueeze(1), standing.flatten(1), rows[:, where["task.obstacles"]]
        )
        return rows

    def _turned(self, standing: Tensor, generator: torch.Generator) -> Tensor:
        """Upright poses (n, K, 7) after a quarter turn or none, half or three, of the room, mirrored or not."""
        n = len(standing)
        turns = torch.randint(4, (n, 1), generator=generator).to(self.device) * (math.pi / 2)
        side = 1.0 - 2.0 * torch.randint(2, (n, 1), generator=generator).to(self.device)
        x, y = standing[..., 0], side * standing[..., 1]
        cos, sin = turns.cos(), turns.sin()
        half = side * torch.atan2(standing[..., 5], standing[..., 6]) + turns / 2
        zero = torch.zeros_like(half)
        place = torch.stack([cos * x - sin * y, sin * x + cos * y, standing[..., 2]], -1)
        return torch.cat([place, torch.stack([zero, zero, half.sin(), half.cos()], -1)], -1)

    def followed(self) -> dict[str, list[Follow]]:
        """See :meth:`SageEnv.followed`."""
        told = super().followed()
        told["chassis"] = [Follow("robot_pose", 0, POSE)]
        told["obstacle_goal"] = [Follow("goal_position", 0, PLACE)]
        for i, thing in enumerate(self.obstacles):
            told[thing.name] = [
                Follow("obstacle_position", 3 * i, POSITION),
                Follow("obstacle_orientation", 4 * i, TURN),
            ]
        return told

    def task_state(self) -> dict[str, Tensor]:
        """Goal, obstacles and progress."""
        progress = torch.stack([self.goals_reached, self.episode_length_buf], dim=1).float()
        return {"goal": self.goal, "progress": progress, "obstacles": self._fixture_pose[:, :-1].flatten(1)}

    def set_task_state(self, env_ids: Tensor, state: dict[str, Tensor]) -> None:
        """Inverse of :meth:`task_state`."""
        self._fixture_pose[env_ids, :-1] = state["obstacles"].view(len(env_ids), -1, 7)
        self.goals_reached[env_ids] = state["progress"][:, 0].long()
        self.episode_length_buf[env_ids] = state["progress"][:, 1].long()
        self._put_goal(env_ids, state["goal"])

    # -- reward, ends and resets -------------------------------------------------------------

    def _get_dones(self) -> tuple[Tensor, Tensor]:
        pose = self._pose()
        # Height of the body's own up: the last entry of its rotation matrix.
        up = 1.0 - 2.0 * pose[:, 3:5].square().sum(dim=1)
        lost = (pose[:, :2].abs() > self.room_half + 0.2).any(dim=1) | ~torch.isfinite(pose).all(dim=1)
        terminated = lost | (up < 0.5)
        return terminated, self.episode_length_buf >= self.max_episode_length

    def _get_rewards(self) -> Tensor:
        reward = self._drive_reward()
        reached = self._distance < self.cfg.goal_reach
        reward += self.cfg.goal_reward * reached
        self.goals_reached += reached
        if bool(reached.any()):
            self._draw_goal(reached.nonzero().squeeze(1))
        self.extras["log"] = {"goals_reached": self.goals_reached.float().mean()}
        self.extras["success"] = self.goals_reached > 0
        return reward

    def _drive_reward(self) -> Tensor:
        """Progress towards the goal since the last step, less what acting and touching cost (N,)."""
        distance = (self.goal - self._pose()[:, :2]).norm(dim=1)
        touch = self.touch.forces(1)[:, 0].norm(dim=-1).sum(dim=1)
        reward = (
            self.cfg.progress_reward * (self._distance - distance)
            - self.cfg.action_cost * self.last_action.square().mean(dim=1)
            - self.cfg.touch_cost * touch
        )
        self._distance = distance
        return reward

    def _draw_goal(self, ids: Tensor) -> None:
        standing = self.obstacles[: self.cfg.obstacles]
        taken = torch.cat([self._fixture_pose[ids, : len(standing), :2], self._pose()[ids, None, :2]], dim=1)
        away = self.cfg.goal_distance - ROVER_RADIUS - self.cfg.clearance
        radii = torch.tensor([t.outline for t in standing] + [away])
        place = scatter(taken, radii, torch.tensor([ROVER_RADIUS]), self.room_half, self.cfg.clearance, self.generator)
        self._put_goal(ids, place[:, 0])

    def _put_goal(self, ids: Tensor, goal: Tensor) -> None:
        self.goal[ids] = goal
        self._distance[ids] = (goal - self._pose()[ids, :2]).norm(dim=1)
        self._fixture_pose[ids, -1, :2], self._fixture_pose[ids, -1, 2] = goal, self.post_height
        poses = self._fixture_pose[ids]
        poses[..., :3] += self.scene.env_origins[ids].unsqueeze(1)
        self.fixtures.write_body_link_pose_to_sim_index(body_poses=poses, env_ids=ids.int())

    def _reset_task(self, env_ids: Tensor) -> None:
        n, device = len(env_ids), self.device
        rover, obstacles, objects, velocities = self._arrange(env_ids)
        origins, ids = self.scene.env_origins[env_ids], env_ids.int()
        rover[:, :3] += origins
        self.robot.write_root_pose_to_sim_index(root_pose=rover, env_ids=ids)
        self.robot.write_root_velocity_to_sim_index(root_velocity=torch.zeros(n, 6, device=device), env_ids=ids)
        still = torch.zeros(n, self.robot.num_joints, device=device)
        self.robot.write_joint_position_to_sim_index(position=still, env_ids=ids)
        self.robot.write_joint_velocity_to_sim_index(velocity=still, env_ids=ids)
        self._fixture_pose[env_ids, :-1] = obstacles
        objects[..., :3] += origins.unsqueeze(1)
        self.loose.write_body_link_pose_to_sim_index(body_poses=objects, env_ids=ids)
        self.loose.write_body_com_velocity_to_sim_index(body_velocities=velocities, env_ids=ids)
        self.goals_reached[env_ids] = 0
        self._draw_goal(env_ids)

    def _arrange(self, env_ids: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Draw how episodes begin in some worlds (n,).

        Returns:
            Poses of the rover (n, 7), the obstacles (n, F, 7) and the loose objects (n, B, 7) in their worlds'
            frames, and velocities of the objects (n, B, 6).
        """
        n, device, draw, standing = len(env_ids), self.device, self._uniform, self.cfg.obstacles
        place = self._places(env_ids)
        rover = torch.zeros(n, 7, device=device)
        rover[:, :2] = place[:, 0]
        rover[:, 3:] = self._upright(n)

        many = (n, len(self.obstacles))
        obstacles = torch.zeros(*many, 7, device=device)
        obstacles[:, :standing, :2] = place[:, 1 : 1 + standing]
        obstacles[..., 2] = torch.tensor([t.height / 2 for t in self.obstacles], device=device)
        obstacles[:, standing:, 2] = -BURIED
        obstacles[..., 3:] = self._upright(*many)

        many = (n, len(self.objects))
        objects = torch.zeros(*many, 7, device=device)
        objects[..., :2] = place[:, 1 + standing :]
        half = self.sizes.edges[env_ids, :, 2] / 2
        objects[..., 2] = half + 0.01 + self.cfg.throw_height * (0.5 + 0.5 * draw(*many))
        objects[..., 3:] = self._upright(*many)
        velocities = torch.zeros(*many, 6, device=device)
        velocities[..., :2] = self.cfg.throw_speed * draw(*many, 2)
        return rover, obstacles, objects, velocities

    def _places(self, env_ids: Tensor) -> Tensor:
        """Draw where the rover, the obstacles in use and the loose objects stand (n, 1 + F + B, 2) [m]."""
        fixed = [ROVER_RADIUS, *(t.outline for t in self.obstacles[: self.cfg.obstacles])]
        radii = outlines(fixed, self.objects, self.sizes.scale[env_ids])
        nothing = torch.zeros(len(env_ids), 0, 2, device=self.device)
        none = torch.zeros(0)
        return scatter(nothing, none, radii, self.room_half, self.cfg.clearance, self.generator)

    def _uniform(self, *shape: int) -> Tensor:
        """Numbers in -1..1."""
        return 2.0 * torch.rand(*shape, generator=self.generator, device=self.device) - 1.0

    def _upright(self, *shape: int) -> Tensor:
        """Quaternions (*shape, 4) that turn about the vertical by any angle."""
        half = 0.5 * math.pi * self._uniform(*shape)
        zero = torch.zeros_like(half)
        return torch.stack([zero, zero, half.sin(), half.cos()], dim=-1)
