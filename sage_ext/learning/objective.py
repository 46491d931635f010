"""What is learned from pairs of a remembered moment and the same moment lived again.

=============== ====================================================================================================
``prediction``  The context some steps ahead, given the actions: squared error, in both branches. Targets carry
                gradients, as in LeJEPA and LeWorldModel (arXiv 2511.08544, 2603.19312).
``calibration`` The predicted variance of each group against the error made: the Gaussian likelihood, written as
                its Itakura-Saito divergence, which is 0 at best. The error carries no gradient here, so the space
                of contexts cannot shrink to please it.
``regularity``  SIGReg: contexts are drawn to an isotropic Gaussian.
``invariance``  Semantic groups agree between the branches, where they show the same.
``physics``     The change of log gravity and log friction is read from the difference of the physical groups.
=============== ====================================================================================================

A constant encoder satisfies every term but ``regularity`` and ``physics``; see :meth:`Objective.collapsed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..context.encoder import ContextEncoder
from ..context.layout import CONTEXT_WIDTH, GROUPS, SENSES, Group, family
from ..errors import SageError
from .predictor import ContextPredictor, group_mean
from .sigreg import sigreg

CHANGES: tuple[str, ...] = ("log_gravity", "log_friction")
"""What a variation changes, in the order of :attr:`Batch.change`."""


@dataclass(frozen=True)
class Weights:
    """Weights of the terms, and what else there is to choose.

    Attributes:
        prediction: Weight of that term, like the four that follow.
        calibration: Touches the variances alone.
        regularity: The statistic grows with the batch for a collapsed encoder and does not for a Gaussian one.
            On a toy of 128 frames an update 0.1 let deviations shrink by a sixth in 48 updates, 0.3 held them.
        invariance: Weight.
        physics: Weight.
        projections: Random lines a group and update.
        drop: Chance that a sense is taken from a slice in training.
        change_scale: Size of a usual change, in logarithms: errors of ``physics`` are measured in it. x1.2 is 0.18.
    """

    prediction: float = 1.0
    calibration: float = 0.1
    regularity: float = 0.3
    invariance: float = 1.0
    physics: float = 1.0
    projections: int = 32
    drop: float = 0.1
    change_scale: float = 0.2


@dataclass
class Batch:
    """Pairs of slices.

    Attributes:
        remembered: Sense -> ``(B, T, *shape)``, as it was.
        varied: The same moments lived again.
        actions: ``(B, T, A)``, of step t after its observation.
        change: ``(B, 2)``, what the variation multiplied gravity and friction by, as natural logarithms.
        match: ``(B, T)`` int: for each step of ``varied`` the step of ``remembered`` that shows the same instant,
            -1 where none does; None is step for step.
        asked: ``(B, 2)`` bool: where ``change`` is meant; None is everywhere.
        varied_actions: If others were taken.
        present: Sense -> ``(B, T)`` bool, for both branches.
        state: State of the encoder before the slice, ``(B, width)``; None starts episodes.
    """

    remembered: Mapping[str, Tensor]
    varied: Mapping[str, Tensor]
    actions: Tensor
    change: Tensor
    match: Tensor | None = None
    asked: Tensor | None = None
    varied_actions: Tensor | None = None
    present: Mapping[str, Tensor] = field(default_factory=dict)
    state: Tensor | None = None

    def check(self) -> None:
        """Check that the parts belong together; the encoder checks the observations themselves.

        Raises:
            SageError: Branches with other senses, or axes that disagree.
        """
        if set(self.remembered) != set(self.varied):
            odd = sorted(set(self.remembered) ^ set(self.varied))[0]
            raise SageError("batch", odd, "is in one branch only", "give both branches the same senses")
        want = tuple(self.actions.shape[:2])
        shapes = {f"{b}.{k}": v.shape[:2] for b in ("remembered", "varied") for k, v in getattr(self, b).items()}
        for name, shape in shapes.items():
            if tuple(shape) != want:
                raise SageError(f"batch.{name}", tuple(shape), f"must be {want} like actions", "slice them alike")
        if tuple(self.change.shape) != (want[0], len(CHANGES)):
            shape = tuple(self.change.shape)
            raise SageError("batch.change", shape, f"must be ({want[0]}, {len(CHANGES)})", f"give {CHANGES}")


class ChangeHead(nn.Linear):
    """Reads a change of physics from the difference of physical groups.

    Linear and without bias, so that swapping the branches negates it, equal branches give exactly no change, and
    what it learns can be read by a linear probe.
    """

    def __init__(self) -> None:
        super().__init__(sum(g.width for g in family("physical")), len(CHANGES), bias=False)
        nn.init.zeros_(self.weight)


class Objective(nn.Module):
    """Encoder, predictor and change head, with the loss that teaches them.

    ``torch.optim.AdamW(objective.parameters(), lr=1e-4, fused=True)`` learns everything.

    Args:
        encoder: The encoder.
        predictor: The predictor.
        weights: Weights of the terms.
    """

    def __init__(self, encoder: ContextEncoder, predictor: ContextPredictor, weights: Weights | None = None) -> None:
        super().__init__()
        self.encoder, self.predictor, self.physics = encoder, predictor, ChangeHead()
        self.weights = weights or Weights()

    def parts(self) -> dict[str, nn.Module]:
        """What a checkpoint has to keep, by name."""
        return {"encoder": self.encoder, "predictor": self.predictor, "physics": self.physics}

    @staticmethod
    def builders() -> dict[str, Any]:
        """How :func:`sage_ext.context.checkpoint.load` builds :meth:`parts`."""
        return {
            "encoder": ContextEncoder.from_config,
            "predictor": ContextPredictor.from_config,
            "physics": lambda config: ChangeHead(),
        }

    def forward(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """The loss and its terms.

        Both branches go through the encoder at once.

        Args:
            batch: The pairs; slices longer than the shortest horizon.
            generator: Source of dropped senses and projections.

        Returns:
            Scalars: ``loss``, which carries the gradient, the unweighted terms, and ``skill``, the share of the
            error of "nothing changes" that the prediction takes away.

        Raises:
            SageError: A malformed batch.
        """
        batch.check()
        context, there = self._encode(batch, generator)
        half = len(batch.actions)
        terms = dict(self._predict(batch, context, there))
        terms["regularity"] = sigreg(
            context.flatten(0, 1), self.weights.projections, generator, there.flatten(0, 1)
        ).mean()
        terms["invariance"] = self._invariance(batch, context[:half], context[half:])
        physical = context[:, -1, _span(family("physical"))]
        terms["physics"] = self._physics(batch, self.physics(physical[half:] - physical[:half]))
        return self._sum(terms)

    @torch.no_grad()
    def collapsed(self, batch: Batch) -> dict[str, Tensor]:
        """The least loss any constant encoder reaches on a batch, whatever its predictor, to show beside the loss.

        A constant predicts itself, agrees with itself and shows no change of physics (the head has no bias). Of
        all constants zero is the nearest to a Gaussian.

        Args:
            batch: The pairs.

        Returns:
            The same scalars as :meth:`forward`.
        """
        batch.check()
        there = self._presence(batch).flatten(0, 1)
        constant = torch.zeros(len(there), CONTEXT_WIDTH, device=batch.actions.device)
        zero = constant.new_zeros(())
        terms = dict.fromkeys(("prediction", "calibration", "invariance", "skill"), zero)
        terms["regularity"] = sigreg(constant, 1, None, there).mean()
        terms["physics"] = self._physics(batch, torch.zeros_like(batch.change))
        return self._sum(terms)

    def _presence(self, batch: Batch) -> Tensor:
        """Which groups count, ``(2B, T, 15)``: sensory groups where the sense is present, the others always."""
        flags = self.encoder.presence(batch.remembered, batch.present)
        return _with_read_groups(torch.cat([flags, flags]))

    def _encode(self, batch: Batch, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        both = {k: torch.cat([v, batch.varied[k]]) for k, v in batch.remembered.items()}
        flags = self.encoder.presence(batch.remembered, batch.present)
        flags = torch.cat([flags, flags])
        if self.training and self.weights.drop > 0:
            device = flags.device if generator is None else generator.device
            luck = torch.rand(len(flags), len(SENSES), generator=generator, device=device).to(flags.device)
            kept = flags & (luck >= self.weights.drop).unsqueeze(1)
            flags = torch.where(kept.any(-1, keepdim=True), kept, flags)  # nobody is left with nothing
        present = {k: flags[..., i] for i, k in enumerate(SENSES) if k in both}
        state = None if batch.state is None else torch.cat([batch.state, batch.state])
        context, _ = self.encoder(both, state, present)
        return context, _with_read_groups(flags)

    def _predict(self, batch: Batch, context: Tensor, there: Tensor) -> dict[str, Tensor]:
        others = batch.actions if batch.varied_actions is None else batch.varied_actions
        found = self.predictor.unroll(context, torch.cat([batch.actions, others]))
        if not found:
            need = self.predictor.horizons[0] + 1
            raise SageError("batch.actions", tuple(batch.actions.shape), f"needs {need} steps", "take longer slices")
        errors, strays, still, counts = [], [], [], []
        for h, prediction in found.items():
            target = context[:, h:]
            count = there[:, h:].to(context.dtype)
            error = prediction.error(target)
            ratio = (error.detach() + 1e-6) * torch.exp(-prediction.log_variance)
            errors.append((error * count).sum())
            strays.append(((ratio - torch.log(ratio) - 1) * count).sum())
            with torch.no_grad():
                still.append((group_mean((target - context[:, :-h]).square()) * count).sum())
            counts.append(count.sum())
        error, total = torch.stack(errors).sum(), torch.stack(counts).sum().clamp(min=1)
        skill = 1 - error.detach() / torch.stack(still).sum().clamp(min=1e-12)
        return {"prediction": error / total, "calibration": torch.stack(strays).sum() / total, "skill": skill}

    @staticmethod
    def _invariance(batch: Batch, remembered: Tensor, varied: Tensor) -> Tensor:
        span = _span(family("semantic"))
        before, after = remembered[..., span], varied[..., span]
        if batch.match is None:
            return (before - after).square().mean()
        index = batch.match.clamp(min=0).unsqueeze(-1).expand_as(after)
        apart = (before.gather(1, index) - after).square().mean(-1)
        count = (batch.match >= 0).to(apart.dtype)
        return (apart * count).sum() / count.sum().clamp(min=1)

    def _physics(self, batch: Batch, read: Tensor) -> Tensor:
        asked = torch.ones_like(batch.change, dtype=torch.bool) if batch.asked is None else batch.asked
        # Entries that are not asked may hold anything, NaN too.
        wrong = torch.where(asked, read - torch.where(asked, batch.change, 0.0), 0.0) / self.weights.change_scale
        return wrong.square().sum() / asked.sum().clamp(min=1)

    def _sum(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        names = ("prediction", "calibration", "regularity", "invariance", "physics")
        loss = torch.stack([getattr(self.weights, name) * terms[name] for name in names]).sum()
        return {"loss": loss} | {name: value.detach() for name, value in terms.items()}


def _with_read_groups(flags: Tensor) -> Tensor:
    rest = torch.ones(*flags.shape[:-1], len(GROUPS) - len(SENSES), dtype=torch.bool, device=flags.device)
    return torch.cat([flags, rest], -1)


def _span(groups: tuple[Group, ...]) -> slice:
    return slice(groups[0].start, groups[-1].slice.stop)
