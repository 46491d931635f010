"""A job without a simulator: the command line as it is, with a cycle that takes ten seconds of safe points."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sage_ext import jobs

CYCLE = """
import os, sys, time, types
from sage_ext import cli
from sage_ext.errors import SageError

def run_phases(config, run, phases, reporter, stop, body):
    wish = config.name
    if wish == "refused":
        raise SageError("task.physics", "magic", "is no engine", "use ovphysx")
    if wish == "broken":
        raise RuntimeError("the floor gave way")
    with reporter.phase("start", total=None):
        time.sleep(0.3)
    run.memory.mkdir(exist_ok=True)
    (run.memory / "meta.json").write_text("{}")
    with reporter.phase("wake", total=1000, unit="steps") as bar:
        for step in range(20 if wish == "short" else 1000):
            time.sleep(0.01)
            bar.advance()
            stop.check()
    if wish == "vanishes":
        os._exit(0)
    return {"episodes": 2}

sys.modules["sage_ext.cycle"] = types.SimpleNamespace(run_phases=run_phases)
sys.modules["sage_ext.body"] = types.SimpleNamespace(SimulatedBody=object)
cli._need_simulator = lambda: None
del sys.argv[1:3]  # -m sage_ext
cli.run()
"""


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for something that another process brings about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., jobs.Job]]:
    """Starts jobs whose Python plays the cycle above; ends those that still run."""
    script, python = tmp_path / "cycle.py", tmp_path / "python"
    script.write_text(CYCLE)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n')
    python.chmod(0o755)
    begun: list[jobs.Job] = []

    def start(*settings: str, command: str = "cycle", run: Path | None = None) -> jobs.Job:
        where = () if run else (f"runs={tmp_path / 'runs'}", "preset=debug")
        begun.append(jobs.start(command, [*where, *settings], run, python=str(python)))
        return begun[-1]

    yield start
    for job in begun:
        job.end(0.0)
        job.close()
