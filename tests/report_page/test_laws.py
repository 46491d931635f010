"""Robust and fragile: what is said of a law follows from its dreams."""

from __future__ import annotations

import pytest

from sage_ext.report_page.laws import ALL, BAR, law_table, understanding

Pair = tuple[float, float]


def records(law: str, pairs: list[Pair], kind: str | None = None) -> list[dict]:
    named = {} if kind is None else {"kind": kind}
    return [{"law": law, "coherence": a, "twin_coherence": b, **named} for a, b in pairs]


def test_accuracy_and_coherences_of_a_law() -> None:
    (row,) = understanding(records("float", [(0.1, 0.5), (0.3, 0.9), (0.8, 0.4), (0.6, 0.6)]))
    assert (row.law, row.kind, row.dreams) == ("float", None, 4)
    assert row.accuracy == pytest.approx(2.5 / 4), "a tie counts half"
    assert row.coherence == pytest.approx(0.45) and row.twin_coherence == pytest.approx(0.6)
    assert 0.0 < row.interval[0] < row.accuracy < row.interval[1] < 1.0


@pytest.mark.parametrize(
    ("right", "wrong", "verdict"),
    [(40, 0, "robust"), (4, 0, "unsettled"), (0, 2, "fragile"), (20, 20, "fragile"), (30, 10, "unsettled")],
)
def test_a_verdict_needs_enough_dreams(right: int, wrong: int, verdict: str) -> None:
    (row,) = understanding(records("float", [(0.1, 0.5)] * right + [(0.5, 0.1)] * wrong))
    assert row.verdict == verdict
    assert (row.interval[0] > BAR, row.interval[1] < BAR) == (verdict == "robust", verdict == "fragile")


def test_the_worst_law_comes_first_with_its_kinds_and_all_together_last() -> None:
    rows = understanding(
        records("scale", [(0.1, 0.5)], "grows")
        + records("physics", [(0.1, 0.5)], "floats")
        + records("physics", [(0.9, 0.5)] * 2, "vanishes")
    )
    assert [(row.law, row.kind) for row in rows] == [
        ("physics", None), ("physics", "vanishes"), ("physics", "floats"), ("scale", None), (ALL, None),
    ]  # fmt: skip
    assert [row.accuracy for row in rows] == pytest.approx([1 / 3, 0.0, 1.0, 1.0, 0.5])


def test_the_table_says_it_in_words_and_escapes_names() -> None:
    html = law_table(understanding(records("<i>float", [(0.1, 0.5)] * 40)))
    assert "&lt;i&gt;float" in html and "<i>float" not in html
    assert ">100%<" in html and ">robust<" in html and ">0.10</b> / " in html
