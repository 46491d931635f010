"""Predicts the context some steps ahead from the present one and the actions in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..context.layout import CONTEXT_WIDTH, GROUPS
from ..errors import SageError

_LOG_VARIANCE = 8.0
"""Predicted log-variances stay within +- this, so that a still world cannot drive a likelihood to infinity."""


def group_mean(x: Tensor) -> Tensor:
    """Mean of each group of a context: ``(..., 4096)`` -> ``(..., 15)``."""
    # split, not slices: the gradient of fifteen slices would be fifteen contexts.
    return torch.stack([part.mean(-1) for part in torch.split(x, [g.width for g in GROUPS.values()], -1)], -1)


@dataclass
class Prediction:
    """A distribution over contexts: normal, with one variance a group.

    Attributes:
        mean: ``(..., 4096)``.
        log_variance: ``(..., 15)``, groups in the order of the layout.
    """

    mean: Tensor
    log_variance: Tensor

    def error(self, context: Tensor) -> Tensor:
        """Mean squared error a group against what came, ``(..., 4096)`` -> ``(..., 15)``."""
        return group_mean((context - self.mean).square())

    def surprise(self, context: Tensor) -> Tensor:
        """Negative log-likelihood a number, of each group, ``(..., 4096)`` -> ``(..., 15)``, up to a constant.

        The variance says how much change was to be expected: with it a scene that stands still where it should
        have moved can surprise at longer horizons, which a squared error of the next frame cannot see.
        """
        return 0.5 * (self.error(context) * torch.exp(-self.log_variance) + self.log_variance)


class ContextPredictor(nn.Module):
    """A bottleneck perceptron that predicts the change of the context, for a few horizons at once.

    One layer compresses the context; actions and horizon join it; the change is added to the present. It starts
    as "nothing changes": the last layer is zero.

    Args:
        action_dim: Width of an action.
        horizons: Steps ahead, each at least 1.
        hidden: Width of the bottleneck.
        seed: Seed of the initial weights; None takes torch's global generator.
        narrowest: Narrowest actions that are taken; they are filled up with zeros before their last number. None
            takes those of ``action_dim`` alone.

    Raises:
        SageError: No horizon, or one below 1.
    """

    def __init__(
        self,
        action_dim: int,
        horizons: Sequence[int] = (1, 2, 4),
        hidden: int = 512,
        seed: int | None = None,
        narrowest: int | None = None,
    ) -> None:
        super().__init__()
        if not horizons or min(horizons) < 1:
            raise SageError("horizons", list(horizons), "must be steps >= 1", "use [1, 2, 4]")
        self.action_dim, self.horizons, self.hidden = action_dim, tuple(sorted(set(horizons))), hidden
        self.narrowest = action_dim if narrowest is None else narrowest
        with torch.random.fork_rng(devices=[], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            self.compress = nn.Linear(CONTEXT_WIDTH, hidden)
            self.act = nn.Linear(self.horizons[-1] * action_dim, hidden)
            self.ahead = nn.Embedding(len(self.horizons), hidden)
            self.mix = nn.Sequential(
                nn.LayerNorm(hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.LayerNorm(hidden), nn.SiLU()
            )
            self.change = nn.Linear(hidden, CONTEXT_WIDTH)
            self.log_variance = nn.Linear(hidden, len(GROUPS))
        for layer in (self.change, self.log_variance):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` needs, as plain JSON types."""
        own = {"action_dim": self.action_dim, "horizons": list(self.horizons), "hidden": self.hidden}
        return own | ({"narrowest": self.narrowest} if self.narrowest < self.action_dim else {})

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ContextPredictor:
        """Inverse of :meth:`config`; weights are random."""
        return cls(**config)

    def forward(self, context: Tensor, actions: Tensor) -> Prediction:
        """Predict from one moment.

        Args:
            context: ``(..., 4096)``.
            actions: What is done from then on, ``(..., h, action_dim)``; h must be one of the horizons.

        Returns:
            The context ``h`` steps later.

        Raises:
            SageError: Not a trained horizon, or actions of another width.
        """
        if actions.shape[-2] not in self.horizons:
            raise SageError("horizon", actions.shape[-2], "was not trained", f"use one of {list(self.horizons)}")
        return self._predict(context, self.compress(context), self._fitted(actions))

    def unroll(self, context: Tensor, actions: Tensor) -> dict[int, Prediction]:
        """Predict from every moment of sequences, for every horizon that fits in.

        Args:
            context: ``(B, T, 4096)``.
            actions: ``(B, T, action_dim)``, the action of a step being taken after its context was seen.

        Returns:
            Horizon h -> predictions of ``context[:, h:]``, with batch axes ``(B, T - h)``.

        Raises:
            SageError: Actions of another width.
        """
        actions = self._fitted(actions)
        time, code = context.shape[1], self.compress(context)
        found: dict[int, Prediction] = {}
        for h in self.horizons:
            if h < time:
                chunks = actions[:, : time - 1].unfold(1, h, 1).movedim(-1, -2)
                found[h] = self._predict(context[:, :-h], code[:, :-h], chunks)
        return found

    def _predict(self, context: Tensor, code: Tensor, actions: Tensor) -> Prediction:
        h = actions.shape[-2]
        padded = nn.functional.pad(actions.flatten(-2), (0, (self.horizons[-1] - h) * self.action_dim))
        code = self.mix(code + self.act(padded) + self.ahead.weight[self.horizons.index(h)])
        # tanh and not clamp: a variance that overshot the bound must find its way back.
        bounded = _LOG_VARIANCE * torch.tanh(self.log_variance(code) / _LOG_VARIANCE)
        return Prediction(context + self.change(code), bounded)

    def take(self, action_dim: int) -> None:
        """Take actions of another width as well as those so far: nothing is known of what is new in them.

        Args:
            action_dim: Their width.
        """
        self.narrowest = min(self.narrowest, action_dim)
        if action_dim > self.action_dim:
            self.act.weight.data = self.wider(self.act.weight.data, action_dim)
            self.act.in_features, self.action_dim = self.act.weight.shape[1], action_dim

    def wider(self, weight: Tensor, action_dim: int) -> Tensor:
        """What belongs to the weights of actions (hidden, steps x width), for actions of a larger width."""
        steps = weight.unflatten(1, (self.horizons[-1], -1))
        return widened(steps, action_dim).flatten(1)

    def _fitted(self, actions: Tensor) -> Tensor:
        if not self.narrowest <= actions.shape[-1] <= self.action_dim:
            raise SageError("actions.shape", tuple(actions.shape), f"must end in {self.action_dim}", "match the task")
        return widened(actions, self.action_dim)


def widened(actions: Tensor, width: int) -> Tensor:
    """Actions (..., A) filled up with zeros before their last number, which is the speed: (..., width)."""
    if actions.shape[-1] == width:
        return actions
    return torch.cat([nn.functional.pad(actions[..., :-1], (0, width - actions.shape[-1])), actions[..., -1:]], -1)
