"""Makes the evaluation set of dreams: ``python -m bench.dream_set``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sage_ext.errors import SageError

from .table import RESULTS

DESCRIPTION = """\
Makes a fixed set of dreams: scenes that break a law, each beside its possible twin, in rooms, with objects and from
seeds that nothing trains on. What judges dreams reads it; the same version, seed and options give the same set.

A set is a folder: evaluation.json says what it holds, scenes-NNN.safetensors hold the scenes (about 1 MB a pair).
"""
EPILOG = """\
examples:
  python -m bench.dream_set                               8 pairs of each kind, Sage-Navigation
  python -m bench.dream_set --task push --pairs 4         on a table
  python -m bench.dream_set --kinds physics scale         two laws; or single kinds, such as physics/float
"""
HELD_OUT = ("randomisation.color=0.4", "randomisation.light=[0.7,1.0]")
"""Objects and rooms look otherwise than where minds are trained."""


def main(argv: Sequence[str] | None = None) -> int:
    """Make a set.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        The exit code: 0, or 2 with one line on stderr.
    """
    parser = argparse.ArgumentParser(
        prog="python -m bench.dream_set", description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--task", default="navigation", metavar="NAME", help="as in task=... (default %(default)s)")
    parser.add_argument("--pairs", type=int, default=8, metavar="N", help="of each kind (default %(default)s)")
    parser.add_argument("--looks", type=int, default=16, metavar="T", help="of a scene (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all that is drawn (default %(default)s)")
    parser.add_argument("--worlds", type=int, default=16, metavar="N", help="side by side (default %(default)s)")
    parser.add_argument("--kinds", nargs="+", metavar="NAME", help="laws, or kinds by their full names (default all)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="the set's folder (default runs/bench/dreams/TASK-SEED)"
    )
    options = parser.parse_args(argv)
    try:
        made = make(options)
    except SageError as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr, flush=True)
        return 2
    print(f"{len(made)} pairs of {len(made.about['pairs'])} kinds: {made.folder}", flush=True)
    return 0


def make(options: argparse.Namespace) -> Any:
    """Start the simulator and make the set.

    Raises:
        SageError: An option that does not fit, or what :func:`sage_ext.dream.evaluation.make_evaluation` refuses.
    """
    from sage_ext.body import SimulatedBody
    from sage_ext.config import load_config
    from sage_ext.dream.evaluation import make_evaluation
    from sage_ext.report import quiet

    for name in ("pairs", "worlds"):
        if getattr(options, name) < 1:
            raise SageError(f"--{name}", getattr(options, name), "must be at least 1", f"leave --{name} out")
    config = load_config(
        [f"task={options.task}", f"task.num_envs={options.worlds}", f"seed={options.seed}",
         f"dream.looks={options.looks}", f"memory.capacity={options.worlds * 100_000}", *HELD_OUT]
    )  # fmt: skip
    folder = options.out or RESULTS / "dreams" / f"{config.task.id}-{options.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    body = SimulatedBody()
    with quiet(folder / "simulator.log"):
        env: Any = body.environment(config)
    try:
        kinds = [k for k in env.dream_kinds if options.kinds is None or {k, k.split("/")[0]} & set(options.kinds)]
        if not kinds:
            raise SageError("--kinds", " ".join(options.kinds), "names no kind of this task", "leave it out for all")
        columns = TextColumn("dreams"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns) as bar, quiet(folder / "simulator.log"):
            task = bar.add_task("dreams", total=options.pairs * len(kinds))
            return make_evaluation(
                env,
                body.policy("random", env, options.seed),
                folder,
                {"task": config.task.id, "worlds": options.worlds},
                seed=options.seed,
                pairs=options.pairs,
                looks=options.looks,
                kinds=kinds,
                on_pairs=lambda count: bar.advance(task, count),
            )
    except ValueError as error:
        raise SageError("--looks", options.looks, str(error), "see --help") from error
    finally:
        env.close()


if __name__ == "__main__":
    sys.exit(main())
