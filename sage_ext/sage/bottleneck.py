"""From 4096 numbers, and what H makes of them, to the 256 that L acts from."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..context.layout import CONTEXT_WIDTH, SOUGHT, TOLD
from ..context.streamed import StreamedLinear

MESSAGE_WIDTH = 256
"""Numbers from H to L."""
_FAR = 10.0
"""Deviations from the mean beyond which a number of the context is cut off: it hardly varied when it was measured."""
_SHRINKAGE = 1e-3
"""Of the reading by which what is told is taken out of the rest, relative to standardised numbers."""
_LOUD = 4.0
"""How loud the way to what is sought is beside the other numbers: what imitates an expert then grasps far more often in
rooms that are new to it, by as small an error on those it learned from (docs/benchmarks.md)."""
_STILL = 1e-4
"""Deviations below this are those of a number that did not vary."""


class Bottleneck(nn.Module):
    """Standardises a context and compresses it with one linear map.

    Linear, so that whatever it keeps of the context can be read back linearly. The numbers that mean something by
    themselves (:data:`~sage_ext.context.layout.TOLD`) come first, as they stand: H adds nothing to them, and learning
    does not change them. The others start with what is most of the rest, the principal components of what those numbers
    do not tell.

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
        return torch.where(self.stands, out.detach(), out) if torch.is_grad_enabled() else out

    @property
    def stands(self) -> Tensor:
        """Which of the numbers (256,) stand as the context tells them: those to which H adds nothing."""
        return (self.slow.weight == 0.0).all(1)

    @torch.no_grad()
    def calibrate(self, context: Tensor, seed: int = 0) -> None:
        """Take mean and deviation from contexts, and start from what is told and the principal components of the rest.

        Told numbers stand first, in the order of the context, those that never vary left out; the way to what is
        sought is louder (:data:`_LOUD`). The components have a deviation of 1. Where things are varies less than most
        of the rest: by components alone it would be lost.

        Args:
            context: ``(n, 4096)``, some hundred at least.
            seed: Of the randomised decomposition (N. Halko et al., arXiv 0909.4061).
        """
        deviation = context.std(0)
        self.centre.copy_(context.mean(0))
        self.gain.copy_(torch.where(deviation > _STILL, deviation.reciprocal(), 0.0))
        centred = self.standard(context)
        told = torch.cat([torch.arange(s.start, s.stop, device=context.device) for s in TOLD.values()]).sort().values
        told = told[self.gain[told] > 0]
        left = MESSAGE_WIDTH - len(told)
        known = centred[:, told]
        gram = known.T @ known + _SHRINKAGE * len(known) * torch.eye(len(told), device=context.device)
        reading = torch.linalg.solve(gram, known.T @ centred)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _, spread, axes = torch.svd_lowrank(centred - known @ reading, min(left, *centred.shape), niter=4)
        spread = spread / len(context) ** 0.5
        # Fewer contexts than components, or all told already, leave some with nothing to tell.
        kept = spread > 1e-3 * (centred.norm() / len(context) ** 0.5)
        axes = axes[:, kept] / spread[kept]
        weight = torch.zeros_like(self.context.weight)
        weight[torch.arange(len(told)), told] = torch.where((told >= SOUGHT.start) & (told < SOUGHT.stop), _LOUD, 1.0)
        rest = weight[len(told) : len(told) + axes.shape[1]]
        rest.copy_(axes.T)
        rest[:, told] -= (reading @ axes).T
        self.context.weight.copy_(weight)
        self.context.bias.zero_()
        self.slow.weight[: len(told)] = 0.0
