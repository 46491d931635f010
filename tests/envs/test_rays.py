"""Rays by tiles against Newton's own kernel, number for number, in crowded scenes of every shape."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.sim
"""Warp and Newton are loaded and compile kernels: a process of its own."""

WORLDS = 3
SIZE = (37, 61)


def scene(seed: int, mesh: bool = False) -> Any:
    """Worlds full of shapes, half of them turned, half aligned and flush with each other; a plane for all worlds."""
    import newton
    import warp as wp

    chance = np.random.default_rng(seed)
    builder = newton.ModelBuilder()
    builder.add_ground_plane()
    for _ in range(WORLDS):
        builder.begin_world()
        for i in range(24):
            turn = chance.normal(size=4) if i % 2 else np.array([0.0, 0.0, 0.0, 1.0])
            # On a grid, so that faces, edges and axes meet.
            place = chance.uniform(-2, 2, 3) if i % 2 else chance.integers(-4, 4, 3) * 0.5
            pose = wp.transform(place, turn / np.linalg.norm(turn))
            a, b, c = chance.uniform(0.1, 0.6, 3) if i % 2 else (0.5, 0.25, 0.25)
            add = (
                lambda **k: builder.add_shape_box(hx=a, hy=b, hz=c, **k),  # noqa: B023
                lambda **k: builder.add_shape_box(hx=a, hy=b, hz=c, **k),  # noqa: B023
                lambda **k: builder.add_shape_sphere(radius=a, **k),  # noqa: B023
                lambda **k: builder.add_shape_capsule(radius=a, half_height=b, **k),  # noqa: B023
                lambda **k: builder.add_shape_cylinder(radius=a, half_height=b, **k),  # noqa: B023
                lambda **k: builder.add_shape_cone(radius=a, half_height=b, **k),  # noqa: B023
                lambda **k: builder.add_shape_ellipsoid(rx=a, ry=b, rz=c, **k),  # noqa: B023
            )[i % 7]
            add(body=-1, xform=pose, color=tuple(chance.uniform(0, 1, 3)))
        if mesh:
            builder.add_shape_mesh(-1, mesh=newton.Mesh.create_box(0.5, 0.5, 0.5))
        builder.end_world()
    return builder.finalize(device="cpu")


def pictures(model: Any, seed: int, **config: Any) -> tuple[Any, dict[str, Any], dict[str, np.ndarray], Any]:
    """A camera, what the renderer keeps of it, and Newton's own pictures."""
    import newton
    import warp as wp

    sensor = newton.sensors.SensorTiledCamera(
        model,
        default_render_config=newton.sensors.SensorTiledCamera.RenderConfig(
            **{"enable_backface_culling": False, "max_distance": 6.0, **config}
        ),
    )
    sensor.utils.create_default_light(enable_shadows=config.get("enable_shadows", False))
    chance = np.random.default_rng(seed)
    turns = chance.normal(size=(1, WORLDS, 4))
    turns /= np.linalg.norm(turns, axis=-1, keepdims=True)
    # The first looks down along an axis from a grid point.
    turns[0, 0] = (0.0, 0.0, 0.0, 1.0)
    places = chance.uniform(-2, 2, (1, WORLDS, 3))
    places[0, 0] = (0.5, 0.25, 2.75)
    poses = wp.array(np.concatenate([places, turns], -1), dtype=wp.transformf, device="cpu")
    rays = sensor.utils.compute_camera_rays_pinhole(SIZE[1], SIZE[0], camera_fovs=math.radians(80.0))
    kinds = {"color_image": wp.uint32, "depth_image": wp.float32, "forward_depth_image": wp.float32}
    images = {
        k: wp.zeros((WORLDS, 1, *SIZE), dtype=kind, device="cpu")
        for k, kind in {**kinds, "shape_index_image": wp.uint32}.items()
    }
    others = dict.fromkeys(("hdr_color_image", "albedo_image", "normals_image"))
    data = SimpleNamespace(
        camera_rays=rays,
        camera_transforms=poses,
        clear_color=0xFFEEEEEE,
        outputs=SimpleNamespace(**images, **others),
    )

    def stock() -> dict[str, np.ndarray]:
        clear = newton.sensors.SensorTiledCamera.ClearData(clear_color=data.clear_color)
        sensor.update(model.state(), poses, rays, clear_data=clear, **images)
        found = {k: image.numpy().copy() for k, image in images.items()}
        for image in images.values():
            image.fill_(7)
        return found

    return sensor, images, stock(), (data, stock)


def assert_same(images: dict[str, Any], wanted: dict[str, np.ndarray]) -> None:
    for name, image in images.items():
        np.testing.assert_array_equal(image.numpy(), wanted[name], err_msg=name)


def test_every_shape_looks_as_in_newtons_kernel() -> None:
    from newton import GeoType

    from sage_envs.tiles import SHAPES, Tiles

    seen = set()
    for seed in range(8):
        model = scene(seed)
        sensor, images, wanted, (data, _) = pictures(model, seed, enable_backface_culling=seed % 2 == 1)
        tiles = Tiles(sensor, data)
        assert tiles.ready()
        tiles.cast()
        assert_same(images, wanted)
        hit = np.unique(wanted["shape_index_image"])
        seen |= {GeoType(kind).name for kind in model.shape_type.numpy()[hit[hit < model.shape_count]]}
    assert seen == set(SHAPES)


def test_light_colours_sizes_and_shapes_moved_are_those_of_the_instant() -> None:
    import warp as wp

    from sage_envs.tiles import Tiles

    model = scene(9)
    sensor, images, before, (data, stock) = pictures(model, 9)
    tiles = Tiles(sensor, data)
    chance = np.random.default_rng(1)
    model.shape_color.assign(chance.uniform(0, 1, (model.shape_count, 3)).astype(np.float32))
    model.shape_scale.assign(model.shape_scale.numpy() * 1.1)
    moved = model.shape_transform.numpy()
    moved[:, :3] += chance.uniform(-0.2, 0.2, (model.shape_count, 3))
    model.shape_transform.assign(moved)
    model.bvh_refit_shapes(model.state())
    sensor.utils.create_default_light(enable_shadows=False, direction=wp.vec3f(0.6, 0.0, -0.8))
    data.camera_transforms.assign(np.roll(data.camera_transforms.numpy(), 1, axis=1))
    wanted = stock()
    assert (wanted["color_image"] != before["color_image"]).mean() > 0.5
    assert tiles.ready()
    tiles.cast()
    assert_same(images, wanted)


def test_rays_that_leave_no_pinhole_meet_all_shapes_there_are() -> None:
    from sage_envs.tiles import Tiles

    model = scene(3)
    sensor, images, _, (data, stock) = pictures(model, 3)
    rays = data.camera_rays.numpy()
    chance = np.random.default_rng(2)
    rays[..., 0, :] = chance.uniform(-0.3, 0.3, rays[..., 0, :].shape)
    rays[0, 5, :, 1] *= -1.0
    rays[0, 6, :, 1] = 0.0
    data.camera_rays.assign(rays)
    wanted = stock()
    tiles = Tiles(sensor, data)
    assert tiles.ready()
    tiles.cast()
    assert_same(images, wanted)


def test_threads_share_the_tiles_and_none_is_left_out() -> None:
    from concurrent.futures import ThreadPoolExecutor

    from sage_envs.tiles import Tiles

    sensor, images, wanted, (data, _) = pictures(scene(4), 4)
    tiles = Tiles(sensor, data)
    with ThreadPoolExecutor(3) as threads:
        for _ in range(20):
            assert tiles.ready()
            for image in images.values():
                image.fill_(7)
            for job in [threads.submit(tiles.cast) for _ in range(3)]:
                job.result()
            assert_same(images, wanted)


@pytest.mark.parametrize("what", ["mesh", "shadows", "textures", "albedo", "spot"])
def test_what_is_not_known_is_left_to_newton(what: str) -> None:
    from sage_envs.tiles import Tiles

    switch = {"shadows": {"enable_shadows": True}, "textures": {"enable_textures": True}}.get(what, {})
    sensor, images, _, (data, _) = pictures(scene(0, mesh=what == "mesh"), 0, **switch)
    tiles = Tiles(sensor, data)
    if what == "albedo":
        data.outputs.albedo_image = images["color_image"]
    if what == "spot":
        from sage_envs import tiles as module

        module._context(sensor).lights_type.fill_(0)
    assert not tiles.ready()
