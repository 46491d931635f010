"""The seeker: it chooses one of the landmarks by what the body is told."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sage_ext.context.encoder import ContextEncoder
from sage_ext.context.layout import GROUPS, SOUGHT
from sage_ext.context.seeker import NEAR, Seeker, shortened

from .conftest import SMALL, make_observation, make_spec


def test_it_learns_to_choose_from_few_looks_and_holds_in_places_never_seen() -> None:
    torch.manual_seed(0)
    seeker, told = Seeker(4, 8), torch.randn(4, GROUPS["proprioceptive"].width)

    def looks(n: int) -> tuple[Tensor, Tensor, Tensor]:
        meant, places = torch.randint(4, (n,)), torch.rand(n, 4, 3) - 0.5
        points = torch.cat([places, torch.zeros(n, 4, 4)], -1).flatten(1)
        return told[meant], points, places[torch.arange(n), meant]

    optimizer = torch.optim.Adam(seeker.parameters(), 3e-3)
    for _ in range(300):
        body, points, way = looks(64)
        optimizer.zero_grad()
        (seeker(body, points, torch.zeros(64, 8)) - shortened(way)).abs().mean().backward()
        optimizer.step()
    body, points, way = looks(500)
    missed = (seeker(body, points, torch.zeros(500, 8)) - shortened(way)).abs().mean()
    assert missed < 0.2 * shortened(way).abs().mean()


@pytest.mark.parametrize("missing", ["proprioceptive", "visual"])
def test_the_way_stands_at_its_place_in_a_context(missing: str) -> None:
    encoder, observation = ContextEncoder(make_spec(), SMALL, seed=0), make_observation(2, 3)
    del observation[missing]
    before, _ = encoder(observation)
    with torch.no_grad():
        encoder.seeker.sum.bias += torch.tensor([30.0, 0.0, 40.0])
    after, _ = encoder(observation)
    moved = after - before
    there = math.log(1 + 50 / NEAR) * torch.tensor([0.6, 0.0, 0.8])
    assert torch.allclose(after[..., SOUGHT], there.expand(2, 3, 3), atol=0.1) and moved[..., SOUGHT].any()
    moved[..., SOUGHT] = 0
    assert not moved.any(), "nothing else does"
