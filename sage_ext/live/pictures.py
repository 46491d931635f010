"""Senses and the context as pictures, (H, W, 3) uint8."""

from __future__ import annotations

from functools import cache

import numpy as np

from ..context.layout import GROUPS

BANDS, FRAMES = 64, 16
"""Shape of the spectrogram in the audio sense."""
FLOOR_DB, CEILING_DB = -80.0, 0.0
TAXELS = (8, 16)
"""Rows and columns of the taxel map: a skin's rows and sectors, or two pads beside each other."""
FULL_N = 5.0
"""Force that is shown brightest [N]."""
ROW, NAMES = 12, 90
"""Rows of a group in the strip, and columns of the names beside it [pixels]."""
INKS = ((30, 60, 160), (160, 60, 20), (20, 110, 60), (110, 30, 130))
"""Colours of the families' names."""
LOUD = 2.0
"""Root mean square of a group that is shown brightest; calibration brings a group to about 1."""


@cache
def _colours(name: str) -> np.ndarray:
    from matplotlib import colormaps

    table: np.ndarray = (colormaps[name](np.linspace(0.0, 1.0, 256))[:, :3] * 255).astype(np.uint8)
    return table


def coloured(values: np.ndarray, low: float, high: float, colours: str = "magma") -> np.ndarray:
    """Numbers (H, W) as colours between two limits; what is no number is dark."""
    share = np.nan_to_num((values - low) / (high - low), nan=0.0)
    picture: np.ndarray = _colours(colours)[(share.clip(0.0, 1.0) * 255).astype(np.uint8)]
    return picture


def enlarged(image: np.ndarray, height: int) -> np.ndarray:
    """A picture by whole pixels enlarged to about a height."""
    times = max(1, height // image.shape[0])
    return image.repeat(times, axis=0).repeat(times, axis=1)


def depth_picture(depth: np.ndarray) -> np.ndarray:
    """Depth (H, W, 1) [m]: near is bright, nothing is black."""
    near = np.where(depth[..., 0] > 0.0, 1.0 / (1.0 + depth[..., 0]), 0.0)
    return coloured(near, 0.0, 1.0)


def spectrum(audio: np.ndarray) -> np.ndarray:
    """The audio sense (1024,) as a spectrogram (64, 16), high tones above [dB]."""
    return audio.reshape(BANDS, FRAMES)[::-1]


def touch_picture(taxels: np.ndarray) -> np.ndarray:
    """Forces on taxels (128,) [N]."""
    if len(taxels) != TAXELS[0] * TAXELS[1]:
        return coloured(taxels.reshape(1, -1), 0.0, FULL_N, "inferno")
    return coloured(taxel_map(taxels), 0.0, FULL_N, "inferno")


def taxel_map(taxels: np.ndarray) -> np.ndarray:
    """Taxels (128,) as they lie beside each other (8, 16), lowest row below."""
    return taxels.reshape(TAXELS[1], TAXELS[0]).T[::-1]


def strip(history: np.ndarray) -> np.ndarray:
    """Root mean squares of the groups over time (T, 15), the first group above, beside the groups' names."""
    rows = coloured(history.T, 0.0, LOUD, "viridis").repeat(ROW, axis=0)
    return np.concatenate([_names(), rows], axis=1)


@cache
def _names() -> np.ndarray:
    """The groups' names, a row each, in a colour a family."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (NAMES, ROW * len(GROUPS)), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    families = list(dict.fromkeys(group.family for group in GROUPS.values()))
    for i, (name, group) in enumerate(GROUPS.items()):
        draw.text((2, ROW * i), name, fill=INKS[families.index(group.family)])
    return np.asarray(image)
