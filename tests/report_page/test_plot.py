"""Charts draw what they are given, where they are told."""

from __future__ import annotations

import re

import numpy as np
import pytest

from sage_ext.report_page.plot import HIGH, WIDE, Line, chart, heat, number
from sage_ext.report_page.strips import SHOWN, Shown


def paths(html: str, look: str) -> list[list[tuple[float, ...]]]:
    found = re.findall(rf'<path class="line {look}" d="M([^"]*)"', html)
    return [[tuple(map(float, point.split())) for point in path.split("L")] for path in found]


def test_a_line_goes_from_corner_to_corner() -> None:
    html = chart([Line(np.array([0.0, 5.0, 10.0] * 3), np.array([0.0, 5.0, 10.0] * 3), "ink")], "a rise", up=(0, 10))
    (line,) = paths(html, "ink")
    assert line[:3] == [(0.0, HIGH), (WIDE / 2, HIGH / 2), (WIDE, 0.0)]
    assert 'aria-label="a rise"' in html and ">5<" in html


def test_gaps_stay_open() -> None:
    values = np.array([np.nan, 1.0, 2.0, np.nan, 3.0, 2.0, 2.0, 2.0])
    lines = paths(chart([Line(np.arange(8), values, "dream")], "gaps"), "dream")
    assert [len(line) for line in lines] == [2, 4]
    assert "nan" not in chart([Line(np.arange(8), values * np.nan, "dream")], "nothing")


def test_a_mark_stands_where_it_is_told() -> None:
    html = chart([Line(np.arange(16), np.zeros(16), "ink")], "marked", across=(-1.0, 15.0), mark=7.0)
    assert f'<path class="mark" d="M{WIDE / 2:.1f} 0V{HIGH}"/>' in html


def test_words_are_escaped() -> None:
    assert 'aria-label="&quot;&gt;&lt;b&gt;"' in chart([Line(np.arange(9), np.zeros(9), "ink")], '"><b>')


def test_heat_is_as_strong_as_the_number() -> None:
    html = heat(np.array([np.nan, -3.0, 1.0, 2.0, 8.0]), (-0.5, 4.5), 4.0, "heat")
    assert re.findall(r'opacity="([\d.]+)" d="M([\d.]+) ', html) == [
        ("0.25", "400.0"),
        ("0.50", "600.0"),
        ("1.00", "800.0"),
    ]


@pytest.mark.parametrize(("value", "said"), [(0.12345, "0.123"), (21.46, "21.5"), (3600.0, "3,600"), (-2.0, "-2")])
def test_numbers_are_short(value: float, said: str) -> None:
    assert number(value) == said


@pytest.mark.parametrize(("looks", "at"), [(16, 8), (16, 7), (12, 0), (24, 11), (100, 99), (2, 1)])
def test_a_strip_shows_the_look_at_which_the_law_is_broken_and_where(looks: int, at: int) -> None:
    shown = Shown.of(looks, at)
    assert at in shown.looks and len(shown.looks) <= SHOWN
    assert max(shown.looks) < looks and len(set(np.diff(shown.looks))) <= 1
    first, last = shown.span
    step = (last - first) / len(shown.looks)
    for place, look in enumerate(shown.looks):
        assert (look - first) / step == pytest.approx(place + 0.5), "a look is in the middle of its picture"
    assert shown.broken == shown.looks.index(at) / len(shown.looks)
