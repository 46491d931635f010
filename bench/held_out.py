"""Held-out experience: episodes lived for a bench alone, each set of them in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from sage_ext.errors import SageError

from .table import say

if TYPE_CHECKING:
    from tensordict import TensorDict
    from torch import Tensor

REPOSITORY = Path(__file__).resolve().parent.parent
FAMILY = {
    "Sage-Navigation": "navigation",
    "Sage-Navigation-Push": "navigation",
    "Sage-Reach": "manipulation",
    "Sage-Lift": "manipulation",
    "Sage-Push": "manipulation",
    "Sage-Social": "social",
    "Sage-Social-Follow": "social",
}
"""Task -> what is asked of it, see :mod:`bench.quantities`."""
LASTING = {"Sage-Push": 3.0, "Sage-Lift": 6.0}
"""Length of an episode [s] of tasks in which what matters comes later than in the others: a slide after the push, the
grasp."""
SHORT = 1.5
"""Of the others [s]: short ones bring many rooms."""
POLICIES = ("random", "expert")
"""Half of the episodes each."""
PIECE = 80
"""Episodes lived in one process at most."""


@dataclass
class Lived:
    """Whole episodes of one length.

    Attributes:
        observation: Sense -> (E, T, ...).
        truth: Name of the ground truth -> (E, T, ...).
        action: What was done (E, T, A).
    """

    observation: dict[str, Tensor]
    truth: dict[str, Tensor]
    action: Tensor

    def __len__(self) -> int:
        return len(self.action)


@dataclass(frozen=True)
class Plan:
    """What is to be lived.

    Attributes:
        task: Id of the task.
        episodes: How many, over all policies.
        seed: Moves rooms, objects, physics and actions.
        physics: Settings of ``randomisation``.
    """

    task: str
    episodes: int
    seed: int
    physics: tuple[str, ...] = ()


def seconds(task: str) -> float:
    """Length of the episodes [s] that benches live of a task."""
    return LASTING.get(task, SHORT)


def live(plan: Plan, folder: Path, worlds: int = 16, workers: int = 1) -> Lived:
    """Live episodes with every sense and the ground truth; what ``folder`` holds already is not lived again.

    Args:
        plan: What is to be lived.
        folder: Where the runs go.
        worlds: Side by side.
        workers: Processes side by side.

    Raises:
        SageError: The simulator failed.
    """
    import torch

    from sage_ext.memory import Memory

    in_parallel(lives(plan, folder, worlds), workers)
    found: list[Lived] = []
    for *_, runs in _pieces(plan, folder):
        # One that was killed as it ended has been lived twice.
        path = min(runs.glob("*/summary.json")).parent
        with Memory.open(path / "memory", shared=True) as memory:
            whole = [e for e in memory.episodes if e.length == max(x.length for x in memory.episodes)]
            episodes = [memory.episode(e, ["observation", "critic", "action"]) for e in whole]
        found.append(
            Lived(_stacked(episodes, "observation"), _stacked(episodes, "critic"), _tensor(episodes, "action"))
        )
    return Lived(
        {k: torch.cat([f.observation[k] for f in found]) for k in found[0].observation},
        {k: torch.cat([f.truth[k] for f in found]) for k in found[0].truth},
        torch.cat([f.action for f in found]),
    )


def lives(plan: Plan, folder: Path, worlds: int = 16) -> list[Callable[[], None]]:
    """What :func:`live` has to simulate, for :func:`in_parallel`."""
    missing = [piece for piece in _pieces(plan, folder) if not list(piece[-1].glob("*/summary.json"))]
    if missing:
        say(f"held out: {plan.task}, {plan.episodes} episodes")
    return [partial(_wake, *piece, worlds) for piece in missing]


def _pieces(plan: Plan, folder: Path) -> list[tuple[str, Plan, int, Path]]:
    """Of each process: who acts, with which seed, for how many episodes, and where its run goes."""
    each = plan.episodes // len(POLICIES)
    return [
        (policy, replace(plan, seed=plan.seed + n + 10 * k), min(PIECE, each - start), folder / policy / str(k))
        for n, policy in enumerate(POLICIES)
        for k, start in enumerate(range(0, each, PIECE))
    ]


def in_parallel(jobs: Sequence[Callable[[], object]], workers: int) -> None:
    """Do jobs that wait for processes, some at a time, each with its share of the cores.

    The first failure is raised when those begun have ended.

    Args:
        jobs: What to do.
        workers: How many at a time.
    """
    cores = sorted(os.sched_getaffinity(0))
    shares = SimpleQueue[set[int]]()
    for number in range(max(1, workers)):
        shares.put(set(cores[number::workers]) or {cores[number % len(cores)]})

    def settle() -> None:
        # Of this thread, and of the processes it starts: threads of one simulator would else disturb all others.
        os.sched_setaffinity(0, shares.get())

    with ThreadPoolExecutor(max_workers=max(1, workers), initializer=settle) as pool:
        for done in [pool.submit(job) for job in jobs]:
            done.result()


def _stacked(episodes: list[TensorDict], branch: str) -> dict[str, Tensor]:
    names = [key for key in episodes[0][branch].keys() if "segmentation" not in key]  # noqa: SIM118
    return {name: _tensor(episodes, (branch, name)) for name in names}


def _tensor(episodes: list[TensorDict], key: str | tuple[str, str]) -> Tensor:
    import torch

    return torch.stack([episode[key] for episode in episodes])


def _wake(policy: str, plan: Plan, episodes: int, runs: Path, worlds: int) -> None:
    steps = round(seconds(plan.task) * 30)
    command(
        "wake",
        f"task.id={plan.task}",
        f"task.num_envs={min(worlds, episodes)}",
        f"task.episode_length_s={seconds(plan.task)}",
        "task.segmentation=true",
        f"wake.policy={policy}",
        "wake.disturbance=0",
        f"wake.episodes={episodes}",
        f"memory.capacity={(episodes + worlds) * steps}",
        "sleep.history=0",
        "sleep.steps=3",
        "dream.looks=6",
        f"seed={plan.seed}",
        f"runs={runs.absolute()}",
        *plan.physics,
        log=runs.with_suffix(".log"),
    )


def command(*tokens: str, log: Path) -> None:
    """Run ``sage-ext`` in a process of its own; see :func:`module`."""
    module("sage_ext", *tokens, log=log)


def module(name: str, *tokens: str, log: Path) -> None:
    """Run a module in a process of its own.

    Args:
        name: Of the module.
        *tokens: Its arguments.
        log: Where its output goes.

    Raises:
        SageError: It failed.
    """
    paths: Sequence[str] = [str(REPOSITORY / part) for part in ("", "envs", "tasks")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])}
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as file:
        done = subprocess.run(
            [sys.executable, "-m", name, *tokens],
            cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False,
        )  # fmt: skip
    if done.returncode:
        tail = " ".join(log.read_text(encoding="utf-8", errors="replace")[-500:].split())
        raise SageError(tokens[0], " ".join(tokens[1:]), f"exit code {done.returncode}: ...{tail}", "run it by itself")
