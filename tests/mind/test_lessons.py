"""Dreams that fooled the mind are kept, taught after the next sleep, and forgotten in the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sage_ext.dream import Explored, Lessons, calibrate_on_memory, explore, first_judged, keep, recall, teach
from sage_ext.dream.lessons import FEW
from sage_ext.errors import SageError
from sage_ext.memory import Memory
from sage_ext.mind import Mind

from .ball_world import BallWorld
from .conftest import configured, seeded

Remembered = tuple[BallWorld, Memory]
LOOKS = 12


@pytest.fixture(scope="module")
def dreams(remembered: Remembered, trained: Mind) -> list[Explored]:
    env, memory = remembered
    return explore(env, trained, memory, configured("dream.explorations=6").dream, seeded())


def said(dreams: list[Explored], *coherences: tuple[float, float]) -> list[Explored]:
    return [replace(d, coherence=a, twin_coherence=b) for d, (a, b) in zip(dreams, coherences, strict=False)]


def test_those_that_fooled_the_mind_are_kept_whole(tmp_path: Path, dreams: list[Explored]) -> None:
    told = said(dreams, (0.1, 0.9), (0.4, 0.3), (0.6, 0.9), (0.2, 0.2))
    assert keep(tmp_path / "l", "0001", told) == 3, "no less possible than the twin, or more possible than not"
    found = recall(tmp_path / "l", "0002", LOOKS, 64)
    assert found is not None and len(found) == 3
    for i, dream in enumerate(told[1:]):
        assert all(torch.equal(found.impossible[k][i], v) for k, v in dream.senses.items())
        assert all(torch.equal(found.twin[k][i], v) for k, v in dream.twin_senses.items())
        assert torch.equal(found.actions[i], dream.actions)
    assert [p.name for p in (tmp_path / "l").iterdir()] == ["0001.safetensors"]


def test_dreams_do_not_teach_before_they_were_slept_on(tmp_path: Path, dreams: list[Explored]) -> None:
    """Dreamt again after a kill, they replace themselves and find what was known before."""
    keep(tmp_path, "0001", said(dreams, (0.9, 0.1)))
    for _ in range(2):
        keep(tmp_path, "0002", said(dreams[1:], (0.9, 0.1), (0.9, 0.1)))
        before = recall(tmp_path, "0002", LOOKS, 64)
        assert before is not None and len(before) == 1
    after = recall(tmp_path, "0003", LOOKS, 64)
    assert after is not None and len(after) == 3


def test_the_oldest_are_forgotten(tmp_path: Path, dreams: list[Explored]) -> None:
    for number in range(3):
        keep(tmp_path, f"{number:04d}", said(dreams[2 * number :], (0.9, 0.1), (0.9, 0.1)))
    found = recall(tmp_path, "0009", LOOKS, 3)
    assert found is not None
    want = torch.stack([d.frames for d in dreams[3:6]])
    assert torch.equal(found.impossible["visual"], want), "the last three, the oldest first"
    assert sorted(p.stem for p in tmp_path.iterdir()) == ["0001", "0002"], "what is never needed again is removed"
    assert recall(tmp_path, "0009", LOOKS + 2, 3) is None, "scenes of another length teach nothing"


def test_nothing_kept_is_nothing_recalled(tmp_path: Path, dreams: list[Explored]) -> None:
    assert keep(tmp_path / "l", "0001", said(dreams, (0.1, 0.9))) == 0
    assert recall(tmp_path / "l", "0002", LOOKS, 64) is None


def test_a_damaged_file_is_named(tmp_path: Path, dreams: list[Explored]) -> None:
    keep(tmp_path, "0001", said(dreams, (0.9, 0.1)))
    file = tmp_path / "0001.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(SageError, match=r"0001\.safetensors: is corrupt; remove it"):
        recall(tmp_path, "0002", LOOKS, 64)


def test_lessons_change_the_judge_and_nothing_of_the_mind(
    tmp_path: Path, remembered: Remembered, trained: Mind, dreams: list[Explored]
) -> None:
    config = configured("dream.known=20", "dream.calibration=12").dream
    judge = calibrate_on_memory(trained, remembered[1], config, seeded())
    before = {k: v.clone() for k, v in trained.average.state_dict().items()}
    keep(tmp_path, "0001", said(dreams, *[(0.9, 0.1)] * 6))
    lessons = recall(tmp_path, "0002", LOOKS, 64)
    assert lessons is not None
    few = Lessons({k: v[: FEW - 1] for k, v in lessons.impossible.items()}, lessons.twin, lessons.actions[: FEW - 1])
    equal = judge.weight.clone()
    assert not teach(trained, judge, few, first_judged(config)) and torch.equal(judge.weight, equal)
    assert bool(judge.logistic.isnan().all())
    assert teach(trained, judge, lessons, first_judged(config))
    assert not torch.allclose(judge.weight, equal) and float(judge.weight.sum()) == pytest.approx(1.0)
    assert bool(judge.logistic.isfinite().all())
    assert all(torch.equal(v, before[k]) for k, v in trained.average.state_dict().items())
