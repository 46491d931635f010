"""Numbers of a sense at mean 0 and deviation 1, as first experience had them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .stems import gain

_MOST = 10.0
"""They are cut here [deviations]."""


class Standard(nn.Module):
    """Takes mean and deviation from experience once; before that, numbers pass as they are.

    Args:
        size: How many numbers.
    """

    centre: Tensor
    gain: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(size))
        self.register_buffer("gain", torch.ones(size))

    @torch.no_grad()
    def calibrate(self, values: Tensor) -> None:
        """Take mean and deviation of ``(N, size)``."""
        self.centre.copy_(values.float().mean(0))
        self.gain.copy_(gain(values.float().std(0)))

    def forward(self, values: Tensor) -> Tensor:
        """``(..., size)`` in deviations, float32."""
        return ((values.float() - self.centre) * self.gain).clamp(-_MOST, _MOST)
