"""The runner must not call a run green that was not: each test here breaks one in a way seen with simulators."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(__file__).resolve().parent.parent / "run.py"
GREEN = "def test_a():\n    assert True\n"
SIM = "import pytest\npytestmark = pytest.mark.sim\n"


def run(tmp_path: Path, *arguments: str, **files: str) -> tuple[int, str, str]:
    """Writes test files, runs them, and gives the exit code, the last line and all output."""
    root = tmp_path / "tests"
    for name, text in files.items():
        path = root / name / "test_it.py"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    done = subprocess.run(
        [sys.executable, RUNNER, "--root", root, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, (done.stdout.splitlines() or [""])[-1], done.stdout + done.stderr


def test_green_files_of_both_kinds(tmp_path: Path) -> None:
    # The same file name twice, as folders that mirror packages have it.
    code, last, out = run(tmp_path, plain=GREEN, sim=SIM + GREEN)
    assert (code, last) == (0, "2 passed, 0 failed")
    assert re.search(r"tests/sim/test_it\.py +1 +0 +0", out)
    assert "1 tests in a process of their own" in out


@pytest.mark.parametrize("head", ["", SIM], ids=["plain", "sim"])
def test_failing_test(tmp_path: Path, head: str) -> None:
    code, last, _ = run(tmp_path, good=GREEN, bad=head + "def test_b():\n    assert False\n")
    assert (code, last) == (1, "1 passed, 1 failed")


@pytest.mark.parametrize("head", ["", SIM], ids=["plain", "sim"])
def test_process_that_ends_early_with_exit_code_0(tmp_path: Path, head: str) -> None:
    code, _, out = run(tmp_path, bad=head + "import os\ndef test_b():\n    os._exit(0)\n")
    assert code == 1
    assert "exit code 0 before pytest wrote its summary" in out


def test_process_that_dies_after_green_tests(tmp_path: Path) -> None:
    code, last, out = run(
        tmp_path, bad=SIM + "def test_b():\n    import atexit, os\n    atexit.register(os._exit, 7)\n"
    )
    assert (code, last) == (1, "1 passed, 1 failed")
    assert "exit code 7" in out


def test_session_that_stops_halfway_with_exit_code_0(tmp_path: Path) -> None:
    code, last, out = run(tmp_path, bad=SIM + "def test_0():\n    pytest.exit('gone', 0)\n" + GREEN)
    assert code == 1 and last.endswith(", 1 failed")
    assert "2 tests were collected but only 1 reported" in out


def test_file_without_tests(tmp_path: Path) -> None:
    code, last, out = run(tmp_path, good=GREEN, empty="def tset_b():\n    pass\n")
    assert (code, last) == (1, "1 passed, 1 failed")
    assert "tests/empty/test_it.py: no test was collected from it" in out


def test_file_that_cannot_be_imported(tmp_path: Path) -> None:
    code, last, out = run(tmp_path, good=GREEN, bad="import no_such_module\n" + GREEN)
    assert (code, last) == (1, "0 passed, 1 failed")
    assert "No module named 'no_such_module'" in out


def test_skipped_is_not_passed(tmp_path: Path) -> None:
    code, last, _ = run(tmp_path, all="import pytest\ndef test_b():\n    pytest.skip('no')\n")
    assert (code, last) == (1, "0 passed, 0 failed, 1 skipped")


def test_out_of_time(tmp_path: Path) -> None:
    sleeper = SIM + "import time\ndef test_b():\n    time.sleep(50)\n"
    code, last, out = run(tmp_path, "--timeout", "3", slow=sleeper)
    assert (code, last) == (1, "0 passed, 1 failed")
    assert "stopped after 0.05 minutes" in out


def test_fast_and_only(tmp_path: Path) -> None:
    files = {"plain": GREEN, "other": GREEN, "sim": SIM + "def test_b():\n    assert False\n"}
    assert run(tmp_path, "--fast", **files)[:2] == (0, "2 passed, 0 failed")
    assert run(tmp_path, "--only", "other")[:2] == (0, "1 passed, 0 failed")
    assert run(tmp_path, "--only", "sim")[:2] == (1, "0 passed, 1 failed")
    assert run(tmp_path, "--only", "nowhere")[0] == 2


def test_collecting_must_not_load_the_simulator(tmp_path: Path) -> None:
    conftest = tmp_path / "tests" / "conftest.py"
    conftest.parent.mkdir()
    conftest.write_text((RUNNER.parent / "conftest.py").read_text())
    code, _, out = run(tmp_path, good=GREEN, bad="import sys\nsys.modules['isaaclab'] = sys\n" + GREEN)
    assert code == 1
    assert "imports isaaclab when it is collected" in out
