"""A camera's pictures by the rays of :mod:`sage_envs.rays`, where everything in the scene is known there."""

from __future__ import annotations

from typing import Any

import numpy as np
import warp as wp
from newton import GeoType
from newton.sensors import SensorTiledCamera
from newton.utils import ColorSpace

from .rays import TILE, bound_tiles, cast_tiles, list_shapes

SHAPES = ("PLANE", "SPHERE", "BOX", "CAPSULE", "CYLINDER", "CONE", "ELLIPSOID")
"""Shapes that are known here."""


class Tiles:
    """A camera's pictures, cast tile by tile.

    Args:
        sensor: Newton's camera.
        render_data: What Isaac Lab's renderer keeps for this camera.
    """

    def __init__(self, sensor: SensorTiledCamera, render_data: Any) -> None:
        self._sensor, self._data = sensor, render_data
        model, rays = sensor.model, render_data.camera_rays
        self._tree = model.bvh_shapes
        enabled = model.bvh_shape_enabled.numpy()[: model.bvh_shape_count_enabled]
        world = model.shape_world.numpy()[enabled]
        worlds, most = model.world_count, int(np.bincount(world[world >= 0], minlength=1).max() + (world < 0).sum())
        self._known = set(model.shape_type.numpy()[enabled].tolist()) <= {int(GeoType[name]) for name in SHAPES}
        self._across, down = -(-rays.shape[2] // TILE), -(-rays.shape[1] // TILE)
        self._each = self._across * down

        def room(shape: tuple[int, ...], dtype: Any) -> wp.array:
            return wp.empty(shape, dtype=dtype, device=rays.device)

        self._shapes = [room((worlds, most), dtype) for dtype in (wp.int32, wp.vec3f, wp.vec3f, wp.vec3f)]
        self._shapes.append(room((worlds,), wp.int32))
        self._bounds = room((self._each,), wp.vec4f)
        self._near = room((worlds * self._each, most), wp.int32)
        self._counter = room((1,), wp.int32)
        wp.launch(bound_tiles, self._each, [rays, self._across, self._bounds], device=rays.device)

    def ready(self) -> bool:
        """List what is in each world now.

        Returns:
            Whether everything in the scene is known here; if not, nothing was done.
        """
        model, config, out = self._sensor.model, self._sensor.default_render_config, self._data.outputs
        context = _context(self._sensor)
        lights = context.lights_type
        if (
            not self._known
            or self._data.camera_rays.shape[0] != 1
            or out.color_image is None
            or any(image is not None for image in (out.hdr_color_image, out.albedo_image, out.normals_image))
            or config.enable_textures
            or config.enable_shadows
            or not config.enable_global_world
            or config.output_color_space != ColorSpace.SRGB
            or context.has_particles
            or context.has_triangle_mesh
            or context.gaussians_count_total
            or lights is None
            or (lights.numpy() != SensorTiledCamera.RenderLightType.DIRECTIONAL).any()
        ):
            return False
        self._counter.zero_()
        tree = self._tree
        wp.launch(
            list_shapes,
            model.world_count,
            [
                tree.id,
                model.bvh_shapes_group_roots,
                model.bvh_shape_enabled,
                tree.lowers,
                tree.uppers,
                model.shape_color,
            ],
            self._shapes,
            device=model.device,
        )
        return True

    def cast(self) -> None:
        """Cast tiles until none is left, into the renderer's buffers; many threads may do so at the same time."""
        model, config, data = self._sensor.model, self._sensor.default_render_config, self._data
        context, out = _context(self._sensor), data.outputs
        wp.launch(
            cast_tiles,
            1,
            [
                *(self._counter, self._across, self._each, float(config.max_distance)),
                *(data.camera_rays, self._bounds, data.camera_transforms, *self._shapes),
                *(model.shape_type, model.shape_scale, model.bvh_shape_world_transforms),
                *(context.lights_active, context.lights_orientation),
                *(config.enable_ambient_lighting, config.enable_backface_culling, wp.uint32(data.clear_color)),
            ],
            [self._near, out.color_image, out.depth_image, out.forward_depth_image, out.shape_index_image],
            device=model.device,
        )


def _context(sensor: SensorTiledCamera) -> Any:
    """What a camera renders with: lights can only be found there."""
    return sensor._SensorTiledCamera__render_context
