"""What do the 256 numbers keep of the context? ``python -m bench.compression --run RUN --policy DIR``."""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sage_ext.errors import SageError

from .held_out import FAMILY
from .held_out import seconds as lasting
from .table import OURS, Table, add_workers, arguments, run_bench, say

if TYPE_CHECKING:
    from torch import Tensor

    from sage_ext.sage.bottleneck import Bottleneck
    from sage_ext.sage.policy import SagePolicy

    from .held_out import Lived

DESCRIPTION = """\
Compares the 256 numbers that H sends to L with the 4096 they are made from, on the held-out episodes of bench.probes.
Both sides see the same looks, each with up to a second of history.

cases and metrics:
  variance          kept            share of the context's variance that can be read linearly from the 256 numbers, on
                                    episodes that the reading was not fitted on; variance:GROUP of one group
  probes            kept            score of the probes on the 256 numbers / on the 4096; target 0.98
  mean, QUANTITY    score           what can be read, of arms sage-ext, and context (the 4096)
  speed             median_ms       the compression of one context
arms:
  sage-ext               the policy's own, with what H adds
  principal components   the context's 256 largest, fitted on the same episodes as the probes
  random                 a random linear map to 256 numbers
  context                all 4096 numbers
"""
EPILOG = """\
examples:
  python -m bench.compression --run latest --policy runs/NAME/policy
"""
TIMED = 200
"""Compressions that are timed."""


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        The exit code.
    """
    parser = arguments("compression", DESCRIPTION, EPILOG)
    parser.add_argument("--policy", type=Path, metavar="DIR", help="a saved policy; needed")
    parser.add_argument("--task", choices=sorted(FAMILY), metavar="TASK", help="default: the run's own")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="folder in which the held-out episodes are kept")
    add_workers(parser)
    return run_bench(measure, parser.parse_args(argv))


def measure(options: argparse.Namespace) -> Table:
    """Live held-out episodes, let the policy think about them, and read."""
    from sage_ext.runs import Run
    from sage_ext.sage.policy import SagePolicy

    from .probes import held_out

    if options.policy is None:
        raise SageError("--policy", "", "is missing", "name the folder of a trained policy")
    policy = SagePolicy.load(options.policy)
    task = options.task
    if task is None:
        if options.run is None:
            raise SageError("--task", "", "is missing, and so is --run", "name one of them")
        with Run.open(options.run, lock=False) as run:
            task = run.config.task.id
    table = Table("compression", {"preset": options.preset, "task": task}, [options.seed])
    with tempfile.TemporaryDirectory() as scratch:
        fit, judge = held_out(
            task, options.seed, options.preset, (options.keep or Path(scratch)) / task, options.workers
        )
        table.budget["episodes"] = f"{len(fit)} to fit, {len(judge)} to judge, {lasting(task)} s each"
        say("compression: contexts and messages")
        known, told = messages(policy, fit), messages(policy, judge)
        compare(table, task, policy, (known, fit), (told, judge), options.seed)
    table.add(OURS, "speed", "median_ms", 1e3 * seconds(policy.core.bottleneck))
    return table


def messages(policy: SagePolicy, lived: Lived) -> tuple[Tensor, Tensor]:
    """Contexts (E, blocks, looks, 4096) and messages (..., 256) of the looks of :func:`bench.probes.contexts`.

    Args:
        policy: Thinks at each look, after a second's history at most.
        lived: Episodes.
    """
    import torch

    from .probes import BLOCK, FIRST

    blocks = lived.action.shape[1] // BLOCK
    cut = {k: v[:, : blocks * BLOCK].unflatten(1, (blocks, BLOCK)).flatten(0, 1) for k, v in lived.observation.items()}
    contexts, told = [], []
    with torch.no_grad():
        for start in range(0, len(lived) * blocks, 16):
            piece = {k: v[start : start + 16] for k, v in cut.items()}
            context, _ = policy.encoder(piece)
            extras = policy.core.sequence(context, piece)[2]
            contexts.append(context[:, FIRST:])
            told.append(extras.message[:, FIRST:])
    shape = (len(lived), blocks)
    return torch.cat(contexts).unflatten(0, shape), torch.cat(told).unflatten(0, shape)


def compare(
    table: Table,
    task: str,
    policy: SagePolicy,
    fit: tuple[tuple[Tensor, Tensor], Lived],
    judge: tuple[tuple[Tensor, Tensor], Lived],
    seed: int,
) -> None:
    """Add the rows of all arms.

    Args:
        table: Where they go.
        task: Id of the task.
        policy: Whose bottleneck standardises.
        fit: What :func:`messages` gave of the episodes to fit, and those episodes.
        judge: The same of those to judge.
        seed: Of the random map.
    """
    import torch

    from sage_ext.sage.bottleneck import MESSAGE_WIDTH
    from sage_ext.sage.compression import kept_variance

    from .probes import judged, mean_score

    (known, known_message), (told, told_message) = fit[0], judge[0]
    standard = [policy.core.bottleneck.standard(x) for x in (known, told)]
    flat = [x.flatten(0, -2) for x in standard]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        axes = torch.svd_lowrank(flat[0] - flat[0].mean(0), MESSAGE_WIDTH, niter=4)[2]
        blind = torch.randn(flat[0].shape[1], MESSAGE_WIDTH) / flat[0].shape[1] ** 0.5
    arms = {
        OURS: (known_message, told_message),
        "principal components": (standard[0] @ axes, standard[1] @ axes),
        "random": (standard[0] @ blind, standard[1] @ blind),
    }
    say("compression: probes on the context")
    whole = judged(task, known, fit[1], [(told, judge[1])])[0]["whole"]
    _scores(table, "context", whole)
    for arm, (here, there) in arms.items():
        say(f"compression: {arm}")
        shares = kept_variance((here.flatten(0, -2), flat[0]), (there.flatten(0, -2), flat[1]))
        for part, share in shares.items():
            table.add(arm, "variance" if part == "all" else f"variance:{part}", "kept", share)
        groups = {"message": slice(0, MESSAGE_WIDTH)}
        scores = judged(task, here, fit[1], [(there, judge[1])], groups)[0]["whole"]
        _scores(table, arm, scores)
        table.add(arm, "probes", "kept", mean_score(scores) / mean_score(whole))


def seconds(bottleneck: Bottleneck) -> float:
    """Seconds to compress one context, the median."""
    import torch

    from sage_ext.threads import torch_threads

    context, slow = torch.randn(1, 4096), torch.zeros(1, bottleneck.slow.in_features)
    spent = []
    with torch.inference_mode(), torch_threads(1):
        for _ in range(TIMED):
            start = time.perf_counter()
            bottleneck(bottleneck.standard(context), slow)
            spent.append(time.perf_counter() - start)
    return statistics.median(spent)


def _scores(table: Table, arm: str, scores: dict[str, float]) -> None:
    from .probes import mean_score

    table.add(arm, "mean", "score", mean_score(scores))
    for quantity, value in scores.items():
        if not math.isnan(value):
            table.add(arm, quantity, "score", value)


if __name__ == "__main__":
    sys.exit(main())
