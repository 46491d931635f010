"""Hearing against acoustics: what rings, how loud, how late, and that it can be taken up again."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sage_envs.materials import MATERIALS
from sage_envs.senses.audio import SAMPLE_RATE, SPEED_OF_SOUND, ContactAudio, Source
from sage_envs.senses.spectrogram import BANDS, FLOOR_DB, FRAMES, WINDOW, log_mel, mel_centers, mel_filters

STEP = 128
NAMES = ("wood", "metal", "rubber", "glass")


def microphone(*materials: str, worlds: int = 1, size: float = 0.1, **settings: Any) -> ContactAudio:
    return ContactAudio(worlds, [Source(name, MATERIALS[name], size) for name in materials], **settings)


def listen(audio: ContactAudio, steps: int = 4, **given: Any) -> Tensor:
    """Hear silence but for what is given; numbers and small tensors are broadcast."""
    worlds, bodies, motors = audio.num_worlds, len(audio.sources), audio.num_motors
    shapes = dict.fromkeys(("impulse", "slip_power", "roll_power", "distance"), (worlds, bodies, steps))
    shapes |= dict.fromkeys(("motor_speed", "motor_torque"), (worlds, motors, steps))
    gain = given.pop("gain", None)
    inputs = {"distance": 1.0} | given
    return audio.hear(
        **{name: torch.as_tensor(inputs.get(name, 0.0)).float().expand(shape) for name, shape in shapes.items()},
        gain=gain,
    )


def strike(steps: int = 4, at: int = 0, impulse: float = 0.3) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor(at), steps) * impulse


def strike_then_ring(audio: ContactAudio, looks: int, **given: Any) -> Tensor:
    return torch.cat([listen(audio, impulse=strike(), **given)] + [listen(audio, **given) for _ in range(looks)], dim=1)


def events(audio: ContactAudio, steps: int, seed: int) -> dict[str, Tensor]:
    """A busy scene: strikes, slips, rolls, turning wheels and moving bodies."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.rand(audio.num_worlds, *shape, steps, generator=generator)

    bodies, motors = len(audio.sources), audio.num_motors
    return {
        "impulse": draw(bodies) * (draw(bodies) < 0.2),
        "slip_power": draw(bodies),
        "roll_power": draw(bodies),
        "distance": 0.5 + draw(bodies),
        "motor_speed": 20.0 * draw(motors) - 5.0,
        "motor_torque": draw(motors),
    }


def decibel(ratio: Tensor) -> float:
    return 20.0 * math.log10(float(ratio))


@pytest.mark.parametrize("name", MATERIALS)
def test_a_strike_rings_at_the_frequencies_of_its_material(name: str) -> None:
    sound = strike_then_ring(microphone(name), looks=30)[0].double()
    spectrum = torch.fft.rfft(sound, 8 * len(sound)).abs()
    frequency = torch.arange(len(spectrum)) * SAMPLE_RATE / (8 * len(sound))
    material = MATERIALS[name]
    # Strongly damped modes run into each other, so the peak is that of their sum (Laplace transforms of the modes).
    angular = 2.0 * math.pi * frequency.double()
    response = torch.zeros_like(angular, dtype=torch.complex128)
    for mode, damping, gain in zip(material.frequencies, material.modal_damping(0.1), material.gains, strict=True):
        response += gain * 2.0 * math.pi * mode / ((1j * angular + damping) ** 2 + (2.0 * math.pi * mode) ** 2)
    peak = float(frequency[response.abs().argmax()])
    assert float(frequency[spectrum.argmax()]) == pytest.approx(peak, rel=0.02)
    if name in ("metal", "glass"):
        for mode in material.frequencies:
            near = (frequency / mode - 1.0).abs() < 0.08
            assert float(frequency[near][spectrum[near].argmax()]) == pytest.approx(mode, rel=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_a_strike_dies_with_the_damping_of_its_material(name: str) -> None:
    sound = strike_then_ring(microphone(name), looks=8)[0].double()
    mode, damping = MATERIALS[name].modal_frequencies(0.1)[0], MATERIALS[name].modal_damping(0.1)[0]
    time = torch.arange(len(sound)) / SAMPLE_RATE
    # Demodulated by the lowest mode; the others, at least a third higher, average out over whole windows.
    length, start = (1024, 1.5) if damping < 100 else (512, 3.0)
    begin = int(start / damping * SAMPLE_RATE) if damping > 20 else 1024
    window = torch.hann_window(length, dtype=torch.float64)
    demodulated = sound * torch.exp(-2j * math.pi * mode * time)
    levels = [(demodulated[i : i + length] * window).sum().abs() for i in (begin, begin + length // 2)]
    rate = float(torch.log(levels[0] / levels[1])) / (length // 2 / SAMPLE_RATE)
    assert rate == pytest.approx(damping, rel=0.05)


def test_twice_the_impulse_is_six_decibels_louder() -> None:
    soft, hard = (listen(microphone("wood"), impulse=strike(impulse=j)).norm() for j in (0.2, 0.4))
    assert decibel(hard / soft) == pytest.approx(6.02, abs=0.01)


def test_twice_the_distance_is_six_decibels_softer_but_not_within_arms_reach() -> None:
    near, far = (strike_then_ring(microphone("wood"), 4, distance=r).norm() for r in (1.0, 2.0))
    assert decibel(near / far) == pytest.approx(6.02, abs=0.02)
    assert torch.equal(
        listen(microphone("wood"), impulse=strike(), distance=0.001).abs().max() < 10.0, torch.tensor(True)
    )


@pytest.mark.parametrize("distance", [0.3, 1.0, 2.5, 7.9])
def test_sound_travels_at_343_metres_per_second(distance: float) -> None:
    sound = strike_then_ring(microphone("metal"), 4, distance=distance)[0]
    # The sine of a mode is zero at its first sample, so the first sound is one sample after the arrival.
    first = int((sound != 0).nonzero()[0]) - 1
    assert first == pytest.approx(distance / SPEED_OF_SOUND * SAMPLE_RATE, abs=1.0)


def test_what_stands_between_softens() -> None:
    clear = listen(microphone("wood"), impulse=strike())
    behind = listen(microphone("wood"), impulse=strike(), gain=torch.full((1, 1), 0.25))
    torch.testing.assert_close(behind, 0.25 * clear)


@pytest.mark.parametrize("kind", ["slip_power", "roll_power"])
def test_rubbing_grows_with_power_and_ends_with_it(kind: str) -> None:
    levels = []
    for power in (0.0, 0.5, 2.0):
        audio = microphone("wood")
        levels.append(torch.cat([listen(audio, **{kind: power}) for _ in range(4)], dim=1).norm())
    assert levels[0] == 0.0
    assert decibel(levels[2] / levels[1]) == pytest.approx(6.02, abs=0.01)  # four times the power
    listen(audio)
    assert listen(audio).abs().max() == 0.0


def test_rubbing_starts_and_ends_without_a_click() -> None:
    power = torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    sound = listen(microphone("metal"), steps=8, slip_power=power, distance=0.1)[0]
    start, end = (round(0.1 / SPEED_OF_SOUND * SAMPLE_RATE) + step * STEP for step in (2, 6))
    steady = sound[start + STEP : end - STEP].square().mean().sqrt()
    assert steady > 0.0
    assert max(sound[start : start + 6].abs().max(), sound[end - 6 : end].abs().max()) < 0.2 * steady
    assert sound[:start].abs().max() == sound[end:].abs().max() == 0.0


@pytest.mark.parametrize("speed", [6.0, 12.0, -24.0])
def test_the_hum_follows_the_wheels(speed: float) -> None:
    audio = microphone("wood", gear_teeth=120)
    sound = torch.cat([listen(audio, motor_speed=speed, motor_torque=0.2) for _ in range(9)], dim=1)[0, 512:]
    spectrum = torch.fft.rfft(sound * torch.hann_window(len(sound)), 8 * len(sound)).abs()
    pitch = int(spectrum.argmax()) * SAMPLE_RATE / (8 * len(sound))
    assert pitch == pytest.approx(abs(speed) * 120 / (2.0 * math.pi), rel=0.01)
    assert sound.diff().abs().max() < 2.5 * sound.diff().abs()[:1000].max()  # no clicks between looks


def test_the_hum_grows_with_speed_and_torque_and_never_aliases() -> None:
    def level(speed: float, torque: float) -> float:
        audio = microphone("wood")
        listen(audio, motor_speed=speed, motor_torque=torque)
        return float(listen(audio, motor_speed=speed, motor_torque=torque).norm())

    assert level(0.0, 1.0) == 0.0
    assert 0.0 < level(5.0, 0.2) < level(10.0, 0.2) < level(10.0, 0.8)
    assert level(1000.0, 0.2) == 0.0


def test_silence_is_exactly_the_floor_also_after_a_strike_has_died() -> None:
    audio = microphone("glass")
    assert torch.equal(audio.spectrogram(), torch.full((1, BANDS * FRAMES), FLOOR_DB))
    strike_then_ring(audio, looks=0)
    assert audio.spectrogram().max() > FLOOR_DB + 20.0
    for _ in range(25):
        listen(audio)
    assert audio.waveform.abs().max() == 0.0
    assert torch.equal(audio.spectrogram(), torch.full((1, BANDS * FRAMES), FLOOR_DB))


@pytest.mark.parametrize("split", [(2, 2), (1, 3), (1, 1, 1, 1), (8,)])
def test_looking_more_often_hears_the_same(split: tuple[int, ...]) -> None:
    once, often = (microphone(*MATERIALS, worlds=3, seed=5) for _ in range(2))
    scene = events(once, 8, seed=1)
    whole = torch.cat([once.hear(**{k: v[..., i : i + 4] for k, v in scene.items()}) for i in (0, 4)], dim=1)
    pieces, at = [], 0
    for count in split if sum(split) == 8 else split * 2:
        pieces.append(often.hear(**{k: v[..., at : at + count] for k, v in scene.items()}))
        at += count
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, rtol=1e-4, atol=1e-6)


def test_a_saved_moment_goes_on_bit_for_bit() -> None:
    audio = microphone(*MATERIALS, worlds=4)
    for seed in range(3):
        audio.hear(**events(audio, 4, seed))
    saved = audio.state()
    assert saved.dtype == torch.float32 and saved.shape[1] * 4 < 6000

    def future() -> list[Tensor]:
        sounds = []
        for seed in range(10, 15):
            sounds += [audio.hear(**events(audio, 4, seed)), audio.spectrogram()]
        return sounds

    expected = future()
    assert not torch.equal(expected[0], future()[0])
    audio.set_state(saved)
    assert all(torch.equal(a, b) for a, b in zip(expected, future(), strict=True))
    other = microphone(*MATERIALS, worlds=4)
    other.set_state(saved[[1, 2]], torch.tensor([1, 2]))
    audio.set_state(saved)
    ours, theirs = audio.hear(**events(audio, 4, 10)), other.hear(**events(audio, 4, 10))
    assert torch.equal(theirs[[1, 2]], ours[[1, 2]]) and not torch.equal(theirs[0], ours[0])


def test_worlds_do_not_hear_each_other() -> None:
    scenes = [events(microphone(*MATERIALS, worlds=3), 4, seed) for seed in range(3)]
    quiet, loud = (microphone(*MATERIALS, worlds=3) for _ in range(2))
    for scene in scenes:
        louder = {k: v.clone() for k, v in scene.items()}
        louder["impulse"][1] += 5.0
        before, after = quiet.hear(**scene), loud.hear(**louder)
        assert torch.equal(before[[0, 2]], after[[0, 2]]) and not torch.equal(before[1], after[1])
    loud.reset(torch.tensor([1]))
    assert loud.waveform[1].abs().max() == 0.0 and loud.waveform[0].abs().max() > 0.0


def test_reset_starts_over_and_the_seed_decides() -> None:
    first, second, third = (microphone("wood", "glass", seed=seed) for seed in (3, 3, 4))
    scene = events(first, 4, seed=0)
    sounds = [audio.hear(**scene).clone() for audio in (first, second, third)]
    assert torch.equal(sounds[0], sounds[1]) and not torch.equal(sounds[0], sounds[2])
    first.reset()
    assert torch.equal(first.hear(**scene), sounds[0])


@pytest.mark.parametrize("at", [1, 2])
def test_the_frames_tell_when(at: int) -> None:
    audio = microphone("wood")
    listen(audio, impulse=strike(at=at), distance=0.1)  # 4 samples away: less than one hop of 32
    loudness = audio.spectrogram().view(BANDS, FRAMES).amax(dim=0)
    onset = at * FRAMES // 4
    assert (loudness[:onset] == FLOOR_DB).all()
    assert loudness[onset] > FLOOR_DB and loudness[onset + 3] > FLOOR_DB + 30.0


@pytest.mark.parametrize("steps", [2, 4, 8])
def test_a_look_has_sixteen_frames_and_the_right_band_whatever_its_length(steps: int) -> None:
    audio = microphone("metal")
    strike_then_ring(audio, looks=1)
    listen(audio, steps=steps)
    image = audio.spectrogram().view(BANDS, FRAMES)
    loudest = mel_centers(SAMPLE_RATE)[image.mean(dim=1).argmax()]
    assert float(loudest) == pytest.approx(MATERIALS["metal"].frequencies[0], rel=0.05)


def test_levels_are_pascals_and_looks_join_without_a_seam() -> None:
    time = torch.arange(2048) / SAMPLE_RATE
    tone = 0.2 * torch.sin(2.0 * math.pi * 1000.0 * time)
    image = log_mel(tone[1024:], SAMPLE_RATE, tone[:1024])
    total = 10.0 * math.log10(float((10.0 ** (image / 10.0)).sum(dim=0).mean()))
    assert total == pytest.approx(10.0 * math.log10(0.2**2 / 2.0), abs=0.1)
    halves = [log_mel(tone[a : a + 512], SAMPLE_RATE, tone[a - WINDOW : a], frames=8) for a in (1024, 1536)]
    torch.testing.assert_close(torch.cat(halves, dim=-1), image)
    assert log_mel(tone.flip(-1), SAMPLE_RATE).shape == (BANDS, FRAMES)


def test_the_first_frames_of_a_look_still_see_the_end_of_the_one_before() -> None:
    audio = microphone("rubber")
    before = listen(audio, impulse=strike(at=3), distance=0.1)
    after = listen(audio, distance=0.1)
    assert torch.equal(audio.spectrogram(), log_mel(after, SAMPLE_RATE, before).flatten(1))
    assert not torch.equal(audio.spectrogram(), log_mel(after, SAMPLE_RATE).flatten(1))


@pytest.mark.parametrize("bands", [32, 64])
def test_no_band_is_empty_and_both_libraries_agree(bands: int) -> None:
    audio_utils = pytest.importorskip("transformers.audio_utils")
    filters = mel_filters(257, SAMPLE_RATE, bands)
    assert filters.shape == (257, bands) and filters.amax(dim=0).min() > 0.5
    other = audio_utils.mel_filter_bank(257, bands, 50.0, SAMPLE_RATE / 2, SAMPLE_RATE, mel_scale="htk")
    torch.testing.assert_close(filters, torch.from_numpy(other).float(), rtol=1e-3, atol=1e-4)


def test_materials_are_told_apart_by_ear() -> None:
    """Nearest centroid of spectrograms relative to their peak; other sizes, strengths and distances than learned."""
    generator = torch.Generator().manual_seed(0)
    count = 40
    images = {}
    for name in NAMES:
        sizes = (0.08 + 0.06 * torch.rand(count, generator=generator)).tolist()
        audio = ContactAudio(1, [Source(str(i), MATERIALS[name], size) for i, size in enumerate(sizes)])
        rows = []
        for body in range(count):
            audio.reset()
            impulse = torch.zeros(1, count, 4)
            impulse[0, body, 0] = 0.1 + float(torch.rand(1, generator=generator))
            listen(audio, impulse=impulse, distance=0.3 + 1.2 * float(torch.rand(1, generator=generator)))
            image = audio.spectrogram()[0]
            rows.append((image - image.max()).clamp(min=-40.0))
        images[name] = torch.stack(rows)
    centroids = torch.stack([images[name][: count // 2].mean(dim=0) for name in NAMES])
    right = [
        (torch.cdist(images[name][count // 2 :], centroids).argmin(dim=1) == label).float().mean()
        for label, name in enumerate(NAMES)
    ]
    assert min(right) >= 0.9


def test_wrong_shapes_and_rates_are_named() -> None:
    with pytest.raises(ValueError, match="slip_power has shape"):
        audio = microphone("wood", worlds=2)
        zeros = torch.zeros(2, 1, 4)
        audio.hear(zeros, torch.zeros(2, 2, 4), zeros, zeros, torch.zeros(2, 2, 4), torch.zeros(2, 2, 4))
    with pytest.raises(ValueError, match="samples per step"):
        microphone("wood", sample_rate=16000)
    with pytest.raises(ValueError, match="state has shape"):
        audio.set_state(audio.state()[:, 1:])
