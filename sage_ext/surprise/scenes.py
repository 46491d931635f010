"""Scenes as they were sensed, judged by a mind: what the dream phase and the benches call."""

from __future__ import annotations

import torch
from torch import Tensor

from ..environment import Observation
from ..mind import Mind
from .forecast import fit
from .judge import Judge, Surprise

CHUNK = 16
"""Scenes encoded at once."""
KNOWN = 2 / 3
"""Share of undisturbed scenes that the forecaster learns from; the others tell what usual surprise is."""
UPDATES = 120
"""Of the forecaster, unless told otherwise."""


def calibrate(
    mind: Mind,
    observation: Observation,
    actions: Tensor,
    start: int,
    generator: torch.Generator | None = None,
    updates: int = UPDATES,
) -> Judge:
    """Learn from undisturbed experience what should come, and what surprise is usual.

    Args:
        mind: The mind that is to judge; it learns nothing.
        observation: Undisturbed scenes in random order, sense -> ``(n, T, ...)``.
        actions: What was done after each look ``(n, T, A)``.
        start: Look from which scenes are judged.
        generator: Source of weights and batches, on the CPU; None begins one at 0.
        updates: Steps of the forecaster.
    """
    return learn(contexts(mind, observation), actions, start, generator, updates)


def learn(
    context: Tensor,
    actions: Tensor,
    start: int,
    generator: torch.Generator | None = None,
    updates: int = UPDATES,
    known: float = KNOWN,
) -> Judge:
    """As :func:`calibrate`, from contexts ``(n, T, 4096)``; ``known`` is the share that the forecaster learns from."""
    generator = generator or torch.Generator().manual_seed(0)
    seed = int(torch.randint(2**31, (), generator=generator))
    judge, cut = Judge(actions.shape[-1], seed=seed).to(context.device), max(1, round(known * len(context)))
    actions = actions.to(context.device)
    fit(judge.forecaster, context[:cut], actions[:cut], updates, generator)
    rest = slice(cut, None) if cut < len(context) else slice(None)
    judge.scale(context[rest], actions[rest], start)
    return judge.eval()


def contexts(mind: Mind, observation: Observation) -> Tensor:
    """Frozen contexts of scenes ``(n, T, 4096)``."""
    return mind.encode(observation, CHUNK)


def surprise(mind: Mind, judge: Judge, observation: Observation, actions: Tensor) -> Surprise:
    """When and in what the mind is surprised by scenes; actions are those after each look ``(n, T, A)``."""
    context = contexts(mind, observation)
    return judge.weigh(judge.evidence(context, actions.to(context.device)))


def assess(
    mind: Mind, judge: Judge, observation: Observation, actions: Tensor, start: int | Tensor
) -> tuple[Tensor, Surprise]:
    """How possible scenes are.

    Args:
        mind: The mind that judges.
        judge: From :func:`calibrate` with this mind.
        observation: Scenes, sense -> ``(n, T, ...)``.
        actions: What was done after each look ``(n, T, A)``.
        start: Look from which scenes are judged, of all or of each ``(n,)``.

    Returns:
        Coherence ``(n,)``, in 0..1, and when and in what the mind was surprised.
    """
    found = surprise(mind, judge, observation, actions)
    return judge.coherence(judge.score(found.looks, start)), found
