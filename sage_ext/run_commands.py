"""The commands that make a run or go on with one: what they check first, and what the user sees of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .errors import Interrupted, SageError, mendable, tell
from .simulator import prepare

if TYPE_CHECKING:
    from .report import Reporter
    from .runs import Run

FIXED = (
    "runs", "name", "after", "task.id", "task.physics", "task.resolution", "task.segmentation", "task.object_sizes",
    "task.episode_length_s", "memory.capacity", "memory.snapshot_every", "randomisation.",
)  # fmt: skip
"""Beginnings of keys that a run keeps: what it remembers was made with them."""


def new_run(phases: list[str], learns: bool = False) -> Callable[[list[str], bool], int]:
    """The command that lives through phases in a new run.

    Args:
        phases: Of each cycle.
        learns: Whether who acts as ``sage`` also learns to, at the end of each.
    """

    def command(tokens: list[str], verbose: bool) -> int:
        from .after import settled
        from .config import load_config
        from .runs import Run

        config = settled(load_config(tokens))
        prepare(config.task.device)
        with Run.create(config) as run:
            chosen = [*phases, "act"] if learns and config.wake.policy == "sage" else phases
            return _live(run, {"phases": chosen}, verbose, undo=run.discard)

    return command


def more_of_run(phase: str) -> Callable[[list[str], bool], int]:
    """The command that adds a phase to a finished run, under a config that may differ in what is not fixed."""

    def command(tokens: list[str], verbose: bool) -> int:
        from .after import settled
        from .config import load_config
        from .config_checks import shown

        run, overrides = open_run(tokens, phase)
        with run:
            old, state = run.config, run.state
            if not state.get("done"):
                raise SageError("run", run.path, "is not finished", f"finish it first: sage-ext resume {run.path}")
            if not (run.memory / "meta.json").is_file():
                raise SageError("run", run.path, "has no memory", "sage-ext wake makes a run that has one")
            if phase in ("dream", "act") and not (run.checkpoint / "checkpoint.json").is_file():
                raise SageError("run", run.path, "has no checkpoint", f"train one: sage-ext sleep {run.path}")
            config = load_config(overrides, base=old)
            before, after = old.flat(), config.flat()
            for key in before:
                if key.startswith(FIXED) and before[key] != after[key]:
                    problem = f"is fixed: this run began with {shown(before[key])}"
                    raise SageError(key, shown(after[key]), problem, "start a new run for another")
            if phase == "sleep" and config.sleep.rehearsal:
                config = settled(config)
            prepare(config.task.device)
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


def resume_run(tokens: list[str], verbose: bool) -> int:
    """The command that goes on with a run that was interrupted."""
    run, overrides = open_run(tokens, "resume")
    if overrides:
        raise SageError("override", overrides[0], "a run is resumed with its own config", "leave it out")
    with run:
        state = run.state
        if state.get("done"):
            print(f"{run.path} is complete: nothing to resume", flush=True)
            return 0
        if not isinstance(state.get("phases"), list):
            raise SageError("state", run.path / "state.json", "does not say which phases", "start a new run")
        prepare(run.config.task.device)
        return _live(run, None, verbose, undo=None)


def open_run(tokens: list[str], command: str, lock: bool = True) -> tuple[Run, list[str]]:
    """The run that a command names, and its overrides; ``runs=`` only tells where runs are.

    Args:
        tokens: What stands after the command.
        command: Its name, for errors.
        lock: Whether the run is to be changed.

    Raises:
        SageError: None or several are named, or it is not there.
    """
    from .config import load_config
    from .runs import Run

    names = [token for token in tokens if "=" not in token]
    if len(names) != 1:
        given = " ".join(names) or "nothing"
        raise SageError("run", given, f"{command} takes one run", f"write sage-ext {command} latest")
    where = [token for token in tokens if token.startswith("runs=")]
    run = Run.open(names[0], load_config(where).runs, lock)
    return run, [token for token in tokens if token not in (*names, *where)]


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
        tell(f"interrupted; {resume}", prefix="")
        return 130
    except Exception as error:
        if not mendable(error):
            tell(f"failed, see below; {resume}", prefix="")
            raise
        tell(error)
        if undo is not None and run.state == state and _kept(run) == kept:
            progress.take_back()
            undo()
        else:
            tell(resume, prefix="")
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
