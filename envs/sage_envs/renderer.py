"""Ray casting on all cores of a CPU, through Isaac Lab's renderer interface.

Warp runs a CPU kernel in one thread, but without the interpreter's lock, and the rays of a picture are
independent. Plain scenes are cast tile by tile, see :mod:`sage_envs.rays`; of all others each thread casts
some rows, for all worlds, with the stock kernel. Pixel for pixel it is the stock renderer's picture. What the
stock renderer alone can cast it casts in a thread beside the caller's. On a GPU it works unchanged.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import newton
import torch
import warp as wp
from isaaclab_newton.renderers.newton_warp_renderer import NewtonWarpRenderer

from .renderer_cfg import ThreadedRendererCfg
from .tiles import Tiles

_IMAGES = {
    "color_image": "color_image",
    "depth_image": "depth_image",
    "forward_depth_image": "forward_depth_image",
    "albedo_image": "albedo_image",
    "normal_image": "normals_image",
    "shape_index_image": "shape_index_image",
    "hdr_color_image": "hdr_color_image",
}
"""Argument of the ray caster -> name of the renderer's buffer."""


BANDS = 4
"""Bands a thread: more share the work out more evenly, and each costs a launch."""


class Band(NamedTuple):
    """Rows of the pictures that a thread casts at a time.

    Attributes:
        rays: Their rays.
        images: Argument of the ray caster -> buffer for these rows.
        copies: Rows of the renderer's buffers, and what comes there.
    """

    rays: wp.array
    images: dict[str, wp.array]
    copies: list[tuple[torch.Tensor, torch.Tensor]]


class ThreadedRenderer(NewtonWarpRenderer):
    """See the module; ``cfg.threads`` says how many threads."""

    def __init__(self, cfg: ThreadedRendererCfg, *args: Any, **kwargs: Any) -> None:
        super().__init__(cfg, *args, **kwargs)
        count = cfg.threads or min(8, len(os.sched_getaffinity(0)))
        # The caller's thread casts rays as well, once it has done what it has to do meanwhile.
        self._threads = ThreadPoolExecutor(max_workers=max(1, count - 1), thread_name_prefix="rays")
        self._count, self._many = count, BANDS * count
        self.stock = False
        """Whether the stock renderer casts all rays in one thread, for comparison."""
        self.meanwhile: Callable[[], None] | None = None
        """Called once, while the rays of the next picture are cast: what the caller has to do anyway."""
        self._bands: dict[tuple[int, ...], list[Band]] = {}
        self._tiles: dict[tuple[int, int], Tiles] = {}

    def update_camera_intrinsics(self, *args: Any) -> None:
        """See :meth:`isaaclab.renderers.BaseRenderer.update_camera_intrinsics`; what rays there are is kept here."""
        super().update_camera_intrinsics(*args)
        self._bands.clear()
        self._tiles.clear()

    def render(self, render_data: Any) -> None:
        """See :meth:`isaaclab.renderers.BaseRenderer.render`; :attr:`meanwhile` is done when it returns."""
        super().render(render_data)
        self._do_meanwhile()

    def _do_meanwhile(self) -> None:
        task, self.meanwhile = self.meanwhile, None
        if task is not None:
            task()

    def _launch_render(self, render_data: Any) -> None:
        outputs = render_data.outputs
        rays = render_data.camera_rays
        depth_clear = outputs.depth_image is not None and self.cfg.depth_clipping_behavior == "max"
        plain = outputs.hdr_color_image is None and not depth_clear and rays is not None
        if self.newton_sensor.model.device.is_cuda:
            super()._launch_render(render_data)
            return
        if self.stock or not plain or rays.shape[1] < self._many:
            self._cast_stock(render_data)
            return
        config = self.newton_sensor.default_render_config
        config.max_distance = render_data.far_clip if render_data.far_clip is not None else self.cfg.max_distance
        tree = self.backend.model.bvh_shapes
        tiles = self._tiles.get((rays.ptr, id(tree)))
        if tiles is None:
            tiles = self._tiles[rays.ptr, id(tree)] = Tiles(self.newton_sensor, render_data)
        if tiles.ready():
            self._share(tiles.cast)
        else:
            self._cast_bands(render_data)
        if set(render_data._depth_dests) & render_data._PLANE_DEPTH_KINDS:
            render_data._copy_plane_depth()
            render_data._apply_depth_clipping(self.cfg.depth_clipping_behavior)
        render_data._convert_segmentation()

    def _cast_stock(self, render_data: Any) -> None:
        if self.meanwhile is None:
            super()._launch_render(render_data)
            return
        rays = self._threads.submit(super()._launch_render, render_data)
        try:
            self._do_meanwhile()
        finally:
            rays.result()

    def _share(self, work: Callable[[], None]) -> None:
        """Let all threads do what each does until nothing is left; this one does first what there is meanwhile."""
        jobs = [self._threads.submit(work) for _ in range(self._count - 1)]
        try:
            self._do_meanwhile()
            work()
        finally:
            for job in jobs:
                job.result()

    def _cast_bands(self, render_data: Any) -> None:
        bands = self._split(render_data)
        left = SimpleQueue[Band]()
        for band in bands:
            left.put(band)

        def cast() -> None:
            with suppress(Empty):
                while True:
                    band = left.get_nowait()
                    self._cast(render_data, band.rays, band.images)

        self._share(cast)
        for band in bands:
            for whole, part in band.copies:
                whole.copy_(part)

    def _split(self, render_data: Any) -> list[Band]:
        """Rows of each band, their rays, and buffers of their own: the kernel wants dense ones."""
        rays = render_data.camera_rays
        wanted = {k: getattr(render_data.outputs, name, None) for k, name in _IMAGES.items()}
        wholes = {argument: whole for argument, whole in wanted.items() if whole is not None}
        key = (rays.ptr, *(whole.ptr for whole in wholes.values()))
        if key in self._bands:
            return self._bands[key]
        bands = []
        for first in range(self._many):
            # Rows of all heights: a picture's lower half costs more than its upper one.
            rows = slice(first, rays.shape[1], self._many)
            field = wp.from_torch(wp.to_torch(rays)[:, rows].contiguous(), dtype=rays.dtype)
            images = {
                argument: wp.zeros(
                    (*whole.shape[:2], field.shape[1], whole.shape[3]), dtype=whole.dtype, device=whole.device
                )
                for argument, whole in wholes.items()
            }
            copies = [(wp.to_torch(wholes[k])[:, :, rows], wp.to_torch(image)) for k, image in images.items()]
            bands.append(Band(field, images, copies))
        self._bands[key] = bands
        return bands

    def _cast(self, render_data: Any, rays: Any, images: dict[str, wp.array]) -> None:
        self.newton_sensor.update(
            self.backend.state_0,
            render_data.camera_transforms,
            rays,
            clear_data=newton.sensors.SensorTiledCamera.ClearData(clear_color=render_data.clear_color),
            kernel_block_dim=self.cfg.kernel_block_dim,
            **images,
        )
