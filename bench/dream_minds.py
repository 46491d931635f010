"""The minds that are shown dreams: of runs, or as :meth:`sage_ext.mind.Mind.save` left them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sage_ext.errors import SageError

if TYPE_CHECKING:
    from sage_ext.mind import Mind


def task_of(path: Path) -> str:
    """The task of a run.

    Raises:
        SageError: It is a mind, which tells no task, or no run.
    """
    from sage_ext.runs import Run

    if is_mind(path):
        raise SageError("--tasks", "", "is missing", f"{path} is a mind and tells no task; name some")
    with Run.open(path, lock=False) as run:
        return str(run.config.task.id)


def is_mind(path: Path) -> bool:
    """Whether a folder holds a mind; else it is a run."""
    return (path / "checkpoint.json").is_file()


def folder_of(path: Path) -> tuple[Path, str]:
    """The folder of a mind, given itself or its run, and a name for it."""
    from sage_ext.runs import Run

    if is_mind(path):
        return path, path.resolve().name
    with Run.open(path, lock=False) as run:
        return run.checkpoint, run.path.name


def load(path: Path, device: str) -> Mind:
    """The mind in a folder."""
    from sage_ext.config import load_config
    from sage_ext.mind import Mind
    from sage_ext.runs import Run

    if is_mind(path):
        return Mind.load(path, load_config().sleep, device)
    with Run.open(path, lock=False) as run:
        return Mind.load(run.checkpoint, run.config.sleep, device)
