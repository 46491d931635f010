"""Seeking: the first numbers of intentions are the way to what is sought."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sage_ext.context.layout import SOUGHT
from sage_ext.context.seeker import NEAR, Aim, shortened
from sage_ext.errors import SageError
from sage_ext.learning.batch import Batch
from sage_ext.learning.objective import Objective
from sage_ext.learning.seeking import EXACT, of_a_constant, seeking

from .conftest import make_batch

EVERYWHERE = torch.ones(1, dtype=torch.bool)


def _aim(way: Tensor, choice: Tensor, seen: float = 0.0) -> Aim:
    """What read ways ``(N, 3)`` [m]."""
    return Aim(choice.expand(len(way), -1), way, torch.full((len(way),), seen))


def test_short_ways_are_told_as_they_are_and_long_ones_shortened_along_themselves() -> None:
    short = torch.tensor([0.001, -0.002, 0.0005])
    assert shortened(short) * NEAR == pytest.approx(short, rel=0.02)
    long = torch.tensor([3.0, 4.0, 0.0])
    told = shortened(long)
    assert told / told.norm() == pytest.approx(long / 5, abs=1e-6)
    assert told.norm().item() == pytest.approx(math.log(1 + 5 / NEAR), rel=1e-5)
    assert shortened(torch.zeros(2, 3)).tolist() == [[0.0] * 3] * 2


def test_nobody_is_asked_where_it_is_not_known_or_not_sensed() -> None:
    way = torch.tensor([[0.1, 0.2, 0.3]])
    numbers = shortened(way)
    known, unknown = torch.tensor([[0.1, 0.2, 0.3, -1.0, 1.0]]), torch.tensor([[9.0, 9.0, 9.0, 1.0, 0.0]])
    for seen in (0.0, 0.5):
        right, wrong = (_aim(w, torch.zeros(1, 4), seen) for w in (way, -way))
        assert seeking(numbers, right, known, EVERYWHERE).item() == pytest.approx(0, abs=1e-4)
        assert seeking(numbers, wrong, unknown, EVERYWHERE).item() == 0
        assert seeking(-numbers, wrong, known, ~EVERYWHERE).item() == 0
        far = seeking(-numbers, wrong, known, EVERYWHERE).item()
        missed = EXACT * math.log(1 + 2 * way.norm().item() / NEAR)
        assert far == pytest.approx(2 * numbers.abs().sum().item() + seen * missed, rel=1e-5)


def test_a_sum_that_cannot_be_right_pulls_less_the_farther_it_is_off() -> None:
    pulls = []
    for off in (0.01, 0.1, 1.0):
        way = torch.tensor([[off, 0.0, 0.0]], requires_grad=True)
        sought = torch.tensor([[0.0, 0.0, 0.0, -1.0, 1.0]])
        seeking(torch.zeros(1, 3), _aim(way, torch.zeros(1, 4), 1.0), sought, EVERYWHERE).backward()
        assert way.grad is not None
        pulls.append(way.grad[0, 0].item())
    assert pulls == pytest.approx([EXACT / (NEAR + off) for off in (0.01, 0.1, 1.0)], rel=1e-3)


def test_the_choice_is_asked_where_an_object_is_meant_that_has_a_landmark() -> None:
    way = torch.tensor([[0.1, 0.2, 0.3]])
    numbers = shortened(way)
    choice = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.4]]))
    for which, missed in ((-1.0, 0.0), (0.0, -math.log(0.1)), (3.0, -math.log(0.4)), (4.0, 0.0)):
        sought = torch.tensor([[0.1, 0.2, 0.3, which, 1.0]])
        assert seeking(numbers, _aim(way, choice), sought, EVERYWHERE).item() == pytest.approx(missed, abs=1e-6)
        assert seeking(numbers, _aim(way, choice), sought, ~EVERYWHERE).item() == 0


def test_no_constant_is_better_than_the_best_one() -> None:
    g = torch.Generator().manual_seed(0)
    parts = [torch.randn(301, 3, generator=g), torch.randint(-1, 4, (301, 1), generator=g)]
    sought = torch.cat([*parts, (torch.rand(301, 1, generator=g) > 0.3).float()], -1)
    there = torch.rand(301, generator=g) > 0.2
    best = of_a_constant(sought, there).item()
    number, choice = torch.zeros(3, requires_grad=True), torch.zeros(4, requires_grad=True)
    optimizer = torch.optim.Adam([number, choice], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        loss = seeking(number.expand(301, 3), _aim(number.expand(301, 3), choice), sought, there)
        loss.backward()
        optimizer.step()
    assert best <= loss.item() + 1e-6 and loss.item() < best + 0.05


def _told(batch: Batch) -> Batch:
    """What is sought is the bright square, the first of two loose objects, told from where the body says it stands."""

    def of(looks: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        lit = looks["visual"][..., 0].float()
        rows, columns = (lit.sum(axis) > 0 for axis in (-1, -2))
        number = torch.arange(32.0)
        down, across = ((m * number).sum(-1) / m.sum(-1).clamp(min=1) / 32 for m in (rows, columns))
        hand, one, none = looks["proprioceptive"][..., 1], torch.ones_like(down), torch.zeros_like(down)
        sights = torch.stack([down, across, one, one, one, one, none, none, none, none, none, none], -1)
        return torch.stack([across - hand, down, none, none, one], -1), sights

    branches = {name: dict(getattr(batch, name)) for name in ("remembered", "varied")}
    for number, looks in enumerate(branches.values()):
        body = looks["proprioceptive"].clone()
        g = torch.Generator().manual_seed(len(body) + number)
        body[..., 1] = torch.rand(body.shape[:2], generator=g)
        looks["proprioceptive"] = body
    told = {name: of(looks) for name, looks in branches.items()}
    sought, sights = ({name: t[i] for name, t in told.items()} for i in range(2))
    return replace(batch, **branches, sought=sought, sights=sights)


@pytest.mark.parametrize("time", [1, 3])
def test_the_way_is_learned_from_picture_and_body(objective: Objective, time: int) -> None:
    batch = _told(make_batch(64, time=time))
    start, constant = objective(batch)["seeking"].item(), objective.collapsed(batch)["seeking"].item()
    optimizer = torch.optim.Adam(objective.parameters(), lr=2e-3)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 120)  # rounding alone moves a loss that still leaps
    for _ in range(120):
        optimizer.zero_grad()
        objective(batch)["loss"].backward()
        optimizer.step()
        slower.step()
    new = _told(make_batch(80, time=time, seed=9))
    assert objective(new)["seeking"].item() < 0.6 * constant < start, "squares in places that it never saw"


def test_single_looks_tell_what_the_encoder_tells_of_a_first_look(objective: Objective) -> None:
    batch = _told(make_batch(16, time=1))
    objective.eval()
    chance = objective.draw(batch, torch.Generator().manual_seed(0))
    context, _ = objective.encoder(batch.varied)
    _, way, _ = objective.encoder.glimpse(batch.varied)
    assert way.flatten().tolist() == pytest.approx(context[..., SOUGHT].flatten().tolist(), abs=1e-5)
    with_it, without = (objective.judge(b, chance) for b in (batch, replace(batch, sought={})))
    assert "seeking" not in without
    apart = (with_it["loss"] - without["loss"]).item()
    assert apart == pytest.approx(objective.weights.seeking * with_it["seeking"].item(), rel=1e-3)


def test_what_does_not_fit_is_named(objective: Objective) -> None:
    batch = _told(make_batch(time=1))
    one = batch.sought["varied"]
    for sought, message in (
        ({"varied": one}, r"batch\.sought=varied: is not both branches"),
        (
            {"varied": one, "remembered": one[..., :3]},
            r"batch\.sought\.remembered=\(16, 1, 3\): must be \(16, 1, '5'\)",
        ),
    ):
        with pytest.raises(SageError, match=message):
            objective(replace(batch, sought=sought))
