"""Surprise as it happens: an anomaly detector for parallel worlds, one look at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..context.encoder import ContextEncoder
from ..context.layout import SENSES
from .forecast import LAGS
from .judge import KINDS, Judge

WINDOW = 8
"""Looks of which coherence judges the worst, unless told otherwise."""


@dataclass
class Now:
    """What the mind makes of the present look of each world.

    Attributes:
        surprise: ``(n,)``; NaN where nothing had been foretold, as on an episode's first look.
        groups: What each group contributes ``(n, 15)``; the sum is ``surprise``.
        coherence: How possible the last looks are, in 0..1 ``(n,)``; NaN where ``surprise`` has not yet been.
    """

    surprise: Tensor
    groups: Tensor
    coherence: Tensor

    @property
    def senses(self) -> Tensor:
        """What the five sensory groups contribute ``(n, 5)``, in the order of ``SENSES``."""
        return self.groups[..., : len(SENSES)]


@dataclass
class _Past:
    context: Tensor
    recalled: Tensor
    action: Tensor


class SurpriseStream:
    """Judges a stream of looks; the same as :class:`~sage_ext.surprise.judge.Judge` on the whole of them at once.

    Nothing grows with time: it remembers as many looks as the longest horizon has.

    Args:
        encoder: Gives contexts.
        judge: Fitted on contexts of this encoder.
        window: Looks of which coherence judges the worst; as many as scenes were judged by when the judge was scaled,
            so that scores are comparable.
    """

    def __init__(self, encoder: ContextEncoder, judge: Judge, window: int = WINDOW) -> None:
        self._encoder, self._judge = encoder.eval(), judge
        self._state: Tensor | None = None
        self._age = torch.zeros(0, dtype=torch.long)
        self._codes: deque[Tensor] = deque(maxlen=max(LAGS) + 1)
        self._past: deque[_Past] = deque(maxlen=max(judge.forecaster.horizons))
        self._last: deque[Tensor] = deque(maxlen=window)

    @torch.no_grad()
    def step(self, observation: Mapping[str, Tensor], action: Tensor | None = None, reset: Tensor | None = None) -> Now:
        """Take in the next look of each world.

        Args:
            observation: Sense -> ``(n, ...)``; senses may be missing, but not now and then.
            action: What was done before this look ``(n, A)``; of no meaning in worlds that begin, None if all do.
            reset: Where an episode begins ``(n,)`` bool: what was before is forgotten. None is nowhere; the first
                call begins all.

        Returns:
            What the mind makes of it.
        """
        context, self._state = self._encoder.step(observation, self._state, reset=reset)
        if not self._past:
            self._age = torch.zeros(len(context), dtype=torch.long, device=context.device)
        elif reset is not None:
            self._age = torch.where(reset, 0, self._age)
            for looks in self._last:
                looks[reset] = torch.nan
        if self._past and action is not None:
            self._past[-1].action = action.to(context.dtype)
        forecaster = self._judge.forecaster
        self._codes.append(forecaster.code(context))
        now = self._judged(context)
        nothing = context.new_zeros(len(context), forecaster.action_dim)
        self._past.append(_Past(context, self._recalled(), nothing))
        self._age = self._age + 1
        return now

    def _recalled(self) -> Tensor:
        """This look's code with earlier ones; in an episode's first looks the first stands for what was before."""
        told = torch.stack(list(self._codes), 0)
        world = torch.arange(told.shape[1], device=told.device)
        last = len(told) - 1
        return self._judge.forecaster.combine([told[last - self._age.clamp(max=lag), world] for lag in LAGS])

    def _judged(self, context: Tensor) -> Now:
        judge, horizons = self._judge, self._judge.forecaster.horizons
        raw = context.new_full((len(context), 1, *judge.mean.shape), torch.nan)
        for i, h in enumerate(horizons):
            if len(self._past) < h:
                continue
            then, acts = self._past[-h], torch.stack([self._past[k].action for k in range(-h, 0)], 1)
            told = judge.forecaster.foretell(then.context, then.recalled, acts)
            since = (self._age >= h).unsqueeze(1)
            for kind, name in enumerate(KINDS):
                value = torch.where(since, getattr(told, name)(context), torch.nan)
                raw[:, 0, kind * len(horizons) + i] = value
        found = judge.weigh(judge.standard(raw))
        self._last.append(found.looks[:, 0].clone())
        score = judge.score(torch.stack(list(self._last), 1), 0)
        coherence = torch.where(score.isnan(), torch.nan, judge.coherence(score.nan_to_num()))
        return Now(found.looks[:, 0], found.groups[:, 0], coherence)
