"""Runs the tests: ``make test`` calls this with the virtual environment's Python.

Tests that need no simulator run in one process. Each file with tests marked ``sim`` (Isaac Lab) or ``kit`` (Omniverse
Kit) runs in a process of its own: two simulators do not share one, and a simulator can end its process with exit code
0 in the middle of a failing test.
Exit codes are therefore not enough. A run counts only if it wrote a complete report with every test that was collected.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

REPO = Path(__file__).resolve().parent.parent
MINUTES = 60
ALONE = ("sim", "kit")
"""Markers of the tests that need a process of their own for their file."""


@dataclass
class Row:
    """Counts of one file. ``seconds`` is the time inside its tests, or of the whole process for a simulator file."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0


class Report:
    """What happened so far: a row per test file, and problems that no single test stands for."""

    def __init__(self) -> None:
        self.rows: defaultdict[str, Row] = defaultdict(Row)
        self.problems: list[str] = []

    def problem(self, file: str, text: str) -> None:
        """Records a failure of a whole run; it counts as one failed test of ``file``."""
        self.rows[file].failed += 1
        self.problems.append(f"{file}: {text}")

    def print(self) -> None:
        """Prints the table, the problems, and the line of counts that closes every run."""
        width = max([len(file) for file in self.rows] + [4])
        print(f"\n{'file':<{width}}  passed  failed  skipped  seconds")
        for file, row in sorted(self.rows.items()):
            print(f"{file:<{width}}  {row.passed:6}  {row.failed:6}  {row.skipped:7}  {row.seconds:7.1f}")
        for problem in self.problems:
            print(f"PROBLEM {problem}")
        passed, failed, skipped = (
            sum(getattr(r, n) for r in self.rows.values()) for n in ("passed", "failed", "skipped")
        )
        print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)

    @property
    def green(self) -> bool:
        """Whether something passed and nothing failed."""
        return any(row.passed for row in self.rows.values()) and not any(row.failed for row in self.rows.values())


def run_process(arguments: list[str], timeout: float, quiet: bool = False) -> tuple[int | None, float]:
    """Runs this Python with ``arguments``, its output live; gives the exit code (None: out of time) and the seconds."""
    output = subprocess.DEVNULL if quiet else None
    start = time.monotonic()
    # A session of its own, so that whatever it started ends with it.
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=REPO,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    try:
        return process.wait(timeout), time.monotonic() - start
    except subprocess.TimeoutExpired:
        return None, time.monotonic() - start
    finally:
        for kind, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            try:
                os.killpg(process.pid, kind)
                process.wait(patience)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue


def pytest_arguments(*more: str) -> list[str]:
    """Gives the arguments that start pytest with this repository's settings, wherever the tests lie."""
    return ["-m", "pytest", "-c", str(REPO / "pyproject.toml"), "--rootdir", str(REPO), *more]


class Collected:
    """A pytest plugin that counts what is collected: file -> tests without and with the simulator."""

    def __init__(self) -> None:
        self.counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            self.counts[str(item.path)][any(map(item.get_closest_marker, ALONE))] += 1


def collect(files: list[str], out: Path) -> int:
    """Worker: collects ``files`` without running them and writes the counts to ``out``."""
    plugin = Collected()
    code = pytest.main([*pytest_arguments("--collect-only", "-p", "no:cacheprovider")[2:], *files], plugins=[plugin])
    if code == pytest.ExitCode.OK:
        out.write_text(json.dumps(plugin.counts))
    return int(code)


def run_part(report: Report, name: str, files: list[str], alone: bool, expected: int, timeout: float) -> None:
    """Runs the tests of ``files`` that have one of the markers, or none, in one process; adds what its report says."""
    marker = " or ".join(ALONE)
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder) / "junit.xml"
        arguments = pytest_arguments(
            "-m", marker if alone else f"not ({marker})", f"--junitxml={junit}", "-o", "junit_family=xunit1", *files
        )
        code, seconds = run_process(arguments, timeout)
        if code is None:
            report.problem(name, f"stopped after {timeout / MINUTES:g} minutes, which is the limit for one process")
            return
        try:
            cases = list(ElementTree.parse(junit).iter("testcase"))
        except (OSError, ElementTree.ParseError):
            report.problem(name, f"the process ended with exit code {code} before pytest wrote its summary")
            return
    failures = 0
    for case in cases:
        row = report.rows[name if alone else case.get("file", name)]
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            row.failed += 1
            failures += 1
        elif "skipped" in kinds:
            row.skipped += 1
        else:
            row.passed += 1
        if not alone:
            row.seconds += float(case.get("time", 0))
    if alone:
        report.rows[name].seconds += seconds
    if len(cases) < expected:
        report.problem(name, f"{expected} tests were collected but only {len(cases)} reported")
    elif code != 0 and not failures:
        report.problem(name, f"all tests ended well but the process ended with exit code {code}")


def main(argv: list[str] | None = None) -> int:
    """Runs everything asked for; 0 only if something passed and nothing failed."""
    parser = argparse.ArgumentParser(description="Runs the tests; simulator tests in a process of their own per file.")
    parser.add_argument("--fast", action="store_true", help="only the tests that need no simulator")
    parser.add_argument("--only", metavar="TEXT", default="", help="only test files whose path contains TEXT")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=30 * MINUTES, help="limit for one process")
    parser.add_argument("--root", type=Path, default=REPO / "tests", help=argparse.SUPPRESS)
    parser.add_argument("--collect-to", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("files", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.collect_to:
        return collect(options.files, options.collect_to)

    def short(file: str) -> str:
        return os.path.relpath(file, options.root.parent)

    report = Report()
    files = sorted(str(p.resolve()) for p in options.root.rglob("test_*.py"))
    files = [file for file in files if options.only in short(file)]
    if not files:
        print(f"no test file below {options.root} has {options.only!r} in its path", file=sys.stderr)
        return 2

    # Ctrl-C and a CI's SIGTERM end the running process too, through run_process's `finally`.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "collected.json"
        code, _ = run_process([__file__, "--collect-to", str(out), *files], 5 * MINUTES, quiet=True)
        if not out.exists():
            # Once more, for the user to see why.
            code, _ = run_process(pytest_arguments("--collect-only", "-q", *files), 5 * MINUTES)
            report.problem("collection", f"pytest could not collect the tests (exit code {code}), see above")
            report.print()
            return 1
        counts: dict[str, list[int]] = json.loads(out.read_text())

    for file in files:
        if not any(counts.get(file, [0, 0])):
            report.problem(short(file), "no test was collected from it")
    plain = [file for file in files if counts.get(file, [0, 0])[0]]
    if plain:
        expected = sum(counts[file][0] for file in plain)
        run_part(report, "tests without the simulator", plain, False, expected, options.timeout)
    if not options.fast:
        for file in files:
            if expected := counts.get(file, [0, 0])[1]:
                print(f"\n{short(file)}: {expected} tests in a process of their own", flush=True)
                run_part(report, short(file), [file], True, expected, options.timeout)
    if not report.rows:
        report.problem("selection", "none of the chosen files has a test that runs without the simulator")
    report.print()
    return 0 if report.green else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(130)
