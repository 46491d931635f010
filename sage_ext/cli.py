"""The command ``sage-ext``.

Nothing heavy is imported before it is needed: ``--help`` loads neither torch nor Hydra.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from . import __version__
from .errors import Interrupted, SageError
from .usage import DESCRIPTION, EPILOG

if TYPE_CHECKING:
    from .report import Reporter
    from .runs import Run

FIXED = (
    "runs", "name", "task.id", "task.physics", "task.resolution", "task.segmentation", "task.episode_length_s",
    "memory.capacity", "memory.snapshot_every", "randomisation.",
)  # fmt: skip
"""Beginnings of keys that a run keeps: what it remembers was made with them."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _fail(f"{message}; see sage-ext --help")
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
        if argv[:1] in (["view"], ["export"]):
            from .live import commands

            return (commands.view if argv[0] == "view" else commands.export)(argv[1:])
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
                f"use {nearest(options.command, [*COMMANDS, 'view', 'export'])}",
            )
        return COMMANDS[options.command](options.tokens, options.verbose)
    except SageError as error:
        _fail(error)
        return 2
    except (Interrupted, KeyboardInterrupt):
        _fail("interrupted", prefix="")
        return 130


def _new(phases: list[str]) -> Callable[[list[str], bool], int]:
    def command(tokens: list[str], verbose: bool) -> int:
        from .config import load_config
        from .runs import Run

        config = load_config(tokens)
        _prepare(config.task.device)
        with Run.create(config) as run:
            return _live(run, {"phases": phases}, verbose, undo=run.discard)

    return command


def _more(phase: str) -> Callable[[list[str], bool], int]:
    def command(tokens: list[str], verbose: bool) -> int:
        from .config import load_config
        from .config_checks import shown

        run, overrides = _open(tokens, phase)
        with run:
            old, state = run.config, run.state
            if not state.get("done"):
                raise SageError("run", run.path, "is not finished", f"finish it first: sage-ext resume {run.path}")
            if not (run.memory / "meta.json").is_file():
                raise SageError("run", run.path, "has no memory", "sage-ext wake makes a run that has one")
            if phase == "dream" and not (run.checkpoint / "checkpoint.json").is_file():
                raise SageError("run", run.path, "has no checkpoint", f"train one: sage-ext sleep {run.path}")
            config = load_config(overrides, base=old)
            before, after = old.flat(), config.flat()
            for key in before:
                if key.startswith(FIXED) and before[key] != after[key]:
                    problem = f"is fixed: this run began with {shown(before[key])}"
                    raise SageError(key, shown(after[key]), problem, "start a new run for another")
            _prepare(config.task.device)
            for key in before:
                if before[key] != after[key]:
                    print(f"{key}: {shown(before[key])} -> {shown(after[key])}", flush=True)
            run.write_config(config)

            def undo() -> None:
                run.write_config(old)
                run.write_state(state)

            fresh = {"phases": [phase], "visit": state.get("visit", 0) + 1, "results": state.get("results", {})}
            return _live(run, fresh, verbose, undo)

    return command


def _resume(tokens: list[str], verbose: bool) -> int:
    run, overrides = _open(tokens, "resume")
    if overrides:
        raise SageError("override", overrides[0], "a run is resumed with its own config", "leave it out")
    with run:
        state = run.state
        if state.get("done"):
            print(f"{run.path} is complete: nothing to resume", flush=True)
            return 0
        if not isinstance(state.get("phases"), list):
            raise SageError("state", run.path / "state.json", "does not say which phases", "start a new run")
        _prepare(run.config.task.device)
        return _live(run, None, verbose, undo=None)


def _info(tokens: list[str], verbose: bool) -> int:
    from . import info

    try:
        if any("=" not in token for token in tokens):
            run, overrides = _open(tokens, "info", lock=False)
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
    _need_simulator()
    from . import info

    info.show_tasks()
    return 0


def _play(tokens: list[str], verbose: bool) -> int:
    from .play_command import play_command

    try:
        play_command(tokens, verbose, lambda device: _prepare(device, "device"))
    except ValueError as error:
        if not _says_what_to_mend(error):
            raise
        _fail(error)
        return 2
    return 0


COMMANDS: dict[str, Callable[[list[str], bool], int]] = {
    "cycle": _new(["wake", "sleep", "dream"]),
    "wake": _new(["wake"]),
    "sleep": _more("sleep"),
    "dream": _more("dream"),
    "resume": _resume,
    "play": _play,
    "tasks": _tasks,
    "info": _info,
}


def _open(tokens: list[str], command: str, lock: bool = True) -> tuple[Run, list[str]]:
    """The run that a command names, and its overrides; ``runs=`` only tells where runs are."""
    from .config import load_config
    from .runs import Run

    names = [token for token in tokens if "=" not in token]
    if len(names) != 1:
        given = " ".join(names) or "nothing"
        raise SageError("run", given, f"{command} takes one run", f"write sage-ext {command} latest")
    where = [token for token in tokens if token.startswith("runs=")]
    run = Run.open(names[0], load_config(where).runs, lock)
    return run, [token for token in tokens if token not in (*names, *where)]


def _prepare(device: str | None, key: str = "task.device") -> None:
    """Check, before anything is written, that the simulator is there and its device is.

    Args:
        device: The one asked for; None where any is right.
        key: How the user calls it.

    Raises:
        SageError: It is not.
    """
    os.environ.setdefault("OMNI_KIT_ACCEPT_EULA", "YES")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        os.environ.setdefault("OMNI_KIT_ALLOW_ROOT", "1")
    _need_simulator()
    if device is not None and device.startswith("cuda"):
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(device.partition(":")[2] or 0) >= count:
            problem = f"there are {count} CUDA devices" if count else "there is no CUDA device"
            raise SageError(key, device, problem, f"set {key}=null or cpu")


def _need_simulator() -> None:
    from importlib.util import find_spec

    for name in ("isaaclab", "sage_tasks"):
        if find_spec(name) is None:
            raise SageError("simulator", name, "is not installed", "install it: pip install 'sage-ext[sim]'")


def _live(run: Run, state: dict | None, verbose: bool, undo: Callable[[], None] | None) -> int:
    """Run phases with everything that the user sees of it.

    Args:
        run: The run, open.
        state: Its first state; None goes on from the one it has.
        verbose: Show what the simulator prints.
        undo: Takes back what was written, for when bad input shows only as the simulator starts.
    """
    from .interrupt import StopRequest
    from .jobs.control import Control
    from .jobs.progress import Progress
    from .report import Reporter

    if state is not None:
        run.write_state(state)
    resume = f"resume with: sage-ext resume {run.path}"
    progress = Progress(run.path)
    control = Control(run.path, progress)
    reporter = Reporter(run.tensorboard, verbose, told=progress)
    kept = _kept(run)
    try:
        reporter.say(f"run {run.path}, what the simulator prints goes to {run.log.name}")
        with progress:
            with StopRequest(control) as stop, reporter.quiet(run.log):
                from .body import SimulatedBody
                from .cycle import run_phases

                summary = run_phases(run.config, run, list(run.state["phases"]), reporter, stop, SimulatedBody())
            _finish(run, summary, reporter)
        return 0
    except (Interrupted, KeyboardInterrupt):
        _fail(f"interrupted; {resume}", prefix="")
        return 130
    except Exception as error:
        if not isinstance(error, SageError) and not _says_what_to_mend(error):
            _fail(f"failed, see below; {resume}", prefix="")
            raise
        _fail(error)
        if undo is not None and run.state == state and _kept(run) == kept:
            undo()
        else:
            _fail(resume, prefix="")
        return 2
    finally:
        reporter.close()


def _finish(run: Run, summary: dict, reporter: Reporter) -> None:
    run.write_state({**run.state, "done": True})
    reporter.table(summary)
    reporter.say(f"results {run.summary}" + (f", picture {run.dreams}" if run.dreams.is_file() else ""))
    if run.tensorboard.is_dir():
        reporter.say(f"curves  tensorboard --logdir {run.tensorboard}")


def _kept(run: Run) -> list[str]:
    """What has come about in a run that must not be lost."""
    return sorted(str(p) for folder in (run.memory, run.checkpoint) for p in folder.glob("*.json*"))


def _says_what_to_mend(error: Exception) -> bool:
    """Whether it is the one line with which ``sage_tasks.make`` refuses a task or an engine."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    origin = trace.tb_frame.f_globals.get("__name__") if trace is not None else None
    return isinstance(error, ValueError) and origin in ("sage_tasks.make", "sage_tasks.policies")


def _fail(message: object, prefix: str = "error: ") -> None:
    print(prefix + " ".join(str(message).split()), file=sys.stderr, flush=True)
