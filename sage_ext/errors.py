"""Errors a user can mend: one line that names the key, the value and the way out."""

from __future__ import annotations

import sys


class SageError(Exception):
    """Bad input, with what is needed to mend it in one line.

    Args:
        key: What is wrong: a config key, a file, an observation's name.
        value: The offending value as the user gave it.
        problem: What is wrong with it, with the allowed range where there is one.
        mend: What to do instead.
    """

    def __init__(self, key: str, value: object, problem: str, mend: str) -> None:
        self.key, self.value, self.problem, self.mend = key, value, problem, mend
        super().__init__(f"{key}={value}: {problem}; {mend}")


class Interrupted(Exception):
    """Ctrl-C was pressed and a safe point was reached: what is on disk can be resumed."""


def mendable(error: Exception) -> bool:
    """Whether it is bad input: ours, or the one line with which ``sage_tasks`` refuses a task or an engine."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    origin = trace.tb_frame.f_globals.get("__name__") if trace is not None else None
    refused = isinstance(error, ValueError) and origin in ("sage_tasks.make", "sage_tasks.policies")
    return isinstance(error, SageError) or refused


def tell(message: object, prefix: str = "error: ") -> None:
    """Print what went wrong as one line on stderr."""
    print(prefix + " ".join(str(message).split()), file=sys.stderr, flush=True)
