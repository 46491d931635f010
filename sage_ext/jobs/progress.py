"""How far a run is, told to other processes by the run itself: ``progress.json`` and its latest picture."""

from __future__ import annotations

import contextlib
import math
import os
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..errors import Interrupted, SageError
from ..runs import as_json, write_whole
from .process import started

if TYPE_CHECKING:
    import numpy as np

    from ..report import Bar

FILE = "progress.json"
PICTURE = "latest_dream.png"
EVERY_S = 0.5
"""Least time between two writings [s]; a phase's begin and end, a pause and the end are written at once."""


class Progress:
    """Writes how far a run is into its folder; a :class:`sage_ext.report.Reporter` feeds it.

    A context manager around the whole run: what ends the block is the run's final state. A file that cannot be
    written stops no run.

    Args:
        run: The run's folder.

    Attributes:
        cycle: Which cycle it is in, from 0.
    """

    def __init__(self, run: Path) -> None:
        self.cycle = 0
        self._run = run
        self._state = "starting"
        self._error: str | None = None
        self._open: list[Bar] = []
        self._shown: Bar | None = None
        self._metrics: dict[str, float | None] = {}
        self._picture: str | None = None
        self._written = -math.inf

    def begin(self, bar: Bar) -> None:
        """A phase begins; phases may be nested."""
        self._open.append(bar)
        self._shown = bar
        # What has no end to count towards is the simulator's start.
        if bar.total is not None:
            self._state = "running"
        self._write()

    def end(self, bar: Bar) -> None:
        """A phase is over; the last one is shown until another begins."""
        self._open.remove(bar)
        self._shown = self._open[-1] if self._open else bar
        self._write()

    def tick(self) -> None:
        """Something was done; written if the last writing is long enough ago."""
        if time.monotonic() - self._written >= EVERY_S:
            self._write()

    def scalar(self, name: str, value: float) -> None:
        """The latest value of a number; null where it is not finite."""
        self._metrics[name] = value if math.isfinite(value) else None
        self.tick()

    def picture(self, name: str, array: np.ndarray) -> None:
        """The latest picture, (H, W, 3) uint8."""
        from matplotlib.image import imsave

        temporary = self._run / f".{PICTURE}.new"
        with contextlib.suppress(OSError):
            imsave(temporary, array, format="png")
            os.replace(temporary, self._run / PICTURE)
            self._picture = name
        self._write()

    def pause(self, paused: bool) -> None:
        """The run waits, or goes on."""
        self._state = "paused" if paused else "running"
        self._write()

    def __enter__(self) -> Progress:
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._state = "finished"
        elif isinstance(error, (Interrupted, KeyboardInterrupt)):
            self._state = "stopped"
        else:
            self._state, self._error = "failed", str(error) if isinstance(error, SageError) else repr(error)
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        bar = self._shown
        told: dict[str, Any] = {
            "pid": os.getpid(),
            "started": started(os.getpid()),
            "state": self._state,
            "phase": bar and bar.name,
            "done": bar and bar.done,
            "total": bar and bar.total,
            "unit": bar and bar.unit,
            "rate": bar and round(bar.rate, 3),
            "cycle": self.cycle,
            "metrics": self._metrics,
            "picture": self._picture,
            "error": self._error,
            "updated": time.time(),
        }
        with contextlib.suppress(SageError):
            # Not synced: nothing is resumed from it, and a disk that syncs slowly would slow the run.
            write_whole(self._run / FILE, as_json(told), sync=False)
