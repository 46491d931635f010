"""Physics control on PhysX inside Isaac Sim.

Written against Isaac Lab 3.0's PhysX views; it needs a full Isaac Sim and has not been run.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING

import torch
import warp as wp
from torch import Tensor

from .assets import Drives, Masses
from .knobs import MATERIAL, SIZE

if TYPE_CHECKING:
    from isaaclab.assets import Articulation, RigidObjectCollection
    from isaaclab.scene import InteractiveScene


class IsaacSimEngine:
    """PhysX in Kit: scene-wide gravity, forces for the worlds that differ, material buffers for the rest."""

    name = "isaacsim_physx"
    cannot: Mapping[str, str] = {SIZE: "not written for this engine; use physics=ovphysx or newton_mjwarp"}

    def __init__(self, scene: InteractiveScene, robot: Articulation, loose: RigidObjectCollection) -> None:
        n, device = scene.num_envs, scene.device
        self._num_envs, self._views = n, {"robot": robot.root_view, "objects": loose.root_view}
        self._scene_gravity = torch.tensor(scene.sim.cfg.gravity, device=device)
        self._extra = torch.zeros(n, 3, device=device)
        self.masses, self._drives = Masses(loose), Drives(robot)
        self._assets = {"robot": robot, "objects": loose}
        # Articulations list their links world by world, collections their worlds body by body.
        self._index = {
            "robot": wp.from_torch(torch.arange(n, dtype=torch.int32, device=device)),
            "objects": wp.from_torch(torch.arange(n * loose.num_bodies, dtype=torch.int32, device=device)),
        }
        self._nominal = {k: wp.to_torch(v.get_material_properties()).clone() for k, v in self._views.items()}

    def write(self, changed: Set[str], values: Mapping[str, Tensor]) -> None:
        """See :class:`sage_envs.physics.engine.Engine`."""
        if "gravity" in changed:
            self._extra = values["gravity"] - self._scene_gravity
        if changed & set(MATERIAL):
            self._write_materials(torch.stack([values[name] for name in MATERIAL], dim=1))
        if "mass_scale" in changed:
            self.masses.write(values["mass_scale"])
        if "strength_scale" in changed:
            self._drives.write(values["strength_scale"])

    def read(self, knob: str) -> dict[str, Tensor]:
        """See :class:`sage_envs.physics.engine.Engine`."""
        if knob == "gravity":
            return {"world": self._scene_gravity + self._extra}
        if knob in MATERIAL:
            column = MATERIAL.index(knob)
            rows = {name: wp.to_torch(view.get_material_properties()) for name, view in self._views.items()}
            return {name: self._by_world(name, values)[..., column].clone() for name, values in rows.items()}
        if knob == "mass_scale":
            masses = wp.to_torch(self._views["objects"].get_masses())
            return {"objects": masses.reshape(-1, self._num_envs).transpose(0, 1).clone()}
        limits = wp.to_torch(self._views["robot"].get_dof_max_forces())
        return {"robot": limits.reshape(self._num_envs, -1).clone()}

    def resize(self, scale: Tensor, largest: float) -> None:
        """Never called: see :attr:`cannot`."""
        raise NotImplementedError(self.cannot[SIZE])

    def hold(self, parked: Tensor) -> None:
        """Never called: see :attr:`cannot`."""
        raise NotImplementedError(self.cannot[SIZE])

    def before_step(self) -> None:
        """Apply the gravity that differs from the scene's."""
        if not bool(self._extra.any()):
            return
        for name, view in self._views.items():
            mass = self._assets[name].data.body_mass.torch.reshape(self._num_envs, -1, 1).to(self._extra.device)
            force = mass * self._extra.unsqueeze(1)
            if name == "objects":
                force = force.transpose(0, 1)
            view.apply_forces_and_torques_at_position(
                force_data=wp.from_torch(force.reshape(-1, 3).contiguous()).flatten(),
                torque_data=None,
                position_data=None,
                indices=self._index[name],
                is_global=True,
            )

    def _by_world(self, name: str, values: Tensor) -> Tensor:
        """Material rows as (N, shapes, 3)."""
        if name == "robot":
            return values.reshape(self._num_envs, -1, 3)
        return values.reshape(-1, self._num_envs, values.shape[-2], 3).transpose(0, 1).flatten(1, 2)

    def _write_materials(self, scales: Tensor) -> None:
        for name, view in self._views.items():
            values = self._nominal[name].clone()
            worlds = scales.to(values.device)
            factor = worlds if name == "robot" else worlds.repeat(len(values) // self._num_envs, 1)
            values *= factor.unsqueeze(1)
            values[..., 2].clamp_(max=1.0)
            rows = torch.arange(len(values), dtype=torch.int32, device=values.device)
            view.set_material_properties(wp.from_torch(values), wp.from_torch(rows))
