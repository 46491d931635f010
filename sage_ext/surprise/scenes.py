"""Scenes as they were sensed, judged by a mind: what the dream phase and the benches call."""

from __future__ import annotations

from torch import Tensor

from ..environment import Observation
from ..mind import Mind
from .judge import Judge, Surprise

CHUNK = {"cpu": 16, "cuda": 256}
"""Scenes encoded at once."""


def calibrate(mind: Mind, observation: Observation, actions: Tensor, start: int, known: int) -> Judge:
    """Learn from undisturbed experience what should come, and what surprise is usual.

    Args:
        mind: The mind that is to judge; it learns nothing.
        observation: Undisturbed scenes, those of an episode together, sense -> ``(n, T, ...)``.
        actions: What was done after each look ``(n, T, A)``.
        start: Look from which scenes are judged.
        known: How many of them, the first, the forecaster learns from; the others tell what surprise is usual.
    """
    return learn(contexts(mind, observation), actions, start, known)


def learn(context: Tensor, actions: Tensor, start: int, known: int) -> Judge:
    """As :func:`calibrate`, from contexts ``(n, T, 4096)``."""
    judge, actions = Judge(actions.shape[-1]).to(context.device), actions.to(context.device)
    judge.forecaster.fit(context[:known], actions[:known])
    judge.scale(context[known:], actions[known:], start)
    return judge.eval()


def contexts(mind: Mind, observation: Observation) -> Tensor:
    """Frozen contexts of scenes ``(n, T, 4096)``."""
    return mind.encode(observation, CHUNK[mind.device.type])


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
