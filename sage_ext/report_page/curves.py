"""The curves of a run: a small chart a number, in the order in which one reads them."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from ..context.layout import GROUPS
from .plot import Line, chart, number
from .scalars import Curve

ABOUT = {
    "loss": "whole loss; dashed: the least that a collapsed encoder could reach",
    "prediction": "error of the context 1 and 2 looks ahead",
    "calibration": "how badly predicted variances fit the errors",
    "foresight": "error of the group predictive",
    "regularity": "how far contexts are from a Gaussian",
    "invariance": "disagreement of semantic groups between a moment and its variation",
    "change": "what was not read of what a variation changed",
    "sighting": "how unsure it is of where objects are in single looks",
    "seeking": "error of the way to what is sought",
    "skill": "above 0: predicts better than 'nothing changes'",
}
"""Number of the sleep -> what it says."""
COLLAPSED = "collapsed"
PER_CYCLE = {
    "wake/success_rate": ("success awake", "share of episodes"),
    "dream/mean_coherence": ("coherence of dreams", "0 impossible, 1 ordinary; blue: their possible twins"),
    "dream/pairwise_accuracy": ("dreams told from their twins", "pairwise accuracy; guessing gives 0.5"),
}


def curves(told: Mapping[str, Curve]) -> str:
    """All curves as blocks of small charts; nothing where nothing was told."""
    sleep = {name.removeprefix("sleep/"): curve for name, curve in told.items() if name.startswith("sleep/")}
    reference = sleep.pop(COLLAPSED, None)
    order = [name for name in ABOUT if name in sleep]
    order += [name for name in sleep if name not in order]
    losses = [_one(name, ABOUT.get(name, ""), sleep[name], reference if name == "loss" else None) for name in order]
    ranks = {name: told[f"rank/{name}"] for name in GROUPS if f"rank/{name}" in told}
    updates = number(max((curve.steps[-1] for curve in sleep.values()), default=0.0))
    top = max((float(curve.high.max()) for curve in ranks.values()), default=1.0)
    return (
        _block(f"Sleep: losses over {updates} updates, with their running mean", losses)
        + _block(
            "Rank of each group over updates: effective directions as a share of its width",
            [_one(name, GROUPS[name].family, curve, up=(0.0, max(top, 1e-3))) for name, curve in ranks.items()],
        )
        + _block("Over cycles", [_cycles(name, told) for name in PER_CYCLE if name in told])
    )


def _block(title: str, panels: list[str]) -> str:
    return f'<h3>{title}</h3><div class="panels">{"".join(panels)}</div>' if panels else ""


def _one(
    name: str, about: str, curve: Curve, reference: Curve | None = None, up: tuple[float, float] | None = None
) -> str:
    lines = [Line(curve.steps, curve.values, "faint", (curve.low, curve.high)), Line(curve.steps, curve.trend, "ink")]
    if reference is not None:
        lines.insert(0, Line(reference.steps, reference.trend, "dashed"))
    first, last = curve.values[0], curve.last
    alt = f"{name}: from {number(first)} to {number(last)} in {number(curve.steps[-1])} updates"
    title = name.replace("/", ": ").replace("_", " ")
    return _panel(title, number(last), about, chart(lines, alt, up=up))


def _cycles(name: str, told: Mapping[str, Curve]) -> str:
    title, about = PER_CYCLE[name]
    curve, twin = told[name], told.get("dream/mean_twin_coherence") if name == "dream/mean_coherence" else None
    lines = [Line(curve.steps + 1, curve.values, "dream" if twin else "ink")]
    if twin is not None:
        lines.insert(0, Line(twin.steps + 1, twin.values, "twin"))
    alt = f"{title} by cycle: " + ", ".join(number(value) for value in curve.values)
    if twin is not None:
        alt += "; twins " + ", ".join(number(value) for value in twin.values)
    across = (0.5, float(curve.steps.max()) + 1.5)
    return _panel(title, number(curve.last), about, chart(lines, alt, across, (0.0, 1.0)))


def _panel(title: str, value: str, about: str, drawn: str) -> str:
    return (
        f"<figure><figcaption><b>{escape(title)}</b> <output>{value}</output><small>{escape(about)}</small>"
        f"</figcaption>{drawn}</figure>"
    )
