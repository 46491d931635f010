"""What the arms of the ablation learn from: runs of wake, and moments lived again, made once a seed and kept.

Every arm gets as many simulated steps: what sleep spends on living moments again, the others spend on living more.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sage_ext.errors import SageError

from .held_out import POLICIES, REPOSITORY, command
from .table import say

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from sage_ext.config import Config
    from sage_ext.environment import Observation
    from sage_ext.learning.objective import Batch
    from sage_ext.sleep import Moments

NOMINAL = ""
VARIED = "randomisation=wide"
WORLDS = 16
SECONDS = 3.0
"""Length of an episode: short ones bring many rooms."""
FAMILIES = ("physical", "spatial", "temporal", "causal", "rearranged")
RESEEN = ("spatial", "rearranged")
"""Those of which a single look of each branch tells."""


def settings(looks: int, history: int) -> list[str]:
    """What all runs of the ablation have in common."""
    return [
        f"task.num_envs={WORLDS}",
        f"task.episode_length_s={SECONDS}",
        "memory.snapshot_every=5",
        f"sleep.steps={looks}",
        f"sleep.history={history}",
        "dream.looks=6",
    ]


def wake(folder: Path, task: str, name: str, episodes: int, seed: int, physics: str, common: list[str]) -> list[Path]:
    """Runs of wake, one a policy, each with half of the episodes; those that are there already are kept.

    Args:
        folder: Where they go.
        task: Id of the task.
        name: Of the experience.
        episodes: Over both policies.
        seed: Moves everything that is drawn.
        physics: A further setting.
        common: From :func:`settings`.
    """
    found = []
    for number, policy in enumerate(POLICIES):
        runs = folder / task / name / policy
        if not list(runs.glob("*/summary.json")):
            say(f"wake: {task}, {name}, {episodes // 2} episodes, {policy}")
            each = episodes // len(POLICIES)
            command(
                "wake", f"task.id={task}", *common, f"wake.policy={policy}", f"wake.episodes={each}",
                "wake.disturbance=0",
                f"memory.capacity={round((each + WORLDS) * SECONDS * 30)}", f"seed={seed + number}",
                f"runs={runs.absolute()}", *filter(None, [physics]), log=runs.with_suffix(".log"),
            )  # fmt: skip
        (summary,) = runs.glob("*/summary.json")
        found.append(summary.parent)
    return found


def looks_of(family: str, looks: int) -> int:
    """Looks of a moment: one where already the first is another."""
    return 1 if family in RESEEN else looks


def steps_of_sleep(family: str, looks: int) -> int:
    """Simulated steps that living one moment again takes: looks at both branches."""
    return 2 * looks_of(family, looks)


class Mixed:
    """Moments of several lengths as one set to learn from, without filling up the short ones.

    Args:
        parts: Moments, each part of as many looks.
    """

    def __init__(self, parts: Sequence[Moments]) -> None:
        import torch

        self.parts = list(parts)
        self.looks = torch.cat([part.looks for part in parts])
        self._first = [0, *itertools.accumulate(map(len, parts))]

    def __len__(self) -> int:
        return self._first[-1]

    def batch(self, which: Tensor, device: torch.device) -> Batch:
        """Some moments of one length, which may be of several parts."""
        from sage_ext.sleep.moments import joined

        chosen = []
        for first, part in zip(self._first, self.parts, strict=False):
            here = which[(which >= first) & (which < first + len(part))] - first
            if len(here):
                chosen.append(part.take(here))
        whole = joined(chosen)
        return whole.batch(whole.looks.new_tensor(range(len(whole))), device)

    def seen(self, frames: int) -> Observation:
        """What was sensed in some of the longest."""
        return max(self.parts, key=lambda part: int(part.looks.max())).seen(frames)


def relived(run: Path, family: str, count: int, seed: int) -> Moments:
    """Moments of a run lived again under one family of variations, in a process of their own, or as kept from before.

    Raises:
        SageError: The simulator failed.
    """
    from sage_ext.sleep.kept import load

    path = run.parent / f"{run.name}-{family}-{count}-{seed}.safetensors"
    if not path.exists():
        say(f"sleep: {count} moments, {family}, of {run}")
        paths = os.pathsep.join([str(REPOSITORY / part) for part in ("", "envs", "tasks")])
        with open(path.with_suffix(".log"), "ab") as log:
            done = subprocess.run(
                [sys.executable, "-m", "bench.ablation_data", str(run), family, str(count), str(seed), str(path)],
                cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": paths}, stdout=log, stderr=log, check=False,
            )  # fmt: skip
        if done.returncode:
            raise SageError("ablation", run, f"moments failed, see {path.with_suffix('.log')}", "run it by itself")
    return load(path)


def config_of(run: Path, family: str) -> Config:
    """A run's config, with one family of variations alone."""
    from sage_ext.config import Config, load_config

    shares = [f"sleep.variations.{name}.share={float(name == family)}" for name in FAMILIES]
    config = load_config(shares, Config.from_yaml(run / "config.yaml"))
    if family in RESEEN:
        # Moments of single looks alone, without a history that nobody uses.
        config = replace(config, sleep=replace(config.sleep, history=0, steps=1, reseen_steps=1))
    return config


def replayed(run: Path, config: Config, bodies: int, count: int, seed: int) -> Moments:
    """Moments of plain memory."""
    import torch

    from sage_ext.memory import Memory
    from sage_ext.sleep.moments import replay

    with Memory.open(run / "memory") as memory:
        return replay(memory, config.sleep, count, bodies, torch.Generator().manual_seed(seed))


def main() -> None:
    """Live moments of a run again: RUN FAMILY COUNT SEED PATH."""
    import torch

    from sage_ext.body import SimulatedBody
    from sage_ext.memory import Memory
    from sage_ext.sleep import relive_moments
    from sage_ext.sleep.kept import save

    run, family, path = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[5])
    count, seed = int(sys.argv[3]), int(sys.argv[4])
    config = config_of(run, family)
    torch.set_num_threads(1)
    env = SimulatedBody().environment(config)
    with Memory.open(run / "memory") as memory:
        generator = torch.Generator().manual_seed(seed)
        save(relive_moments(env, memory, config.sleep, count, 0, generator), path)
    env.close()


if __name__ == "__main__":
    main()
