"""The gallery: each dream and its twin as filmstrips, and below them how they surprised, look by look."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from torch import Tensor

from ..context.layout import GROUPS
from ..dream_file import KeptDream
from .plot import Line, chart, heat, number
from .strips import Shown, strip

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
    at, name = int(record["at"]), headline(record)
    shown = Shown.of(looks, at)
    said, look = outcome(dream.miss)
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
        f'<div class="film">{_row("twin", "possible twin", record["twin_coherence"], dream.twin.frames, shown, name)}'
        f"{_row('dream', 'impossible', record['coherence'], dream.dream.frames, shown, name)}"
        f'<div class="gutter axis">surprise</div>{chart(lines, told, shown.span, mark=at - 0.5)}'
        f"{_breakdown(dream, shown.span)}</div></article>"
    )


def _row(look: str, words: str, coherence: float, frames: Tensor, shown: Shown, name: str) -> str:
    alt, mark = f"{words} of {name}: looks {', '.join(map(str, shown.looks))} from left to right", ""
    if look == "dream":
        mark = f'<i class="broken" style="left:{100 * shown.broken:.2f}%"></i>'
        alt += ", framed in red where the law is broken"
    return (
        f'<div class="gutter"><b class="{look}">{words}</b><br>{float(coherence):.2f}</div>'
        f'<div class="strip {look}" style="--n:{len(shown.looks)}">'
        f'<img alt="{escape(alt)}" src="{strip(frames, shown.looks)}">{mark}</div>'
    )


def _breakdown(dream: KeptDream, across: tuple[float, float]) -> str:
    """What each group, the senses first, adds to the dream's surprise, a row of cells each, where that is known."""
    if dream.dream.groups is None:
        return ""
    table = dream.dream.groups.numpy().astype(float)
    most = max(1e-3, float(np.nan_to_num(table, nan=0.0).max()))
    rows = [
        f'<div class="gutter name {group.family}">{name}</div>'
        + heat(table[:, i], across, most, f"{name} adds at most {_peak(table[:, i])}")
        for i, (name, group) in enumerate(GROUPS.items())
    ]
    what = f"what adds to the surprise of the dream; full colour is {number(most)}"
    head = f'<div class="gutter by">in what</div><div class="by">{what}</div>'
    return head + "".join(rows)


def _peak(values: np.ndarray) -> str:
    good = values[np.isfinite(values)]
    return number(float(good.max())) if len(good) else "nothing"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(map(_short, value)) + ")"
    return str(value)
