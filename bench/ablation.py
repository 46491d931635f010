"""Does sleep pay? ``python -m bench.ablation``: one mind an arm, at equal gradient steps and equal simulated steps."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sage_ext.errors import SageError

from .ablation_plan import BODIES, HISTORY, held_out_sets, moments_of, prepare
from .held_out import FAMILY
from .table import Table, add_workers, arguments, count, run_bench, say

if TYPE_CHECKING:
    from sage_ext.config import SleepConfig
    from sage_ext.mind import Mind

    from .ablation_arms import Arm
    from .ablation_data import Mixed

DESCRIPTION = """\
Trains one mind an arm and seed on several tasks at once, at equal gradient steps and equal simulated steps, and reads
named quantities from its frozen context with linear probes (see bench.probes), on held-out episodes.

arms:
  untrained, seed's objective, wake only, wake + image augmentation, wake + domain randomisation, wake + sleep, and
  wake + sleep without each of its families of variations
cases and metrics:
  mean        score             mean over the quantities and tasks: R2 or balanced accuracy, below 0 counting as 0
  mean        score_shifted     the same probes under physics never seen awake: gravity x0.5 and x1.5, friction x0.4
                                and x1.6
  QUANTITY    score, score_shifted
  TASK/QUANTITY  score, behind_best  of one task, and by how much the group that carries its name is behind the best
  rank:GROUP  share_of_width    effective rank (RankMe) of a group's contexts, of touch where something is
                                felt; below 0.25 it has all but collapsed
  mean        cosine_loss       of the seed's objective: its arm, and an encoder that ignores its input
spread: standard deviation over the seeds
"""
EPILOG = """\
Arms and seeds that are done are kept in --keep and not done again: the bench can be stopped and started at any time.

examples:
  python -m bench.ablation --keep runs/ablation
  python -m bench.ablation --keep runs/ablation --arms "wake only" "wake + sleep" --seeds 1 --updates 100
"""


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        The exit code.
    """
    parser = arguments("ablation", DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("--tasks", nargs="+", choices=sorted(FAMILY), default=["Sage-Navigation", "Sage-Push"], metavar="TASK")
    add("--arms", nargs="+", metavar="ARM", help="default: all")
    add("--seeds", type=count, default=3, metavar="N", help="how many, from --seed on (default 3)")
    lives = "sets of experience, shared by the seeds in turn (default one a seed)"
    add("--lives", type=count, metavar="N", help=lives)
    wakes = "runs of wake of each policy and task, before anyone sleeps (default 1, with --preset gpu 10)"
    add("--wakes", type=count, metavar="N", help=wakes)
    add("--updates", type=count, default=1500, metavar="N", help="gradient steps an arm (default 1500)")
    add("--steps", type=count, default=49152, metavar="N", help="simulated steps of an arm and task (default 49152)")
    add("--batch", type=count, default=24, metavar="N", help="moments an update, more of single looks (default 24)")
    add("--looks", type=count, default=8, metavar="N", help="looks a moment (default 8)")
    add("--lr", type=float, default=1e-3, metavar="X", help="learning rate (default 1e-3)")
    add("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of sleep, such as sleep.weights.regularity=0.05")
    drawn = "of randomisation, drawn anew in each room of every arm's wake, such as color=0.5 (default nothing)"
    add("--drawn", nargs="+", default=[], metavar="KEY=VALUE", help=drawn)
    add("--minds", action="store_true", help="keep the trained minds as well, in DIR/minds; one kept is only probed")
    add("--device", default="cpu", metavar="NAME", help="where minds learn and are probed, in float32 (default cpu)")
    add("--keep", type=Path, default=Path("runs") / "ablation", metavar="DIR", help="default %(default)s")
    add_workers(parser)
    return run_bench(measure, parser.parse_args(argv))


def measure(options: argparse.Namespace) -> Table:
    """Make the data, train, probe."""
    from .ablation_arms import ARMS
    from .probes import behind_best
    from .readout import WHOLE

    known = {arm.name: arm for arm in ARMS}
    for name in options.arms or ():
        if name not in known:
            raise SageError("--arms", name, "is no arm", f"use some of {', '.join(known)}")
    arms = [known[name] for name in options.arms or known]
    seeds = list(range(options.seed, options.seed + options.seeds))
    spent = ("preset", "tasks", "updates", "steps", "batch", "looks", "lr", "lives", "wakes", "drawn", "device")
    budget = {key: getattr(options, key) for key in spent}
    table = Table("ablation", budget, seeds)
    prepare(options, [arm for arm in arms if not all(_path(options, arm, seed).exists() for seed in seeds)], seeds)
    found = {arm.name: [_done(options, arm, seed) for seed in seeds] for arm in arms}
    for name, runs in found.items():
        for case, metric in [(case, metric) for case, metrics in runs[0]["scores"].items() for metric in metrics]:
            values = [run["scores"][case][metric] for run in runs]
            told = [v for v in values if not math.isnan(v)]
            if told:
                table.add(name, case, metric, statistics.fmean(told), statistics.pstdev(told))
        for task in options.tasks:
            told = [run["groups"][task] for run in runs]
            for metric, by_run in (("score", [t[WHOLE] for t in told]), ("behind_best", [*map(behind_best, told)])):
                for case in by_run[0]:
                    values = [run[case] for run in by_run if not math.isnan(run.get(case, math.nan))]
                    if values:
                        table.add(name, f"{task}/{case}", metric, statistics.fmean(values), statistics.pstdev(values))
        if "cosine_loss" in runs[0]:
            for arm, key in ((name, "cosine_loss"), ("encoder that ignores its input", "cosine_loss_of_noise")):
                table.add(arm, "mean", "cosine_loss", statistics.fmean(run[key] for run in runs))
    table.budget["seconds_an_arm"] = round(statistics.fmean(r["seconds"] for rs in found.values() for r in rs))
    return table


def _path(options: argparse.Namespace, arm: Arm, seed: int) -> Path:
    """Where the result of an arm and seed is kept."""
    spent = "-".join(str(getattr(options, key)) for key in ("updates", "steps", "batch", "looks", "lr"))
    said = [f"{key}={getattr(options, key)}" for key in ("lives", "wakes") if getattr(options, key)]
    spent = "-".join([spent, *options.set, *options.drawn, *said])
    folder: Path = options.keep / "results" / f"{'+'.join(options.tasks)}-{spent}"
    return folder / f"{arm.name.replace(' ', '_')}-{seed}.json"


def _done(options: argparse.Namespace, arm: Arm, seed: int) -> dict[str, Any]:
    """The result of an arm and seed, from before or now."""
    path = _path(options, arm, seed)
    if path.exists():
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return result
    result = _train_and_probe(options, arm, seed)
    _write(path, result)
    return result


def _write(path: Path, result: dict[str, Any]) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def _train_and_probe(options: argparse.Namespace, arm: Arm, seed: int) -> dict[str, Any]:
    mind, result = _trained(options, arm, seed)
    return result | _scores(options, mind)


def _trained(options: argparse.Namespace, arm: Arm, seed: int) -> tuple[Mind, dict[str, Any]]:
    """The mind of an arm and seed, and how it was trained: kept from before, or trained now."""
    from .ablation_arms import PlainMind

    told = _path(options, arm, seed)
    folder = options.keep / "minds" / told.parent.name / told.stem
    note: Path = folder / "trained.json"
    if options.minds and note.exists():
        result: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
        return PlainMind.load(folder, _config(options), options.device), result
    mind, result = _train(options, arm, seed)
    if options.minds:
        mind.save(folder)
        _write(note, result)
    return mind, result


def _train(options: argparse.Namespace, arm: Arm, seed: int) -> tuple[Mind, dict[str, Any]]:
    import torch

    from sage_ext.context.calibration import calibrate
    from sage_ext.sleep import consolidate
    from sage_ext.sleep.train import updates

    torch.backends.cudnn.allow_tf32 = False
    moments = moments_of(options, arm, seed)
    config = _config(options)
    mind = _mind(options, arm, seed, moments, config)
    generator = torch.Generator().manual_seed(seed)
    result: dict[str, Any] = {"seconds": 0.0}
    start = time.monotonic()
    with mind.at_work():
        if arm.learns is None:
            calibrate(mind.objective.encoder, {k: v.to(mind.device) for k, v in moments.seen(512).items()})
        else:
            say(f"training: {arm.name}, seed {seed}, {options.updates} updates")
            once = sum(1 for _ in updates(moments.looks, config, torch.Generator().manual_seed(0)))
            config = replace(config, passes=math.ceil(options.updates / once))
            progress = _Progress(options.updates)
            result["losses"] = consolidate(mind, moments, config, generator, progress, most=options.updates)
    result["seconds"] = time.monotonic() - start
    if arm.seeds:
        from .ablation_arms import loss_of_noise

        result["cosine_loss"] = result["losses"]["loss"]
        result["cosine_loss_of_noise"] = loss_of_noise(256, generator)
    return mind, result


class _Progress:
    """A line now and then."""

    def __init__(self, updates: int) -> None:
        self.updates, self.done, self.said = updates, 0, time.monotonic()

    def __call__(self, count: int, losses: dict[str, float]) -> None:
        self.done += 1
        if time.monotonic() - self.said > 20:
            self.said = time.monotonic()
            terms = " ".join(f"{k}={v:.3g}" for k, v in losses.items())
            say(f"  {self.done}/{self.updates} {terms}")


def _config(options: argparse.Namespace) -> SleepConfig:
    """How all arms sleep."""
    from sage_ext.config import load_config

    return load_config(
        [f"sleep.batch={options.batch}", f"sleep.steps={options.looks}", f"sleep.history={HISTORY}",
         f"sleep.lr={options.lr}", f"sleep.round={options.batch}", *options.set]
    ).sleep  # fmt: skip


def _mind(options: argparse.Namespace, arm: Arm, seed: int, moments: Mixed, config: SleepConfig) -> Mind:
    from sage_ext.observation import ObservationSpec, SenseSpec

    from .ablation_arms import PlainMind, SeedObjective

    known = moments.parts[0]
    senses = {k: SenseSpec(tuple(v.shape[2:]), str(v.dtype).removeprefix("torch.")) for k, v in known.varied.items()}
    width = known.actions.shape[-1] - 1
    mind = PlainMind.create(ObservationSpec(senses), width, BODIES, config, seed, options.device)
    if arm.seeds:
        mind.objective.__class__ = SeedObjective
    return mind


def _scores(options: argparse.Namespace, mind: Mind) -> dict[str, Any]:
    """Case -> score and score_shifted, mean over the tasks; and task -> group -> quantity -> score."""
    from sage_ext.learning.diagnostics import group_ranks

    from .probes import blocks, contexts, judged, mean_score

    found: dict[str, dict[str, list[float]]] = {}
    groups: dict[str, dict[str, dict[str, float]]] = {}
    for task in options.tasks:
        fit, judge, shifted = held_out_sets(options.keep, task, options.preset, options.seed, options.workers)
        known = contexts(mind, fit)
        for name, share in group_ranks(known, blocks(fit.observation["tactile"]).to(known.device)).items():
            found.setdefault(f"rank:{name}", {}).setdefault("share_of_width", []).append(share)
        several = judged(task, known, fit, [(contexts(mind, other), other) for other in (judge, shifted)])
        for metric, scores in zip(("score", "score_shifted"), several, strict=True):
            groups.setdefault(task, scores)
            for case, value in {"mean": mean_score(scores["whole"]), **scores["whole"]}.items():
                found.setdefault(case, {}).setdefault(metric, []).append(value)
    means = {case: {m: statistics.fmean(v) for m, v in metrics.items()} for case, metrics in found.items()}
    return {"scores": means, "groups": groups}


if __name__ == "__main__":
    sys.exit(main())
