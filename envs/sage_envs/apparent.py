"""Loose objects seen otherwise than they are, in other sizes, colours or places: nothing but the picture tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import warp as wp
from isaaclab.utils.math import quat_apply, quat_apply_inverse, quat_conjugate, quat_mul
from torch import Tensor

from .physics import KNOBS, SIZE

if TYPE_CHECKING:
    from .sage_env import SageEnv


class Appearance:
    """What the ray caster's model shows, which is not that of the physics.

    Args:
        env: The environment, its simulation started.

    Attributes:
        scale: Factors on the sizes that objects have (N, B).
        elsewhere: Poses at which objects are shown (N, B, 7), in the scene's frame.
        moved: Which objects are shown there (N, B) bool.

    Raises:
        ValueError: The renderer is not the ray caster, or the physics engine shares its model.
    """

    def __init__(self, env: SageEnv) -> None:
        renderer = env.scene["camera"]._renderer
        backend: Any = getattr(renderer, "backend", None)
        if backend is None or not hasattr(renderer, "newton_sensor"):
            name = type(renderer).__name__
            mend = "use renderer=newton_renderer, or sleep.variations.rearranged.size=[1,1]"
            raise ValueError(f"show_sizes: {name} cannot be told; {mend}")
        if not env.feigns:
            raise ValueError("show_sizes: what is seen is what there is on newton_mjwarp; use physics=ovphysx")
        self._env, self._backend, model = env, backend, backend.model
        rows = {str(label).split("/geometry")[0]: row for row, label in enumerate(model.shape_label)}
        names = env.scene["objects"].body_names
        paths = [[f"{world}/{name}" for name in names] for world in env.scene.env_prim_paths]
        self._shape = torch.tensor([[rows[path] for path in world] for world in paths], device=env.device)
        self._size, self._place = wp.to_torch(model.shape_scale), wp.to_torch(model.shape_transform)
        self._colors = wp.to_torch(model.shape_color)
        self._made, self._middle = self._size[self._shape].clone(), self._place[self._shape].clone()
        self.scale = torch.ones_like(env.sizes.scale)
        self.elsewhere = torch.zeros(*self.scale.shape, 7, device=env.device)
        self.moved = torch.zeros_like(self.scale, dtype=torch.bool)

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
        self._size[self._shape] = self._made * self._copied(self.scale).unsqueeze(-1)

    def colors(self) -> Tensor:
        """Colours of the objects (N, B, 3), sRGB in 0..1."""
        return self._colors[self._shape[:, : self.scale.shape[1]]].clone()

    def paint(self, colors: Tensor) -> None:
        """Give the objects colours (N, B, 3), sRGB in 0..1, until something else does."""
        self._colors[self._shape] = self._copied(colors.to(self._colors))

    def _copied(self, values: Tensor) -> Tensor:
        """Values of each object (N, B, ...) as of each in each size it can have (N, K * B, ...)."""
        many = self._shape.shape[1] // values.shape[1]
        return values.repeat(1, many, *[1] * (values.dim() - 2))

    def place(self) -> None:
        """Let what looks larger or smaller stand where it stands: to be called before each picture."""
        env = self._env
        pose = env.loose.data.body_link_pose_w.torch
        turn = pose[..., 3:].contiguous()
        lift = torch.zeros_like(pose[..., :3])
        lift[..., 2] = (self.scale - 1.0) * env.sizes.scale * env.sizes.reach_down(turn)
        shift, spin = quat_apply_inverse(turn, lift), torch.zeros_like(turn)
        spin[..., 3] = 1.0
        if bool(self.moved.any()):
            there = self.elsewhere[..., :3] + lift - pose[..., :3]
            moved = self.moved.unsqueeze(-1)
            shift = torch.where(moved, quat_apply_inverse(turn, there.contiguous()), shift)
            turned = quat_mul(quat_conjugate(turn), self.elsewhere[..., 3:].contiguous())
            spin = torch.where(moved, turned, spin)
        shift, spin, places = self._copied(shift), self._copied(spin), self._middle.clone()
        places[..., :3] = shift + quat_apply(spin, self._middle[..., :3].contiguous())
        places[..., 3:] = quat_mul(spin, self._middle[..., 3:].contiguous())
        self._place[self._shape] = places
        # The renderer does so itself only where bodies have moved.
        self._backend.model.bvh_refit_shapes(self._backend.state_0)
