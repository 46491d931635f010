"""Physics control on Newton: one gravity a world and one friction a shape, in the model."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING

import warp as wp
from torch import Tensor

from .assets import Drives, Masses

if TYPE_CHECKING:
    from isaaclab.assets import Articulation, RigidObjectCollection
    from isaaclab.scene import InteractiveScene

LEAST = 1e-5


class NewtonEngine:
    """See :class:`sage_envs.physics.engine.Engine`."""

    name = "newton_mjwarp"
    cannot: Mapping[str, str] = {
        "static_friction_scale": "a shape has one coefficient; set dynamic_friction_scale",
        "restitution_scale": "MuJoCo's contacts know no restitution; use physics=ovphysx",
    }

    def __init__(self, scene: InteractiveScene, robot: Articulation, loose: RigidObjectCollection) -> None:
        from isaaclab_newton.physics import NewtonManager
        from newton import ModelFlags

        self._manager, self._flags, self._num_envs = NewtonManager, ModelFlags, scene.num_envs
        self._robot, self._loose, self._model = robot, loose, NewtonManager.get_model()
        self._gravity = wp.to_torch(self._model.gravity)
        self.masses, self._drives = Masses(loose), Drives(robot)
        self._mu = {
            name: wp.to_torch(asset._root_view.get_attribute("shape_material_mu", self._model))
            for name, asset in (("robot", robot), ("objects", loose))
        }
        self._nominal = {name: mu.clone() for name, mu in self._mu.items()}
        self._shape = wp.to_torch(loose._root_view.get_attribute("shape_scale", self._model))
        self._made: Tensor | None = None

    def write(self, changed: Set[str], values: Mapping[str, Tensor]) -> None:
        """See :class:`sage_envs.physics.engine.Engine`."""
        if "gravity" in changed:
            self._gravity[: self._num_envs] = values["gravity"]
            self._manager.add_model_change(self._flags.MODEL_PROPERTIES)
        if "dynamic_friction_scale" in changed:
            for name, mu in self._mu.items():
                scaled = self._nominal[name] * values["dynamic_friction_scale"].to(mu.device).view(-1, 1, 1)
                # MuJoCo's contacts may turn into not-a-number with less.
                mu.copy_(scaled.clamp(min=LEAST))
            self._manager.add_model_change(self._flags.SHAPE_PROPERTIES)
        if "mass_scale" in changed:
            self.masses.write(values["mass_scale"])
        if "strength_scale" in changed:
            self._drives.write(values["strength_scale"])

    def read(self, knob: str) -> dict[str, Tensor]:
        """See :class:`sage_envs.physics.engine.Engine`."""
        if knob == "gravity":
            return {"world": self._gravity[: self._num_envs].clone()}
        if knob == "dynamic_friction_scale":
            return {name: value.reshape(self._num_envs, -1).clone() for name, value in self._mu.items()}
        asset, name, attribute = {
            "mass_scale": (self._loose, "objects", "body_mass"),
            "strength_scale": (self._robot, "robot", "joint_effort_limit"),
        }[knob]
        value = wp.to_torch(asset._root_view.get_attribute(attribute, self._model))
        return {name: value.reshape(self._num_envs, -1).clone()}

    def resize(self, scale: Tensor, largest: float) -> None:
        """See :class:`sage_envs.physics.engine.Engine`."""
        if self._made is None:
            self._made = self._shape.clone()
            self._widen(largest)
        self._shape.copy_(self._made * scale.to(self._made).view(*scale.shape, *[1] * (self._made.dim() - 2)))
        self.masses.resize(scale)
        self._manager.add_model_change(self._flags.SHAPE_PROPERTIES)

    def _widen(self, largest: float) -> None:
        """Have the broad phase, which the solver does not tell of sizes, expect the largest."""
        solver, names = self._manager._solver, set(self._loose.body_names)
        shapes = wp.to_torch(solver.mjc_geom_to_newton_shape)[0].tolist()
        ours = [g for g, s in enumerate(shapes) if s >= 0 and names & set(str(self._model.shape_label[s]).split("/"))]
        wp.to_torch(solver.mjw_model.geom_rbound)[:, ours] *= largest
        # Of a box: its middle and half its edges.
        wp.to_torch(solver.mjw_model.geom_aabb)[:, ours, 1] *= largest

    def hold(self, parked: Tensor) -> None:
        """Nothing: each object is there once; see :meth:`resize`."""

    def before_step(self) -> None:
        """Nothing: the model says it all."""
