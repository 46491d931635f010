"""The film: of each dream the twin at the left, the impossible scene at the right, and their surprise running below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..config_checks import STEPS_PER_SECOND
from ..dream_file import KeptDream, Scene
from ..mp4 import Mp4
from ..report_page.gallery import headline, outcome
from .sound import LOOK, RATE, resynthesise

SIDE, GAP = 384, 24
"""Edge of a picture about, and what is between pictures [pixels]."""
HEAD, NAMES, CHART, FOOT = 64, 32, 190, 34
"""Rows above the pictures, of their names, of the chart, and below it [pixels]."""
INK, SOFT, RED, TWIN, DREAM = "#1b1d21", "#5d626b", (209, 31, 63), "#1c66c4", "#c2410c"
BORDER = 4
LOUD, QUIETEST = 0.8, 0.02
"""How loud the loudest instant of a dream becomes, unless it is quieter than so many Pa."""


def film(path: Path, dreams: Sequence[KeptDream], slow: int, silent: bool) -> None:
    """Write dreams as an MP4, each once with the twin's sound and once with its own.

    Args:
        path: The file.
        dreams: In the order in which they are shown; at least one.
        slow: How many times slower than lived; the sound keeps its pitch.
        silent: Without sound each dream is shown once.

    Raises:
        SageError: A library is not installed, or the sound cannot be made.
    """
    sounds = not silent and any(dream.twin.audio is not None for dream in dreams)
    with Mp4(path, STEPS_PER_SECOND, RATE if sounds else None, key="dream watch") as file:
        for place, dream in enumerate(dreams, start=1):
            waves = _waves(dream, slow) if sounds else (None,)
            for heard, wave in zip(("twin", "dream"), waves, strict=False):
                stage = _Stage(place, dream, heard if sounds else None)
                for frame in range(len(dream.dream.frames) * slow):
                    file.show(stage.picture(frame / slow))
                if wave is not None:
                    file.hear(wave)


class _Stage:
    """What of a dream stays the same from picture to picture, drawn once."""

    def __init__(self, place: int, dream: KeptDream, heard: str | None) -> None:
        self._dream = dream
        times = max(1, SIDE // dream.dream.frames.shape[1])
        self._times = times
        self._high, self._wide = (times * size for size in dream.dream.frames.shape[1:3])
        self._shape = _even(HEAD + self._high + NAMES + CHART + FOOT), _even(2 * self._wide + 3 * GAP)
        self._empty, self._full = (self._drawn(place, heard, curves) for curves in (False, True))

    def picture(self, look: float) -> np.ndarray:
        """The picture at a time [looks]."""
        # Of the curve as much is seen as has happened.
        x = min(self._column(look), self._shape[1] - GAP)
        image = np.concatenate([self._full[:, :x], self._empty[:, x:]], axis=1)
        image[self._top : self._bottom, x - 1 : x + 1] = 120
        now, at = int(look), int(self._dream.record["at"])
        for side, scene in enumerate((self._dream.twin, self._dream.dream)):
            left = GAP + side * (self._wide + GAP)
            if side == 1 and now >= at:
                image[HEAD - BORDER : HEAD + self._high + BORDER, left - BORDER : left + self._wide + BORDER] = RED
            large = scene.frames[now].numpy().repeat(self._times, axis=0).repeat(self._times, axis=1)
            image[HEAD : HEAD + self._high, left : left + self._wide] = large
        return image

    def _drawn(self, place: int, heard: str | None, curves: bool) -> np.ndarray:
        # Not pyplot: it would look for a display.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        high, wide = self._shape
        record, looks = self._dream.record, len(self._dream.dream.frames)
        figure = Figure(figsize=(wide / 100, high / 100), dpi=100, facecolor="white")
        canvas = FigureCanvasAgg(figure)

        def write(x: float, y: float, text: str, **style: Any) -> None:
            figure.text(x / wide, 1 - y / high, text, va="center", **{"fontsize": 11, "color": INK, **style})

        said, _ = outcome(self._dream.miss)
        write(GAP, HEAD / 2, f"{place}.  {headline(record)}", fontsize=15, weight="bold")
        write(wide - GAP, HEAD / 2, said, fontsize=13, color=SOFT, ha="right")
        names = (("twin", "possible twin", "twin_coherence", TWIN), ("dream", "impossible", "coherence", DREAM))
        for side, (branch, words, key, colour) in enumerate(names):
            left = GAP + side * (self._wide + GAP)
            y = HEAD + self._high + NAMES / 2
            write(left, y, f"{words}, coherence {record[key]:.2f}", color=colour, weight="bold")
            if branch == heard:
                write(left + self._wide, y, "heard now", color=SOFT, ha="right")
        bottom = FOOT / high
        axes = figure.add_axes((2 * GAP / wide, bottom, (wide - 3 * GAP) / wide, (CHART - GAP) / high))
        axes.set_xlim(-0.5, looks)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8, colors=SOFT)
        axes.set_title("surprise of each look", fontsize=9, color=SOFT, loc="left", pad=3)
        axes.axvline(record["at"], color=np.array(RED) / 255, linewidth=1.5)
        for scene, colour in ((self._dream.twin, TWIN), (self._dream.dream, DREAM)):
            axes.plot(scene.surprise.numpy(), color=colour, linewidth=2.2, visible=curves)
        axes.margins(y=0.08)
        # So that the axes are the same without the curves.
        values = np.concatenate([s.surprise.numpy() for s in (self._dream.twin, self._dream.dream)])
        values = values[np.isfinite(values)]
        if len(values):
            room = 0.08 * max(float(np.ptp(values)), 1e-3)
            axes.set_ylim(float(values.min()) - room, float(values.max()) + room)
        canvas.draw()
        box = axes.get_window_extent()
        self._top, self._bottom = round(high - box.y1), round(high - box.y0)
        self._column = lambda look: round(axes.transData.transform((look, 0.0))[0])
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _waves(dream: KeptDream, slow: int) -> tuple[np.ndarray, np.ndarray]:
    """Sound of the twin and of the dream, as loud against each other as remembered."""
    twin, own = (_wave(scene, slow) for scene in (dream.twin, dream.dream))
    gain = LOUD / max(QUIETEST, float(np.abs(twin).max()), float(np.abs(own).max()))
    return twin * gain, own * gain


def _wave(scene: Scene, slow: int) -> np.ndarray:
    if scene.audio is None:
        return np.zeros((len(scene.frames) * LOOK * slow, 2), np.float32)
    return resynthesise(scene.audio, slow).numpy()


def _even(size: int) -> int:
    # H.264 halves the colour planes.
    return size + size % 2
