"""Charts as inline SVG that any width stretches, with their words as HTML beside them: text keeps its size on a phone.

Colours are classes of the page's style sheet, so that a chart follows the light and the dark scheme.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

WIDE, HIGH = 1000, 200
"""Size of the drawing in its own units."""
FEW = 8
"""A line of fewer points shows each as a dot."""


@dataclass
class Line:
    """A line of a chart.

    Attributes:
        x: Where (n,).
        y: How much (n,); a gap where it is no number.
        look: Class of the style sheet that colours it.
        band: Least and greatest around it, each (n,); None draws none.
    """

    x: np.ndarray
    y: np.ndarray
    look: str
    band: tuple[np.ndarray, np.ndarray] | None = None


def number(value: float) -> str:
    """A number as short as it can be read."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def chart(
    lines: Sequence[Line],
    alt: str,
    across: tuple[float, float] | None = None,
    up: tuple[float, float] | None = None,
    mark: float | None = None,
) -> str:
    """Lines over a common axis.

    Args:
        lines: What is drawn, the last on top.
        alt: What it shows, for those who cannot see it.
        across: Limits of the horizontal axis; those of the lines by default.
        up: Limits of the vertical axis; those of the lines, rounded, by default.
        mark: Where a vertical line stands.

    Returns:
        HTML: the drawing within ``div.plot``, its tick labels as ``span.tick``.
    """
    from matplotlib.ticker import MaxNLocator

    left, right = across or _limits([line.x for line in lines])
    low, high = up or _limits([part for line in lines for part in (line.y, *(line.band or ()))])
    ticks = MaxNLocator(nbins=3, steps=[1, 2, 5, 10]).tick_values(low, high)
    if up is None:
        low, high = min(low, ticks[0]), max(high, ticks[-1])

    def place(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.stack([(x - left) / (right - left) * WIDE, (high - y) / (high - low) * HIGH], axis=1)

    drawn, words = [], []
    for tick in ticks:
        if low <= tick <= high:
            share = (high - tick) / (high - low)
            drawn.append(f'<path class="grid" d="M0 {share * HIGH:.1f}H{WIDE}"/>')
            words.append(f'<span class="tick" style="top:{100 * share:.1f}%">{number(tick)}</span>')
    for line in lines:
        if line.band is not None:
            edge = np.concatenate([place(line.x, line.band[0]), place(line.x, line.band[1])[::-1]])
            drawn.append(f'<path class="band {line.look}" d="{_path(edge)}Z"/>')
    if mark is not None:
        drawn.append(f'<path class="mark" d="M{(mark - left) / (right - left) * WIDE:.1f} 0V{HIGH}"/>')
    for line in lines:
        points = place(line.x, line.y)
        drawn += [f'<path class="line {line.look}" d="{_path(run)}"/>' for run in _runs(points)]
        if len(points) < FEW:
            dots = [_path(np.stack([point, point])) for point in points if np.isfinite(point).all()]
            drawn.append(f'<path class="line {line.look} dot" d="{"".join(dots)}"/>')
    svg = f'<svg viewBox="0 0 {WIDE} {HIGH}" preserveAspectRatio="none" role="img" aria-label="{escape(alt)}">'
    return f'<div class="plot">{svg}{"".join(drawn)}</svg>{"".join(words)}</div>'


def heat(values: np.ndarray, across: tuple[float, float], most: float, alt: str) -> str:
    """Numbers over looks as a row of cells: what is 0 or less is empty, ``most`` and more is full.

    Args:
        values: Of each look (T,); empty where it is no number.
        across: Limits of the horizontal axis, in looks.
        most: What is drawn in full colour.
        alt: What it shows.
    """
    left, right = across
    unit = WIDE / (right - left)
    cells = []
    for look, value in enumerate(np.nan_to_num(values, nan=0.0)):
        share = min(1.0, max(0.0, float(value) / most))
        if share > 0.02:
            x = (look - 0.5 - left) * unit
            cells.append(f'<path class="cell" opacity="{share:.2f}" d="M{x:.1f} 0h{unit:.1f}V10h-{unit:.1f}z"/>')
    svg = f'<svg viewBox="0 0 {WIDE} 10" preserveAspectRatio="none" role="img" aria-label="{escape(alt)}">'
    return f'<div class="heat">{svg}{"".join(cells)}</svg></div>'


def _limits(parts: Sequence[np.ndarray]) -> tuple[float, float]:
    """Least and greatest number, a little apart if they are the same."""
    flat = np.concatenate([np.asarray(part, float) for part in parts])
    flat = flat[np.isfinite(flat)]
    if not len(flat):
        return 0.0, 1.0
    low, high = float(flat.min()), float(flat.max())
    room = 0.0 if high > low else max(abs(low) * 0.1, 1e-3)
    return low - room, high + room


def _runs(points: np.ndarray) -> list[np.ndarray]:
    """Stretches without a gap; a lone point becomes a line to itself, which round ends make a dot."""
    good = np.isfinite(points).all(axis=1)
    cuts = np.flatnonzero(np.diff(good.astype(int))) + 1
    runs = [run for run in np.split(points, cuts) if len(run) and np.isfinite(run).all()]
    return [np.concatenate([run, run]) if len(run) == 1 else run for run in runs]


def _path(points: np.ndarray) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
