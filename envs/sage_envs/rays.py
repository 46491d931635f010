"""Rays of plain scenes on a CPU: what Newton's kernel does at each pixel, done once for many where it can be.

A picture is cut into small tiles. A tile first lists the shapes that its rays can meet; each ray then asks those few,
with Newton's own functions and in the order in which Newton's kernel meets them, so that every number is the same. A
plane surface under directional lights has one colour, which is worked out once.
"""

from __future__ import annotations

import warp as wp
from newton._src.geometry import raycast
from newton._src.sensors.warp_raytrace import raytrace, tiling
from newton._src.utils.color import linear_to_srgb_wp, srgb_to_linear_wp

TILE = 8
"""Rows and columns of a tile."""


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
