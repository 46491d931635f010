"""Masses and drives through Isaac Lab's assets, which all engines have alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from isaaclab.assets import Articulation, RigidObjectCollection


class Masses:
    """Masses and inertias of the loose objects: a scaled mass keeps its shape, so its inertia scales with it."""

    def __init__(self, loose: RigidObjectCollection) -> None:
        self._loose = loose
        self._nominal = loose.data.body_mass.torch.clone()
        self._inertia_per_kg = loose.data.body_inertia.torch / self._nominal.unsqueeze(-1)
        self._size = torch.ones_like(self._nominal)

    def set_nominal(self, masses: Tensor, env_ids: Tensor) -> None:
        """What the objects of some worlds weigh at scale 1 (n, B) [kg]; in force after the next :meth:`write`.

        Where each is there in several sizes, they weigh the same.
        """
        self._nominal[env_ids] = masses.to(self._nominal).repeat(1, self._nominal.shape[1] // masses.shape[1])

    def resize(self, scale: Tensor) -> None:
        """Say by which factors bodies have grown (N, B): a mass spread out has more inertia."""
        self._size = scale.to(self._nominal)

    def write(self, scale: Tensor) -> None:
        """Scale the nominal masses of each world (N,)."""
        masses = self._nominal * scale.to(self._nominal.device).view(-1, 1)
        self._loose.set_masses_index(masses=masses)
        spread = masses * self._size.square()
        self._loose.set_inertias_index(inertias=self._inertia_per_kg * spread.unsqueeze(-1))


class Drives:
    """Gains and effort limits of the robot's joints."""

    def __init__(self, robot: Articulation) -> None:
        self._robot, data = robot, robot.data
        self._stiffness, self._damping = data.joint_stiffness.torch.clone(), data.joint_damping.torch.clone()
        self._limit = data.joint_effort_limits.torch.clone()

    def write(self, scale: Tensor) -> None:
        """Scale what the drives can do in each world (N,)."""
        factor = scale.to(self._damping.device).view(-1, 1)
        self._robot.write_joint_stiffness_to_sim_index(stiffness=self._stiffness * factor)
        self._robot.write_joint_damping_to_sim_index(damping=self._damping * factor)
        self._robot.write_joint_effort_limit_to_sim_index(limits=self._limit * factor)
