"""Progress, curves, the table, and silence."""

from __future__ import annotations

import io
import os
import time

import numpy as np
import pytest

from sage_ext import report
from sage_ext.report import Reporter, quiet


@pytest.fixture
def text():
    return io.StringIO()


def test_lines_instead_of_bars_without_a_terminal(text, monkeypatch):
    monkeypatch.setattr(report, "LINE_EVERY_S", 0.0)
    reporter = Reporter(file=text)
    with reporter.phase("wake", total=100, unit="steps") as bar:
        bar.note(loss=0.123456, doing="learning")
        time.sleep(0.02)
        bar.advance(60)
        bar.advance(40)
    first, last = text.getvalue().splitlines()
    assert (
        first.startswith("wake 60/100 steps, ") and "/s, 0:00 left" in first and "loss=0.1235 doing=learning" in first
    )
    assert last.startswith("wake 100/100 steps, ") and "took 0:00" in last


def test_lines_are_seldom(text):
    with Reporter(file=text).phase("wake", total=1000) as bar:
        for _ in range(1000):
            bar.advance()
    assert len(text.getvalue().splitlines()) == 1


def test_the_rate_is_of_this_process(text):
    with Reporter(file=text).phase("sleep", total=100_000, done=99_990) as bar:
        time.sleep(0.05)
        bar.advance(10)
        assert bar.rate < 250


def test_bars_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    text = Terminal()
    reporter = Reporter(file=text)
    with reporter.phase("sleep", total=10, unit="moments", done=4) as bar:
        bar.note(loss=1.5)
        reporter.say("a line [not markup]")
        bar.advance(6)
        with reporter.phase("inner", total=None):
            pass
    shown = text.getvalue()
    for word in ("sleep", "10/10", "moments/s", "loss=1.5", "a line [not markup]", "inner"):
        assert word in shown


def test_seconds_a_phase_add_up_even_when_it_fails(text):
    reporter = Reporter(file=text)
    for _ in range(2):
        with pytest.raises(KeyError), reporter.phase("wake", total=1):
            time.sleep(0.03)
            raise KeyError
    assert 0.06 <= reporter.seconds["wake"] < 1


def test_the_table_has_the_terms_of_the_seed(text):
    Reporter(file=text).table(
        {
            "episodes": 6,
            "experiences": 3600,
            "consolidations": 600,
            "explorations": 10,
            "mean_coherence": 0.25,
            "mean_twin_coherence": 0.75,
            "loss": 1.5,
            "collapsed_loss": 2.5,
            "measured": {"seconds": {"wake": 10.04, "sleep": 20.0}, "peak_memory_gb": 2.5},
        }
    )
    rows = [[c.strip() for c in line.strip("│").split("│")] for line in text.getvalue().splitlines() if "│" in line]
    assert rows == [
        ["episodes", "6"],
        ["experiences", "3,600"],
        ["consolidations", "600"],
        ["explorations", "10"],
        ["mean coherence", "0.250"],
        ["mean coherence of the possible twins", "0.750"],
        ["loss", "1.5000"],
        ["loss of a collapsed encoder", "2.5000"],
        ["seconds of wake", "10.0"],
        ["seconds of sleep", "20.0"],
        ["peak memory", "2.50 GB"],
    ]


def test_the_table_leaves_out_what_did_not_happen(text):
    Reporter(file=text).table({"episodes": 6, "loss": None})
    assert "episodes" in text.getvalue() and "loss" not in text.getvalue() and "seconds" not in text.getvalue()


def test_tensorboard_is_written_when_there_is_something(tmp_path, text):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "tensorboard"
    reporter = Reporter(folder, file=text)
    assert not folder.exists()
    reporter.scalar("sleep/loss", 0.5, 7)
    reporter.image("dream/0", np.full((4, 6, 3), 200, np.uint8), 1)
    reporter.close()
    events = EventAccumulator(str(folder)).Reload()
    (loss,) = events.Scalars("sleep/loss")
    (picture,) = events.Images("dream/0")
    assert (loss.value, loss.step, picture.width, picture.height) == (0.5, 7, 6, 4)
    Reporter(None, file=text).scalar("sleep/loss", 0.5, 7)


def test_quiet_hides_native_output_and_gives_it_back(tmp_path, capfd):
    log = tmp_path / "simulator.log"
    for word in ("one", "two"):
        with pytest.raises(KeyError), quiet(log):
            os.write(1, word.encode() + b" out\n")
            os.write(2, word.encode() + b" err\n")
            raise KeyError
    os.write(1, b"after out\n")
    os.write(2, b"after err\n")
    out, err = capfd.readouterr()
    assert (out, err) == ("after out\n", "after err\n")
    assert log.read_text() == "one out\none err\ntwo out\ntwo err\n"


def test_quiet_leaves_no_descriptor_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with quiet(tmp_path / "log"):
            pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_verbose_hides_nothing(tmp_path, capfd, text):
    with Reporter(verbose=True, file=text).quiet(tmp_path / "log"):
        os.write(1, b"seen\n")
    assert capfd.readouterr().out == "seen\n" and not (tmp_path / "log").exists()


def test_peak_memory_is_in_gigabytes(python):
    code = """
from sage_ext.report import peak_gb
before, block = peak_gb(), b"1" * 500_000_000
print(before, peak_gb())
"""
    before, after = map(float, python("-c", code).communicate(timeout=60)[0].split())
    assert 0.01 < before < 0.4 and 0.45 < after - before < 0.55
