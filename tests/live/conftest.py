"""What the tests of the live view share: small minds, a run of the ball world that is over, jobs of it that run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sage_ext import jobs
from sage_ext.cycle import PHASES, run_phases
from sage_ext.report import Reporter
from sage_ext.runs import Run
from tests.browser import browser  # noqa: F401  a fixture
from tests.mind.ball_world import BallBody
from tests.mind.conftest import REPO, configured, small  # noqa: F401  a fixture
from tests.mind.test_cycle import Stop

JOB = f"""
import sys, time
sys.path.insert(0, {str(REPO)!r})
import pytest, torch
from sage_ext import body, cli, simulator
from tests.mind.ball_world import BallBody, BallWorld
from tests.mind.conftest import shrink

class Slow(BallWorld):
    def step(self, action):
        time.sleep(0.02)
        return super().step(action)

class Body(BallBody):
    def __init__(self):
        super().__init__(Slow)

torch.set_num_threads(1)
shrink(pytest.MonkeyPatch())
body.SimulatedBody = Body
simulator.need_simulator = lambda: None
del sys.argv[1:3]  # -m sage_ext
cli.run()
"""
"""The command line as it is, on the ball world at about the pace of a simulator."""


def until(condition: Callable[[], object], seconds: float = 240.0) -> None:
    """Wait for something that another process brings about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


@pytest.fixture(scope="package")
def over(tmp_path_factory: pytest.TempPathFactory, small: None) -> Path:  # noqa: F811
    """The folder of a run that is over; leave it as it is."""
    config = configured(f"runs={tmp_path_factory.mktemp('runs')}")
    with Run.create(config) as run:
        run.write_state({"phases": list(PHASES)})
        with open(run.log, "w") as log:
            reporter = Reporter(run.tensorboard, file=log)
            run_phases(config, run, PHASES, reporter, Stop(), BallBody())
            reporter.close()
        run.write_state({**run.state, "done": True})
        return run.path


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., jobs.Job]]:
    """Starts jobs of the ball world; ends those that still run."""
    script, python = tmp_path / "job.py", tmp_path / "python"
    script.write_text(JOB)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n')
    python.chmod(0o755)
    begun: list[jobs.Job] = []

    def start(*settings: str) -> jobs.Job:
        given = [f"runs={tmp_path / 'runs'}", "preset=debug", *settings]
        begun.append(jobs.start("cycle", given, python=str(python)))
        return begun[-1]

    yield start
    for job in begun:
        job.end(0.0)
        job.close()
