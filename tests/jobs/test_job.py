"""Jobs in processes of their own: progress, pause, stop, resume, and every way to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sage_ext import jobs
from sage_ext.cli import main
from sage_ext.errors import SageError
from sage_ext.jobs import child

from .conftest import until


def running(job: jobs.Job) -> Path:
    """Waits until a job counts steps, and gives its folder."""
    until(lambda: job.status().state == "running" and bool(job.status().done))
    assert job.run is not None
    return job.run


def test_progress_comes_back(start) -> None:
    job = start()
    assert job.status().state == "starting" and job.status().pid == job.pid
    run = running(job)
    first = jobs.status(run)
    until(lambda: jobs.status(run).done > first.done)
    now = jobs.status(run)
    assert (now.phase, now.total, now.unit, now.cycle, now.alive) == ("wake", 1000, "steps", 0, True)
    assert 0 < now.rate < 101


def test_it_waits_when_told_to_and_goes_on(start) -> None:
    job = start()
    run = running(job)
    job.pause()
    until(lambda: job.status().state == "paused")
    done = job.status().done
    with pytest.raises(TimeoutError):
        job.wait(1.0)
    assert job.status().done == done
    job.unpause()
    until(lambda: job.status().state == "running" and job.status().done > done)
    jobs.request(run, "pause")
    until(lambda: job.status().state == "paused")
    job.stop()
    assert job.wait(10.0).state == "stopped"


def test_a_stopped_job_can_be_resumed_and_then_finishes(start) -> None:
    job = start("name=short")
    until(lambda: job.run is not None)
    job.stop()
    assert job.wait(10.0).state == "stopped"
    more = start(command="resume", run=job.run)
    assert more.wait(30.0).state == "finished" and more.run == job.run
    assert "results" in (job.run / "job.log").read_text()


def test_a_stop_before_the_run_began_leaves_nothing(start, tmp_path) -> None:
    job = start()
    job.stop()
    assert job.wait(10.0).alive is False
    job.close()
    assert list((tmp_path / "runs").glob(".job-*")) == []


def test_a_killed_job_is_reported_with_its_last_lines(start) -> None:
    job = start("name=large")
    run = running(job)
    os.kill(job.pid, signal.SIGKILL)
    while (now := job.status()).alive:
        pass
    assert (now.state, now.signal, now.alive) == ("killed", "SIGKILL", False)
    assert any(line.startswith(f"run {run}") for line in now.lines)
    elsewhere = jobs.status(run)
    assert (elsewhere.state, elsewhere.signal) == ("killed", None)
    with pytest.raises(SageError, match="is killed: nothing runs there"):
        jobs.request(run, "pause")


def test_a_killed_child_that_nobody_waited_for_is_dead(start) -> None:
    job = start()
    run = running(job)
    os.kill(job.pid, signal.SIGKILL)
    until(lambda: jobs.status(run).state == "killed")


def test_an_exit_without_a_word_is_no_success(start) -> None:
    now = start("name=vanishes").wait(30.0)
    assert (now.state, now.signal) == ("killed", None)


def test_a_bug_is_shown_with_its_traceback(start) -> None:
    now = start("name=broken").wait(30.0)
    assert now.state == "failed" and "the floor gave way" in now.error
    assert "RuntimeError: the floor gave way" in now.lines


def test_bad_input_is_shown_in_a_line_though_the_run_is_taken_back(start, tmp_path) -> None:
    job = start("name=refused")
    now = job.wait(30.0)
    assert (now.state, now.error) == ("failed", "error: task.physics=magic: is no engine; use ovphysx")
    job.close()
    assert not (tmp_path / "runs").exists() or list((tmp_path / "runs").iterdir()) == []


def test_bad_settings_are_refused_before_a_process_starts(tmp_path) -> None:
    with pytest.raises(SageError, match="use wake.episodes"):
        jobs.start("cycle", ["wake.episdoes=3", f"runs={tmp_path / 'runs'}"])
    with pytest.raises(SageError, match="does not exist"):
        jobs.start("resume", [f"runs={tmp_path / 'runs'}"], run="nothing")
    assert not (tmp_path / "runs").exists()


def test_a_job_that_does_not_stop_is_killed(start) -> None:
    job = start()
    running(job)
    os.kill(job.pid, signal.SIGSTOP)
    assert job.end(0.5).state == "killed"


def test_a_job_outlives_who_started_it(start, tmp_path) -> None:
    begun = start()  # only for its Python and the folder
    begun.end(0.0)
    code = f"""
import sys, time
from sage_ext import jobs
from sage_ext.cli import main
job = jobs.start("cycle", ["runs={tmp_path / "other"}", "preset=debug"], python={str(tmp_path / "python")!r})
while job.run is None:
    time.sleep(0.05)
print(job.pid, job.run)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=child.environment(), capture_output=True, text=True, check=True, timeout=60
    )
    pid, run = done.stdout.split()
    try:
        first = jobs.status(run).done or 0
        until(lambda: (jobs.status(run).done or 0) > first)
        assert jobs.status(run).state == "running"
    finally:
        os.killpg(int(pid), signal.SIGKILL)


def test_a_child_knows_nothing_of_kit(monkeypatch, tmp_path) -> None:
    kit = tmp_path / "kit"
    monkeypatch.setenv("CARB_APP_PATH", str(kit))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(kit / "kernel/py"), str(tmp_path / "mine")]))
    clean = child.environment()
    path = clean["PYTHONPATH"].split(os.pathsep)
    assert "CARB_APP_PATH" not in clean and str(kit / "kernel/py") not in path
    assert str(tmp_path / "mine") in path and str(Path(child.__file__).parents[2]) in path
    for name in child.PACKAGES:
        assert any((Path(folder) / name / "__init__.py").is_file() for folder in path)


def test_a_job_runs_in_python_where_kit_is_the_program(monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", os.path.join(os.sep, "opt", "kit", "kit"))
    assert subprocess.run([child.interpreter(), "-c", ""], check=False).returncode == 0


def test_commands_tell_and_ask(start, capsys, tmp_path) -> None:
    where = f"runs={tmp_path / 'runs'}"
    job = start()
    run = running(job)
    assert main(["pause", run.name, where]) == 0
    until(lambda: job.status().state == "paused")
    assert main(["status", where]) == 0
    told = capsys.readouterr().out
    assert f"run      {run}\nstate    paused\nphase    wake of cycle 1, " in told and "/1000 steps, " in told
    assert main(["unpause", str(run)]) == 0
    until(lambda: job.status().state == "running")
    assert main(["stop", str(run)]) == 0
    assert job.wait(10.0).state == "stopped"
    capsys.readouterr()
    assert main(["pause", str(run)]) == 2
    assert "is stopped: nothing runs there; go on with: sage-ext resume" in capsys.readouterr().err
    assert main(["status", "one", "two", where]) == 2
    assert "status takes one run" in capsys.readouterr().err
