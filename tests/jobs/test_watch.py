"""What is told and what is read: whole files, seldom written, of the right process."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from sage_ext import jobs
from sage_ext.errors import Interrupted, SageError
from sage_ext.interrupt import StopRequest
from sage_ext.jobs import control, progress, watch
from sage_ext.jobs.control import Control
from sage_ext.jobs.process import started
from sage_ext.jobs.progress import Progress
from sage_ext.report import Reporter

from .conftest import until


@pytest.fixture
def reporter(tmp_path: Path) -> Reporter:
    (tmp_path / "config.yaml").touch()
    return Reporter(file=open(os.devnull, "w"), told=Progress(tmp_path))


def test_the_phase_that_is_shown(reporter: Reporter, tmp_path: Path) -> None:
    with reporter.told:
        assert jobs.status(tmp_path).state == "starting"
        with reporter.phase("start", total=None, unit=""):
            assert (jobs.status(tmp_path).state, jobs.status(tmp_path).phase) == ("starting", "start")
        reporter.cycle(3)
        with reporter.phase("sleep", total=40, unit="moments", done=4) as bar:
            bar.advance(6)
            with reporter.phase("inner", total=2):
                assert jobs.status(tmp_path).phase == "inner"
            now = jobs.status(tmp_path)
            assert (now.state, now.phase, now.done, now.total, now.unit) == ("running", "sleep", 10, 40, "moments")
            assert now.cycle == 3 and now.rate > 0
    now = jobs.status(tmp_path)
    assert (now.state, now.done, now.pid, now.lines) == ("finished", 10, os.getpid(), ())


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [
        (Interrupted(), "stopped", None),
        (KeyboardInterrupt(), "stopped", None),
        (SageError("seed", 1, "is odd", "use 2"), "failed", "seed=1: is odd; use 2"),
        (KeyError("x"), "failed", "KeyError('x')"),
    ],
)
def test_how_it_ended(reporter: Reporter, tmp_path: Path, error, state, said) -> None:
    with pytest.raises(type(error)), reporter.told:
        raise error
    assert (jobs.status(tmp_path).state, jobs.status(tmp_path).error) == (state, said)


def test_it_is_written_seldom(reporter: Reporter, tmp_path: Path, monkeypatch) -> None:
    written = []
    write = progress.write_whole
    monkeypatch.setattr(progress, "write_whole", lambda *a, **k: (written.append(1), write(*a, **k)))
    with reporter.phase("wake", total=100_000) as bar:
        start = time.monotonic()
        while time.monotonic() - start < 1.2:
            bar.advance()
            reporter.scalar("loss", 0.5, 1)
    assert 3 <= len(written) <= 5 and bar.done > 100


def test_a_reader_never_sees_half_a_file(reporter: Reporter, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    over = threading.Event()

    def write() -> None:
        with reporter.phase("wake", total=100_000) as bar:
            while not over.is_set():
                bar.advance()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        until((tmp_path / "progress.json").exists)
        seen, deadline = [], time.monotonic() + 1.0
        while time.monotonic() < deadline:
            seen.append(watch.read(tmp_path))
    finally:
        over.set()
        writer.join()
    assert len(seen) > 10 and None not in seen and len({told["done"] for told in seen if told}) > 1


def test_numbers_that_are_none(reporter: Reporter, tmp_path: Path) -> None:
    with reporter.told:
        reporter.scalar("loss", float("nan"), 1)
        reporter.scalar("rate", 2.0, 1)
    text = (tmp_path / "progress.json").read_text()
    told = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert told["metrics"] == {"loss": None, "rate": 2.0}


def test_the_latest_dream_is_a_picture(reporter: Reporter, tmp_path: Path) -> None:
    from matplotlib.image import imread

    assert reporter.told is not None
    with reporter.told:
        assert jobs.status(tmp_path).picture is None
        reporter.image("dream/0", np.full((4, 8, 3), 51, np.uint8), 1)
        reporter.image("dream/1", np.full((4, 8, 3), 102, np.uint8), 1)
    picture = jobs.status(tmp_path).picture
    assert picture is not None and imread(picture).shape[:2] == (4, 8)
    assert imread(picture)[0, 0, 0] == pytest.approx(102 / 255)


def test_a_full_disk_stops_nothing(tmp_path: Path) -> None:
    with Progress(tmp_path / "gone") as told:
        told.scalar("loss", 1.0)
        told.picture("dream/0", np.zeros((4, 4, 3), np.uint8))
    assert not (tmp_path / "gone").exists(), "there was nowhere to write to"


def test_another_process_of_the_same_number_is_not_mistaken(reporter: Reporter, tmp_path: Path) -> None:
    assert reporter.told is not None
    reporter.told.scalar("loss", 1.0)
    assert jobs.status(tmp_path).alive
    told = json.loads((tmp_path / "progress.json").read_text())
    (tmp_path / "progress.json").write_text(json.dumps({**told, "started": told["started"] - 1}))
    assert jobs.status(tmp_path).state == "killed"


def test_runs_that_tell_nothing(tmp_path: Path) -> None:
    with pytest.raises(SageError, match="is no run"):
        jobs.status(tmp_path)
    (tmp_path / "config.yaml").touch()
    assert jobs.status(tmp_path).state == "stopped"
    (tmp_path / "state.json").write_text('{"done": true}')
    (tmp_path / "progress.json").write_text('{"pid": 1')
    assert jobs.status(tmp_path).state == "finished"


def test_started_knows_the_living() -> None:
    assert started(os.getpid()) == started(os.getpid()) is not None
    assert started(2**22 + 1) is None


@pytest.fixture
def stop(reporter: Reporter, tmp_path: Path, monkeypatch) -> StopRequest:
    monkeypatch.setattr(control, "EVERY_S", 0.01)
    control.ask(tmp_path, "stop")  # meant for an earlier process
    assert reporter.told is not None
    reporter.told.scalar("loss", 1.0)
    return StopRequest(Control(tmp_path, reporter.told))


def test_what_was_asked_of_an_earlier_process_is_forgotten(stop: StopRequest) -> None:
    saved: list[int] = []
    time.sleep(0.02)
    stop.check(lambda: saved.append(1))
    assert not saved, "nobody asked this one to stop"


@pytest.mark.parametrize("asked", ["pause", "stop"])
def test_it_saves_before_it_waits_or_ends(stop: StopRequest, tmp_path: Path, asked: str) -> None:
    saved = []

    def save() -> None:
        saved.append(1)
        threading.Timer(0.1, control.ask, (tmp_path, "stop")).start()

    stop.check(save)
    assert not saved
    jobs.request(tmp_path, asked)
    time.sleep(0.02)
    with pytest.raises(Interrupted):
        stop.check(save)
    assert len(saved) == 1


def test_a_signal_ends_a_pause(stop: StopRequest, tmp_path: Path) -> None:
    control.ask(tmp_path, "pause")
    time.sleep(0.02)

    def signalled() -> None:
        assert jobs.status(tmp_path).state == "paused"
        stop.requested = True

    timer = threading.Timer(0.2, signalled)
    timer.start()
    with pytest.raises(Interrupted):
        stop.check()
    timer.join()


def test_a_file_that_says_nothing_stops_nothing(stop: StopRequest, tmp_path: Path) -> None:
    for text in ("", "[]", '{"request": "dance"}', '{"other": 1}'):
        (tmp_path / "control.json").write_text(text)
        time.sleep(0.02)
        stop.check()
    with pytest.raises(ValueError, match="use one of run, pause, stop"):
        control.ask(tmp_path, "dance")
