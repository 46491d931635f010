"""Runs that go on from earlier ones: ``after`` names one, which may have gone on from another in its turn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .config import Config
from .config_checks import shown
from .errors import SageError
from .runs import Run

SAME = ("task.resolution", "sleep.history", "sleep.steps")
"""Keys in which moments that are learned from together have to agree."""


def settled(config: Config) -> Config:
    """The config of a new run with ``after`` naming one run for good, and that run fit to go on from.

    Raises:
        SageError: There is no such run, it has not slept, or what it kept does not fit.
    """
    if config.after is None:
        return config
    run = _open(config.after, config)
    if not run.state.get("done"):
        raise SageError("after", run.path, "is not finished", f"finish it first: sage-ext resume {run.path}")
    if not (run.checkpoint / "checkpoint.json").is_file():
        raise SageError("after", run.path, "has no checkpoint", f"train one: sage-ext sleep {run.path}")
    inside = run.path.parent.absolute() == Path(config.runs).absolute()
    config = replace(config, after=run.path.name if inside else str(run.path.absolute()))
    for earlier in earlier_runs(config) if config.sleep.rehearsal else ():
        before, now = earlier.config.flat(), config.flat()
        for key in SAME:
            if before[key] != now[key]:
                problem = f"{earlier.path.name}, which is rehearsed, has {shown(before[key])}"
                mend = f"set {key}={shown(before[key])}, or sleep.rehearsal=0"
                raise SageError(key, shown(now[key]), problem, mend)
        if not any(earlier.kept.glob("*.safetensors")):
            mend = "set sleep.keep in its sleep, or sleep.rehearsal=0 here"
            raise SageError("after", earlier.path, "kept no moments to rehearse", mend)
    return config


def earlier_runs(config: Config) -> list[Run]:
    """The runs that a run goes on from, the latest first.

    Raises:
        SageError: One is not there any more.
    """
    found: list[Run] = []
    while config.after is not None:
        run = _open(config.after, config)
        if run.path in [other.path for other in found]:
            raise SageError("after", run.path, "goes on from itself", "restore its config.yaml")
        found.append(run)
        config = run.config
    return found


def _open(which: str, config: Config) -> Run:
    try:
        return Run.open(which, config.runs, lock=False)
    except SageError as error:
        raise SageError("after", which, error.problem, error.mend) from error
