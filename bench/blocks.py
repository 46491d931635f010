"""Blocks of steps that take turns within one run of wake."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

from .timing import Clock, Parts, alternating

BARE, WAKE, ENCODE = "bare", "wake", "wake+encode"
WARM_UP = 5
"""Steps of each kind before anything is timed."""


class Kind(NamedTuple):
    """What a block's steps are.

    Attributes:
        case: :data:`BARE`, :data:`WAKE` or :data:`ENCODE`.
        stock: Whether Isaac Lab's own renderer casts the rays, and not ours.
    """

    case: str
    stock: bool

    def __str__(self) -> str:
        return f"{self.case}, {'stock' if self.stock else 'our'} renderer"


@dataclass(frozen=True)
class Block:
    """Consecutive steps of one kind; ``timed`` ones count for the ratios, ``watched`` ones for the parts."""

    kind: Kind
    steps: int
    timed: bool = True
    watched: bool = False


@dataclass
class Times:
    """What was measured.

    Attributes:
        blocks: Kind -> seconds a step, one number a timed block, in the order of the rounds.
        parts: Kind -> part -> seconds a step.
        watched: Kind -> seconds a step of the watched blocks as a whole.
        reset: Seconds from the end of an episode of all worlds to the start of the next.
    """

    blocks: dict[Kind, list[float]] = field(default_factory=dict)
    parts: dict[Kind, dict[str, float]] = field(default_factory=dict)
    watched: dict[Kind, float] = field(default_factory=dict)
    reset: float = 0.0


def kinds(two_renderers: bool) -> list[Kind]:
    """All that is compared; the base comes first.

    Args:
        two_renderers: Whether our renderer is another than Isaac Lab's, as on a CPU.
    """
    return [
        Kind(case, stock) for stock in ((True, False) if two_renderers else (False,)) for case in (BARE, WAKE, ENCODE)
    ]


def schedule(compared: list[Kind], rounds: int, steps: int) -> list[Block]:
    """All blocks in order: warm-up, the rounds that are compared, then those of which the parts are told.

    Args:
        compared: Kinds, the base first.
        rounds: How often each gets its turn.
        steps: Steps of a block.
    """
    warm_up = [Block(kind, WARM_UP, timed=False) for kind in compared]
    turns = [Block(kind, steps) for kind in alternating(compared, rounds)]
    watched = [
        Block(kind, max(2 * steps, 20), timed=False, watched=True)
        for kind in (compared[0], Kind(WAKE, compared[0].stock), Kind(ENCODE, False))
    ]
    return [*warm_up, *turns, *watched]


def wake_steps(blocks: list[Block]) -> int:
    """Steps that :func:`~sage_ext.wake.wake` takes for some blocks."""
    return 1 + sum(block.steps for block in blocks if block.kind.case != BARE)


class Blocks:
    """Runs a schedule from within wake: call :meth:`on_step` after each of its steps.

    Args:
        blocks: The schedule.
        bare: Takes bare steps, as many as it is told.
        scene: Makes what a block of a kind runs in, entered before the clock starts.
        watch: Makes the stopwatches for a watched block.
        sync: See :func:`~bench.timing.synchronizer`.
        clock: Seconds.

    Attributes:
        case: Case of the wake steps that come next.
        times: What was measured so far.
    """

    def __init__(
        self,
        blocks: list[Block],
        bare: Callable[[int], None],
        scene: Callable[[Kind], AbstractContextManager[object]],
        watch: Callable[[], Parts],
        sync: Callable[[], None] = lambda: None,
        clock: Clock = time.perf_counter,
    ) -> None:
        self.case, self.times = WAKE, Times()
        self._todo, self._bare, self._scene, self._watch = list(blocks), bare, scene, watch
        self._sync, self._clock = sync, clock
        self._now: Block | None = None
        self._left, self._start = 0, 0.0
        self._stack = ExitStack()
        self._parts: Parts | None = None

    @property
    def done(self) -> bool:
        """Whether the whole schedule was run."""
        return not self._todo and self._now is None

    def close(self) -> None:
        """Put everything back, also in the midst of a block."""
        self._stack.close()

    def on_step(self, *_: object) -> None:
        """A step of wake is over: go on with its block, or run what comes before its next one."""
        if self._now is not None:
            self._left -= 1
            if self._left:
                return
            self._end(self._now)
        while self._todo:
            block = self._todo.pop(0)
            self._begin(block)
            if block.kind.case != BARE:
                self.case = block.kind.case
                return
            self._bare(block.steps)
            self._end(block)

    def _begin(self, block: Block) -> None:
        self._now, self._left = block, block.steps
        self._stack.enter_context(self._scene(block.kind))
        self._parts = self._stack.enter_context(self._watch()) if block.watched else None
        self._sync()
        self._start = self._clock()

    def _end(self, block: Block) -> None:
        self._sync()
        each = (self._clock() - self._start) / block.steps
        self._stack.close()
        self._now = None
        if block.timed:
            self.times.blocks.setdefault(block.kind, []).append(each)
        if self._parts is not None:
            self.times.watched[block.kind] = each
            self.times.parts[block.kind] = {k: v / block.steps for k, v in self._parts.seconds.items() if v}
