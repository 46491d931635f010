"""What the seed's figure is worth. ``python -m bench.seed_objective``: its loss, reached with and without looking."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sage_ext.errors import SageError

from .held_out import command
from .table import OURS, Table, arguments, run_bench, say

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from sage_ext.mind import Mind
    from sage_ext.sleep import Moments

DESCRIPTION = """\
The document this project began from reports a loss below 0.002. It pulls the cosine similarity of the two contexts of
a pair to 0.8. Here a mind is trained with that loss on pairs that a run's sleep kept, and judged on others it kept.

arms:
  seed's objective                  an encoder trained with it
  encoder that ignores its input    one fixed vector, and a quarter as much noise
  untrained                         the encoder before it learned anything
  sage-ext                          the run's own mind, trained with the objective of this project
cases and metrics:
  training   cosine_loss     mean over the last tenth of the updates
  held out   cosine_loss     on pairs that were not trained on
  held out   matched_share   pairs whose varied half is nearest to its own remembered half, of all of them
  chance     matched_share   of one who guesses
"""
EPILOG = """\
examples:
  python -m bench.seed_objective                   makes a run of the demo first, about a minute
  python -m bench.seed_objective --run latest      with the pairs of a run that has slept
"""
SEEDS, BLIND = "seed's objective", "encoder that ignores its input"
HELD_OUT = 0.2
"""Share of the pairs that is not trained on."""


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        The exit code.
    """
    parser = arguments("seed_objective", DESCRIPTION, EPILOG)
    parser.add_argument("--updates", type=int, default=60, metavar="N", help="gradient steps (default 60)")
    parser.add_argument("--batch", type=int, default=16, metavar="N", help="pairs an update (default 16)")
    parser.add_argument(
        "--keep", type=Path, default=Path("runs") / "seed_objective", metavar="DIR",
        help="where the run goes if none is named (default %(default)s)",
    )  # fmt: skip
    return run_bench(measure, parser.parse_args(argv))


def measure(options: argparse.Namespace) -> Table:
    """Train and judge."""
    import torch

    from sage_ext.context.calibration import calibrate
    from sage_ext.mind import Mind
    from sage_ext.runs import Run
    from sage_ext.sleep import kept

    from .ablation_arms import cosine_loss

    device = "cpu" if options.preset == "cpu" else "cuda:0"
    with Run.open(options.run or _made(options), lock=False) as run:
        files, config = sorted(run.kept.glob("*.safetensors")), run.config.sleep
        if not files:
            raise SageError("--run", run.path, "kept no moments", "name a run that slept with sleep.keep above 0")
        ours = Mind.load(run.checkpoint, config, device)
    pairs = kept.joined([kept.load(path) for path in files])
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(options.seed))
    cut = max(2, round(HELD_OUT * len(pairs)))
    learned, unseen = pairs.take(order[cut:]), pairs.take(order[:cut])
    table = Table(
        "seed_objective",
        {"preset": options.preset, "updates": options.updates, "batch": options.batch, "pairs": len(learned)},
        [options.seed],
    )
    fresh = _fresh(ours, options.seed)
    calibrate(fresh.objective.encoder, {k: v.to(fresh.device) for k, v in learned.seen(512).items()})
    contexts = {"untrained": _contexts(fresh, unseen), OURS: _contexts(ours, unseen)}
    seeds, loss = _train(ours, learned, options)
    table.add(SEEDS, "training", "cosine_loss", loss)
    contexts[SEEDS] = _contexts(seeds, unseen)
    contexts[BLIND] = _blind(contexts[SEEDS], torch.Generator().manual_seed(options.seed))
    for arm in (SEEDS, BLIND, "untrained", OURS):
        table.add(arm, "held out", "cosine_loss", float(cosine_loss(*contexts[arm])))
    for arm in (SEEDS, BLIND, "untrained", OURS):
        table.add(arm, "held out", "matched_share", matched(*contexts[arm]))
    table.add("guess", "chance", "matched_share", 1 / len(unseen))
    return table


def matched(one: Tensor, other: Tensor) -> float:
    """Share of pairs (n, ...) whose second half is nearest to its own first half, of all first halves."""
    import torch

    one, other = one.flatten(1), other.flatten(1)
    nearest = torch.cdist(other, one).argmin(1)
    return float((nearest == torch.arange(len(one), device=one.device)).float().mean())


def _made(options: argparse.Namespace) -> Path:
    folder: Path = options.keep / f"seed{options.seed}"
    if not list(folder.glob("*/summary.json")):
        say("a run of the demo")
        command("cycle", "preset=demo", f"seed={options.seed}", f"runs={folder.absolute()}", log=folder / "run.log")
    return next(folder.glob("*/summary.json")).parent


def _fresh(like: Mind, seed: int) -> Mind:
    """A mind of the same kind that has learned nothing."""
    from sage_ext.config import load_config
    from sage_ext.mind import SPEED_WIDTH, Mind

    objective = like.objective
    width = objective.predictor.action_dim - SPEED_WIDTH
    return Mind.create(
        objective.encoder.spec, width, objective.heads.bodies, load_config().sleep, seed, str(like.device)
    )


def _train(like: Mind, pairs: Moments, options: argparse.Namespace) -> tuple[Mind, float]:
    """A mind trained with the seed's objective, and its loss at the end."""
    import torch

    from sage_ext.config import load_config
    from sage_ext.sleep import consolidate

    from .ablation_arms import SeedObjective

    mind = _fresh(like, options.seed)
    losses: list[float] = []
    mind.objective.__class__ = SeedObjective
    passes = max(1, math.ceil(options.updates * options.batch / len(pairs)))
    config = load_config([f"sleep.batch={options.batch}", f"sleep.round={options.batch}", f"sleep.passes={passes}"])
    say(f"training: {SEEDS}")
    with mind.at_work():
        consolidate(
            mind, pairs, config.sleep, torch.Generator().manual_seed(options.seed),
            lambda count, scalars: losses.append(scalars["loss"]),
        )  # fmt: skip
    last = losses[-max(1, len(losses) // 10) :]
    return mind, sum(last) / len(last)


def _contexts(mind: Mind, pairs: Moments) -> tuple[Tensor, Tensor]:
    """Contexts of the last look of both halves (n, 4096) each."""
    looks = int(pairs.looks.min())
    halves = ({k: v[:, :looks] for k, v in half.items()} for half in (pairs.remembered, pairs.varied))
    one, other = (mind.encode(half)[:, -1] for half in halves)
    return one, other


def _blind(like: tuple[Tensor, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """What an encoder gives that looks at nothing: |fixed|^2 / (|fixed|^2 + |noise|^2) = 0.8."""
    import torch

    count, width = like[0].shape
    fixed = torch.randn(width, generator=generator)
    one, other = (fixed + 0.5 * torch.randn(count, width, generator=generator) for _ in range(2))
    return one, other


if __name__ == "__main__":
    sys.exit(main())
