"""Following a job that runs: the viewer's side of :mod:`sage_ext.live.publish`."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from ..errors import SageError
from ..runs import as_json, write_whole
from .looks import Look
from .publish import FOLDER, LOOKS


class Follower:
    """Looks of one world of a running job, as they come.

    Args:
        run: The run's folder.
        world: Which world.
    """

    def __init__(self, run: Path, world: int) -> None:
        self.world = world
        self._folder = run / FOLDER
        self._mark = self._folder / f"watching-{os.getpid()}-{uuid.uuid4().hex[:8]}.json"
        self._seen: tuple[int, int] | None = None
        self._next = -1

    def watch(self) -> None:
        """Say that somebody watches; has to be said again every few seconds."""
        if self._folder.is_dir():
            # A folder that cannot be written is one in which nobody is seen watching.
            with contextlib.suppress(SageError):
                write_whole(self._mark, as_json({"worlds": [self.world]}), sync=False)

    def rest(self) -> None:
        """Say that nobody watches."""
        with contextlib.suppress(OSError):
            self._mark.unlink(missing_ok=True)

    def take(self) -> list[Look]:
        """Looks that came since the last call; none where nothing new did."""
        file = self._folder / LOOKS
        try:
            stat = file.stat()
            if (stat.st_ino, stat.st_mtime_ns) == self._seen:
                return []
            with safe_open(file, framework="numpy") as data:
                about = data.metadata()
                worlds, first = json.loads(about["worlds"]), int(about["first"])
                self._seen = (stat.st_ino, stat.st_mtime_ns)
                if self.world not in worlds:
                    return []
                row = worlds.index(self.world)
                values = {name: data.get_slice(name)[row] for name in data.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return []
        begins = values.pop("begins")
        # What was passed over tears the stretch.
        torn, self._next = first != self._next, first + len(begins)
        return [_look(values, t, bool(begins[t]) or (torn and t == 0)) for t in range(len(begins))]


def _look(values: dict[str, np.ndarray], t: int, begins: bool) -> Look:
    def part(prefix: str) -> dict[str, np.ndarray]:
        return {name.removeprefix(prefix): value[t] for name, value in values.items() if name.startswith(prefix)}

    return Look(part("policy/"), part("critic/"), values["action"][t], begins)
