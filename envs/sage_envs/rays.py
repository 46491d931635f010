"""Rays of plain scenes on a CPU: what Newton's kernel does at each pixel, done once for many where it can be.

A picture is cut into small tiles. A tile first lists the shapes that its rays can meet; each ray then asks those few,
with Newton's own functions and in the order in which Newton's kernel meets them, so that every number is the same. A
plane surface under directional lights has one colour, which is worked out once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import warp as wp
from newton import GeoType
from newton._src.geometry import raycast
from newton._src.sensors.warp_raytrace import raytrace, tiling
from newton._src.utils.color import linear_to_srgb_wp, srgb_to_linear_wp
from newton.sensors import SensorTiledCamera
from newton.utils import ColorSpace

TILE = 8
"""Rows and columns of a tile."""

SHAPES = ("PLANE", "SPHERE", "BOX", "CAPSULE", "CYLINDER", "CONE", "ELLIPSOID")
"""Shapes that are known here."""


@wp.func_native(
    """
    float t = FLT_MAX;
    bool hit = wp::intersect_ray_aabb(origin, inverse, lower, upper, t);
    return hit && !(t >= farthest);
    """
)
def meets(origin: wp.vec3f, inverse: wp.vec3f, lower: wp.vec3f, upper: wp.vec3f, farthest: float) -> bool:  # type: ignore[empty-body]
    """Whether a ray enters a box before a distance: the test with which Warp goes down its tree."""
    ...


@wp.func_native("return __atomic_fetch_add(&counter.data[0], 1, __ATOMIC_RELAXED);")
def take(counter: wp.array[wp.int32]) -> int:  # type: ignore[empty-body]
    """Count up by one, also where threads do so at the same time: Warp's own on a CPU is for one thread."""
    ...


@wp.kernel(enable_backward=False)
def list_shapes(
    tree: wp.uint64,
    roots: wp.array[wp.int32],
    enabled: wp.array[wp.uint32],
    lowers: wp.array[wp.vec3f],
    uppers: wp.array[wp.vec3f],
    colors: wp.array[wp.vec3f],
    shape: wp.array2d[wp.int32],
    lower: wp.array2d[wp.vec3f],
    upper: wp.array2d[wp.vec3f],
    color: wp.array2d[wp.vec3f],
    count: wp.array[wp.int32],
):
    """Shapes of each world, in the order in which a ray would meet them in the tree."""
    world = wp.tid()
    n = wp.int32(0)
    for i in range(2):
        root = raytrace.get_group_roots(roots, world, i)
        if root >= 0:
            query = wp.bvh_query_aabb(tree, wp.vec3f(-1.0e30), wp.vec3f(1.0e30), root)
            item = wp.int32(0)
            while wp.bvh_query_next(query, item):
                index = wp.int32(enabled[item])
                shape[world, n] = index
                lower[world, n] = lowers[item]
                upper[world, n] = uppers[item]
                color[world, n] = srgb_to_linear_wp(colors[index])
                n += 1
    count[world] = n


@wp.kernel(enable_backward=False)
def bound_tiles(rays: wp.array4d[wp.vec3f], across: wp.int32, bounds: wp.array[wp.vec4f]):
    """Least and largest slopes of each tile's rays, right and upwards; NaN if they leave no pinhole."""
    tile = wp.tid()
    low, high = wp.vec2f(1.0e10), wp.vec2f(-1.0e10)
    pinhole = wp.bool(True)
    for i in range(wp.static(TILE * TILE)):
        y = tile // across * wp.static(TILE) + i // wp.static(TILE)
        x = tile % across * wp.static(TILE) + i % wp.static(TILE)
        if y < rays.shape[1] and x < rays.shape[2]:
            ray = rays[0, y, x, 1]
            if ray[2] > -1.0e-3 or wp.length_sq(rays[0, y, x, 0]) > 0.0:
                pinhole = wp.bool(False)
            slope = wp.vec2f(ray[0] / -ray[2], ray[1] / -ray[2])
            low = wp.min(low, slope)
            high = wp.max(high, slope)
    if pinhole:
        bounds[tile] = wp.vec4f(low[0], high[0], low[1], high[1])
    else:
        bounds[tile] = wp.vec4f(wp.NAN)


@wp.func
def beyond(normal: wp.vec3f, middle: wp.vec3f, half: wp.vec3f, margin: float) -> bool:
    """Whether a box, seen from the origin, is wholly on the side of a plane through it to which the normal points."""
    reach = wp.abs(normal[0]) * half[0] + wp.abs(normal[1]) * half[1] + wp.abs(normal[2]) * half[2]
    return wp.dot(normal, middle) - reach > margin


@wp.kernel(enable_backward=False)
def cast_tiles(
    counter: wp.array[wp.int32],
    across: wp.int32,
    tiles: wp.int32,
    farthest: float,
    rays: wp.array4d[wp.vec3f],
    bounds: wp.array[wp.vec4f],
    cameras: wp.array2d[wp.transformf],
    shape: wp.array2d[wp.int32],
    lower: wp.array2d[wp.vec3f],
    upper: wp.array2d[wp.vec3f],
    color: wp.array2d[wp.vec3f],
    count: wp.array[wp.int32],
    types: wp.array[wp.int32],
    sizes: wp.array[wp.vec3f],
    transforms: wp.array[wp.transformf],
    light_active: wp.array[wp.bool],
    light_orientations: wp.array[wp.vec3f],
    ambient: wp.bool,
    culling: wp.bool,
    clear_color: wp.uint32,
    near: wp.array2d[wp.int32],
    out_color: wp.array4d[wp.uint32],
    out_depth: wp.array4d[wp.float32],
    out_forward_depth: wp.array4d[wp.float32],
    out_shape_index: wp.array4d[wp.uint32],
):
    """Cast tile after tile, as long as one is left that no other thread has taken."""
    task = take(counter)
    while task < near.shape[0]:
        world = task // tiles
        tile = task % tiles
        camera = cameras[0, world]
        bound = bounds[tile]
        place = wp.transform_get_translation(camera)
        to_left = wp.transform_vector(camera, wp.vec3f(-1.0, 0.0, -bound[0]))
        to_right = wp.transform_vector(camera, wp.vec3f(1.0, 0.0, bound[1]))
        to_bottom = wp.transform_vector(camera, wp.vec3f(0.0, -1.0, -bound[2]))
        to_top = wp.transform_vector(camera, wp.vec3f(0.0, 1.0, bound[3]))
        margin = 1.0e-4 + 4.0e-6 * wp.length(place)
        axis = wp.normalize(wp.transform_vector(camera, wp.vec3f(0.0, 0.0, -1.0)))
        found = wp.int32(0)
        for k in range(count[world]):
            half = 0.5 * (upper[world, k] - lower[world, k])
            middle = lower[world, k] + half - place
            if not (
                beyond(to_left, middle, half, margin)
                or beyond(to_right, middle, half, margin)
                or beyond(to_bottom, middle, half, margin)
                or beyond(to_top, middle, half, margin)
            ):
                near[task, found] = k
                found += 1

        last = wp.int32(-1)
        last_normal = wp.vec3f(0.0)
        last_color = wp.uint32(0)
        for i in range(wp.static(TILE * TILE)):
            y = tile // across * wp.static(TILE) + i // wp.static(TILE)
            x = tile % across * wp.static(TILE) + i % wp.static(TILE)
            if y < rays.shape[1] and x < rays.shape[2]:
                origin = wp.transform_point(camera, rays[0, y, x, 0])
                ray = wp.transform_vector(camera, rays[0, y, x, 1])
                inverse = wp.vec3f(1.0 / ray[0], 1.0 / ray[1], 1.0 / ray[2])
                distance = wp.float32(farthest)
                if wp.dot(ray, ray) <= 1.0e-12:
                    distance = wp.float32(0.0)
                hit = wp.int32(-1)
                normal = wp.vec3f(0.0)
                for j in range(found):
                    k = near[task, j]
                    if meets(origin, inverse, lower[world, k], upper[world, k], distance):
                        index = shape[world, k]
                        t, n = raycast.ray_intersect_shape(
                            transforms[index], sizes[index], types[index], origin, ray, culling
                        )
                        if t >= 0.0 and t < distance:
                            distance = t
                            normal = n
                            hit = k
                if hit < 0:
                    out_color[world, 0, y, x] = clear_color
                    if out_depth:
                        out_depth[world, 0, y, x] = 0.0
                    if out_forward_depth:
                        out_forward_depth[world, 0, y, x] = 0.0
                    if out_shape_index:
                        out_shape_index[world, 0, y, x] = raytrace.NO_HIT_SHAPE_ID
                else:
                    if out_depth:
                        out_depth[world, 0, y, x] = distance
                    if out_forward_depth:
                        out_forward_depth[world, 0, y, x] = distance * wp.dot(ray, axis)
                    if out_shape_index:
                        out_shape_index[world, 0, y, x] = wp.uint32(shape[world, hit])
                    if (
                        hit != last
                        or normal[0] != last_normal[0]
                        or normal[1] != last_normal[1]
                        or normal[2] != last_normal[2]
                    ):
                        albedo = color[world, hit]
                        shaded = wp.vec3f(0.0)
                        if ambient:
                            up = wp.vec3f(0.0, 0.0, 1.0)
                            len_n = wp.length(normal)
                            n = normal if len_n > 0.0 else up
                            n = wp.normalize(n)
                            hemispheric = 0.5 * (wp.dot(n, up) + 1.0)
                            sky = wp.vec3f(0.4, 0.4, 0.45)
                            ground = wp.vec3f(0.1, 0.1, 0.12)
                            ambient_color = sky * hemispheric + ground * (1.0 - hemispheric)
                            ambient_intensity = 0.5
                            shaded = wp.cw_mul(albedo, ambient_color * ambient_intensity)
                        for light in range(light_active.shape[0]):
                            ndotl = wp.float32(0.0)
                            if light_active[light]:
                                towards = wp.normalize(-light_orientations[light])
                                ndotl = wp.max(0.0, wp.dot(normal, towards))
                            shaded = shaded + albedo * ndotl
                        last = hit
                        last_normal = normal
                        last_color = tiling.pack_rgba_to_uint32(linear_to_srgb_wp(shaded), 1.0)
                    out_color[world, 0, y, x] = last_color
        task = take(counter)


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
