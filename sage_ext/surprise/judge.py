"""The judge: what was learned about surprise on frozen contexts, and how it turns scenes into coherences.

Each look is compared with what was foretold 1, 2, 4 and 8 looks before it, group by group. There are two kinds of
evidence: the *surprise* of what came, and its *stillness*, by how much "nothing changed" explains it better than what
was foretold. Each is normalised on undisturbed experience. A look's surprise is their weighted mean, a scene's a
mean in which its worst looks count most. Weights are equal until dreams have taught others, see :mod:`.readout`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..context.layout import GROUPS, SENSES
from .calibration import Logistic, conformal
from .forecast import HORIZONS, NUMBERS, Forecaster

SHARPNESS = 3.0
"""Of the mean over a scene's looks: 0 is the plain mean, infinity the worst look."""
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
        numbers: Principal numbers of a group from which is foretold.
        usual: Undisturbed scenes that the scale knows, and looks of each.
    """

    mean: Tensor
    deviation: Tensor
    weight: Tensor
    usual: Tensor
    usual_scores: Tensor
    logistic: Tensor

    def __init__(
        self,
        action_dim: int,
        horizons: tuple[int, ...] = HORIZONS,
        numbers: int = NUMBERS,
        usual: tuple[int, int] = (0, 1),
    ) -> None:
        super().__init__()
        self.forecaster = Forecaster(action_dim, horizons, numbers)
        shape = (len(KINDS) * len(self.forecaster.horizons), len(GROUPS))
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("deviation", torch.ones(shape))
        self.register_buffer("weight", torch.full(shape, 1.0 / (shape[0] * shape[1])))
        self.register_buffer("usual", torch.zeros(*usual, *shape))
        self.register_buffer("usual_scores", torch.zeros(usual[0]))
        self.register_buffer("logistic", torch.full((4,), torch.nan))

    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` needs, as plain JSON types."""
        return {**self.forecaster.config(), "usual": list(self.usual.shape[:2])}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Judge:
        """Inverse of :meth:`config`; it has learned nothing."""
        return cls(**{**config, "horizons": tuple(config["horizons"]), "usual": tuple(config["usual"])})

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
        self.usual = self.evidence(context, actions)[:, start:].contiguous()
        self.usual_scores = self.score(self.weigh(self.usual).looks, 0).sort().values

    @torch.no_grad()
    def learn(self, weight: Tensor, impossible: Tensor, twin: Tensor, start: int) -> None:
        """Take what dreams teach: other weights, and a calibration on them.

        Args:
            weight: Of each kind of evidence, horizon and group ``(kinds * H, 15)``; sums to 1.
            impossible: Evidence of impossible scenes ``(n, T, kinds * H, 15)``.
            twin: Of their twins.
            start: Look from which scenes are judged.
        """
        self.weight.copy_(weight)
        self.usual_scores = self.score(self.weigh(self.usual).looks, 0).sort().values
        scores = [self.score(self.weigh(evidence).looks, start) for evidence in (impossible, twin)]
        fitted = Logistic.fit(torch.cat([scores[1], self.usual_scores]), scores[0])
        self.logistic.copy_(self.logistic.new_tensor([fitted.slope, fitted.offset, fitted.centre, fitted.width]))

    def weigh(self, evidence: Tensor, weight: Tensor | None = None) -> Surprise:
        """The surprise of each look from its evidence ``(n, T, kinds * H, 15)``, by other weights if given."""
        weight = self.weight if weight is None else weight
        there = ~evidence.isnan()
        told = torch.where(there, evidence, 0.0) * weight
        whole = (there * weight).sum((-2, -1)).unsqueeze(-1)
        # Not 0 / 0: its gradient would be no number even where it is masked.
        groups = torch.where(whole > 0, told.sum(-2) / whole.clamp(min=1e-12), torch.nan)
        return Surprise(groups.sum(-1), groups)

    @staticmethod
    def score(looks: Tensor, start: int | Tensor) -> Tensor:
        """Surprise of scenes: a mean over their looks in which the worst count most, ``log mean exp(3 x) / 3``.

        No look is without weight: scenes that share their worst moment are still told apart by what follows.

        Args:
            looks: Surprise of each look ``(n, T)``; NaN counts for nothing.
            start: Look from which scenes are judged, of all or of each ``(n,)``.

        Returns:
            ``(n,)``; NaN where there is nothing to judge by.
        """
        first = torch.as_tensor(start, device=looks.device).expand(len(looks))
        early = torch.arange(looks.shape[1], device=looks.device) < first.unsqueeze(1)
        out = early | looks.isnan()
        # A finite low: where nothing is judged, minus infinity would have no gradient.
        whole = (SHARPNESS * torch.where(out, -1e4, looks)).logsumexp(1)
        count = (~out).sum(1)
        return torch.where(count > 0, (whole - count.clamp(min=1).log()) / SHARPNESS, torch.nan)

    def coherence(self, score: Tensor) -> Tensor:
        """How possible scenes with these surprises are, 0..1: logistic if dreams have taught that, else conformal."""
        if bool(self.logistic.isnan().any()):
            return conformal(score, self.usual_scores)
        return Logistic(*self.logistic.tolist())(score)

    def _raw(self, context: Tensor, actions: Tensor) -> Tensor:
        forecaster = self.forecaster
        found = forecaster.unroll(context, actions)
        raw = context.new_full((*context.shape[:2], *self.mean.shape), torch.nan)
        for i, h in enumerate(forecaster.horizons):
            if h in found:
                for kind, name in enumerate(KINDS):
                    raw[:, h:, kind * len(forecaster.horizons) + i] = getattr(found[h], name)(context[:, h:])
        return raw

    def standard(self, raw: Tensor) -> Tensor:
        """Evidence as standard scores of undisturbed experience."""
        return ((raw - self.mean) / self.deviation).clamp(-HIGHEST, HIGHEST)
