"""The shared base of all environments: five senses, ground truth and physics control."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from isaaclab.assets import Articulation, RigidObjectCollection
from isaaclab.envs import DirectRLEnv
from isaaclab.utils.math import quat_apply, quat_apply_inverse, quat_mul
from torch import Tensor

from . import snapshot
from .dreams import Dream, dream, foresee
from .launch import drowsy_threads, limit_physics_threads, prepare_process
from .materials import MATERIALS
from .observations import critic_space, pack_proprioception, policy_space
from .physics import PhysicsControl, make_engine
from .relive import relive
from .room import Thing
from .sage_env_cfg import SageEnvCfg
from .senses.audio import ContactAudio
from .senses.camera import TO_OPENGL, VIEWPOINT_WIDTH, camera_pose
from .senses.contacts import onset_impulse, slip_and_roll
from .senses.touch import CylinderSkin


class SageEnv(DirectRLEnv):
    """Parallel worlds that are seen, heard and felt.

    A task adds what to do: actions, rewards, ends and resets. It names its robot's skin and its
    loose objects, which come first among the skin sensor's filters.

    Attributes:
        physics: Gravity and friction in force, world by world.
        viewpoint: Turn and shift of each world's camera (N, 5): yaw and pitch [rad], forward,
            left and up [m]. Zero is the robot's own camera.
        generator: Source of all randomness of resets.
    """

    cfg: SageEnvCfg
    skin: CylinderSkin
    skin_link = "chassis"
    objects: tuple[Thing, ...]
    time_odd: tuple[str, ...] = ()
    """Proprioceptive entries that change sign when time runs backwards: velocities."""

    def __init__(self, cfg: SageEnvCfg, render_mode: str | None = None, **kwargs) -> None:
        """Build the scene and start the simulation.

        Args:
            cfg: Config with its presets resolved.
            render_mode: See :class:`isaaclab.envs.DirectRLEnv`.
            **kwargs: Passed on.
        """
        prepare_process()
        with drowsy_threads():
            super().__init__(cfg, render_mode, **kwargs)

    def _setup_scene(self) -> None:
        limit_physics_threads(self.sim)

    def _configure_gym_env_spaces(self) -> None:
        self._setup()
        camera = self.scene["camera"].cfg
        self.cfg.observation_space = policy_space(camera.height, camera.width)
        self.cfg.state_space = critic_space({k: tuple(v.shape[1:]) for k, v in self._critic().items()})
        super()._configure_gym_env_spaces()

    def _setup(self) -> None:
        """Everything that needs the running simulation and must exist before the spaces do."""
        n, device = self.num_envs, self.device
        self.generator = torch.Generator(device=device).manual_seed(self.cfg.seed or 0)
        self.robot: Articulation = self.scene["robot"]
        self.loose: RigidObjectCollection = self.scene["objects"]
        engine = make_engine(self.scene, self.sim.physics_manager, self.robot, self.loose)
        self.physics = PhysicsControl(engine, n, device)
        self.viewpoint = torch.zeros(n, VIEWPOINT_WIDTH, device=device)
        self._mount = torch.tensor(self.cfg.camera_mount, device=device)
        self._to_opengl = torch.tensor(TO_OPENGL, device=device).repeat(n, 1)
        self._horizontal = torch.tensor([1.0, 1.0, 0.0], device=device)
        self._support = torch.tensor([t.height / 2 for t in self.objects] + [0.0], device=device)
        self._skin_body = self.robot.body_names.index(self.skin_link)
        self.audio = ContactAudio(
            num_worlds=n,
            sources=[(t.name, MATERIALS[t.material], 2 * t.radius) for t in self.objects]
            + [(self.skin_link, MATERIALS["plastic"], self.skin.top - self.skin.bottom)],
            num_motors=self.robot.num_joints,
            physics_dt=self.physics_dt,
            device=device,
            seed=self.cfg.seed or 0,
        )
        self._ticks = 0
        self._fresh = torch.ones(n, dtype=torch.bool, device=device)
        self._last_force = torch.zeros(n, len(self.objects) + 1, device=device)
        self._last_velocity = self._velocities()
        self._joint_speed = torch.zeros(n, self.robot.num_joints, device=device)
        self._sound = self.audio.spectrogram()
        self._taxels = torch.zeros(n, self.skin.sectors * self.skin.rows, device=device)
        self._imu = torch.zeros(n, 6, device=device)
        self.last_action = torch.zeros(n, self.action_width, device=device)

    # -- what a task provides --------------------------------------------------------------

    @property
    @abstractmethod
    def action_width(self) -> int:
        """Numbers in one action."""

    @abstractmethod
    def _write_action(self) -> None:
        """Hand :attr:`last_action` to the actuators."""

    @abstractmethod
    def _critic(self) -> dict[str, Tensor]:
        """Named ground truth, each (N, ...) float32; never read by training."""

    @abstractmethod
    def _proprioception(self) -> dict[str, Tensor]:
        """Named entries of the proprioceptive sense, each (N, k) in SI units."""

    # -- stepping --------------------------------------------------------------------------

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        """Reset all worlds; see :meth:`isaaclab.envs.DirectRLEnv.reset`.

        Args:
            seed: Reseeds everything that resets draw from.
            options: Unused.
        """
        if seed is not None:
            self.generator.manual_seed(seed)
        self._ticks = 0
        return super().reset(seed, options)

    def command(self, actions: Tensor) -> None:
        """Hand actions (N, A) in -1..1 to the actuators, which hold them until the next."""
        self.last_action = actions.to(self.device).float().clamp(-1.0, 1.0)
        self._write_action()

    def _pre_physics_step(self, actions: Tensor) -> None:
        self.command(actions)

    def _apply_action(self) -> None:
        self.physics.before_step()
        self._ticks += 1

    def advance(self, ticks: int) -> None:
        """Step physics under :attr:`last_action` without rewards, ends or resets.

        Args:
            ticks: How many physics steps.
        """
        for _ in range(ticks):
            self._apply_action()
            self.scene.write_data_to_sim()
            self.sim.step(render=False)
            self.scene.update(dt=self.physics_dt)

    def observe(self) -> dict[str, dict[str, Tensor]]:
        """Look, listen and feel now, without stepping; under ``policy`` and ``critic``."""
        return self._get_observations()

    def discard_ticks(self) -> None:
        """Let what happened since the last look go unheard and unfelt."""
        self._ticks = 0

    # -- moments remembered and lived again --------------------------------------------------

    def snapshot(self, env_ids: Tensor | None = None) -> Tensor:
        """The present moment of some worlds as rows (n, S); see :mod:`sage_envs.snapshot`."""
        return snapshot.take(self, env_ids)

    def restore(self, rows: Tensor, env_ids: Tensor | None = None) -> None:
        """Put remembered moments (n, S) back into some worlds; the others go on undisturbed."""
        snapshot.restore(self, rows, env_ids)

    def relive(self, rows: Tensor, actions: Tensor, **kwargs) -> dict[str, dict[str, Tensor]]:
        """Live on from snapshots; see :func:`sage_envs.relive.relive`."""
        return relive(self, rows, actions, **kwargs)

    def dream(self, rows: Tensor, actions: Tensor, laws: Sequence[str]) -> Dream:
        """Scenes that break a law, and their twins; see :func:`sage_envs.dreams.dream`."""
        return dream(self, rows, actions, laws)

    def foresee(self, rows: Tensor, laws: Sequence[str]) -> Tensor:
        """Whether moments look fit for their laws (n,) bool; see :func:`sage_envs.dreams.foresee`."""
        return foresee(self, rows, laws)

    def sense_state(self) -> dict[str, Tensor]:
        """What the senses carry from look to look, each (N, k)."""
        return {
            "audio": self.audio.state(),
            "force": self._last_force,
            "velocity": self._last_velocity.flatten(1),
            "joint_speed": self._joint_speed,
        }

    def set_sense_state(self, env_ids: Tensor, state: dict[str, Tensor]) -> None:
        """Inverse of :meth:`sense_state` for some worlds."""
        self.audio.set_state(state["audio"], env_ids)
        self._last_force[env_ids] = state["force"]
        self._last_velocity[env_ids] = state["velocity"].view(len(env_ids), -1, 6)
        self._joint_speed[env_ids] = state["joint_speed"]
        self._fresh[env_ids] = False
        self._ticks = 0

    @abstractmethod
    def task_state(self) -> dict[str, Tensor]:
        """What the task adds to a snapshot, each (N, k)."""

    @abstractmethod
    def set_task_state(self, env_ids: Tensor, state: dict[str, Tensor]) -> None:
        """Inverse of :meth:`task_state` for some worlds."""

    def _reset_idx(self, env_ids: Sequence[int] | Tensor) -> None:
        super()._reset_idx(env_ids)
        ids = torch.as_tensor(env_ids, device=self.device).long()
        self.physics.reset(ids)
        self.viewpoint[ids] = 0.0
        self._reset_task(ids)
        self._forget(ids)

    @abstractmethod
    def _reset_task(self, env_ids: Tensor) -> None:
        """Place everything anew in some worlds."""

    def _forget(self, ids: Tensor) -> None:
        """Silence and stillness in worlds whose state was just written."""
        self.audio.reset(ids)
        self.last_action[ids] = 0.0
        self._fresh[ids] = True
        self._sound[ids] = self.audio.spectrogram()[ids]
        self._taxels[ids] = 0.0
        self._last_force[ids] = 0.0
        self._last_velocity[ids] = self._velocities()[ids]
        self._joint_speed[ids] = 0.0
        quat = self.robot.data.body_link_pose_w.torch[ids, self._skin_body, 3:].contiguous()
        self._imu[ids, :3] = quat_apply_inverse(quat, -self.physics.gravity[ids])
        self._imu[ids, 3:] = 0.0

    # -- senses ----------------------------------------------------------------------------

    def _get_observations(self) -> dict[str, dict[str, Tensor]]:
        others: dict[str, Tensor] = {}
        critic: dict[str, Tensor] = {}

        def sense() -> None:
            if self._ticks:
                # The engine remembers no more contact forces than its sensors were told to keep.
                self._listen_and_feel(min(self._ticks, self.scene["object_contacts"].cfg.history_length))
                self._ticks = 0
            self._fresh[:] = False
            packed, self.proprioceptive_layout = pack_proprioception(self._proprioception())
            others.update(audio=self._sound.clone(), tactile=self._taxels.clone(), proprioceptive=packed)
            critic.update(self._critic())

        visual, depth = self.look(sense)
        return {"policy": {"visual": visual, "depth": depth, **others}, "critic": critic}

    def look(self, meanwhile: Callable[[], None] = lambda: None) -> tuple[Tensor, Tensor]:
        """Render now: RGB (N, H, W, 3) uint8 and depth (N, H, W, 1) [m].

        Args:
            meanwhile: Done before this returns, while the rays are cast where the renderer can.
        """
        camera = self.scene["camera"]
        overlaps = hasattr(camera._renderer, "meanwhile")
        if overlaps:
            camera._renderer.meanwhile = meanwhile
        else:
            meanwhile()
        position, quat = self.camera_pose()
        # Turned here: Isaac Lab's own conversion goes through matrices and takes as long as ten of these products.
        camera.set_world_poses(position, quat_mul(quat, self._to_opengl), convention="opengl")
        camera.update(0.0, force_recompute=True)
        out = camera.data.output
        depth = torch.nan_to_num(out["depth"].torch, nan=0.0, posinf=0.0, neginf=0.0)
        return out["rgb"].torch[..., :3].clone(), depth

    def camera_pose(self) -> tuple[Tensor, Tensor]:
        """Where the cameras are: positions (N, 3) [m] and quaternions xyzw (N, 4), x forward, z up."""
        pose = self.robot.data.body_link_pose_w.torch[:, self._skin_body]
        return camera_pose(pose, self._mount, self.cfg.camera_tilt, self.viewpoint)

    def _velocities(self) -> Tensor:
        """Linear and angular velocity of each loose object and the robot's skin (N, B, 6)."""
        skin = self.robot.data.body_com_vel_w.torch[:, self._skin_body : self._skin_body + 1]
        return torch.cat([self.loose.data.body_com_vel_w.torch, skin], dim=1)

    def _listen_and_feel(self, ticks: int) -> None:
        objects, skin = self.scene["object_contacts"].data, self.scene["skin_contacts"].data

        def steps(history: Tensor) -> Tensor:
            # History is newest first; the senses want it in the order of time.
            return history[:, :ticks].flip(1)

        normal = torch.cat(
            [steps(objects.net_normal_forces_w_history.torch), steps(skin.net_normal_forces_w_history.torch)], dim=2
        )
        friction = torch.cat(
            [steps(objects.net_friction_forces_w_history.torch), torch.zeros_like(normal[:, :, :1])], 2
        )
        live = (~self._fresh).float()
        normal, friction = normal * live.view(-1, 1, 1, 1), friction * live.view(-1, 1, 1, 1)

        velocity = self._velocities()
        self._last_velocity[self._fresh] = velocity[self._fresh]
        blend = torch.arange(1, ticks + 1, device=self.device).view(1, -1, 1, 1) / ticks
        path = self._last_velocity.unsqueeze(1) * (1 - blend) + velocity.unsqueeze(1) * blend
        slip, roll = slip_and_roll(normal, friction, path[..., :3], path[..., 3:], self._support)

        joint_speed = self.robot.data.joint_vel.torch
        self._joint_speed[self._fresh] = joint_speed[self._fresh]
        motor = torch.lerp(
            self._joint_speed.unsqueeze(-1), joint_speed.unsqueeze(-1), blend.view(1, 1, -1).expand(1, 1, ticks)
        )
        torque = self.robot.data.applied_torque.torch.unsqueeze(-1).expand_as(motor)
        self.audio.hear(
            impulse=onset_impulse(normal, self._last_force, self.physics_dt),
            slip_power=slip,
            roll_power=roll,
            distance=self._distances(),
            motor_speed=motor * live.view(-1, 1, 1),
            motor_torque=torque * live.view(-1, 1, 1),
        )
        self._sound = self.audio.spectrogram()

        pose = self.robot.data.body_link_pose_w.torch[:, self._skin_body]
        force = self.skin_forces(ticks).mean(dim=1) * live.view(-1, 1, 1)
        quat = pose[:, None, 3:].expand(-1, force.shape[1], -1).contiguous()
        low, high = self._partner_heights(pose)
        self._taxels = self.skin.taxels(quat_apply_inverse(quat, force.contiguous()), low, high)

        change = (velocity[:, -1, :3] - self._last_velocity[:, -1, :3]) / (ticks * self.physics_dt)
        body_quat = pose[:, 3:].contiguous()
        felt = torch.where(self._fresh.unsqueeze(1), 0.0, change) - self.physics.gravity
        self._imu = torch.cat(
            [quat_apply_inverse(body_quat, felt), quat_apply_inverse(body_quat, velocity[:, -1, 3:].contiguous())],
            dim=1,
        )
        self._last_force = normal[:, -1].norm(dim=-1)
        self._last_velocity, self._joint_speed = velocity, joint_speed.clone()

    def _distances(self) -> Tensor:
        """From the microphone to each sounding body (N, B) [m]."""
        pose = self.robot.data.body_link_pose_w.torch[:, self._skin_body]
        ear = pose[:, :3] + quat_apply(pose[:, 3:].contiguous(), self._mount.expand(len(pose), 3).contiguous())
        where = torch.cat([self.loose.data.body_link_pose_w.torch[..., :3], pose[:, None, :3]], dim=1)
        return (where - ear.unsqueeze(1)).norm(dim=-1)

    def skin_forces(self, ticks: int) -> Tensor:
        """Force of each partner on the skin, newest physics step first (N, ticks, M, 3) [N].

        The last partner is everything the sensor does not name: the walls. Of it only the
        horizontal part counts, because the floor carries the casters under the same body.
        """
        data = self.scene["skin_contacts"].data
        named = data.normal_force_matrix_w_history.torch[:, :ticks, 0]
        rest = data.net_normal_forces_w_history.torch[:, :ticks] - named.sum(dim=2, keepdim=True)
        rest = rest * self._horizontal
        # Below this the difference of large forces is rounding, not touch.
        rest = torch.where(rest.norm(dim=-1, keepdim=True) > 1e-3, rest, 0.0)
        return torch.cat([named, rest], dim=2)

    def _partner_heights(self, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Lowest and highest point of each skin partner above the skin's body (N, M) [m]."""
        partners = len(self.scene["skin_contacts"].cfg.filter_prim_paths_expr) + 1
        high = torch.full((self.num_envs, partners), torch.inf, device=self.device)
        low = torch.full_like(high, -torch.inf)
        centre = self.loose.data.body_link_pose_w.torch[..., 2] - pose[:, 2:3]
        half = self._support[:-1]
        low[:, : len(half)], high[:, : len(half)] = centre - half, centre + half
        return low, high

    def imu(self) -> dict[str, Tensor]:
        """Specific force [m/s^2] and angular velocity [rad/s] in the body's frame, each (N, 3)."""
        return {"imu_acceleration": self._imu[:, :3], "imu_angular_velocity": self._imu[:, 3:]}
