"""The command ``sage-ext``.

Nothing heavy is imported before it is needed: ``--help`` loads neither torch nor Hydra.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from . import __version__
from .errors import Interrupted, SageError, mendable, tell
from .run_commands import more_of_run, new_run, open_run, resume_run
from .usage import DESCRIPTION, EPILOG


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        tell(f"{message}; see sage-ext --help")
        raise SystemExit(2)


def run() -> NoReturn:
    """The command itself: :func:`main`, then the process ends at once.

    Everything of ours is closed by then; waiting for the simulator's libraries to unload takes seconds.
    """
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: Its arguments; those of the process by default.

    Returns:
        The exit code.
    """
    parser = _Parser(
        prog="sage-ext",
        usage="sage-ext COMMAND [RUN] [KEY=VALUE ...] [--verbose]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("tokens", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--verbose", action="store_true", help="show what the simulator prints, too")
    parser.add_argument("--version", action="version", version=f"sage-ext {__version__}")
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        for words, command in OWN_OPTIONS.items():
            if tuple(argv[: len(words)]) == words:
                return command()(argv[len(words) :])
        options = parser.parse_intermixed_args(argv)
        if options.command is None:
            parser.print_help()
            return 0
        if options.command not in COMMANDS:
            from .config_checks import nearest

            raise SageError(
                "command",
                options.command,
                "unknown command",
                f"use {nearest(options.command, [*COMMANDS, *(words[0] for words in OWN_OPTIONS)])}",
            )
        return COMMANDS[options.command](options.tokens, options.verbose)
    except (Interrupted, KeyboardInterrupt):
        tell("interrupted", prefix="")
        return 130
    except Exception as error:
        if not mendable(error):
            raise
        tell(error)
        return 2


def _info(tokens: list[str], verbose: bool) -> int:
    from . import info

    try:
        if any("=" not in token for token in tokens):
            run, overrides = open_run(tokens, "info", lock=False)
            if overrides:
                raise SageError("override", overrides[0], "a run has its own config", "leave it out")
            info.show_run(run)
        else:
            info.show_all(tokens)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 0


def _tasks(tokens: list[str], verbose: bool) -> int:
    if tokens:
        raise SageError("tasks", tokens[0], "tasks takes nothing", "write sage-ext tasks")
    from . import info, simulator

    simulator.need_simulator()
    info.show_tasks()
    return 0


def _play(tokens: list[str], verbose: bool) -> int:
    from .play_command import play_command

    play_command(tokens, verbose)
    return 0


def _status(tokens: list[str], verbose: bool) -> int:
    from .jobs import commands

    commands.show(tokens)
    return 0


def _ask(command: str) -> Callable[[list[str], bool], int]:
    def asked(tokens: list[str], verbose: bool) -> int:
        from .jobs import commands

        commands.ask(command, tokens)
        return 0

    return asked


def _view() -> Callable[[Sequence[str]], int]:
    from .live.commands import view

    return view


def _export() -> Callable[[Sequence[str]], int]:
    from .live.commands import export

    return export


def _report() -> Callable[[Sequence[str]], int]:
    from .report_page.commands import report

    return report


def _watch() -> Callable[[Sequence[str]], int]:
    from .dream_film.commands import watch

    return watch


OWN_OPTIONS: dict[tuple[str, ...], Callable[[], Callable[[Sequence[str]], int]]] = {
    ("view",): _view,
    ("export",): _export,
    ("report",): _report,
    ("dream", "watch"): _watch,
}
"""Words of a command that has options of its own -> what imports it."""
COMMANDS: dict[str, Callable[[list[str], bool], int]] = {
    "cycle": new_run(["wake", "sleep", "dream"], learns=True),
    "wake": new_run(["wake"]),
    "sleep": more_of_run("sleep"),
    "dream": more_of_run("dream"),
    "act": more_of_run("act"),
    "resume": resume_run,
    "status": _status,
    **{command: _ask(command) for command in ("pause", "unpause", "stop")},
    "play": _play,
    "tasks": _tasks,
    "info": _info,
}
