"""Loose objects seen in other sizes than they have, which nothing but the picture tells of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import warp as wp
from isaaclab.utils.math import quat_apply_inverse
from torch import Tensor

from .engines import resizes
from .physics import KNOBS, SIZE

if TYPE_CHECKING:
    from .sage_env import SageEnv


class ApparentSizes:
    """Sizes in the ray caster's model, which is not that of the physics.

    Args:
        env: The environment, its simulation started.

    Raises:
        ValueError: The renderer is not the ray caster, or the physics engine shares its model.
    """

    def __init__(self, env: SageEnv) -> None:
        renderer = env.scene["camera"]._renderer
        backend: Any = getattr(renderer, "backend", None)
        if backend is None or not hasattr(renderer, "newton_sensor"):
            raise ValueError(f"show_sizes: {type(renderer).__name__} cannot be told; use renderer=newton_renderer")
        if resizes(env.cfg.sim.physics):
            raise ValueError("show_sizes: what is seen is what there is on newton_mjwarp; use physics=ovphysx")
        self._env, self._backend, model = env, backend, backend.model
        rows = {str(label).split("/geometry")[0]: row for row, label in enumerate(model.shape_label)}
        names = env.scene["objects"].body_names
        paths = [[f"{world}/{name}" for name in names] for world in env.scene.env_prim_paths]
        self._shape = torch.tensor([[rows[path] for path in world] for world in paths], device=env.device)
        self._size, self._place = wp.to_torch(model.shape_scale), wp.to_torch(model.shape_transform)
        self._made, self._middle = self._size[self._shape].clone(), self._place[self._shape].clone()
        self.scale = torch.ones_like(env.sizes.scale)
        """Factors on the sizes that objects have (N, B)."""

    def put(self, scale: Tensor | None, env_ids: Tensor | None) -> None:
        """See :meth:`sage_envs.sage_env.SageEnv.show_sizes`."""
        knob = KNOBS[SIZE]
        if scale is None:
            self.scale[:] = 1.0
        else:
            if not bool(((scale >= knob.low) & (scale <= knob.high)).all()):
                raise ValueError(f"show_sizes={scale.tolist()}: each must {knob.span}")
            self.scale[slice(None) if env_ids is None else env_ids] = scale.to(self.scale)
        # An object there in several sizes looks as much larger in each of them.
        copies = self.scale.repeat(1, self._made.shape[1] // self.scale.shape[1]).unsqueeze(-1)
        self._size[self._shape] = self._made * copies

    def place(self) -> None:
        """Let what looks larger or smaller stand where it stands: to be called before each picture."""
        env = self._env
        pose = env.loose.data.body_link_pose_w.torch
        lift = torch.zeros_like(pose[..., :3])
        lift[..., 2] = (self.scale - 1.0) * env.sizes.scale * env.sizes.reach_down(pose[..., 3:])
        shift = quat_apply_inverse(pose[..., 3:].contiguous(), lift)
        places = self._middle.clone()
        places[..., :3] += shift.repeat(1, places.shape[1] // shift.shape[1], 1)
        self._place[self._shape] = places
        # The renderer does so itself only where bodies have moved.
        self._backend.model.bvh_refit_shapes(self._backend.state_0)
