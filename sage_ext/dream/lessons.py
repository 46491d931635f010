"""Dreams that fooled the mind, kept until it has slept on them: then they teach its judge."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..environment import Observation
from ..errors import SageError
from ..mind import Mind
from ..surprise import Judge
from ..surprise.readout import learn_weights
from ..surprise.scenes import contexts

if TYPE_CHECKING:
    from .exploration import Explored

FEW = 4
"""Lessons from which on something is learned: of fewer, chance would teach."""


@dataclass
class Lessons:
    """Impossible scenes beside their twins, the oldest first.

    Attributes:
        impossible: Sense -> ``(n, T, ...)``.
        twin: The same of the twins.
        actions: What was done after each look ``(n, T, A)``.
    """

    impossible: Observation
    twin: Observation
    actions: Tensor

    def __len__(self) -> int:
        return len(self.actions)


def fooled(dream: Explored) -> bool:
    """Whether a dream seemed no less possible than its twin, or more possible than not."""
    return dream.coherence >= dream.twin_coherence or dream.coherence > 0.5


def keep(folder: Path, name: str, dreams: Sequence[Explored]) -> int:
    """Keep the dreams that fooled the mind.

    Args:
        folder: Where they are kept; made if need be.
        name: Of these dreams, later ones sorting after earlier ones. Dreamt again, they replace themselves.
        dreams: What was dreamt.

    Returns:
        How many were kept.

    Raises:
        SageError: The disk refuses.
    """
    new = [dream for dream in dreams if fooled(dream)]
    path = folder / f"{name}.safetensors"
    if not new:
        path.unlink(missing_ok=True)
        return 0
    tensors = {f"impossible/{k}": torch.stack([d.senses[k] for d in new]) for k in new[0].senses}
    tensors |= {f"twin/{k}": torch.stack([d.twin_senses[k] for d in new]) for k in new[0].twin_senses}
    tensors["actions"] = torch.stack([d.actions for d in new])
    temporary = folder / f".{name}.part"
    try:
        folder.mkdir(exist_ok=True)
        save_file(tensors, temporary)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise SageError("dream", path, f"cannot be written ({error})", "free some disk") from error
    return len(new)


def recall(folder: Path, before: str, looks: int, most: int) -> Lessons | None:
    """The last dreams that were kept; older ones are forgotten for good.

    Args:
        folder: Where they are.
        before: Name that the dreams to come will have: what is kept under it, or later, is left out.
        looks: Length of a scene; others teach nothing here.
        most: How many.

    Returns:
        None if there are none.

    Raises:
        SageError: A file is damaged.
    """
    found: list[Lessons] = []
    for path in sorted((p for p in folder.glob("*.safetensors") if p.stem < before), reverse=True):
        if sum(map(len, found)) >= most:
            path.unlink()
            continue
        lessons = _read(path)
        if lessons.actions.shape[1] == looks:
            found.append(lessons)
    if not found:
        return None
    found.reverse()
    senses = found[0].impossible
    return Lessons(
        {k: torch.cat([x.impossible[k] for x in found])[-most:] for k in senses},
        {k: torch.cat([x.twin[k] for x in found])[-most:] for k in senses},
        torch.cat([x.actions for x in found])[-most:],
    )


def _read(path: Path) -> Lessons:
    try:
        tensors = load_file(path)
        parts = {
            name: {k.partition("/")[2]: v for k, v in tensors.items() if k.startswith(f"{name}/")}
            for name in ("impossible", "twin")
        }
        return Lessons(parts["impossible"], parts["twin"], tensors["actions"])
    except (OSError, SafetensorError, KeyError) as error:
        raise SageError("dream", path, "is corrupt", "remove it: those dreams are forgotten") from error


def teach(mind: Mind, judge: Judge, lessons: Lessons, start: int) -> bool:
    """Let a judge learn from dreams which evidence tells the impossible, and how probable the possible is.

    The mind's contexts stay as they are. See :func:`sage_ext.surprise.readout.learn_weights`.

    Args:
        mind: The mind, after it slept.
        judge: Its judge, calibrated; its weights and calibration are replaced.
        lessons: The dreams.
        start: Look from which scenes are judged.

    Returns:
        Whether there were enough of them.
    """
    if len(lessons) < FEW:
        return False
    impossible, twin = (
        judge.evidence(contexts(mind, senses), lessons.actions.to(mind.device))
        for senses in (lessons.impossible, lessons.twin)
    )
    judge.learn(learn_weights(judge, impossible, twin, start), impossible, twin, start)
    return True
