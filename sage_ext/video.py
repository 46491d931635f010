"""Film of what robots see: RGB beside depth of a few worlds, as H.264 in an MP4. Needs no display."""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from .errors import SageError
from .mp4 import Mp4

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

HEIGHT, TILE = 720, 256
"""Rows of a film at most, and of one world in it [pixels]."""
BORDER = 4
GREEN, GREY = (40, 180, 60), (60, 60, 60)


class Film:
    """The first episode of each of some worlds; its last picture stays until all have ended.

    A picture has a green frame once its episode is a success.

    Args:
        path: MP4 file; it is there once the ``with`` block has ended well.
        worlds: The first so many worlds are shown.
        fps: Pictures a second.

    Raises:
        SageError: PyAV is not installed.
    """

    def __init__(self, path: Path, worlds: int, fps: int) -> None:
        self._file = Mp4(path, fps)
        self._pictures: list[np.ndarray] = [np.empty(0)] * worlds
        self._ended = [False] * worlds

    def look(self, senses: Mapping[str, Tensor], succeeded: Tensor) -> None:
        """Take a picture, unless all shown episodes have ended.

        Args:
            senses: ``visual`` (N, H, W, 3) uint8 and ``depth`` (N, H, W, 1) [m].
            succeeded: Whether the episode is a success so far (N,) bool.

        Raises:
            SageError: The robot sees nothing.
        """
        if all(self._ended):
            return
        if "visual" not in senses or "depth" not in senses:
            raise SageError("video", "true", "this task has no camera", "set video=false")
        scale = _scale(senses["visual"].shape[1], len(self._pictures))
        for world, ended in enumerate(self._ended):
            if not ended:
                rgb, depth = (senses[sense][world].cpu().numpy() for sense in ("visual", "depth"))
                self._pictures[world] = framed(picture(rgb, depth, scale), bool(succeeded[world]))
        self._file.show(mosaic(self._pictures))

    def end(self, world: int, success: bool) -> None:
        """Say that a world's episode has ended; later ones, and worlds that are not shown, are passed over."""
        if world < len(self._ended) and not self._ended[world]:
            self._ended[world] = True
            self._pictures[world] = framed(self._pictures[world], success)

    def __enter__(self) -> Film:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file; after an error leave none."""
        self._file.__exit__(kind, error, trace)


def picture(rgb: np.ndarray, depth: np.ndarray, scale: int) -> np.ndarray:
    """RGB beside depth, enlarged by whole pixels, within a border.

    Args:
        rgb: (H, W, 3) uint8.
        depth: (H, W, 1) [m]; near is bright, 0 (nothing there) is black.
        scale: Pixels a pixel becomes, along each axis.

    Returns:
        (H * scale + 2 * BORDER, 2 * W * scale + 2 * BORDER, 3) uint8.
    """
    from matplotlib import colormaps

    near = np.where(depth > 0.0, 1.0 / (1.0 + depth), 0.0)[..., 0]
    pair = np.concatenate([rgb, (colormaps["magma"](near)[..., :3] * 255).astype(np.uint8)], axis=1)
    large = pair.repeat(scale, axis=0).repeat(scale, axis=1)
    return framed(np.pad(large, ((BORDER, BORDER), (BORDER, BORDER), (0, 0))), False)


def framed(image: np.ndarray, success: bool) -> np.ndarray:
    """The picture with its border in the colour of its episode."""
    image = image.copy()
    for edge in (image[:BORDER], image[-BORDER:], image[:, :BORDER], image[:, -BORDER:]):
        edge[:] = GREEN if success else GREY
    return image


def mosaic(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one size in a grid, as many columns as rows; a place left over is black."""
    columns = math.ceil(math.sqrt(len(pictures)))
    rest = -len(pictures) % columns
    all_ = [*pictures, *[np.zeros_like(pictures[0])] * rest]
    image = np.concatenate([np.concatenate(all_[i : i + columns], axis=1) for i in range(0, len(all_), columns)])
    # H.264 halves the colour planes.
    return np.pad(image, ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)))


def _scale(rows: int, worlds: int) -> int:
    grid = math.ceil(math.sqrt(worlds))
    return max(1, min(TILE // rows, HEIGHT // (rows * grid)))
