"""Stems: one small network a sense, from raw units to that sense's group of the context.

Each stem brings its sense's units to about -1..1 itself, so that nothing outside has to remember how:

==================  ==================================================================================
``visual``          uint8 / 127.5 - 1, and the share of each colour in its pixel, which shade does not change
``depth``           nearness 1 / (1 + metres); 0 where nothing was hit, which is also its limit at infinity
``audio``           (dB + 80) / 80: silence is 0, full scale is 1
``tactile``         symlog of hundredths of a newton: a brush counts, and a blow by little more
``proprioceptive``  symlog of SI units
==================  ==================================================================================

The last layer of every stem is linear and not normalised: its output is a group of the context, which
SIGReg draws to an isotropic Gaussian, and a LayerNorm there would pin every vector to a sphere and hide a
collapse from the regulariser (LeWorldModel, arXiv 2603.19312). Touch and proprioception are softened beyond 4
deviations: a blow comes once in thousands of looks, and would be all that is learned from.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import SageError
from .streamed import StreamedLinear

MEL_BANDS = 64
"""Mel bands of the audio sense; a spectrogram is flattened band by band: ``(64, frames)``."""

_SILENT = 1e-3
"""Numbers of a sense that vary by less were silent."""
_MOST = 20.0
"""Numbers are scaled up by no more."""
_BENT = 1.5
"""Deviation of the hidden units of a calibrated perceptron: where their activation bends."""
_FELT = 4.5
"""Gain of the hidden units of a sense that was silent: a touch of a few taxels bends them."""
_FINEST = 0.01
"""Touches from which symlog is logarithmic [N]."""
_LOUDEST = 4.0
"""Deviations beyond which what is felt counts by its logarithm."""
_GRID = 4
"""Pictures of any size end on a grid of 4x4, which keeps where things are and fixes the parameter count."""


def symlog(x: Tensor) -> Tensor:
    """``sign(x) log(1 + |x|)``: linear near zero, logarithmic far from it (DreamerV3, arXiv 2301.04104)."""
    return torch.sign(x) * torch.log1p(torch.abs(x))


def softened(x: Tensor) -> Tensor:
    """Up to 4 deviations as it is, beyond by its logarithm: a blow does not drown all else."""
    most = x.clamp(-_LOUDEST, _LOUDEST)
    return most + symlog(x - most)


def colours(picture: Tensor) -> Tensor:
    """Brightness and chromaticity: bytes ``(N, H, W, 3)`` -> ``(N, 6, H, W)``, about -1..1.

    Chromaticity, each colour's share in its pixel, tells a thing from another in light and in shade alike.
    """
    light = picture.movedim(-1, 1).float() / 255.0
    share = light / (light.sum(1, keepdim=True) + 0.05)
    return torch.cat([2.0 * light - 1.0, 3.0 * share - 1.0], 1)


def nearness(depth: Tensor) -> Tensor:
    """``1 / (1 + metres)``, 0 where nothing was hit: ``(N, H, W, 1)`` -> ``(N, 1, H, W)``."""
    depth = depth.movedim(-1, 1).float()
    return torch.where(depth > 0, 1.0 / (1.0 + depth), 0.0)


class PictureStem(nn.Module):
    """Strided convolutions to a 4x4 grid, then one linear layer that sees the whole grid.

    Args:
        base: Channels after the first layer; doubled twice.
        width: Numbers given.
        depth: Whether the picture holds metres (else bytes).
    """

    def __init__(self, base: int, width: int, depth: bool) -> None:
        super().__init__()
        self.depth = depth
        self.layers = nn.Sequential(
            nn.Conv2d(1 if depth else 6, base, 4, stride=4),
            nn.SiLU(),
            nn.Conv2d(base, 2 * base, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * base, 4 * base, 3, stride=2, padding=1),
            nn.SiLU(),
        )
        self.last = StreamedLinear(4 * base * _GRID * _GRID, width)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, H, W, C)`` in raw units -> ``(N, width)``."""
        x = self.layers(nearness(x) if self.depth else colours(x))
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
    """Symlog, then a perceptron with one hidden layer, whose loudest numbers are softened.

    Most of its numbers are small or silent: untrained, the hidden units would be all but linear and the group would
    have no more directions than the sense has numbers. :meth:`calibrate` mends that.

    Args:
        size: Numbers taken.
        hidden: Hidden units.
        width: Numbers given.
        finest: What is told apart from nothing, in units of the sense.
    """

    def __init__(self, size: int, hidden: int, width: int, finest: float = 1.0) -> None:
        super().__init__()
        self.finest = finest
        self.layers = nn.Sequential(nn.Linear(size, hidden), nn.SiLU())
        self.last = StreamedLinear(hidden, width)

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Bring every hidden unit to where it bends, on experience ``(N, size)`` (arXiv 1511.06856).

        Args:
            x: In SI units.
        """
        first = self.layers[0]
        assert isinstance(first, nn.Linear)
        x = self._told(x)
        deviation = x.std(0)
        first.weight.mul_(gain(deviation))
        before = F.linear(x, first.weight)
        deviation = before.std(0)
        scale = torch.where(deviation > _SILENT, _BENT * gain(deviation), _FELT)
        first.weight.mul_(scale.unsqueeze(1))
        spread = torch.linspace(-_BENT, _BENT, len(first.bias), device=x.device)
        first.bias.copy_(spread - before.mean(0) * scale)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, size)`` in SI units -> ``(N, width)``."""
        return softened(self.last(self.layers(self._told(x))))

    def _told(self, x: Tensor) -> Tensor:
        return symlog(x.float() / self.finest)


def gain(deviation: Tensor) -> Tensor:
    """What brings numbers to deviation 1; those that were silent stay: they must not shout when they first speak."""
    return torch.where(deviation > _SILENT, 1.0 / deviation, 1.0).clamp(max=_MOST)


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
        depth = sense == "depth"
        channels = 1 if depth else 3
        if len(shape) != 3 or min(shape[:2]) < 16 or shape[2] != channels:
            want = f"must be (H, W, {channels}) with H, W >= 16"
            raise SageError(f"observation.{sense}.shape", shape, want, "use 64x64")
        return PictureStem(base // 2 if depth else base, width, depth)
    if len(shape) != 1:
        raise SageError(f"observation.{sense}.shape", shape, "must have one axis", "flatten it")
    if sense == "audio":
        frames, rest = divmod(shape[0], MEL_BANDS)
        if rest or frames < 4 or frames % 4:
            raise SageError("observation.audio.shape", shape, "must be 64 bands x 4k frames", "use 64 x 16 = 1024")
        return AudioStem(frames, width)
    return VectorStem(shape[0], width, width, _FINEST if sense == "tactile" else 1.0)
