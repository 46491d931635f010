"""The picture of a dream phase: each possible twin above its impossible scene, with their coherences."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .dream import Explored

FRAMES = 8
"""Pictures a scene, from two looks before the violation to the end."""


def save_gallery(path: Path, dreams: Sequence[Explored]) -> None:
    """Draw dreams and write them as a PNG, whole or not at all.

    Args:
        path: File to write.
        dreams: What to show, one below the other.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = 2 if len(dreams) > 1 else 1
    rows = -(-len(dreams) // columns)
    figure = Figure(figsize=(7.6 * columns, 2.15 * rows + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle("Each possible twin above the scene that breaks a law; coherence 0 = impossible, 1 = ordinary")
    boxes = figure.subfigures(rows, columns, squeeze=False).flatten()
    for box, dream in zip(boxes, dreams, strict=False):
        total = len(dream.frames)
        first = max(0, dream.at - 2)
        looks = [round(first + i * (total - 1 - first) / (FRAMES - 1)) for i in range(FRAMES)]
        box.suptitle(f"{dream.law} from look {dream.at} on", fontsize=9)
        axes = box.subplots(2, FRAMES, gridspec_kw={"wspace": 0.04, "hspace": 0.04})
        lines = (
            ("possible", dream.twin_coherence, dream.twin_frames),
            ("impossible", dream.coherence, dream.frames),
        )
        for line, (name, coherence, frames) in zip(axes, lines, strict=True):
            for axis, look in zip(line, looks, strict=True):
                axis.imshow(frames[look].numpy(), interpolation="nearest")
                axis.set_xticks([])
                axis.set_yticks([])
                after = name == "impossible" and look >= dream.at
                axis.set_xlabel(str(look), fontsize=6, labelpad=1) if line is axes[1] else None
                for side in axis.spines.values():
                    side.set_color("crimson" if after else "0.8")
                    side.set_linewidth(1.6 if after else 0.6)
            line[0].set_ylabel(f"{name}\n{coherence:.2f}", fontsize=9)
    temporary = path.with_name(f".{path.name}.part")
    figure.savefig(temporary, format="png", dpi=80)
    os.replace(temporary, path)
