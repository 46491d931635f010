"""What the extension keeps, without Kit: settings read when used, changes said once, curves, a job ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from sage_ext.errors import SageError
from sage_ext.jobs import JobStatus
from sage_ext.kit import session as module
from sage_ext.kit.session import Session, choices


class Job:
    """Stands in for a job: its status is what the test says."""

    def __init__(self) -> None:
        self.now, self.did = JobStatus(Path("run"), "running", phase="wake", updated=1.0), []

    def status(self) -> JobStatus:
        return self.now

    def __getattr__(self, name: str):
        return lambda *what: self.did.append((name, *what))


class World:
    """A session whose settings are a dict, with the jobs it started and the lines it said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
        self.settings = {"task": "navigation", "preset": "demo", "runs": str(runs), "refresh_s": 0.0, "stop_s": 2.0}
        self.said: list[tuple[str, bool]] = []
        self.started: list[tuple] = []
        self.job = Job()
        self.session = Session(self.settings.get, lambda text, wrong: self.said.append((text, wrong)))
        monkeypatch.setattr(module.jobs, "start", lambda *what, **more: self.started.append((what, more)) or self.job)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    return World(monkeypatch, tmp_path)


def test_settings_are_read_when_they_are_used(world: World, tmp_path: Path) -> None:
    world.session.start()
    world.job.now = JobStatus(Path("run"), "finished")
    world.settings |= {"task": "lift", "num_envs": 3, "physics": "newton_mjwarp", "python": "py"}
    world.session.start(preset="debug", settings=["seed=4"])
    runs = f"runs={tmp_path}"
    more = ["task.num_envs=3", "task.physics=newton_mjwarp", "seed=4"]
    assert world.started == [
        (("cycle", [runs, "task=navigation", "preset=demo"]), {"python": None}),
        (("cycle", [runs, "task=lift", "preset=debug", *more]), {"python": "py"}),
    ]


def test_how_often_it_looks_is_a_setting(world: World) -> None:
    world.session.start()
    assert world.session.tick() is not None and world.session.tick() is not None
    world.settings["refresh_s"] = 60.0
    assert world.session.tick() is None


def test_one_job_at_a_time(world: World) -> None:
    world.session.start()
    for again in (world.session.start, world.session.resume):
        with pytest.raises(SageError, match="job=run: runs already; stop it first"):
            again()
    with pytest.raises(SageError, match="there is none; start one first"):
        Session(world.settings.get, print).pause()


def test_changes_are_said_once_even_if_others_look_meanwhile(world: World) -> None:
    world.session.start()
    for _ in range(3):
        world.session.status()
        world.session.tick()
    world.job.now = JobStatus(Path("run"), "killed", signal="SIGKILL", lines=("one", "two"))
    for _ in range(3):
        world.session.status()
        world.session.tick()
    assert world.said == [
        ("job run running, wake", False),
        ("job run killed: by SIGKILL; its last lines:\none\ntwo", True),
    ]


def test_curves_grow_with_news_and_begin_anew_with_a_job(world: World) -> None:
    world.session.start()
    for updated, loss in ((1.0, 3.0), (2.0, 2.0), (2.0, 9.0), (3.0, None), (4.0, 1.0)):
        world.job.now = JobStatus(Path("run"), "running", metrics={"sleep/loss": loss, "other": 5.0}, updated=updated)
        world.session.tick()
    assert {name: list(curve) for name, curve in world.session.curves.items()} == {"sleep/loss": [3.0, 2.0, 1.0]}
    world.job.now = JobStatus(Path("run"), "finished")
    world.session.start()
    assert world.session.curves == {}


def test_closing_ends_the_job_within_the_setting(world: World) -> None:
    world.session.start()
    world.settings["stop_s"] = 3.0
    world.session.close()
    assert world.job.did == [("end", 3.0), ("close",)]


def test_choices_are_the_files_of_the_config() -> None:
    assert {"navigation", "lift"} <= set(choices("task")) and {"debug", "demo"} <= set(choices("preset"))
