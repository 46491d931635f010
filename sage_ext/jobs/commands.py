"""``sage-ext status``, ``pause``, ``unpause`` and ``stop``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..config import load_config
from ..errors import SageError
from ..runs import LATEST, Run
from .watch import request, status

REQUESTS = {"pause": "pause", "unpause": "run", "stop": "stop"}
"""Command -> what it asks of the job."""


def show(tokens: Sequence[str], verbose: bool) -> int:
    """Print how the job of a run is.

    Raises:
        SageError: There is no such run.
    """
    now = status(_run(tokens, "status", LATEST))
    print(f"run      {now.run}\nstate    {now.state}")
    if now.phase is not None:
        done = "" if now.total is None else f", {now.done}/{now.total} {now.unit}, {now.rate:.1f}/s"
        print(f"phase    {now.phase} of cycle {now.cycle + 1}{done}")
    for name, value in now.metrics.items():
        print(f"{name}  " + ("not finite" if value is None else f"{value:.4g}"))
    if now.updated is not None:
        print(f"updated  {time.time() - now.updated:.0f} s ago")
    if now.error is not None:
        print(f"error    {now.error}")
    for line in now.lines:
        print(f"  {line}")
    return 0


def ask(command: str) -> Callable[[list[str], bool], int]:
    """The command that asks something of a job, one of :data:`REQUESTS`."""

    def asked(tokens: list[str], verbose: bool) -> int:
        run = _run(tokens, command)
        request(run, REQUESTS[command])
        print(f"asked {run} to {command}: it does so at its next safe point", flush=True)
        return 0

    return asked


def _run(tokens: Sequence[str], command: str, otherwise: str | None = None) -> Path:
    where = [token for token in tokens if token.startswith("runs=")]
    names = [token for token in tokens if token not in where] or [otherwise]
    if len(names) != 1 or names[0] is None or "=" in names[0]:
        given = " ".join(filter(None, names)) or "nothing"
        raise SageError("run", given, f"{command} takes one run", f"write sage-ext {command} {LATEST}")
    return Run.open(names[0], load_config(where).runs, lock=False).path
