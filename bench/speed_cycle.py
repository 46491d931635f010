"""A whole cycle as users run it: ``sage-ext cycle preset=demo`` in a process of its own."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sage_ext.errors import SageError

from .table import OURS, Table, say

REPOSITORY = Path(__file__).resolve().parent.parent
SEED_REPORTED = {"seconds": 696.0, "peak_gb": 4.3}
"""The document this project began from, its own program on noise: 3600 experiences, 600 consolidations, 10 dreams."""


def measure(table: Table, options: argparse.Namespace, work: Path) -> None:
    """A whole cycle as a user runs it."""
    device = f"task.device={'cpu' if options.preset == 'cpu' else 'cuda:0'}"
    say("cycle: once with preset=debug, untimed, for Warp to compile its kernels")
    run(work / "debug", ["preset=debug", device], work / "cycle.log")
    say("cycle: preset=demo")
    seconds, summary = run(work / "demo", ["preset=demo", device, f"seed={options.seed}"], work / "cycle.log")
    cycle_rows(table, seconds, summary)


def run(runs: Path, tokens: list[str], log: Path) -> tuple[float, dict[str, Any]]:
    """Run ``sage-ext cycle`` in a process of its own.

    Args:
        runs: An empty folder for the run.
        tokens: Its settings.
        log: Where its output goes.

    Returns:
        Seconds from its start to its end, and its summary.

    Raises:
        SageError: It failed.
    """
    paths = [str(REPOSITORY), str(REPOSITORY / "envs"), str(REPOSITORY / "tasks"), os.environ.get("PYTHONPATH", "")]
    command = [sys.executable, "-m", "sage_ext", "cycle", *tokens, f"runs={runs.absolute()}"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with open(log, "ab") as file:
        start = time.monotonic()
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False
        )
        seconds = time.monotonic() - start
    summaries = list(runs.glob("*/summary.json"))
    if done.returncode or len(summaries) != 1:
        tail = " ".join(log.read_text(encoding="utf-8", errors="replace")[-500:].split())
        raise SageError("cycle", " ".join(tokens), f"exit code {done.returncode}: ...{tail}", "run it by itself")
    return seconds, json.loads(summaries[0].read_text(encoding="utf-8"))


def cycle_rows(table: Table, seconds: float, summary: Mapping[str, Any]) -> None:
    """Turn a cycle's summary into rows.

    Args:
        table: Where they go.
        seconds: Wall-clock of the whole process.
        summary: What it wrote.
    """
    table.add(OURS, "cycle", "seconds", seconds)
    table.add(OURS, "cycle", "peak_gb", summary["measured"]["peak_memory_gb"])
    for name in ("experiences", "consolidations", "explorations"):
        table.add(OURS, "cycle", name, summary[name])
    spent = summary["measured"]["seconds"]
    for phase, value in spent.items():
        table.add(f"part: {phase}", "cycle", "seconds", value)
    table.add("part: imports, summary, end", "cycle", "seconds", seconds - sum(spent.values()))
    for metric, value in SEED_REPORTED.items():
        table.add("seed (reported)", "cycle", metric, value)
