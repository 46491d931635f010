"""The one job that the extension runs at a time, started from live settings and watched while Kit updates."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .. import jobs
from ..errors import SageError
from ..jobs import Job, JobStatus
from ..paths import config_dir

CURVES = {"sleep/loss": "loss", "dream/mean_coherence": "coherence", "wake/success_rate": "success"}
"""Numbers whose course is kept, and what the window calls them."""
POINTS = 600
"""Values a curve keeps."""


def choices(group: str) -> list[str]:
    """Names of a group of the config, such as ``task`` or ``preset``."""
    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


class Session:
    """Starts, watches and ends a job.

    Args:
        read: Gives the present value of a setting by its name below ``/exts/sage_ext``.
        say: Called with a line for the user, and whether something is wrong.

    Attributes:
        curves: Number of :data:`CURVES` -> its values so far in this job.
    """

    def __init__(self, read: Callable[[str], Any], say: Callable[[str, bool], None]) -> None:
        self._read, self._say = read, say
        self._job: Job | None = None
        self._looked, self._last = 0.0, JobStatus(None, "idle")
        self._told = self._last
        self.curves: dict[str, deque[float]] = {}

    def start(self, task: str | None = None, preset: str | None = None, settings: Sequence[str] = ()) -> JobStatus:
        """Start a cycle in a process of its own.

        Args:
            task: A name of ``config/task``, such as ``navigation``; the setting's by default.
            preset: A name of ``config/preset``; the setting's by default.
            settings: Further ``KEY=VALUE`` tokens, which win.

        Raises:
            SageError: A job runs already, or a value is wrong.
        """
        self._free()
        tokens = [f"runs={self._runs()}", f"task={task or self._read('task')}"]
        tokens.append(f"preset={preset or self._read('preset')}")
        if worlds := self._read("num_envs"):
            tokens.append(f"task.num_envs={worlds}")
        if physics := self._read("physics"):
            tokens.append(f"task.physics={physics}")
        return self._watch(jobs.start("cycle", [*tokens, *settings], python=self._read("python") or None))

    def resume(self, run: str = "latest") -> JobStatus:
        """Go on in a run that was stopped or killed.

        Args:
            run: Its folder, its name, or ``latest``.

        Raises:
            SageError: A job runs already, or there is no such run.
        """
        self._free()
        return self._watch(jobs.start("resume", [f"runs={self._runs()}"], run, self._read("python") or None))

    def pause(self) -> None:
        """Let the job wait at its next safe point."""
        self._live().pause()

    def unpause(self) -> None:
        """Let the job go on."""
        self._live().unpause()

    def stop(self) -> None:
        """Let the job end at its next safe point; it can be resumed. Nothing happens without one."""
        if self._job is not None:
            self._job.stop()

    def status(self) -> JobStatus:
        """How the job is; ``idle`` before there was one."""
        if self._job is not None:
            self._last = self._job.status()
        return self._last

    def tick(self) -> JobStatus | None:
        """Call often: looks at the job every ``refresh_s`` and says what changed.

        Returns:
            How it is, or None where it was not yet time to look.
        """
        now = time.monotonic()
        if now - self._looked < float(self._read("refresh_s")):
            return None
        before, self._looked = self._told, now
        self._told = status = self.status()
        if (status.state, status.phase) != (before.state, before.phase):
            self._tell(status)
        if status.updated != before.updated:
            for name in CURVES:
                if (value := status.metrics.get(name)) is not None:
                    self._extend(name, value)
        return status

    def close(self) -> None:
        """End the job, if need be by force after ``stop_s``; its run can be resumed."""
        if self._job is not None:
            if self._job.status().alive:
                self._say("ending the running job; go on with: sage-ext resume", False)
                self._job.end(float(self._read("stop_s")))
            self._job.close()
            self._job = None

    def _extend(self, name: str, value: float) -> None:
        curve = self.curves.setdefault(name, deque(maxlen=POINTS))
        if not curve or curve[-1] != value:
            curve.append(value)

    def _tell(self, status: JobStatus) -> None:
        where = f" {status.run}" if status.run else ""
        if status.state in ("failed", "killed"):
            why = status.error or (f"by {status.signal}" if status.signal else "without a word")
            self._say("\n".join([f"job{where} {status.state}: {why}; its last lines:", *status.lines]), True)
        else:
            phase = f", {status.phase}" if status.phase and status.alive else ""
            self._say(f"job{where} {status.state}{phase}", False)

    def _watch(self, job: Job) -> JobStatus:
        if self._job is not None:
            self._job.close()
        self._job, self._looked = job, 0.0
        self.curves.clear()
        return self.status()

    def _free(self) -> None:
        if (now := self.status()).alive:
            raise SageError("job", now.run or now.pid, "runs already", "stop it first")

    def _live(self) -> Job:
        if self._job is None:
            raise SageError("job", "none", "there is none", "start one first")
        return self._job

    def _runs(self) -> Path:
        chosen = self._read("runs")
        # Kit's working directory may be its own, where nothing of the user's belongs.
        return Path(chosen).expanduser() if chosen else Path.home() / "sage-ext" / "runs"
