"""Sightings: maps of landmarks are taught in which cell an object lies, or that it is nowhere."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sage_ext.context.landmarks import Chart
from sage_ext.errors import SageError
from sage_ext.learning.batch import Batch
from sage_ext.learning.objective import Objective
from sage_ext.learning.sighting import EXACT, LARGE, NEAR, TOLD, of_a_constant, sighting

from .conftest import make_batch

GRID = 8, 8
NOWHERE = torch.zeros(3)


RADIUS = 0.1


def told(*objects: tuple[float, float, float, float, float]) -> Tensor:
    """One look at some objects, all as large: row and column as shares, metres, seen, known."""
    return torch.tensor([(*told[:3], RADIUS, *told[3:]) for told in objects]).view(1, -1)


def charted(cell: int | None, place: tuple[float, float, float], strong: float = 30.0, wide: float = RADIUS) -> Chart:
    """Three landmarks, the first sure of a cell, or that there is none; things look so large."""
    strength = torch.full((1, 3, 64), -strong)
    if cell is not None:
        strength[0, 0, cell] = strong
    return Chart(strength, torch.tensor(place).expand(1, 3, 3), torch.full((1, 3), wide).log(), GRID)


def missed(chart: Chart, sights: Tensor, shown: bool = True, ranged: bool = True) -> float:
    """The term of one look."""
    return sighting(chart, NOWHERE, sights, torch.tensor([shown]), torch.tensor([ranged])).item()


def test_what_is_found_where_it_is_costs_nothing() -> None:
    # The middle of row 2, column 5, two metres ahead: places go from the middle of the first cell to that of the last.
    at = told((2.5 / 8, 5.5 / 8, 2.0, 1.0, 1.0))
    right = 2 * 5 / 7 - 1, 2 * 2 / 7 - 1, 1 / 3
    assert missed(charted(2 * 8 + 5, right), at) == pytest.approx(0.0, abs=1e-5)
    beside = right[0] + 2 / 7, right[1], right[2]
    assert missed(charted(2 * 8 + 5, beside), at) == pytest.approx(EXACT, abs=1e-5), "one cell beside it"
    assert missed(charted(2 * 8 + 4, right), at) == pytest.approx(60.0, abs=1e-3), "sure of another cell"
    assert missed(charted(None, right), at) == pytest.approx(30.0, abs=1e-3), "sure that it is nowhere"


def test_what_is_out_of_view_is_nowhere_and_what_is_not_known_is_not_asked() -> None:
    hidden, unknown = told((0.3, 0.7, 2.0, 0.0, 1.0)), told((0.3, 0.7, 2.0, 1.0, 0.0))
    assert missed(charted(None, (0.0, 0.0, 0.5)), hidden) == pytest.approx(0.0, abs=1e-5)
    assert missed(charted(9, (0.0, 0.0, 0.5)), hidden) == pytest.approx(30.0, abs=1e-3)
    for cell in (None, 9):
        assert missed(charted(cell, (0.0, 0.0, 0.5)), unknown) == 0.0
        assert missed(charted(cell, (0.0, 0.0, 0.5)), hidden, shown=False) == 0.0, "there is no picture"


def test_how_near_a_thing_is_is_asked_where_there_is_depth() -> None:
    at, right = told((2.5 / 8, 5.5 / 8, 2.0, 1.0, 1.0)), (2 * 5 / 7 - 1, 2 * 2 / 7 - 1)
    nearer = charted(2 * 8 + 5, (*right, 1 / 3 + 0.02))
    assert missed(nearer, at) == pytest.approx(0.02 * NEAR * EXACT, abs=1e-5)
    assert missed(nearer, at, ranged=False) == pytest.approx(0.0, abs=1e-5)


def test_how_large_a_thing_looks_is_asked_where_it_is_seen() -> None:
    at, right = told((2.5 / 8, 5.5 / 8, 2.0, 1.0, 1.0)), (2 * 5 / 7 - 1, 2 * 2 / 7 - 1, 1 / 3)
    for wide in (RADIUS / math.e, RADIUS * math.e):
        assert missed(charted(2 * 8 + 5, right, wide=wide), at) == pytest.approx(LARGE, abs=1e-5)
    hidden = told((0.3, 0.7, 2.0, 0.0, 1.0))
    assert missed(charted(None, (0.0, 0.0, 0.5), wide=0.5), hidden) == pytest.approx(0.0, abs=1e-5)


def test_of_what_the_edge_cuts_the_nearest_cell_is_meant() -> None:
    cut = told((0.5 / 8, 8.25 / 8, 1.0, 1.0, 1.0))
    outside = 2 * 7.75 / 7 - 1, -1.0, 0.5
    assert missed(charted(7, outside), cut) == pytest.approx(0.0, abs=1e-5), "its middle lies outside all the same"


def test_objects_beyond_the_landmarks_are_left_out() -> None:
    known = (0.3, 0.7, 2.0, 0.0, 1.0)
    four = told(known, known, known, (0.3, 0.7, 2.0, 1.0, 1.0))
    assert missed(charted(None, (0.0, 0.0, 0.5)), four) == pytest.approx(0.0, abs=1e-5)


def test_no_constant_chart_is_better_than_the_best() -> None:
    g = torch.Generator().manual_seed(0)
    sights = torch.rand(200, 2, TOLD, generator=g)
    sights[..., 4:] = (sights[..., 4:] > 0.3).float()
    flat, shown = sights.flatten(1), torch.ones(200, dtype=torch.bool)
    best = of_a_constant(flat, GRID, shown).item()
    strength = torch.zeros(2, 64, requires_grad=True)
    place, nowhere = torch.zeros(2, 3, requires_grad=True), torch.zeros(2, requires_grad=True)
    radius = torch.full((2,), -1.0, requires_grad=True)
    optimizer = torch.optim.Adam([strength, place, radius, nowhere], lr=0.02)
    for _ in range(1000):
        chart = Chart(strength.expand(200, -1, -1), place.expand(200, -1, -1), radius.expand(200, -1), GRID)
        loss = sighting(chart, nowhere, flat, shown, shown)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert best <= loss.item() < best + 0.1, "and the best of them is found by learning"


def _sighted(batch: Batch) -> Batch:
    """Single looks with one object told: the bright square."""

    def of(looks: dict[str, Tensor]) -> Tensor:
        lit = looks["visual"][..., 0].float()
        rows, columns = (lit.sum(axis) > 0 for axis in (-1, -2))
        number = torch.arange(32.0)
        middle = [((m * number).sum(-1) / m.sum(-1).clamp(min=1) + 0.5) / 32 for m in (rows, columns)]
        one = torch.ones_like(middle[0])
        return torch.stack([*middle, one, 0.1 * one, one, one], -1)

    return replace(batch, sights={"remembered": of(dict(batch.remembered)), "varied": of(dict(batch.varied))})


def test_landmarks_learn_to_find_what_they_are_told_of(objective: Objective) -> None:
    batch = _sighted(make_batch(64, time=1))
    start, constant = objective(batch)["sighting"].item(), objective.collapsed(batch)["sighting"].item()
    optimizer = torch.optim.Adam(objective.parameters(), lr=2e-3)
    for _ in range(60):
        optimizer.zero_grad()
        objective(batch)["loss"].backward()
        optimizer.step()
    new = _sighted(make_batch(64, time=1, seed=9))
    assert objective(new)["sighting"].item() < 0.5 * constant < start, "squares in places that it never saw"


@pytest.mark.parametrize("looks", [1, 4])
def test_the_term_enters_the_loss_by_its_weight(objective: Objective, looks: int) -> None:
    batch = _sighted(make_batch(time=looks))
    chance = objective.draw(batch, torch.Generator().manual_seed(0))
    objective.eval()
    with_it = objective.judge(batch, chance)
    without = objective.judge(replace(batch, sights={}), chance)
    assert "sighting" not in without
    apart = (with_it["loss"] - without["loss"]).item()
    assert apart == pytest.approx(objective.weights.sighting * with_it["sighting"].item(), rel=1e-4)


def test_sights_that_do_not_fit_are_named(objective: Objective) -> None:
    batch = _sighted(make_batch(time=1))
    one = batch.sights["varied"]
    for sights, message in (
        ({"varied": one}, r"batch\.sights=varied: is not both branches"),
        (
            {"varied": one, "remembered": one[..., :4]},
            r"batch\.sights\.remembered=\(16, 1, 4\): must be \(16, 1, '6 n'\)",
        ),
    ):
        with pytest.raises(SageError, match=message):
            objective(replace(batch, sights=sights))
