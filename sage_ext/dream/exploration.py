"""Dream: scenes that cannot happen, each beside its possible twin, and how coherent the mind finds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from ..config import DreamConfig
from ..environment import Environment, Observation
from ..errors import SageError
from ..memory import Memory
from ..mind import Mind
from ..surprise import Judge, assess, calibrate

ATTEMPTS = 12
"""Calls of the simulator for which fit moments are looked for, a wanted call."""
CANDIDATES = 12
"""Moments looked at for each dream, at most."""


@dataclass
class Explored:
    """One dream with its twin, and what the mind made of them.

    Attributes:
        law: The law that was broken.
        kind: How; its full name is ``law/kind``.
        magnitude: How much, with the meaning that the kind gives it (``docs/dreams.md``).
        at: Look at which it was broken.
        episode: Memory's id of the episode it was dreamt from.
        step: Step of that episode.
        coherence: Of the impossible scene, 0..1.
        twin_coherence: Of its possible twin.
        surprise: Of each look of the impossible scene (T,).
        twin_surprise: Of each look of the twin (T,).
        frames: Pictures of the impossible scene (T, H, W, 3) uint8.
        twin_frames: Pictures of the twin.
        groups: What each group of the context contributed to it (T, 15), in the order of the layout.
        twin_groups: The same of the twin.
        senses: What was sensed in the impossible scene, sense -> (T, ...).
        twin_senses: The same of the twin.
        actions: What was done after each look (T, A).
    """

    law: str
    kind: str
    magnitude: float
    at: int
    episode: int
    step: int
    coherence: float
    twin_coherence: float
    surprise: Tensor
    twin_surprise: Tensor
    frames: Tensor
    twin_frames: Tensor
    groups: Tensor
    twin_groups: Tensor
    senses: Observation
    twin_senses: Observation
    actions: Tensor

    def record(self) -> dict[str, Any]:
        """What goes into the summary."""
        return {
            "law": self.law,
            "kind": self.kind,
            "magnitude": self.magnitude,
            "at": self.at,
            "episode": self.episode,
            "step": self.step,
            "coherence": self.coherence,
            "twin_coherence": self.twin_coherence,
        }


def asked_kinds(names: Sequence[str], known: Sequence[str], count: int) -> list[str]:
    """Which kinds to dream: the names asked for in turn, and of a law its kinds in turn.

    Args:
        names: Laws and full names of kinds. A law of which the environment knows no kind is left out.
        known: Full names of the kinds that there are.
        count: How many dreams.

    Returns:
        Full names (count).

    Raises:
        SageError: The environment does not know a kind, or none of the laws.
    """
    options = [[kind for kind in known if name in (kind, kind.split("/")[0])] for name in names]
    for name, kinds in zip(names, options, strict=True):
        if not kinds and ("/" in name or not any(options)):
            problem = "the task knows no such law or kind"
            raise SageError("dream.laws", name, problem, f"use one of {', '.join(known)}")
    options = [kinds for kinds in options if kinds]
    turns = [divmod(i, len(options)) for i in range(count)]
    return [options[which][turn % len(options[which])] for turn, which in turns]


def first_judged(config: DreamConfig) -> int:
    """Look from which scenes are judged: the first quarter shows what there is."""
    return config.looks // 4


def calibrate_on_memory(mind: Mind, memory: Memory, config: DreamConfig, generator: torch.Generator) -> Judge:
    """Learn from remembered, undisturbed stretches what should come and what is usual.

    What should come is learned from some episodes, what surprise is usual is seen in others: in a room that it learned
    from, a forecast errs less than it will.

    Raises:
        SageError: Memory holds no stretch as long as a dream.
    """
    count = config.known + config.calibration
    stretch = memory.sample_slices(count, config.looks + 1, generator, snapshot_at=0, keys=["observation", "action"])
    _, which = stretch["episode"][:, 0].flatten().unique(return_inverse=True)
    stretch = stretch[torch.randperm(count, generator=generator)[which].argsort(stable=True)]
    senses = {k: stretch["observation", k][:, 1:] for k in stretch["observation"].keys()}  # noqa: SIM118
    return calibrate(mind, senses, stretch["action"][:, 1:], first_judged(config), config.known)


def explore(
    env: Environment,
    mind: Mind,
    memory: Memory,
    config: DreamConfig,
    generator: torch.Generator,
    on_dream: Callable[[Explored], None] | None = None,
    judge: Judge | None = None,
) -> list[Explored]:
    """Dream until there are as many dreams as asked for.

    Args:
        env: The environment; where its worlds stand afterwards is of no meaning.
        mind: The mind that judges.
        memory: Where moments come from.
        config: How many dreams, how long, which laws.
        generator: Source of chance, on the CPU.
        on_dream: Called with each dream.
        judge: Of the mind; None calibrates one on memory.

    Raises:
        SageError: Memory holds no moment that fits a kind, or the task knows no such kind.
    """
    judge = judge or calibrate_on_memory(mind, memory, config, generator)
    wanted = asked_kinds(config.laws, env.dream_kinds, config.explorations)
    dreams: list[Explored] = []
    calls = -(-len(wanted) // env.num_envs)
    for _ in range(ATTEMPTS * calls):
        if not wanted:
            break
        n = env.num_envs
        # Spare worlds look for the kind that is wanted most: not every moment fits every kind.
        kinds = [wanted[i % len(wanted)] for i in range(n)]
        stretch = _choose(env, memory, kinds, config.looks + 1, generator)
        rows, actions = stretch["snapshot"][:, 0], stretch["action"][:, : config.looks]
        scenes = env.dream(rows, actions, kinds, difficulty=config.difficulty, generator=generator)
        acted, at = scenes.actions.cpu(), scenes.at.cpu()
        # Whoever judges does not know when a law is broken, if it is.
        impossible_senses, twin_senses = _cpu(scenes.impossible), _cpu(scenes.twin)
        impossible, found = assess(mind, judge, impossible_senses, acted, first_judged(config))
        possible, twin_found = assess(mind, judge, twin_senses, acted, first_judged(config))
        for i, kind in enumerate(kinds):
            if not bool(scenes.valid[i]) or kind not in wanted:
                continue
            wanted.remove(kind)
            dreams.append(
                Explored(
                    law=scenes.law[i],
                    kind=scenes.kind[i],
                    magnitude=float(scenes.magnitude[i]),
                    at=int(at[i]),
                    episode=int(stretch["episode"][i].flatten()[0]),
                    step=int(stretch["step"][i].flatten()[0]),
                    coherence=float(impossible[i]),
                    twin_coherence=float(possible[i]),
                    surprise=found.looks[i].cpu(),
                    twin_surprise=twin_found.looks[i].cpu(),
                    frames=impossible_senses["visual"][i],
                    twin_frames=twin_senses["visual"][i],
                    groups=found.groups[i].cpu(),
                    twin_groups=twin_found.groups[i].cpu(),
                    senses={k: v[i].clone() for k, v in impossible_senses.items()},
                    twin_senses={k: v[i].clone() for k, v in twin_senses.items()},
                    actions=acted[i],
                )
            )
            if on_dream is not None:
                on_dream(dreams[-1])
    if wanted:
        raise SageError(
            "dream.laws",
            wanted[0],
            f"fits none of the moments tried ({len(dreams)} dreams of {config.explorations})",
            "wake for longer, or drop the law",
        )
    return dreams


def _choose(env: Environment, memory: Memory, kinds: list[str], length: int, generator: torch.Generator) -> TensorDict:
    """One stretch of memory a world, fit for its kind as far as can be told without living it."""
    n = len(kinds)
    chosen: TensorDict | None = None
    fits = torch.zeros(n, dtype=torch.bool)
    for _ in range(CANDIDATES):
        stretch = memory.sample_slices(n, length, generator, snapshot_at=0, keys=["action", "snapshot"])
        better = env.foresee(stretch["snapshot"][:, 0], kinds).cpu() & ~fits
        if chosen is None:
            chosen = stretch
        chosen[better] = stretch[better]
        fits |= better
        if bool(fits.all()):
            break
    assert chosen is not None
    return chosen


def _cpu(observation: Observation) -> Observation:
    return {k: v.cpu() for k, v in observation.items()}
