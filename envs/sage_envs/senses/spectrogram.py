"""Log-mel spectrograms: what the ``audio`` sense is made of, for any waveform."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

BANDS, FRAMES = 64, 16
FLOOR_DB = -80.0
"""dB; what silence reads. 0 dB is a mean square of 1 Pa^2 in the band (94 dB SPL)."""

WINDOW = 256
"""Samples of the analysis window (Hann)."""

_FFT = 512
_LOWEST = 50.0


def log_mel(
    waveform: Tensor,
    sample_rate: int,
    history: Tensor | None = None,
    bands: int = BANDS,
    frames: int = FRAMES,
) -> Tensor:
    """Log-mel spectrogram of a piece of sound, whatever its length: always ``frames`` columns.

    Frame ``j`` looks at the :data:`WINDOW` samples that end at ``(j + 1) / frames`` of the waveform. It never
    looks ahead, and the first ones reach back into ``history``, so consecutive pieces join without a seam.
    A pure function of its arguments: a waveform played backwards goes in like any other.

    Args:
        waveform: Pressure in Pa, shape (..., samples), ``samples`` a multiple of ``frames``.
        sample_rate: Hz.
        history: What came before, shape (..., any number of samples); silence where it is missing or short.
        bands: Mel bands, evenly spaced on the HTK mel scale from 50 Hz to half the sample rate.
        frames: Columns.

    Returns:
        Levels in dB relative to a mean square of 1 Pa^2 per band, not below :data:`FLOOR_DB`;
        shape (..., bands, frames). Flattened, it is band-major: index ``band * frames + frame``.
    """
    samples = waveform.shape[-1]
    if samples == 0 or samples % frames:
        raise ValueError(f"waveform has {samples} samples; expected a multiple of {frames}")
    past = waveform.new_zeros(*waveform.shape[:-1], WINDOW)
    if history is not None and (reach := min(WINDOW, history.shape[-1])):
        past[..., WINDOW - reach :] = history[..., history.shape[-1] - reach :]
    window, filters = _analysis(sample_rate, bands, waveform.device)
    pieces = torch.cat((past, waveform), dim=-1).unfold(-1, WINDOW, samples // frames)[..., 1:, :]
    # Zero-padding to 512 gives the narrow low bands bins of their own; measured, rfft costs a quarter of a DFT matmul.
    spectrum = torch.view_as_real(torch.fft.rfft(pieces * window, _FFT)).flatten(-2)
    power = spectrum.square_() @ filters
    # Dividing by the floor first makes silence exactly the floor: log10(1) is exactly 0.
    level: Tensor = 10.0 * (power * 10.0 ** (-FLOOR_DB / 10.0)).clamp_(min=1.0).log10_() + FLOOR_DB
    return level.transpose(-1, -2)


@lru_cache(maxsize=8)
def _analysis(sample_rate: int, bands: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Hann window (WINDOW,) and filters (2 * bins, bands), real and imaginary parts in turn.

    They are scaled so that the bands add up to the mean square.
    """
    window = torch.hann_window(WINDOW, periodic=True, dtype=torch.float64)
    scale = 2.0 / (_FFT * window.square().sum())
    filters = mel_filters(_FFT // 2 + 1, sample_rate, bands).double() * scale
    return window.float().to(device), filters.repeat_interleave(2, dim=0).float().to(device)


def mel_filters(bins: int, sample_rate: int, bands: int) -> Tensor:
    """Triangular HTK mel filters of peak 1, shape (bins, bands), from a library.

    torchaudio imports in 0.04 s but its binary must match torch's CUDA build. Where it is missing or does not
    load, the same filters come from transformers, pure NumPy and always there with Isaac Lab, in 1.5 s.
    """
    highest = sample_rate / 2.0
    try:
        from torchaudio.functional import melscale_fbanks
    except (ImportError, OSError, RuntimeError):
        from transformers.audio_utils import mel_filter_bank

        filters = torch.from_numpy(mel_filter_bank(bins, bands, _LOWEST, highest, sample_rate, mel_scale="htk"))
    else:
        filters = melscale_fbanks(bins, _LOWEST, highest, bands, sample_rate, mel_scale="htk")
    return filters.float()


def mel_centers(sample_rate: int, bands: int = BANDS) -> Tensor:
    """Centre frequencies in Hz of the bands, shape (bands,), for plots and readouts."""
    low, high = (2595.0 * math.log10(1.0 + f / 700.0) for f in (_LOWEST, sample_rate / 2.0))
    mel = torch.linspace(low, high, bands + 2, dtype=torch.float64)[1:-1]
    return (700.0 * (10.0 ** (mel / 2595.0) - 1.0)).float()
