"""A mind that the ablation has trained is not trained again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import ablation
from bench.ablation_arms import ARMS, PlainMind
from sage_ext.mind import Mind
from sage_ext.observation import ObservationSpec, SenseSpec

RESULT = {"seconds": 12.5, "losses": {"loss": 0.25}}


def options(keep: Path, updates: int = 3, **more: Any) -> argparse.Namespace:
    budget = {
        "tasks": ["Sage-Lift"],
        "steps": 96,
        "batch": 2,
        "looks": 3,
        "lr": 1e-3,
        "set": [],
        "lives": None,
        "wakes": None,
        "drawn": [],
    }
    return argparse.Namespace(keep=keep, updates=updates, minds=True, device="cpu", **(budget | more))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many updates each training took; none is done in earnest."""
    found: list[int] = []
    spec = ObservationSpec({"audio": SenseSpec((1024,), "float32")})

    def train(options: argparse.Namespace, arm: Any, seed: int) -> tuple[Mind, dict[str, Any]]:
        found.append(options.updates)
        mind = PlainMind.create(spec, 2, 5, ablation._config(options), options.updates, "cpu")
        return mind, dict(RESULT)

    monkeypatch.setattr(ablation, "_train", train)
    return found


def test_a_mind_kept_is_only_scored(trained: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored: list[Mind] = []

    def scores(_: argparse.Namespace, mind: Mind) -> dict[str, Any]:
        scored.append(mind)
        if len(scored) == 1:
            raise KeyboardInterrupt
        return {"scores": {"mean": {"score": 0.5}}}

    monkeypatch.setattr(ablation, "_scores", scores)
    with pytest.raises(KeyboardInterrupt):
        ablation._done(options(tmp_path), ARMS[0], 0)
    result = ablation._done(options(tmp_path), ARMS[0], 0)
    assert trained == [3], "trained once, however often it is scored"
    assert result == {**RESULT, "scores": {"mean": {"score": 0.5}}}
    first, second = (mind.objective.state_dict() for mind in scored)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert ablation._done(options(tmp_path), ARMS[0], 0) == result and len(scored) == 2


def test_another_budget_is_another_mind(trained: list[int], tmp_path: Path) -> None:
    for updates in (3, 4, 3):
        _, result = ablation._trained(options(tmp_path, updates), ARMS[0], 0)
        assert result == RESULT
    ablation._trained(options(tmp_path, set=["sleep.lr=0.1"]), ARMS[0], 0)
    ablation._trained(options(tmp_path), ARMS[0], 1)
    ablation._trained(options(tmp_path, wakes=2), ARMS[0], 1)
    ablation._trained(options(tmp_path, drawn=["color=0.5"]), ARMS[0], 1)
    assert trained == [3, 4, 3, 3, 3, 3]
