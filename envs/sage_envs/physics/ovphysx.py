"""Physics control on OvPhysX: forces for gravity, tensor bindings for materials, masses and drives."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Any

import torch
import warp as wp
from torch import Tensor

from .assets import Drives, Masses
from .knobs import MATERIAL

if TYPE_CHECKING:
    from isaaclab.assets import Articulation, RigidObjectCollection
    from isaaclab.scene import InteractiveScene


class OvPhysxEngine:
    """See :class:`sage_envs.physics.engine.Engine`."""

    name = "ovphysx"
    cannot: Mapping[str, str] = {}

    def __init__(self, scene: InteractiveScene, robot: Articulation, loose: RigidObjectCollection) -> None:
        import isaaclab_ov.tensor_types as tt
        from isaaclab_ov.physics import OvPhysxManager
        from isaaclab_ov.sim.views.ovphysx_view import OvPhysxView

        self._manager, self._num_envs, self._types = OvPhysxManager, scene.num_envs, tt
        physx = OvPhysxManager.get_physx_instance()
        self._robot, self._loose = robot, loose
        loose_paths = [f"{env}/{name}" for env in scene.env_prim_paths for name in loose.body_names]
        names = [f"robot/{link}" for link in robot.body_names] + list(loose.body_names)
        paths = [f"{env}/{name}" for env in scene.env_prim_paths for name in names]
        # A wrench with its place: the plainer force makes the runtime warn at each write.
        self._bodies = physx.create_tensor_binding(prim_paths=paths, tensor_type=tt.TensorType.RIGID_BODY_WRENCH)
        self._extra = torch.zeros(scene.num_envs, 3, device=scene.device)
        # Force, torque and where the force acts, of each body.
        self._wrench = torch.zeros(scene.num_envs, len(names), 9, device=scene.device)
        self._active = False
        self._physx, self._loose_paths = physx, loose_paths
        # Which loose bodies have weight, and where that is written; made when some have none.
        self._weight: Tensor | None = None
        self._weightless: Any = None
        self.masses, self._drives = Masses(loose), Drives(robot)
        self._objects = OvPhysxView(physx, prim_paths=loose_paths, device=str(scene.device))
        material = tt.TensorType.RIGID_BODY_SHAPE_FRICTION_AND_RESTITUTION
        self._materials = {
            "objects": (self._objects, material),
            "robot": (robot.root_view, tt.TensorType.ARTICULATION_SHAPE_FRICTION_AND_RESTITUTION),
        }
        self._nominal = {name: self._material(name).clone() for name in self._materials}
        # A write gives bodies materials of their own, whose contacts with each other combine by the
        # average. Done once at once, so that a world is the same before and after its first change.
        self._write_materials([torch.ones(scene.num_envs)] * len(MATERIAL))

    def write(self, changed: Set[str], values: Mapping[str, Tensor]) -> None:
        """See :class:`sage_envs.physics.engine.Engine`."""
        if changed & set(MATERIAL):
            self._write_materials([values[name] for name in MATERIAL])
        if "strength_scale" in changed:
            self._drives.write(values["strength_scale"])
        if "mass_scale" in changed:
            self.masses.write(values["mass_scale"])
        if changed & {"gravity", "mass_scale"}:
            self._extra = values["gravity"] - self._scene_gravity()
            self._active = bool(self._extra.any())
            masses = [a.data.body_mass.torch.reshape(self._num_envs, -1) for a in (self._robot, self._loose)]
            if self._weight is not None:
                masses[1] = masses[1] * self._weight
            mass = torch.cat(masses, dim=1).to(self._extra.device)
            self._wrench[..., :3] = mass.unsqueeze(-1) * self._extra.unsqueeze(1)

    def read(self, knob: str) -> dict[str, Tensor]:
        """See :class:`sage_envs.physics.engine.Engine`."""
        if knob == "gravity":
            return {"world": self._scene_gravity() + self._extra}
        if knob in MATERIAL:
            found = {name: self._material(name)[..., MATERIAL.index(knob)] for name in self._materials}
        elif knob == "mass_scale":
            masses = wp.to_torch(self._objects.get_attribute(self._types.TensorType.RIGID_BODY_MASS))
            found = {"objects": masses.reshape(self._num_envs, -1)}
        else:
            limits = wp.to_torch(self._robot.root_view.get_attribute(self._types.DOF_MAX_FORCE))
            found = {"robot": limits.reshape(self._num_envs, -1)}
        # The engine keeps these on the CPU, whatever the scene runs on.
        return {name: value.to(self._extra.device, copy=True) for name, value in found.items()}

    def resize(self, scale: Tensor, largest: float) -> None:
        """Nothing: shapes are cooked, objects are there in each size; see :meth:`hold`."""

    def hold(self, parked: Tensor) -> None:
        """See :class:`sage_envs.physics.engine.Engine`."""
        if self._weightless is None:
            kind = self._types.TensorType.RIGID_BODY_DISABLE_GRAVITY
            self._weightless = self._physx.create_tensor_binding(prim_paths=self._loose_paths, tensor_type=kind)
        flags = parked.to(torch.uint8).cpu().contiguous().view(-1)
        self._weightless.write(wp.from_torch(flags))
        self._weight = (~parked).float()

    def before_step(self) -> None:
        """Apply the gravity that differs from the scene's."""
        if self._active:
            places = (self._robot.data.body_com_pos_w.torch, self._loose.data.body_com_pos_w.torch)
            self._wrench[..., 6:] = torch.cat(places, dim=1)
            self._bodies.write(wp.from_torch(self._wrench.view(-1, 9)))

    def _scene_gravity(self) -> Tensor:
        return torch.tensor(self._manager.get_gravity(), device=self._extra.device)

    def _material(self, name: str) -> Tensor:
        """Static and dynamic friction and restitution of an asset's shapes (N, shapes, 3)."""
        view, kind = self._materials[name]
        return wp.to_torch(view.get_attribute(kind)).view(self._num_envs, -1, 3)

    def _write_materials(self, scales: list[Tensor]) -> None:
        for name, (view, kind) in self._materials.items():
            materials = view.get_attribute(kind)
            rows = wp.to_torch(materials).view(self._num_envs, -1, 3)
            rows[:] = self._nominal[name] * torch.stack(scales, dim=1).to(rows.device).unsqueeze(1)
            # More than all of its speed no body has left after a bounce.
            rows[..., 2].clamp_(max=1.0)
            view.set_attribute(kind, materials)
