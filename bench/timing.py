"""Measuring on machines that are busy with other things: interleaved blocks, paired ratios, time by part."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

from .table import median_iqr

Clock = Callable[[], float]


def alternating[T](kinds: Sequence[T], repeats: int) -> list[T]:
    """Order of the blocks: each kind once a round, forwards and backwards in turn (ABC CBA ABC ...).

    A machine that grows slower or faster meanwhile then disturbs all kinds alike.

    Args:
        kinds: What is compared.
        repeats: Rounds.
    """
    order: list[T] = []
    for number in range(repeats):
        order += kinds if number % 2 == 0 else reversed(kinds)
    return order


def paired_ratio(base: Sequence[float], ours: Sequence[float]) -> tuple[float, float]:
    """How fast ours runs as a share of the base, from times of blocks that ran side by side.

    Args:
        base: Times of the base's blocks, one a round.
        ours: Times of our blocks for the same amount of work, of the same rounds.

    Returns:
        Median of the rounds' ratios ``base / ours``, 1 for equal speed, and their interquartile range.
    """
    return median_iqr([a / b for a, b in zip(base, ours, strict=True)])


def synchronizer(device: object) -> Callable[[], None]:
    """What waits until a device has done what it was told; nothing to wait for on a CPU."""
    if not str(device).startswith("cuda"):
        return lambda: None
    import torch

    return lambda: torch.cuda.synchronize(device)  # type: ignore[arg-type]


class Parts:
    """Where the time goes: stopwatches around methods, put on in a ``with`` block and taken off after it.

    Each part counts what its methods take less what other parts' methods take inside them, so that parts never count
    twice and add up to at most the whole.

    Args:
        sync: Called before each look at the clock; see :func:`synchronizer`.
        clock: Seconds.

    Attributes:
        seconds: Part -> seconds.
    """

    def __init__(self, sync: Callable[[], None] = lambda: None, clock: Clock = time.perf_counter) -> None:
        self.seconds: dict[str, float] = {}
        self._sync, self._clock = sync, clock
        self._methods: list[tuple[Any, str, str]] = []
        self._undo: list[Callable[[], None]] = []
        self._inner: list[float] = []

    def method(self, part: str, owner: Any, *names: str) -> Self:
        """Count methods of an object, a class or a module to a part.

        A name that the owner lacks is left out: its time then shows in what no part accounts for.

        Args:
            part: The part.
            owner: Whose methods.
            *names: Their names.
        """
        self._methods += [(owner, name, part) for name in names if hasattr(owner, name)]
        self.seconds.setdefault(part, 0.0)
        return self

    def __enter__(self) -> Self:
        """Put the stopwatches on."""
        for owner, name, part in self._methods:
            own = name in vars(owner)
            before = getattr(owner, name)
            setattr(owner, name, self._timed(before, part))
            undo = functools.partial(setattr, owner, name, before) if own else functools.partial(delattr, owner, name)
            self._undo.append(undo)
        return self

    def __exit__(self, *_: object) -> None:
        """Take them off."""
        while self._undo:
            self._undo.pop()()

    def _timed(self, method: Callable[..., Any], part: str) -> Callable[..., Any]:
        @functools.wraps(method)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._sync()
            start = self._clock()
            self._inner.append(0.0)
            try:
                return method(*args, **kwargs)
            finally:
                self._sync()
                spent = self._clock() - start
                self.seconds[part] += spent - self._inner.pop()
                if self._inner:
                    self._inner[-1] += spent

        return timed
