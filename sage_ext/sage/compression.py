"""Training the 256 numbers: they shall keep what acting and predicting need of the 4096."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..context.layout import GROUPS
from ..learning.predictor import group_mean
from .bottleneck import MESSAGE_WIDTH

_SHRINKAGE = 1e-3
"""Of the linear reading by which kept variance is told, relative to standardised numbers."""


class CompressionHeads(nn.Module):
    """What must be readable from the 256 numbers; needed in training only.

    Linear heads for the present context and for what the expert does, so that both are kept where a linear reading
    finds them; a perceptron for the context a quarter of a chunk later, since that depends on the actions.

    Args:
        action_dim: Width of an action.
        chunk: Actions of a chunk.
        hidden: Hidden units of the prediction.
        seed: Seed of the initial weights; None takes torch's global generator.
    """

    def __init__(self, action_dim: int, chunk: int, hidden: int = 512, seed: int | None = None) -> None:
        super().__init__()
        self._config = {"action_dim": action_dim, "chunk": chunk, "hidden": hidden}
        self.ahead = max(1, chunk // 4)
        wide = sum(g.width for g in GROUPS.values())
        with torch.random.fork_rng(devices=[], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            self.present = nn.Linear(MESSAGE_WIDTH, wide)
            self.act = nn.Linear(MESSAGE_WIDTH, chunk * action_dim)
            self.later = nn.Sequential(
                nn.Linear(MESSAGE_WIDTH + self.ahead * action_dim, hidden), nn.SiLU(), nn.Linear(hidden, wide)
            )

    def config(self) -> dict[str, int]:
        """What :meth:`from_config` needs to build this architecture again, as plain JSON types."""
        return dict(self._config)

    @classmethod
    def from_config(cls, config: Mapping[str, int]) -> CompressionHeads:
        """Inverse of :meth:`config`; weights are random."""
        return cls(**config)

    def forward(self, message: Tensor, context: Tensor, actions: Tensor, valid: Tensor) -> dict[str, Tensor]:
        """What is lost in stretches of one episode each, every part about 1 where nothing is kept.

        Args:
            message: ``(B, T, 256)``.
            context: Standardised by the bottleneck, ``(B, T, 4096)``.
            actions: The expert's at each look and after it, ``(B, T, chunk, A)``.
            valid: Which of them are known, ``(B, T, chunk)`` bool.

        Returns:
            ``present``: error of the context told, all groups alike; ``act``: of the actions; ``later``: of the
            context a quarter of a chunk later, as far as that is among the T looks (else 0).
        """
        present = group_mean((self.present(message) - context).square()).mean()
        wrong = (self.act(message).view_as(actions) - actions).square().mean(-1)
        act = (wrong * valid).sum() / valid.sum().clamp(min=1)
        known = context.shape[1] - self.ahead
        later = message.new_zeros(())
        if known > 0:
            given = torch.cat([message, actions[:, :, : self.ahead].flatten(2)], -1)[:, :known]
            later = group_mean((self.later(given) - context[:, self.ahead :]).square()).mean()
        return {"present": present, "act": act, "later": later}


def kept_variance(fit: tuple[Tensor, Tensor], judged: tuple[Tensor, Tensor]) -> dict[str, float]:
    """How much of the context's variance can be read linearly from the messages.

    Args:
        fit: Messages ``(n, 256)`` and standardised contexts ``(n, 4096)`` that the reading is fitted on.
        judged: Others that it is judged on.

    Returns:
        Group -> share, at most 1; ``all`` over the whole context.
    """
    message, context = fit
    centre, scale = message.mean(0), message.std(0).clamp(min=1e-6)
    middle = context.mean(0)
    told = (message - centre) / scale
    gram = told.T @ told / len(told) + _SHRINKAGE * torch.eye(told.shape[1], device=told.device)
    reading = torch.linalg.solve(gram, told.T @ (context - middle) / len(told))
    lost = ((judged[0] - centre) / scale @ reading + middle - judged[1]).square().sum(0)
    there = (judged[1] - middle).square().sum(0)
    parts = {"all": slice(None)} | {name: g.slice for name, g in GROUPS.items()}
    return {name: 1.0 - float(lost[s].sum() / there[s].sum().clamp(min=1e-12)) for name, s in parts.items()}
