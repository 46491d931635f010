"""Dreams are kept as they were dreamt, the worst of each kind first, within bounds, whole or not at all."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch

from sage_ext import dream_file
from sage_ext.dream import Explored, explore
from sage_ext.dream_file import KeptDream, load_dreams, save_dreams
from sage_ext.errors import SageError
from sage_ext.memory import Memory
from sage_ext.mind import Mind
from tests.report_page.conftest import explored

from .ball_world import BallWorld
from .conftest import configured, seeded


def test_what_was_dreamt_comes_back(remembered: tuple[BallWorld, Memory], trained: Mind, tmp_path: Path) -> None:
    env, memory = remembered
    dreams = explore(env, trained, memory, configured("dream.explorations=5").dream, seeded())
    save_dreams(tmp_path / "d.safetensors", dreams)
    kept = load_dreams(tmp_path / "d.safetensors")
    assert len(kept) == 5 and [p.name for p in tmp_path.iterdir()] == ["d.safetensors"]
    assert [dream.miss for dream in kept] == sorted((dream.miss for dream in kept), reverse=True)
    by_record = {json.dumps(dream.record()): dream for dream in dreams}
    assert len(by_record) == 5
    for dream in kept:
        lived = by_record[json.dumps(dream.record)]
        assert torch.equal(dream.dream.frames, lived.frames) and torch.equal(dream.twin.frames, lived.twin_frames)
        for scene, surprise, audio in (
            (dream.dream, lived.surprise, lived.senses["audio"]),
            (dream.twin, lived.twin_surprise, lived.twin_senses["audio"]),
        ):
            assert scene.surprise.equal(surprise) or scene.surprise[1:].equal(surprise[1:])
            assert audio is not None and scene.audio is not None and scene.audio.shape == (12, 1024)
            assert (scene.audio - audio).abs().max() < 0.06


def test_a_silent_world_has_no_sound(tmp_path: Path) -> None:
    dream = explored("float", 0.1, 0.5)
    del dream.senses["audio"]
    save_dreams(tmp_path / "d.safetensors", [dream])
    (kept,) = load_dreams(tmp_path / "d.safetensors")
    assert kept.dream.audio is None and kept.twin.audio is not None


def many() -> list[Explored]:
    laws = ["float"] * 80 + ["vanish"] * 3 + ["reversal"]
    return [explored(law, 0.5 - i / 200, 0.5, size=8) for i, law in enumerate(laws)]


def test_too_many_keep_the_worst_of_each_law(tmp_path: Path) -> None:
    save_dreams(tmp_path / "d.safetensors", many())
    kept = load_dreams(tmp_path / "d.safetensors")
    assert Counter(dream.record["law"] for dream in kept) == {"float": 60, "vanish": 3, "reversal": 1}
    floats = [dream.miss for dream in kept if dream.record["law"] == "float"]
    assert floats == pytest.approx([-i / 200 for i in range(60)])


def test_they_take_no_more_than_they_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dream_file, "MOST_BYTES", 10**6)
    save_dreams(tmp_path / "d.safetensors", many())
    assert 8 < len(load_dreams(tmp_path / "d.safetensors")) < 64
    assert (tmp_path / "d.safetensors").stat().st_size < 1.1e6


def test_large_pictures_are_kept_smaller(tmp_path: Path) -> None:
    dream = explored("float", 0.1, 0.5, size=224)
    dream.frames[0, :112], dream.frames[0, 112:] = 200, 100
    kept = KeptDream.of(dream)
    assert kept.dream.frames.shape == (16, 128, 128, 3) and kept.dream.frames.dtype == torch.uint8
    assert kept.dream.frames[0, 20, 20].tolist() == [200] * 3 and kept.dream.frames[0, 100, 20].tolist() == [100] * 3


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "d.safetensors"
    save_dreams(path, [explored("float", 0.1, 0.5)])
    before = path.read_bytes()

    def torn(tensors: dict, file: Path, metadata: dict) -> None:
        file.write_bytes(before[:100])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(dream_file, "save_file", torn)
        with pytest.raises(SageError, match="cannot be written .*No space left.*free disk space"):
            save_dreams(path, [explored("vanish", 0.1, 0.5)])
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:200], lambda data: b"", lambda data: data.replace(b'"law', b'"lax')]
)
def test_a_damaged_file_is_named(tmp_path: Path, damage) -> None:
    path = tmp_path / "d.safetensors"
    save_dreams(path, [explored("float", 0.1, 0.5)])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SageError, match="is corrupt; dream again: sage-ext dream RUN"):
        load_dreams(path)


def test_no_file_is_no_dreams(tmp_path: Path) -> None:
    assert load_dreams(tmp_path / "none") == []
