"""Physics at run time: gravity and friction per world, set and read back.

Newton keeps one gravity per world. PhysX and OvPhysX keep one for the scene, so a world that
differs gets the difference as a force on the centre of mass of every moving body, each physics
step: exact for rigid bodies, and no other world notices. Friction is a scale on the nominal
coefficients of every moving body of a world, written to the engine's materials.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import torch
import warp as wp
from torch import Tensor

if TYPE_CHECKING:
    from isaaclab.assets import Articulation, RigidObjectCollection
    from isaaclab.scene import InteractiveScene

GRAVITY_MAX = 100.0
FRICTION_SCALE_MAX = 10.0


class Engine(Protocol):
    """What an engine has to offer for physics control."""

    name: str

    def write_gravity(self, gravity: Tensor) -> None:
        """Put (N, 3) [m/s^2] in force."""

    def read_gravity(self) -> Tensor:
        """Gravity in force (N, 3) [m/s^2]."""

    def before_step(self) -> None:
        """Called once before every physics step."""

    def write_friction(self, scale: Tensor) -> None:
        """Scale the nominal friction of every moving body of each world (N,)."""

    def read_friction(self) -> dict[str, Tensor]:
        """Shape coefficients in force, asset name -> (N, shapes)."""


class OvPhysxEngine:
    """OvPhysX: forces for gravity, material tensors for friction."""

    name = "ovphysx"

    def __init__(self, scene: InteractiveScene, robot: Articulation, loose: RigidObjectCollection) -> None:
        import isaaclab_ov.tensor_types as tt
        from isaaclab_ov.physics import OvPhysxManager
        from isaaclab_ov.sim.views.ovphysx_view import OvPhysxView

        self._manager, self._num_envs = OvPhysxManager, scene.num_envs
        physx = OvPhysxManager.get_physx_instance()
        self._robot, self._loose = robot, loose
        loose_paths = [f"{env}/{name}" for env in scene.env_prim_paths for name in loose.body_names]
        names = [f"robot/{link}" for link in robot.body_names] + list(loose.body_names)
        paths = [f"{env}/{name}" for env in scene.env_prim_paths for name in names]
        # A wrench with its place: the plainer force makes the runtime warn at each write.
        self._bodies = physx.create_tensor_binding(prim_paths=paths, tensor_type=tt.TensorType.RIGID_BODY_WRENCH)
        masses = [a.data.body_mass.torch.reshape(scene.num_envs, -1) for a in (robot, loose)]
        self._mass = torch.cat(masses, dim=1).unsqueeze(-1).to(scene.device)
        self._extra = torch.zeros(scene.num_envs, 3, device=scene.device)
        # Force, torque and where the force acts, of each body.
        self._wrench = torch.zeros(scene.num_envs, len(names), 9, device=scene.device)
        material = tt.TensorType.RIGID_BODY_SHAPE_FRICTION_AND_RESTITUTION
        self._active = False
        self._materials = {
            "objects": (OvPhysxView(physx, prim_paths=loose_paths, device=str(scene.device)), material),
            "robot": (robot.root_view, tt.TensorType.ARTICULATION_SHAPE_FRICTION_AND_RESTITUTION),
        }
        self._nominal = {
            name: wp.to_torch(view.get_attribute(kind)).reshape(scene.num_envs, -1, 3).clone()
            for name, (view, kind) in self._materials.items()
        }
        # A write gives bodies materials of their own, whose contacts with each other combine by the
        # average. Done once at once, so that a world is the same before and after its first change.
        self.write_friction(torch.ones(scene.num_envs))

    def _scene_gravity(self) -> Tensor:
        return torch.tensor(self._manager.get_gravity(), device=self._extra.device)

    def write_gravity(self, gravity: Tensor) -> None:
        self._extra = gravity - self._scene_gravity()
        self._active = bool(self._extra.any())
        self._wrench[..., :3] = self._mass * self._extra.unsqueeze(1)

    def read_gravity(self) -> Tensor:
        return self._scene_gravity() + self._extra

    def before_step(self) -> None:
        if self._active:
            places = (self._robot.data.body_com_pos_w.torch, self._loose.data.body_com_pos_w.torch)
            self._wrench[..., 6:] = torch.cat(places, dim=1)
            self._bodies.write(wp.from_torch(self._wrench.view(-1, 9)))

    def write_friction(self, scale: Tensor) -> None:
        for name, (view, kind) in self._materials.items():
            materials = view.get_attribute(kind)
            rows = wp.to_torch(materials).view(self._num_envs, -1, 3)
            # Static and dynamic friction; the third is restitution.
            rows[..., :2] = self._nominal[name][..., :2] * scale.to(rows.device).view(-1, 1, 1)
            view.set_attribute(kind, materials)

    def read_friction(self) -> dict[str, Tensor]:
        return {
            name: wp.to_torch(view.get_attribute(kind)).reshape(self._num_envs, -1, 3)[..., 1].clone()
            for name, (view, kind) in self._materials.items()
        }


class NewtonEngine:
    """Newton: one gravity per world in the model, one coefficient per shape."""

    name = "newton"

    def __init__(self, scene: InteractiveScene, robot: Articulation, loose: RigidObjectCollection) -> None:
        from isaaclab_newton.physics import NewtonManager
        from newton import ModelFlags

        self._manager, self._flags, self._num_envs = NewtonManager, ModelFlags, scene.num_envs
        model = NewtonManager.get_model()
        self._gravity = wp.to_torch(model.gravity)
        self._mu = {
            name: wp.to_torch(asset._root_view.get_attribute("shape_material_mu", model))
            for name, asset in (("robot", robot), ("objects", loose))
        }
        self._nominal = {name: mu.clone() for name, mu in self._mu.items()}

    def write_gravity(self, gravity: Tensor) -> None:
        self._gravity[: self._num_envs] = gravity
        self._manager.add_model_change(self._flags.MODEL_PROPERTIES)

    def read_gravity(self) -> Tensor:
        return self._gravity[: self._num_envs].clone()

    def before_step(self) -> None:
        return

    def write_friction(self, scale: Tensor) -> None:
        for name, mu in self._mu.items():
            mu.copy_(self._nominal[name] * scale.to(mu.device).view(-1, 1, 1))
        self._manager.add_model_change(self._flags.SHAPE_PROPERTIES)

    def read_friction(self) -> dict[str, Tensor]:
        return {name: value.reshape(self._num_envs, -1).clone() for name, value in self._mu.items()}


class PhysicsControl:
    """Set and read the physics in force, world by world.

    Args:
        engine: The engine's own way to do it.
        num_envs: How many worlds there are.
        device: Torch device of the environment.
    """

    def __init__(self, engine: Engine, num_envs: int, device: str) -> None:
        self.engine, self._num_envs, self._device = engine, num_envs, device
        self._nominal_gravity = engine.read_gravity().clone()
        self._friction = engine.read_friction()
        self._scale = torch.ones(num_envs, device=device)

    @property
    def gravity(self) -> Tensor:
        """Gravity in force, as the engine has it (N, 3) [m/s^2]."""
        return self.engine.read_gravity()

    @property
    def friction(self) -> dict[str, Tensor]:
        """Friction coefficients in force, as the engine had them after the last change: asset -> (N, shapes)."""
        return {name: value.clone() for name, value in self._friction.items()}

    @property
    def friction_scale(self) -> Tensor:
        """Scale on every nominal coefficient of a world (N,)."""
        return self._scale.clone()

    @property
    def nominal_gravity(self) -> Tensor:
        """Gravity the scene was made with (N, 3) [m/s^2]."""
        return self._nominal_gravity.clone()

    def set_gravity(self, gravity: Tensor | Sequence[float], env_ids: Tensor | None = None) -> None:
        """Put a gravity in force in some worlds.

        Args:
            gravity: Vector (3,) or one a world (n, 3) [m/s^2], each at most 100 m/s^2 long.
            env_ids: Worlds (n,); all when None.

        Raises:
            ValueError: Not finite, too strong, or of the wrong shape.
        """
        ids = self._ids(env_ids)
        value = torch.as_tensor(gravity, dtype=torch.float32, device=self._device)
        if value.shape not in ((3,), (len(ids), 3)):
            raise ValueError(f"gravity.shape={tuple(value.shape)}: must be (3,) or ({len(ids)}, 3) [m/s^2]")
        if not bool(torch.isfinite(value).all()) or bool((value.norm(dim=-1) > GRAVITY_MAX).any()):
            raise ValueError(f"gravity={value.tolist()}: must be finite and at most {GRAVITY_MAX:g} m/s^2 long")
        now = self.engine.read_gravity()
        now[ids] = value
        self.engine.write_gravity(now)

    def set_friction_scale(self, scale: Tensor | float, env_ids: Tensor | None = None) -> None:
        """Scale the nominal friction of every moving body of some worlds.

        Args:
            scale: One factor or one a world (n,), in 0..10.
            env_ids: Worlds (n,); all when None.

        Raises:
            ValueError: Not finite, out of range, or of the wrong shape.
        """
        ids = self._ids(env_ids)
        value = torch.as_tensor(scale, dtype=torch.float32, device=self._device)
        if value.shape not in ((), (len(ids),)):
            raise ValueError(f"friction_scale.shape={tuple(value.shape)}: must be () or ({len(ids)},)")
        if not bool(((value >= 0.0) & (value <= FRICTION_SCALE_MAX)).all()):
            raise ValueError(f"friction_scale={value.tolist()}: must lie in 0..{FRICTION_SCALE_MAX:g}")
        if bool((self._scale[ids] == value).all()):
            return
        self._scale[ids] = value
        self.engine.write_friction(self._scale)
        self._friction = self.engine.read_friction()

    def reset(self, env_ids: Tensor | None = None) -> None:
        """Put the nominal gravity and friction back in force."""
        ids = self._ids(env_ids)
        self.set_gravity(self._nominal_gravity[ids], ids)
        self.set_friction_scale(1.0, ids)

    def before_step(self) -> None:
        """Apply what has to be applied anew each physics step."""
        self.engine.before_step()

    def _ids(self, env_ids: Tensor | None) -> Tensor:
        if env_ids is None:
            return torch.arange(self._num_envs, device=self._device)
        return torch.as_tensor(env_ids, device=self._device).long()


def make_engine(scene: InteractiveScene, manager: type, robot: Articulation, loose: RigidObjectCollection) -> Engine:
    """Physics control of the engine that runs the scene.

    Args:
        scene: The scene, its simulation started.
        manager: Isaac Lab's physics manager in charge.
        robot: The robot.
        loose: The loose objects.

    Raises:
        ValueError: The engine is none of those known.
    """
    name = manager.__name__
    if name == "OvPhysxManager":
        return OvPhysxEngine(scene, robot, loose)
    if name.startswith("Newton"):
        return NewtonEngine(scene, robot, loose)
    if name == "PhysxManager":
        from .physics_isaacsim import IsaacSimEngine

        return IsaacSimEngine(scene, robot, loose)
    raise ValueError(
        f"physics={name}: gravity and friction control is known for ovphysx, newton_mjwarp and isaacsim_physx"
    )
