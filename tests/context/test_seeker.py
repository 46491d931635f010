"""The seeker: it chooses one of the landmarks by what the body is told."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sage_ext.context.encoder import ContextEncoder
from sage_ext.context.layout import GROUPS, SOUGHT
from sage_ext.context.seeker import BODY, NEAR, SKIN, Seeker, shortened

from .conftest import SMALL, make_observation, make_spec


def test_it_learns_to_choose_from_few_looks_and_holds_in_places_never_seen() -> None:
    torch.manual_seed(0)
    seeker, told = Seeker(4, 6, 8), torch.randn(4, GROUPS[BODY].width)

    def looks(n: int) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        """Four things in sight, and the second to fourth of the body's numbers say where the hand is."""
        meant, places, body = torch.randint(4, (n,)), torch.rand(n, 4, 3) - 0.5, torch.rand(n, 6)
        points = torch.cat([places, torch.zeros(n, 4, 3), torch.ones(n, 4, 1)], -1).flatten(1)
        way = places[torch.arange(n), meant] - body[:, 1:4]
        touch, history = torch.zeros(n, GROUPS[SKIN].width), torch.zeros(n, 8)
        return (body, torch.ones(n, dtype=torch.bool), told[meant], touch, points, history), meant, way

    optimizer = torch.optim.Adam(seeker.parameters(), 3e-3)
    for _ in range(400):
        given, meant, way = looks(64)
        optimizer.zero_grad()
        read, aim = seeker(*given)
        loss = (read - shortened(way)).abs().mean() + (aim.exact - way).abs().mean()
        (loss + F.cross_entropy(aim.choice, meant)).backward()
        assert all(p.grad is not None and p.grad.any() for p in seeker.parameters())
        optimizer.step()
    given, meant, way = looks(500)
    read, aim = seeker(*given)
    assert (read - shortened(way)).abs().mean() < 0.1 * shortened(way).abs().mean()
    assert (aim.exact - way).abs().mean() < 0.05 * way.abs().mean()


@pytest.mark.parametrize(
    ("there", "whole", "doubt"), [(0.0, True, 0.0), (1.0, False, 0.0), (1.0, True, 200.0), (1.0, True, -200.0)]
)
def test_it_sums_what_is_seen_and_felt_and_guesses_otherwise(there: float, whole: bool, doubt: float) -> None:
    torch.manual_seed(0)
    seeker, summed = Seeker(4, 6, 8), there == 1.0 and whole and doubt <= 0.0
    points = torch.cat([torch.rand(1, 4, 6), torch.full((1, 4, 1), there)], -1).flatten(1)
    group, touch = (torch.randn(1, GROUPS[sense].width) for sense in (BODY, SKIN))
    rest = torch.tensor([whole]), group, touch, points, torch.randn(1, 8)
    with torch.no_grad():
        seeker.doubt.bias.fill_(doubt)
        near, far = (seeker(torch.full((1, 6), x), *rest)[0] for x in (0.1, 0.2))
        assert (near != far).all() == summed, "the body's own numbers are in the sum alone"
        seeker.guess.bias += 1.0
        after, aim = seeker(torch.full((1, 6), 0.1), *rest)
        assert (after != near).all() == (doubt != -200.0)
        assert aim.seen.item() == (there if whole else 0.0)


@pytest.mark.parametrize("missing", ["proprioceptive", "visual"])
def test_the_way_stands_at_its_place_in_a_context(missing: str) -> None:
    encoder, observation = ContextEncoder(make_spec(), SMALL, seed=0), make_observation(2, 3)
    del observation[missing]
    before, _ = encoder(observation)
    with torch.no_grad():
        for layer in (encoder.seeker.sum, encoder.seeker.guess):
            layer.bias += torch.tensor([30.0, 0.0, 40.0])
    after, _ = encoder(observation)
    moved = after - before
    there = math.log(1 + 50 / NEAR) * torch.tensor([0.6, 0.0, 0.8])
    assert torch.allclose(after[..., SOUGHT], there.expand(2, 3, 3), atol=0.1) and moved[..., SOUGHT].any()
    moved[..., SOUGHT] = 0
    assert not moved.any(), "nothing else does"
