"""What ``sage-ext info`` and ``sage-ext tasks`` print."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from . import __version__
from .config import load_config
from .config_checks import rule, shown
from .config_hydra import presets
from .runs import Run

_PACKAGES = ("torch", "tensordict", "hydra-core", "isaaclab", "ovphysx", "newton", "isaacsim")


def show_all(overrides: Sequence[str] = ()) -> None:
    """Versions, devices, presets, tasks and every key, with the values that the overrides give."""
    flat = load_config(overrides).flat()
    print("versions")
    _rows([("sage-ext", __version__), ("python", platform.python_version()), *((p, _version(p)) for p in _PACKAGES)])
    print("\ndevices")
    _rows(_devices())
    print("\npresets")
    _rows(list(presets().items()))
    print("\ntasks")
    _rows(_tasks())
    print("\nkeys" + (f" with {' '.join(overrides)}" if overrides else " (preset=demo, the default)"))
    _rows([(key, shown(value), rule(key).allowed) for key, value in flat.items()])


def show_run(run: Run) -> None:
    """Results, progress and settings of a run."""
    from .report import Reporter

    state, summary = run.state, run.read_summary()
    done = state.get("done", False)
    print(f"run {run.path}: {', '.join(state.get('phases', []))}, {'finished' if done else 'not finished'}")
    if not done:
        print(f"resume with: sage-ext resume {run.path}")
    if summary:
        reporter = Reporter()
        reporter.table(summary)
        reporter.close()
    print("\nconfig (* is not the default)")
    usual = load_config().flat()
    _rows([("*" if value != usual[key] else " ", key, shown(value)) for key, value in run.config.flat().items()])


def show_tasks() -> None:
    """Every registered task, from its registration and config; no simulator is started."""
    from sage_tasks.listing import describe_all

    for task in describe_all():
        print(f"{task.task}  {task.about}")
        senses = [f"{name} {_space(space)}" for name, space in task.observation.spaces.items()]
        _rows(
            [
                ("observation", senses[0]),
                *[("", sense) for sense in senses[1:]],
                ("action", _space(task.action)),
                ("episode", f"{task.episode_length_s:g} s, {task.steps} steps"),
                ("policies", ", ".join(task.policies)),
                ("agents", ", ".join(task.agents) or "none"),
                ("difficulties", ", ".join(task.difficulties)),
                *([("presets", ", ".join(task.presets))] if task.presets else []),
            ]
        )
        print()
    print("Spaces are those of one world. The ground truth (critic) of a task is known once it has started.")


def _space(space: Any) -> str:
    bounds = {(float(low), float(high)) for low, high in zip(space.low.flat, space.high.flat, strict=True)}
    low, high = next(iter(bounds)) if len(bounds) == 1 else (space.low.min(), space.high.max())
    return f"{space.shape} {space.dtype} in {low:g}..{high:g}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _devices() -> list[tuple[str, ...]]:
    import torch

    rows: list[tuple[str, ...]] = [("cpu", f"{os.cpu_count()} cores")]
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        about = torch.cuda.get_device_properties(index)
        rows.append((f"cuda:{index}", f"{about.name}, {about.total_memory / 1e9:.0f} GB"))
    return rows


def _tasks() -> list[tuple[str, ...]]:
    try:
        from sage_tasks import TASKS
    except ImportError:
        return [("none", "sage_tasks is not installed")]
    return [(name, module) for name, module in TASKS.items()]


def _rows(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
