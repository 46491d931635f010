"""The way to what is sought: which landmark is meant, as the body is told, and where that is from here."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .landmarks import Landmarks
from .layout import GROUPS, SOUGHT
from .streamed import StreamedLinear

BODY = "proprioceptive"
"""The sense that tells what is asked for, and where the hand is."""
WIDTH = SOUGHT.stop - SOUGHT.start
"""Numbers that tell the way."""
NEAR = 0.1
"""Ways shorter than this are told as they are, longer ones by their logarithm [m]: the hand has to be exact at the
end, not from afar."""
_LEAST = 1e-4
"""Shorter than this no way counts [m]."""
_QUIET = 0.1
"""Share of their usual weights that what reads the way begins with."""
_LOUD = 3.0
"""Places vary by about a third of what the body's numbers do."""


class Seeker(nn.Module):
    """Attends over landmarks with what the body is told, and reads the way from the one that is meant.

    To choose one of several places is a product, which a perceptron over all of them learns far more slowly than
    attention does (docs/sleep.md). What was seen before tells where the thing is while a hand hides it.

    The way is read in metres, as a sum and a perceptron's correction: it all but is the sum of where the thing is seen
    and where the hand is felt. Only then it is shortened.

    Args:
        landmarks: How many there are.
        history: Width of the hidden state.
        hidden: Hidden units.
    """

    def __init__(self, landmarks: int, history: int, hidden: int = 128) -> None:
        super().__init__()
        body = GROUPS[BODY].width
        self.ask = StreamedLinear(body, landmarks)
        nn.init.zeros_(self.ask.weight)
        nn.init.zeros_(self.ask.bias)
        seen = Landmarks.NUMBERS + body
        self.sum = StreamedLinear(seen, WIDTH)
        self.layers = nn.Sequential(StreamedLinear(seen + history, hidden), nn.SiLU())
        self.correct = StreamedLinear(hidden, WIDTH)
        with torch.no_grad():
            # Noise of some centimetres to begin with, not of metres.
            for layer in (self.sum, self.correct):
                layer.weight.mul_(_QUIET)

    def forward(self, body: Tensor, points: Tensor, history: Tensor) -> Tensor:
        """The way, :func:`shortened`.

        Args:
            body: The group of the body's sense ``(..., 256)``.
            points: What the landmarks say ``(..., landmarks * 7)``.
            history: Hidden state of the core ``(..., history)``.

        Returns:
            ``(..., 3)``.
        """
        meant = self.ask(body).softmax(-1).unsqueeze(-1)
        place = _LOUD * (meant * points.unflatten(-1, (-1, Landmarks.NUMBERS))).sum(-2)
        seen = torch.cat([place, body], -1)
        metres = self.sum(seen) + self.correct(self.layers(torch.cat([seen, history], -1)))
        # To millimetres, which bfloat16 cannot tell apart.
        with torch.autocast(metres.device.type, enabled=False):
            return shortened(metres)


def shortened(way: Tensor) -> Tensor:
    """Ways (..., 3) [m] as they are told: their direction, and ``log(1 + length / NEAR)`` as their length."""
    # A root has no slope at 0.
    length = way.float().square().sum(-1, keepdim=True).add(_LEAST**2).sqrt()
    return way.float() * torch.log1p(length / NEAR) / length
