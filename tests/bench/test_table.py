"""Rows, files and command line that the benches share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from bench import table
from sage_ext.errors import SageError

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def made() -> table.Table:
    rows = table.Table("speed", {"worlds": 16}, [3], machine="a machine")
    rows.add("sage-ext", "wake", "ratio_to_bare", 0.9, 0.01)
    rows.add("seed (reported)", "cycle", "seconds", 696)
    return rows


# -- rows and files ------------------------------------------------------------------------------


def test_json_has_the_form_of_the_design(tmp_path: Path) -> None:
    path = tmp_path / "new" / "speed.json"
    made().write(path)
    assert json.loads(path.read_text()) == {
        "bench": "speed",
        "machine": "a machine",
        "budget": {"worlds": 16},
        "seeds": [3],
        "rows": [
            {"arm": "sage-ext", "case": "wake", "metric": "ratio_to_bare", "value": 0.9, "spread": 0.01},
            {"arm": "seed (reported)", "case": "cycle", "metric": "seconds", "value": 696.0, "spread": None},
        ],
    }


@pytest.mark.parametrize("when", ["fsync", "replace"])
def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    path = tmp_path / "speed.json"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, when, full)
    with pytest.raises(SageError, match="No space left"):
        made().write(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_figure_must_be_finite(number: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        made().add("sage-ext", "sleep", "ms", number)
    with pytest.raises(ValueError, match="not finite"):
        made().add("sage-ext", "sleep", "ms", 1.0, number)


def test_a_row_comes_once() -> None:
    with pytest.raises(ValueError, match="there already"):
        made().add("sage-ext", "wake", "ratio_to_bare", 0.8)


def test_the_printed_table_shows_every_row_whole(capsys: pytest.CaptureFixture[str]) -> None:
    made().show(Console(width=100))
    out = capsys.readouterr().out
    for text in ("ratio_to_bare", "0.900", "0.010", "seed (reported)", "696", "a machine", "worlds=16", "seeds: 3"):
        assert text in out


def test_the_machine_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import platform
    import socket

    monkeypatch.setattr(platform, "node", lambda: "secret-host")
    said = table.machine()
    assert "cores" in said and "Python" in said
    assert "secret-host" not in said and socket.gethostname() not in said


# -- the command line ----------------------------------------------------------------------------


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench.speed", *arguments],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_help_teaches() -> None:
    done = command("--help")
    assert done.returncode == 0
    for text in ("--preset", "--seed", "--run", "--json", "ratio_to_bare", "ratio_to_pure", "never tried"):
        assert text in done.stdout


def test_help_needs_neither_torch_nor_a_simulator() -> None:
    code = "import sys, bench.speed; print(sorted({'torch', 'isaaclab', 'warp', 'hydra'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [("--seed", "-1"), ("--seed", "x"), ("--rounds", "0"), ("--cases", "wak")])
def test_bad_arguments_are_refused(arguments: tuple[str, ...]) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert arguments[0] in done.stderr.splitlines()[-1]


def test_a_place_that_cannot_be_written_is_refused_before_measuring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = table.arguments("speed", "").parse_args(["--json", str(tmp_path)])

    def measure(_: object) -> table.Table:
        raise AssertionError("measured")

    assert table.run_bench(measure, options) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --json=") and error.count("\n") == 1


def test_a_bench_writes_and_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = table.arguments("speed", "").parse_args(["--json", str(tmp_path / "a.json")])
    assert table.run_bench(lambda _: made(), options) == 0
    assert json.loads((tmp_path / "a.json").read_text())["seeds"] == [3]
    assert "ratio_to_bare" in capsys.readouterr().out
