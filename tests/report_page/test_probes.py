"""The heat map shows the rows that ``bench.probes`` writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.table import Table
from sage_ext.errors import SageError
from sage_ext.report_page.probes import WHOLE, heat_maps, read_probes

from .conftest import write_probes


def test_rows_become_parts_and_quantities(tmp_path: Path) -> None:
    write_probes(tmp_path / "p.json")
    probes = read_probes(tmp_path / "p.json")
    assert probes.tasks == {
        "Sage-Navigation": {WHOLE: {"mass": 0.81}, "materials": {"mass": 0.62}, "objects": {"mass": -0.3}}
    }
    assert probes.untrained == {"Sage-Navigation": {"mass": 0.12}}
    html = heat_maps(probes)
    assert html.count("<table") == 1
    order = [html.index(word) for word in (WHOLE, "untrained encoder", "objects", "materials")]
    assert order == sorted(order), "groups come in the order of the context"
    assert '--share:62%">0.62' in html and '--share:0%">-0.30' in html


def test_what_the_bench_writes_can_be_read_for_several_tasks(tmp_path: Path) -> None:
    table = Table("probes", {"tasks": ["Sage-Reach", "Sage-Push"], "updates": 3, "episodes": "few"}, [0])
    table.add("sage-ext", "Sage-Reach/objects:speed", "r2", 0.5)
    table.add("sage-ext", "Sage-Push/contact", "balanced_accuracy", 0.9)
    table.write(tmp_path / "p.json")
    probes = read_probes(tmp_path / "p.json")
    assert probes.tasks == {"Sage-Reach": {"objects": {"speed": 0.5}}, "Sage-Push": {WHOLE: {"contact": 0.9}}}
    assert heat_maps(probes).count("<table") == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read (No such file or directory); make it: python -m bench.probes --run RUN"),
        ("{", "holds no rows of bench.probes"),
        ("[]", "holds no rows of bench.probes"),
        (json.dumps({"bench": "speed", "rows": []}), "is of bench.speed"),
        (json.dumps({"bench": "probes", "budget": {}, "rows": []}), "holds no rows of bench.probes"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "p.json").write_text(text)
    with pytest.raises(SageError) as caught:
        read_probes(tmp_path / "p.json")
    assert said in str(caught.value)
