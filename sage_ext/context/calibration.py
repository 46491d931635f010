"""The scale an encoder begins with: every number of the context at mean 0 and deviation 1 on first experience."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .core import PICTURES
from .encoder import ContextEncoder
from .heads import READ, Head, numbers_of
from .layout import GROUPS, SENSES
from .presence import presence
from .scan import scan
from .seeker import BODY
from .stems import VectorStem

_SILENT = 1e-4
"""Numbers that vary by less are those of a sense that was silent; pictures' numbers vary by 1e-3 at least."""
_SILENT_GAIN = 20.0
"""Those are scaled up by no more: such a sense must not shout when it first speaks."""


@torch.no_grad()
def calibrate(
    encoder: ContextEncoder, observation: Mapping[str, Tensor], present: Mapping[str, Tensor] | None = None
) -> None:
    """Bring every number of the context to mean 0 and deviation 1.

    Untrained, the numbers are almost constant: pictures share most of their light. Mean and scale are folded
    once into the last linear layers (data-dependent initialisation, arXiv 1511.06856), so nothing is
    normalised afterwards and training starts where SIGReg wants it, with no first updates spent on scale.

    Args:
        encoder: Is changed in place.
        observation: Sense -> ``(B, T, *shape)``, a few dozen frames at least.
        present: As in :meth:`ContextEncoder.forward`.
    """
    flags = presence(observation, present).flatten(0, 1)
    scaled = {key: flags[:, index] for index, key in enumerate(SENSES) if key in observation}
    for key, there in scaled.items():
        stem = encoder.stems[key]
        if isinstance(stem, VectorStem) and int(there.sum()) > 1:
            felt = observation[key].flatten(0, 1)
            scaled[key] = _usual(felt, there)
            stem.calibrate(felt[scaled[key]])
            if key == BODY:
                encoder.body.calibrate(felt[there])
    ranged = flags[:, SENSES.index("depth")]
    if "depth" in observation and int(ranged.sum()) > 1:
        encoder.ranges.calibrate(scan(observation["depth"].flatten(0, 1)[ranged]))
    context, _ = encoder(observation, present=present)
    for key, looks in scaled.items():
        _fold(encoder.stems[key], context.flatten(0, 1)[looks][:, GROUPS[key].slice])
    shown = flags[:, [SENSES.index(key) for key in PICTURES]].any(-1)
    points = encoder.points(observation, present).flatten(0, 1)[shown]
    if len(points) > 1:
        head = encoder.heads["objects"]
        assert isinstance(head, Head)
        head.even(points)
        _fold(head, head(points))
    context, _ = encoder(observation, present=present)
    for name in READ:
        if name != "objects":
            _fold(encoder.heads[name], context[..., numbers_of(name)].flatten(0, 1))


def _usual(felt: Tensor, there: Tensor) -> Tensor:
    """Looks ``(N,)`` that scale a sense of plain numbers: those in which it speaks, or where these are few, the others.

    Most looks touch nothing. The deviation over all of them, or over the few that do, is next to nothing, and what it
    scales up shouts by thousands at the first firm touch.
    """
    speaks = there & (felt.abs() > _SILENT).any(-1)
    return speaks if 4 * int(speaks.sum()) >= int(there.sum()) else there & ~speaks


def _fold(module: nn.Module, values: Tensor) -> None:
    layer = module.get_submodule("last")
    assert isinstance(layer, nn.Linear)
    if len(values) < 2:
        return
    deviation = values.std(0)
    gain = torch.where(deviation > _SILENT, deviation.reciprocal(), _SILENT_GAIN)
    layer.bias.sub_(values.mean(0)).mul_(gain)
    layer.weight.mul_(gain.unsqueeze(1))
