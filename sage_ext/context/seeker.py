"""The way to what is sought: which landmark is meant, as the body is told, and where that is from here."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .landmarks import Landmarks
from .layout import GROUPS, SOUGHT, width
from .streamed import StreamedLinear

BODY = "proprioceptive"
"""The sense that tells what is asked for, and where the hand is."""
SKIN = "tactile"
"""The sense that tells whether it holds something."""
WIDTH = width(SOUGHT)
"""Numbers that tell the way."""
NEAR = 0.1
"""Ways shorter than this are told as they are, longer ones by their logarithm [m]: the hand has to be exact at the
end, not from afar."""
_LEAST = 1e-4
"""Shorter than this no way counts [m]."""
_QUIET = 0.1
"""Share of their usual weights that what reads the way begins with."""
_LOUD = (3.0, 3.0, 10.0, 3.0, 3.0, 10.0, 3.0)
"""Brings the numbers of a landmark to deviations of about 1."""
_DOUBT = -2.0
"""At first, what is in sight is trusted: the sum counts about nine times as much as the guess."""


class Aim(NamedTuple):
    """How a way was read.

    Attributes:
        choice: How likely each landmark is the one that is meant, as logits ``(..., landmarks)``.
        exact: The way as the sum has it ``(..., 3)`` [m].
        seen: How far there is all that the sum takes, 0 to 1 ``(...)``.
    """

    choice: Tensor
    exact: Tensor
    seen: Tensor


class Seeker(nn.Module):
    """Attends over landmarks with what the body is told, and reads the way from the one that is meant.

    To choose one of several places is a product, which a perceptron over all of them learns far more slowly than
    attention does (docs/sleep.md).

    As far as the chosen landmark is in sight, the way is the *sum* of where it is seen and where the hand is felt, in
    the body's own numbers: the group of that sense keeps no centimetres. Where a hand hides it, or a sense is missing,
    it is *guessed*, from what is felt and was seen before; in which share is learned. Both are in metres; only what
    they come to is shortened. The sum is not moved by what the guess misses: it is asked for itself, see :class:`Aim`.

    Args:
        landmarks: How many there are.
        body: Numbers of the body's sense.
        history: Width of the hidden state.
        hidden: Hidden units.
    """

    loud: Tensor

    def __init__(self, landmarks: int, body: int, history: int, hidden: int = 128) -> None:
        super().__init__()
        group = GROUPS[BODY].width
        self.ask = StreamedLinear(group, landmarks)
        nn.init.zeros_(self.ask.weight)
        nn.init.zeros_(self.ask.bias)
        self.sum = StreamedLinear(Landmarks.NUMBERS + body, WIDTH)
        known = Landmarks.NUMBERS + group + GROUPS[SKIN].width + history
        self.layers = nn.Sequential(StreamedLinear(known, hidden), nn.SiLU())
        self.guess, self.doubt = StreamedLinear(hidden, WIDTH), StreamedLinear(hidden, 1)
        self.register_buffer("loud", torch.tensor(_LOUD), persistent=False)
        with torch.no_grad():
            # Noise of some centimetres to begin with, not of metres.
            for layer in (self.sum, self.guess, self.doubt):
                layer.weight.mul_(_QUIET)
            self.doubt.bias.fill_(_DOUBT)

    def exact(self) -> list[nn.Parameter]:
        """The choice and the sum; what guesses is none of it, and would only be shaken by larger steps."""
        return [*self.ask.parameters(), *self.sum.parameters()]

    def forward(
        self, body: Tensor, whole: Tensor, group: Tensor, touch: Tensor, points: Tensor, history: Tensor
    ) -> tuple[Tensor, Aim]:
        """The way, :func:`shortened`, and how it was read.

        Args:
            body: The body's sense ``(..., body)``, standardised: the way is exact to millimetres only if torques do not
                shake it.
            whole: Whether it and both pictures are there ``(...)`` bool: all that the sum takes.
            group: The group of that sense ``(..., 256)``.
            touch: The group of touch ``(..., 256)``.
            points: What the landmarks say ``(..., landmarks * 7)``.
            history: Hidden state of the core ``(..., history)``.

        Returns:
            The way ``(..., 3)``, and how it was read.
        """
        choice = self.ask(group)
        # Which is meant, and where it is, are told by themselves: ways teach neither.
        meant, places = choice.detach().softmax(-1), points.detach().unflatten(-1, (-1, Landmarks.NUMBERS))
        place = (meant.unsqueeze(-1) * places).sum(-2)
        hidden = self.layers(torch.cat([self.loud * place, group, touch, history], -1))
        guess, doubt = self.guess(hidden), self.doubt(hidden)
        # To millimetres, which bfloat16 cannot tell apart.
        with torch.autocast(body.device.type, enabled=False):
            place = place.float()
            exact = self.sum(torch.cat([self.loud * place, body.float()], -1))
            seen = place[..., -1:] * whole.unsqueeze(-1)
            way = torch.lerp(guess.float(), exact.detach(), seen * torch.sigmoid(-doubt.float()))
            return shortened(way), Aim(choice, exact, seen.squeeze(-1))


def shortened(way: Tensor) -> Tensor:
    """Ways (..., 3) [m] as they are told: their direction, and :func:`log_length` as their length."""
    return way.float() * log_length(way) / _length(way)


def log_length(way: Tensor) -> Tensor:
    """``log(1 + length / NEAR)`` of ways (..., 3) [m], ``(..., 1)``."""
    return torch.log1p(_length(way) / NEAR)


def _length(way: Tensor) -> Tensor:
    # A root has no slope at 0.
    return way.float().square().sum(-1, keepdim=True).add(_LEAST**2).sqrt()
