"""Sound made again from the audio sense is heard as what was remembered: loudness, pitch, time and side."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from torch import Tensor

from sage_ext.dream_film import sound
from sage_ext.dream_film.sound import BANDS, EARS, FRAMES, LOOK, RATE, resynthesise
from sage_ext.errors import SageError

LOOKS = 12
ONSET = 0.2
"""Of the strike in the right ear [s]."""


def heard(wave: Tensor) -> Tensor:
    """The audio sense (T, 1024) of a waveform (2, samples), as the ears make it."""
    from sage_envs.senses.spectrogram import log_mel

    looks = wave.shape[1] // LOOK
    pieces = [
        log_mel(wave[:, i * LOOK : (i + 1) * LOOK], RATE, wave[:, : i * LOOK], BANDS).flatten() for i in range(looks)
    ]
    return torch.stack(pieces)


@pytest.fixture(scope="module")
def lived() -> Tensor:
    """Left a steady tone, right a strike that rings out [Pa]."""
    t = torch.arange(LOOKS * LOOK) / RATE
    since = (t - ONSET).clamp(min=0.0)
    strike = 0.3 * torch.sin(math.tau * 1500 * since) * torch.exp(-30 * since) * (t > ONSET)
    return torch.stack([0.02 * torch.sin(math.tau * 800 * t), strike])


@pytest.fixture(scope="module")
def again(lived: Tensor) -> Tensor:
    return resynthesise(heard(lived)).T


def test_the_layout_is_that_of_the_ears() -> None:
    from sage_envs.senses import audio, hearing, spectrogram

    assert (EARS, BANDS, FRAMES) == (hearing.EARS, hearing.EAR_BANDS, spectrogram.FRAMES)
    assert (RATE, LOOK) == (audio.SAMPLE_RATE, audio.SAMPLE_RATE // 30)
    assert (sound.WINDOW, sound.FFT) == (spectrogram.WINDOW, spectrogram._FFT)
    assert (sound.LOWEST, sound.FLOOR_DB) == (spectrogram._LOWEST, spectrogram.FLOOR_DB)


def test_levels_are_those_remembered(lived: Tensor, again: Tensor) -> None:
    before, after = heard(lived), heard(again)
    assert again.shape == lived.shape
    audible = before > -40
    assert (before - after)[audible].abs().mean() < 2.0
    assert (before - after)[audible].mean().abs() < 0.5
    silent = before[:4, 512:] <= sound.FLOOR_DB
    assert bool(silent.all()) and after[:4, 512:].max() < -60, "before the strike the right ear hears nothing"


def test_pitch_is_within_its_band(again: Tensor) -> None:
    for ear, pitch in ((0, 800), (1, 1500)):
        spectrum = torch.fft.rfft(again[ear]).abs()
        assert float(spectrum.argmax()) * RATE / again.shape[1] == pytest.approx(pitch, rel=0.1)


@pytest.mark.parametrize("stretch", [1, 4])
def test_it_comes_when_it_came(lived: Tensor, stretch: int) -> None:
    wave = resynthesise(heard(lived), stretch)
    assert wave.shape == (LOOKS * LOOK * stretch, 2)
    assert float(wave[:, 1].abs().argmax()) / RATE / stretch == pytest.approx(ONSET, abs=0.01)
    spectrum = torch.fft.rfft(wave[:, 0]).abs()
    assert float(spectrum.argmax()) * RATE / len(wave) == pytest.approx(800, rel=0.1), "slower is no deeper"


def test_the_same_sense_sounds_the_same_and_leaves_chance_alone(lived: Tensor) -> None:
    torch.manual_seed(5)
    first, drawn = resynthesise(heard(lived)), torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(1))
    assert torch.equal(first, resynthesise(heard(lived)))


def test_silence_is_silent() -> None:
    assert resynthesise(torch.full((2, 1024), -80.0)).abs().max() < 1e-4


def test_another_sense_and_a_missing_library_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SageError, match=r"is not 2 ears x 32 bands x 16 frames; add --silent"):
        resynthesise(torch.zeros(2, 100))
    monkeypatch.setitem(sys.modules, "torchaudio.transforms", None)
    with pytest.raises(SageError, match="torchaudio: is not installed; install it, or add --silent"):
        resynthesise(torch.zeros(2, 1024))
