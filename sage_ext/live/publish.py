"""What a running job shows: the latest looks of the worlds that somebody watches, in its run folder.

``live/scene.json`` says what a world looks like and is always there. ``live/looks.safetensors`` is written only while
a viewer says that it watches, by keeping a ``live/watching-*.json`` fresh: a job that nobody watches pays for one look
at the folder each second. Each file is replaced whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..environment import Environment, Visible
from ..errors import SageError
from ..runs import as_json, write_whole
from .scene import FILE as SCENE

FOLDER, LOOKS, WATCHING = "live", "looks.safetensors", "watching-*.json"
EVERY_S = 0.2
"""Least time between two writings of looks [s]."""
CHECK_S = 1.0
"""Time between two looks for viewers [s]."""
STALE_S = 5.0
"""A viewer that said nothing for so long is gone [s]."""
MOST_LOOKS, MOST_WORLDS = 16, 4
"""Looks in one writing, and worlds that are shown, at most."""


class Publisher:
    """Shows looks to viewers; give :meth:`look` to an environment's ``on_look``.

    A disk that refuses stops no job: viewers see nothing then.

    Args:
        run: The run's folder.
    """

    def __init__(self, run: Path) -> None:
        self._folder = run / FOLDER
        self._worlds: list[int] = []
        self._checked = self._wrote = 0.0
        self._count = 0
        self._first: int | None = None
        self._kept: list[dict[str, Tensor]] = []

    @classmethod
    def attach(cls, env: Environment, run: Path) -> None:
        """Let an environment be watched, if it can be, for as long as it lives."""
        if not isinstance(env, Visible):
            return
        publisher = cls(run)
        with contextlib.suppress(OSError, SageError):
            publisher._folder.mkdir(exist_ok=True)
            # Whoever watched an earlier process of this run sees what that one showed last.
            (publisher._folder / LOOKS).unlink(missing_ok=True)
            write_whole(publisher._folder / SCENE, as_json(env.scene_description()))
            env.on_look = publisher.look

    def look(self, observation: Mapping[str, Any], action: Tensor, begins: Tensor) -> None:
        """Keep the watched worlds' part of a look, and show what was kept if it is time.

        Args:
            observation: ``policy`` and ``critic``, each name -> (N, ...).
            action: What led to it (N, A).
            begins: Whether a stretch begins with it (N,) bool.
        """
        self._count += 1
        now = time.monotonic()
        if now - self._checked >= CHECK_S:
            self._checked = now
            worlds = watched(self._folder, len(begins))
            if worlds != self._worlds:
                self._worlds, self._kept = worlds, []
        if not self._worlds:
            return
        if len(self._kept) < MOST_LOOKS:
            if not self._kept:
                self._first = self._count
            self._kept.append(_rows(observation, action, begins, self._worlds))
        if now - self._wrote >= EVERY_S:
            self._wrote = now
            self._write()

    def _write(self) -> None:
        kept, self._kept = self._kept, []
        # Senses may differ from look to look; what is shown is what the last one has.
        whole = [rows for rows in kept if rows.keys() == kept[-1].keys()]
        tensors = {name: torch.stack([rows[name] for rows in whole], dim=1).cpu() for name in kept[-1]}
        about = {"first": str(self._first), "worlds": json.dumps(self._worlds)}
        temporary = self._folder / f".{LOOKS}.new"
        with contextlib.suppress(OSError, SafetensorError):
            save_file(tensors, temporary, about)
            os.replace(temporary, self._folder / LOOKS)


def watched(folder: Path, count: int) -> list[int]:
    """Worlds that somebody watches.

    Args:
        folder: The run's folder ``live``.
        count: How many worlds there are.
    """
    worlds: set[int] = set()
    for file in folder.glob(WATCHING):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            if time.time() - file.stat().st_mtime < STALE_S:
                worlds |= {int(world) for world in json.loads(file.read_text(encoding="utf-8"))["worlds"]}
    return sorted(world for world in worlds if 0 <= world < count)[:MOST_WORLDS]


def _rows(observation: Mapping[str, Any], action: Tensor, begins: Tensor, worlds: list[int]) -> dict[str, Tensor]:
    """Copies of some worlds' part of a look."""

    def some(value: Tensor) -> Tensor:
        # Slices: picking by a list costs several times as much.
        return torch.cat([value[world : world + 1] for world in worlds])

    rows = {f"{part}/{name}": some(value) for part in ("policy", "critic") for name, value in observation[part].items()}
    return {**rows, "action": some(action), "begins": some(begins)}
