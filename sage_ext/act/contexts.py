"""Contexts of remembered episodes, kept on disk: to encode them costs most of learning to act."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..context.layout import CONTEXT_WIDTH, SENSES
from ..environment import derived_seed
from ..errors import SageError
from ..memory import Episode, Memory
from ..mind import Mind

FRAMES = 1200
"""Looks that are encoded at once."""
_ROW = np.dtype(np.float16)


class View(NamedTuple):
    """An episode as it was sensed, or as if a sense had been missing throughout.

    Attributes:
        episode: Id of the episode.
        world: Its world.
        length: Its steps.
        missing: Name of the sense; empty where all are there.
    """

    episode: int
    world: int
    length: int
    missing: str


class Contexts:
    """Contexts of views in half precision, one row a step; what is of another encoder is thrown away.

    ``contexts.jsonl`` vouches for the rows of ``contexts.f16``: it is written after them, so that a kill loses at most
    the views that were being added.

    Args:
        folder: Where they are; made if need be.
        encoder: What the encoder is recognised by, see :func:`fingerprint`.

    Raises:
        SageError: The disk refuses.
    """

    def __init__(self, folder: Path, encoder: str) -> None:
        self._data, self._index = folder / "contexts.f16", folder / "contexts.jsonl"
        self._starts: dict[View, int] = {}
        self._rows = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not self._read(encoder):
                self._starts, self._rows = {}, 0
                self._data.write_bytes(b"")
                self._index.write_text(json.dumps(encoder) + "\n", encoding="utf-8")
            with open(self._data, "ab") as file:
                file.truncate(self._rows * CONTEXT_WIDTH * _ROW.itemsize)
        except OSError as error:
            raise self._refused(error) from error

    def _read(self, encoder: str) -> bool:
        """Read the index; false where it is of no use."""
        if not (self._index.is_file() and self._data.is_file()):
            return False
        whole, _, torn = self._index.read_text(encoding="utf-8", errors="replace").rpartition("\n")
        try:
            first, *lines = map(json.loads, whole.splitlines())
            views = [View(int(line[0]), int(line[1]), int(line[2]), str(line[3])) for line in lines]
        except (ValueError, TypeError, IndexError, KeyError):
            return False
        if first != encoder:
            return False
        if torn:
            self._index.write_text(whole + "\n", encoding="utf-8")
        for view in views:
            self._starts[view] = self._rows
            self._rows += view.length
        return self._data.stat().st_size >= self._rows * CONTEXT_WIDTH * _ROW.itemsize

    def _refused(self, error: OSError) -> SageError:
        return SageError("contexts", self._data, f"cannot be written ({error.strerror})", "free disk space")

    def __contains__(self, view: View) -> bool:
        return view in self._starts

    def add(self, view: View, contexts: Tensor) -> None:
        """Keep the contexts (T, 4096) of a view.

        Raises:
            SageError: The disk refuses.
        """
        rows = contexts.clamp(-6e4, 6e4).to("cpu", torch.float16).numpy()
        try:
            with open(self._data, "ab") as file:
                file.write(rows.tobytes())
            with open(self._index, "a", encoding="utf-8") as index:
                index.write(json.dumps(list(view)) + "\n")
        except OSError as error:
            raise self._refused(error) from error
        self._starts[view] = self._rows
        self._rows += view.length

    def start(self, view: View) -> int:
        """First row of a view."""
        return self._starts[view]

    def rows(self) -> np.ndarray:
        """All rows (R, 4096), half precision, read from the disk as they are needed."""
        shape = (self._rows, CONTEXT_WIDTH)
        return np.memmap(self._data, _ROW, "r", shape=shape) if self._rows else np.zeros(shape, _ROW)


def fingerprint(mind: Mind) -> str:
    """What the encoder that acts is recognised by."""
    digest = hashlib.sha256()
    for name, value in mind.acting.encoder.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def views(episodes: Iterable[Episode], sense_dropout: float, seed: int) -> list[View]:
    """Each episode with all senses, and some once more with one missing.

    Args:
        episodes: Of the memory.
        sense_dropout: Share of them that are there twice.
        seed: Which ones, and which sense is missing.
    """
    found = []
    for e in episodes:
        found.append(View(e.id, e.world, e.length, ""))
        generator = torch.Generator().manual_seed(derived_seed(seed, "missing", e.id))
        if float(torch.rand((), generator=generator)) < sense_dropout:
            sense = SENSES[int(torch.randint(len(SENSES), (), generator=generator))]
            found.append(View(e.id, e.world, e.length, sense))
    return found


def encode(
    mind: Mind, memory: Memory, contexts: Contexts, wanted: Iterable[View], on_steps: Callable[[int], None]
) -> None:
    """Encode the views that are not kept yet.

    Args:
        mind: Whose averaged encoder it is.
        memory: Where the episodes are.
        contexts: Where the contexts go.
        wanted: The views.
        on_steps: Called with the number of steps just encoded; may raise to stop.
    """
    left = sorted((v for v in wanted if v not in contexts), key=lambda v: (v.missing, v.length, v.episode))
    while left:
        # Sequences of one length and with the same senses go through the encoder together.
        alike = [v for v in left[: max(1, FRAMES // left[0].length)] if v[2:] == left[0][2:]]
        left = left[len(alike) :]
        lived = [memory.episode(v.episode, ["observation"])["observation"] for v in alike]
        senses = [name for name in lived[0].keys() if name != alike[0].missing]  # noqa: SIM118
        found = mind.encode({name: torch.stack([part[name] for part in lived]) for name in senses})
        for view, context in zip(alike, found, strict=True):
            contexts.add(view, context)
        on_steps(sum(view.length for view in alike))
