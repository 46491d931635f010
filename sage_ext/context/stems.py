"""Stems: one small network a sense, from raw units to that sense's group of the context.

Each stem brings its sense's units to about -1..1 itself, so that nothing outside has to remember how:

==================  ==================================================================================
``visual``          uint8 / 127.5 - 1
``depth``           nearness 1 / (1 + metres); 0 where nothing was hit, which is also its limit at infinity
``audio``           (dB + 80) / 80: silence is 0, full scale is 1
``tactile``         symlog of newtons
``proprioceptive``  symlog of SI units
==================  ==================================================================================

The last layer of every stem is linear and not normalised: its output is a group of the context, which
SIGReg draws to an isotropic Gaussian, and a LayerNorm there would pin every vector to a sphere and hide a
collapse from the regulariser (LeWorldModel, arXiv 2603.19312).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import SageError
from .streamed import StreamedLinear

MEL_BANDS = 64
"""Mel bands of the audio sense; a spectrogram is flattened band by band: ``(64, frames)``."""

_GRID = 4
"""Pictures of any size end on a grid of 4x4, which keeps where things are and fixes the parameter count."""


def symlog(x: Tensor) -> Tensor:
    """``sign(x) log(1 + |x|)``: linear near zero, logarithmic far from it (DreamerV3, arXiv 2301.04104)."""
    return torch.sign(x) * torch.log1p(torch.abs(x))


class PictureStem(nn.Module):
    """Strided convolutions to a 4x4 grid, then one linear layer that sees the whole grid.

    Args:
        channels: Channels of the picture.
        base: Channels after the first layer; doubled twice.
        width: Numbers given.
        depth: Whether the picture holds metres (else bytes).
    """

    def __init__(self, channels: int, base: int, width: int, depth: bool) -> None:
        super().__init__()
        self.depth = depth
        self.layers = nn.Sequential(
            nn.Conv2d(channels, base, 4, stride=4),
            nn.SiLU(),
            nn.Conv2d(base, 2 * base, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * base, 4 * base, 3, stride=2, padding=1),
            nn.SiLU(),
        )
        self.last = StreamedLinear(4 * base * _GRID * _GRID, width)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, H, W, C)`` in raw units -> ``(N, width)``."""
        x = x.permute(0, 3, 1, 2).float()
        x = torch.where(x > 0, 1.0 / (1.0 + x), 0.0) if self.depth else x / 127.5 - 1.0
        x = self.layers(x)
        if x.shape[-2:] != (_GRID, _GRID):
            x = F.adaptive_avg_pool2d(x, _GRID)
        out: Tensor = self.last(x.flatten(1))
        return out


class AudioStem(nn.Module):
    """Convolutions over time with the mel bands as channels: an impact sounds alike in any frame.

    Args:
        frames: Frames of the spectrogram.
        width: Numbers given.
    """

    def __init__(self, frames: int, width: int) -> None:
        super().__init__()
        self.frames = frames
        self.layers = nn.Sequential(
            nn.Conv1d(MEL_BANDS, 128, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv1d(128, 128, 4, stride=2, padding=1),
            nn.SiLU(),
        )
        self.last = StreamedLinear(128 * (frames // 4), width)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 64 * frames)`` dB -> ``(N, width)``."""
        x = (x.float() + 80.0) / 80.0
        out: Tensor = self.last(self.layers(x.reshape(-1, MEL_BANDS, self.frames)).flatten(1))
        return out


class VectorStem(nn.Module):
    """Symlog, then a perceptron with one hidden layer.

    Args:
        size: Numbers taken.
        hidden: Hidden units.
        width: Numbers given.
    """

    def __init__(self, size: int, hidden: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(size, hidden), nn.SiLU())
        self.last = StreamedLinear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, size)`` in SI units -> ``(N, width)``."""
        out: Tensor = self.last(self.layers(symlog(x.float())))
        return out


def build(sense: str, shape: tuple[int, ...], width: int, base: int) -> PictureStem | AudioStem | VectorStem:
    """The stem of a sense.

    Args:
        sense: Name of the sense.
        shape: Its shape without batch axes.
        width: Width of its group in the context.
        base: First channels of the visual stem; the depth stem has half.

    Raises:
        SageError: The shape does not fit the sense.
    """
    if sense in ("visual", "depth"):
        if len(shape) != 3 or min(shape[:2]) < 16:
            raise SageError(f"observation.{sense}.shape", shape, "must be (H, W, C) with H, W >= 16", "use 64x64")
        depth = sense == "depth"
        return PictureStem(shape[2], base // 2 if depth else base, width, depth)
    if len(shape) != 1:
        raise SageError(f"observation.{sense}.shape", shape, "must have one axis", "flatten it")
    if sense == "audio":
        frames, rest = divmod(shape[0], MEL_BANDS)
        if rest or frames < 4 or frames % 4:
            raise SageError("observation.audio.shape", shape, "must be 64 bands x 4k frames", "use 64 x 16 = 1024")
        return AudioStem(frames, width)
    return VectorStem(shape[0], width, width)
