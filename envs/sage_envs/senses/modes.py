"""Ringing as a table: what damped modes and the strikes that excite them sound like over some physics steps."""

from __future__ import annotations

import torch
from torch import Tensor


def rings(log_pole: Tensor, gain: Tensor, steps: int, length: int) -> tuple[Tensor, Tensor]:
    """Tables that turn modes and strikes into sound, and into the modes that are left.

    The rows of both are the real and imaginary parts of each mode at the start, then a strike of 1 N s at the start of
    each step; to ring is linear, so a product with a table is all.

    Args:
        log_pole: Logarithm of what a mode becomes from one sample to the next (B, K), complex128.
        gain: Amplitude of each mode after a strike of 1 N s (B, K), float64.
        steps: S.
        length: Samples of a step, P.

    Returns:
        Sound (B, 2K + S, S * P) and modes after the steps (B, 2K + S, 2K), float32.
    """
    after = torch.exp(log_pole[..., None] * torch.arange(steps * length + 1, dtype=torch.float64))
    ring, end = after[..., :-1], torch.diag_embed(after[..., -1])
    # A mode z sounds as Im(z * ring) = Re(z) * Im(ring) + Im(z) * Re(ring), and ends as z * end.
    sound = [torch.stack((ring.imag, ring.real), dim=2).flatten(1, 2)]
    left = [torch.view_as_real(torch.stack((end, 1j * end), dim=2)).flatten(1, 2).flatten(2)]
    struck = (gain[..., None] * ring.imag).sum(dim=1)
    for step in range(steps):
        sound.append(torch.nn.functional.pad(struck, (step * length, 0))[:, None, : steps * length])
        left.append(torch.view_as_real(gain * after[..., (steps - step) * length]).flatten(1).unsqueeze(1))
    return torch.cat(sound, dim=1).float(), torch.cat(left, dim=1).float()
