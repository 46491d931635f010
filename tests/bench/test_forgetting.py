"""What the bench of forgetting makes of runs and scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import forgetting
from bench.table import OURS
from sage_ext.config import load_config
from sage_ext.runs import Run

TASKS = ["Sage-Navigation", "Sage-Lift", "Sage-Social"]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What was run; each leaves behind what the command would."""
    told: list[tuple[str, ...]] = []

    def command(*tokens: str, log: Path) -> None:
        told.append(tokens)
        if tokens[0] == "wake":
            with Run.create(load_config(tokens[1:])) as run:
                run.write_state({"done": len(told) != 1})  # the first is interrupted
        else:
            with Run.open(tokens[1]) as run:
                run.write_state({"done": True})
                if tokens[0] == "sleep":
                    run.write_summary({"consolidations": 64})

    monkeypatch.setattr(forgetting, "command", command)
    return told


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first task is forgotten by a tenth a cycle, rehearsed by a hundredth; one quantity has no score."""

    def scores(options: Any, seed: int, path: Path, task: str, fresh: bool = False) -> dict[str, float]:
        if fresh or task != TASKS[0]:
            return {"a": 0.5, "b": 0.3}
        cycle, lost = int(path.parent.name[0]), 0.01 if path.parent.parent.name == OURS else 0.1
        return {"a": 0.9 - lost * (cycle - 1), "b": 0.7, "c": float("nan")}

    monkeypatch.setattr(forgetting, "_scores", scores)


def rows(tmp_path: Path) -> dict[tuple[str, str, str], float]:
    out = tmp_path / "rows.json"
    assert forgetting.main(["--keep", str(tmp_path / "keep"), "--json", str(out), "--episodes", "16"]) == 0
    return {(r["arm"], r["case"], r["metric"]): r["value"] for r in json.loads(out.read_text())["rows"]}


def test_each_cycle_goes_on_from_the_one_before(commands: list[tuple[str, ...]], scored: None, tmp_path: Path) -> None:
    found = rows(tmp_path)
    kinds = [tokens[0] for tokens in commands]
    assert kinds == ["wake", "resume", "sleep"] + ["wake", "sleep"] * 4, "the first run is that of both arms"
    wakes = [dict(token.split("=", 1) for token in tokens[1:]) for tokens in commands if tokens[0] == "wake"]
    assert [w["task.id"] for w in wakes] == [*TASKS, *TASKS[1:]]
    assert [w["sleep.rehearsal"] for w in wakes] == ["1.0"] * 3 + ["0.0"] * 2
    after = [Path(w["after"]).parent.name if "after" in w else None for w in wakes]
    assert after == [None, "1-Sage-Navigation", "2-Sage-Lift", "1-Sage-Navigation", "2-Sage-Lift"]
    assert [Path(w["after"]).parent.parent.name for w in wakes[2:]] == [OURS, OURS, "no_rehearsal"]
    assert rows(tmp_path) == found and len(commands) == 11, "nothing is done twice"


def test_points_lost_are_of_the_first_task(commands: list[tuple[str, ...]], scored: None, tmp_path: Path) -> None:
    found = rows(tmp_path)
    assert found[OURS, "first task", "points_lost"] == pytest.approx(1.0)
    assert found["no rehearsal", "first task", "points_lost"] == pytest.approx(10.0)
    assert found["no rehearsal", "a", "points_lost"] == pytest.approx(20.0)
    assert found["no rehearsal", "b", "points_lost"] == 0 and ("no rehearsal", "c", "points_lost") not in found
    assert found[OURS, "Sage-Navigation after 2", "score"] == pytest.approx(0.795)
    assert found[OURS, "Sage-Social after 3", "score"] == found["untrained", "Sage-Lift", "score"] == 0.4
