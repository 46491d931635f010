"""What should come, told from long before: a sequence model of frozen contexts.

A predictor of the next look is fooled by stillness: an object that hangs in the air is easy to predict look by look.
So a recurrent network is fitted to undisturbed stretches of frozen contexts, and foretells, as a distribution, the
*change* after 1, 2, 4 and 8 looks: what was foretold before a violation is still to be answered for after it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..context.layout import CONTEXT_WIDTH, GROUPS

HORIZONS = (1, 2, 4, 8)
"""Looks ahead."""
NUMBERS = 16
"""Principal numbers of each group that are foretold; what lies outside of them counts as one more."""
LIMIT = 12.0
"""Standard deviations at which a number is cut: one outlier must not outshout a scene."""
_LOG_VARIANCE = 6.0


@dataclass
class Forecast:
    """A distribution over the codes of a look, normal and independent number by number.

    Attributes:
        now: Codes of the look from which it was foretold ``(..., 15, c)``.
        mean: ``(..., 15, c)``.
        log_variance: ``(..., 15, c)``.
    """

    now: Tensor
    mean: Tensor
    log_variance: Tensor

    def surprise(self, came: Tensor) -> Tensor:
        """Negative log-likelihood a number, up to a constant, of each group: ``(..., 15, c)`` -> ``(..., 15)``."""
        return 0.5 * ((came - self.mean).square() * torch.exp(-self.log_variance) + self.log_variance).mean(-1)

    def stillness(self, came: Tensor) -> Tensor:
        """By how much "nothing changed" explains a look better than what was foretold, of each group ``(..., 15)``.

        A log-likelihood ratio at the foretold variance: positive where change was due and did not come.
        """
        apart = (came - self.mean).square() - (came - self.now).square()
        return 0.5 * (apart * torch.exp(-self.log_variance)).mean(-1)


class Forecaster(nn.Module):
    """Codes of contexts, a recurrent network over them, and what it foretells for each horizon.

    It starts as "nothing changes". A code is a context's leading principal numbers of each group, whitened on
    undisturbed experience, and the logarithm of the energy outside of them, which novelty raises.

    Args:
        action_dim: Width of an action.
        horizons: Looks ahead.
        numbers: Principal numbers a group.
        hidden: Width of the network.
        seed: Seed of the initial weights; None takes torch's global generator.
    """

    mean: Tensor
    basis: Tensor
    scale: Tensor
    rest: Tensor

    def __init__(
        self,
        action_dim: int,
        horizons: Sequence[int] = HORIZONS,
        numbers: int = NUMBERS,
        hidden: int = 128,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.action_dim, self.horizons, self.numbers, self.hidden = action_dim, tuple(horizons), numbers, hidden
        width = len(GROUPS) * (numbers + 1)
        self.register_buffer("mean", torch.zeros(CONTEXT_WIDTH))
        self.register_buffer("basis", torch.zeros(CONTEXT_WIDTH, len(GROUPS) * numbers))
        self.register_buffer("scale", torch.ones(len(GROUPS), numbers))
        self.register_buffer("rest", torch.tensor([[0.0], [1.0]]).repeat(1, len(GROUPS)))
        with torch.random.fork_rng(devices=[], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            self.recur = nn.GRU(width, hidden, batch_first=True)
            self.heads = nn.ModuleList(
                nn.Sequential(
                    nn.Linear(hidden + width + action_dim * h, hidden), nn.SiLU(), nn.Linear(hidden, 2 * width)
                )
                for h in self.horizons
            )
        for head in self.heads:
            for weight in head[2].parameters():  # type: ignore[index]
                nn.init.zeros_(weight)

    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` needs, as plain JSON types."""
        return {
            "action_dim": self.action_dim,
            "horizons": list(self.horizons),
            "numbers": self.numbers,
            "hidden": self.hidden,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Forecaster:
        """Inverse of :meth:`config`; weights are random."""
        return cls(**config)

    @torch.no_grad()
    def whiten(self, context: Tensor) -> None:
        """Learn the codes from undisturbed contexts ``(n, T, 4096)``; more looks than numbers a group."""
        flat = context.flatten(0, -2).float()
        self.mean.copy_(flat.mean(0))
        flat = flat - self.mean
        for i, group in enumerate(GROUPS.values()):
            part = flat[:, group.slice]
            # Exact, so that the same contexts give the same codes whatever torch's global generator.
            values, vectors = torch.linalg.eigh(part.T @ part / len(part))
            columns = slice(i * self.numbers, (i + 1) * self.numbers)
            self.basis[group.slice, columns] = vectors[:, -self.numbers :].flip(1)
            self.scale[i] = values[-self.numbers :].flip(0).clamp(min=1e-8).sqrt()
        outside = self._outside(flat, (flat @ self.basis).unflatten(-1, (len(GROUPS), self.numbers)))
        self.rest.copy_(torch.stack([outside.mean(0), outside.std(0).clamp(min=1e-3)]))

    def code(self, context: Tensor) -> Tensor:
        """Codes of contexts: ``(..., 4096)`` -> ``(..., 15, numbers + 1)``."""
        centred = context.float() - self.mean
        inside = (centred @ self.basis).unflatten(-1, (len(GROUPS), self.numbers))
        outside = (self._outside(centred, inside) - self.rest[0]) / self.rest[1]
        return torch.cat([inside / self.scale, outside.unsqueeze(-1)], -1).clamp(-LIMIT, LIMIT)

    def follow(self, code: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Memory after each look of sequences.

        Args:
            code: ``(B, T, 15, c)``.
            state: Memory before the first look ``(B, hidden)``; None begins.

        Returns:
            ``(B, T, hidden)`` and the last of them ``(B, hidden)``.
        """
        after, last = self.recur(code.flatten(-2), None if state is None else state.unsqueeze(0))
        return after, last[0]

    def foretell(self, memory: Tensor, code: Tensor, actions: Tensor) -> Forecast:
        """What the codes will be after some looks.

        Args:
            memory: From :meth:`follow`, at the look from which it is foretold ``(..., hidden)``.
            code: Of that look ``(..., 15, c)``.
            actions: What is done from then on ``(..., h, action_dim)``; h is one of the horizons.
        """
        head = self.heads[self.horizons.index(actions.shape[-2])]
        told = head(torch.cat([memory, code.flatten(-2), actions.flatten(-2)], -1))
        change, log_variance = told.unflatten(-1, (2, *code.shape[-2:])).unbind(-3)
        return Forecast(code, code + change, _LOG_VARIANCE * torch.tanh(log_variance / _LOG_VARIANCE))

    def unroll(self, code: Tensor, actions: Tensor) -> dict[int, Forecast]:
        """What is foretold from every look of sequences, for each horizon that fits in.

        Args:
            code: ``(B, T, 15, c)``.
            actions: What was done after each look ``(B, T, A)``.

        Returns:
            Horizon h -> forecasts of ``code[:, h:]``.
        """
        time, (memory, _) = code.shape[1], self.follow(code)
        return {
            h: self.foretell(memory[:, :-h], code[:, :-h], actions[:, : time - 1].unfold(1, h, 1).movedim(-1, -2))
            for h in self.horizons
            if h < time
        }

    def loss(self, code: Tensor, actions: Tensor) -> Tensor:
        """Mean surprise over looks and groups, summed over horizons: what :func:`fit` makes small."""
        found = self.unroll(code, actions)
        return torch.stack([forecast.surprise(code[:, h:]).mean() for h, forecast in found.items()]).sum()

    @staticmethod
    def _outside(centred: Tensor, inside: Tensor) -> Tensor:
        energy = torch.stack([centred[..., g.slice].square().sum(-1) for g in GROUPS.values()], -1)
        return (energy - inside.square().sum(-1)).clamp(min=1e-6).log()


def fit(
    forecaster: Forecaster,
    context: Tensor,
    actions: Tensor,
    updates: int,
    generator: torch.Generator,
    batch: int = 32,
    lr: float = 2e-3,
) -> float:
    """Learn from undisturbed stretches what comes.

    Args:
        forecaster: Learns, its codes too.
        context: Frozen contexts ``(n, T, 4096)``.
        actions: What was done after each look ``(n, T, A)``.
        updates: Steps of AdamW, at a learning rate that falls to 0 as a cosine.
        generator: Source of batches, on the CPU.
        batch: Stretches an update.
        lr: Learning rate at the beginning.

    Returns:
        Mean loss of the last tenth of the updates.
    """
    forecaster.whiten(context)
    code = forecaster.code(context)
    optimizer = torch.optim.AdamW(forecaster.parameters(), lr=lr, weight_decay=0.01)
    last: list[float] = []
    for update in range(updates):
        some = torch.randint(len(code), (min(batch, len(code)),), generator=generator)
        for group in optimizer.param_groups:
            group["lr"] = lr * 0.5 * (1 + math.cos(math.pi * update / updates))
        loss = forecaster.loss(code[some], actions[some])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(forecaster.parameters(), 1.0)
        optimizer.step()
        last = [*last, float(loss.detach())][-max(1, updates // 10) :]
    return sum(last) / len(last) if last else math.nan
