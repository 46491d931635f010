"""Ctrl-C, and what other processes ask, that waits for a safe point."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from .errors import Interrupted

if TYPE_CHECKING:
    from .jobs.control import Control

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Turns the first Ctrl-C (or SIGTERM) into a request that :meth:`check` answers, the second into the usual end.

    A context manager for the main thread; the handlers it found are put back at its end.

    Args:
        control: What other processes ask; nothing without it.

    Attributes:
        requested: Whether a signal asked for a stop.
    """

    def __init__(self, control: Control | None = None) -> None:
        self.requested = False
        self._control = control
        self._before: dict[int, Any] = {}
        self._terminal = -1

    def check(self, save: Callable[[], None] | None = None) -> None:
        """Call where everything is on disk, or ``save`` puts it there; waits here for as long as a pause is asked for.

        Args:
            save: Called before a pause and before a stop.

        Raises:
            Interrupted: A stop was asked for.
        """
        asked = "stop" if self.requested else self._control.asked() if self._control else "run"
        if asked == "run":
            return
        if save is not None:
            save()
        if asked == "pause" and self._control is not None:
            asked = self._control.hold(lambda: self.requested)
        if self.requested or asked == "stop":
            raise Interrupted

    def arm(self) -> None:
        """Install the handlers again, after a library may have installed its own."""
        for number in _SIGNALS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        # Not print: a handler may run in the midst of another print. Not descriptor 2: it may be redirected.
        with contextlib.suppress(OSError):
            os.write(self._terminal, b"\nstopping at the next safe point (Ctrl-C again to stop now)\n")

    def __enter__(self) -> StopRequest:
        self._terminal = os.dup(2)
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        self.arm()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        os.close(self._terminal)
        self._terminal = -1
