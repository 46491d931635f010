"""The shared base of all environments: five senses, ground truth and physics control."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from isaaclab.assets import Articulation, RigidObjectCollection
from isaaclab.utils.math import quat_apply, quat_mul
from torch import Tensor

from .apparent import Appearance
from .copies import sizes_of, spawn_copies
from .engines import resizes
from .guard import Guard
from .launch import drowsy_threads, limit_physics_threads, prepare_process
from .moments import Relivable
from .observations import CONTRACT, critic_space, pack_proprioception, policy_space
from .palette import Palette
from .physics import Clock, PhysicsControl, Scope, make_engine
from .randomisation import Randomiser
from .sage_env_cfg import SageEnvCfg
from .scene_description import describe
from .senses.camera import TO_OPENGL, VIEWPOINT_WIDTH, camera_pose
from .senses.noise import SensorNoise
from .senses.segmentation import Segmentation
from .senses.senses import Senses
from .sizes import spawned
from .task import Task


class SageEnv(Relivable, Task):
    """Parallel worlds that are seen, heard and felt.

    What a task adds is in :class:`~sage_envs.task.Task`, what can be done with remembered moments in
    :class:`~sage_envs.moments.Relivable`.

    Attributes:
        physics: Gravity, friction, mass and more in force, world by world; see :mod:`sage_envs.physics`.
        sizes: Sizes of the loose objects, world by world.
        senses: Hearing, touch and IMU.
        guard: Ends episodes of worlds that broke or lost a body.
        randomiser: Draws what differs from world to world at each reset.
        touch: How the robot feels; from :meth:`make_touch`.
        segmentation: Class and instance of each pixel, where the camera was asked for them.
        viewpoint: Turn and shift of each world's camera (N, 5): yaw and pitch [rad], forward,
            left and up [m]. Zero is the robot's own camera.
        generator: Source of all randomness of resets.
        meanwhile: Done once, while the next look's pictures are made; see :class:`sage_ext.environment.Overlapping`.
        on_look: Called with each look of :meth:`observe`, the action that led to it (N, A), and whether something
            else than what was before begins with it (N,) bool; see :class:`sage_ext.environment.Visible`.
    """

    cfg: SageEnvCfg

    def __init__(self, cfg: SageEnvCfg, render_mode: str | None = None, **kwargs) -> None:
        """Build the scene and start the simulation.

        Args:
            cfg: Config with its presets resolved.
            render_mode: See :class:`isaaclab.envs.DirectRLEnv`.
            **kwargs: Passed on.
        """
        prepare_process()
        self._options = spawned(cfg.object_sizes)
        if len(self._options) > 1 and not resizes(cfg.sim.physics):
            spawn_copies(cfg, self._options)
        with drowsy_threads():
            super().__init__(cfg, render_mode, **kwargs)

    def _setup_scene(self) -> None:
        limit_physics_threads(self.sim)

    def _configure_gym_env_spaces(self) -> None:
        self._setup()
        camera = self.scene["camera"].cfg
        self.cfg.observation_space = policy_space(camera.height, camera.width)
        self.cfg.state_space = critic_space(self._critic() | (self.segmentation.empty() if self.segmentation else {}))
        super()._configure_gym_env_spaces()

    def _setup(self) -> None:
        """Everything that needs the running simulation and must exist before the spaces do."""
        n, device = self.num_envs, self.device
        self.generator = torch.Generator(device=device).manual_seed(self.cfg.seed or 0)
        self.robot: Articulation = self.scene["robot"]
        self.loose: RigidObjectCollection = self.scene["objects"]
        engine = make_engine(self.scene, self.sim.physics_manager, self.robot, self.loose)
        self.sizes, self.loose = sizes_of(self, engine, self._options)
        self.physics = PhysicsControl(engine, Clock(self), n, device, self.sizes)
        self.viewpoint = torch.zeros(n, VIEWPOINT_WIDTH, device=device)
        self._mount = torch.tensor(self.cfg.camera_mount, device=device)
        self._to_opengl = torch.tensor(TO_OPENGL, device=device).repeat(n, 1)
        self._camera_body = self.robot.body_names.index(self.camera_link)
        self.touch = self.make_touch()
        self._touch_bodies = [self.robot.body_names.index(link) for link in self.touch.links]
        self.senses = Senses(self, self.cfg.seed or 0)
        self.segmentation = Segmentation(self) if Segmentation.asked(self) else None
        self._noise = SensorNoise(self, self.cfg.noise, self.cfg.seed or 0) if self.cfg.noise else None
        self.guard = Guard(self)
        self.randomiser = Randomiser(self)
        self._ticks = 0
        self._apparent: Appearance | None = None
        self._palette: Palette | None = None
        self._eye: Tensor | None = None
        self.snapshot_layout: dict[str, slice] | None = None
        self.last_action = torch.zeros(n, self.action_width, device=device)
        self.on_look: Callable[[dict[str, dict[str, Tensor]], Tensor, Tensor], None] | None = None
        self.meanwhile: Callable[[], None] | None = None
        self._begins = torch.ones(n, dtype=torch.bool, device=device)

    # -- stepping --------------------------------------------------------------------------

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        """Reset all worlds; see :meth:`isaaclab.envs.DirectRLEnv.reset`.

        Args:
            seed: Reseeds everything that resets draw from.
            options: Unused.
        """
        if seed is not None:
            self.reseed(seed)
        self._ticks = 0
        return super().reset(seed, options)

    def reseed(self, seed: int) -> None:
        """Seed everything that is drawn from now on, in resets and by sensors."""
        self.generator.manual_seed(seed)
        if self._noise:
            self._noise.reseed(seed)

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

    def observe(self, senses: Collection[str] | None = None) -> dict[str, dict[str, Tensor]]:
        """Look, listen and feel now, without stepping; under ``policy`` and ``critic``.

        Args:
            senses: Which of the senses are wanted: pictures cost most, hearing and touch less; all when None.
        """
        wanted = set(CONTRACT) if senses is None else set(senses)
        others: dict[str, Tensor] = {}
        critic: dict[str, Tensor] = {}

        def sense() -> None:
            if self._ticks and wanted & {"audio", "tactile", "proprioceptive"}:
                self.senses.update(self._ticks)
            self._ticks = 0
            self.senses.looked()
            if "proprioceptive" in wanted:
                others["proprioceptive"], self.proprioceptive_layout = pack_proprioception(self._proprioception())
            others.update(audio=self.senses.hearing.heard.clone(), tactile=self.senses.taxels.clone())
            critic.update(self._critic())
            task, self.meanwhile = self.meanwhile, None
            if task is not None:
                task()

        if wanted & {"visual", "depth"}:
            others["visual"], others["depth"] = self.look(sense)
            if self.segmentation:
                critic.update(self.segmentation.read())
        else:
            sense()
        policy = {name: others[name] for name in CONTRACT if name in wanted}
        seen = {"policy": self._noise(policy) if self._noise else policy, "critic": critic}
        if self.on_look is not None:
            self.on_look(seen, self.last_action, self._begins)
        self._begins[:] = False
        return seen

    def discard_ticks(self) -> None:
        """Let what happened since the last look go unheard and unfelt."""
        self._ticks = 0

    @property
    def capabilities(self) -> dict[str, Scope]:
        """What the engine can do with each knob of :attr:`physics`: per world, for the whole scene, or not at all."""
        return self.physics.capabilities

    def show_sizes(self, scale: Tensor | None, env_ids: Tensor | None = None) -> None:
        """Have the camera show loose objects in other sizes than they have; see :mod:`sage_envs.apparent`.

        Args:
            scale: Factors on the sizes they have (n, B), each in 0.1..10; None shows all worlds as they are.
            env_ids: Worlds (n,); all when None.

        Raises:
            ValueError: A factor out of range, or a scene whose renderer cannot be told.
        """
        if self._apparent is not None or scale is not None:
            self.appearance().put(scale, env_ids)

    def shown_scale(self) -> Tensor | float:
        """Factors on their sizes with which the camera shows the loose objects (N, B); 1 where all are as they are."""
        return 1.0 if self._apparent is None else self._apparent.scale

    @property
    def feigns(self) -> bool:
        """Whether the camera can show the loose objects otherwise than they are."""
        return not resizes(self.cfg.sim.physics)

    def palette(self) -> Palette:
        """Colours of all shapes.

        Raises:
            ValueError: A scene whose renderer cannot be told.
        """
        if self._palette is None:
            self._palette = self.randomiser.palette or Palette(self, "sleep.variations.rearranged.color")
        return self._palette

    def appearance(self) -> Appearance:
        """What the camera shows otherwise than it is.

        Raises:
            ValueError: A scene whose renderer cannot be told.
        """
        if self._apparent is None:
            self._apparent = Appearance(self)
        return self._apparent

    def scene_description(self) -> dict[str, Any]:
        """What a world looks like, as plain data; see :func:`sage_envs.scene_description.describe`."""
        return describe(self.sim.stage.GetPrimAtPath(self.scene.env_prim_paths[0]), self.followed())

    def sense_state(self) -> dict[str, Tensor]:
        """What the senses carry from look to look, each (N, k)."""
        return self.senses.state()

    def set_sense_state(self, env_ids: Tensor, state: dict[str, Tensor]) -> None:
        """Inverse of :meth:`sense_state` for some worlds."""
        self.senses.set_state(env_ids, state)
        self._begins[env_ids] = True
        if self._noise:
            self._noise.forget(env_ids)
        self._ticks = 0

    def _reset_envs_from_buffer(self) -> Tensor | None:
        self.guard.end_lost_worlds()
        return super()._reset_envs_from_buffer()

    def _reset_idx(self, env_ids: Sequence[int] | Tensor) -> None:
        super()._reset_idx(env_ids)
        ids = torch.as_tensor(env_ids, device=self.device).long()
        self.physics.reset(ids)
        self.viewpoint[ids] = 0.0
        self.randomiser.draw(ids)
        self._reset_task(ids)
        self.last_action[ids] = 0.0
        self.senses.forget(ids)
        self._begins[ids] = True
        if self._noise:
            self._noise.forget(ids)

    # -- senses ----------------------------------------------------------------------------

    def _get_observations(self) -> dict[str, dict[str, Tensor]]:
        return self.observe()

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
        if self._apparent is not None:
            self._apparent.place()
        pose = torch.cat(self.camera_pose(), dim=1)
        # A camera on a stand seldom moves.
        if self._eye is None or not torch.equal(pose, self._eye):
            # Turned here: Isaac Lab's own conversion goes through matrices and takes as long as ten of these products.
            camera.set_world_poses(pose[:, :3], quat_mul(pose[:, 3:], self._to_opengl), convention="opengl")
            self._eye = pose
        camera.update(0.0, force_recompute=True)
        out = camera.data.output
        depth = torch.nan_to_num(out["depth"].torch, nan=0.0, posinf=0.0, neginf=0.0)
        return out["rgb"].torch[..., :3].clone(), depth

    def camera_pose(self) -> tuple[Tensor, Tensor]:
        """Where the cameras are: positions (N, 3) [m] and quaternions xyzw (N, 4), x forward, z up."""
        pose = self.robot.data.body_link_pose_w.torch[:, self._camera_body]
        return camera_pose(pose, self._mount, self.cfg.camera_tilt, self.viewpoint)

    def head_pose(self) -> tuple[Tensor, Tensor]:
        """Where the middle between the ears is (N, 3) [m], and how the head is turned: xyzw (N, 4), x forward."""
        pose = self.robot.data.body_link_pose_w.torch[:, self._camera_body]
        quat = pose[:, 3:].contiguous()
        return pose[:, :3] + quat_apply(quat, self._mount.expand(len(pose), 3).contiguous()), quat

    def touch_positions(self) -> Tensor:
        """Where the links that feel are (N, L, 3) [m]."""
        return self.robot.data.body_link_pose_w.torch[:, self._touch_bodies, :3]

    def imu(self) -> dict[str, Tensor]:
        """Specific force [m/s^2] and angular velocity [rad/s] in the link's frame, each (N, 3)."""
        reading = self.senses.imu.reading
        return {"imu_acceleration": reading[:, :3], "imu_angular_velocity": reading[:, 3:]}
