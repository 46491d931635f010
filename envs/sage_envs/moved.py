"""Bodies that nothing but a task moves, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from isaaclab.assets import RigidObjectCollection


class Moved:
    """Kinematic bodies whose poses are written before each physics step.

    Args:
        bodies: The bodies.
        num_worlds: Parallel worlds.
        device: Where the poses are.

    Attributes:
        pose: Where they are to be in the simulation's frame (N, P, 7) [m], xyzw; to be written into in place.
    """

    def __init__(self, bodies: RigidObjectCollection, num_worlds: int, device: str | torch.device) -> None:
        self._bodies, count = bodies, len(bodies.body_names)
        # Body by body, as OvPhysX has them: what lies there needs no sorting at each step.
        rows = torch.zeros(count * num_worlds, 7, device=device)
        self.pose = rows.view(count, num_worlds, 7).transpose(0, 1)
        self._rows, self._binding = rows, _binding(bodies, rows)

    def write(self) -> None:
        """Move all of them, before a physics step; nothing is told about it but the engine."""
        if self._binding is not None:
            self._binding.write(self._rows)
        else:
            self._bodies.write_body_link_pose_to_sim_index(body_poses=self.pose.contiguous())

    def put(self, env_ids: Tensor) -> None:
        """Move those of some worlds, which may be looked at before physics steps.

        Args:
            env_ids: Worlds (n,).
        """
        self._bodies.write_body_link_pose_to_sim_index(body_poses=self.pose[env_ids], env_ids=env_ids.int())


def _binding(bodies: RigidObjectCollection, rows: Tensor) -> Any:
    """OvPhysX's own way in, where it is the engine and takes the rows as they are."""
    from isaaclab_ov.sim.views.ovphysx_view import OvPhysxView
    from isaaclab_ov.tensor_types import TensorType

    if not isinstance(bodies.root_view, OvPhysxView):
        return None
    binding = bodies.root_view.binding_for(TensorType.RIGID_BODY_POSE)
    return binding if tuple(binding.shape) == tuple(rows.shape) else None
