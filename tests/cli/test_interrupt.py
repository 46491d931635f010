"""Ctrl-C, with real signals."""

from __future__ import annotations

import os
import signal

import pytest

from sage_ext.errors import Interrupted
from sage_ext.interrupt import StopRequest

# A command whose cycle goes through safe points, or through none.
SCRIPT = """
import sys, time, types
from sage_ext import cli, simulator

def run_phases(config, run, phases, reporter, stop, body):
    run.memory.mkdir()
    with reporter.phase("wake", total=100) as bar:
        reporter.say("ready")
        for _ in range(2000):
            time.sleep(0.01)
            bar.advance()
            if SAFE:
                stop.check()

sys.modules["sage_ext.cycle"] = types.SimpleNamespace(run_phases=run_phases)
sys.modules["sage_ext.body"] = types.SimpleNamespace(SimulatedBody=object)
simulator.need_simulator = lambda: None
sys.exit(cli.main(["cycle", "preset=debug"]))
"""


def begin(python, safe: bool):
    process = python("-c", f"SAFE = {safe}\n{SCRIPT}")
    for line in process.stdout:
        if line.startswith("ready"):
            return process
    raise AssertionError(process.stderr.read())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_at_a_safe_point(python, tmp_path, number):
    process = begin(python, safe=True)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    (path,) = (tmp_path / "runs").iterdir()
    assert process.returncode == 130, err
    assert err.splitlines() == [
        "",
        "stopping at the next safe point (Ctrl-C again to stop now)",
        f"interrupted; resume with: sage-ext resume runs/{path.name}",
    ]


def test_the_second_stops_at_once(python):
    process = begin(python, safe=False)
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline() == "\n"
    assert "next safe point" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert err.startswith("interrupted; resume with: sage-ext resume runs/")


def test_check_does_nothing_until_asked():
    with StopRequest() as stop:
        stop.check()
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        with pytest.raises(Interrupted):
            stop.check()


def test_handlers_are_put_back_and_can_be_taken_again():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with StopRequest() as stop:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        stop.arm()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_the_line_is_seen_where_output_is_redirected(capfd, tmp_path):
    from sage_ext.report import quiet

    with StopRequest(), quiet(tmp_path / "log"):
        os.kill(os.getpid(), signal.SIGINT)
    assert "next safe point" in capfd.readouterr().err
    assert (tmp_path / "log").read_text() == ""
