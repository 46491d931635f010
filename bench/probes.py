"""What is in the context? ``python -m bench.probes``: linear probes, on episodes nobody learned from."""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sage_ext.errors import SageError

from .held_out import FAMILY, SHORT, Lived, Plan, in_parallel, live, lives, seconds
from .table import OURS, Table, add_workers, arguments, run_bench, say

if TYPE_CHECKING:
    from torch import Tensor

    from sage_ext.mind import Mind

DESCRIPTION = """\
Reads named quantities of the world from the context of a trained mind with linear probes: ridge regression in closed
form, fitted on some held-out episodes and judged on others, in rooms and among objects that neither training nor
fitting saw. Contexts have at most a second of history.

cases and metrics:
  QUANTITY         r2, balanced_accuracy    from the whole context
  GROUP:QUANTITY   the same, from one of its 15 groups
  QUANTITY         behind_best              by how much the group that carries its name tells it worse than the best one
  mean             score                    mean over the quantities, R2 below 0 counting as 0
arms:
  sage-ext         the mind of --run
  untrained        the same encoder before it learned anything
"""
EPILOG = """\
examples:
  sage-ext cycle preset=demo && python -m bench.probes --run latest
  python -m bench.probes --run runs/NAME --tasks Sage-Navigation Sage-Reach --seed 3

A picture of the matrix group x quantity goes beside the rows, PATH.png.
"""
USUAL = (
    "randomisation.gravity_scale=[0.7,1.3]",
    "randomisation.static_friction_scale=[0.6,1.4]",
    "randomisation.dynamic_friction_scale=[0.6,1.4]",
    "randomisation.mass_scale=[0.5,2.0]",
)
"""Physics of the episodes that probes are fitted and judged on."""
FIT, JUDGE = 0, 1
BLOCK = 30
"""Looks before an encoder is made to forget: a second."""
FIRST = 15
"""Looks of a block that are history alone."""
FIT_EPISODES = {"cpu": 640, "gpu": 2560}
"""Of :data:`SHORT` seconds; of longer ones as much fewer."""
SEED = 100_000
"""Seeds of held-out episodes begin here; runs of users rarely do."""


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        The exit code.
    """
    parser = arguments("probes", DESCRIPTION, EPILOG)
    parser.add_argument("--tasks", nargs="+", choices=sorted(FAMILY), metavar="TASK", help="default: the run's own")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="folder in which the held-out episodes are kept")
    add_workers(parser)
    return run_bench(measure, parser.parse_args(argv))


def measure(options: argparse.Namespace) -> Table:
    """Live, fit and judge."""
    from sage_ext.context.calibration import calibrate
    from sage_ext.mind import Mind
    from sage_ext.runs import Run

    if options.run is None:
        raise SageError("--run", "", "is missing", "name a run that has slept, or latest")
    with Run.open(options.run, lock=False) as run:
        mind = Mind.load(run.checkpoint, run.config.sleep, "cpu" if options.preset == "cpu" else "cuda:0")
        tasks = options.tasks or [run.config.task.id]
    table = Table(
        "probes", {"preset": options.preset, "tasks": tasks, "updates": mind.learned["updates"]}, [options.seed]
    )
    fresh = untrained(mind)
    scores: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for task in tasks:
            sets = held_out(task, options.seed, options.preset, (options.keep or Path(scratch)) / task, options.workers)
            calibrate(
                fresh.objective.encoder, {k: v[:16, :BLOCK].to(fresh.device) for k, v in sets[FIT].observation.items()}
            )
            for arm, judged in ((OURS, mind), ("untrained", fresh)):
                say(f"{task}: {arm}")
                scores[f"{arm}/{task}"] = probe(judged, task, *sets)
    table.budget["episodes"] = f"{FIT_EPISODES[options.preset] * SHORT:g} s to fit, two fifths of that to judge, a task"
    _rows(table, scores, tasks)
    heat_map(scores[f"{OURS}/{tasks[0]}"], options.json.with_suffix(".png"), tasks[0])
    return table


def held_out(task: str, seed: int, preset: str, folder: Path, workers: int) -> tuple[Lived, Lived]:
    """Episodes to fit probes on, and episodes to judge them on."""
    plans = held_out_plans(task, seed, preset, folder)
    in_parallel([job for plan, where in plans for job in lives(plan, where)], workers)
    fit, judge = (live(plan, where) for plan, where in plans)
    return fit, judge


def held_out_plans(task: str, seed: int, preset: str, folder: Path) -> tuple[tuple[Plan, Path], tuple[Plan, Path]]:
    """What :func:`held_out` lives, and where it goes."""
    many, first = round(FIT_EPISODES[preset] * SHORT / seconds(task)), SEED + 1000 * seed
    fit, judge = Plan(task, many, first, USUAL), Plan(task, many * 2 // 5, first + 500, USUAL)
    return (fit, folder / "fit"), (judge, folder / "judge")


def untrained(mind: Mind) -> Mind:
    """The same architecture before it learned anything."""
    from sage_ext.config import load_config
    from sage_ext.context.encoder import ContextEncoder
    from sage_ext.learning.changes import ChangeHeads
    from sage_ext.learning.objective import Objective
    from sage_ext.learning.predictor import ContextPredictor
    from sage_ext.mind import Mind

    objective = mind.objective
    predictor = ContextPredictor(objective.predictor.action_dim, objective.predictor.horizons, seed=1)
    encoder = ContextEncoder.from_config(objective.encoder.config())
    return Mind(
        Objective(encoder, predictor, ChangeHeads(objective.heads.bodies)), load_config().sleep, str(mind.device)
    )


def contexts(mind: Mind, lived: Lived) -> Tensor:
    """Contexts (E, blocks, looks, 4096) of each second but its first half, with that second as history."""
    import torch

    blocks = lived.action.shape[1] // BLOCK
    cut = {k: v[:, : blocks * BLOCK].unflatten(1, (blocks, BLOCK)).flatten(0, 1) for k, v in lived.observation.items()}
    parts = []
    for start in range(0, len(lived) * blocks, 16):
        piece = {k: v[start : start + 16] for k, v in cut.items()}
        parts.append(mind.encode(piece)[:, FIRST:])
    return torch.cat(parts).unflatten(0, (len(lived), blocks))


def probe(mind: Mind, task: str, fit: Lived, judge: Lived) -> dict[str, dict[str, float]]:
    """Scores of a mind's contexts, see :func:`judged`."""
    (scores,) = judged(task, contexts(mind, fit), fit, [(contexts(mind, judge), judge)])
    return scores


def judged(
    task: str,
    known: Tensor,
    fit: Lived,
    held_out: Sequence[tuple[Tensor, Lived]],
    groups: Mapping[str, slice] | None = None,
) -> list[dict[str, dict[str, float]]]:
    """Scores of probes on contexts: fitted once, judged on each of several sets of episodes.

    Args:
        task: Id of the task.
        known: Contexts of the episodes that probes are fitted on, see :func:`contexts`.
        fit: Those episodes.
        held_out: Contexts of episodes that they are judged on, and those episodes; one set or several.
        groups: Where the groups are; those of contexts by default.

    Returns:
        Of each set: ``whole`` or a group -> quantity -> R2 or balanced accuracy; NaN where there were too few samples.
    """
    import torch

    from sage_ext.context.layout import GROUPS

    from .readout import WHOLE, Readout

    # Episodes lie in memory by who acted in them; what chooses among probes has to be of all kinds.
    order = torch.randperm(len(known), generator=torch.Generator().manual_seed(0))
    known = known[order.to(known.device)]
    groups = groups or {name: group.slice for name, group in GROUPS.items()}
    found: list[dict[str, dict[str, list[float]]]] = [{part: {} for part in (WHOLE, *groups)} for _ in held_out]
    shared: dict[bytes, Readout] = {}
    asked = list(zip(ask(task, fit), *(ask(task, lived) for _, lived in held_out), strict=True))
    # Those that count at the same instants one after the other: they share what their probes are worked out from.
    for one, *others in sorted(asked, key=lambda every: every[0].counts.numpy().tobytes()):
        here, *there = (blocks(quantity.counts) for quantity in (one, *others))
        here = here[order]
        key = b"".join(counts.numpy().tobytes() for counts in (here, *there))
        if key not in shared:
            told = [held[counts.to(held.device)] for (held, _), counts in zip(held_out, there, strict=True)]
            shared = {key: Readout(known[here.to(known.device)], told, groups)}
        truths = [blocks(other.values)[counts] for other, counts in zip(others, there, strict=True)]
        for parts, scores in zip(found, shared[key].scores(blocks(one.values)[order][here], truths), strict=True):
            for part, score in scores.items():
                parts[part].setdefault(one.name, []).append(score)
    return [
        {part: {name: _mean(values) for name, values in scores.items()} for part, scores in parts.items()}
        for parts in found
    ]


def _mean(values: list[float]) -> float:
    told = [v for v in values if not math.isnan(v)]
    return sum(told) / len(told) if told else math.nan


def blocks(values: Tensor) -> Tensor:
    """The looks of :func:`contexts`, of values (E, T, ...)."""
    count = values.shape[1] // BLOCK
    return values[:, : count * BLOCK].unflatten(1, (count, BLOCK))[:, :, FIRST:]


def ask(task: str, lived: Lived) -> list[Any]:
    """The quantities of some episodes; see :mod:`bench.quantities`."""
    from sage_envs import room, table

    from .quantities import quantities

    things = table.OBJECTS if FAMILY[task] == "manipulation" else room.OBJECTS
    materials = sorted({thing.material for thing in things})
    return quantities(FAMILY[task], lived.truth, tuple(materials.index(thing.material) for thing in things))


def mean_score(scores: dict[str, float]) -> float:
    """Mean over the quantities that could be told; worse than telling nothing counts as nothing."""
    told = [max(0.0, v) for v in scores.values() if not math.isnan(v)]
    return sum(told) / len(told)


def behind_best(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """By how much the group that carries a quantity's name tells it worse than the best group.

    Args:
        scores: Of one set of episodes, from :func:`judged`.
    """
    from .quantities import GROUP_OF
    from .readout import WHOLE

    alone = {part: found for part, found in scores.items() if part != WHOLE}
    told = [q for q, score in scores[WHOLE].items() if q in GROUP_OF and not math.isnan(score)]
    return {q: max(found[q] for found in alone.values()) - alone[GROUP_OF[q]][q] for q in told}


def _rows(table: Table, scores: dict[str, dict[str, dict[str, float]]], tasks: list[str]) -> None:
    from .quantities import ACCURATE

    for key, by_part in scores.items():
        arm, task = key.split("/", 1)
        prefix = "" if len(tasks) == 1 else f"{task}/"
        table.add(arm, f"{prefix}mean", "score", mean_score(by_part["whole"]))
        for quantity, gap in behind_best(by_part).items():
            table.add(arm, prefix + quantity, "behind_best", gap)
        for part, found in by_part.items():
            for quantity, value in found.items():
                if not math.isnan(value):
                    case = quantity if part == "whole" else f"{part}:{quantity}"
                    table.add(arm, prefix + case, "balanced_accuracy" if quantity in ACCURATE else "r2", value)


def heat_map(scores: dict[str, dict[str, float]], path: Path, title: str) -> None:
    """Draw the matrix group x quantity."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    import numpy as np

    from .quantities import GROUP_OF

    parts, names = list(scores), [n for n, v in scores["whole"].items() if not math.isnan(v)]
    values = np.array([[scores[part][name] for name in names] for part in parts])
    figure, axes = plt.subplots(figsize=(1.2 + 0.62 * len(names), 1.4 + 0.34 * len(parts)), layout="constrained")
    axes.imshow(values.clip(0, 1), vmin=0, vmax=1, cmap="viridis", aspect="auto")
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=8)
    axes.set_yticks(range(len(parts)), parts, fontsize=8)
    for row, column in np.ndindex(*values.shape):
        value = values[row, column]
        colour = "white" if value < 0.6 else "black"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=6.5, color=colour)
        if GROUP_OF.get(names[column]) == parts[row]:
            axes.add_patch(plt.Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="red", linewidth=1.2))
    axes.set_title(
        f"{title}: R2 or balanced accuracy of linear probes, held-out episodes; framed: the group of that name",
        fontsize=9,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
