"""Speed of each phase, as ratios within one run: ``python -m bench.speed``.

What is measured, and what it is compared with, is in :mod:`bench.speed_wake` (what the bare simulator is),
:mod:`bench.speed_sleep` (what pure learning is) and :mod:`bench.speed_cycle`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sage_ext.errors import SageError
from sage_ext.paths import config_dir

from . import blocks, speed_counterfactual, speed_cycle, speed_sleep, speed_tasks, speed_wake
from .table import OURS, RESULTS, Table, arguments, median_iqr, run_bench, say
from .timing import paired_ratio

CASES = ("wake", "camera", "counterfactual", "sleep", "cycle")
STEPS_PER_SECOND = 30
REST = "everything else"

DESCRIPTION = """\
Measures how fast wake, sleep and a whole cycle are, against the least that each could cost, in one run and as ratios:
blocks of ours and of the base alternate, and each round gives one ratio. Machines are noisy; ratios of neighbours less.

cases and metrics:
  wake         ratio_to_bare   five senses, ground truth, random policy, snapshots, memory, against the simulator that
                               only steps physics and renders the same RGB-D camera with Isaac Lab's own renderer
  wake+encode  ratio_to_bare   the same with each observation encoded into its context (24.2 M parameters, with history)
  camera       ratio_to_stock  pictures of our renderer against Isaac Lab's, which casts rays in one thread
  counterfactual  ratio_to_step  moments lived again without pictures, restoring included, against plain stepping;
                               ratio_to_camera: with pictures, against our camera's own rate
  sleep        ratio_to_pure   consolidation of re-lived moments, against forward + backward + optimizer step on one
                               prepared batch of the same size; target at least 0.9
  cycle        seconds         wall-clock of `sage-ext cycle preset=demo`, simulator start included (after an untimed
               peak_gb         preset=debug, which lets Warp compile its kernels); targets 60 s and 3 GB

with --task, the case of another task's rows is wake/TASK-ID and so on, for example wake/Sage-Lift; --task all adds the
plain wake of Sage-Navigation, too

arms:
  sage-ext                     as users get it: on a CPU, our renderer casts rays on all cores; targets 1.2 for wake
                               and 0.6 for wake+encode
  sage-ext, stock renderer     like for like: what the senses cost; target 0.85 for wake
  bare, pure                   what is compared with; `bare, our renderer` tells what the renderer alone brings
  part: ...                    where the time of a step of all worlds, or of an update, goes [ms], from blocks of their
                               own, because stopwatches cost time too. In the case wake senses come one after the
                               other, so that each shows its own cost; else they are computed while rays are cast
Value is the median over the rounds, spread the interquartile range. steps_per_s counts steps of all worlds together.
"""

EPILOG = """\
presets:
  cpu   16 worlds and what else preset=demo says, on the CPU: about three minutes on 2 cores that are idle
  gpu   what preset=gpu says: 256 worlds, camera 128x128, on cuda:0; never tried

examples:
  python -m bench.speed                                 all cases, rows into runs/bench/speed.json
  python -m bench.speed --cases wake --rounds 20        one case, more rounds
  python -m bench.speed --task all --rounds 8           wake of every task, each in a process of its own
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
    tasks = sorted(path.stem for path in (config_dir() / "task").glob("*.yaml"))
    parser.add_argument("--cases", nargs="+", choices=CASES, help="which to measure (default all; with --task, wake)")
    parser.add_argument(
        "--task", choices=(*tasks, speed_tasks.ALL), metavar="NAME",
        help=f"measure wake of this task: {', '.join(tasks)} or all (default {speed_tasks.FIRST})",
    )  # fmt: skip
    parser.add_argument("--rounds", type=_whole, default=12, metavar="N", help="blocks of each kind (default 12)")
    parser.add_argument("--worlds", type=_whole, metavar="N", help="parallel worlds (default: what the preset says)")
    parser.add_argument(
        "--steps", type=_whole, default=10, metavar="N",
        help="environment steps of a block of wake; a multiple of 10 gives each as many snapshots (default 10)",
    )  # fmt: skip
    options = parser.parse_args(argv)
    options.cases = options.cases or (["wake"] if options.task else list(CASES))
    if options.task and options.cases != ["wake"]:
        parser.error(f"--task {options.task}: other cases are measured for {speed_tasks.FIRST} only; use --cases wake")
    return run_bench(measure, options)


def measure(options: argparse.Namespace) -> Table:
    """All cases asked for.

    Raises:
        SageError: No simulator, no such device, or no checkpoint in ``--run``.
    """
    budget: dict[str, Any] = {"preset": options.preset}
    if hasattr(os, "getloadavg"):
        budget["load_before"] = round(os.getloadavg()[0], 2)
    if "OMP_WAIT_POLICY" in os.environ:
        budget["omp_wait_policy"] = os.environ["OMP_WAIT_POLICY"]
    table = Table("speed", budget, [options.seed])
    start = time.monotonic()
    RESULTS.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="speed-", dir=RESULTS))
    try:
        # First, while this process is small: Linux counts a parent's memory to its child's peak.
        if "cycle" in options.cases:
            speed_cycle.measure(table, options, work)
        if options.task == speed_tasks.ALL:
            speed_tasks.measure(table, options, work)
        elif set(options.cases) - {"cycle"}:
            measure_phases(table, options, work)
            if options.task not in (None, speed_tasks.FIRST):
                table.rows = speed_tasks.renamed(table.rows, table.budget["task"])
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
    # Some steps to spare, because all worlds' episodes end at once and what follows a reset is no usual step.
    steps = 5 + blocks.wake_steps(blocks.schedule(blocks.kinds(True), rounds, options.steps))
    size = ["preset=demo", "task.num_envs=16", "task.device=cpu"] if options.preset == "cpu" else ["preset=gpu"]
    size += [f"task={options.task or speed_tasks.FIRST}"]
    size += [f"task.num_envs={options.worlds}"] if options.worlds else []
    usual = load_config(size)
    config = load_config([*size, f"seed={options.seed}", f"task.episode_length_s={steps / STEPS_PER_SECOND}"])
    device = _device(config)
    mind = None if options.run is None else Mind.load(options.run / "checkpoint", config.sleep, device)
    say(f"wake and sleep: {config.task.num_envs} worlds on {device}, starting the simulator")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with quiet(work / "simulator.log"):
        env: Any = SimulatedBody().environment(config)
    memory = open_memory(work / "memory", env, config.task.num_envs * env.max_episode_length)
    try:
        if mind is None:
            spec = ObservationSpec.from_space(env.single_observation_space["policy"])
            width = env.single_action_space.shape[0]
            mind = Mind.create(spec, width, env.num_objects, config.sleep, options.seed, device)
        plan = blocks.schedule(blocks.kinds(speed_wake.two_renderers(env)), rounds, options.steps)
        say(f"wake: {rounds} rounds of {options.steps} steps of each of bare, wake and wake+encode")
        with quiet(work / "simulator.log"):
            lived = speed_wake.measure(env, mind, memory, plan, config.memory.snapshot_every, options.seed)
        if "wake" in options.cases:
            table.budget |= {"task": config.task.id, "worlds": env.num_envs, "camera": config.task.resolution}
            table.budget |= {"rounds": rounds, "steps_a_block": options.steps}
            wake_rows(table, lived, env.num_envs, usual.task.steps)
        if {"camera", "counterfactual"} & set(options.cases):
            say(f"camera and counterfactual: {options.rounds} rounds")
            with quiet(work / "simulator.log"):
                again = speed_counterfactual.measure(env, options.rounds, options.seed)
            table.budget |= {"worlds": env.num_envs, "steps_lived_again": speed_counterfactual.STEPS}
            speed_counterfactual.rows_of(table, again, env.num_envs)
        if "sleep" in options.cases:
            say(f"sleep: {options.rounds} rounds of {speed_sleep.UPDATES} updates of {config.sleep.batch} moments")
            with quiet(work / "simulator.log"):
                slept = speed_sleep.measure(env, mind, memory, config.sleep, options.rounds, options.seed)
            table.budget |= {"moments_an_update": config.sleep.batch, "looks_a_moment": config.sleep.steps}
            sleep_rows(table, slept, config.sleep.batch)
    finally:
        torch.set_num_threads(threads)
        memory.close()
        with quiet(work / "simulator.log"):
            env.close()


def wake_rows(table: Table, times: blocks.Times, worlds: int, episode: int) -> None:
    """Turn times of wake into rows.

    Args:
        table: Where they go.
        times: What was measured; the first kind is the base.
        worlds: Parallel worlds.
        episode: Steps of a usual episode, over which its reset is spread.
    """
    share = times.reset / episode
    charged = {
        kind: [second + (0.0 if kind.case == blocks.BARE else share) for second in seconds]
        for kind, seconds in times.blocks.items()
    }
    base = next(iter(charged))

    def arm(kind: blocks.Kind) -> str:
        ours = "bare" if kind.case == blocks.BARE else OURS
        if kind.stock == (ours == OURS) and base.stock:
            return f"{ours}, {'stock' if kind.stock else 'our'} renderer"
        return ours

    for kind in sorted(charged, key=lambda kind: (kind.case == blocks.BARE, kind.case, kind.stock)):
        if kind != base:
            table.add(arm(kind), kind.case, "ratio_to_bare", *paired_ratio(charged[base], charged[kind]))
        table.add(arm(kind), kind.case, "steps_per_s", *median_iqr([worlds / second for second in charged[kind]]))
        table.add(arm(kind), kind.case, "ms", *median_iqr([1e3 * second for second in charged[kind]]))
    for kind, parts in times.parts.items():
        more = {} if kind.case == blocks.BARE else {"reset, spread over an episode": share}
        _part_rows(table, kind.case, parts | more, times.watched[kind] + sum(more.values()))


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


if __name__ == "__main__":
    sys.exit(main())
