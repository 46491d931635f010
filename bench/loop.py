"""Does acting get better by itself? ``python -m bench.loop``: cycles from random acting, with no demonstrations."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sage_ext.errors import SageError
from sage_ext.report import Reporter

from .held_out import FAMILY, module
from .table import OURS, Table, add_workers, arguments, count, run_bench, say
from .tasks_arms import SIMULATOR
from .tasks_play import Plan

if TYPE_CHECKING:
    from sage_ext.runs import Run

DESCRIPTION = """\
Acts at random, sleeps, learns to act from reward alone, acts by what it learned, and so on; nobody demonstrates
anything. After each cycle what it learned plays in rooms it never saw, undisturbed, and probes read its context.

cases and metrics, N from 1 (0: before anything was learned, at random):
  cycle N   success          of what it learned, over --episodes rooms, the same for all cycles
  cycle N   awake            success of the wake that cycle began with: disturbed, for it explores
  cycle N   score            mean score of the probes, see bench.probes
"""
EPILOG = """\
A picture of the curves goes beside the rows, PATH.png. What was lived and learned is kept in --keep: the bench can be
stopped and started at any time.

examples:
  python -m bench.loop --task Sage-Navigation --cycles 4 --keep runs/loop
"""
ROOMS = 600_000
"""First seed of the rooms that are played."""


class Keeping(Reporter):
    """Keeps what each cycle learned, as the next one begins.

    Args:
        run: The run.
        folder: Where to.
    """

    def __init__(self, run: Run, folder: Path) -> None:
        super().__init__(run.tensorboard)
        self._lived, self._kept = run, folder

    def cycle(self, number: int) -> None:
        """See :class:`sage_ext.report.Reporter`."""
        super().cycle(number)
        self.keep(number)

    def scalar(self, name: str, value: float, step: int) -> None:
        """See :class:`sage_ext.report.Reporter`."""
        super().scalar(name, value, step)
        if name == "wake/success_rate":
            awake = _read(self._kept / "awake.json") | {str(step + 1): value}
            (self._kept / "awake.json").write_text(json.dumps(awake), encoding="utf-8")

    def keep(self, number: int) -> None:
        """Keep what was learned in so many cycles."""
        path = self._kept / f"cycle-{number}"
        if not number or path.is_dir():
            return
        unfinished = path.with_name(f".{path.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        for part in (self._lived.policy, self._lived.checkpoint):
            shutil.copytree(part, unfinished / part.name)
        unfinished.rename(path)


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        The exit code.
    """
    parser = arguments("loop", DESCRIPTION, EPILOG)
    add = parser.add_argument
    add("--task", choices=sorted(FAMILY), default="Sage-Navigation", metavar="TASK", help="default %(default)s")
    add("--cycles", type=count, default=4, metavar="N", help="default 4")
    add("--worlds", type=count, default=20, metavar="N", help="side by side (default 20)")
    add("--episodes", type=count, default=40, metavar="N", help="of a wake, and of what is played (default 40)")
    add("--consolidations", type=count, default=600, metavar="N", help="moments of a sleep (default 600)")
    add("--updates", type=count, default=600, metavar="N", help="of weights that learn to act, a cycle (default 600)")
    add("--set", nargs="+", default=[], metavar="KEY=VALUE", help="other settings of the run")
    add_workers(parser)
    add("--device", help="of learning and thinking (default: the simulator's)")
    add("--keep", type=Path, default=Path("runs") / "loop", metavar="DIR", help="default %(default)s")
    return run_bench(measure, parser.parse_args(argv))


def measure(options: argparse.Namespace) -> Table:
    """Live the cycles in a process of their own, then judge each."""
    if options.run is not None:
        raise SageError("--run", options.run, "is nothing to this bench", "leave it out: it makes its own")
    keep = options.keep.absolute()
    settings = [
        f"task.id={options.task}", f"task.num_envs={min(options.worlds, options.episodes)}", "wake.policy=sage",
        f"wake.episodes={options.episodes}", "wake.disturbance=0.3", f"sleep.consolidations={options.consolidations}",
        "act.objective=awr", f"act.updates={options.updates}", f"cycles={options.cycles}", f"seed={options.seed}",
        f"task.device={SIMULATOR[options.preset]}",
        f"runs={keep / 'runs'}", *options.set,
    ]  # fmt: skip
    if not (keep / f"cycle-{options.cycles}").is_dir():
        say(f"loop: {options.task}, {options.cycles} cycles")
        module("bench.loop", "live", json.dumps([str(keep), options.device, settings]), log=keep / "live.log")
    spent = ("task", "cycles", "worlds", "episodes", "consolidations", "updates", "set", "device")
    table = Table("loop", {key: getattr(options, key) for key in spent}, [options.seed])
    awake = _read(keep / "awake.json")
    every = range(options.cycles + 1)
    successes = [_success(options, keep, number) for number in every]
    scores = [_score(options, keep, number) for number in every[1:]]
    for number in every:
        table.add(OURS, f"cycle {number}", "success", successes[number])
        if number:
            table.add(OURS, f"cycle {number}", "awake", float(awake[str(number)]))
            table.add(OURS, f"cycle {number}", "score", scores[number - 1])
    curve(successes, scores, options.json.with_suffix(".png"), options.task)
    return table


def live(keep: Path, device: str | None, settings: Sequence[str]) -> None:
    """Live the cycles, or what is left of them."""
    from sage_ext.body import SimulatedBody
    from sage_ext.config import load_config
    from sage_ext.cycle import run_phases
    from sage_ext.interrupt import StopRequest
    from sage_ext.runs import Run
    from sage_ext.simulator import prepare

    config = load_config(settings)
    prepare(config.task.device)
    begun = sorted((keep / "runs").glob("*/state.json"))
    with Run.open(begun[-1].parent) if begun else Run.create(config) as run:
        phases = ["wake", "sleep", "act"]
        if not begun:
            run.write_state({"phases": phases})
        reporter = Keeping(run, keep)
        with StopRequest() as stop:
            run_phases(config, run, phases, reporter, stop, SimulatedBody(), device)
        reporter.keep(config.cycles)
        reporter.close()


def _success(options: argparse.Namespace, keep: Path, number: int) -> float:
    """Of what was learned in so many cycles."""
    path, folder = keep / f"played-{number}.json", str(keep / f"cycle-{number}") if number else None
    if not path.is_file():
        say(f"loop: playing, after {number} cycles")
        kind, worlds = "sage" if number else "random", min(options.worlds, options.episodes)
        plan = Plan(
            kind,
            folder,
            None,
            options.task,
            "nominal",
            options.episodes,
            worlds,
            ROOMS + options.seed,
            SIMULATOR[options.preset],
        )
        given = json.dumps({str(path): asdict(plan)})
        module("bench.tasks_play", given, options.device or "cpu", log=path.with_suffix(".log"))
    return float(_read(path)["success_rate"])


def _score(options: argparse.Namespace, keep: Path, number: int) -> float:
    """Mean score of the probes after so many cycles."""
    path = keep / f"probes-{number}.json"
    if not path.is_file():
        from sage_ext.config import load_config
        from sage_ext.mind import Mind

        from .probes import held_out, mean_score, probe

        say(f"loop: probes, after {number} cycles")
        mind = Mind.load(keep / f"cycle-{number}" / "checkpoint", load_config().sleep, "cpu")
        sets = held_out(options.task, options.seed, options.preset, keep / "held_out", options.workers)
        path.write_text(json.dumps({"score": mean_score(probe(mind, options.task, *sets)["whole"])}), encoding="utf-8")
    return float(_read(path)["score"])


def curve(successes: Sequence[float], scores: Sequence[float], path: Path, title: str) -> None:
    """Draw success and score over the cycles."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(4.8, 3.2), layout="constrained")
    axes.plot(range(len(successes)), successes, "o-", label="success")
    axes.plot(range(1, len(scores) + 1), scores, "s--", label="mean score of the probes")
    axes.set(xlabel="cycles", xticks=range(len(successes)), ylim=(0, 1), title=f"{title}, from random acting")
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _read(path: Path) -> dict:
    found: dict = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["live"]:
        folder, where, overrides = json.loads(sys.argv[2])
        live(Path(folder), where, overrides)
    else:
        sys.exit(main())
