"""Filmstrips: some looks of a scene side by side, as one picture within the page."""

from __future__ import annotations

import base64
import io

import numpy as np
from torch import Tensor

SHOWN = 16
"""Pictures of a strip at most."""
EDGE = 96
"""Larger pictures are shown at this size [pixels]."""
QUALITY = 85


def shown_looks(looks: int) -> list[int]:
    """Which looks a strip shows: every one or every k-th, from the first on."""
    return list(range(0, looks, -(-looks // SHOWN)))


def span(looks: int) -> tuple[float, float]:
    """From which to which look a strip reaches, so that a curve below it can share its axis."""
    shown = shown_looks(looks)
    step = shown[1] - shown[0] if len(shown) > 1 else 1
    return -step / 2, shown[-1] + step / 2


def strip(frames: Tensor) -> str:
    """Pictures (T, H, W, 3) uint8 as a ``data:`` address of one WebP picture."""
    from PIL import Image

    chosen = frames[shown_looks(len(frames))]
    picture = Image.fromarray(np.concatenate(list(chosen.numpy()), axis=1))
    if frames.shape[1] > EDGE:
        picture = picture.resize((picture.width * EDGE // picture.height, EDGE), Image.Resampling.BOX)
    file = io.BytesIO()
    picture.save(file, "webp", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")
