"""Filmstrips: some looks of a scene side by side, as one picture within the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from torch import Tensor

SHOWN = 12
"""Pictures of a strip at most."""
EDGE = 96
"""Larger pictures are shown at this size [pixels]."""
QUALITY = 85


@dataclass(frozen=True)
class Shown:
    """Which looks of a scene a strip shows: every one or every k-th, that at which a law is broken among them.

    Attributes:
        looks: Their numbers.
        span: From which to which look the strip reaches, so that a curve below it can share its axis.
        broken: From where on, as a share of its width, it shows what is broken.
    """

    looks: list[int]
    span: tuple[float, float]
    broken: float

    @classmethod
    def of(cls, looks: int, at: int) -> Shown:
        """Of a scene of so many looks that is broken at one of them."""
        step = -(-looks // SHOWN)
        chosen = list(range(at % step, looks, step))
        return cls(chosen, (chosen[0] - step / 2, chosen[-1] + step / 2), chosen.index(at) / len(chosen))


def strip(frames: Tensor, looks: list[int]) -> str:
    """Some of the pictures (T, H, W, 3) uint8 as a ``data:`` address of one WebP picture."""
    from PIL import Image

    picture = Image.fromarray(np.concatenate(list(frames[looks].numpy()), axis=1))
    if frames.shape[1] > EDGE:
        picture = picture.resize((picture.width * EDGE // picture.height, EDGE), Image.Resampling.BOX)
    file = io.BytesIO()
    picture.save(file, "webp", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")
