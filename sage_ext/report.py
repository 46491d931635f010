"""What the user sees while it runs and at its end: progress, TensorBoard, the table; and what they need not see."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import numpy as np
    from torch.utils.tensorboard import SummaryWriter

    from .jobs.progress import Progress as Told

LINE_EVERY_S = 5.0
"""Seconds between two lines of progress where there is no terminal."""

ROWS: tuple[tuple[str, str, str], ...] = (
    ("episodes", "episodes", ",d"),
    ("experiences", "experiences", ",d"),
    ("consolidations", "consolidations", ",d"),
    ("explorations", "explorations", ",d"),
    ("mean coherence", "mean_coherence", ".3f"),
    ("mean coherence of the possible twins", "mean_twin_coherence", ".3f"),
    ("loss", "loss", ".4f"),
    ("loss of a collapsed encoder", "collapsed_loss", ".4f"),
)
"""Rows of the final table: what it is called, its key in the summary, its format."""


def peak_gb() -> float:
    """The most memory that this process has held so far [GB]."""
    try:
        # Not getrusage where there is this: its peak begins with that of the process that started this one.
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e9
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


@contextmanager
def quiet(path: str | Path, enabled: bool = True) -> Iterator[None]:
    """Send everything that is printed to a file, native libraries' output too.

    Args:
        path: Where it goes; appended to.
        enabled: Otherwise nothing is redirected.
    """
    if not enabled:
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    try:
        with open(path, "ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, fd in enumerate(kept, start=1):
            os.dup2(fd, number)
            os.close(fd)


class Bar:
    """Progress of one phase; made by :meth:`Reporter.phase`."""

    def __init__(self, reporter: Reporter, name: str, total: int | None, unit: str, done: int) -> None:
        self._reporter, self.name, self.unit = reporter, name, unit
        self.total, self.done = total, done
        self._first, self._start, self._line = done, time.monotonic(), time.monotonic()
        self._notes: dict[str, Any] = {}
        self._progress, self._task = reporter._progress, TaskID(-1)
        if self._progress is not None:
            self._task = self._progress.add_task(name, total=total, completed=done, unit=unit, first=done, notes="")

    @property
    def rate(self) -> float:
        """Units a second since the phase began here."""
        return (self.done - self._first) / max(time.monotonic() - self._start, 1e-9)

    def advance(self, count: int = 1) -> None:
        """Count what was done."""
        self.done += count
        if self._reporter.told is not None:
            self._reporter.told.tick()
        if self._progress is not None:
            self._progress.advance(self._task, count)
        elif time.monotonic() - self._line >= LINE_EVERY_S and self.done != self.total:
            self.print()

    def note(self, **values: Any) -> None:
        """Show values beside the bar; each stays until it is given anew."""
        self._notes |= values
        if self._progress is not None:
            self._progress.update(self._task, notes=escape(self._shown()))

    def print(self) -> None:
        """Say in a line how far it is."""
        self._line = time.monotonic()
        rate, spent = self.rate, _clock(self._line - self._start)
        notes = f"  {self._shown()}" if self._notes else ""
        if self.total is None:
            self._reporter.say(f"{self.name} {spent}{notes}")
            return
        left = self.total - self.done
        when = f", {_clock(left / rate)} left" if rate > 0 and left > 0 else f", took {spent}" if left <= 0 else ""
        self._reporter.say(f"{self.name} {self.done}/{self.total} {self.unit}, {rate:.1f}/s{when}{notes}")

    def _shown(self) -> str:
        return " ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in self._notes.items())


class Reporter:
    """Everything a run tells.

    Args:
        tensorboard: Folder of the event files; none are written without it.
        verbose: Show what the simulator prints.
        file: Where lines and bars go; standard output by default.
        told: Where other processes read how far it is.

    Attributes:
        seconds: Phase -> seconds spent in it.
        verbose: As given.
        told: As given.
    """

    def __init__(
        self,
        tensorboard: Path | None = None,
        verbose: bool = False,
        file: TextIO | None = None,
        told: Told | None = None,
    ) -> None:
        self.seconds: dict[str, float] = {}
        self.verbose = verbose
        self.told = told
        self._folder = tensorboard
        self._writer: SummaryWriter | None = None
        self._own: TextIO | None = None
        if file is None:
            file = sys.stdout
            if _descriptor(file) == 1:
                # A descriptor of its own, so that bars are seen while quiet() redirects that of the process.
                file = self._own = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace", buffering=1)
        self.console = Console(file=file, highlight=False, soft_wrap=True)
        self._progress: Progress | None = None

    @contextmanager
    def phase(self, name: str, total: int | None, unit: str = "steps", done: int = 0) -> Iterator[Bar]:
        """Show the progress of a phase and count its seconds; phases may be nested.

        Args:
            name: Name of the phase.
            total: How much there is to do; None where nobody knows, and nothing is counted.
            unit: Of what.
            done: How much an earlier process did.
        """
        start, outermost = time.monotonic(), self._progress is None and self.console.is_terminal
        if outermost:
            self._progress = self._bars()
            self._progress.start()
        bar = Bar(self, name, total, unit, done)
        if self.told is not None:
            self.told.begin(bar)
        try:
            yield bar
        finally:
            if self.told is not None:
                self.told.end(bar)
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start
            if outermost and self._progress is not None:
                self._progress.stop()
                self._progress = None
            elif self._progress is None:
                bar.print()

    def quiet(self, path: str | Path) -> Any:
        """:func:`quiet`, unless verbose."""
        return quiet(path, not self.verbose)

    def cycle(self, number: int) -> None:
        """Tell which cycle begins, from 0."""
        if self.told is not None:
            self.told.cycle = number

    def scalar(self, name: str, value: float, step: int) -> None:
        """Write a number to TensorBoard."""
        if self.told is not None:
            self.told.scalar(name, float(value))
        if writer := self._events():
            writer.add_scalar(name, float(value), step)

    def image(self, name: str, array: np.ndarray, step: int) -> None:
        """Write a picture, (H, W, C) uint8, to TensorBoard."""
        if self.told is not None:
            self.told.picture(name, array)
        if writer := self._events():
            writer.add_image(name, array, step, dataformats="HWC")

    def say(self, text: str) -> None:
        """Print a line, above the bars if there are any."""
        self.console.print(text, markup=False)

    def table(self, summary: Mapping[str, Any]) -> None:
        """Print the results in the seed's terms; what the summary lacks is left out.

        Args:
            summary: The keys of :data:`ROWS`, and ``measured`` with ``seconds`` (phase -> seconds) and
                ``peak_memory_gb``.
        """
        rows = [(label, format(summary[key], form)) for label, key, form in ROWS if summary.get(key) is not None]
        measured: Mapping[str, Any] = summary.get("measured") or {}
        rows += [(f"seconds of {phase}", f"{value:.1f}") for phase, value in (measured.get("seconds") or {}).items()]
        if measured.get("peak_memory_gb") is not None:
            rows.append(("peak memory", f"{measured['peak_memory_gb']:.2f} GB"))
        self.rows(rows)

    def rows(self, rows: Iterable[tuple[str, str]]) -> None:
        """Print a table of names and values."""
        table = Table(show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        self.console.print(table)

    def close(self) -> None:
        """Finish the event files."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._own is not None and not self._own.closed:
            self._own.close()

    def _events(self) -> SummaryWriter | None:
        if self._writer is None and self._folder is not None:
            from torch.utils.tensorboard import SummaryWriter

            # Others watch the curves while they grow; the usual two minutes are too long for that.
            self._writer = SummaryWriter(str(self._folder), flush_secs=1)
        return self._writer

    def _bars(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(""),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[notes]}"),
            console=self.console,
            refresh_per_second=4,
            # What others print belongs to them: quiet() must find it on the process's own descriptors.
            redirect_stdout=False,
            redirect_stderr=False,
        )


class _Rate(TextColumn):
    """Units a second; what an earlier process did does not count."""

    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text("")
        elapsed = task.finished_time if task.finished else task.elapsed
        rate = (task.completed - task.fields["first"]) / elapsed if elapsed else 0.0
        return Text(f"{rate:.1f} {task.fields['unit']}/s")


def _descriptor(file: TextIO) -> int:
    try:
        return file.fileno()
    except (OSError, ValueError, AttributeError):
        return -1


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
