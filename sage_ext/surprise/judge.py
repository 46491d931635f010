"""The judge: what was learned about surprise on frozen contexts, and how it turns scenes into coherences.

Each look is compared with what was foretold 1, 2, 4 and 8 looks before it, group by group. There are two kinds of
evidence: the *surprise* of what came, and its *stillness*, by how much "nothing changed" explains it better than what
was foretold. Each is normalised on undisturbed experience. A look's surprise is their weighted mean, a scene's that of
its worst looks. Weights are equal until dreams have taught others, see :mod:`.readout`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..context.layout import GROUPS, SENSES
from .calibration import Logistic, conformal
from .forecast import HORIZONS, NUMBERS, Forecaster

WORST = 3
"""Looks that make up a scene's surprise."""
KINDS = ("surprise", "stillness")
"""Kinds of evidence, each at every horizon."""
HIGHEST = 10.0
"""Standard scores are cut here, so that one number cannot outshout a scene."""


@dataclass
class Surprise:
    """When, and in what, the mind was surprised.

    Attributes:
        looks: Surprise of each look ``(n, T)``; NaN where nothing had been foretold.
        groups: What each group of the context contributes ``(n, T, 15)``, in the order of the layout; the sum over
            groups is ``looks``.
    """

    looks: Tensor
    groups: Tensor

    @property
    def senses(self) -> Tensor:
        """What the five sensory groups contribute ``(n, T, 5)``, in the order of ``SENSES``."""
        return self.groups[..., : len(SENSES)]


class Judge(nn.Module):
    """A forecaster, the scale of its surprise, the weights of evidence, and two calibrations.

    Args:
        action_dim: Width of an action.
        horizons: Looks ahead.
        numbers: Principal numbers of a group that are foretold.
        hidden: Width of the forecaster.
        usual: How many undisturbed scenes the scale knows.
        seed: Seed of the initial weights; None takes torch's global generator.
    """

    mean: Tensor
    deviation: Tensor
    weight: Tensor
    usual: Tensor
    logistic: Tensor

    def __init__(
        self,
        action_dim: int,
        horizons: tuple[int, ...] = HORIZONS,
        numbers: int = NUMBERS,
        hidden: int = 128,
        usual: int = 0,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.forecaster = Forecaster(action_dim, horizons, numbers, hidden, seed)
        shape = (len(KINDS) * len(self.forecaster.horizons), len(GROUPS))
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("deviation", torch.ones(shape))
        self.register_buffer("weight", torch.full(shape, 1.0 / (shape[0] * shape[1])))
        self.register_buffer("usual", torch.zeros(usual))
        self.register_buffer("logistic", torch.full((4,), torch.nan))

    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` needs, as plain JSON types."""
        return {**self.forecaster.config(), "usual": len(self.usual)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Judge:
        """Inverse of :meth:`config`; weights are random."""
        return cls(**{**config, "horizons": tuple(config["horizons"])})

    @torch.no_grad()
    def evidence(self, context: Tensor, actions: Tensor) -> Tensor:
        """Standard scores of each look's evidence.

        Args:
            context: Frozen contexts ``(n, T, 4096)``.
            actions: What was done after each look ``(n, T, A)``.

        Returns:
            ``(n, T, kinds * H, 15)``: surprise at each horizon, then stillness at each; NaN where nothing had been
            foretold.
        """
        return self.standard(self._raw(context, actions))

    @torch.no_grad()
    def scale(self, context: Tensor, actions: Tensor, start: int) -> None:
        """Learn what undisturbed scenes surprise like; they should be others than those the forecaster learned from.

        Args:
            context: Frozen contexts ``(m, T, 4096)``.
            actions: What was done after each look ``(m, T, A)``.
            start: Look from which scenes are judged.
        """
        raw = self._raw(context, actions)[:, start:].flatten(0, 1)
        self.mean.copy_(raw.nanmean(0).nan_to_num())
        self.deviation.copy_((raw - self.mean).square().nanmean(0).sqrt().nan_to_num(1.0).clamp(min=1e-6))
        self.rescale(self.evidence(context, actions), start)

    @torch.no_grad()
    def rescale(self, evidence: Tensor, start: int) -> None:
        """Learn anew how undisturbed scenes score, as after other weights, from their evidence."""
        self.usual = self.score(self.weigh(evidence).looks, start).sort().values

    def weigh(self, evidence: Tensor, weight: Tensor | None = None) -> Surprise:
        """The surprise of each look from its evidence ``(n, T, kinds * H, 15)``, by other weights if given."""
        weight = self.weight if weight is None else weight
        there = ~evidence.isnan()
        told = torch.where(there, evidence, 0.0) * weight
        whole = (there * weight).sum((-2, -1))
        groups = told.sum(-2) / whole.unsqueeze(-1)
        return Surprise(groups.sum(-1), groups)

    @staticmethod
    def score(looks: Tensor, start: int | Tensor) -> Tensor:
        """Surprise of scenes: the mean of their worst looks.

        Args:
            looks: Surprise of each look ``(n, T)``; NaN counts for nothing.
            start: Look from which scenes are judged, of all or of each ``(n,)``.

        Returns:
            ``(n,)``; NaN where there is nothing to judge by.
        """
        first = torch.as_tensor(start, device=looks.device).expand(len(looks))
        early = torch.arange(looks.shape[1], device=looks.device) < first.unsqueeze(1)
        judged = looks.masked_fill(early | looks.isnan(), -torch.inf)
        worst = judged.topk(min(WORST, looks.shape[1]), dim=1).values
        there = worst.isfinite()
        return torch.where(there, worst, 0.0).sum(1) / there.sum(1)

    def coherence(self, score: Tensor) -> Tensor:
        """How possible scenes with these surprises are, 0..1: logistic if dreams have taught that, else conformal."""
        if bool(self.logistic.isnan().any()):
            return conformal(score, self.usual)
        return Logistic(*self.logistic.tolist())(score)

    def learn_logistic(self, possible: Tensor, impossible: Tensor) -> None:
        """Calibrate coherence on surprises of possible ``(m,)`` and impossible scenes ``(n,)``."""
        fitted = Logistic.fit(possible, impossible)
        self.logistic.copy_(self.logistic.new_tensor([fitted.slope, fitted.offset, fitted.centre, fitted.width]))

    def _raw(self, context: Tensor, actions: Tensor) -> Tensor:
        forecaster = self.forecaster
        code = forecaster.code(context)
        found = forecaster.unroll(code, actions)
        raw = code.new_full((*code.shape[:2], *self.mean.shape), torch.nan)
        for i, h in enumerate(forecaster.horizons):
            if h in found:
                for kind, name in enumerate(KINDS):
                    raw[:, h:, kind * len(forecaster.horizons) + i] = getattr(found[h], name)(code[:, h:])
        return raw

    def standard(self, raw: Tensor) -> Tensor:
        """Evidence as standard scores of undisturbed experience."""
        return ((raw - self.mean) / self.deviation).clamp(-HIGHEST, HIGHEST)
