"""Does a context pay in action? ``python -m bench.tasks``: success of each arm under shifts it never learned with."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import shutil
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sage_ext.errors import SageError

from .held_out import FAMILY, command, module
from .table import Table, arguments, run_bench, say
from .tasks_play import CONDITIONS, Plan

DESCRIPTION = """\
Success over episodes of rooms never seen, for each task, condition and arm; all arms play the same rooms.

arms:
  NAME          a policy of SAGE's, one for each --sage; without --sage the bench makes "wake only" (sleep that learns
                from plain memory) and "wake + sleep", at equal gradient steps, from the same demonstrations
  cnn           behaviour cloning by a ResNet-18, from the demonstrations of the first SAGE
  expert, random
cases and metrics:
  TASK/CONDITION   success   spread: standard deviation over the seeds; with one seed, the standard error of the rate
  TASK/shifted     success, drop_from_nominal   mean over gravity, friction, mass and camera
  TASK/missing     success   mean over the conditions in which a sense is missing
  TASK/training    seconds   of learning to act, encoding included; of the CNN, its training
"""
EPILOG = """\
Each result is played in a process of its own and kept in --keep: the bench can be stopped and started at any time. A
policy that is learned on gets new results.

examples:
  python -m bench.tasks --tasks Sage-Reach --episodes 40 --seeds 1 --keep runs/tasks
  python -m bench.tasks --tasks Sage-Reach --sage "wake only=runs/a/{task}-{seed}" "wake + sleep=runs/b/{task}-{seed}"
  python -m bench.tasks --conditions nominal "friction x0.4" --arms cnn expert
"""
MADE = {"wake only": "sleep.replay=1", "wake + sleep": "sleep.replay=0"}
"""Arms that the bench makes itself -> how they sleep."""
FLOORS = ("expert", "random")
ROOMS = 500_000
"""First seed of the rooms that are played, far from those of runs."""


@dataclass(frozen=True)
class Source:
    """Where an arm's policy comes from, for one task and seed.

    Attributes:
        kind: See :class:`bench.tasks_play.Plan`.
        folder: See there.
        mark: Names this very policy.
        seconds: What it took to learn, if it learned.
    """

    kind: str
    folder: Path | None
    mark: str
    seconds: float | None = None


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
    add("--episodes", type=_count, default=200, metavar="N", help="a result (default 200)")
    add("--worlds", type=_count, default=20, metavar="N", help="side by side (default 20)")
    add("--seeds", type=_count, default=3, metavar="N", help="how many, from --seed on (default 3)")
    add("--demonstrations", type=_count, default=60, metavar="N", help="episodes of the expert (default 60)")
    add("--consolidations", type=_count, default=3000, metavar="N", help="moments of a sleep (default 3000)")
    add("--updates", type=_count, default=2000, metavar="N", help="of weights that learn to act (default 2000)")
    add("--cnn-batch", type=_count, default=64, metavar="N", help="looks an update of the CNN (default 64)")
    add("--keep", type=Path, default=Path("runs") / "tasks", metavar="DIR", help="default %(default)s")
    return run_bench(measure, parser.parse_args(argv))


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number >= 1")
    return int(text)


def measure(options: argparse.Namespace) -> Table:
    """Learn what is not learned yet, and play."""
    given = sages(options.sage)
    if options.run is not None:
        raise SageError("--run", options.run, "is not enough: arms have names", 'write --sage "NAME=RUN"')
    known = [*(given or MADE), "cnn", *FLOORS]
    for name in options.arms or ():
        if name not in known:
            raise SageError("--arms", name, "is no arm", f"use some of {', '.join(known)}")
    arms = options.arms or known
    seeds = list(range(options.seed, options.seed + options.seeds))
    spent = ("preset", "episodes", "demonstrations", "consolidations", "updates", "cnn_batch")
    table = Table("tasks", {key: getattr(options, key) for key in spent} | {"sage": options.sage}, seeds)
    first = next(iter(given.values()), None)
    for task in options.tasks:
        for arm in arms:
            sources = [source(options, given, arm, task, seed) for seed in seeds]
            rates = {
                condition: [
                    result(options, _given(first, task, seed) if first else None, task, condition, found, seed)
                    for seed, found in zip(seeds, sources, strict=True)
                ]
                for condition in options.conditions
            }
            add_rows(table, task, arm, rates, options.episodes)
            told = [found.seconds for found in sources if found.seconds is not None]
            if told:
                table.add(arm, f"{task}/training", "seconds", statistics.fmean(told))
    return table


def sages(tokens: Sequence[str]) -> dict[str, str]:
    """Name -> run, of ``--sage``.

    Raises:
        SageError: A token is no ``NAME=RUN``, or a name is taken.
    """
    found: dict[str, str] = {}
    for token in tokens:
        name, equals, run = token.partition("=")
        if not (name and equals and run):
            raise SageError("--sage", token, "is no NAME=RUN", 'write --sage "wake + sleep=runs/NAME"')
        if name in (*found, "cnn", *FLOORS):
            raise SageError("--sage", name, "is an arm already", "give it another name")
        found[name] = run
    return found


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


def result(
    options: argparse.Namespace, like: Path | None, task: str, condition: str, found: Source, seed: int
) -> float:
    """Success rate of an arm, from before or now."""
    where = options.keep.absolute() / "results" / task / condition.replace(" ", "_")
    path = where / f"{found.mark}-{_settings(like)}-{options.episodes}-{options.worlds}-{seed}.json"
    if not path.exists():
        say(f"playing: {task}, {condition}, {found.mark}, seed {seed}")
        folder, lived = (None if p is None else str(p) for p in (found.folder, like))
        plan = Plan(found.kind, folder, lived, task, condition, options.episodes, options.worlds, ROOMS + seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        module("bench.tasks_play", json.dumps(asdict(plan)), str(path), log=path.with_suffix(".log"))
    return float(json.loads(path.read_text(encoding="utf-8"))["success_rate"])


def source(options: argparse.Namespace, given: dict[str, str], arm: str, task: str, seed: int) -> Source:
    """Where an arm's policy is, learned now if it has to be."""
    if arm in FLOORS:
        return Source(arm, None, arm)
    if arm == "cnn":
        first = next(iter(given.values()), None)
        return _cnn(options, _given(first, task, seed) if first else _demonstrations(options, task, seed), task, seed)
    run = _given(given[arm], task, seed) if given else _made(options, arm, task, seed)
    policy = run / "policy" / "checkpoint.json"
    if not policy.is_file():
        raise SageError("--sage", run, "has learned no policy", f"sage-ext act {run}")
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    return Source("sage", run, f"{_slug(arm)}-{_digest(policy)}", summary["measured"]["seconds"].get("act"))


def _given(run: str, task: str, seed: int) -> Path:
    from sage_ext.runs import Run

    path = Run.open(run.replace("{task}", task).replace("{seed}", str(seed)), lock=False).path.absolute()
    there = Run.open(path, lock=False).config.task.id
    if there != task:
        raise SageError("--sage", path, f"is a run of {there}", f"give one of {task}, with {{task}} in its path")
    return path


def _demonstrations(options: argparse.Namespace, task: str, seed: int) -> Path:
    """A run in which the expert acted."""
    runs = options.keep.absolute() / f"seed{seed}" / task / f"demonstrations-{options.demonstrations}"
    if not list(runs.glob("*/summary.json")):
        say(f"demonstrations: {task}, {options.demonstrations} episodes, seed {seed}")
        shutil.rmtree(runs, ignore_errors=True)
        command(
            "wake", f"task={task}", f"task.num_envs={min(options.worlds, options.demonstrations)}",
            "wake.policy=expert", f"wake.episodes={options.demonstrations}", f"seed={seed}", f"runs={runs}",
            log=runs.with_suffix(".log"),
        )  # fmt: skip
    (summary,) = runs.glob("*/summary.json")
    return summary.parent


def _made(options: argparse.Namespace, arm: str, task: str, seed: int) -> Path:
    """A copy of the demonstrations that slept and learned to act."""
    base = _demonstrations(options, task, seed)
    spent = f"{options.demonstrations}-{options.consolidations}-{options.updates}"
    path = options.keep.absolute() / f"seed{seed}" / task / f"{_slug(arm)}-{spent}"
    log = path.with_suffix(".log")
    if not path.is_dir():
        unfinished = path.with_name(f".{path.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(base, unfinished)
        unfinished.rename(path)
    for phase, settings in (
        ("sleep", (f"sleep.consolidations={options.consolidations}", MADE[arm])),
        ("act", (f"act.updates={options.updates}",)),
    ):
        done = path / f"{phase}.done"
        if done.exists():
            continue
        say(f"{phase}: {task}, {arm}, seed {seed}")
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        if not state.get("done"):
            command("resume", str(path), log=log)
        elif state["phases"] != [phase]:
            command(phase, str(path), *settings, log=log)
        done.touch()
    return path


def _cnn(options: argparse.Namespace, run: Path, task: str, seed: int) -> Source:
    """The baseline, trained on a run's demonstrations."""
    from sage_ext.config import load_config

    act = load_config().act
    spent = f"{_digest(run / 'memory' / 'episodes.jsonl')}-{options.updates}-{options.cnn_batch}"
    folder = options.keep.absolute() / f"seed{seed}" / task / f"cnn-{spent}"
    if not (folder / "cnn.json").is_file():
        say(f"training: {task}, cnn, seed {seed}, {options.updates} updates")
        # As many looks lack a sense as of SAGE's, which sees those episodes once more.
        dropout = act.sense_dropout / (1.0 + act.sense_dropout)
        settings = {"run": str(run), "folder": str(folder), "updates": options.updates, "batch": options.cnn_batch}
        settings |= {"chunk": act.chunk, "dropout": dropout, "seed": seed}
        module("bench.tasks_cnn", json.dumps(settings), log=folder.with_suffix(".log"))
    meta = json.loads((folder / "cnn.json").read_text(encoding="utf-8"))["meta"]
    return Source("cnn", folder, f"cnn-{_digest(folder / 'cnn.json')}", meta["seconds"])


def _settings(like: Path | None) -> str:
    """Names the task's settings."""
    from sage_ext.runs import Run

    if like is None:
        return "usual"
    config = Run.open(like, lock=False).config
    return hashlib.sha256(repr((config.task, config.randomisation)).encode()).hexdigest()[:8]


def _slug(arm: str) -> str:
    return arm.replace(" ", "_").replace("/", "_")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


if __name__ == "__main__":
    sys.exit(main())
