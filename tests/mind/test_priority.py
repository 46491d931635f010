"""Moments that surprise are lived again more often, if that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sage_ext.errors import Interrupted
from sage_ext.memory import Memory
from sage_ext.mind import Mind
from sage_ext.sleep import Priorities, Rounds, priority

from .ball_world import BallWorld
from .conftest import configured, seeded
from .test_cycle import STEPS, Stop, assert_same, begin, go, weights

Remembered = tuple[BallWorld, Memory]


def test_chances_rise_with_surprise() -> None:
    surprise = torch.tensor([1.0, 2.0, 3.0, 0.0])
    assert priority.chances(surprise, 0.0).tolist() == [0.25] * 4
    torch.testing.assert_close(priority.chances(surprise, 1.0)[:3], torch.tensor([1 / 6, 1 / 3, 1 / 2]))
    assert 0 < priority.chances(surprise, 0.5)[3] < 0.001, "what never surprises can still come"
    assert priority.chances(torch.zeros(4), 1.0).tolist() == [0.25] * 4


@pytest.fixture(scope="module")
def measured(remembered: Remembered, trained: Mind) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(priority, "CANDIDATES", 100)
        return Priorities.measure(trained, remembered[1], configured().sleep, seeded())


def test_surprise_is_the_error_of_what_was_foretold(
    remembered: Remembered, trained: Mind, measured: dict[str, Any]
) -> None:
    memory, config = remembered[1], configured().sleep
    assert len(measured["surprise"]) == 100 and min(measured["surprise"]) > 0
    one = memory.slices_at(measured["episode"][7:8], measured["step"][7:8], config.history + config.steps)
    assert bool(one["has_snapshot"][0, config.history])
    context = trained.encode({k: one["observation", k] for k in one["observation"].keys()})  # noqa: SIM118
    told = trained.acting.predictor.unroll(context, torch.nn.functional.pad(one["action"], (0, 1)))
    expected = [float(told[h].error(context[:, h:]).mean().detach()) for h in told]
    assert measured["surprise"][7] == pytest.approx(sum(expected) / len(expected), rel=1e-3)


def test_what_surprises_is_lived_again_more_often(remembered: Remembered, measured: dict[str, Any]) -> None:
    memory = remembered[1]
    surprise = dict(zip(zip(measured["episode"], measured["step"], strict=True), measured["surprise"], strict=True))

    def mean(exponent: float) -> float:
        drawn = Priorities(measured, exponent).draw(memory, 400, 6, seeded(), ["action"])
        keys = zip(drawn["episode"][:, 0].tolist(), drawn["step"][:, 0].tolist(), strict=True)
        return sum(surprise[key] for key in keys) / 400

    usual = sum(measured["surprise"]) / 100
    assert mean(0.0) == pytest.approx(usual, rel=0.1)
    assert mean(1.0) > mean(0.5) > 1.02 * usual


def test_rounds_draw_by_priority(remembered: Remembered, measured: dict[str, Any]) -> None:
    only = {key: values[3:4] for key, values in measured.items()}
    config = configured("sleep.consolidations=12").sleep
    rounds = Rounds(*remembered, config, lambda number: number, priorities=Priorities(only, 1.0))
    with rounds.ahead(0, 0) as lived:
        ((_, moments),) = lived
    assert all(torch.equal(row, moments.actions[0]) for row in moments.actions)


def test_an_interrupted_sleep_goes_on_with_what_surprised_at_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(priority, "CANDIDATES", 20)
    paths = [begin(tmp_path / name, f"sleep.priority={exponent}") for name, exponent in (("a", 0.7), ("b", 0.7))]
    go(paths[0], phases=("wake", "sleep"))
    for after in (2 * STEPS + 1, 1):
        with pytest.raises(Interrupted):
            go(paths[1], Stop(after), ("wake", "sleep"))
    go(paths[1], phases=("wake", "sleep"))
    for path in paths:
        (path / "dreams.png").write_bytes(b"")
    assert_same(*paths)
    assert len(weights(paths[0])[1]["extra"]["learned"]["priorities"]["surprise"]) == 20
