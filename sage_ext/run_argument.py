"""The run that a command with options of its own names: a folder, a name, or ``--latest``."""

from __future__ import annotations

import argparse
from typing import NoReturn

from .config import load_config
from .errors import SageError
from .runs import LATEST, Run


class Parser(argparse.ArgumentParser):
    """Raises what is wrong as a :class:`SageError`."""

    def error(self, message: str) -> NoReturn:
        """Called by argparse."""
        raise SageError("arguments", self.prog, message, self.format_usage().strip())


def add_run(parser: argparse.ArgumentParser) -> None:
    """Let a parser take ``RUN`` or ``--latest``."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run folder, its name, or: latest")
    parser.add_argument("--latest", action="store_true", help="the newest run")


def named_run(options: argparse.Namespace) -> Run:
    """The run that was named, only for reading.

    Raises:
        SageError: None or two are named, or it is not there.
    """
    if (options.run is None) != options.latest:
        raise SageError("run", options.run or "nothing", "name one run", "give a run folder, or --latest")
    return Run.open(options.run or LATEST, load_config().runs, lock=False)
