"""How a job is, read from its run folder by any process."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import SageError
from . import control
from .process import started
from .progress import FILE, PICTURE

LOG = "job.log"
LIVE = ("starting", "running", "paused")
FINAL = ("finished", "stopped", "failed")
LINES = 12
"""Last lines of a log that are shown."""
_SHOWN = ("phase", "done", "total", "unit", "rate", "cycle", "metrics", "updated")


@dataclass(frozen=True)
class JobStatus:
    """How a job is.

    Attributes:
        run: Its folder; None before there is one.
        state: ``starting``, ``running`` or ``paused`` while it lives; ``finished``, ``stopped`` (can be resumed),
            ``failed`` (it said why) or ``killed`` (it ended without a word).
        phase: The phase it is in, or was in last.
        done: Units of the phase that are done.
        total: Units of the phase; None where nobody knows.
        unit: What is counted.
        rate: Units a second.
        cycle: Which cycle, from 0.
        metrics: Latest value of each number it tells; None where that was not finite.
        picture: The latest dream, its possible twin at the left; None before there is one.
        updated: When it last told anything [s since 1970].
        pid: Its process.
        error: Why it failed, in a line.
        signal: What killed it, such as ``SIGKILL``; None where nobody knows.
        lines: The last lines it printed, when it failed or was killed.
    """

    run: Path | None
    state: str
    phase: str | None = None
    done: int | None = None
    total: int | None = None
    unit: str | None = None
    rate: float | None = None
    cycle: int = 0
    metrics: dict[str, float | None] = field(default_factory=dict)
    picture: Path | None = None
    updated: float | None = None
    pid: int | None = None
    error: str | None = None
    signal: str | None = None
    lines: tuple[str, ...] = ()

    @property
    def alive(self) -> bool:
        """Whether its process works or waits."""
        return self.state in LIVE


def status(run: str | Path) -> JobStatus:
    """How the job of a run is.

    Args:
        run: The run's folder.

    Raises:
        SageError: The folder is no run.
    """
    run = Path(run)
    told = read(run)
    if told is None:
        if not (run / "config.yaml").is_file():
            raise SageError("run", run, "is no run", "give a run folder")
        # Of a version that told nothing, or killed before it could.
        try:
            done = json.loads((run / "state.json").read_text(encoding="utf-8")).get("done")
        except (OSError, ValueError, AttributeError):
            done = False
        return JobStatus(run, "finished" if done else "stopped")
    state = told["state"]
    if state in LIVE and started(told["pid"]) != told["started"]:
        # It may have ended between the two looks.
        told = read(run) or told
        state = told["state"] if told["state"] in FINAL else "killed"
    lines = last_lines(run) if state in ("failed", "killed") else ()
    picture = run / PICTURE
    return JobStatus(
        run=run,
        state=state,
        picture=picture if picture.is_file() else None,
        pid=told["pid"],
        error=told["error"],
        lines=lines,
        **{key: told[key] for key in _SHOWN},
    )


def request(run: str | Path, what: str) -> None:
    """Ask a job to ``pause``, to ``run`` on, or to ``stop``; it heeds that at its next safe point.

    Args:
        run: The run's folder.
        what: One of :data:`sage_ext.jobs.control.REQUESTS`.

    Raises:
        SageError: Nothing runs there, or the folder cannot be written.
        ValueError: Unknown request.
    """
    now = status(run)
    if not now.alive:
        raise SageError("run", run, f"is {now.state}: nothing runs there", f"go on with: sage-ext resume {run}")
    control.ask(Path(run), what)


def read(run: Path) -> dict[str, Any] | None:
    """What a run last told; None where it told nothing that can be read."""
    try:
        told = json.loads((run / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(told, dict) and {"pid", "started", "state", "error", *_SHOWN} <= told.keys()
    return told if whole else None


def last_lines(run: Path) -> tuple[str, ...]:
    """The last lines of what the simulator said, then of what the job said, as far as there are logs."""
    found: list[str] = []
    for name in ("simulator.log", LOG):
        with contextlib.suppress(OSError), open(run / name, "rb") as file:
            found += tail(file)
    return tuple(found)


def tail(file: BinaryIO) -> tuple[str, ...]:
    """The last lines of a log that are not empty."""
    size = os.fstat(file.fileno()).st_size
    text = os.pread(file.fileno(), 8192, max(0, size - 8192)).decode(errors="replace")
    return tuple(line for line in text.splitlines() if line.strip())[-LINES:]
