"""The heat map of what linear probes read from each group of the context, from the rows of ``bench.probes``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from pathlib import Path

from ..context.layout import GROUPS
from ..errors import SageError

FILE = "probes.json"
"""Where a run's probes are looked for, in its folder."""
OURS, UNTRAINED, WHOLE = "sage-ext", "untrained", "whole context"
METRICS = ("r2", "balanced_accuracy")
MAKE = "python -m bench.probes --run {run} --json {file}"


@dataclass
class Probes:
    """What can be read from the context.

    Attributes:
        tasks: Task -> part of the context (a group, or the whole) -> quantity -> score.
        untrained: Task -> quantity -> score of the whole context before it learned anything.
        about: What it was measured on and what it cost.
    """

    tasks: dict[str, dict[str, dict[str, float]]]
    untrained: dict[str, dict[str, float]]
    about: str


def read_probes(path: Path) -> Probes:
    """Read what ``bench.probes`` wrote.

    Raises:
        SageError: It cannot be read, or is of another bench.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["bench"] != "probes":
            raise SageError("probes", path, f"is of bench.{data['bench']}", "name a file of python -m bench.probes")
        budget, names = data["budget"], list(data["budget"]["tasks"])
        probes = Probes({}, {}, f"{data['machine']}; {budget['updates']} updates; episodes: {budget['episodes']}")
        for row in data["rows"]:
            if row["metric"] not in METRICS:
                continue
            task, case = row["case"].split("/", 1) if len(names) > 1 else (names[0], row["case"])
            part, _, quantity = case.rpartition(":")
            if row["arm"] == OURS:
                parts = probes.tasks.setdefault(task, {})
                parts.setdefault(part or WHOLE, {})[quantity] = float(row["value"])
            elif row["arm"] == UNTRAINED and not part:
                probes.untrained.setdefault(task, {})[quantity] = float(row["value"])
        return probes
    except OSError as error:
        mend = f"make it: {MAKE.format(run='RUN', file=path)}"
        raise SageError("probes", path, f"cannot be read ({error.strerror})", mend) from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise SageError("probes", path, "holds no rows of bench.probes", "name its JSON file") from error


def heat_maps(probes: Probes) -> str:
    """A table a task: quantities across, parts of the context down, each cell as strong as its score."""
    tables = []
    for task, parts in probes.tasks.items():
        rows = {WHOLE: parts.get(WHOLE, {}), "untrained encoder": probes.untrained.get(task, {})}
        rows |= {name: parts[name] for name in GROUPS if name in parts}
        quantities = list(parts.get(WHOLE) or next(iter(parts.values())))
        head = "".join(f"<th scope=col><span>{escape(name)}</span></th>" for name in quantities)
        body = "".join(
            f"<tr><th scope=row>{escape(name)}</th>{''.join(_cell(row.get(q)) for q in quantities)}</tr>"
            for name, row in rows.items()
            if row
        )
        tables.append(
            f'<div class="wide"><table class="map"><caption>{escape(task)}</caption>'
            f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )
    return "".join(tables)


def _cell(score: float | None) -> str:
    if score is None:
        return "<td>·</td>"
    share = min(1.0, max(0.0, score))
    look = ' class="strong"' if share > 0.7 else ""
    return f'<td{look} style="--share:{100 * share:.0f}%">{score:.2f}</td>'
