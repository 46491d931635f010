"""The page: what a run was, its curves, what its context knows, how well it understands, and its dreams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from .. import __version__
from ..config import load_config
from ..config_checks import shown
from ..dream_file import KeptDream, load_dreams
from ..errors import SageError
from ..runs import Run
from .curves import curves
from .gallery import gallery
from .laws import BAR, VERDICTS, law_table, understanding
from .probes import FILE, MAKE, Probes, heat_maps, read_probes
from .scalars import Curve, read_curves

MOST_BYTES = 15 * 10**6
"""A page is smaller than that."""


@dataclass
class Told:
    """Everything that a page shows.

    Attributes:
        run: The run.
        summary: Its results; empty before they are there.
        curves: Its numbers over time.
        dreams: Those that were kept, worst misses first.
        probes: What probes read from its context; None where nobody asked.
    """

    run: Run
    summary: dict[str, Any]
    curves: dict[str, Curve]
    dreams: list[KeptDream]
    probes: Probes | None


def gather(run: Run, probes: Path | None = None) -> Told:
    """Read what a run left.

    Args:
        run: The run; it may still be at work.
        probes: JSON file of ``bench.probes``; by default ``probes.json`` in the run's folder, if it is there.

    Raises:
        SageError: A file is missing or corrupt, or the run has told nothing yet.
    """
    file = run.path / FILE
    found = read_probes(probes or file) if probes or file.is_file() else None
    told = Told(run, run.read_summary(), read_curves(run.tensorboard), load_dreams(run.scenes), found)
    if not told.summary and not told.curves:
        problem = "has told nothing yet that a report could show"
        raise SageError("run", run.path, problem, f"see sage-ext status {run.path}; go on with sage-ext resume")
    return told


def page(told: Told) -> str:
    """The whole page as HTML; the gallery loses its last dreams where it would not fit."""
    dreams = list(told.dreams)
    while True:
        text = _page(told, dreams)
        if len(text.encode()) < MOST_BYTES or not dreams:
            return text
        dreams = dreams[: len(dreams) * 3 // 4]


def _page(told: Told, dreams: list[KeptDream]) -> str:
    run = told.run
    sections = [
        ("run", "The run", _run(told)),
        ("learning", "Learning", curves(told.curves) or "<p>No curves were kept.</p>"),
        ("probes", "What the context knows", _probes(told)),
        ("laws", "Robust and fragile understanding", _laws(told)),
        ("dreams", "Dreams, worst misses first", _dreams(told, dreams)),
    ]
    files = resources.files(__package__)
    return Template((files / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(f"{run.config.task.id}, {run.path.name}"),
        task=escape(run.config.task.id),
        name=escape(run.path.name),
        style=(files / "style.css").read_text(encoding="utf-8"),
        tiles=_tiles(told.summary),
        links="".join(f'<a href="#{key}">{title}</a>' for key, title, _ in sections),
        sections="".join(f'<section id="{key}"><h2>{title}</h2>{body}</section>' for key, title, body in sections),
        version=__version__,
    )


def _tiles(summary: Mapping[str, Any]) -> str:
    tiles = (
        ("experiences", "steps lived", ",d"),
        ("consolidations", "moments slept on", ",d"),
        ("explorations", "dreams", ",d"),
        ("pairwise_accuracy", "told from their twins", ".0%"),
        ("mean_coherence", "coherence of dreams", ".2f"),
        ("mean_twin_coherence", "coherence of twins", ".2f"),
        ("success_rate", "success awake", ".0%"),
    )
    return "".join(
        f"<div><dd>{format(summary[key], form)}</dd><dt>{words}</dt></div>"
        for key, words, form in tiles
        if summary.get(key) is not None
    )


def _run(told: Told) -> str:
    config, summary = told.run.config, told.summary
    measured = summary.get("measured") or {}
    seconds = measured.get("seconds") or {}
    budget = {"episodes": "episodes", "updates": "updates of the weights", "consolidations": "moments slept on"}
    spent = [f"{summary[key]:,d} {words}" for key, words in budget.items() if key in summary]
    rows = [
        ("task", f"{config.task.id}, difficulty {config.task.difficulty}"),
        ("worlds", f"{config.task.num_envs} at once, {config.task.resolution} x {config.task.resolution} pixels"),
        ("physics", config.task.physics),
        ("acted", config.wake.policy),
        ("seed", str(config.seed)),
        ("cycles", str(config.cycles)),
        ("budget", ", ".join(spent)),
        ("time", ", ".join(f"{phase} {value:,.0f} s" for phase, value in seconds.items())),
        ("machine", str(measured.get("machine", ""))),
        ("memory", f"{measured['peak_memory_gb']} GB at most" if "peak_memory_gb" in measured else ""),
        ("finished", str(measured.get("finished", "not yet"))),
    ]
    usual = load_config().flat()
    flat = config.flat()
    changed = [(key, shown(value)) for key, value in flat.items() if key in usual and value != usual[key]]
    every = [(key, shown(value)) for key, value in flat.items()]
    return (
        f"<dl>{_pairs(rows)}</dl><h3>Settings that are not the default</h3><dl class=keys>{_pairs(changed)}</dl>"
        f"<details><summary>All {len(every)} settings</summary><dl class=keys>{_pairs(every)}</dl></details>"
    )


def _pairs(rows: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in rows if value)


def _probes(told: Told) -> str:
    if told.probes is None:
        command = MAKE.format(run=told.run.path.name, file=told.run.path / FILE)
        return f"<p>Nobody asked yet. This does: <code>{escape(command)}</code></p>"
    about = (
        "R² or balanced accuracy of linear probes on episodes that nobody learned from: 1 reads a quantity fully, "
        "0 not at all. Rows are parts of the context, columns are what was read from them."
    )
    return f'<p>{about}</p>{heat_maps(told.probes)}<p class="fine">{escape(told.probes.about)}</p>'


def _laws(told: Told) -> str:
    records = told.summary.get("dreams") or [dream.record for dream in told.dreams]
    if not records:
        return _not_dreamt(told)
    legend = "; ".join(f'<span class="verdict {name}">{name}</span> {words}' for name, words in VERDICTS.items())
    return (
        "<p>A mind understands a law if it holds a scene that breaks it for less possible than the scene's twin, which "
        f"obeys it. The thin line within an accuracy is its 95 % interval; the notch is at {BAR:.0%}, half way between "
        f"guessing and always right. {legend}.</p>{law_table(understanding(records))}"
    )


def _dreams(told: Told, dreams: list[KeptDream]) -> str:
    if not told.dreams:
        if told.summary.get("dreams"):
            command = f"sage-ext dream {told.run.path.name}"
            return f"<p>This run kept no pictures of its dreams. Dream again: <code>{escape(command)}</code></p>"
        return _not_dreamt(told)
    count = len(told.summary.get("dreams") or told.dreams)
    few = "" if len(dreams) == count else f" Of {count} dreams the worst {len(dreams)} are shown."
    return (
        "<p>Both strips are the same moment with the same actions. From the red mark on a law is broken in the lower "
        "one. Below them is the surprise of each look, in deviations from what is usual: a mind that understands is "
        'more surprised by the <b class="dream">dream</b> than by its <b class="twin">twin</b>. Beside each strip is '
        f"its coherence: 0 like nothing remembered, 1 quite ordinary.{few}</p>{gallery(dreams)}"
    )


def _not_dreamt(told: Told) -> str:
    command = f"sage-ext dream {told.run.path.name}"
    return f"<p>This run has not dreamt yet: <code>{escape(command)}</code></p>"
