"""Sound made again from the ``audio`` sense, which holds levels in mel bands and no phases.

Bands become a spectrum by least squares, the spectrum a waveform by the fast Griffin-Lim algorithm (N. Perraudin, P.
Balazs and P. Sondergaard, "A Fast Griffin-Lim Algorithm", WASPAA 2013). Levels, pitches to within a band, times and
the difference between the ears are those remembered; the fine structure of the waveform is not.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import SageError

EARS, BANDS, FRAMES = 2, 32, 16
"""Layout of the audio sense: ear, band, frame; frames of a look."""
RATE, LOOK = 15360, 512
"""Samples a second [Hz], and of a look."""
WINDOW, FFT = 256, 512
"""Samples of the analysis window, and with its zeros [as the sense was made]."""
LOWEST, FLOOR_DB = 50.0, -80.0
"""Lower end of the lowest band [Hz], and what silence reads."""
ITERATIONS = 24


def resynthesise(audio: Tensor, stretch: int = 1) -> Tensor:
    """A waveform whose levels are those of an audio sense.

    Args:
        audio: Looks (T, 1024) [dB relative to 1 Pa^2]: ear, band, frame.
        stretch: How many times longer it becomes, at the same pitch.

    Returns:
        Pressure (T * 512 * stretch, 2) [Pa]: left ear, right ear. The same input gives the same bits.

    Raises:
        SageError: torchaudio is not installed, or the sense has another layout.
    """
    if audio.shape[1] != EARS * BANDS * FRAMES:
        want = f"is not {EARS} ears x {BANDS} bands x {FRAMES} frames"
        raise SageError("audio", tuple(audio.shape), want, "add --silent")
    try:
        from torchaudio.functional import griffinlim
        from torchaudio.transforms import InverseMelScale
    except (ImportError, OSError, RuntimeError) as error:
        raise SageError("sound", "torchaudio", "is not installed", "install it, or add --silent") from error
    levels = audio.float().view(-1, EARS, BANDS, FRAMES).permute(1, 2, 0, 3).flatten(2)
    if stretch > 1:
        levels = torch.nn.functional.interpolate(levels, scale_factor=stretch, mode="linear")
    power = 10.0 ** (levels / 10.0) - 10.0 ** (FLOOR_DB / 10.0)
    window = torch.hann_window(WINDOW)
    spectrum = InverseMelScale(FFT // 2 + 1, BANDS, RATE, LOWEST, RATE / 2, mel_scale="htk")(power.clamp(min=0.0))
    # The sense is scaled so that the bands add up to the mean square.
    magnitude = (spectrum * FFT * window.square().sum() / 2.0).sqrt()
    hop = LOOK // FRAMES
    # There, frame j ends at sample (j + 1) * hop; here its middle is at j * hop.
    early, samples = (WINDOW // 2 - hop) * stretch, levels.shape[2] * hop
    magnitude = torch.nn.functional.pad(magnitude, (0, 1 + early // hop), mode="replicate")
    # Phases begin at random, or silence between frames would hum at their rate.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        wave: Tensor = griffinlim(magnitude, window, FFT, hop, WINDOW, 1.0, ITERATIONS, 0.99, None, True)
    return wave[:, early : early + samples].T.contiguous()
