"""What does a mind hold possible? ``python -m bench.dreams``: dreams beside their twins, in rooms of their own."""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sage_ext.errors import SageError

from . import dream_minds
from .dream_shards import Shard, prepare, shards
from .held_out import FAMILY
from .table import OURS, Table, add_workers, arguments, run_bench, say

if TYPE_CHECKING:
    from sage_ext.mind import Mind

    from .dream_arms import Judged, Scorer, Scores
    from .dream_scenes import Sets

DESCRIPTION = """\
Shows frozen minds scenes that break a law, each beside a possible twin that is equal up to the violation, and asks
which surprised more. Rooms, objects and moments are lived for this bench alone and moved by the seed.

cases:
  LAW                  physics, substitution, reversal, scale, causal, blend
  mean                 over the laws
  leave-one-out:LAW    dreams of LAW, when nothing was learned from dreams of LAW; leave-one-out:mean over the laws.
                       Only for arms that learn from dreams; lessons have rooms of their own always
  unusual:NAME         false_alarm_rate alone, of one kind of rare physics
  stream               median_ms, p99_ms: one look of one world through encoder and judge, as it happens
metrics:
  pairwise_accuracy    dreams that surprised more than their own twin; a tie counts half
  auroc                chance that a dream surprises more than a possible scene, whichever
  false_alarm_rate     possible scenes under rare physics (gravity x0.8 and x1.2, friction x0.3, masses x2) that reach
                       the surprise that 95 % of the dreams reach
  ece                  expected calibration error of coherence over dreams and twins of a law, 10 bins. Coherence is a
                       logistic function of surprise, fitted on the lessons of the OTHER laws
arms:
  sage-ext                       wake + sleep + dream: the mind of --run, its evidence weighed as the lessons teach
  sage-ext, critic               beside the evidence counts a small network that learned from the lessons
  wake + sleep                   the same mind, its evidence with equal weights
  sage-ext, vision only          as sage-ext, but with the pictures alone
  wake only                      the mind of --wake, with equal weights; "critic" as above
  untrained                      the same encoder before it learned anything
  seed's coherence               1 - entropy of a softmax of the context
  GeoPhys, encoder | pixels      five geometric signals (arXiv 2606.20707) of the encoder's view of each picture, or of
                                 raw pixels: their mean; "best of" is the signal that does best on the lessons
  pixel motion, loudness         one number of the senses, turned the way that does best on the lessons
spread: standard deviation over the seeds
targets: pairwise_accuracy mean 0.98, each law 0.95, leave-one-out:mean 0.90; false_alarm_rate 0.10; ece 0.05
"""
EPILOG = """\
What was lived, dreamt and judged is kept in --keep and not done again: stop it and start it again at any time. On 2
idle cores a task and seed take minutes to dream and minutes to judge, and half a GB.

examples:
  sage-ext cycle preset=demo && python -m bench.dreams --run latest --seeds 1
  python -m bench.dreams --run runs/A runs/B runs/C --wake runs/D runs/E runs/F --tasks Sage-Navigation Sage-Push
  python -m bench.dreams --run latest --arms sage-ext "wake + sleep" --pairs 4 --seeds 1
"""
CRITIC, WAKE_CRITIC = f"{OURS}, critic", "wake only, critic"
WAKE = ("wake only", WAKE_CRITIC)
"""Arms of the mind of --wake."""
METRICS = ("pairwise_accuracy", "auroc", "false_alarm_rate", "ece", "median_ms", "p99_ms")
ARMS = (
    OURS, CRITIC, "wake + sleep", f"{OURS}, vision only", "wake only", WAKE_CRITIC, "untrained", "seed's coherence",
    "GeoPhys, encoder", "GeoPhys, encoder, best of", "GeoPhys, pixels", "GeoPhys, pixels, best of", "pixel motion",
    "loudness",
)  # fmt: skip

Figures = dict[str, dict[str, float]]
"""Case -> metric -> figure."""


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        The exit code.
    """
    parser = arguments("dreams", DESCRIPTION, EPILOG)
    add = parser.add_argument
    # One run a seed.
    for action in [a for a in parser._actions if a.dest == "run"]:
        action.nargs, action.help = "+", "runs that have slept, or folders of minds; one a seed, or one for all"
    add("--wake", nargs="+", type=Path, metavar="DIR", help="the same that learned from wake alone (sleep.replay=1)")
    add("--tasks", nargs="+", choices=sorted(FAMILY), metavar="TASK", help="default: the run's own")
    add("--arms", nargs="+", choices=ARMS, metavar="ARM", help="default: all that the given runs allow")
    add("--seeds", type=int, default=3, metavar="N", help="how many, from --seed on (default 3)")
    add("--pairs", type=int, metavar="N", help="dreams of each kind, task and seed (default: the preset's 12 or 64)")
    lessons = "lessons of each kind and task beside the two that come with each judged dream, shared by the seeds"
    add("--lessons", type=int, default=0, metavar="N", help=f"{lessons} (default 0)")
    add_workers(parser)
    add("--minutes", type=float, metavar="X", help="to dream for at most; then what there is is judged")
    add("--keep", type=Path, default=Path("runs") / "dreams", metavar="DIR", help="default %(default)s")
    return run_bench(measure, parser.parse_args(argv))


def measure(options: argparse.Namespace) -> Table:
    """Dream, judge, count."""
    if not options.run:
        raise SageError("--run", "", "is missing", "name a run that has slept, or latest")
    arms = options.arms or [arm for arm in ARMS if arm not in WAKE or options.wake]
    if set(WAKE) & set(arms) and not options.wake:
        raise SageError("--wake", "", "is missing", "name a run that learned from wake alone, or drop that arm")
    seeds = list(range(options.seed, options.seed + options.seeds))
    tasks = options.tasks or [dream_minds.task_of(options.run[0])]
    keep = options.keep / "scenes"
    asked = [shards(task, seed, _pairs(options), keep) for seed in seeds for task in tasks]
    lessons = {task: shards(task, options.seed, options.lessons, keep, lessons=True) for task in tasks}
    limit = None if options.minutes is None else 60 * options.minutes
    prepare([shard for own in (*asked, *lessons.values()) for shard in own], options.workers, limit)
    there = [own for own in ([s for s in own if s.done] for own in asked) if own]
    there = [own + [s for s in lessons[own[0].task] if s.done] for own in there]
    if not there:
        raise SageError("--minutes", options.minutes, "are too few for one shard of dreams", "give more")
    pairs, more = (statistics.fmean(counts) for counts in zip(*(_counts(own) for own in there), strict=True))
    table = Table("dreams", {"preset": options.preset, "tasks": tasks, "pairs": pairs, "lessons": more}, seeds)
    found: dict[str, list[Figures]] = {}
    for own in there:
        task, seed = own[0].task, own[0].seed
        for arm, figures in _figures(options, own, seed - options.seed, arms).items():
            prefix = "" if len(tasks) == 1 else f"{task}/"
            of = {f"{prefix}{case}": metrics for case, metrics in figures.items()}
            found.setdefault(arm, []).append(of | ({} if len(tasks) == 1 else {"mean": figures["mean"]}))
    for arm in arms:
        for case in dict.fromkeys(case for figures in found[arm] for case in figures):
            for metric in METRICS:
                values = [f[case][metric] for f in found[arm] if metric in f.get(case, {})]
                if values:
                    table.add(arm, case, metric, statistics.fmean(values), statistics.pstdev(values))
    return table


def _pairs(options: argparse.Namespace) -> int:
    from .dream_scenes import PAIRS

    return options.pairs or PAIRS[options.preset]


def _counts(own: list[Shard]) -> tuple[int, int]:
    """Dreams of each kind that are judged, and lessons beside those that come with them."""
    return sum(s.pairs for s in own if not s.lessons), sum(s.pairs for s in own if s.lessons)


def _figures(options: argparse.Namespace, own: list[Shard], number: int, arms: list[str]) -> dict[str, Figures]:
    """Arm -> its figures of a task and seed, from before or now."""
    from .dream_scenes import sets

    first, pairs = own[0], "+".join(map(str, filter(None, _counts(own))))
    found: dict[str, Figures] = {}
    paths: dict[str, Path] = {}
    for arm in arms:
        given = options.wake if arm in WAKE else options.run
        folder, label = dream_minds.folder_of(given[number % len(given)])
        learned = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))["tensors"]
        name = re.sub(r"[^\w.-]+", "_", f"{arm}-{label}-{Path(learned).stem[-12:]}")
        paths[arm] = options.keep / "results" / f"{first.task}-{first.seed}-{pairs}" / f"{name}.json"
        if paths[arm].exists():
            found[arm] = json.loads(paths[arm].read_text(encoding="utf-8"))
    missing = [arm for arm in arms if arm not in found]
    if missing:
        scenes = sets(own)
        for arm, scorer in _scorers(options, scenes, number, missing):
            say(f"{first.task}, seed {first.seed}: {arm}")
            found[arm] = figures_of(scorer(), scenes)
            if arm == OURS:
                found[arm]["stream"] = _latency(options, scenes, number)
            paths[arm].parent.mkdir(parents=True, exist_ok=True)
            temporary = paths[arm].with_suffix(".new")
            temporary.write_text(json.dumps(found[arm], indent=1) + "\n", encoding="utf-8")
            temporary.replace(paths[arm])
    return found


def _load(options: argparse.Namespace, given: list[Path], number: int) -> Mind:
    return dream_minds.load(given[number % len(given)], "cpu" if options.preset == "cpu" else "cuda:0")


def _latency(options: argparse.Namespace, scenes: Sets, number: int) -> dict[str, float]:
    from .dream_stream import latency

    median, slowest = latency(_load(options, options.run, number), scenes.known)
    return {"median_ms": median, "p99_ms": slowest}


def _scorers(
    options: argparse.Namespace, scenes: Sets, number: int, arms: list[str]
) -> list[tuple[str, Callable[[], Scorer]]]:
    """What makes each arm's scorer; minds are loaded, and judges fitted, once for those that share them."""
    from functools import cache

    from . import dream_arms as of
    from .probes import untrained

    @cache
    def mind() -> Mind:
        return _load(options, options.run, number)

    def fresh() -> Mind:
        from sage_ext.context.calibration import calibrate

        made = untrained(mind())
        calibrate(made.objective.encoder, {k: v[:16].to(made.device) for k, v in scenes.known.senses.items()})
        return made

    @cache
    def judged() -> Judged:
        return of.by_judge(mind(), scenes, slept=True)

    @cache
    def awake() -> Judged:
        return of.by_judge(_load(options, options.wake, number), scenes, slept=False)

    @cache
    def geometry(pixels: bool) -> tuple[Scorer, Scorer]:
        return of.by_geometry(scenes, of.pixels if pixels else of.encoded_pictures(mind()))

    made: dict[str, Callable[[], Scorer]] = {
        OURS: lambda: judged().taught,
        CRITIC: lambda: judged().critical,
        "wake + sleep": lambda: judged().equal,
        f"{OURS}, vision only": lambda: of.by_judge(mind(), scenes, True, ("visual",)).taught,
        "wake only": lambda: awake().equal,
        WAKE_CRITIC: lambda: awake().critical,
        "untrained": lambda: of.by_judge(fresh(), scenes, slept=False).equal,
        "seed's coherence": lambda: of.seeds_coherence(mind(), scenes),
        "GeoPhys, encoder": lambda: geometry(False)[0],
        "GeoPhys, encoder, best of": lambda: geometry(False)[1],
        "GeoPhys, pixels": lambda: geometry(True)[0],
        "GeoPhys, pixels, best of": lambda: geometry(True)[1],
        "pixel motion": lambda: of.by_amount(scenes, of.pixel_motion),
        "loudness": lambda: of.by_amount(scenes, of.loudness),
    }
    return [(arm, made[arm]) for arm in arms]


def figures_of(scorer: Scorer, scenes: Sets) -> Figures:
    """Everything the table tells of an arm, of one task and seed."""
    laws = list(dict.fromkeys(scenes.judged.law))
    whole = scorer.scores(None)
    left = {law: scorer.scores(law) if scorer.learns else whole for law in laws}
    found = {law: law_figures(whole, left[law], scenes, law) for law in laws}
    found["mean"] = _mean([found[law] for law in laws])
    if scorer.learns:
        out = {law: law_figures(left[law], left[law], scenes, law) for law in laws}
        found |= {f"leave-one-out:{law}": out[law] for law in laws}
        found["leave-one-out:mean"] = _mean([out[law] for law in laws])
    from sage_ext.surprise.calibration import false_alarm_rate

    for name in dict.fromkeys(scenes.unusual.name):
        rare = whole["unusual"][[other == name for other in scenes.unusual.name]]
        found[f"unusual:{name}"] = {"false_alarm_rate": false_alarm_rate(whole["judged"], rare)}
    found["mean"]["false_alarm_rate"] = false_alarm_rate(whole["judged"], whole["unusual"])
    return found


def law_figures(scores: Scores, calibrated: Scores, scenes: Sets, law: str) -> dict[str, float]:
    """The figures of one law.

    Args:
        scores: By which dreams are told from possible scenes.
        calibrated: By which coherence is; nothing of them may have been learned from this law.
        scenes: The scenes.
        law: The law.
    """
    import torch

    from sage_ext.surprise import calibration as by

    here = torch.tensor([other == law for other in scenes.judged.law])
    others = torch.tensor([other != law for other in scenes.lessons.law])
    dreamt, twin = scores["judged"][here], scores["judged_twin"][here]
    found = {
        "pairwise_accuracy": by.pairwise_accuracy(dreamt, twin),
        "auroc": by.auroc(dreamt, scores["judged_twin"]),
        "false_alarm_rate": by.false_alarm_rate(dreamt, scores["unusual"]),
    }
    if bool(others.any()):
        coherence = by.Logistic.fit(calibrated["lessons_twin"][others], calibrated["lessons"][others])
        said = coherence(torch.cat([calibrated["judged"][here], calibrated["judged_twin"][here]]))
        was = torch.arange(len(said)) >= int(here.sum())
        found["ece"] = by.expected_calibration_error(said, was)
    return found


def _mean(each: list[dict[str, float]]) -> dict[str, float]:
    metrics = [m for m in METRICS if all(m in figures for figures in each)]
    found = {m: statistics.fmean(figures[m] for figures in each) for m in metrics}
    return {m: v for m, v in found.items() if math.isfinite(v)}


if __name__ == "__main__":
    sys.exit(main())
