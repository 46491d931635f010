"""What the ablation simulates: runs of wake, what of them each arm lives again, and held-out episodes."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from .ablation_data import (
    LIVED,
    VARIED,
    Mixed,
    config_of,
    counts,
    relived,
    relives,
    replayed,
    settings,
    wake,
)  # fmt: skip
from .held_out import POLICIES, SHORT, Lived, Plan, in_parallel, live, lives, seconds

if TYPE_CHECKING:
    from .ablation_arms import Arm

SHIFTED = tuple(
    (
        f"randomisation.gravity_scale=[{gravity},{gravity}]",
        f"randomisation.static_friction_scale=[{friction},{friction}]",
        f"randomisation.dynamic_friction_scale=[{friction},{friction}]",
    )
    for gravity, friction in ((0.5, 0.4), (0.5, 1.6), (1.5, 0.4), (1.5, 1.6))
)
WAKE_RUNS = {"cpu": 1, "gpu": 10}
"""Of each policy, before anyone sleeps."""

HISTORY = 2
"""Looks before a moment."""
BODIES = 5
"""Loose objects of each scene."""


def prepare(options: argparse.Namespace, arms: list[Arm], seeds: list[int]) -> None:
    """Simulate what some arms need and is not there yet, in several processes."""
    from .probes import held_out_plans

    if not arms:
        return
    every = [(arm, task, seed) for seed in seeds for task in options.tasks for arm in arms]
    made: dict[str, Callable[[], object]] = {str(life.args): life for case in every for life in _lives(options, *case)}
    for task in options.tasks:
        folder = _held_out(options.keep, task, options.seed)
        plans = (*held_out_plans(task, options.seed, options.preset, folder), *_shifted(task, options.seed, folder))
        made |= {f"{where}-{n}": job for plan, where in plans for n, job in enumerate(lives(plan, where))}
    in_parallel(list(made.values()), options.workers)
    wanted: dict[tuple[Path, int], dict[str, int]] = {}
    for seed in seeds:
        for arm in arms:
            for run, family, count, number in _sleeps(options, arm, seed):
                most = wanted.setdefault((run, number), {})
                most[family] = max(count, most.get(family, 0))
    again = [job for (run, number), most in wanted.items() for job in relives(run, most, options.looks, number)]
    in_parallel(again, options.workers)


def life(options: argparse.Namespace, seed: int) -> int:
    """Number of the experience that a seed learns from: its own, or one of the ``--lives`` that seeds share."""
    lives: int = options.lives or options.seeds
    first: int = options.seed
    return first + (seed - first) % lives


def _lives(options: argparse.Namespace, arm: Arm, task: str, seed: int) -> list[partial[Path]]:
    """What makes, or finds, the runs of wake that an arm learns from."""
    seed = life(options, seed)
    each = options.wakes or WAKE_RUNS[options.preset]
    if arm.learns in ("wake", "varied"):
        # What sleep simulates, the others live.
        each += math.ceil(options.steps / (LIVED * 30) / len(POLICIES))
    drawn = [f"randomisation.{setting}" for setting in options.drawn]
    physics, common = [*([VARIED] if arm.learns == "varied" else []), *drawn], settings(options.looks, HISTORY)
    return [
        partial(wake, options.keep / f"seed{seed}", task, number, 1000 * seed, physics, common, policy)
        for number in range(each)
        for policy in POLICIES
    ]


def _sleeps(options: argparse.Namespace, arm: Arm, seed: int) -> list[tuple[Path, str, int, int]]:
    """Runs, families of variations, moments of each and seeds, of an arm that sleeps."""
    found, seed = [], life(options, seed)
    for task in options.tasks if arm.learns == "sleep" else ():
        runs = [make() for make in _lives(options, arm, task, seed)]
        for number, run in enumerate(runs):
            for family, count in counts(arm.families, options.steps // len(runs), options.looks).items():
                found.append((run, family, count, 1000 * seed + number))
    return found


def moments_of(options: argparse.Namespace, arm: Arm, seed: int) -> Mixed:
    """What an arm learns from, of all tasks."""
    import torch

    from sage_ext.sleep.moments import joined

    from .ablation_arms import augment

    parts = [
        relived(run, family, count, options.looks, number) for run, family, count, number in _sleeps(options, arm, seed)
    ]
    for task in options.tasks if arm.learns != "sleep" else ():
        runs = [make() for make in _lives(options, arm, task, seed)]
        each = options.steps // (2 * options.looks) // len(runs)
        for number, run in enumerate(runs):
            parts.append(replayed(run, config_of(run, "physical"), BODIES, each, 1000 * seed + number))
    if arm.augmented:
        parts = [augment(part, torch.Generator().manual_seed(seed)) for part in parts]
    lengths = sorted({int(part.looks.max()) for part in parts})
    alike = [joined([part for part in parts if int(part.looks.max()) == looks]) for looks in lengths]
    return Mixed(alike, options.device)


@lru_cache(maxsize=2)
def held_out_sets(keep: Path, task: str, preset: str, seed: int, workers: int) -> tuple[Lived, Lived, Lived]:
    """Held-out episodes: those that probes are fitted on, those they are judged on, and such under other physics.

    All seeds are judged on the same.
    """
    from .probes import held_out

    folder = _held_out(keep, task, seed)
    shifted = [live(plan, where, workers=workers) for plan, where in _shifted(task, seed, folder)]
    return *held_out(task, seed, preset, folder, workers), _joined(shifted)


def _held_out(keep: Path, task: str, seed: int) -> Path:
    return keep / f"held_out{seed}" / task


def _shifted(task: str, seed: int, folder: Path) -> list[tuple[Plan, Path]]:
    """Episodes under physics never seen awake, and where they go."""
    from .probes import SEED

    first, many = SEED + 1000 * seed + 700, round(64 * SHORT / seconds(task))
    return [(Plan(task, many, first + 10 * i, physics), folder / f"shifted{i}") for i, physics in enumerate(SHIFTED)]


def _joined(parts: list[Lived]) -> Lived:
    import torch

    return Lived(
        {k: torch.cat([p.observation[k] for p in parts]) for k in parts[0].observation},
        {k: torch.cat([p.truth[k] for p in parts]) for k in parts[0].truth},
        torch.cat([p.action for p in parts]),
    )
