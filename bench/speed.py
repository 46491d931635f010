"""Speed of each phase, as ratios within one run: ``python -m bench.speed``.

The parts are in :mod:`bench.speed_wake` (what the bare simulator is), :mod:`bench.speed_sleep` (what pure learning is)
and here: a whole cycle as users run it, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sage_ext.errors import SageError

from . import speed_sleep, speed_wake
from .table import OURS, RESULTS, Table, arguments, median_iqr, run_bench
from .timing import paired_ratio

CASES = ("wake", "sleep", "cycle")
REPOSITORY = Path(__file__).resolve().parent.parent
SEED_REPORTED = {"seconds": 696.0, "peak_gb": 4.3}
"""The document this project began from, its own program on noise: 3600 experiences, 600 consolidations, 10 dreams."""
REST = "everything else"

DESCRIPTION = """\
Measures how fast wake, sleep and a whole cycle are, against the least that each could cost, in one run and as ratios:
blocks of ours and of the base alternate, and each round gives one ratio. Machines are noisy; ratios of neighbours less.

cases and metrics (arm sage-ext):
  wake         ratio_to_bare   five senses, critic, random policy, snapshots, memory, against the simulator that only
                               steps physics and renders the same RGB-D camera; target at least 0.85
  wake+encode  ratio_to_bare   the same with every observation encoded into its context (24.2 M parameters, with
                               history); target at least 0.6
  sleep        ratio_to_pure   consolidation of re-lived moments, against forward + backward + optimizer step on one
                               prepared batch of the same size; target at least 0.9
  cycle        seconds         wall-clock of `sage-ext cycle preset=demo`, simulator start included (after an untimed
               peak_gb         preset=debug, which lets Warp compile its kernels); targets 60 s and 3 GB
Value is the median over the rounds, spread the interquartile range. steps_per_s counts steps of all worlds together.
Arms `part: ...` tell in ms where the time of a step of all worlds, or of an update, goes; they come from blocks of
their own, because stopwatches cost time too.
"""

EPILOG = """\
presets:
  cpu   16 worlds, camera 64x64, batches of 12 moments, on the CPU: about three minutes on 2 cores that are idle
  gpu   256 worlds, camera 128x128, batches of 128 moments, on cuda:0; no GPU was at hand to try it on

examples:
  python -m bench.speed                                 all cases, rows into runs/bench/speed.json
  python -m bench.speed --cases wake --rounds 20        one case, more rounds
  python -m bench.speed --json before.json --seed 1
"""


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        The exit code.
    """
    parser = arguments("speed", DESCRIPTION, EPILOG)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="which to measure (default all)")
    parser.add_argument("--rounds", type=_whole, default=12, metavar="N", help="blocks of each kind (default 12)")
    parser.add_argument(
        "--steps", type=_whole, default=20, metavar="N",
        help="environment steps of a block of wake; a multiple of 10 gives each as many snapshots (default 20)",
    )  # fmt: skip
    return run_bench(measure, parser.parse_args(argv))


def measure(options: argparse.Namespace) -> Table:
    """All cases asked for.

    Raises:
        SageError: No simulator, no such device, or no checkpoint in ``--run``.
    """
    budget: dict[str, Any] = {"preset": options.preset}
    if hasattr(os, "getloadavg"):
        budget["load_before"] = round(os.getloadavg()[0], 2)
    table = Table("speed", budget, [options.seed])
    start = time.monotonic()
    RESULTS.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="speed-", dir=RESULTS))
    try:
        # First, while this process is small: Linux counts a parent's memory to its child's peak.
        if "cycle" in options.cases:
            measure_cycle(table, options, work)
        if {"wake", "sleep"} & set(options.cases):
            measure_phases(table, options, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    budget["seconds"] = round(time.monotonic() - start)
    return table


def measure_phases(table: Table, options: argparse.Namespace, work: Path) -> None:
    """Wake, and sleep on what it remembered, in one simulator."""
    import torch

    from sage_ext.body import SimulatedBody
    from sage_ext.config import load_config
    from sage_ext.mind import Mind
    from sage_ext.observation import ObservationSpec
    from sage_ext.report import quiet
    from sage_ext.wake import open_memory

    rounds = options.rounds if "wake" in options.cases else 1
    blocks = speed_wake.schedule(rounds, options.steps)
    # Some steps to spare, because all worlds' episodes end at once and what follows a reset is no usual step.
    seconds = (speed_wake.wake_steps(blocks) + 5) / 30
    size = ["preset=demo", "task.num_envs=16", "task.device=cpu"] if options.preset == "cpu" else ["preset=gpu"]
    usual = load_config(size)
    config = load_config([*size, f"seed={options.seed}", f"task.episode_length_s={seconds}"])
    device = _device(config)
    mind = None if options.run is None else Mind.load(options.run / "checkpoint", config.sleep, device)
    _say(f"wake and sleep: {config.task.num_envs} worlds on {device}, starting the simulator")
    with quiet(work / "simulator.log"):
        env: Any = SimulatedBody().environment(config)
    memory = open_memory(work / "memory", env, config.task.num_envs * env.max_episode_length)
    try:
        if mind is None:
            spec = ObservationSpec.from_space(env.single_observation_space["policy"])
            mind = Mind.create(spec, env.single_action_space.shape[0], config.sleep, options.seed, str(env.device))
        table.budget |= {"worlds": env.num_envs, "camera": config.task.resolution, "threads": torch.get_num_threads()}
        _say(f"wake: {rounds} rounds of {options.steps} steps of each of {', '.join(speed_wake.KINDS)}")
        with quiet(work / "simulator.log"):
            lived = speed_wake.measure(env, mind, memory, blocks, config.memory.snapshot_every, options.seed)
        if "wake" in options.cases:
            table.budget |= {"rounds": rounds, "steps_a_block": options.steps}
            wake_rows(table, lived, env.num_envs, usual.task.steps)
        if "sleep" in options.cases:
            _say(f"sleep: {options.rounds} rounds of {speed_sleep.UPDATES} updates of {config.sleep.batch} moments")
            with quiet(work / "simulator.log"):
                slept = speed_sleep.measure(env, mind, memory, config.sleep, options.rounds, options.seed)
            table.budget |= {"moments_an_update": config.sleep.batch, "looks_a_moment": config.sleep.steps}
            sleep_rows(table, slept, config.sleep.batch)
    finally:
        memory.close()
        with quiet(work / "simulator.log"):
            env.close()


def wake_rows(table: Table, times: speed_wake.Times, worlds: int, episode: int) -> None:
    """Turn times of wake into rows.

    Args:
        table: Where they go.
        times: What was measured.
        worlds: Parallel worlds.
        episode: Steps of a usual episode, over which its reset is spread.
    """
    share = times.reset / episode
    charged = {k: [v + (share if k != speed_wake.BARE else 0.0) for v in vs] for k, vs in times.blocks.items()}
    for kind in (speed_wake.WAKE, speed_wake.ENCODE):
        table.add(OURS, kind, "ratio_to_bare", *paired_ratio(charged[speed_wake.BARE], charged[kind]))
    for kind in speed_wake.KINDS:
        arm = kind if kind == speed_wake.BARE else OURS
        table.add(arm, kind, "steps_per_s", *median_iqr([worlds / v for v in charged[kind]]))
        table.add(arm, kind, "ms", *median_iqr([1e3 * v for v in charged[kind]]))
    for kind, parts in times.parts.items():
        more = {"reset, spread over an episode": share} if kind != speed_wake.BARE else {}
        _part_rows(table, kind, {k: v for k, v in parts.items() if v} | more, times.watched[kind] + sum(more.values()))


def sleep_rows(table: Table, times: speed_sleep.Times, batch: int) -> None:
    """Turn times of sleep into rows.

    Args:
        table: Where they go.
        times: What was measured.
        batch: Moments an update.
    """
    pure, ours = times.blocks[speed_sleep.PURE], times.blocks[speed_sleep.SLEEP]
    table.add(OURS, "sleep", "ratio_to_pure", *paired_ratio(pure, ours))
    for arm, values in (("pure", pure), (OURS, ours)):
        table.add(arm, "sleep", "moments_per_s", *median_iqr([batch / v for v in values]))
        table.add(arm, "sleep", "ms", *median_iqr([1e3 * v for v in values]))
    _part_rows(table, "sleep", times.parts, times.watched)
    table.add("before: re-living", "sleep", "ms", 1e3 * times.reliving)


def measure_cycle(table: Table, options: argparse.Namespace, work: Path) -> None:
    """A whole cycle as a user runs it."""
    device = f"task.device={'cpu' if options.preset == 'cpu' else 'cuda:0'}"
    _say("cycle: once with preset=debug, untimed, for Warp to compile its kernels")
    run_cycle(work / "debug", ["preset=debug", device], work / "cycle.log")
    _say("cycle: preset=demo")
    seconds, summary = run_cycle(work / "demo", ["preset=demo", device, f"seed={options.seed}"], work / "cycle.log")
    cycle_rows(table, seconds, summary)


def run_cycle(runs: Path, tokens: list[str], log: Path) -> tuple[float, dict[str, Any]]:
    """Run ``sage-ext cycle`` in a process of its own.

    Args:
        runs: An empty folder for the run.
        tokens: Its settings.
        log: Where its output goes.

    Returns:
        Seconds from its start to its end, and its summary.

    Raises:
        SageError: It failed.
    """
    paths = [str(REPOSITORY), str(REPOSITORY / "envs"), str(REPOSITORY / "tasks"), os.environ.get("PYTHONPATH", "")]
    command = [sys.executable, "-m", "sage_ext", "cycle", *tokens, f"runs={runs.absolute()}"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with open(log, "ab") as file:
        start = time.monotonic()
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False
        )
        seconds = time.monotonic() - start
    summaries = list(runs.glob("*/summary.json"))
    if done.returncode or len(summaries) != 1:
        tail = " ".join(log.read_text(encoding="utf-8", errors="replace")[-500:].split())
        raise SageError("cycle", " ".join(tokens), f"exit code {done.returncode}: ...{tail}", "run it by itself")
    return seconds, json.loads(summaries[0].read_text(encoding="utf-8"))


def cycle_rows(table: Table, seconds: float, summary: Mapping[str, Any]) -> None:
    """Turn a cycle's summary into rows.

    Args:
        table: Where they go.
        seconds: Wall-clock of the whole process.
        summary: What it wrote.
    """
    table.add(OURS, "cycle", "seconds", seconds)
    table.add(OURS, "cycle", "peak_gb", summary["measured"]["peak_memory_gb"])
    for name in ("experiences", "consolidations", "explorations"):
        table.add(OURS, "cycle", name, summary[name])
    spent = summary["measured"]["seconds"]
    for phase, value in spent.items():
        table.add(f"part: {phase}", "cycle", "seconds", value)
    table.add("part: imports, summary, end", "cycle", "seconds", seconds - sum(spent.values()))
    for metric, value in SEED_REPORTED.items():
        table.add("seed (reported)", "cycle", metric, value)


def _part_rows(table: Table, case: str, parts: Mapping[str, float], whole: float) -> None:
    for name, value in sorted(parts.items(), key=lambda item: -item[1]):
        table.add(f"part: {name}", case, "ms", 1e3 * value)
    table.add(f"part: {REST}", case, "ms", 1e3 * (whole - sum(parts.values())))


def _device(config: Any) -> str:
    """The device asked for, checked before anything slow begins."""
    import torch

    device = str(config.task.device)
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise SageError("--preset", "gpu", "there is no CUDA device", "use --preset cpu")
    os.environ.setdefault("OMNI_KIT_ACCEPT_EULA", "YES")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        os.environ.setdefault("OMNI_KIT_ALLOW_ROOT", "1")
    return device


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 on")
    return int(text)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
