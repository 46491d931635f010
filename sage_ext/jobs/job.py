"""A job started by this process."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from ..config import load_config
from ..errors import SageError
from ..runs import Run
from . import child
from .process import started
from .progress import FILE as PROGRESS
from .watch import LOG, JobStatus, read, request, status, tail

NEW = ("cycle", "wake")
"""Commands that make a run; the others go on in one."""


def start(
    command: str = "cycle", settings: Sequence[str] = (), run: str | Path | None = None, python: str | None = None
) -> Job:
    """Start ``sage-ext COMMAND [RUN] [KEY=VALUE ...]`` as a process of its own, which outlives this one.

    Args:
        command: ``cycle`` or ``wake`` for a new run; ``sleep``, ``dream`` or ``resume`` with ``run``.
        settings: ``KEY=VALUE`` tokens.
        run: Folder of an existing run, its name, or ``latest``.
        python: The interpreter; that of this process by default.

    Raises:
        SageError: A setting is wrong, there is no such run, or the folder of the runs cannot be written.
    """
    if command in NEW:
        folder, found = Path(load_config(settings).runs), None
        tokens = [command, *settings]
    else:
        where = [token for token in settings if token.startswith("runs=")]
        found = Run.open(run or "", load_config(where).runs, lock=False).path.resolve()
        folder = found.parent
        tokens = [command, str(found), *(token for token in settings if token not in where)]
    return Job(tokens, folder.resolve(), found, python or child.interpreter())


class Job:
    """A job and its process; made by :func:`start`.

    Attributes:
        pid: Its process, which leads a session of its own.
    """

    def __init__(self, tokens: Sequence[str], runs: Path, run: Path | None, python: str) -> None:
        self._runs, self._run = runs, run
        # Kept open: what a job said can be read even when it took back its folder.
        if run is None:
            runs.mkdir(parents=True, exist_ok=True)
            fd, name = tempfile.mkstemp(prefix=".job-", suffix=".log", dir=runs)
            os.close(fd)
        self._log: BinaryIO = open(name if run is None else run / LOG, "w+b")  # noqa: SIM115
        self._process = subprocess.Popen(
            [python, "-m", "sage_ext", *tokens],
            env=child.environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._started = started(self.pid)

    @property
    def run(self) -> Path | None:
        """Its run folder; None before there is one."""
        if self._run is None:
            for file in self._runs.glob(f"*/{PROGRESS}"):
                told = read(file.parent)
                if told is not None and (told["pid"], told["started"]) == (self.pid, self._started):
                    self._run = file.parent
                    os.replace(self._log.name, self._run / LOG)
                    break
        return self._run

    def status(self) -> JobStatus:
        """How it is; see :func:`sage_ext.jobs.watch.status`."""
        code = self._process.poll()
        told = read(self.run) if self.run is not None else None
        if self.run is not None and told is not None and told["pid"] == self.pid:
            now = status(self.run)
        elif code is None:
            return JobStatus(self.run, "starting", pid=self.pid)
        else:
            # It ended before it told anything, or took back its folder.
            state = "finished" if code == 0 else "failed" if code > 0 else "killed"
            lines = () if self._log.closed else tail(self._log)
            error = lines[-1] if lines and state == "failed" else None
            now = JobStatus(None if told is None else self.run, state, pid=self.pid, error=error, lines=lines)
        if code is not None and code < 0 and now.state == "killed":
            now = dataclasses.replace(now, signal=signal.Signals(-code).name)
        return now

    def pause(self) -> None:
        """Ask it to wait at its next safe point.

        Raises:
            SageError: It has no run yet, or has ended.
        """
        self._ask("pause")

    def unpause(self) -> None:
        """Let it go on.

        Raises:
            SageError: It has no run yet, or has ended.
        """
        self._ask("run")

    def stop(self) -> None:
        """Ask it to end at its next safe point, from where it can be resumed; nothing if it has ended."""
        if self._process.poll() is not None:
            return
        if self.run is not None:
            with contextlib.suppress(SageError):
                request(self.run, "stop")
        else:
            self._process.terminate()

    def wait(self, timeout: float | None = None) -> JobStatus:
        """Wait until it has ended.

        Args:
            timeout: For how long at most [s].

        Raises:
            TimeoutError: It has not.
        """
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"job {self.pid} still runs after {timeout:g} s") from None
        return self.status()

    def end(self, patience: float) -> JobStatus:
        """Stop it, and kill it if that takes too long; what is on disk can be resumed in either case.

        Args:
            patience: For how long it may look for a safe point [s].
        """
        self.stop()
        try:
            return self.wait(patience)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            return self.wait()

    def close(self) -> None:
        """Let go of its log; the job itself goes on."""
        if self.run is None:
            Path(self._log.name).unlink(missing_ok=True)
        self._log.close()

    def _ask(self, what: str) -> None:
        if self.run is None:
            raise SageError("job", self.pid, f"is {self.status().state} and has no run yet", "try again in a moment")
        request(self.run, what)
