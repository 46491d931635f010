"""The gallery: each dream and its twin as filmstrips, and below them how they surprised, look by look."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from torch import Tensor

from ..context.layout import GROUPS, SENSES
from ..dream_file import KeptDream
from .plot import Line, chart, heat, number
from .strips import shown_looks, span, strip

TOLD = ("law", "kind", "at", "coherence", "twin_coherence", "episode", "step")
"""Entries of a record that the page shows in words of its own; others are listed as they are."""
CERTAIN = 0.05
"""A difference in coherence below it is called close."""


def gallery(dreams: Sequence[KeptDream]) -> str:
    """Dreams as articles, in the order given."""
    return "".join(_article(i, dream) for i, dream in enumerate(dreams, start=1))


def headline(record: dict[str, Any]) -> str:
    """Law and kind of a dream, in plain text."""
    kind = record.get("kind")
    return str(record["law"]) + (f": {kind}" if kind and kind != record["law"] else "")


def outcome(miss: float) -> tuple[str, str]:
    """What the mind did, in words, and the class that colours them."""
    if miss > 0:
        return "fooled", "fooled"
    if miss == 0:
        return "could not tell", "fooled"
    return ("told apart, just", "close") if miss > -CERTAIN else ("told apart", "told")


def _article(place: int, dream: KeptDream) -> str:
    record, looks = dream.record, len(dream.dream.frames)
    at, across, name = int(record["at"]), span(looks), headline(record)
    said, look = outcome(dream.miss)
    # The first look that differs; the strip has its middle there.
    broken = at - 0.5
    left = 100 * (broken - across[0]) / (across[1] - across[0])
    lines = [
        Line(np.arange(len(scene.surprise)), scene.surprise.numpy().astype(float), look_)
        for scene, look_ in ((dream.twin, "twin"), (dream.dream, "dream"))
    ]
    twin_peak, peak = (_peak(line.y[at:]) for line in lines)
    told = f"Surprise of {name} over {looks} looks: after look {at} the dream peaks at {peak}, its twin at {twin_peak}."
    more = "".join(
        f"<span>{escape(key.replace('_', ' '))} {escape(_short(value))}</span>"
        for key, value in record.items()
        if key not in TOLD and value is not None
    )
    return (
        f'<article class="dream"><h3><span class="place">{place}</span> {escape(name)} '
        f'<span class="outcome {look}">{said}</span></h3><p class="facts"><span>broken at look {at} of {looks}</span>'
        f"<span>from episode {record.get('episode', '?')}, step {record.get('step', '?')}</span>{more}</p>"
        f'<div class="film">{_row("twin", "possible twin", record["twin_coherence"], dream.twin.frames, name, None)}'
        f"{_row('dream', 'impossible', record['coherence'], dream.dream.frames, name, left)}"
        f'<div class="gutter axis">surprise</div>{chart(lines, told, across, mark=broken)}'
        f"{_breakdown(dream, across)}</div></article>"
    )


def _row(look: str, words: str, coherence: float, frames: Tensor, name: str, broken: float | None) -> str:
    mark = "" if broken is None else f'<i class="broken" style="left:{broken:.2f}%"></i>'
    alt = f"{words} of {name}, {len(frames)} looks from left to right" + ("" if broken is None else "; law broken")
    return (
        f'<div class="gutter"><b class="{look}">{words}</b><br>{float(coherence):.2f}</div>'
        f'<div class="strip {look}" style="--n:{len(shown_looks(len(frames)))}"><img alt="{escape(alt)}" src="{strip(frames)}">{mark}</div>'
    )


def _breakdown(dream: KeptDream, across: tuple[float, float]) -> str:
    """The dream's surprise by sense and by group, a row of cells each, where it was told apart."""
    parts = [("by sense", SENSES, dream.dream.senses), ("by group", tuple(GROUPS), dream.dream.groups)]
    rows = []
    for title, names, values in parts:
        if values is None or values.shape[-1] != len(names):
            continue
        table = values.numpy().astype(float)
        most = max(1.0, float(np.nan_to_num(table, nan=0.0).max()))
        rows.append(f'<div class="gutter by">{title}</div><div class="by">full colour: {number(most)}</div>')
        rows += [
            f'<div class="gutter name">{name}</div>'
            + heat(table[:, i], across, most, f"surprise in {name}: at most {_peak(table[:, i])}")
            for i, name in enumerate(names)
        ]
    return "".join(rows)


def _peak(values: np.ndarray) -> str:
    good = values[np.isfinite(values)]
    return number(float(good.max())) if len(good) else "nothing"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(map(_short, value)) + ")"
    return str(value)
