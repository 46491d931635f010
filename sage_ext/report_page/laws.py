"""Robust against fragile understanding: how surely the mind tells each law's dreams from their twins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ..dream_file import miss
from ..play import wilson_interval

BAR = 0.75
"""Pairwise accuracy half way between guessing and always right: robust lies surely above it, fragile surely below."""
VERDICTS = {
    "robust": f"surely above {BAR:.0%}",
    "fragile": f"surely below {BAR:.0%}",
    "unsettled": "too few dreams, or too near, to say",
}


ALL = "all laws"


@dataclass(frozen=True)
class Understanding:
    """How well one kind of violation is told from what is possible.

    Attributes:
        law: The law.
        kind: Which way of breaking it; None where there is but one.
        dreams: How many there were.
        accuracy: Share whose impossible scene has the lower coherence; a tie counts half.
        interval: 95 % interval of it (Wilson 1927).
        coherence: Mean over the impossible scenes.
        twin_coherence: Mean over their twins.
    """

    law: str
    kind: str | None
    dreams: int
    accuracy: float
    interval: tuple[float, float]
    coherence: float
    twin_coherence: float

    @property
    def verdict(self) -> str:
        """One of :data:`VERDICTS`."""
        low, high = self.interval
        return "robust" if low > BAR else "fragile" if high < BAR else "unsettled"


def understanding(records: Sequence[Mapping[str, Any]]) -> list[Understanding]:
    """Sum up dreams by law, and by kind where a law has several, the worst told first; all together last.

    Args:
        records: Of dreams, as in the summary.
    """
    by_law: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        by_law.setdefault(str(record["law"]), []).append(record)
    rows = []
    for law, mine in by_law.items():
        kinds = sorted({str(record["kind"]) for record in mine if record.get("kind")})
        rows.append([_sum_up(law, None, mine)])
        if len(kinds) > 1:
            parts = [_sum_up(law, kind, [r for r in mine if r.get("kind") == kind]) for kind in kinds]
            rows[-1] += sorted(parts, key=lambda row: row.accuracy)
    ordered = [row for block in sorted(rows, key=lambda block: block[0].accuracy) for row in block]
    return ordered if len(by_law) < 2 else [*ordered, _sum_up(ALL, None, records)]


def _sum_up(law: str, kind: str | None, records: Sequence[Mapping[str, Any]]) -> Understanding:
    count = len(records)
    right = sum((miss(dict(r)) < 0) + 0.5 * (miss(dict(r)) == 0) for r in records)
    return Understanding(
        law,
        kind,
        count,
        right / count,
        wilson_interval(right, count),
        sum(float(r["coherence"]) for r in records) / count,
        sum(float(r["twin_coherence"]) for r in records) / count,
    )


def law_table(rows: Sequence[Understanding]) -> str:
    """The rows as an HTML table: accuracy as a bar with its interval, coherences as two dots."""
    head = (
        "<thead><tr><th scope=col>broken law</th><th scope=col class=n>dreams</th>"
        "<th scope=col class=n>told apart</th><th scope=col>accuracy, 0 to 1, with its 95 % interval</th>"
        "<th scope=col class=n>coherence<br><b class=dream>dream</b> / <b class=twin>twin</b></th>"
        "<th scope=col>mean coherence, 0 to 1</th><th scope=col>understanding</th></tr></thead>"
    )
    return f'<div class="wide"><table class="laws">{head}<tbody>{"".join(map(_row, rows))}</tbody></table></div>'


def _row(row: Understanding) -> str:
    low, high = (100 * x for x in row.interval)
    a, b = 100 * row.coherence, 100 * row.twin_coherence
    name = escape(row.law) if row.kind is None else f"<span class=kind>{escape(row.kind)}</span>"
    bar = (
        f'<div class="track half" aria-hidden="true"><i class="{row.verdict}" style="width:{100 * row.accuracy:.1f}%">'
        f'</i><u style="left:{low:.1f}%;width:{high - low:.1f}%"></u></div>'
    )
    dots = (
        f'<div class="track dots" aria-hidden="true"><s style="left:{min(a, b):.1f}%;width:{abs(a - b):.1f}%"></s>'
        f'<i class="twin" style="left:{b:.1f}%"></i><i class="dream" style="left:{a:.1f}%"></i></div>'
    )
    return (
        f'<tr class="{"law" if row.kind is None else "of-law"}"><th scope=row>{name}</th><td class=n>{row.dreams}</td>'
        f"<td class=n>{row.accuracy:.0%}</td><td>{bar}</td>"
        f"<td class=n><b class=dream>{row.coherence:.2f}</b> / <b class=twin>{row.twin_coherence:.2f}</b></td>"
        f'<td>{dots}</td><td><span class="verdict {row.verdict}">{row.verdict}</span></td></tr>'
    )
