"""Ctrl-C that waits for a safe point."""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType, TracebackType
from typing import Any

from .errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Turns the first Ctrl-C (or SIGTERM) into a request that :meth:`check` answers, the second into the usual end.

    A context manager for the main thread; the handlers it found are put back at its end.

    Attributes:
        requested: Whether a stop was asked for.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}
        self._terminal = -1

    def check(self) -> None:
        """Call where everything is on disk.

        Raises:
            Interrupted: A stop was asked for.
        """
        if self.requested:
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
