"""The film: twin and dream beside each other, the curve running, and the sound of the one that is said to be heard."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from sage_ext.cli import main
from sage_ext.dream_file import Scene, load_dreams, save_dreams
from sage_ext.dream_film.film import GAP, HEAD, RED, SIDE, film
from sage_ext.mp4 import SOUND_RATE
from tests.report_page.conftest import AT, LOOKS, begun, dreamt, explored, finish

SLOW = 1


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in file.decode(video=0)]


def sound(path: Path) -> np.ndarray:
    with av.open(str(path)) as file:
        return np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of one dream."""
    folder = tmp_path_factory.mktemp("film")
    save_dreams(folder / "dreams.safetensors", [explored("float", 0.7, 0.4)])
    film(folder / "dreams.mp4", load_dreams(folder / "dreams.safetensors"), SLOW, silent=False)
    assert sorted(p.name for p in folder.iterdir()) == ["dreams.mp4", "dreams.safetensors"]
    return folder / "dreams.mp4"


def test_it_is_what_every_player_plays(shown: Path) -> None:
    with av.open(str(shown)) as file:
        video, audio = file.streams.video[0], file.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (audio.codec_context.name, audio.sample_rate, audio.layout.name) == ("aac", SOUND_RATE, "stereo")
        assert video.frames == 2 * LOOKS * SLOW and video.average_rate == 30, "once for each sound"
    seconds = 2 * LOOKS * SLOW / 30
    assert sound(shown).shape[1] / SOUND_RATE == pytest.approx(seconds, abs=0.06)


def test_twin_and_dream_differ_from_the_violation_on(shown: Path) -> None:
    for number, image in enumerate(pictures(shown)):
        look = number % (LOOKS * SLOW) // SLOW
        left = image[HEAD : HEAD + SIDE, GAP : GAP + SIDE]
        right = image[HEAD : HEAD + SIDE, 2 * GAP + SIDE : 2 * GAP + 2 * SIDE]
        apart = np.abs(left - right).max()
        assert (apart > 60) == (look >= AT), (look, apart)
        edge = image[HEAD - 2, 2 * GAP + SIDE + SIDE // 2]
        assert (np.abs(edge - RED).max() < 40) == (look >= AT)


def test_the_curve_runs(shown: Path) -> None:
    """As far as the twin's, which is blue, is seen."""
    reach = []
    for image in pictures(shown)[: LOOKS * SLOW]:
        below = image[HEAD + SIDE + 40 :]
        columns = np.flatnonzero((below[..., 2] - below[..., 0] > 50).any(axis=0))
        reach.append(columns.max() if len(columns) else 0)
    assert reach[-1] > 700 and reach[0] == 0
    grown = np.diff([r for r in reach if r])
    assert (grown > -12).all() and (grown > 5).mean() > 0.8


def test_each_is_heard_in_its_turn(shown: Path) -> None:
    """Only the twin sounds, in its left ear, when the square would have gone on."""
    wave = sound(shown)
    half = wave.shape[1] // 2
    twin, dream = wave[:, :half], wave[:, half:]
    assert np.abs(twin[0]).max() > 0.3 and np.abs(dream[:, 4000:]).max() < 0.02 and np.abs(twin[1]).max() < 0.05
    loudest = np.abs(twin[0]).argmax() / half * LOOKS
    assert AT - 0.3 < loudest < AT + 1.3


def test_without_sound_a_dream_is_shown_once(tmp_path: Path) -> None:
    save_dreams(tmp_path / "d.safetensors", [explored("float", 0.7, 0.4)])
    (dream,) = load_dreams(tmp_path / "d.safetensors")
    film(tmp_path / "silent.mp4", [dream], 1, silent=True)
    dream.dream, dream.twin = (Scene(s.frames, s.surprise) for s in (dream.dream, dream.twin))
    film(tmp_path / "deaf.mp4", [dream], 1, silent=False)
    for name in ("silent", "deaf"):
        with av.open(str(tmp_path / f"{name}.mp4")) as file:
            assert file.streams.video[0].frames == LOOKS and not file.streams.audio


def test_the_command_writes_the_worst_first(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    with begun(tmp_path) as run:
        finish(run, dreamt())
        save_dreams(run.scenes, dreamt())
    assert main(["dream", "watch", str(run.path), "--slow", "1", "--count", "2", "--silent"]) == 0
    assert f"{run.path / 'dreams.mp4'}: 2 dreams" in capfd.readouterr().out
    assert len(pictures(run.path / "dreams.mp4")) == 2 * LOOKS
