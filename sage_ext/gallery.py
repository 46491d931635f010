"""The picture of a dream phase: each possible twin above its impossible scene, with their coherences."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .dream import Explored

FRAMES = 8
"""Pictures a scene, from two looks before the violation to the end."""
TILE = 96
"""Edge of a picture [pixels]."""
GAP, LABEL, TITLE, HEAD = 3, 92, 20, 30
RED, WHITE = (200, 20, 50), (255, 255, 255)


def save_gallery(path: Path, dreams: Sequence[Explored]) -> None:
    """Draw dreams and write them as a PNG, whole or not at all.

    Args:
        path: File to write.
        dreams: What to show, two beside each other.
    """
    # Not pyplot: it would look for a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = 2 if len(dreams) > 1 else 1
    rows = -(-len(dreams) // columns)
    wide = LABEL + FRAMES * (TILE + GAP) + 4 * GAP
    high = TITLE + 2 * (TILE + GAP) + 4 * GAP
    canvas = np.full((HEAD + rows * high, columns * wide, 3), WHITE, np.uint8)
    figure = Figure(figsize=(canvas.shape[1] / 100, canvas.shape[0] / 100), dpi=100)
    FigureCanvasAgg(figure)
    # Text lies on a mosaic: hundreds of axes would take seconds.
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    text: dict[str, Any] = {"va": "center", "fontsize": 9}
    legend = "possible twin above, broken law below (framed from there on); coherence 0 = impossible, 1 = ordinary"
    axes.text(GAP * 2, HEAD / 2, legend, **text)
    for number, dream in enumerate(dreams):
        top, left = HEAD + (number // columns) * high, (number % columns) * wide
        axes.text(
            left + LABEL,
            top + TITLE / 2,
            f"{dream.law}/{dream.kind}: looks {', '.join(map(str, _looks(dream)))}",
            **text,
        )
        lines = (("possible", dream.twin_coherence, dream.twin_frames), ("impossible", dream.coherence, dream.frames))
        for line, (name, coherence, frames) in enumerate(lines):
            y = top + TITLE + line * (TILE + GAP)
            axes.text(left + 2 * GAP, y + TILE / 2, f"{name}\n{coherence:.2f}", **text)
            for place, look in enumerate(_looks(dream)):
                broken = name == "impossible" and look >= dream.at
                x = left + LABEL + place * (TILE + GAP)
                canvas[y : y + TILE, x : x + TILE] = _tile(frames[look].numpy(), broken)
    axes.imshow(canvas, interpolation="nearest", aspect="auto")
    temporary = path.with_name(f".{path.name}.part")
    figure.savefig(temporary, format="png", dpi=100)
    os.replace(temporary, path)


def _looks(dream: Explored) -> list[int]:
    """Looks that are shown, evenly spaced."""
    first, last = max(0, dream.at - 2), len(dream.frames) - 1
    return [round(first + i * (last - first) / (FRAMES - 1)) for i in range(FRAMES)]


def _tile(frame: np.ndarray, framed: bool) -> np.ndarray:
    """A frame scaled to :data:`TILE` by its nearest pixels."""
    rows = np.arange(TILE) * frame.shape[0] // TILE
    columns = np.arange(TILE) * frame.shape[1] // TILE
    tile = frame[rows][:, columns].copy()
    if framed:
        tile[:2], tile[-2:], tile[:, :2], tile[:, -2:] = RED, RED, RED, RED
    return tile
