"""Films: what a picture shows, and an MP4 that others can open."""

from __future__ import annotations

import sys

import av
import numpy as np
import pytest
import torch

from sage_ext.errors import SageError
from sage_ext.video import BORDER, GREEN, GREY, Film, mosaic, picture


def senses(worlds: int, shade: int, size: int = 16) -> dict[str, torch.Tensor]:
    visual = torch.full((worlds, size, size, 3), shade, dtype=torch.uint8)
    return {"visual": visual, "depth": torch.full((worlds, size, size, 1), 2.0)}


def frames(path) -> list[np.ndarray]:
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def test_a_picture_is_rgb_beside_depth_in_whole_pixels() -> None:
    rgb = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    depth = np.array([[0.0, 0.1, 1.0, 5.0]] * 4, dtype=np.float32)[..., None]
    image = picture(rgb, depth, 3)
    assert image.shape == (4 * 3 + 2 * BORDER, 8 * 3 + 2 * BORDER, 3)
    inner = image[BORDER:-BORDER, BORDER:-BORDER]
    assert np.array_equal(inner[::3, :12:3], rgb) and np.array_equal(inner[2::3, 2:12:3], rgb)
    nothing, near, middle, far = inner[0, 12::3].astype(int).sum(axis=-1)
    assert near > middle > far > nothing
    assert tuple(image[0, 0]) == GREY


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (3, 2, 2), (4, 2, 2), (5, 2, 3)])
def test_worlds_are_laid_out_in_a_grid(count: int, rows: int, columns: int) -> None:
    image = mosaic([np.full((3, 5, 3), 10 * (i + 1), np.uint8) for i in range(count)])
    # H.264 takes even sizes only.
    assert image.shape == (3 * rows + 3 * rows % 2, 5 * columns + 5 * columns % 2, 3)
    shades = [int(image[3 * (i // columns) + 1, 5 * (i % columns) + 1, 0]) for i in range(rows * columns)]
    assert shades == [10 * (i + 1) for i in range(count)] + [0] * (rows * columns - count)


def test_an_mp4_that_browsers_play(tmp_path) -> None:
    path = tmp_path / "film.mp4"
    with Film(path, worlds=1, fps=30) as film:
        for shade in (0, 120, 240):
            film.look(senses(1, shade), torch.tensor([False]))
        assert not path.exists()
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.frames, stream.average_rate) == (3, 30)
    # The index comes first: what is played can begin before all is there.
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    shades = [frame[frame.shape[0] // 2, frame.shape[1] // 4].mean() for frame in frames(path)]
    assert shades == pytest.approx([0, 120, 240], abs=6)
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]


def test_first_episodes_are_shown_whole_and_then_stand_still(tmp_path) -> None:
    path = tmp_path / "film.mp4"
    with Film(path, worlds=2, fps=30) as film:
        film.look(senses(3, 50), torch.tensor([False, True, False]))
        film.end(0, True)
        film.end(2, True)  # is not shown
        film.look(senses(3, 150), torch.tensor([False, True, False]))
        film.end(1, False)
        film.end(1, True)  # of a later episode
        film.look(senses(3, 250), torch.tensor([False, False, False]))
    first, second = frames(path)
    wide = first.shape[1] // 2
    shades = [[float(f[f.shape[0] // 2, x + wide // 4].mean()) for x in (0, wide)] for f in (first, second)]
    assert np.allclose(shades, [[50, 50], [50, 150]], atol=6)
    borders = [[f[1, x + wide // 2] for x in (0, wide)] for f in (first, second)]
    assert np.allclose(borders, [[GREY, GREEN], [GREEN, GREEN]], atol=12)


def test_after_an_error_there_is_no_file(tmp_path) -> None:
    with pytest.raises(RuntimeError), Film(tmp_path / "film.mp4", worlds=1, fps=30) as film:
        film.look(senses(1, 0), torch.tensor([False]))
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_a_robot_that_sees_nothing_cannot_be_filmed(tmp_path) -> None:
    with pytest.raises(SageError, match="video=true: this task has no camera; set video=false"):
        Film(tmp_path / "film.mp4", 1, 30).look({"audio": torch.zeros(1, 4)}, torch.tensor([False]))


def test_without_pyav_it_is_said_how_to_get_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(SageError, match="PyAV is not installed; install it: pip install av"):
        Film(tmp_path / "film.mp4", 1, 30)
