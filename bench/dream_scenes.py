"""Dreams for a bench alone: worlds that nobody learned from, lived and dreamt in a process of their own, and kept.

Each set has rooms of its own. ``known`` and ``usual`` are undisturbed: from them a judge learns what should come, and
what surprise is usual. ``lessons`` are dreams with their twins from which weights and calibrations are learned,
``judged`` are those that the figures are of, and ``unusual`` is possible, under physics that are rare.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sage_ext.errors import SageError

from .held_out import POLICIES, REPOSITORY, command
from .table import say

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from sage_ext.environment import Environment, Observation
    from sage_ext.memory import Memory

LOOKS = 24
WORLDS = 8
SECONDS = 3.0
"""Length of an episode: short ones bring many rooms."""
FIRST = {"known": 200_000, "lessons": 210_000, "judged": 220_000}
"""Seeds of each set's rooms begin here; runs of users rarely do."""
UNUSUAL: dict[str, dict[str, float]] = {
    "gravity x0.8": {"gravity_scale": 0.8},
    "gravity x1.2": {"gravity_scale": 1.2},
    "friction x0.3": {"friction_scale": 0.3},
    "mass x2": {"mass_scale": 2.0},
}
"""Possible, but rare: name -> what of :meth:`sage_ext.environment.Environment.relive` is other."""
VARIED = {"gravity_scale": (0.5, 1.5), "friction_scale": (0.4, 1.6), "mass_scale": (0.5, 2.0)}
"""What sleep lives moments again under: half of what is known to those who sleep."""
TRIES = 6
"""Moments tried for each dream that is wanted, at most; what has not fitted by then is missing."""
PAIRS = {"cpu": 12, "gpu": 64}
"""Dreams of each kind, in each of ``lessons`` and ``judged``; all else grows with them."""
KNOWN, RARE, EPISODES = 8, 4, 2
"""A pair a kind: undisturbed scenes of each sort, scenes under each rare physics, and episodes of each policy."""


@dataclass
class Scenes:
    """Scenes of one length.

    Attributes:
        senses: Sense -> ``(n, T, ...)``.
        actions: What was done after each look ``(n, T, A)``.
        name: Of each: ``law/kind`` of a dream, what is unusual, or nothing.
    """

    senses: Observation
    actions: Tensor
    name: list[str]

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def law(self) -> list[str]:
        """Of each dream."""
        return [name.split("/")[0] for name in self.name]


@dataclass
class Sets:
    """Everything a mind is judged on, of one task and seed.

    Attributes:
        known: Undisturbed scenes under the usual physics.
        varied: Undisturbed scenes under other physics, as sleep lives them.
        usual: Undisturbed scenes of the same rooms, that nothing is fitted to but the scale of surprise.
        lessons: Dreams to learn from.
        lessons_twin: Their twins, in the same order.
        judged: Dreams that the figures are of.
        judged_twin: Their twins, in the same order.
        unusual: Possible scenes under rare physics, in the rooms of ``judged``.
    """

    known: Scenes
    varied: Scenes
    usual: Scenes
    lessons: Scenes
    lessons_twin: Scenes
    judged: Scenes
    judged_twin: Scenes
    unusual: Scenes


def sets(task: str, seed: int, pairs: int, folder: Path) -> Sets:
    """Live and dream, or read what ``folder`` holds already.

    Args:
        task: Id of the task.
        seed: Moves everything.
        pairs: Dreams of each kind.
        folder: Where everything is kept.

    Raises:
        SageError: The simulator failed.
    """
    path = folder / f"{task}-{seed}-{pairs}"
    if not path.with_suffix(".json").exists():
        for name, first in FIRST.items():
            for number, policy in enumerate(POLICIES):
                _wake(task, policy, first + 10 * seed + number, EPISODES * pairs, path / name)
        say(f"dreams: {task}, seed {seed}, {pairs} of each kind")
        paths = os.pathsep.join([str(REPOSITORY / part) for part in ("", "envs", "tasks")])
        with open(path.with_suffix(".log"), "ab") as log:
            done = subprocess.run(
                [sys.executable, "-m", "bench.dream_scenes", str(seed), str(pairs), str(path.absolute())],
                cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": paths}, stdout=log, stderr=log, check=False,
            )  # fmt: skip
        if done.returncode:
            raise SageError("dreams", task, f"failed, see {path.with_suffix('.log')}", "run it by itself")
    return load(path)


def save(found: Sets, path: Path) -> None:
    """Write sets as ``PATH.safetensors`` and, when that is whole, ``PATH.json``."""
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    for name, scenes in vars(found).items():
        tensors |= {f"{name}/{sense}": value.contiguous() for sense, value in scenes.senses.items()}
        tensors[f"{name}/actions"] = scenes.actions.contiguous()
    save_file(tensors, path.with_suffix(".safetensors"))
    names = {name: scenes.name for name, scenes in vars(found).items()}
    path.with_suffix(".json").write_text(json.dumps(names) + "\n", encoding="utf-8")


def load(path: Path) -> Sets:
    """Inverse of :func:`save`."""
    from safetensors.torch import load_file

    tensors = load_file(path.with_suffix(".safetensors"))
    parts: dict[str, Any] = {}
    for name, names in json.loads(path.with_suffix(".json").read_text(encoding="utf-8")).items():
        own = {key.partition("/")[2]: value for key, value in tensors.items() if key.startswith(f"{name}/")}
        parts[name] = Scenes({k: v for k, v in own.items() if k != "actions"}, own["actions"], names)
    return Sets(**parts)


def _wake(task: str, policy: str, seed: int, episodes: int, folder: Path) -> None:
    runs = folder / policy
    if list(runs.glob("*/summary.json")):
        return
    say(f"held out: {task}, {episodes} episodes, {policy}")
    command(
        "wake", f"task.id={task}", f"task.num_envs={WORLDS}", f"task.episode_length_s={SECONDS}",
        f"wake.policy={policy}", f"wake.episodes={episodes}", "memory.snapshot_every=5",
        f"memory.capacity={round((episodes + WORLDS) * SECONDS * 30)}", "sleep.history=0", "sleep.steps=3",
        f"dream.looks={LOOKS}", f"seed={seed}", f"runs={runs.absolute()}", log=runs.with_suffix(".log"),
    )  # fmt: skip


def main() -> None:
    """Make the sets of a task: SEED PAIRS PATH."""
    import torch

    from sage_ext.body import SimulatedBody
    from sage_ext.config import Config

    seed, pairs, path = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    runs = {name: [next((path / name / p).glob("*/summary.json")).parent for p in POLICIES] for name in FIRST}
    env = SimulatedBody().environment(Config.from_yaml(runs["known"][0] / "config.yaml"))
    save(make(env, runs, pairs, torch.Generator().manual_seed(seed)), path)
    env.close()


def make(env: Environment, runs: dict[str, list[Path]], pairs: int, generator: torch.Generator) -> Sets:
    """Make the sets from runs of wake, a list of folders for each of :data:`FIRST`."""
    from contextlib import ExitStack

    from sage_ext.memory import Memory

    with ExitStack() as stack:
        memories = {k: [stack.enter_context(Memory.open(p / "memory")) for p in v] for k, v in runs.items()}
        # Dreams bring objects into view and set them in motion; what is usual has to know such scenes, too.
        half = -(-KNOWN * pairs // 2)
        usual = [
            joined([possible(env, memories["known"], half, generator), staged(env, memories["known"], half, generator)])
            for _ in ("known", "usual")
        ]
        varied = possible(env, memories["known"], 2 * half, generator, VARIED)
        lessons = dreams(env, memories["lessons"], pairs, generator)
        judged = dreams(env, memories["judged"], pairs, generator)
        rare = [
            possible(env, memories["judged"], RARE * pairs, generator, {k: (v, v) for k, v in scales.items()}, name)
            for name, scales in UNUSUAL.items()
        ]
    return Sets(
        known=usual[0],
        varied=varied,
        usual=usual[1],
        lessons=lessons[0],
        lessons_twin=lessons[1],
        judged=judged[0],
        judged_twin=judged[1],
        unusual=joined(rare),
    )


def possible(
    env: Environment,
    memories: Sequence[Memory],
    count: int,
    generator: torch.Generator,
    scales: dict[str, tuple[float, float]] | None = None,
    name: str = "",
) -> Scenes:
    """Undisturbed scenes: moments of memory, half of them with their objects elsewhere, lived on from.

    Args:
        env: The environment.
        memories: Where the moments come from, in turn.
        count: How many.
        generator: Source of chance, on the CPU.
        scales: Factors on physics: ranges from which each scene's is drawn.
        name: Of the scenes.
    """
    import torch

    parts: list[Scenes] = []
    for call in range(-(-count // env.num_envs)):
        n = min(env.num_envs, count - call * env.num_envs)
        memory = memories[call % len(memories)]
        stretch = memory.sample_slices(n, LOOKS + 1, generator, snapshot_at=0, keys=["action", "snapshot"])
        rows, actions = stretch["snapshot"][:, 0], stretch["action"]
        drawn = {
            k: low + (high - low) * torch.rand(n, generator=generator) for k, (low, high) in (scales or {}).items()
        }
        if (call // len(memories)) % 2:
            rows = env.rearrange(rows, generator)
        lived = env.relive(rows, actions[:, :LOOKS], **drawn)["policy"]  # type: ignore[arg-type]
        parts.append(Scenes({k: v.cpu() for k, v in lived.items()}, actions[:, 1:], [name] * n))
    return joined(parts)


def dreams(
    env: Environment, memories: Sequence[Memory], pairs: int, generator: torch.Generator
) -> tuple[Scenes, Scenes]:
    """As many dreams of each kind as there are moments for, at most ``pairs``, and their twins."""
    missing = dict.fromkeys(env.dream_kinds, pairs)
    tries = dict.fromkeys(missing, TRIES * pairs)
    parts: list[tuple[Scenes, Scenes]] = []
    while wanted := [kind for turn in range(pairs) for kind in missing if missing[kind] > turn and tries[kind] > 0]:
        kinds = [wanted[i % len(wanted)] for i in range(env.num_envs)]
        impossible, twin, fits = _dreamt(env, memories[len(parts) % len(memories)], kinds, generator)
        kept = []
        for i, kind in enumerate(kinds):
            tries[kind] -= 1
            if fits[i] and missing[kind]:
                missing[kind] -= 1
                kept.append(i)
        parts.append((_some(impossible, kept), _some(twin, kept)))
    for kind, count in missing.items():
        if count:
            say(f"  {kind}: {pairs - count} of {pairs}, no other moment fitted")
    return joined([one for one, _ in parts]), joined([other for _, other in parts])


def staged(env: Environment, memories: Sequence[Memory], count: int, generator: torch.Generator) -> Scenes:
    """Undisturbed scenes as dreams stage them: twins alone."""
    parts: list[Scenes] = []
    while (done := sum(map(len, parts))) < count:
        kinds = [env.dream_kinds[(done + i) % len(env.dream_kinds)] for i in range(env.num_envs)]
        _, twin, _ = _dreamt(env, memories[len(parts) % len(memories)], kinds, generator)
        parts.append(_some(twin, range(min(len(twin), count - done))))
    found = joined(parts)
    return Scenes(found.senses, found.actions, [""] * len(found))


def _dreamt(
    env: Environment, memory: Memory, kinds: list[str], generator: torch.Generator
) -> tuple[Scenes, Scenes, list[bool]]:
    stretch = memory.sample_slices(len(kinds), LOOKS, generator, snapshot_at=0, keys=["action", "snapshot"])
    scenes = env.dream(stretch["snapshot"][:, 0], stretch["action"], kinds, generator=generator)
    one, other = (
        Scenes({k: v.cpu() for k, v in senses.items()}, scenes.actions.cpu(), kinds)
        for senses in (scenes.impossible, scenes.twin)
    )
    return one, other, scenes.valid.cpu().tolist()


def _some(scenes: Scenes, which: Sequence[int]) -> Scenes:
    index = list(which)
    senses = {k: v[index] for k, v in scenes.senses.items()}
    return Scenes(senses, scenes.actions[index], [scenes.name[i] for i in index])


def joined(parts: Sequence[Scenes]) -> Scenes:
    """Scenes of several calls as one."""
    import torch

    senses = {k: torch.cat([p.senses[k] for p in parts]) for k in parts[0].senses}
    return Scenes(senses, torch.cat([p.actions for p in parts]), [name for p in parts for name in p.name])


if __name__ == "__main__":
    main()
