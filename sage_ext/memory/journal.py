"""The append-only record of complete episodes: one JSON line each."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from ..errors import SageError
from .disk import write_atomic, writing
from .index import Episode

_SLACK = 256


class Journal:
    """Lines of complete episodes, each written after the episode's rows.

    Args:
        path: The file; made when missing.

    Attributes:
        episodes: The episodes found at opening, by start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pending: list[Episode] = []
        with writing(path):
            self._file = open(path, "a+b", buffering=0)  # noqa: SIM115  kept open
        try:
            self.episodes, self._lines = self._load()
        except BaseException:
            self._file.close()
            raise

    def _load(self) -> tuple[list[Episode], int]:
        data = self._path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):  # A line torn by a kill; what comes next must not be glued to it.
            os.ftruncate(self._file.fileno(), whole)
        lines, found = data[:whole].splitlines(), {}
        for number, line in enumerate(lines, 1):
            try:
                episode = Episode(**json.loads(line))
                valid = all(type(v) is int for v in asdict(episode).values())
                if not valid or episode.start < 0 or episode.length < 1 or not 0 <= episode.world < episode.stride:
                    raise ValueError
            except (ValueError, TypeError) as error:
                raise SageError("memory.path", f"{self._path}:{number}", "is no episode", "delete that line") from error
            found[episode.start] = episode
        return sorted(found.values()), len(lines)

    def add(self, episodes: Iterable[Episode]) -> None:
        """Record episodes; when the disk refuses them they wait for the next :meth:`settle`."""
        self._pending.extend(episodes)
        # Their rows are safe. The next append raises before it changes anything.
        with contextlib.suppress(SageError):
            self.settle()

    def settle(self) -> None:
        """Write the episodes that wait.

        Raises:
            SageError: The disk refuses them still; they go on waiting.
        """
        if not self._pending:
            return
        data, fd = _encode(self._pending), self._file.fileno()
        with writing(self._path, len(data)):
            before = os.fstat(fd).st_size
            if os.write(fd, data) < len(data):
                os.ftruncate(fd, before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._lines += len(self._pending)
        self._pending.clear()

    def compact(self, alive: Sequence[Episode], force: bool = False) -> None:
        """Rewrite the file with only the living episodes once most of its lines are dead.

        Args:
            alive: All episodes that live, with those that wait.
            force: Do it in any case, or raise.
        """
        if not force and self._lines <= 2 * len(alive) + _SLACK:
            return
        try:
            write_atomic(self._path, _encode(alive))
        except SageError:
            if force:
                raise
            return
        self._file.close()
        self._file = open(self._path, "a+b", buffering=0)  # noqa: SIM115  kept open
        self._lines = len(alive)
        self._pending.clear()

    def flush(self) -> None:
        """Wait until all lines are on the disk."""
        self.settle()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; episodes that the disk refuses still are lost."""
        if not self._file.closed:
            self.add(())
        self._file.close()


def _encode(episodes: Iterable[Episode]) -> bytes:
    return "".join(json.dumps(asdict(episode)) + "\n" for episode in episodes).encode()
