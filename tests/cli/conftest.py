"""A cycle without a simulator: what the command line calls, played by a function of the test."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from sage_ext import simulator

REPO = Path(__file__).resolve().parent.parent.parent


class Cycle:
    """Stands in for ``sage_ext.cycle``; ``act`` is what happens in it."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []
        self.act: Callable = lambda config, run, phases, reporter, stop: None

    def run_phases(self, config, run, phases, reporter, stop, body):
        self.calls.append((config, run.path, phases, run.state))
        self.act(config, run, phases, reporter, stop)
        remember(run)
        summary = {"episodes": 2, "measured": {"seconds": dict(reporter.seconds)}}
        run.write_summary(summary)
        return summary


def remember(run) -> None:
    """What a wake and a sleep leave behind."""
    for folder, name in ((run.memory, "meta.json"), (run.checkpoint, "checkpoint.json")):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text("{}")


@pytest.fixture
def cycle(monkeypatch, tmp_path) -> Cycle:
    """The command line works in an empty folder, with a cycle that the test controls."""
    fake = Cycle()
    monkeypatch.setitem(sys.modules, "sage_ext.cycle", types.SimpleNamespace(run_phases=fake.run_phases))
    monkeypatch.setitem(sys.modules, "sage_ext.body", types.SimpleNamespace(SimulatedBody=object))
    monkeypatch.setattr(simulator, "need_simulator", lambda: None)
    monkeypatch.chdir(tmp_path)
    return fake


@pytest.fixture
def python(tmp_path) -> Callable[..., subprocess.Popen]:
    """Starts this Python in an empty folder, finding the packages as this process does."""

    def start(*arguments: str) -> subprocess.Popen:
        path = os.pathsep.join(str(REPO / part) for part in ("", "envs", "tasks"))
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start
