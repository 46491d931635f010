"""What every bench shares: its command line, its rows, the printed table and the JSON file.

Rows are flat, so that any two runs can be compared: whose figure it is (``arm``), of what (``case``), which figure
(``metric``), and the value with its spread. Arm ``sage-ext`` is ours.

Nothing heavy is imported here: ``--help`` needs neither torch nor a simulator.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from sage_ext.errors import SageError

OURS = "sage-ext"
RESULTS = Path("runs") / "bench"
"""Where results go when ``--json`` does not say."""


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        arm: Whose figure it is.
        case: Of what.
        metric: Which figure; its unit is part of the name, ratios have none.
        value: The figure.
        spread: How far it strays, as the bench says; None for a single measurement.
    """

    arm: str
    case: str
    metric: str
    value: float
    spread: float | None = None


@dataclass
class Table:
    """The rows of one bench, with what they cost.

    Attributes:
        bench: Name of the bench.
        budget: What was spent: steps, repeats, seconds; plain JSON values.
        seeds: Seeds that were run.
        rows: The figures.
        machine: What they were measured on.
    """

    bench: str
    budget: dict[str, Any]
    seeds: list[int]
    rows: list[Row] = field(default_factory=list)
    machine: str = field(default_factory=lambda: machine())

    def add(self, arm: str, case: str, metric: str, value: float, spread: float | None = None) -> None:
        """Add a figure.

        Raises:
            ValueError: It is not finite, or the same row is there already.
        """
        for number in (value, spread):
            if number is not None and not math.isfinite(number):
                raise ValueError(f"row {arm}/{case}/{metric}: {number} is not finite")
        if any((row.arm, row.case, row.metric) == (arm, case, metric) for row in self.rows):
            raise ValueError(f"row {arm}/{case}/{metric}: there already")
        self.rows.append(Row(arm, case, metric, float(value), None if spread is None else float(spread)))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "bench": self.bench,
            "machine": self.machine,
            "budget": self.budget,
            "seeds": self.seeds,
            "rows": [asdict(row) for row in self.rows],
        }

    def write(self, path: Path) -> None:
        """Write the JSON file; whoever reads it meanwhile sees the old one or the new one, whole.

        Raises:
            SageError: The disk refuses.
        """
        text = json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n"
        temporary: Path | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            temporary = Path(name)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            os.replace(temporary, path)
        except OSError as error:
            problem = f"cannot be written ({error.strerror})"
            raise SageError("--json", path, problem, "name a file in a writable folder") from error
        finally:
            if temporary is not None:
                temporary.unlink(missing_ok=True)

    def show(self, console: Console | None = None) -> None:
        """Print the rows, with what they were measured on and what they cost."""
        grid = Grid(title=f"bench.{self.bench}", title_justify="left")
        for name in ("case", "arm", "metric"):
            grid.add_column(name, overflow="fold")
        for name in ("value", "spread"):
            grid.add_column(name, justify="right", no_wrap=True)
        before = None
        for row in self.rows:
            if before not in (None, row.case):
                grid.add_section()
            before = row.case
            spread = "" if row.spread is None else _number(row.spread)
            grid.add_row(*map(Text, (row.case, row.arm, row.metric, _number(row.value), spread)))
        # Files and pipes have no width of their own.
        console = console or Console(highlight=False, width=None if sys.stdout.isatty() else 120)
        console.print(grid)
        spent = ", ".join(f"{key}={value}" for key, value in self.budget.items())
        for line in (f"machine: {self.machine}", f"budget: {spent}", f"seeds: {', '.join(map(str, self.seeds))}"):
            console.print(line, markup=False, soft_wrap=True)


def arguments(bench: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """The command line that every bench has; a bench adds its own options to it.

    Args:
        bench: Its name.
        description: What it measures, against what.
        epilog: What else ``--help`` should teach: rows, targets, examples.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m bench.{bench}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--preset", choices=("cpu", "gpu"), default="cpu", help="size of the bench: for a CPU (default) or one GPU"
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=_seed, default=0, metavar="N",
        help="moves everything that is drawn: rooms, objects, actions, weights (default 0)",
    )  # fmt: skip
    parser.add_argument(
        "--run", type=Path, metavar="DIR",
        help="a run folder of sage-ext whose trained mind is measured; without it, what the bench makes itself",
    )  # fmt: skip
    parser.add_argument(
        "--json", type=Path, default=RESULTS / f"{bench}.json", metavar="PATH",
        help="where the rows are written, replaced whole at the end (default %(default)s)",
    )  # fmt: skip
    return parser


def count(text: str) -> int:
    """A whole number of an option, at least 1.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    if not text.isdecimal() or not 1 <= int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number >= 1")
    return int(text)


def add_workers(parser: argparse.ArgumentParser) -> None:
    """An option for benches that simulate in several processes at once."""
    most = max(1, (os.cpu_count() or 1) // 2)
    parser.add_argument(
        "--workers", type=count, default=most, metavar="N", help=f"simulators side by side (default here {most})"
    )


def run_bench(measure: Callable[[argparse.Namespace], Table], options: argparse.Namespace) -> int:
    """Measure, write and print.

    Args:
        measure: The bench.
        options: What the command line said.

    Returns:
        The exit code: 0, or 2 with one line on stderr for bad input.
    """
    try:
        _check_writable(options.json)
        table = measure(options)
        table.write(options.json)
    except SageError as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr, flush=True)
        return 2
    table.show()
    print(f"rows: {options.json}", flush=True)
    return 0


def say(text: str) -> None:
    """Tell what goes on, apart from the results."""
    print(text, file=sys.stderr, flush=True)


def median_iqr(values: Sequence[float]) -> tuple[float, float]:
    """Median and interquartile range; the range of one value is 0."""
    if not values:
        raise ValueError("no values")
    if len(values) == 1:
        return values[0], 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return statistics.median(values), high - low


def machine() -> str:
    """What this machine is, without its name: processor, cores, memory, GPU, versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = [f"{_processor()}, {cores} cores"]
    with contextlib.suppress(ValueError, OSError, AttributeError):
        parts.append(f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB")
    # Only a bench that uses torch has loaded it.
    torch = sys.modules.get("torch")
    cuda = torch is not None and torch.cuda.is_available()
    parts.append(torch.cuda.get_device_name(0) if torch is not None and cuda else "no GPU")
    parts.append(f"{platform.system()} {platform.machine()}")
    parts.append(f"Python {platform.python_version()}")
    for package in ("torch", "isaaclab", "ovphysx"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            parts.append(f"{package} {metadata.version(package)}")
    return ", ".join(parts)


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()


def _check_writable(path: Path) -> None:
    """Before minutes are spent measuring."""
    folder = path.absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SageError("--json", path, f"cannot be written ({error.strerror})", "name another file") from error
    if path.is_dir() or not os.access(folder, os.W_OK):
        raise SageError("--json", path, "cannot be written", "name a file in a writable folder")


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number in 0..{2**31 - 1}")
    return int(text)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) >= 1 else f"{value:.3f}"
