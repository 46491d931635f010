"""Recurrent core of the encoder: what was sensed before, as a state that can be reset world by world."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from .layout import GROUPS, SENSES
from .side_by_side import side_by_side
from .streamed import StreamedLinear

PICTURES = ("visual", "depth")
"""Senses that core and heads know by their landmarks and a scan of depth alone."""
FELT: tuple[str, ...] = tuple(sense for sense in SENSES if sense not in PICTURES)
"""Senses whose groups core and heads see."""
FELT_WIDTH: int = sum(GROUPS[sense].width for sense in FELT)
"""Width of those groups."""


class Core(nn.Module):
    """A gated recurrent unit over the senses, beside the last frame's senses themselves.

    The unit (GRU, arXiv 1406.1078) is written out because its state must be reset in the middle of a
    sequence; the input's half is one product for all frames, only the state's half runs frame by frame.

    The state is one tensor ``(B, state_width)``: hidden state, last percept, last presence flags.
    All zeros is the state of a new episode: no frame before, hence no motion.

    Args:
        hidden: Width of the hidden state.
        seen: Numbers that tell of pictures, after those that are felt.
        scanned: Numbers of a scan of depth, which end a percept.
    """

    sense_of: Tensor
    """Which sense each number of a percept belongs to."""

    def __init__(self, hidden: int, seen: int, scanned: int) -> None:
        super().__init__()
        self.hidden, self.percept = hidden, FELT_WIDTH + seen + scanned
        self.norm = nn.LayerNorm(self.percept)
        self.read = StreamedLinear(self.percept + len(SENSES), 3 * hidden)
        self.recur = StreamedLinear(hidden, 3 * hidden)
        with torch.no_grad():
            self.read.bias[hidden : 2 * hidden] = 1.0  # start by keeping what was, as LSTMs do
        which = torch.tensor([SENSES.index(s) for s in FELT])
        sense_of = torch.repeat_interleave(which, torch.tensor([GROUPS[s].width for s in FELT]))
        pictured = [torch.full((k,), SENSES.index(s)) for k, s in ((seen, "visual"), (scanned, "depth"))]
        sense_of = torch.cat([sense_of, *pictured])
        self.register_buffer("sense_of", sense_of, persistent=False)

    @property
    def state_width(self) -> int:
        """Width of the state."""
        return self.hidden + self.percept + len(SENSES)

    def forward(
        self, percept: Tensor, flags: Tensor, state: Tensor, reset: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run over time.

        Args:
            percept: The groups of :data:`FELT`, what tells of pictures, a scan of depth, ``(B, T, percept)``.
            flags: Which senses are present, ``(B, T, 5)`` bool.
            state: ``(B, state_width)``.
            reset: ``(B, T)`` bool, true on the first frame of an episode.

        Returns:
            Hidden states ``(B, T, hidden)``; motion ``(B, T, percept)``, the change of each sense since the last
            frame and 0 where it is missing in either; the state after the last frame.
        """
        last_hidden, last_percept, last_flags = torch.split(state, [self.hidden, self.percept, len(SENSES)], -1)
        before = torch.cat([last_percept.unsqueeze(1), percept[:, :-1]], 1)
        known = flags & torch.cat([(last_flags > 0.5).unsqueeze(1), flags[:, :-1]], 1)
        if reset is not None:
            known = known & ~reset.unsqueeze(-1)
        motion = torch.where(known[..., self.sense_of], percept - before, 0.0)

        def enter(t: int, hidden: Tensor) -> Tensor:
            return hidden if reset is None else torch.where(reset[:, t, None], 0.0, hidden)

        read = torch.cat([self.norm(percept), flags.to(percept.dtype)], -1)
        hidden, steps = enter(0, last_hidden), []
        given, kept = side_by_side(percept.device, lambda: self.read(read), partial(self.recur, hidden))
        for t in range(percept.shape[1]):
            if t:
                hidden = enter(t, hidden)
                kept = self.recur(hidden)
            forget_i, keep_i, new_i = given[:, t].chunk(3, -1)
            forget_h, keep_h, new_h = kept.chunk(3, -1)
            keep = torch.sigmoid(keep_i + keep_h)
            new = torch.tanh(new_i + torch.sigmoid(forget_i + forget_h) * new_h)
            # The state adds up over time: it stays float32 where products are not.
            hidden = torch.lerp(new.to(hidden.dtype), hidden, keep.to(hidden.dtype))
            steps.append(hidden)
        state = torch.cat([hidden, percept[:, -1], flags[:, -1].to(percept.dtype)], -1)
        return torch.stack(steps, 1), motion, state
