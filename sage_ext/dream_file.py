"""Dreams that are kept: what was shown and how it surprised, in one file that is replaced whole.

``dreams.safetensors`` holds numbers under ``NUMBER/dream/PART`` and ``NUMBER/twin/PART``, and in its header the dreams'
records as JSON, worst misses first.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .errors import SageError

if TYPE_CHECKING:
    from .dream import Explored

MOST, MOST_BYTES = 64, 64 * 10**6
"""Dreams that are kept at most, and what they may take together."""
EDGE = 128
"""Larger pictures are kept at this size [pixels]."""
BRANCHES = ("dream", "twin")
NEEDED = {"law", "at", "coherence", "twin_coherence"}
"""What each record says."""


@dataclass
class Scene:
    """One branch of a dream.

    Attributes:
        frames: Pictures (T, H, W, 3) uint8.
        surprise: Normalised surprise of each look (T,).
        audio: The audio sense (T, 1024) [dB]; None where the world is silent.
        groups: What each group of the context adds to the surprise of each look (T, 15); None where it is not known.
    """

    frames: Tensor
    surprise: Tensor
    audio: Tensor | None = None
    groups: Tensor | None = None


@dataclass
class KeptDream:
    """A dream as it is kept.

    Attributes:
        record: What the summary says of it: ``law``, ``at``, ``coherence``, ``twin_coherence`` and more.
        dream: What cannot happen.
        twin: The same up to look ``at``, then possible.
    """

    record: dict[str, Any]
    dream: Scene
    twin: Scene

    @classmethod
    def of(cls, explored: Explored) -> KeptDream:
        """From what the dream phase gives."""
        return cls(
            explored.record(),
            Scene(_reduced(explored.frames), explored.surprise.float(), explored.senses.get("audio"), explored.groups),
            Scene(
                _reduced(explored.twin_frames),
                explored.twin_surprise.float(),
                explored.twin_senses.get("audio"),
                explored.twin_groups,
            ),
        )

    @property
    def miss(self) -> float:
        """How wrong the mind was: above 0 it held the impossible scene for the more possible one."""
        return miss(self.record)


def miss(record: dict[str, Any]) -> float:
    """See :attr:`KeptDream.miss`."""
    return float(record["coherence"]) - float(record["twin_coherence"])


def save_dreams(path: Path, dreams: Sequence[Explored]) -> None:
    """Keep dreams, the worst misses of each kind in turn, as many as :data:`MOST` and :data:`MOST_BYTES` allow.

    Args:
        path: The file; an older one is replaced.
        dreams: What the dream phase gave.

    Raises:
        SageError: The disk refuses.
    """
    tensors: dict[str, Tensor] = {}
    records: list[dict[str, Any]] = []
    size = 0
    for explored in _chosen(dreams):
        kept = KeptDream.of(explored)
        parts = {
            f"{len(records):03}/{branch}/{name}": value
            for branch in BRANCHES
            for name, value in _parts(getattr(kept, branch)).items()
        }
        size += sum(value.nbytes for value in parts.values())
        if records and size > MOST_BYTES:
            break
        tensors |= parts
        records.append(kept.record)
    temporary = path.with_name(f".{path.name}.new")
    try:
        save_file(tensors, temporary, metadata={"dreams": json.dumps(records)})
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        raise SageError("dreams", path, f"cannot be written ({error})", "free disk space") from error
    finally:
        temporary.unlink(missing_ok=True)


def load_dreams(path: Path) -> list[KeptDream]:
    """Read what :func:`save_dreams` kept, worst misses first; nothing where there is no file.

    Raises:
        SageError: The file is corrupt.
    """
    if not path.is_file():
        return []
    names = [field.name for field in fields(Scene)]
    try:
        with safe_open(path, "pt") as file:
            records = json.loads((file.metadata() or {})["dreams"])
            there = set(file.keys())
            dreams = []
            for number, record in enumerate(records):
                if not record.keys() >= NEEDED:
                    raise ValueError(f"no {NEEDED - record.keys()}")
                scenes = []
                for branch in BRANCHES:
                    keys = {name: f"{number:03}/{branch}/{name}" for name in names}
                    found = {name: file.get_tensor(key) for name, key in keys.items() if key in there}
                    if found.get("audio") is not None:
                        found["audio"] = found["audio"].float()
                    scenes.append(Scene(**found))
                dreams.append(KeptDream(record, *scenes))
            return sorted(dreams, key=lambda dream: -dream.miss)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise SageError("dreams", path, "is corrupt", "dream again: sage-ext dream RUN") from error


def _chosen(dreams: Sequence[Explored]) -> list[Explored]:
    """The worst miss of each kind of violation, then the second worst of each, and so on."""
    by_kind: dict[tuple[str, str], list[Explored]] = {}
    for dream in sorted(dreams, key=lambda dream: -miss(dream.record())):
        by_kind.setdefault((dream.law, str(dream.record().get("kind"))), []).append(dream)
    ranks = range(max(map(len, by_kind.values()), default=0))
    return [kind[rank] for rank in ranks for kind in by_kind.values() if rank < len(kind)][:MOST]


def _parts(scene: Scene) -> dict[str, Tensor]:
    found = {field.name: getattr(scene, field.name) for field in fields(Scene)}
    if scene.audio is not None:
        # Levels in dB: half precision is exact to 0.06 dB.
        found["audio"] = scene.audio.half()
    # Cloned: safetensors refuses tensors that share memory.
    return {
        name: value.cpu().clone(memory_format=torch.contiguous_format)
        for name, value in found.items()
        if value is not None
    }


def _reduced(frames: Tensor) -> Tensor:
    """Pictures not larger than :data:`EDGE`."""
    height, width = frames.shape[1:3]
    share = EDGE / max(height, width)
    if share >= 1.0:
        return frames
    size = (max(1, round(height * share)), max(1, round(width * share)))
    small = torch.nn.functional.interpolate(frames.permute(0, 3, 1, 2).float(), size, mode="area")
    return small.round().to(torch.uint8).permute(0, 2, 3, 1)
