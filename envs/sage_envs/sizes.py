"""Sizes of the loose objects, world by world, chosen from those the scene was made with.

Newton reads the size of a shape at each step, so there it is written. PhysX cooks shapes when the scene is made: there
each object is spawned once in each size (:mod:`.copies`), and the copy of another size takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from isaaclab.assets import RigidObjectCollection
from isaaclab.utils.math import quat_apply_inverse
from torch import Tensor

from .physics import KNOBS, SIZE
from .room import Thing


def spawned(object_sizes: Sequence[float]) -> tuple[float, ...]:
    """The sizes a scene is made with, 1 first.

    Args:
        object_sizes: As in :attr:`sage_envs.sage_env_cfg.SageEnvCfg.object_sizes`.

    Raises:
        ValueError: One is out of range or named twice, or 1 is missing.
    """
    knob, sizes = KNOBS[SIZE], tuple(float(size) for size in object_sizes)
    told = f"object_sizes={list(sizes)}"
    if any(not knob.low <= size <= knob.high for size in sizes):
        raise ValueError(f"{told}: each must {knob.span}")
    if 1.0 not in sizes or len(set(sizes)) < len(sizes):
        raise ValueError(f"{told}: must name each size once, and 1 among them; set object_sizes=[0.5,1,2]")
    return (1.0, *(size for size in sizes if size != 1.0))


class Sizes:
    """Which size each loose object has.

    Args:
        loose: The loose objects as a task knows them, each once.
        things: What they are, of size 1.
        options: Sizes they can have, from :func:`spawned`.
        resize: Called when sizes have changed; has the engine follow.

    Attributes:
        options: Factors on what the scene was made with.
        index: Which of them each object has (N, B).
        half_height: Half the heights of the objects when upright (N, B) [m].
    """

    def __init__(
        self,
        loose: RigidObjectCollection,
        things: Sequence[Thing],
        options: tuple[float, ...],
        resize: Callable[[Sizes], None],
    ) -> None:
        self._loose, self._resize, self.options = loose, resize, options
        device = loose.device
        self._factors = torch.tensor(options, device=device)
        self.index = torch.zeros(loose.num_instances, len(things), dtype=torch.long, device=device)
        self._half_heights = torch.tensor([t.height / 2 for t in things], device=device)
        self.half_height = self._half_heights.repeat(loose.num_instances, 1)
        self._edges = torch.tensor([(2 * t.radius, 2 * t.radius, t.height) for t in things], device=device)
        self._box = torch.tensor([t.kind == "box" for t in things], device=device)
        self._ball = torch.tensor([t.kind == "ball" for t in things], device=device)

    @property
    def scale(self) -> Tensor:
        """Factor on the size of each object (N, B)."""
        return self._factors[self.index]

    @property
    def edges(self) -> Tensor:
        """Edges of the upright boxes that just hold the objects (N, B, 3) [m]."""
        return self._edges * self.scale.unsqueeze(-1)

    def find(self, scale: Tensor) -> Tensor:
        """Which of :attr:`options` some factors are, of the same shape.

        Raises:
            ValueError: One is none of them.
        """
        off = (scale.to(self._factors).unsqueeze(-1) / self._factors - 1.0).abs()
        if bool((off.amin(dim=-1) > 1e-4).any()):
            known = ", ".join(f"{size:g}" for size in sorted(self.options))
            raise ValueError(f"{SIZE}={scale.tolist()}: must be of {known}; name others in task.object_sizes")
        return off.argmin(dim=-1)

    def put(self, index: Tensor, env_ids: Tensor) -> None:
        """Give the objects of some worlds their sizes; each stays where its lowest point is, as fast as it was.

        Args:
            index: Numbers of :attr:`options` (n, B).
            env_ids: Worlds (n,).
        """
        moved = (index != self.index[env_ids]).any(dim=1)
        if not bool(moved.any()):
            return
        index, env_ids = index[moved], env_ids[moved]
        pose = self._loose.data.body_link_pose_w.torch[env_ids].clone()
        velocity = self._loose.data.body_com_vel_w.torch[env_ids].clone()
        grown = self._factors[index] - self._factors[self.index[env_ids]]
        pose[..., 2] += grown * self.reach_down(pose[..., 3:])
        self.index[env_ids] = index
        self.half_height.copy_(self._half_heights * self.scale)
        self._resize(self)
        rows = env_ids.int()
        self._loose.write_body_link_pose_to_sim_index(body_poses=pose, env_ids=rows)
        self._loose.write_body_com_velocity_to_sim_index(body_velocities=velocity, env_ids=rows)

    def reach_down(self, quat: Tensor) -> Tensor:
        """From the centres of objects of size 1, turned by quaternions (n, B, 4), to their lowest points (n, B) [m]."""
        up = torch.zeros_like(quat[..., :3])
        up[..., 2] = 1.0
        along, half = quat_apply_inverse(quat.contiguous(), up).abs(), 0.5 * self._edges
        box = (along * half).sum(dim=-1)
        across = along[..., :2].norm(dim=-1)
        cylinder = along[..., 2] * half[:, 2] + across * half[:, 0]
        return torch.where(self._ball, half[:, 0], torch.where(self._box, box, cylinder))

    def spread(self, values: Tensor) -> Tensor:
        """Values of each object (N, B, ...) as of each in each size (N, K * B, ...), 0 where a size is not in force."""
        if len(self.options) == 1:
            return values
        n, count = self.index.shape
        out = values.new_zeros(n, len(self.options), *values.shape[1:])
        row = torch.arange(n, device=values.device).unsqueeze(1)
        out[row, self.index, torch.arange(count, device=values.device)] = values
        return out.flatten(1, 2)
