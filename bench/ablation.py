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

from .ablation_data import NOMINAL, SECONDS, VARIED, config_of, relived, replayed, settings, steps_of_sleep, wake
from .held_out import FAMILY, Lived, Plan, live
from .table import Table, arguments, run_bench, say

if TYPE_CHECKING:
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
  rank:GROUP  share_of_width    effective rank (RankMe) of a group's contexts; below 0.25 it has all but collapsed
  mean        cosine_loss       of the seed's objective: its arm, and an encoder that ignores its input
spread: standard deviation over the seeds
"""
EPILOG = """\
Arms and seeds that are done are kept in --keep and not done again: the bench can be stopped and started at any time.

examples:
  python -m bench.ablation --keep runs/ablation
  python -m bench.ablation --keep runs/ablation --arms "wake only" "wake + sleep" --seeds 1 --updates 100
"""
SHIFTED = tuple(
    (
        f"randomisation.gravity_scale=[{gravity},{gravity}]",
        f"randomisation.static_friction_scale=[{friction},{friction}]",
        f"randomisation.dynamic_friction_scale=[{friction},{friction}]",
    )
    for gravity, friction in ((0.5, 0.4), (0.5, 1.6), (1.5, 0.4), (1.5, 1.6))
)
WAKE_EPISODES = {"cpu": 192, "gpu": 1920}


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        The exit code.
    """
    parser = arguments("ablation", DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("--tasks", nargs="+", choices=sorted(FAMILY), default=["Sage-Navigation", "Sage-Lift"], metavar="TASK")
    add("--arms", nargs="+", metavar="ARM", help="default: all")
    add("--seeds", type=int, default=3, metavar="N", help="how many, from --seed on (default 3)")
    add("--updates", type=int, default=400, metavar="N", help="gradient steps an arm (default 400)")
    add("--moments", type=int, default=8192, metavar="N", help="moments an arm and task (default 8192)")
    add("--batch", type=int, default=24, metavar="N", help="moments an update, more of single looks (default 24)")
    add("--looks", type=int, default=8, metavar="N", help="looks a moment (default 8)")
    add("--lr", type=float, default=1e-3, metavar="X", help="learning rate (default 1e-3)")
    add("--keep", type=Path, default=Path("runs") / "ablation", metavar="DIR", help="default %(default)s")
    return run_bench(measure, parser.parse_args(argv))


def measure(options: argparse.Namespace) -> Table:
    """Make the data, train, probe."""
    from .ablation_arms import ARMS

    known = {arm.name: arm for arm in ARMS}
    for name in options.arms or ():
        if name not in known:
            raise SageError("--arms", name, "is no arm", f"use some of {', '.join(known)}")
    arms = [known[name] for name in options.arms or known]
    seeds = list(range(options.seed, options.seed + options.seeds))
    budget = {k: getattr(options, k) for k in ("preset", "tasks", "updates", "moments", "batch", "looks", "lr")}
    table = Table("ablation", budget, seeds)
    found = {arm.name: [_done(options, arm, seed) for seed in seeds] for arm in arms}
    for name, runs in found.items():
        for case, metric in [(case, metric) for case, metrics in runs[0]["scores"].items() for metric in metrics]:
            values = [run["scores"][case][metric] for run in runs]
            told = [v for v in values if not math.isnan(v)]
            if told:
                table.add(name, case, metric, statistics.fmean(told), statistics.pstdev(told))
        if "cosine_loss" in runs[0]:
            for arm, key in ((name, "cosine_loss"), ("encoder that ignores its input", "cosine_loss_of_noise")):
                table.add(arm, "mean", "cosine_loss", statistics.fmean(run[key] for run in runs))
    table.budget["seconds_an_arm"] = round(statistics.fmean(r["seconds"] for rs in found.values() for r in rs))
    return table


def _done(options: argparse.Namespace, arm: Arm, seed: int) -> dict[str, Any]:
    """The result of an arm and seed, from before or now."""
    spent = "-".join(str(getattr(options, key)) for key in ("updates", "moments", "batch", "looks", "lr"))
    path = options.keep / "results" / f"{'+'.join(options.tasks)}-{spent}" / f"{arm.name.replace(' ', '_')}-{seed}.json"
    if path.exists():
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return result
    result = _train_and_probe(options, arm, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
    return result


def _train_and_probe(options: argparse.Namespace, arm: Arm, seed: int) -> dict[str, Any]:
    import torch

    from sage_ext.sleep import consolidate
    from sage_ext.sleep.train import updates

    moments = _moments(options, arm, seed)
    mind, config = _mind(options, arm, seed, moments)
    generator = torch.Generator().manual_seed(seed)
    result: dict[str, Any] = {"seconds": 0.0}
    start = time.monotonic()
    with mind.at_work():
        if arm.learns is None:
            mind.objective.encoder.calibrate(moments.seen(512))
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
    result["scores"] = _scores(options, mind, seed)
    return result


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


def _moments(options: argparse.Namespace, arm: Arm, seed: int) -> Mixed:
    """What an arm learns from, of all tasks."""
    import torch

    from sage_ext.sleep.moments import joined

    from . import ablation_arms as arms
    from .ablation_data import Mixed

    common = settings(options.looks, HISTORY)
    first, parts = 1000 * seed, []
    episodes = WAKE_EPISODES[options.preset]
    spent = arms.counts(arms.FAMILIES, options.moments)
    # What sleep simulates, the others live.
    steps = sum(count * steps_of_sleep(family, options.looks) for family, count in spent.items())
    more = math.ceil(steps / (SECONDS * 30) / 2) * 2
    for task in options.tasks:
        name, count, physics = "wake", episodes, NOMINAL
        if arm.learns == "wake":
            name, count = "more", episodes + more
        elif arm.learns == "varied":
            name, count, physics = "varied", episodes + more, VARIED
        runs = wake(options.keep / f"seed{seed}", task, name, count, first, physics, common)
        each = options.moments // len(runs)
        for number, run in enumerate(runs):
            if arm.learns == "sleep":
                # Arms share pools, of which they take as much as they need.
                pool = {f: math.ceil(1.5 * arms.counts(arms.FAMILIES, each)[f] / 16) * 16 for f in arm.families}
                for family, some in arms.counts(arm.families, each).items():
                    whole = relived(run, family, pool[family], first + number)
                    parts.append(whole.take(torch.arange(min(some, len(whole)))))
            else:
                parts.append(replayed(run, config_of(run, "physical"), BODIES, each, first + number))
    if arm.augmented:
        parts = [arms.augment(part, torch.Generator().manual_seed(seed)) for part in parts]
    lengths = sorted({int(part.looks.max()) for part in parts})
    return Mixed([joined([part for part in parts if int(part.looks.max()) == looks]) for looks in lengths])


HISTORY = 2
"""Looks before a moment."""
BODIES = 5
"""Loose objects of each scene."""


def _mind(options: argparse.Namespace, arm: Arm, seed: int, moments: Mixed) -> tuple[Mind, Any]:
    from sage_ext.config import load_config
    from sage_ext.mind import Mind
    from sage_ext.observation import ObservationSpec, SenseSpec

    from .ablation_arms import SeedObjective

    config = load_config(
        [f"sleep.batch={options.batch}", f"sleep.steps={options.looks}", f"sleep.history={HISTORY}",
         f"sleep.lr={options.lr}", f"sleep.round={options.batch}"]
    ).sleep  # fmt: skip
    known = moments.parts[0]
    senses = {k: SenseSpec(tuple(v.shape[2:]), str(v.dtype).removeprefix("torch.")) for k, v in known.varied.items()}
    width = known.actions.shape[-1] - 1
    mind = Mind.create(ObservationSpec(senses), width, BODIES, config, seed, "cpu")
    if arm.seeds:
        mind.objective.__class__ = SeedObjective
    return mind, config


def _scores(options: argparse.Namespace, mind: Mind, seed: int) -> dict[str, dict[str, float]]:
    """Case -> score and score_shifted, mean over the tasks."""
    from sage_ext.learning.diagnostics import group_ranks

    from .probes import SEED, contexts, held_out, judged, mean_score

    found: dict[str, dict[str, list[float]]] = {}
    for task in options.tasks:
        folder = options.keep / f"seed{seed}" / "held_out" / task
        fit, judge = held_out(task, seed, options.preset, folder)
        shifted = _joined(
            [
                live(Plan(task, 32, SEED + 1000 * seed + 700 + 10 * i, physics), folder / f"shifted{i}")
                for i, physics in enumerate(SHIFTED)
            ]
        )
        known = contexts(mind, fit)
        for name, share in group_ranks(known).items():
            found.setdefault(f"rank:{name}", {}).setdefault("share_of_width", []).append(share)
        for metric, other in (("score", judge), ("score_shifted", shifted)):
            scores = judged(task, known, fit, contexts(mind, other), other)["whole"]
            for case, value in {"mean": mean_score(scores), **scores}.items():
                found.setdefault(case, {}).setdefault(metric, []).append(value)
    return {case: {m: statistics.fmean(v) for m, v in metrics.items()} for case, metrics in found.items()}


def _joined(parts: list[Lived]) -> Lived:
    import torch

    return Lived(
        {k: torch.cat([p.observation[k] for p in parts]) for k in parts[0].observation},
        {k: torch.cat([p.truth[k] for p in parts]) for k in parts[0].truth},
        torch.cat([p.action for p in parts]),
    )


if __name__ == "__main__":
    sys.exit(main())
