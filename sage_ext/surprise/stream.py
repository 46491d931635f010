"""Surprise as it happens: an anomaly detector for parallel worlds, one look at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..context.encoder import ContextEncoder
from ..context.layout import SENSES
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
    memory: Tensor
    code: Tensor
    action: Tensor


class SurpriseStream:
    """Judges a stream of looks; the same as :class:`~sage_ext.surprise.judge.Judge` on the whole of them at once.

    Nothing grows with time: it remembers as many looks as the longest horizon has.

    Args:
        encoder: Gives contexts.
        judge: Fitted on contexts of this encoder.
        window: Looks of which coherence judges the worst; take those from which scenes were judged when the judge was
            scaled, so that scores are comparable.
    """

    def __init__(self, encoder: ContextEncoder, judge: Judge, window: int = WINDOW) -> None:
        self._encoder, self._judge, self._window = encoder.eval(), judge, window
        self._state: Tensor | None = None
        self._memory: Tensor | None = None
        self._past: deque[_Past] = deque(maxlen=max(judge.forecaster.horizons))
        self._age = torch.zeros(0, dtype=torch.long)
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
        judge, forecaster = self._judge, self._judge.forecaster
        code = forecaster.code(context)
        n = len(code)
        if self._memory is None:
            self._memory, self._age = code.new_zeros(n, forecaster.hidden), torch.zeros(n, dtype=torch.long)
        elif reset is not None:
            self._memory = torch.where(reset.unsqueeze(1), 0.0, self._memory)
            self._age = torch.where(reset.to(self._age.device), 0, self._age)
            for looks in self._last:
                looks[reset] = torch.nan
        if self._past and action is not None:
            self._past[-1].action = action.to(code.dtype)
        now = self._judged(code)
        after, self._memory = forecaster.follow(code.unsqueeze(1), self._memory)
        self._past.append(_Past(after[:, 0], code, code.new_zeros(n, forecaster.action_dim)))
        self._age = self._age + 1
        return now

    def _judged(self, code: Tensor) -> Now:
        judge, horizons = self._judge, self._judge.forecaster.horizons
        raw = code.new_full((len(code), 1, *judge.mean.shape), torch.nan)
        for i, h in enumerate(horizons):
            if len(self._past) < h:
                continue
            then = self._past[-h]
            acts = torch.stack([self._past[k].action for k in range(-h, 0)], 1)
            told = judge.forecaster.foretell(then.memory, then.code, acts)
            since = (self._age >= h).to(code.device).unsqueeze(1)
            for kind, name in enumerate(KINDS):
                value = torch.where(since, getattr(told, name)(code), torch.nan)
                raw[:, 0, kind * len(horizons) + i] = value
        found = judge.weigh(judge.standard(raw))
        surprise = found.looks[:, 0]
        self._last.append(surprise.clone())
        score = judge.score(torch.stack(list(self._last), 1), 0)
        coherence = torch.where(score.isnan(), torch.nan, judge.coherence(score.nan_to_num()))
        return Now(surprise, found.groups[:, 0], coherence)
