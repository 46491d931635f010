"""Errors a user can mend: one line that names the key, the value and the way out."""

from __future__ import annotations


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
