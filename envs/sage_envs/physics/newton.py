"""Physics control on Newton: one gravity a world and one friction a shape, in the model."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING

import warp as wp
from torch import Tensor

from .assets import Drives, Masses
from .engine import SIZE

if TYPE_CHECKING:
    from isaaclab.assets import Articulation, RigidObjectCollection
    from isaaclab.scene import InteractiveScene

LEAST = 1e-5


class NewtonEngine:
    """See :class:`sage_envs.physics.engine.Engine`."""

    name = "newton_mjwarp"
    cannot: Mapping[str, str] = {
        "size_scale": SIZE,
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

    def before_step(self) -> None:
        """Nothing: the model says it all."""
