"""Latency of surprise as it happens: one look of one world, encoder included."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from sage_ext.mind import Mind
from sage_ext.surprise import SurpriseStream
from sage_ext.surprise.scenes import contexts, learn

from .dream_arms import START

if TYPE_CHECKING:
    from .dream_scenes import Scenes

FIRST, TIMED = 10, 100
"""Looks before the clock, and by it."""
FEW = 12
"""Scenes that the judge is fitted on: how long it takes does not depend on what it learned."""


def latency(mind: Mind, known: Scenes) -> tuple[float, float]:
    """Median and 99th percentile of a look [ms].

    Args:
        mind: Encodes.
        known: Undisturbed scenes, at least :data:`FEW`.
    """
    context = contexts(mind, {k: v[:FEW] for k, v in known.senses.items()})
    judge = learn(context, known.actions[:FEW], START, FEW // 2)
    stream, took = SurpriseStream(mind.acting.encoder, judge), []
    for look in range(FIRST + TIMED):
        scene, t = divmod(look, known.actions.shape[1])
        scene %= len(known)
        observation = {k: v[scene : scene + 1, t].to(mind.device) for k, v in known.senses.items()}
        action = known.actions[scene : scene + 1, t].to(mind.device)
        begin = time.perf_counter()
        # Reading a number waits for a GPU.
        float(stream.step(observation, action).surprise)
        took.append(1e3 * (time.perf_counter() - begin))
    timed = torch.tensor(took[FIRST:])
    return float(timed.median()), float(timed.quantile(0.99))
