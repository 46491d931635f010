"""Dreams for a bench alone: worlds that nobody learned from, lived and dreamt in a process of their own, and kept.

Each set has rooms of its own. ``known``, ``varied`` and ``usual`` are undisturbed: from them a judge learns what
should come, and what surprise is usual. ``lessons`` are dreams with their twins from which weights and calibrations are
learned, ``judged`` are those that the figures are of, and ``unusual`` is possible, under physics that are rare.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from sage_ext.errors import SageError

from .dream_set import HELD_OUT
from .dream_shards import Shard, claimed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from sage_ext.dream.evaluation import EvaluationSet
    from sage_ext.environment import Environment, Observation, Policy

LOOKS = 16
WORLDS = 16
WARM_UP = 20
"""Steps lived before a moment is taken."""
PAIRS = {"cpu": 12, "gpu": 64}
"""Dreams of each kind that are judged; all else grows with them."""
LESSONS = 2
"""Lessons of a kind for each dream of it that is judged."""
KNOWN, RARE = 8, 4
"""For each pair: undisturbed scenes of each sort, and scenes under each rare physics."""
STAGED = {"known": 2, "usual": 1}
"""Beside them, of each kind and for each pair, so many possible twins of dreams that nobody is shown: dreams bring
objects into view and in motion, and what should come of that has to be known."""
DREAMT = ("lessons", "judged")
SEED = 200_000
"""Seeds of dreams begin here; runs of users rarely do."""
UNUSUAL: dict[str, dict[str, float]] = {
    "gravity x0.8": {"gravity_scale": 0.8},
    "gravity x1.2": {"gravity_scale": 1.2},
    "friction x0.3": {"friction_scale": 0.3},
    "mass x2": {"mass_scale": 2.0},
}
"""Possible, but rare: name -> what of :meth:`sage_ext.environment.Environment.relive` is other."""
VARIED = {"gravity_scale": (0.5, 1.5), "friction_scale": (0.4, 1.6), "mass_scale": (0.5, 2.0)}
"""What sleep lives moments again under: known beside the usual to those who sleep."""


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


def sets(found: Iterable[Shard]) -> Sets:
    """What some shards hold, together.

    Raises:
        SageError: None of them is there.
    """
    parts = [load(shard) for shard in found if shard.done]
    names = [f.name for f in fields(Sets)]
    if not all(any(name in part for part in parts) for name in names):
        raise SageError("dreams", "", "are not there: no shard was finished", "give it more time")
    return Sets(**{name: joined(part[name] for part in parts if name in part) for name in names})


def save(parts: dict[str, Scenes], path: Path) -> None:
    """Write undisturbed scenes as ``PATH.safetensors`` and, when that is whole, ``PATH.json``."""
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    for name, scenes in parts.items():
        tensors |= {f"{name}/{sense}": value.contiguous() for sense, value in scenes.senses.items()}
        tensors[f"{name}/actions"] = scenes.actions.contiguous()
    save_file(tensors, path.with_suffix(".safetensors"))
    names = {name: scenes.name for name, scenes in parts.items()}
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(names) + "\n", encoding="utf-8")
    temporary.replace(path.with_suffix(".json"))


def load(shard: Shard) -> dict[str, Scenes]:
    """The undisturbed scenes of :func:`save`, and the dreams in the shard's folder, as :class:`Sets` names them."""
    from safetensors.torch import load_file

    from sage_ext.dream.evaluation import EvaluationSet

    path = shard.path
    tensors = load_file(path.with_suffix(".safetensors"))
    parts: dict[str, Scenes] = {}
    for name, names in json.loads(path.with_suffix(".json").read_text(encoding="utf-8")).items():
        own = {key.partition("/")[2]: value for key, value in tensors.items() if key.startswith(f"{name}/")}
        parts[name] = Scenes({k: v for k, v in own.items() if k != "actions"}, own["actions"], names)
    for name in DREAMT[:1] if shard.lessons else DREAMT:
        parts[name], parts[f"{name}_twin"] = dreams(EvaluationSet(path / name))
    return parts


def dreams(found: EvaluationSet) -> tuple[Scenes, Scenes]:
    """The dreams of a set, and their twins."""
    impossible, twin = [], []
    for part in found:
        names = [f"{law}/{kind}" for law, kind in zip(part.law, part.kind, strict=True)]
        impossible.append(Scenes(part.impossible, part.actions, names))
        twin.append(Scenes(part.twin, part.actions, names))
    return joined(impossible), joined(twin)


def main() -> None:
    """Make shards of a task: TASK FOLDER SEED:NUMBER:PAIRS:LESSONS ..."""
    import torch

    from sage_ext.body import SimulatedBody
    from sage_ext.config import load_config
    from sage_ext.environment import derived_seed

    task, folder, names = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    torch.set_num_threads(1)
    asked = [f"task.id={task}", f"task.num_envs={WORLDS}", "task.device=cpu", "memory.capacity=1000000", *HELD_OUT]
    body = SimulatedBody()
    env = body.environment(load_config(asked))
    for name in names:
        shard = Shard.of(task, folder, name)
        with claimed(shard) as mine:
            if mine:
                seed = derived_seed(SEED + shard.seed, "lessons" if shard.lessons else "shard", shard.number)
                policy = body.policy("random", env, seed)
                if shard.lessons:
                    dream(env, policy, seed, {"lessons": shard.pairs}, shard.path)
                    save({}, shard.path)
                else:
                    make(env, policy, seed, shard.pairs, shard.path)
    env.close()


def make(env: Environment, policy: Policy, seed: int, pairs: int, path: Path) -> None:
    """Make the sets and write them."""
    import torch

    from sage_ext.dream.evaluation import EvaluationSet
    from sage_ext.environment import derived_seed

    count = KNOWN * pairs
    wanted = {"lessons": LESSONS * pairs, "judged": pairs, "staged": sum(STAGED.values()) * pairs}
    dream(env, policy, seed, wanted, path)
    generator = torch.Generator().manual_seed(seed)
    staged = dreams(EvaluationSet(path / "staged"))[1]
    order = torch.randperm(len(staged), generator=generator).tolist()
    parts: dict[str, Scenes] = {}
    for name, each in STAGED.items():
        some, order = order[: each * pairs * len(env.dream_kinds)], order[each * pairs * len(env.dream_kinds) :]
        plain = possible(env, policy, derived_seed(seed, "bench.dreams", name), count, generator)
        twins = Scenes({k: v[some] for k, v in staged.senses.items()}, staged.actions[some], [""] * len(some))
        parts[name] = joined([plain, twins])
    parts["varied"] = possible(env, policy, derived_seed(seed, "bench.dreams", "varied"), count, generator, VARIED)
    own = derived_seed(seed, "bench.dreams", "unusual")
    parts["unusual"] = joined(
        [
            possible(env, policy, own, RARE * pairs, generator, {k: (v, v) for k, v in scales.items()}, name)
            for name, scales in UNUSUAL.items()
        ]
    )
    save(parts, path)


def dream(env: Environment, policy: Policy, seed: int, wanted: dict[str, int], path: Path) -> None:
    """Make sets of dreams, name -> dreams of each kind, as far as they are not there."""
    from sage_ext.dream.evaluation import INDEX, make_evaluation
    from sage_ext.environment import derived_seed

    for name, each in wanted.items():
        if not (path / name / INDEX).exists():
            own = derived_seed(seed, "bench.dreams", name)
            make_evaluation(
                env, policy, path / name, {}, seed=own, pairs=each, looks=LOOKS, kinds=env.dream_kinds
            )  # fmt: skip


def possible(
    env: Environment,
    policy: Policy,
    seed: int,
    count: int,
    generator: torch.Generator,
    scales: dict[str, tuple[float, float]] | None = None,
    name: str = "",
) -> Scenes:
    """Undisturbed scenes: moments of new rooms lived on from, as they are and with their objects elsewhere.

    Args:
        env: The environment.
        policy: What acts.
        seed: Of the rooms.
        count: How many.
        generator: Source of chance, on the CPU.
        scales: Factors on physics: ranges from which each scene's is drawn.
        name: Of the scenes.
    """
    import torch

    parts: list[Scenes] = []
    rows = actions = torch.zeros(0)
    for call in range(-(-count // env.num_envs)):
        if call % 2 == 0:
            rows, actions = _moments(env, policy, seed + call)
        n = min(env.num_envs, count - call * env.num_envs)
        drawn = {
            k: low + (high - low) * torch.rand(n, generator=generator) for k, (low, high) in (scales or {}).items()
        }
        begin = rows[:n] if call % 2 else env.rearrange(rows[:n], generator)
        lived = env.relive(begin, actions[:n], **drawn)["policy"]  # type: ignore[arg-type]
        acted = torch.cat([actions[:n, 1:], actions[:n, -1:]], 1).cpu()
        parts.append(Scenes({k: v.cpu() for k, v in lived.items()}, acted, [name] * n))
    return joined(parts)


def _moments(env: Environment, policy: Policy, seed: int) -> tuple[Tensor, Tensor]:
    """Moments in new rooms (N, S), and what is done from there on (N, T, A)."""
    import torch

    observed, _ = env.reset(seed=seed)
    acted: list[Tensor] = []
    rows = torch.zeros(0)
    for step in range(WARM_UP + LOOKS):
        if step == WARM_UP:
            rows = env.snapshot()
        acted.append(policy.act(observed).clone())
        observed = env.step(acted[-1])[0]
    return rows, torch.stack(acted[WARM_UP:], 1)


def joined(parts: Iterable[Scenes]) -> Scenes:
    """Scenes of several calls as one."""
    import torch

    parts = list(parts)
    senses = {k: torch.cat([p.senses[k] for p in parts]) for k in parts[0].senses}
    return Scenes(senses, torch.cat([p.actions for p in parts]), [name for p in parts for name in p.name])


if __name__ == "__main__":
    main()
