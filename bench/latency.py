"""How long does one act take? ``python -m bench.latency``: from the senses to an action, batch 1, no simulator."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .table import OURS, Table, arguments, median_iqr, run_bench, say
from .timing import Parts, alternating

if TYPE_CHECKING:
    import numpy as np

    from sage_ext.sage.policy import SagePolicy

    Look = dict[str, np.ndarray]

DESCRIPTION = """\
Times one act of SAGE in one world, in float32 on the CPU: arrays as a camera's driver gives them, checked and turned
into tensors, to an action as an array.

cases:
  full     senses -> context -> H -> 256 numbers -> L -> action
  skip_h   the same on a look at which H does not run: senses -> context -> L -> action
  l_only   between two looks: fast senses -> L -> action
metrics:
  median_ms, p99_ms   of all acts; targets for full: 15 and 30
  acts_per_full       l_only alone: how often L acts while full acts once; target 10
  share, ms           parts of full (arms part: ...), from acts of their own, because stopwatches cost time
  peak_gb             memory of the process; of which weights_gb
"""
EPILOG = """\
Without --policy a fresh policy is timed. It has learned nothing, so H takes each of its steps, the longest it can
think; a trained one may stop earlier. With --run the looks are those of an episode that the run remembers, else they
are drawn at random in the shapes and units of the observation contract.

examples:
  OMP_NUM_THREADS=2 taskset -c 0,1 python -m bench.latency
  python -m bench.latency --run latest --policy runs/NAME/policy --acts 2000
"""
CASES = ("full", "skip_h", "l_only")
BLOCK = 20
"""Acts of a case before the next has its turn."""
WARM_UP = 20
NEVER = 2**20
"""H runs at each so many-th look: not within this bench."""
CONTRACT = {
    "visual": ((64, 64, 3), "uint8"),
    "depth": ((64, 64, 1), "float32"),
    "audio": ((1024,), "float32"),
    "tactile": ((128,), "float32"),
    "proprioceptive": ((64,), "float32"),
}
"""Shapes and types of the observation contract, see docs/observations.md."""


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        The exit code.
    """
    parser = arguments("latency", DESCRIPTION, EPILOG)
    parser.add_argument("--policy", type=Path, metavar="DIR", help="a saved policy; a fresh one by default")
    parser.add_argument("--acts", type=_count, default=400, metavar="N", help="acts of each case (default 400)")
    return run_bench(measure, parser.parse_args(argv))


def measure(options: argparse.Namespace) -> Table:
    """Time all cases, in turns, then the parts of a full act."""
    from sage_ext.threads import torch_threads

    policy = _policy(options.policy, options.seed)
    looks, whence = _looks(policy, options.run, options.seed)
    rounds = max(1, options.acts // BLOCK)
    budget: dict[str, Any] = {
        "acts": rounds * BLOCK, "batch": 1, "dtype": "float32", "threads": os.environ.get("OMP_NUM_THREADS", "unset"),
        "policy": "fresh" if options.policy is None else "trained", "looks": whence,
    }  # fmt: skip
    if hasattr(os, "getloadavg"):
        budget["load_before"] = round(os.getloadavg()[0], 2)
    table = Table("latency", budget, [options.seed])
    # One thread an operation: independent parts of the encoder then take a core each.
    with torch_threads(1):
        say(f"latency: {rounds * BLOCK} acts of each case")
        times, depth = acts(policy, looks, rounds)
        _rows(table, times)
        table.add(OURS, "full", "h_steps", depth)
        for part, seconds in parts(policy, looks, rounds * BLOCK).items():
            table.add(f"part: {part}", "full", "ms", 1e3 * seconds)
        whole = sum(r.value for r in table.rows if r.metric == "ms")
        for row in [r for r in table.rows if r.metric == "ms"]:
            table.add(row.arm, "full", "share", row.value / whole)
    weights = sum(p.numel() for module in (policy.encoder, policy.core) for p in module.parameters())
    table.add(OURS, "full", "weights_gb", 4 * weights / 2**30)
    table.add(OURS, "full", "peak_gb", _peak_gb())
    return table


def acts(policy: SagePolicy, looks: Sequence[Look], rounds: int) -> tuple[dict[str, list[list[float]]], float]:
    """Time acts, the cases in turns.

    Args:
        policy: Acts.
        looks: What it sees, again and again.
        rounds: Blocks of each case.

    Returns:
        Case -> seconds of each act, a list a block; and the mean number of steps that H took.
    """
    usual, number, depth = (policy.core.h_every, policy.core.history), 0, []
    times: dict[str, list[list[float]]] = {case: [] for case in CASES}

    def block(case: str, count: int) -> list[float]:
        nonlocal number
        # At the first look of an episode H runs in any case.
        policy.core.h_every, policy.core.history = NEVER if case == "skip_h" else 1, None
        policy.reset()
        act(policy, looks[number % len(looks)])
        one = react if case == "l_only" else act
        spent = []
        for _ in range(count):
            number += 1
            look = looks[number % len(looks)]
            start = time.perf_counter()
            one(policy, look)
            spent.append(time.perf_counter() - start)
            if case == "full":
                depth.append(float(policy.extras.depth))  # type: ignore[union-attr]
        return spent

    try:
        for case in CASES:
            block(case, WARM_UP)
        depth.clear()
        for case in alternating(CASES, rounds):
            times[case].append(block(case, BLOCK))
    finally:
        policy.core.h_every, policy.core.history = usual
        policy.reset()
    return times, statistics.mean(depth)


def parts(policy: SagePolicy, looks: Sequence[Look], count: int) -> dict[str, float]:
    """Where the time of a full act goes.

    Args:
        policy: Acts; H runs at each look.
        looks: What it sees, again and again.
        count: Acts.

    Returns:
        Part -> seconds of the median act.
    """
    every, spent = policy.core.h_every, []
    policy.core.h_every = 1
    policy.reset()
    # No stopwatch within another's part that runs in a thread of its own: those of the encoder do.
    watch = (
        Parts()
        .method("senses to tensors", sys.modules[__name__], "tensors")
        .method("encoder", policy.encoder, "step")
        .method("H", policy.core.slow, "forward")
        .method("compression", policy.core.bottleneck, "standard", "forward")
        .method("L", policy.core.fast.glance, "forward")
        .method("L", policy.core.fast, "forward")
    )
    try:
        with watch:
            for number in range(WARM_UP + count):
                before = dict(watch.seconds)
                start = time.perf_counter()
                act(policy, looks[number % len(looks)])
                whole = time.perf_counter() - start
                took = {part: watch.seconds[part] - before[part] for part in before}
                spent.append(took | {"everything else": whole - sum(took.values())})
    finally:
        policy.core.h_every = every
        policy.reset()
    return {part: statistics.median(act[part] for act in spent[WARM_UP:]) for part in spent[0]}


def act(policy: SagePolicy, look: Look) -> np.ndarray:
    """From arrays to an action, at a look."""
    action: np.ndarray = policy.act(tensors(look))[0].numpy()
    return action


def react(policy: SagePolicy, look: Look) -> np.ndarray:
    """From arrays to an action, between two looks."""
    action: np.ndarray = policy.react(tensors({k: look[k] for k in policy.core.fast.glance.spec.senses}))[0].numpy()
    return action


def tensors(look: Look) -> dict[str, Any]:
    """Arrays of one world as tensors of a batch of one, copied: a driver writes its next picture over the last."""
    import torch

    return {k: torch.tensor(v).unsqueeze(0) for k, v in look.items()}


def _rows(table: Table, times: dict[str, list[list[float]]]) -> None:
    for case, blocks in times.items():
        every = sorted(1e3 * t for block in blocks for t in block)
        _, spread = median_iqr([1e3 * statistics.median(block) for block in blocks])
        table.add(OURS, case, "median_ms", statistics.median(every), spread)
        table.add(OURS, case, "p99_ms", every[min(len(every) - 1, int(0.99 * len(every)))])
    ratios = [
        statistics.median(full) / statistics.median(alone)
        for full, alone in zip(times["full"], times["l_only"], strict=True)
    ]
    table.add(OURS, "l_only", "acts_per_full", *median_iqr(ratios))


def _policy(folder: Path | None, seed: int) -> SagePolicy:
    import torch

    from sage_ext.context.encoder import ContextEncoder
    from sage_ext.observation import ObservationSpec, SenseSpec
    from sage_ext.sage.core import SageCore
    from sage_ext.sage.policy import SagePolicy

    if folder is not None:
        return SagePolicy.load(folder)
    spec = ObservationSpec({k: SenseSpec(*v) for k, v in CONTRACT.items()})
    bound = torch.ones(2)
    return SagePolicy(ContextEncoder(spec, seed=seed), SageCore(spec, 2, seed=seed), -bound, bound)


def _looks(policy: SagePolicy, run: Path | None, seed: int) -> tuple[list[Look], str]:
    """Looks of one world, and where they are from."""
    import numpy as np

    from sage_ext.memory import Memory
    from sage_ext.runs import Run

    if run is not None:
        with Run.open(run, lock=False) as found, Memory.open(found.path / "memory", shared=True) as memory:
            episode = memory.episode(memory.episodes[-1], ["observation"])["observation"]
        return [{k: episode[k][t].numpy() for k in policy.encoder.spec.senses} for t in range(len(episode))], "recorded"
    draw, looks = np.random.default_rng(seed), []
    units: dict[str, Callable[[tuple[int, ...]], np.ndarray]] = {
        "visual": lambda shape: draw.integers(0, 256, shape),
        "depth": lambda shape: draw.uniform(0, 8, shape),
        "audio": lambda shape: draw.uniform(-80, 20, shape),
        "tactile": lambda shape: draw.exponential(1, shape),
        "proprioceptive": lambda shape: draw.normal(0, 1, shape),
    }
    for _ in range(64):
        looks.append({k: units[k](s.shape).astype(s.dtype) for k, s in policy.encoder.spec.senses.items()})
    return looks, "random"


def _peak_gb() -> float:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < BLOCK:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number >= {BLOCK}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
