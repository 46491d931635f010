"""Physics control on PhysX inside Isaac Sim.

Written against Isaac Lab 3.0's PhysX views; it needs a full Isaac Sim and has not been run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import warp as wp
from torch import Tensor

if TYPE_CHECKING:
    from isaaclab.assets import Articulation, RigidObjectCollection
    from isaaclab.scene import InteractiveScene


class IsaacSimEngine:
    """PhysX in Kit: scene-wide gravity, forces for the worlds that differ, material buffers for friction."""

    name = "isaacsim_physx"

    def __init__(self, scene: InteractiveScene, robot: Articulation, loose: RigidObjectCollection) -> None:
        n, device = scene.num_envs, scene.device
        self._num_envs, self._views = n, {"robot": robot.root_view, "objects": loose.root_view}
        self._scene_gravity = torch.tensor(scene.sim.cfg.gravity, device=device)
        self._extra = torch.zeros(n, 3, device=device)
        # Articulations list their links world by world, collections their worlds body by body.
        self._mass = {
            "robot": robot.data.body_mass.torch.reshape(n, -1, 1).to(device),
            "objects": loose.data.body_mass.torch.reshape(n, -1, 1).to(device),
        }
        self._index = {
            "robot": wp.from_torch(torch.arange(n, dtype=torch.int32, device=device)),
            "objects": wp.from_torch(torch.arange(n * loose.num_bodies, dtype=torch.int32, device=device)),
        }
        self._nominal = {k: wp.to_torch(v.get_material_properties()).clone() for k, v in self._views.items()}

    def write_gravity(self, gravity: Tensor) -> None:
        self._extra = gravity - self._scene_gravity

    def read_gravity(self) -> Tensor:
        return self._scene_gravity + self._extra

    def before_step(self) -> None:
        if not bool(self._extra.any()):
            return
        for name, view in self._views.items():
            force = self._mass[name] * self._extra.unsqueeze(1)
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

    def write_friction(self, scale: Tensor) -> None:
        for name, view in self._views.items():
            values = self._nominal[name].clone()
            worlds = scale.to(values.device)
            factor = worlds if name == "robot" else worlds.repeat(len(values) // self._num_envs)
            values[..., :2] *= factor.view(-1, 1, 1)
            rows = torch.arange(len(values), dtype=torch.int32, device=values.device)
            view.set_material_properties(wp.from_torch(values), wp.from_torch(rows))

    def read_friction(self) -> dict[str, Tensor]:
        return {
            name: self._by_world(name, wp.to_torch(view.get_material_properties()))[..., 1].clone()
            for name, view in self._views.items()
        }
