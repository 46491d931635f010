"""Does a mind forget? ``python -m bench.forgetting``: cycles that add a task each, and what is left of the first."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .held_out import FAMILY, Lived, Plan, command, live
from .table import OURS, Table, arguments, run_bench, say

if TYPE_CHECKING:
    from sage_ext.mind import Mind

DESCRIPTION = """\
Wakes and sleeps on one task after the other, each cycle with the mind of the one before (after=), once with rehearsal
of what the earlier sleeps kept and once without, at equal gradient steps. After each cycle linear probes (see
bench.probes) read the first task and the newest from the frozen context, on episodes nobody learned from.

arms:
  sage-ext         rehearses
  no rehearsal     sleeps on the newest task alone
  untrained        the same encoder before it learned anything
cases and metrics:
  TASK after N     score          mean over the quantities after the N-th cycle: R2 or balanced accuracy, below 0 as 0
  TASK             score          of the untrained encoder
  first task       points_lost    100 x what its score fell from the first cycle to the last
  QUANTITY         points_lost    the same, of one quantity of the first task
spread: standard deviation over the seeds
"""
EPILOG = """\
Runs and scores that are done are kept in --keep and not done again; what was interrupted is resumed.

examples:
  python -m bench.forgetting --keep runs/forgetting
  python -m bench.forgetting --tasks Sage-Navigation Sage-Reach --episodes 8 --moments 96 --probes 32
"""
ARMS = {OURS: 1.0, "no rehearsal": 0.0}
"""Arm -> sleep.rehearsal."""
WORLDS, SECONDS = 16, 3.0
"""Of the wakes: short episodes bring many rooms."""


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        The exit code.
    """
    parser = arguments("forgetting", DESCRIPTION, EPILOG)
    add = parser.add_argument
    tasks = ["Sage-Navigation", "Sage-Lift", "Sage-Social"]
    add("--tasks", nargs="+", choices=sorted(FAMILY), default=tasks, metavar="TASK", help="one a cycle, in order")
    add("--seeds", type=int, default=1, metavar="N", help="how many, from --seed on (default 1)")
    add("--episodes", type=int, default=64, metavar="N", help="of a wake (default 64)")
    add("--moments", type=int, default=1024, metavar="N", help="of a sleep (default 1024)")
    add("--passes", type=int, default=4, metavar="N", help="how often each is learned from (default 4)")
    add("--batch", type=int, default=16, metavar="N", help="moments an update (default 16)")
    add("--looks", type=int, default=6, metavar="N", help="looks a moment (default 6)")
    add("--lr", type=float, default=5e-4, metavar="X", help="learning rate (default 5e-4)")
    add("--probes", type=int, default=160, metavar="N", help="episodes that probes are fitted on (default 160)")
    add("--keep", type=Path, default=Path("runs") / "forgetting", metavar="DIR", help="default %(default)s")
    return run_bench(measure, parser.parse_args(argv))


def measure(options: argparse.Namespace) -> Table:
    """Live, sleep and probe."""
    seeds = list(range(options.seed, options.seed + options.seeds))
    names = ("preset", "tasks", "episodes", "moments", "passes", "batch", "looks", "lr", "probes")
    table = Table("forgetting", {name: getattr(options, name) for name in names}, seeds)
    table.budget["updates_a_cycle"] = options.moments * options.passes // options.batch
    found: dict[tuple[str, str, str], list[float]] = {}
    for seed in seeds:
        for key, value in _figures(options, seed).items():
            found.setdefault(key, []).append(value)
    for key, values in found.items():
        table.add(*key, statistics.fmean(values), statistics.pstdev(values) if len(values) > 1 else None)
    return table


def _figures(options: argparse.Namespace, seed: int) -> dict[tuple[str, str, str], float]:
    """Arm, case and metric -> figure."""
    from .probes import mean_score

    first: str = options.tasks[0]
    found: dict[tuple[str, str, str], float] = {}
    for arm, rehearsal in ARMS.items():
        run: Path | None = None
        scores: list[dict[str, float]] = []
        for number, task in enumerate(options.tasks, 1):
            # The first cycle has nothing to rehearse: its run is that of all arms.
            run = _run(options, seed, arm if number > 1 else OURS, number, task, run, rehearsal)
            scores.append(_scores(options, seed, run, first))
            found[arm, f"{first} after {number}", "score"] = mean_score(scores[-1])
            if task != first:
                found[arm, f"{task} after {number}", "score"] = mean_score(_scores(options, seed, run, task))
        lost = 100 * (mean_score(scores[0]) - mean_score(scores[-1]))
        found[arm, "first task", "points_lost"] = lost
        for quantity, value in scores[0].items():
            if not math.isnan(value) and not math.isnan(scores[-1][quantity]):
                found[arm, quantity, "points_lost"] = 100 * (value - scores[-1][quantity])
    assert run is not None
    for task in dict.fromkeys(options.tasks):
        found["untrained", task, "score"] = mean_score(_scores(options, seed, run, task, fresh=True))
    return found


def _folder(options: argparse.Namespace, seed: int) -> Path:
    spent = "-".join(str(getattr(options, name)) for name in ("episodes", "moments", "passes", "batch", "looks", "lr"))
    folder: Path = options.keep / f"{'+'.join(options.tasks)}-{spent}" / f"seed{seed}"
    return folder


def _run(
    options: argparse.Namespace, seed: int, arm: str, number: int, task: str, before: Path | None, rehearsal: float
) -> Path:
    """The run of a cycle: made, gone on with, or there already."""
    from sage_ext.runs import Run

    folder = _folder(options, seed) / arm.replace(" ", "_") / f"{number}-{task}"
    log = folder.with_suffix(".log")
    if not list(folder.glob("*/config.yaml")):
        say(f"{arm}, cycle {number}, {task}: wake, {options.episodes} episodes")
        round_of = max(1, 64 // options.batch) * options.batch
        command(
            "wake", f"task.id={task}", f"task.num_envs={WORLDS}", f"task.episode_length_s={SECONDS}",
            f"wake.episodes={options.episodes}", "memory.snapshot_every=5", "dream.looks=6",
            f"memory.capacity={round((options.episodes + WORLDS) * SECONDS * 30)}",
            f"sleep.consolidations={options.moments}", f"sleep.passes={options.passes}",
            f"sleep.batch={options.batch}", f"sleep.round={round_of}", f"sleep.steps={options.looks}",
            "sleep.history=2", f"sleep.lr={options.lr}", f"sleep.rehearsal={rehearsal}",
            f"task.device={'cpu' if options.preset == 'cpu' else 'cuda:0'}", f"seed={1000 * seed + number}",
            f"runs={folder.absolute()}", *([f"after={before.absolute()}"] if before else []), log=log,
        )  # fmt: skip
    (path,) = (config.parent for config in folder.glob("*/config.yaml"))
    with Run.open(path, lock=False) as run:
        if not run.state.get("done"):
            say(f"{arm}, cycle {number}, {task}: resumed")
            command("resume", str(path.absolute()), log=log)
        if "consolidations" not in run.read_summary():
            say(f"{arm}, cycle {number}, {task}: sleep, {options.moments} moments")
            command("sleep", str(path.absolute()), log=log)
    return path


def _scores(options: argparse.Namespace, seed: int, path: Path, task: str, fresh: bool = False) -> dict[str, float]:
    """Quantity -> score of probes on a task's held-out episodes, from a run's mind as it is now or from before."""
    from sage_ext.context.calibration import calibrate
    from sage_ext.mind import Mind
    from sage_ext.runs import Run

    from .probes import FIT, JUDGE, contexts, judged, untrained

    kept = path / f"probes-{task}-{options.probes}{'-untrained' if fresh else ''}.json"
    if kept.exists():
        scores: dict[str, float] = json.loads(kept.read_text(encoding="utf-8"))
        return scores
    sets = _held_out(options, seed, task)
    with Run.open(path, lock=False) as run:
        mind: Mind = Mind.load(run.checkpoint, run.config.sleep, "cpu" if options.preset == "cpu" else "cuda:0")
    say(f"probes: {task}, {'untrained' if fresh else path}")
    if fresh:
        mind = untrained(mind)
        calibrate(mind.objective.encoder, {k: v[:16, :30].to(mind.device) for k, v in sets[FIT].observation.items()})
    known, told = (contexts(mind, lived) for lived in sets)
    scores = judged(task, known, sets[FIT], [(told, sets[JUDGE])])[0]["whole"]
    temporary = kept.with_suffix(".new")
    temporary.write_text(json.dumps(scores) + "\n", encoding="utf-8")
    temporary.replace(kept)
    return scores


def _held_out(options: argparse.Namespace, seed: int, task: str) -> tuple[Lived, Lived]:
    from .probes import SEED, USUAL

    first, folder = SEED + 1000 * seed, options.keep / "held_out" / f"{task}-{options.probes}-seed{seed}"
    counts: tuple[Any, Any] = (options.probes, options.probes * 2 // 5)
    fit, judge = (
        live(Plan(task, count, first + 500 * number, USUAL), folder / name)
        for number, (count, name) in enumerate(zip(counts, ("fit", "judge"), strict=True))
    )
    return fit, judge


if __name__ == "__main__":
    sys.exit(main())
