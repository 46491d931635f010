"""From 4096 numbers, and what H makes of them, to the 256 that L acts from."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..context.layout import CONTEXT_WIDTH, SOUGHT, width
from ..context.streamed import StreamedLinear

MESSAGE_WIDTH = 256
"""Numbers from H to L."""
_FAR = 10.0
"""Deviations from the mean beyond which a number of the context is cut off: it hardly varied when it was measured."""
_STILL = 1e-4
"""Deviations below this are those of a number that did not vary."""


class Bottleneck(nn.Module):
    """Standardises a context and compresses it with one linear map.

    Linear, so that whatever it keeps of the context can be read back linearly. It starts with the way to what is
    sought, straight from the context, and where most is kept of the rest: at the principal components.

    Args:
        slow: Width of H's state.
    """

    centre: Tensor
    gain: Tensor

    def __init__(self, slow: int) -> None:
        super().__init__()
        self.context = StreamedLinear(CONTEXT_WIDTH, MESSAGE_WIDTH)
        self.slow = StreamedLinear(slow, MESSAGE_WIDTH, bias=False)
        self.register_buffer("centre", torch.zeros(CONTEXT_WIDTH))
        self.register_buffer("gain", torch.ones(CONTEXT_WIDTH))

    def standard(self, context: Tensor) -> Tensor:
        """Context ``(..., 4096)`` with the mean and deviation it was calibrated on taken out."""
        return ((context - self.centre) * self.gain).clamp(-_FAR, _FAR)

    def forward(self, context: Tensor, slow: Tensor) -> Tensor:
        """Standardised context ``(N, 4096)`` and H's state ``(N, slow)`` -> ``(N, 256)``."""
        out: Tensor = self.context(context) + self.slow(slow)
        return out

    @torch.no_grad()
    def calibrate(self, context: Tensor, seed: int = 0) -> None:
        """Take mean and deviation from contexts, and start from their principal components, each of deviation 1.

        The first numbers are the way to what is sought as it stands: small beside all that varies more.

        Args:
            context: ``(n, 4096)``, some hundred at least.
            seed: Of the randomised decomposition (N. Halko et al., arXiv 0909.4061).
        """
        deviation = context.std(0)
        self.centre.copy_(context.mean(0))
        self.gain.copy_(torch.where(deviation > _STILL, deviation.reciprocal(), 0.0))
        centred = self.standard(context)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            straight = width(SOUGHT)
            left = MESSAGE_WIDTH - straight
            _, spread, axes = torch.svd_lowrank(centred, min(left, *centred.shape), niter=4)
        spread = spread / len(context) ** 0.5
        told = spread > 1e-3 * spread[0]  # fewer contexts than components leave some with nothing to tell
        count = int(told.sum())
        self.context.weight[:straight] = 0.0
        self.context.weight[:straight, SOUGHT] = torch.eye(straight, device=context.device)
        self.context.weight[straight : straight + count] = (axes[:, told] / spread[told]).T
        self.context.bias.zero_()
