"""What others ask of a running job: ``control.json`` in its run folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from ..runs import as_json, write_whole
from .progress import Progress

FILE = "control.json"
REQUESTS = ("run", "pause", "stop")
EVERY_S = 0.2
"""Least time between two looks at the file [s]."""


class Control:
    """The job's side; whatever was asked of an earlier process is forgotten.

    Args:
        run: The run's folder.
        progress: Is told of pauses.
    """

    def __init__(self, run: Path, progress: Progress) -> None:
        self._file, self._progress = run / FILE, progress
        self._looked, self._asked = time.monotonic(), "run"
        self._file.unlink(missing_ok=True)

    def asked(self) -> str:
        """One of :data:`REQUESTS`; at most :data:`EVERY_S` old."""
        now = time.monotonic()
        if now - self._looked >= EVERY_S:
            self._looked, self._asked = now, self._read()
        return self._asked

    def hold(self, let_go: Callable[[], bool]) -> str:
        """Wait for as long as a pause is asked for.

        Args:
            let_go: Ends the waiting.

        Returns:
            What is asked instead.
        """
        self._progress.pause(True)
        while self.asked() == "pause" and not let_go():
            time.sleep(EVERY_S)
        self._progress.pause(False)
        return self._asked

    def _read(self) -> str:
        try:
            asked = json.loads(self._file.read_text(encoding="utf-8"))["request"]
        except (OSError, ValueError, TypeError, KeyError):
            return "run"
        return asked if asked in REQUESTS else "run"


def ask(run: Path, request: str) -> None:
    """Leave a request in a run's folder.

    Args:
        run: The folder.
        request: One of :data:`REQUESTS`.

    Raises:
        SageError: The folder cannot be written.
        ValueError: Unknown request.
    """
    if request not in REQUESTS:
        raise ValueError(f"request={request}: use one of {', '.join(REQUESTS)}")
    write_whole(run / FILE, as_json({"request": request}))
