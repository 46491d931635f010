"""Does a context pay in action? ``python -m bench.tasks``: success of each arm under shifts it never learned with."""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from sage_ext.errors import SageError

from .held_out import FAMILY, in_parallel, module
from .table import Table, add_workers, arguments, count, run_bench, say
from .tasks_arms import SIMULATOR, Arms, Source
from .tasks_play import CONDITIONS, Plan

DESCRIPTION = """\
Success over episodes of rooms never seen, for each task, condition and arm; all arms play the same rooms.

arms:
  NAME          a policy of SAGE's, one for each --sage; or one that learns to act on the contexts of each --mind, from
                the same demonstrations; without either the bench makes minds itself, from those demonstrations: "wake
                only" (sleep that learns from plain memory) and "wake + sleep", at equal gradient steps
  cnn           behaviour cloning by a ResNet-18, from the same demonstrations
  expert, random
cases and metrics:
  TASK/CONDITION   success   spread: standard deviation over the seeds; with one seed, the standard error of the rate
  TASK/shifted     success, drop_from_nominal   mean over gravity, friction, mass and camera
  TASK/missing     success   mean over the conditions in which a sense is missing
  TASK/training    seconds   of learning to act, encoding included; of the CNN, its training
"""
EPILOG = """\
Results are kept in --keep as they come: the bench can be stopped and started at any time. A policy that is learned on
gets new results. One process plays all arms of a task, condition and seed; --workers of them run side by side.

examples:
  python -m bench.tasks --tasks Sage-Reach --episodes 40 --seeds 1 --keep runs/tasks
  python -m bench.tasks --tasks Sage-Reach --sage "wake only=runs/a/{task}-{seed}" "wake + sleep=runs/b/{task}-{seed}"
  python -m bench.tasks --mind "wake only=minds/wake-{seed}" "wake + sleep=minds/sleep-{seed}" --workers 8
  python -m bench.tasks --conditions nominal "friction x0.4" --arms cnn expert
"""
ROOMS = 500_000
"""First seed of the rooms that are played, far from those of runs."""


def main(argv: list[str] | None = None) -> int:
    """Learn what is not learned yet, play, print and write.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        The exit code.
    """
    parser = arguments("tasks", DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("--tasks", nargs="+", choices=sorted(FAMILY), default=sorted(FAMILY), metavar="TASK", help="default: all")
    add("--conditions", nargs="+", choices=list(CONDITIONS), default=list(CONDITIONS), metavar="CONDITION",
        help=f"default: all of {', '.join(CONDITIONS)}")  # fmt: skip
    add("--arms", nargs="+", metavar="ARM", help="default: all")
    add("--sage", nargs="+", default=[], metavar="NAME=RUN", help="runs; {task} and {seed} stand for id and number")
    add("--mind", nargs="+", default=[], metavar="NAME=DIR", help="folders that minds were saved in; see --sage")
    add("--episodes", type=count, default=200, metavar="N", help="a result (default 200)")
    add("--worlds", type=count, default=20, metavar="N", help="side by side (default 20)")
    add("--seeds", type=count, default=3, metavar="N", help="how many, from --seed on (default 3)")
    add("--demonstrations", type=count, default=60, metavar="N", help="episodes of the expert (default 60)")
    add(
        "--disturbance",
        type=float,
        metavar="X",
        help="of its actions, remembered beside what it wanted (default: what suits each task, as in sage-ext wake)",
    )
    add("--consolidations", type=count, default=3000, metavar="N", help="moments of a sleep (default 3000)")
    add("--updates", type=count, default=2000, metavar="N", help="of weights that learn to act (default 2000)")
    add("--batch", type=count, metavar="N", help="stretches an update of SAGE's (default: as in config/act)")
    add("--cnn-batch", type=count, default=64, metavar="N", help="looks an update of the CNN (default 64)")
    add_workers(parser)
    add("--device", help="of learning and thinking (default: a GPU, if there is one)")
    add("--keep", type=Path, default=Path("runs") / "tasks", metavar="DIR", help="default %(default)s")
    return run_bench(measure, parser.parse_args(argv))


def measure(options: argparse.Namespace) -> Table:
    """Learn what is not learned yet, and play."""
    arms = Arms(options)
    if options.run is not None:
        raise SageError("--run", options.run, "is not enough: arms have names", 'write --sage "NAME=RUN"')
    for name in options.arms or ():
        if name not in arms.names:
            raise SageError("--arms", name, "is no arm", f"use some of {', '.join(arms.names)}")
    if options.device is None:
        import torch

        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    names = options.arms or arms.names
    seeds = list(range(options.seed, options.seed + options.seeds))
    spent = (
        "preset",
        "episodes",
        "demonstrations",
        "disturbance",
        "consolidations",
        "updates",
        "batch",
        "cnn_batch",
        "device",
    )
    given = {"sage": options.sage, "mind": options.mind}
    table = Table("tasks", {key: getattr(options, key) for key in spent} | given, seeds)
    found: dict[tuple[str, int], list[Source]] = {}

    def learn(task: str, seed: int) -> None:
        found[task, seed] = [arms.source(arm, task, seed) for arm in names]

    def play(task: str, condition: str, seed: int) -> None:
        played(options, arms.like(task, seed), task, condition, found[task, seed], seed)

    in_parallel([partial(learn, *each) for each in itertools.product(options.tasks, seeds)], options.workers)
    rooms = itertools.product(options.tasks, options.conditions, seeds)
    in_parallel([partial(play, *each) for each in rooms], options.workers)
    for task, (number, arm) in itertools.product(options.tasks, enumerate(names)):
        sources = {seed: found[task, seed][number] for seed in seeds}
        rates = {
            condition: [_rate(options, arms.like(task, s), task, condition, sources[s], s) for s in seeds]
            for condition in options.conditions
        }
        add_rows(table, task, arm, rates, options.episodes)
        told = [source.seconds for source in sources.values() if source.seconds is not None]
        if told:
            table.add(arm, f"{task}/training", "seconds", statistics.fmean(told))
    return table


def add_rows(table: Table, task: str, arm: str, rates: dict[str, list[float]], episodes: int) -> None:
    """Rows of an arm and task, given its success rates by condition, one a seed."""
    for condition, values in rates.items():
        table.add(arm, f"{task}/{condition}", "success", statistics.fmean(values), _spread(values, episodes))
    groups = {"shifted": [c for c in rates if CONDITIONS[c].shifted]}
    groups["missing"] = [c for c in rates if CONDITIONS[c].missing]
    for group, names in groups.items():
        if names:
            each = [statistics.fmean(values) for values in zip(*(rates[name] for name in names), strict=True)]
            spread = _spread(each, episodes * len(names))
            table.add(arm, f"{task}/{group}", "success", statistics.fmean(each), spread)
            if group == "shifted" and "nominal" in rates:
                drop = statistics.fmean(rates["nominal"]) - statistics.fmean(each)
                table.add(arm, f"{task}/{group}", "drop_from_nominal", drop)


def _spread(values: Sequence[float], episodes: int) -> float:
    if len(values) > 1:
        return statistics.pstdev(values)
    return math.sqrt(values[0] * (1.0 - values[0]) / episodes)


def played(
    options: argparse.Namespace, like: Path | None, task: str, condition: str, sources: Sequence[Source], seed: int
) -> None:
    """Play what was not played yet, in a process of its own."""
    left = {}
    for source in sources:
        path = _result(options, like, task, condition, source, seed)
        if not path.exists():
            folder, lived = (None if p is None else str(p) for p in (source.folder, like))
            sizes = options.episodes, options.worlds, ROOMS + seed, SIMULATOR[options.preset]
            plan = Plan(source.kind, folder, lived, task, condition, *sizes)
            left[str(path)] = asdict(plan)
    if left:
        say(f"playing: {task}, {condition}, seed {seed}, {len(left)} arms")
        log = Path(next(iter(left))).with_suffix(".log")
        log.parent.mkdir(parents=True, exist_ok=True)
        module("bench.tasks_play", json.dumps(left), options.device, log=log)


def _result(
    options: argparse.Namespace, like: Path | None, task: str, condition: str, source: Source, seed: int
) -> Path:
    """Where a result is kept."""
    where: Path = options.keep.absolute() / "results" / task / condition.replace(" ", "_")
    return where / f"{source.mark}-{_settings(like)}-{options.episodes}-{options.worlds}-{seed}.json"


def _rate(
    options: argparse.Namespace, like: Path | None, task: str, condition: str, source: Source, seed: int
) -> float:
    path = _result(options, like, task, condition, source, seed)
    return float(json.loads(path.read_text(encoding="utf-8"))["success_rate"])


def _settings(like: Path | None) -> str:
    """Names the task's settings."""
    from sage_ext.runs import Run

    if like is None:
        return "usual"
    config = Run.open(like, lock=False).config
    return hashlib.sha256(repr((config.task, config.randomisation)).encode()).hexdigest()[:8]


if __name__ == "__main__":
    sys.exit(main())
