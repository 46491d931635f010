"""Dreams a second against stepping and rendering the same frames: ``python -m bench.dream_speed``."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from typing import Any

from .table import OURS, RESULTS, Table, arguments, median_iqr, run_bench, say
from .timing import alternating, paired_ratio

DESCRIPTION = """\
Measures how fast dreams are made. A dream is two scenes of T looks in each world; the bases step and render as many
frames of as many worlds plainly, as bench.speed's bare simulator does: physics, camera, nothing else. One renders with
Isaac Lab's renderer, one with ours. Blocks of all alternate, each round gives one ratio.

rows:
  ratio_to_plain   scenes made a second, as a share of the base's with Isaac Lab's renderer; target at least 0.7
                   (case "dream, our renderer": of the base's with ours)
  ratio_of_cpu_time the first of processor time, which other work on the machine does not change
  valid            share of dreams whose moment was fit: what is not fit is thrown away
  ratio_valid      the same ratio with only fit dreams counted
  dreams_per_s     fit dreams a second
"""
EPILOG = """\
examples:
  python -m bench.dream_speed                    all kinds in turn, 16 worlds
  python -m bench.dream_speed --rounds 12 --looks 24
"""


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write; see :func:`bench.table.run_bench`."""
    parser = arguments("dream_speed", DESCRIPTION, EPILOG)
    parser.add_argument("--rounds", type=int, default=6, metavar="N", help="blocks of each (default %(default)s)")
    parser.add_argument("--looks", type=int, default=16, metavar="T", help="looks of a scene (default %(default)s)")
    parser.add_argument("--worlds", type=int, default=16, metavar="N", help="side by side (default %(default)s)")
    return run_bench(measure, parser.parse_args(argv))


def measure(options: Namespace) -> Table:
    """All rows."""
    import torch

    from sage_ext.body import SimulatedBody
    from sage_ext.config import load_config
    from sage_ext.dream.evaluation import fitting
    from sage_ext.report import quiet

    from .blocks import BARE, Kind
    from .speed_wake import bare_step, dressed

    size = "preset=gpu" if options.preset == "gpu" else "task.device=cpu"
    config = load_config([size, f"task.num_envs={options.worlds}", f"seed={options.seed}", "memory.capacity=10000000"])
    RESULTS.mkdir(parents=True, exist_ok=True)
    log = RESULTS / "dream_speed.log"
    with quiet(log):
        env: Any = SimulatedBody().environment(config)
    generator = torch.Generator().manual_seed(options.seed)
    n, steps = env.num_envs, options.looks
    kinds = list(env.dream_kinds)
    bases = {"plain": Kind(BARE, stock=True), "plain, our renderer": Kind(BARE, stock=False)}
    times: dict[str, list[float]] = {name: [] for name in (*bases, OURS)}
    cpu: dict[str, list[float]] = {name: [] for name in times}
    valid: list[float] = []
    try:
        env.reset(seed=options.seed)
        rows = env.rearrange(env.snapshot(), generator)
        actions = torch.rand(n, steps, env.single_action_space.shape[0], generator=generator) - 0.5

        def plain(kind: Kind) -> None:
            env.restore(rows)
            with dressed(env, kind):
                for look in range(2 * steps):
                    bare_step(env, actions[:, look % steps])
            env.discard_ticks()

        def dreams(number: int) -> None:
            some = [kinds[(number * n + i) % len(kinds)] for i in range(n)]
            dream = env.dream(rows, actions, fitting(env, rows, some), generator=generator)
            valid.append(float(dream.valid.float().mean()))

        for number, block in enumerate(alternating(list(times), options.rounds + 1)):
            turn = number // len(times)
            say(f"{block}, block {turn + 1} of {options.rounds + 1}")
            begin, busy = time.perf_counter(), time.process_time()
            with quiet(log):
                dreams(turn) if block == OURS else plain(bases[block])
            if turn:  # the first round warms up
                times[block].append(time.perf_counter() - begin)
                cpu[block].append(time.process_time() - busy)
    finally:
        env.close()
    budget = {
        "worlds": n,
        "looks": steps,
        "rounds": options.rounds,
        "kinds": len(kinds),
        "camera": config.task.resolution,
    }
    table = Table("dream_speed", budget, [options.seed])
    share = valid[1:]
    table.add(OURS, "dream", "ratio_to_plain", *paired_ratio(times["plain"], times[OURS]))
    table.add(OURS, "dream, our renderer", "ratio_to_plain", *paired_ratio(times["plain, our renderer"], times[OURS]))
    table.add(OURS, "dream", "ratio_of_cpu_time", *paired_ratio(cpu["plain"], cpu[OURS]))
    table.add(OURS, "dream", "valid", *median_iqr(share))
    fit = [second / max(part, 1e-9) for second, part in zip(times[OURS], share, strict=True)]
    table.add(OURS, "dream", "ratio_valid", *paired_ratio(times["plain"], fit))
    table.add(OURS, "dream", "dreams_per_s", *median_iqr([n / second for second in fit]))
    for base in bases:
        table.add(base, "dream", "ms", *median_iqr([1e3 * second for second in times[base]]))
    return table


if __name__ == "__main__":
    sys.exit(main())
