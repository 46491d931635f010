"""Moments that a sleep keeps, and their rehearsal when other tasks are learned.

What was lived again is stored as it was learned from, both branches and what the simulator changed: a later run has
another simulator, but can learn from the pairs once more, in every term of the loss. Rehearsal against forgetting: A.
Robins (Connection Science 7, 1995); Rolnick et al., "Experience replay for continual learning" (arXiv 1811.11682).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import SageError
from .moments import Moments, joined


def save(moments: Moments, path: Path) -> None:
    """Write moments, whole or not at all.

    Raises:
        SageError: The disk is full or refuses.
    """
    flat: dict[str, Tensor] = {}
    for field in fields(moments):
        value = getattr(moments, field.name)
        named = {f"{field.name}/{k}": v for k, v in value.items()} if isinstance(value, dict) else {field.name: value}
        # safetensors refuses tensors that share memory.
        flat |= {k: v.detach().to("cpu", copy=True).contiguous() for k, v in named.items()}
    temporary = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(flat, temporary)
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        raise SageError("sleep.keep", path, f"cannot be written ({error})", "free disk space or set 0") from error
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path) -> Moments:
    """Inverse of :func:`save`.

    Raises:
        SageError: The file is no such thing.
    """
    parts: dict[str, dict[str, Tensor]] = {f.name: {} for f in fields(Moments)}
    try:
        for key, value in load_file(path).items():
            name, _, inner = key.partition("/")
            parts[name][inner] = value
        return Moments(**{name: values.get("", values) for name, values in parts.items()})  # type: ignore[arg-type]
    except (OSError, SafetensorError, KeyError) as error:
        raise SageError("after", path, f"is corrupt ({error})", "delete it, or begin without that run") from error


class Keeper:
    """Stores some of the moments of one sleep, spread over its rounds; those of the run's earlier sleeps go.

    Args:
        folder: Where they go.
        sleep: Names the sleep within its run.
        share: How many of them, 0..1.
    """

    def __init__(self, folder: Path, sleep: str, share: float) -> None:
        self._folder, self._sleep, self._share = folder, sleep, share

    def begin(self) -> None:
        """Forget what earlier sleeps kept."""
        for path in self._folder.glob("*.safetensors"):
            if not path.name.startswith(f"{self._sleep}-"):
                path.unlink()

    def keep(self, moments: Moments, number: int, slept: int) -> None:
        """Store this round's share.

        Args:
            moments: Lived again in the round.
            number: Of the round.
            slept: Moments of the rounds before it.
        """
        before, after = (math.floor(self._share * done + 1e-9) for done in (slept, slept + len(moments)))
        count = after - before
        if count:
            # Evenly, so that all families of variations are among them.
            which = torch.arange(count) * len(moments) // count
            save(moments.take(which), self._folder / f"{self._sleep}-{number:06d}.safetensors")


class Rehearsal:
    """What earlier runs kept, mixed into the rounds of a sleep.

    Args:
        folders: Where each earlier run kept its moments.
        weight: Moments of each earlier run, for each that is lived again.

    Raises:
        SageError: One has none, or a file is corrupt.
    """

    def __init__(self, folders: Sequence[Path] = (), weight: float = 0.0) -> None:
        self._kept = [_all_of(folder) for folder in folders if weight]
        self._share = weight * len(self._kept) / (1 + weight * len(self._kept))

    def count(self, moments: int) -> int:
        """How many of a round's moments are rehearsed; at least one is lived again."""
        return min(int(self._share * moments), moments - 1)

    def draw(self, count: int, generator: torch.Generator) -> list[Moments]:
        """Moments of each earlier run, as many of one as of another, with replacement."""
        found = []
        for number, kept in enumerate(self._kept):
            some = count // len(self._kept) + (number < count % len(self._kept))
            if some:
                found.append(kept.take(torch.randint(len(kept), (some,), generator=generator)))
        return found


def _all_of(folder: Path) -> Moments:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise SageError("after", folder.parent, "kept no moments", "set sleep.keep in its sleep, or sleep.rehearsal=0")
    return joined([load(path) for path in files])
