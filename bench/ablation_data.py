"""What the arms of the ablation learn from: runs of wake, and moments lived again, made once a seed and kept.

Every arm gets as many simulated steps: what sleep spends on living moments again, the others spend on living more.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .held_out import POLICIES, command, module, seconds
from .table import say

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from sage_ext.config import Config
    from sage_ext.environment import Observation
    from sage_ext.learning.batch import Batch
    from sage_ext.sleep import Moments

VARIED = "randomisation=wide"
WORLDS = 16
LIVED = 288.0
"""Lived by a policy in one process [s]; less would be spent on starting simulators."""
FAMILIES = ("physical", "spatial", "temporal", "causal", "rearranged")
RESEEN = "rearranged"
"""Of which a single look of each branch tells."""
SHARES = {"physical": 0.3, "spatial": 0.08, "temporal": 0.06, "causal": 0.06, "rearranged": 0.5}
"""Of the families, in the simulated steps of an arm that sleeps."""
PIECE = 2048
"""Looks at moments in one file."""
PIECES = 6
"""Files of them made in one process at most."""


def settings(looks: int, history: int) -> list[str]:
    """What all runs of the ablation have in common."""
    return [
        f"task.num_envs={WORLDS}",
        "memory.snapshot_every=5",
        f"sleep.steps={looks}",
        f"sleep.history={history}",
        "dream.looks=6",
    ]


def wake(
    folder: Path, task: str, number: int, seed: int, physics: Sequence[str], common: list[str], policy: str
) -> Path:
    """A run of wake, of one policy; one that is there already is kept.

    Args:
        folder: Where runs go.
        task: Id of the task.
        number: Of the run, among those of its task, policy and physics.
        seed: Moves everything that is drawn.
        physics: Further settings of what is drawn.
        common: From :func:`settings`.
        policy: Who acts.
    """
    drawn = [re.sub(r"\W+", "_", setting) for setting in physics if setting != VARIED]
    kind = "-".join(["varied" if VARIED in physics else "wake", *drawn])
    runs = folder / task / kind / policy / str(number)
    if not list(runs.glob("*/summary.json")):
        say(f"{', '.join(['wake: ' + task, policy, str(number), *physics])}")
        each = seconds(task)
        command(
            "wake", f"task.id={task}", *common, f"wake.policy={policy}", f"wake.episodes={round(LIVED / each)}",
            f"task.episode_length_s={each}",
            "wake.disturbance=0", f"memory.capacity={round((LIVED + WORLDS * each) * 30)}",
            f"seed={seed + 10 * number + POLICIES.index(policy)}", f"runs={runs.absolute()}",
            *physics, log=runs.with_suffix(".log"),
        )  # fmt: skip
    # One that was killed as it ended has been lived twice.
    return min(runs.glob("*/summary.json")).parent


def looks_of(family: str, looks: int) -> int:
    """Looks of a moment: one where already the first is another."""
    return 1 if family == RESEEN else looks


def steps_of_sleep(family: str, looks: int) -> int:
    """Simulated steps that living one moment again takes: looks at both branches."""
    return 2 * looks_of(family, looks)


def counts(families: Sequence[str], steps: int, looks: int) -> dict[str, int]:
    """Moments of each family, which take so many simulated steps together."""
    whole = sum(SHARES[family] for family in families)
    return {f: round(steps * SHARES[f] / whole / steps_of_sleep(f, looks)) for f in families}


class Mixed:
    """Moments of several lengths as one set to learn from, without filling up the short ones.

    Args:
        parts: Moments, each part of as many looks.
        device: Where they are kept: on a GPU that learns, no update waits for its batch.
    """

    def __init__(self, parts: Sequence[Moments], device: str = "cpu") -> None:
        import torch

        self.looks = torch.cat([part.looks for part in parts])
        self.parts = [part.to(device) for part in parts]
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
                chosen.append(part.take(here.to(part.actions.device)))
        whole = joined(chosen)
        return whole.batch(whole.looks.new_tensor(range(len(whole))), device)

    def seen(self, frames: int) -> Observation:
        """What was sensed in some of the longest."""
        return max(self.parts, key=lambda part: int(part.looks.max())).seen(frames)


def pieces(run: Path, family: str, count: int, looks: int) -> list[Path]:
    """Where so many moments of a run under one family of variations are, or will be."""
    folder = run.parent / "lived_again" / f"{family}-{looks}"
    return [folder / f"{number}.safetensors" for number in range(-(-count * looks_of(family, looks) // PIECE))]


def relives(run: Path, wanted: dict[str, int], looks: int, seed: int) -> list[Callable[[], None]]:
    """What lives moments of a run again, each call in a process of its own, as far as that is not done yet.

    Args:
        run: A run of wake.
        wanted: Family of variations -> how many moments.
        looks: Of a moment.
        seed: Moves everything that is drawn.
    """
    missing = [path for f, count in wanted.items() for path in pieces(run, f, count, looks) if not path.exists()]
    if missing:
        say(f"sleep: {len(missing)} x {PIECE} looks at moments of {run.name}, {run.parent.parent.name}")
    several = range(0, len(missing), PIECES)
    return [partial(_relive, run, missing[first : first + PIECES], looks, seed) for first in several]


def _relive(run: Path, missing: list[Path], looks: int, seed: int) -> None:
    log = run.parent / f"lived_again-{missing[0].parent.name}-{missing[0].stem}.log"
    module("bench.ablation_data", str(run), str(looks), str(seed), *map(str, missing), log=log)


def relived(run: Path, family: str, count: int, looks: int, seed: int) -> Moments:
    """Moments of a run lived again under one family of variations."""
    import torch

    from sage_ext.sleep.kept import load
    from sage_ext.sleep.moments import joined

    for job in relives(run, {family: count}, looks, seed):
        job()
    return joined([load(path) for path in pieces(run, family, count, looks)]).take(torch.arange(count))


def config_of(run: Path, family: str) -> Config:
    """A run's config, with one family of variations alone."""
    from sage_ext.config import Config, load_config

    shares = [f"sleep.variations.{name}.share={float(name == family)}" for name in FAMILIES]
    config = load_config(shares, Config.from_yaml(run / "config.yaml"))
    if family == RESEEN:
        # Of single looks, without a history that nobody uses.
        config = replace(config, sleep=replace(config.sleep, history=0, steps=1, rearranged_steps=1))
    return config


def replayed(run: Path, config: Config, bodies: int, count: int, seed: int) -> Moments:
    """Moments of plain memory."""
    import torch

    from sage_ext.memory import Memory
    from sage_ext.sleep.moments import replay

    with Memory.open(run / "memory", shared=True) as memory:
        return replay(memory, config.sleep, count, bodies, torch.Generator().manual_seed(seed))


def main() -> None:
    """Live moments of a run again: RUN LOOKS SEED PATH..., as :func:`pieces` names them."""
    import torch

    from sage_ext.body import SimulatedBody
    from sage_ext.memory import Memory
    from sage_ext.sleep import relive_moments
    from sage_ext.sleep.kept import save

    run, looks, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    env = SimulatedBody().environment(config_of(run, FAMILIES[0]))
    with Memory.open(run / "memory", shared=True) as memory:
        for path in map(Path, sys.argv[4:]):
            family = path.parent.name.removesuffix(f"-{looks}")
            number = int(path.stem) * len(FAMILIES) + FAMILIES.index(family)
            generator = torch.Generator().manual_seed(1000 * seed + number)
            count = PIECE // looks_of(family, looks)
            save(relive_moments(env, memory, config_of(run, family).sleep, count, 0, generator), path)
    env.close()


if __name__ == "__main__":
    main()
