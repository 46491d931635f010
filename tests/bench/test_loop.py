"""The bench of the loop on the ball world: what each cycle learned is kept, judged once, and drawn."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sage_ext.body
import sage_ext.simulator
from bench import loop, probes
from sage_ext.act.sources import learned
from sage_ext.context import checkpoint
from sage_ext.sage import core
from sage_ext.threads import torch_threads

from ..act.conftest import CORE
from ..mind.ball_world import BallBody, BallWorld
from ..mind.conftest import PINNED, shrink

PLACE = [
    "preset=debug",
    *(f"{block}.{key}={value}" for block, values in PINNED.items() for key, value in values.items()),
    "wake.episodes=2", "sleep.consolidations=8", "sleep.round=4", "act.batch=2", "act.steps=4", "act.h_every=2",
]  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A small mind and core, and the ball world for a simulator."""
    shrink(monkeypatch)
    monkeypatch.setattr(core, "CoreWidths", functools.partial(core.CoreWidths, **CORE, report=8))
    monkeypatch.setattr(sage_ext.body, "SimulatedBody", lambda: BallBody(goal=0.7, lost=-3.0))
    monkeypatch.setattr(sage_ext.simulator, "prepare", lambda device: None)
    with torch_threads(1):
        yield


def test_each_cycle_is_kept_and_judged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processes: list[str] = []

    def module(name: str, *tokens: str, log: Path) -> None:
        processes.append(name)
        if name == "bench.loop":
            folder, device, settings = json.loads(tokens[1])
            loop.live(Path(folder), device, settings)
            return
        (path, plan), *_ = json.loads(tokens[0]).items()
        assert (plan["kind"], plan["folder"] is None) == (
            ("random", True) if "-0" in Path(path).name else ("sage", False)
        )
        Path(path).write_text(json.dumps({"success_rate": 0.25 * int(Path(path).stem[-1])}))

    def probe(mind: Any, task: str, *sets: object) -> dict[str, dict[str, float]]:
        return {"whole": {"speed": 0.1 * mind.learned["consolidations"] / 8}}

    monkeypatch.setattr(loop, "module", module)
    monkeypatch.setattr(probes, "held_out", lambda *_: (None, None))
    monkeypatch.setattr(probes, "probe", probe)
    argv = ["--cycles", "2", "--worlds", "2", "--episodes", "2", "--consolidations", "8", "--updates", "2"]
    argv += ["--keep", str(tmp_path / "keep"), "--json", str(tmp_path / "loop.json")]
    argv += ["--set", *PLACE]
    for _ in range(2):  # nothing is lived or played again
        assert loop.main(argv) == 0
        assert sorted(processes) == ["bench.loop", *["bench.tasks_play"] * 3]
    rows = {(r["case"], r["metric"]): r["value"] for r in json.loads((tmp_path / "loop.json").read_text())["rows"]}
    assert [rows[f"cycle {n}", "success"] for n in range(3)] == [0.0, 0.25, 0.5]
    assert [rows[f"cycle {n}", "score"] for n in (1, 2)] == pytest.approx([0.1, 0.2])
    assert all(0.0 <= rows[f"cycle {n}", "awake"] <= 1.0 for n in (1, 2))
    assert (tmp_path / "loop.png").stat().st_size > 1000
    first, second = (tmp_path / "keep" / f"cycle-{n}" / "policy" for n in (1, 2))
    known = [checkpoint.load_state(folder / "checkpoint")[0] for folder in (first, second)]
    assert any(not value.equal(known[1][name]) for name, value in known[0].items() if name.startswith("core/"))
    learned(second, BallWorld(1, 5, 32))
