"""SAGE's core: H, the compression, L, and what passes between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..context.layout import CONTEXT_WIDTH, SENSES
from ..errors import SageError
from ..observation import ObservationSpec
from .bottleneck import MESSAGE_WIDTH, Bottleneck
from .fast import FastBody
from .slow import SlowMind


@dataclass(frozen=True)
class CoreWidths:
    """Sizes of the core; the defaults give 26.0 M parameters (+-2 %) for the default observation.

    Attributes:
        slow: Width of H's state.
        read: Width of the keys and of the values of a group.
        heads: Questions H asks at once.
        think: Hidden units of a step of H.
        steps: Most steps of H.
        glance: Numbers that L makes of a fast sense.
        fast: Hidden units of L.
        memory: Width of L's state.
        report: Width of what L tells H.
    """

    slow: int = 1024
    read: int = 512
    heads: int = 8
    think: int = 912
    steps: int = 4
    glance: int = 128
    fast: int = 512
    memory: int = 256
    report: int = 128


@dataclass
class Extras:
    """What a step of the core tells beside the actions; with time ``(B, T, ...)``.

    Attributes:
        message: The numbers from H to L, ``(N, 256)``.
        thought: Whether H ran, ``(N,)`` bool.
        depth: Steps that H took, 0 where it did not run, ``(N,)`` int64.
        cost: Ponder cost, 0 where H did not run, ``(N,)``; see :class:`sage_ext.sage.halting.Thought`.
    """

    message: Tensor
    thought: Tensor
    depth: Tensor
    cost: Tensor


class _State(NamedTuple):
    slow: Tensor
    message: Tensor
    fast: Tensor
    report: Tensor
    clock: Tensor
    """Looks since nothing was remembered, or, where nothing is forgotten, since H ran."""

    def due(self, every: int) -> Tensor:
        """Numbers of the worlds in which H runs."""
        return (torch.remainder(self.clock.squeeze(-1), every) < 0.5).nonzero().squeeze(-1)


class SageCore(nn.Module):
    """Acts from the context.

    H thinks about the whole context, every ``h_every``-th look of a world; the compression says at every look in 256
    numbers what the context tells and what H thought last; L acts from them and the latest fast senses, and reports to
    H.

    The state is one tensor ``(B, state_width)``; all zeros is the state of a new episode.

    Args:
        spec: The senses; L reads some of them itself.
        action_dim: Width of an action.
        chunk: Actions given at once, for the present look and those after it.
        h_every: H runs at the first look of an episode and at each ``h_every``-th after it.
        history: Looks after which H and L forget what they remember and begin anew, as at the start of an episode; None
            remembers a whole episode. What learned from short stretches gets stuck in what it remembers.
        widths: Sizes of the layers.
        seed: Seed of the initial weights; None takes torch's global generator.

    Raises:
        SageError: A number below 1, or no fast sense.
    """

    def __init__(
        self,
        spec: ObservationSpec,
        action_dim: int,
        chunk: int = 8,
        h_every: int = 1,
        history: int | None = None,
        widths: CoreWidths | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        for name, count in (("action_dim", action_dim), ("chunk", chunk), ("h_every", h_every), ("history", history)):
            if count is not None and count < 1:
                raise SageError(f"sage.{name}", count, "must be a whole number >= 1", "use 1 or more")
        self.spec, self.widths = spec, widths or CoreWidths()
        self.action_dim, self.chunk, self.h_every, self.history = action_dim, chunk, h_every, history
        w = self.widths
        with torch.random.fork_rng(devices=[], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            self.slow = SlowMind(w.slow, w.read, w.heads, w.think, w.steps, w.report)
            self.bottleneck = Bottleneck(w.slow)
            self.fast = FastBody(spec, MESSAGE_WIDTH, w.glance, w.fast, w.memory, w.report, chunk, action_dim)

    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` needs to build this architecture again, as plain JSON types."""
        times = {"chunk": self.chunk, "h_every": self.h_every, "history": self.history}
        return {"spec": self.spec.to_json(), "action_dim": self.action_dim, **times, "widths": asdict(self.widths)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> SageCore:
        """Inverse of :meth:`config`; weights are random."""
        given = dict(config)
        return cls(ObservationSpec.from_json(given.pop("spec")), widths=CoreWidths(**given.pop("widths")), **given)

    @property
    def parameter_count(self) -> int:
        """How many numbers are learned."""
        return sum(p.numel() for p in self.parameters())

    @property
    def state_width(self) -> int:
        """Width of the state."""
        return sum(self._parts)

    @property
    def _period(self) -> int:
        """Looks after which the clock begins anew."""
        return self.history or self.h_every

    @property
    def _parts(self) -> list[int]:
        w = self.widths
        return [w.slow, MESSAGE_WIDTH, w.memory, w.report, 1]

    def initial_state(self, batch: int) -> Tensor:
        """State before the first look of an episode, ``(batch, state_width)`` zeros."""
        return self.bottleneck.centre.new_zeros(batch, self.state_width)

    def calibrate(self, context: Tensor, senses: Mapping[str, Tensor], seed: int = 0) -> None:
        """Start from experience; to be called once, before training.

        Args:
            context: ``(n, 4096)``; see :meth:`sage_ext.sage.bottleneck.Bottleneck.calibrate`.
            senses: Sense -> ``(n, *shape)``; see :meth:`sage_ext.sage.fast.Glance.calibrate`.
            seed: Of a randomised decomposition.
        """
        self.bottleneck.calibrate(context, seed)
        self.fast.glance.calibrate(senses)

    def forward(
        self,
        context: Tensor,
        senses: Mapping[str, Tensor],
        state: Tensor | None = None,
        present: Mapping[str, Tensor] | None = None,
        reset: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Extras]:
        """One look of each world.

        Args:
            context: ``(N, 4096)``.
            senses: Sense -> ``(N, *shape)`` in the units of the observation contract; only fast ones are read, and
                absent ones are missing.
            state: ``(N, state_width)``; None starts episodes.
            present: Sense -> ``(N,)`` bool, false where it is missing.
            reset: ``(N,)`` bool, true on the first look of an episode.

        Returns:
            Actions ``(N, chunk, action_dim)``, not limited to any range; the state; what else there is to tell.

        Raises:
            SageError: Wrong shapes, dtypes or masks.
        """
        worlds = len(context)
        glance = self._glance(senses, present or {}, worlds)
        now = self._begin(state, reset, worlds)
        return self._look(context, glance, now, now.due(self.h_every))

    def sequence(
        self,
        context: Tensor,
        senses: Mapping[str, Tensor],
        state: Tensor | None = None,
        present: Mapping[str, Tensor] | None = None,
        reset: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Extras]:
        """Look after look, as :meth:`forward`; everything has a second axis, time ``(B, T, ...)``.

        Returns:
            Actions ``(B, T, chunk, action_dim)``, the state after the last look, what else there is to tell.
        """
        if context.dim() != 3 or not context.shape[1]:
            raise SageError("context.shape", tuple(context.shape), "must be (B, T, 4096) with T >= 1", "give a look")
        shape, chunks, told = context.shape[:2], [], []
        seen, there = ({k: v.flatten(0, 1) for k, v in each.items()} for each in (senses, present or {}))
        # Where all episodes begin together, all worlds think at the same looks: no device has to be asked.
        alike, everyone = state is None and reset is None, torch.arange(shape[0], device=context.device)
        for t, glance in enumerate(self._glance(seen, there, shape.numel()).unflatten(0, shape).unbind(1)):
            now = self._begin(state, None if reset is None else reset[:, t], shape[0])
            which = everyone[: 0 if t % self._period % self.h_every else None] if alike else now.due(self.h_every)
            chunk, state, extras = self._look(context[:, t], glance, now, which)
            chunks.append(chunk)
            told.append(extras)
        assert state is not None
        joined = {k: torch.stack([getattr(e, k) for e in told], 1) for k in Extras.__dataclass_fields__}
        return torch.stack(chunks, 1), state, Extras(**joined)

    def react(self, senses: Mapping[str, Tensor], state: Tensor, present: Mapping[str, Tensor] | None = None) -> Tensor:
        """L alone, between two looks: actions from the last message and the latest fast senses.

        Nothing is remembered of it: L's memory goes by looks, however often it acts between them.

        Args:
            senses: As in :meth:`forward`.
            state: After the last look.
            present: As in :meth:`forward`.

        Returns:
            Actions ``(N, chunk, action_dim)``.

        Raises:
            SageError: Wrong shapes, dtypes or masks.
        """
        now = self._split(state)
        chunk: Tensor = self.fast(now.message, self._glance(senses, present or {}, len(state)), now.fast)[0]
        return chunk

    def _split(self, state: Tensor) -> _State:
        return _State(*torch.split(state, self._parts, -1))

    def _begin(self, state: Tensor | None, reset: Tensor | None, worlds: int) -> _State:
        """The state before a look."""
        if state is None:
            state = self.initial_state(worlds)
        elif state.shape != (worlds, self.state_width):
            shape = (worlds, self.state_width)
            raise SageError("state.shape", tuple(state.shape), f"must be {shape}", "use initial_state(batch)")
        if reset is not None:
            _check_mask("reset", reset, worlds)
            state = torch.where(reset.unsqueeze(-1), 0.0, state)
        if self.history is not None:
            state = torch.where(state[:, -1:] < 0.5, 0.0, state)
        return self._split(state)

    def _look(self, context: Tensor, glance: Tensor, now: _State, which: Tensor) -> tuple[Tensor, Tensor, Extras]:
        """One look, at which H runs in some worlds."""
        if context.shape != (len(now.slow), CONTEXT_WIDTH):
            want = f"must be (batch, {CONTEXT_WIDTH})"
            raise SageError("context.shape", tuple(context.shape), want, "give what the encoder gave")
        slow, extras = self._think(context, now, which)
        chunk, report, fast = self.fast(extras.message, glance, now.fast)
        clock = torch.remainder(now.clock + 1, self._period)
        return chunk, torch.cat([slow, extras.message, fast, report, clock], -1), extras

    def _think(self, context: Tensor, now: _State, which: Tensor) -> tuple[Tensor, Extras]:
        """H, for the worlds whose turn it is, and the compression for all."""
        depth = torch.zeros(len(context), dtype=torch.long, device=context.device)
        slow, thought, cost = now.slow, depth > 0, now.slow.new_zeros(len(depth))
        standard = self.bottleneck.standard(context)
        if len(which) == len(depth):
            slow, told = self.slow(standard, slow, now.report)
            thought, depth, cost = ~thought, told.depth, told.cost
        elif len(which):
            some, told = self.slow(standard[which], slow[which], now.report[which])
            slow, thought = slow.index_copy(0, which, some), thought.index_fill(0, which, True)
            depth, cost = depth.index_copy(0, which, told.depth), cost.index_copy(0, which, told.cost)
        return slow, Extras(self.bottleneck(standard, slow), thought, depth, cost)

    def _glance(self, senses: Mapping[str, Tensor], present: Mapping[str, Tensor], batch: int) -> Tensor:
        """What L sees."""
        seen = {k: v for k, v in senses.items() if k in self.fast.glance.spec.senses}
        self.fast.glance.spec.check(seen)
        for key, value in seen.items():
            if len(value) != batch:
                raise SageError(f"observation.{key}.shape", tuple(value.shape), f"batch must be {batch}", "match it")
        for key, mask in present.items():
            if key not in SENSES:
                raise SageError("present", key, "is no known sense", f"use a subset of {', '.join(SENSES)}")
            _check_mask(f"present.{key}", mask, batch)
        glance: Tensor = self.fast.glance(seen, present, batch)
        return glance


def _check_mask(name: str, mask: Tensor, worlds: int) -> None:
    if mask.dtype != torch.bool or mask.shape != (worlds,):
        given = f"{mask.dtype}{tuple(mask.shape)}"
        raise SageError(name, given, f"must be bool of shape {(worlds,)}", "match the batch")
