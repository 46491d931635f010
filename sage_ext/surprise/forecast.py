"""What should come, told from long before, from frozen contexts.

A predictor of the next look is fooled by stillness: an object that hangs in the air is easy to predict look by look.
So the *change* of the context after 1, 2, 4 and 8 looks is foretold, with the error to be expected: what was foretold
before a violation is still to be answered for after it. Both are ridge regressions in closed form on a few looks of
history and the actions in between: fitted in seconds, always the same, and as good as a recurrent network where
experience is short (``docs/dreams.md`` has the comparison).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..context.layout import CONTEXT_WIDTH, GROUPS
from ..learning.predictor import group_mean

HORIZONS = (1, 2, 4, 8)
"""Looks ahead."""
NUMBERS = 16
"""Principal numbers of each group from which is foretold; what lies outside of them counts as one more."""
LAGS = (0, 1, 3)
"""Looks of history from which is foretold: now, and as long ago; before the first look all was as in it."""
LIMIT = 12.0
"""Standard deviations at which a principal number is cut."""
RIDGES = (10.0, 100.0, 1000.0)
"""Strengths of the regression of change that are tried, in looks of "nothing changes" as experience to the contrary."""
SPARSE = 16
"""One in so many of the context's numbers is asked which strength is best."""
RIDGE_ERROR = 1000.0
"""The same of the regression of error."""
FITTED = 0.7
"""Share of stretches that changes are fitted on; on the others is seen which strength is best, and what error to
expect."""
LEAST = 1e-8
"""Mean squared errors below this are no less."""


@dataclass
class Forecast:
    """What a context should be, and how far off that may be.

    Attributes:
        now: The context from which it was foretold ``(..., 4096)``.
        mean: What should come ``(..., 4096)``.
        log_error: Logarithm of the mean squared error to be expected, of each group ``(..., 15)``.
    """

    now: Tensor
    mean: Tensor
    log_error: Tensor

    def surprise(self, came: Tensor) -> Tensor:
        """Logarithm of the error made against the error to be expected, ``(..., 4096)`` -> ``(..., 15)``."""
        return group_mean((came - self.mean).square()).clamp(min=LEAST).log() - self.log_error

    def stillness(self, came: Tensor) -> Tensor:
        """By how much "nothing changed" explains a context better than what was foretold, of each group ``(..., 15)``.

        A log-likelihood ratio at the error to be expected: positive where change was due and did not come.
        """
        apart = group_mean((came - self.mean).square()) - group_mean((came - self.now).square())
        return apart * torch.exp(-self.log_error)


class Forecaster(nn.Module):
    """Linear forecasts of frozen contexts; untrained it foretells "nothing changes".

    Args:
        action_dim: Width of an action.
        horizons: Looks ahead.
        numbers: Principal numbers a group from which is foretold.
    """

    mean: Tensor
    basis: Tensor
    scale: Tensor
    rest: Tensor
    pace: Tensor

    def __init__(self, action_dim: int, horizons: Sequence[int] = HORIZONS, numbers: int = NUMBERS) -> None:
        super().__init__()
        self.action_dim, self.horizons, self.numbers = action_dim, tuple(horizons), numbers
        groups = len(GROUPS)
        self.code_width = groups * (numbers + 1)
        self.register_buffer("mean", torch.zeros(CONTEXT_WIDTH))
        self.register_buffer("basis", torch.zeros(CONTEXT_WIDTH, groups * numbers))
        self.register_buffer("scale", torch.ones(groups, numbers))
        self.register_buffer("rest", torch.tensor([[0.0], [1.0]]).repeat(1, groups))
        self.register_buffer("pace", torch.ones(len(LAGS) - 1, self.code_width))
        for h in self.horizons:
            inputs = len(LAGS) * self.code_width + h * action_dim + 1
            self.register_buffer(f"change_{h}", torch.zeros(inputs, CONTEXT_WIDTH))
            self.register_buffer(f"error_{h}", torch.zeros(inputs, groups))

    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` needs, as plain JSON types."""
        return {"action_dim": self.action_dim, "horizons": list(self.horizons), "numbers": self.numbers}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Forecaster:
        """Inverse of :meth:`config`; it has learned nothing."""
        return cls(**config)

    @torch.no_grad()
    def fit(self, context: Tensor, actions: Tensor) -> None:
        """Learn from undisturbed stretches, those of an episode together, what comes.

        Args:
            context: Frozen contexts ``(n, T, 4096)``, T greater than the shortest horizon, n at least 2.
            actions: What was done after each look ``(n, T, A)``.
        """
        self._whiten(context)
        code = self.code(context)
        for i, lag in enumerate(LAGS[1:]):
            if lag < code.shape[1]:
                apart = (code[:, lag:] - code[:, :-lag]).flatten(0, 1)
                self.pace[i] = apart.square().mean(0).sqrt().clamp(min=1e-3)
        cut = min(len(context) - 1, max(1, round(FITTED * len(context))))
        for h in self.horizons:
            if h >= context.shape[1]:
                continue
            inputs = self._inputs(self.recall(code)[:, :-h], self._between(actions, h))
            change = context[:, h:] - context[:, :-h]
            known, held = inputs[:cut].flatten(0, 1), inputs[cut:].flatten(0, 1)
            changed, came = change[:cut].flatten(0, 1), change[cut:].flatten(0, 1)
            gram, cross = known.T @ known, known.T @ changed
            # Some of the context's numbers tell which strength is best; a solution for all of them costs more.
            few = slice(None, None, SPARSE)
            errors = [float((came[:, few] - held @ _ridge(gram, cross[:, few], r)).square().mean()) for r in RIDGES]
            weight = _ridge(gram, cross, RIDGES[errors.index(min(errors))])
            getattr(self, f"change_{h}").copy_(weight)
            error = group_mean((came - held @ weight).square()).clamp(min=LEAST).log()
            getattr(self, f"error_{h}").copy_(_ridge(held.T @ held, held.T @ error, RIDGE_ERROR))

    def code(self, context: Tensor) -> Tensor:
        """What is foretold from, of single looks: ``(..., 4096)`` -> ``(..., code_width)``.

        Leading principal numbers of each group, whitened on undisturbed experience, and the logarithm of the energy
        outside of them, which novelty raises.
        """
        centred = context - self.mean
        inside = (centred @ self.basis).unflatten(-1, (len(GROUPS), self.numbers))
        outside = (self._outside(centred, inside) - self.rest[0]) / self.rest[1]
        told = torch.cat([inside / self.scale, outside.unsqueeze(-1)], -1)
        return told.clamp(-LIMIT, LIMIT).flatten(-2)

    def recall(self, code: Tensor) -> Tensor:
        """What is foretold from, of sequences of codes ``(B, T, c)`` -> ``(B, T, lags * c)``."""
        time = torch.arange(code.shape[1], device=code.device)
        return self.combine([code[:, (time - lag).clamp(min=0)] for lag in LAGS])

    def combine(self, codes: Sequence[Tensor]) -> Tensor:
        """A code and how far it is from each earlier one, in units of how far that usually is.

        Args:
            codes: Those of :data:`LAGS` looks before, the first of now, each ``(..., c)``.

        Returns:
            ``(..., lags * c)``.
        """
        now, *before = codes
        # Differences, not codes: a regression that is held back would else forget motion first.
        moved = [((now - then) / pace).clamp(-LIMIT, LIMIT) for then, pace in zip(before, self.pace, strict=True)]
        return torch.cat([now, *moved], -1)

    def foretell(self, context: Tensor, recalled: Tensor, actions: Tensor) -> Forecast:
        """What the context will be after some looks.

        Args:
            context: The look from which it is foretold ``(..., 4096)``.
            recalled: From :meth:`recall` or :meth:`combine`, at that look ``(..., lags * c)``.
            actions: What is done from then on ``(..., h, action_dim)``; h is one of the horizons.
        """
        h, inputs = actions.shape[-2], self._inputs(recalled, actions)
        return Forecast(context, context + inputs @ getattr(self, f"change_{h}"), inputs @ getattr(self, f"error_{h}"))

    def unroll(self, context: Tensor, actions: Tensor) -> dict[int, Forecast]:
        """What is foretold from every look of sequences, for each horizon that fits in.

        Args:
            context: ``(B, T, 4096)``.
            actions: What was done after each look ``(B, T, A)``.

        Returns:
            Horizon h -> forecasts of ``context[:, h:]``.
        """
        recalled = self.recall(self.code(context))
        return {
            h: self.foretell(context[:, :-h], recalled[:, :-h], self._between(actions, h))
            for h in self.horizons
            if h < context.shape[1]
        }

    def _whiten(self, context: Tensor) -> None:
        flat = context.flatten(0, -2)
        self.mean.copy_(flat.mean(0))
        flat = flat - self.mean
        for i, group in enumerate(GROUPS.values()):
            part = flat[:, group.slice]
            # In double precision: of fewer looks than numbers, LAPACK's solver may not converge in single.
            values, vectors = torch.linalg.eigh((part.T @ part / len(part)).double())
            self.basis[group.slice, i * self.numbers : (i + 1) * self.numbers] = vectors[:, -self.numbers :].flip(1)
            self.scale[i] = values[-self.numbers :].flip(0).clamp(min=1e-8).sqrt()
        outside = self._outside(flat, (flat @ self.basis).unflatten(-1, (len(GROUPS), self.numbers)))
        self.rest.copy_(torch.stack([outside.mean(0), outside.std(0, correction=0).clamp(min=1e-3)]))

    @staticmethod
    def _outside(centred: Tensor, inside: Tensor) -> Tensor:
        energy = torch.stack([centred[..., g.slice].square().sum(-1) for g in GROUPS.values()], -1)
        return (energy - inside.square().sum(-1)).clamp(min=1e-6).log()

    @staticmethod
    def _between(actions: Tensor, h: int) -> Tensor:
        """Actions from each look to the one h later ``(B, T - h, h, A)``."""
        return actions[:, :-1].unfold(1, h, 1).movedim(-1, -2)

    @staticmethod
    def _inputs(recalled: Tensor, actions: Tensor) -> Tensor:
        return torch.cat([recalled, actions.flatten(-2), torch.ones_like(recalled[..., :1])], -1)


def _ridge(gram: Tensor, cross: Tensor, strength: float) -> Tensor:
    """Weights (i, o) from the products of inputs (m, i) with themselves (i, i) and with outputs (i, o).

    The last input, a one, is not held back: what is foretold of nothing known is the mean.
    """
    hold = torch.full((len(gram),), strength, device=gram.device, dtype=gram.dtype)
    hold[-1] = 1e-6 * strength
    return torch.linalg.solve(gram + hold.diag(), cross)
