"""Replaying a run that is over: its remembered episodes, at the pace at which they were lived."""

from __future__ import annotations

import time
from pathlib import Path

from tensordict import TensorDict

from ..errors import SageError
from ..memory import Memory
from .looks import Look

MOST_BYTES = 200 * 10**6
"""Of an episode, at most so much is held."""


class Replay:
    """Looks of one world's episodes, one episode after the other, then again.

    The memory is open only while an episode is read: it can be slept on meanwhile.

    Args:
        memory: Its folder.
        world: Which world.
        step_s: Time from look to look [s].
    """

    def __init__(self, memory: Path, world: int, step_s: float) -> None:
        self.world, self.paused = world, False
        self._path, self._step_s = memory, step_s
        self._episode: TensorDict | None = None
        self._last = -1
        self._at, self._clock = 0, time.monotonic()

    def watch(self) -> None:
        """Nothing has to be said to a job that is over."""

    def rest(self) -> None:
        """Nothing has to be said to a job that is over."""

    def take(self) -> list[Look]:
        """Looks whose time has come since the last call."""
        now = time.monotonic()
        if self.paused:
            self._clock = now
            return []
        if self._episode is None or self._at >= len(self._episode):
            self._episode, self._at, self._clock = self._read(), 0, now
            if self._episode is None:
                return []
        due = min(int((now - self._clock) / self._step_s), len(self._episode) - self._at)
        self._clock += due * self._step_s
        first, self._at = self._at, self._at + due
        return [self._look(step) for step in range(first, self._at)]

    def _look(self, step: int) -> Look:
        assert self._episode is not None
        row = self._episode[step]
        # What is remembered with a look is the action that followed it.
        action = self._episode["action"][max(0, step - 1)].numpy()
        senses = {name: row["observation", name].numpy() for name in row["observation"].keys()}  # noqa: SIM118
        truth = {name: row["critic", name].numpy() for name in row["critic"].keys()}  # noqa: SIM118
        return Look(senses, truth, action, begins=step == 0)

    def _read(self) -> TensorDict | None:
        """The world's next episode, as far as it can be held; None while another process has the memory open."""
        try:
            with Memory.open(self._path) as memory:
                mine = [e for e in memory.episodes if e.world == self.world]
                if not mine:
                    return None
                chosen = next((e for e in mine if e.start > self._last), mine[0])
                self._last = chosen.start
                step = memory.schema.row_bytes
                length = max(1, min(chosen.length, MOST_BYTES // step))
                return memory.slices_at([chosen.id], [0], length, keys=["observation", "critic", "action"])[0]
        except SageError:
            return None
