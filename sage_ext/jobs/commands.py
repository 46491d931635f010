"""``sage-ext status``, ``pause``, ``unpause`` and ``stop``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from ..errors import SageError
from ..run_commands import open_run
from ..runs import LATEST
from .watch import request, status

REQUESTS = {"pause": "pause", "unpause": "run", "stop": "stop"}
"""Command -> what it asks of the job."""


def show(tokens: Sequence[str]) -> None:
    """Print how the job of a run is; of the newest one where none is named.

    Raises:
        SageError: There is no such run.
    """
    named = any("=" not in token for token in tokens)
    now = status(_run([*tokens] if named else [LATEST, *tokens], "status"))
    print(f"run      {now.run}")
    print(f"state    {now.state}")
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


def ask(command: str, tokens: Sequence[str]) -> None:
    """Ask something of a job, one of :data:`REQUESTS`.

    Raises:
        SageError: There is no such run, or nothing runs there.
    """
    run = _run(tokens, command)
    request(run, REQUESTS[command])
    print(f"asked {run} to {command}: it does so at its next safe point", flush=True)


def _run(tokens: Sequence[str], command: str) -> Path:
    run, rest = open_run(list(tokens), command, lock=False)
    if rest:
        raise SageError("override", rest[0], f"{command} takes a run and nothing else", "leave it out")
    return run.path
