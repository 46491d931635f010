"""What is learned from pairs of a remembered moment and the same moment lived again.

=============== ====================================================================================================
``prediction``  The context some steps ahead, given the actions: squared error, in both branches. Targets carry
                gradients, as in LeJEPA and LeWorldModel (arXiv 2511.08544, 2603.19312).
``calibration`` The predicted variance of each group against the error made: the Gaussian likelihood, written as
                its Itakura-Saito divergence, which is 0 at best. The error carries no gradient here, so the space
                of contexts cannot shrink to please it.
``foresight``   The group ``predictive`` tells, linearly and without being told the actions, what ``objects``,
                ``dynamics`` and ``proprioceptive`` will be at the end of the moment.
``regularity``  SIGReg: contexts are drawn to an isotropic Gaussian.
``invariance``  The semantic groups that say nothing of places agree between the branches, where they show the same.
``change``      What the variation changed is read from the difference of the branches, see :mod:`.changes`.
``sighting``    The first landmarks are where the loose objects are in the picture, see :mod:`.sighting`.
``seeking``     The first numbers of ``intentions`` are the way to what is sought, and the landmark it is read from is
                that of the object that is meant, see :mod:`.seeking`.
=============== ====================================================================================================

A constant encoder satisfies every term but ``regularity``, ``change``, ``sighting`` and ``seeking``; see
:meth:`Objective.collapsed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..context.core import PICTURES
from ..context.encoder import ContextEncoder, Reading
from ..context.landmarks import cells
from ..context.layout import CONTEXT_WIDTH, GROUPS, SENSES, SOUGHT, untold
from ..context.presence import presence
from ..context.seeker import Aim
from ..errors import SageError
from . import asked, changes, seeking, sighting
from .batch import Batch
from .changes import CHANGES, ChangeHeads
from .predictor import ContextPredictor, group_mean
from .sigreg import epps_pulley, lines, sigreg
from .terms import Chance, Weights

INVARIANT = ("affordances", "relationships", "intentions")
"""Semantic groups that sleep's variations leave alone. ``objects`` holds places in the camera's frame: a variation that
turns the camera changes them, and ``change`` asks by how much."""
FORESEEN = ("objects", "dynamics", "proprioceptive")
"""Groups that ``predictive`` foretells."""


class Objective(nn.Module):
    """Encoder, predictor and change heads, with the loss that teaches them.

    Args:
        encoder: The encoder.
        predictor: The predictor.
        heads: What reads changes; it knows how many loose objects there are.
        weights: Weights of the terms.
    """

    def __init__(
        self,
        encoder: ContextEncoder,
        predictor: ContextPredictor,
        heads: ChangeHeads,
        weights: Weights | None = None,
        foresight: nn.Linear | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.predictor, self.heads = encoder, predictor, heads
        self.foresight = foresight or self._foresight()
        self.weights = weights or Weights()

    @staticmethod
    def _foresight() -> nn.Linear:
        layer = nn.Linear(GROUPS["predictive"].width, sum(GROUPS[name].width for name in FORESEEN))
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        return layer

    def parts(self) -> dict[str, nn.Module]:
        """What a checkpoint has to keep, by name."""
        return {
            "encoder": self.encoder,
            "predictor": self.predictor,
            "heads": self.heads,
            "foresight": self.foresight,
        }

    def paces(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """What learns at the usual rate, and what is to be exact: landmarks, and the sum that tells the way."""
        quick = [*self.encoder.landmarks.parameters(), *self.encoder.seeker.exact()]
        known = set(map(id, quick))
        return [p for p in self.parameters() if id(p) not in known], quick

    @classmethod
    def builders(cls) -> dict[str, Any]:
        """How :func:`sage_ext.context.checkpoint.load` builds :meth:`parts`."""
        return {
            "encoder": ContextEncoder.from_config,
            "predictor": ContextPredictor.from_config,
            "heads": lambda config: ChangeHeads(**config),
            "foresight": lambda config: cls._foresight(),
        }

    def forward(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """The loss and its terms.

        Both branches go through the encoder at once, after what they share.

        Args:
            batch: The pairs. Slices of one look are asked for places alone: for the changes read from ``objects``,
                which is regularised by itself, and for what is told of both branches.
            generator: Source of dropped senses and projections.

        Returns:
            Scalars: ``loss``, which carries the gradient, the unweighted terms, ``change/KIND`` for each kind of
            change, and ``skill``, the share of the error of "nothing changes" that the prediction takes away. A batch
            of single looks has ``regularity``, ``change`` and, where it tells, ``sighting`` and ``seeking`` alone.

        Raises:
            SageError: A malformed batch.
        """
        batch.check(self.heads.bodies)
        return self.judge(batch, self.draw(batch, generator))

    def draw(self, batch: Batch, generator: torch.Generator | None = None) -> Chance:
        """What is left to chance for a batch, drawn on the generator's device; without one on the batch's."""
        device = batch.actions.device
        luck = None
        if self.training and self.weights.drop > 0:
            count, drawn_on = len(batch.actions), device if generator is None else generator.device
            luck = torch.rand(count, len(SENSES), generator=generator, device=drawn_on).to(device)
        return Chance(luck, lines(self.weights.projections, generator, device))

    def judge(self, batch: Batch, chance: Chance) -> dict[str, Tensor]:
        """As :meth:`forward`, with nothing left to chance: what a graph records."""
        if batch.actions.shape[1] == 1:
            return self._of_places(batch, chance)
        context, reading, there = self._encode(batch, chance.luck)
        context = context.float()
        half = len(batch.actions)
        terms = self._predict(batch, context, there)
        terms["foresight"] = self._foresee(context)
        counted = asked.felt(batch, there).flatten(0, 1)
        with torch.autocast(context.device.type, enabled=False):
            terms["regularity"] = sigreg(context.flatten(0, 1), chance.lines, counted).mean()
        terms["invariance"] = self._invariance(batch, context[:half], context[half:])
        terms |= self._told(batch, reading, context[..., SOUGHT], there)
        return self._sum(terms, self._changes(*asked.changed(batch), self.heads(context[half:] - context[:half])))

    def _of_places(self, batch: Batch, chance: Chance) -> dict[str, Tensor]:
        """The loss of single looks: nothing is worked out but what they ask for."""
        flags = presence(batch.remembered, batch.present)
        flags = flags if chance.luck is None else self._drop(flags, chance.luck)
        both = {k: torch.cat([v, batch.varied[k]]) for k, v in batch.remembered.items()}
        flags = torch.cat([flags, flags])
        present = {k: flags[..., i] for i, k in enumerate(SENSES) if k in both}
        told = {}
        if batch.sights or batch.sought:
            objects, way, reading = self.encoder.glimpse(both, present)
            told = self._told(batch, reading, way, flags)
        else:
            objects = self.encoder.locate(both, present)
        objects = objects.float()
        half, index = len(batch.actions), list(GROUPS).index("objects")
        apart = objects[half:] - objects[:half]
        read = {k: self.heads.read[k](apart) for k in asked.of_objects(batch)}
        with torch.autocast(objects.device.type, enabled=False):
            free = objects[..., untold(GROUPS["objects"]).start - GROUPS["objects"].start :]
            regularity = epps_pulley(free.flatten(0, 1) @ chance.lines[index]).mean()
        return self._sum_of_places(batch, regularity, read, told)

    def _told(self, batch: Batch, reading: Reading, way: Tensor, there: Tensor) -> dict[str, Tensor]:
        """Errors of what the simulator tells of each look, given which senses are there."""
        told = {}
        with torch.autocast(way.device.type, enabled=False):
            if batch.sights and reading.chart is not None:
                where = asked.shown(there).flatten(), asked.ranged(there).flatten()
                nowhere, sights = self.encoder.landmarks.nowhere, asked.both(batch.sights)
                told["sighting"] = sighting.sighting(reading.chart, nowhere, sights, *where)
            if batch.sought:
                aim, oriented = Aim(*(part.flatten(0, 1) for part in reading.aim)), asked.oriented(there).flatten()
                told["seeking"] = seeking.seeking(way.flatten(0, 1), aim, asked.both(batch.sought), oriented)
        return told

    def _sum_of_places(
        self, batch: Batch, regularity: Tensor, read: Mapping[str, Tensor], told: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        # The other groups have their part in the mean over all, and nothing to say.
        terms = {"regularity": regularity / len(GROUPS)} | told
        return self._sum(terms, self._changes({k: batch.change[k] for k in read}, batch.asked, read))

    @torch.no_grad()
    def collapsed(self, batch: Batch) -> dict[str, Tensor]:
        """The least loss any constant encoder reaches on a batch, whatever its predictor, to show beside the loss.

        A constant predicts itself, agrees with itself and shows no change (the heads have no bias). Of
        all constants zero is the nearest to a Gaussian.

        Args:
            batch: The pairs.

        Returns:
            The same scalars as :meth:`forward`.
        """
        batch.check(self.heads.bodies)
        if batch.actions.shape[1] == 1:
            nothing = {k: torch.zeros_like(batch.change[k]) for k in asked.of_objects(batch)}
            alike = torch.zeros(2 * len(batch.actions), 1, device=batch.actions.device)
            told = self._told_of_a_constant(batch)
            return self._sum_of_places(batch, epps_pulley(alike).mean(), nothing, told)
        there = self._presence(batch).flatten(0, 1)
        constant = torch.zeros(len(there), CONTEXT_WIDTH, device=batch.actions.device)
        zero = constant.new_zeros(())
        terms = dict.fromkeys(("prediction", "calibration", "foresight", "invariance", "skill"), zero)
        counted = asked.felt(batch, there.unflatten(0, (-1, batch.actions.shape[1]))).flatten(0, 1)
        terms["regularity"] = sigreg(constant, lines(1, device=constant.device), counted).mean()
        terms |= self._told_of_a_constant(batch)
        change, where = asked.changed(batch)
        return self._sum(terms, self._changes(change, where, {name: torch.zeros_like(v) for name, v in change.items()}))

    def _told_of_a_constant(self, batch: Batch) -> dict[str, Tensor]:
        told, there = {}, self._presence(batch)
        picture = next((batch.remembered[k] for k in PICTURES if k in batch.remembered), None)
        if batch.sights and picture is not None:
            grid, ranged = cells(picture.shape[2:4]), asked.ranged(there).flatten()
            told["sighting"] = sighting.of_a_constant(asked.both(batch.sights), grid, ranged)
        if batch.sought:
            told["seeking"] = seeking.of_a_constant(asked.both(batch.sought), asked.oriented(there).flatten())
        return told

    def _presence(self, batch: Batch) -> Tensor:
        """Which groups count, ``(2B, T, 15)``: sensory groups where the sense is present, the others always."""
        flags = presence(batch.remembered, batch.present)
        return asked.with_read_groups(torch.cat([flags, flags]))

    def _encode(self, batch: Batch, luck: Tensor | None) -> tuple[Tensor, Reading, Tensor]:
        both = {k: torch.cat([v, batch.varied[k]]) for k, v in batch.remembered.items()}
        flags = presence(batch.remembered, batch.present)
        kept = flags if luck is None else self._drop(flags, luck)
        state = reset = None
        if batch.history is not None:
            # The same senses are missing before, so that motion is known where there is any.
            before = {k: kept[:, :1, SENSES.index(k)].expand(-1, v.shape[1]) for k, v in batch.history.items()}
            state = self.encoder(batch.history, None, before)[1]
            state = torch.cat([state, state])
            if batch.forget is not None:
                reset = torch.zeros(len(state), kept.shape[1], dtype=torch.bool, device=kept.device)
                reset[:, 0] = torch.cat([batch.forget, batch.forget])
        flags = torch.cat([kept, kept])
        present = {k: flags[..., i] for i, k in enumerate(SENSES) if k in both}
        context, _, reading = self.encoder.charted(both, state, present, reset)
        return context, reading, asked.with_read_groups(flags)

    def _drop(self, flags: Tensor, luck: Tensor) -> Tensor:
        """Take senses from some pairs, from both branches alike, so that what differs is the change."""
        kept = flags & (luck >= self.weights.drop).unsqueeze(1)
        return torch.where(kept.any(-1, keepdim=True), kept, flags)  # nobody is left with nothing

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

    def _foresee(self, context: Tensor) -> Tensor:
        """Error of what ``predictive`` foretold at the beginning of what came at the end, which is not moved by it."""
        told = self.foresight(context[:, 0, GROUPS["predictive"].slice])
        came = torch.cat([context[:, -1, GROUPS[name].slice] for name in FORESEEN], -1)
        return (told - came.detach()).square().mean()

    @staticmethod
    def _invariance(batch: Batch, remembered: Tensor, varied: Tensor) -> Tensor:
        def same(context: Tensor) -> Tensor:
            return torch.cat([context[..., GROUPS[name].slice] for name in INVARIANT], -1)

        before, after = same(remembered), same(varied)
        if batch.match is None:
            return (before - after).square().mean()
        index = batch.match.clamp(min=0).unsqueeze(-1).expand_as(after)
        apart = (before.gather(1, index) - after).square().mean(-1)
        count = (batch.match >= 0).to(apart.dtype)
        return (apart * count).sum() / count.sum().clamp(min=1)

    @staticmethod
    def _changes(
        change: Mapping[str, Tensor], where: Mapping[str, Tensor], read: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        # A scene may have fewer loose objects than are known.
        told = {k: read[k][..., : v.shape[-1]] for k, v in change.items()}
        return {k: changes.unexplained(told[k], v, where[k], CHANGES[k].usual) for k, v in change.items()}

    def _sum(self, terms: dict[str, Tensor], by_kind: dict[str, Tensor]) -> dict[str, Tensor]:
        zero = terms["regularity"].new_zeros(())
        terms["change"] = torch.stack([zero, *by_kind.values()]).sum()
        names = ("prediction", "calibration", "foresight", "regularity", "invariance", "change", "sighting", "seeking")
        loss = torch.stack([getattr(self.weights, name) * terms[name] for name in names if name in terms]).sum()
        kinds = {f"change/{name}": value.detach() for name, value in by_kind.items()}
        return {"loss": loss} | {name: value.detach() for name, value in terms.items()} | kinds
