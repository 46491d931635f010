"""Wake of every task, each in a process of its own: two simulators cannot share one."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sage_ext.errors import SageError

from .speed_cycle import REPOSITORY
from .table import Row, Table, say

ALL, FIRST = "all", "navigation"
"""Every task; and the one whose rows are also the bench's plain ones."""


def measure(table: Table, options: argparse.Namespace, work: Path) -> None:
    """Measure wake of all tasks.

    Args:
        table: Where the rows go.
        options: What the command line said.
        work: An empty folder.

    Raises:
        SageError: A task could not be measured.
    """
    from sage_ext.config_hydra import groups

    names = sorted(groups()["task"], key=lambda name: (name != FIRST, name))
    for name in names:
        say(f"task {name}")
        result = run(name, options, work / f"{name}.json", work / f"{name}.log")
        rows = [Row(**row) for row in result["rows"]]
        if name == FIRST:
            add(table, rows)
            rows = renamed(rows, result["budget"]["task"])
        add(table, rows)
        table.budget |= {key: result["budget"][key] for key in ("worlds", "camera", "rounds", "steps_a_block")}
    table.budget["tasks"] = len(names)


def renamed(rows: Iterable[Row], task: str) -> list[Row]:
    """Rows of a task whose cases say so."""
    return [Row(row.arm, f"{row.case}/{task}", row.metric, row.value, row.spread) for row in rows]


def add(table: Table, rows: Iterable[Row]) -> None:
    """Put rows into a table."""
    for row in rows:
        table.add(row.arm, row.case, row.metric, row.value, row.spread)


def run(name: str, options: argparse.Namespace, path: Path, log: Path) -> Mapping[str, Any]:
    """Run this bench for one task in a process of its own.

    Args:
        name: The task, as in ``task=...``.
        options: What the command line said.
        path: Where its rows go.
        log: Where its output goes.

    Returns:
        What it wrote.

    Raises:
        SageError: It failed.
    """
    command = [sys.executable, "-m", "bench.speed", "--cases", "wake", "--task", name, "--json", str(path.absolute())]
    for key in ("preset", "seed", "run", "rounds", "worlds", "steps"):
        value = getattr(options, key)
        command += [] if value is None else [f"--{key}", str(value.absolute() if isinstance(value, Path) else value)]
    paths = [str(REPOSITORY), str(REPOSITORY / "envs"), str(REPOSITORY / "tasks"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with open(log, "wb") as file:
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False
        )
    if done.returncode or not path.exists():
        tail = " ".join(log.read_text(encoding="utf-8", errors="replace")[-500:].split())
        raise SageError("--task", name, f"exit code {done.returncode}: ...{tail}", "run it by itself")
    result: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result
