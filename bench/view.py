"""What does it cost a job to be watched? ``python -m bench.view``."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .table import OURS, RESULTS, Table, arguments, median_iqr, run_bench, say
from .timing import alternating

DESCRIPTION = """\
Steps one simulator in blocks that take turns: nobody watches, or a viewer watches one world.

cases and metrics:
  watched    ratio           seconds a step against nobody watching; target 1.05
  watched    share_of_step   time spent on showing looks, of all time; target 0.05
  unwatched  share_of_step   the same while nobody watches
"""
EPILOG = """\
examples:
  python -m bench.view
  python -m bench.view --rounds 20 --steps 60
"""


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        The exit code.
    """
    parser = arguments("view", DESCRIPTION, EPILOG)
    parser.add_argument("--rounds", type=int, default=12, metavar="N", help="turns of each kind (default 12)")
    parser.add_argument("--steps", type=int, default=40, metavar="N", help="steps of a block (default 40)")
    return run_bench(measure, parser.parse_args(argv))


def measure(options: argparse.Namespace) -> Table:
    """All cases, in one simulator."""
    import torch

    from sage_ext.live import publish
    from sage_ext.live.follow import Follower
    from sage_ext.report import quiet

    os.environ.setdefault("OMNI_KIT_ACCEPT_EULA", "YES")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        os.environ.setdefault("OMNI_KIT_ALLOW_ROOT", "1")
    torch.set_num_threads(1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    worlds, device = (16, "cpu") if options.preset == "cpu" else (256, "cuda:0")
    budget = {"preset": options.preset, "worlds": worlds, "rounds": options.rounds, "steps": options.steps}
    table = Table("view", budget, [options.seed])
    with tempfile.TemporaryDirectory(dir=RESULTS) as folder, quiet(Path(folder) / "simulator.log"):
        from sage_tasks.make import make

        env: Any = make("Sage-Navigation", num_envs=worlds, seed=options.seed, device=device)
        try:
            run, spent = Path(folder), 0.0
            publish.Publisher.attach(env, run)
            look, viewer = env.on_look, Follower(run, 0)

            def timed(*given: Any) -> None:
                nonlocal spent
                begun = time.perf_counter()
                look(*given)
                spent += time.perf_counter() - begun

            env.on_look = timed
            env.reset(seed=options.seed)
            generator = torch.Generator().manual_seed(options.seed)
            seconds: dict[str, list[float]] = {"unwatched": [], "watched": []}
            shares: dict[str, list[float]] = {"unwatched": [], "watched": []}
            for case in ["unwatched", "watched", *alternating(list(seconds), options.rounds)]:
                viewer.rest()
                if case == "watched":
                    viewer.watch()
                time.sleep(publish.CHECK_S)
                env.step(torch.zeros(worlds, 2))
                spent, begun = 0.0, time.perf_counter()
                for _ in range(options.steps):
                    env.step(2.0 * torch.rand(worlds, 2, generator=generator) - 1.0)
                    if case == "watched":
                        viewer.watch()
                took = time.perf_counter() - begun
                seconds[case].append(took / options.steps)
                shares[case].append(spent / took)
            looks = viewer.take()
            say(f"view: {len(looks)} looks in the last file")
        finally:
            env.close()
    # The first turn of each warms up.
    pairs = zip(seconds["watched"][1:], seconds["unwatched"][1:], strict=True)
    table.add(OURS, "watched", "ratio", *median_iqr([a / b for a, b in pairs]))
    for case, values in shares.items():
        table.add(OURS, case, "share_of_step", *median_iqr(values[1:]))
        table.add(OURS, case, "step_ms", 1e3 * statistics.median(seconds[case][1:]))
    return table


if __name__ == "__main__":
    sys.exit(main())
