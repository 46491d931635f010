"""What varies, by how much, and which family's turn it is."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from sage_ext.config import VariationsConfig
from sage_ext.sleep.variations import FAMILIES, draw, schedule

from .conftest import configured, seeded


def variations(*shares: float) -> VariationsConfig:
    given = zip(FAMILIES, shares, strict=True)
    return configured(*(f"sleep.variations.{k}.share={v}" for k, v in given)).sleep.variations


def test_variations_stay_in_their_ranges_and_fill_them() -> None:
    config = configured(
        "sleep.variations.physical.gravity_scale=[0.5,1.5]", "sleep.variations.physical.friction_scale=[2,3]"
    ).sleep.variations
    physical, spatial = (draw(config, family, 2000, seeded()) for family in ("physical", "spatial"))
    yaw, shift = math.radians(30), 0.1
    for values, low, high in (
        (physical.gravity, 0.5, 1.5),
        (physical.friction, 2.0, 3.0),
        (physical.mass, 0.5, 2.0),
        (spatial.viewpoint[:, 0], -yaw, yaw),
        *((spatial.viewpoint[:, axis], -shift, shift) for axis in (2, 3, 4)),
    ):
        found, wide = values.aminmax(), high - low
        assert low <= found[0] < low + 0.01 * wide and high - 0.01 * wide < found[1] <= high
        # Factors are as likely to halve as to double.
        middle = math.sqrt(low * high) if low > 0 else 0.0
        assert values.median() == pytest.approx(middle, abs=0.05 * wide)
    together = torch.corrcoef(torch.stack([physical.gravity, physical.friction, physical.mass]))
    assert (together - torch.eye(3)).abs().max() < 0.1, "gravity, friction and mass are drawn apart"
    speeds = Counter(draw(config, "temporal", 3, generator).speed for generator in [seeded()] for _ in range(400))
    assert set(speeds) == {0.5, 2.0} and min(speeds.values()) > 150


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_varies_nothing_of_another(family: str) -> None:
    drawn, rest = draw(configured().sleep.variations, family, 50, seeded(1)), torch.ones(50)
    assert (drawn.family, drawn.viewpoint.shape) == (family, (50, 5))
    for factor in (drawn.gravity, drawn.friction, drawn.mass):
        assert bool((factor == rest).all()) == (family != "physical")
    assert bool((drawn.viewpoint == 0).all()) == (family != "spatial")
    assert (drawn.speed == 1.0) == (family != "temporal")


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(ValueError, match=r"family=magical: use one of physical, spatial, temporal, causal, re"):
        draw(configured().sleep.variations, "magical", 1, seeded())


@pytest.mark.parametrize(
    "shares", [(0.3, 0.2, 0.1, 0.1, 0.3), (0.7, 0.2, 0.1, 0, 0), (0, 0.5, 0, 0.5, 0), (1, 0, 0, 0, 0)]
)
def test_the_schedule_keeps_the_shares_over_any_stretch(shares: tuple[float, ...]) -> None:
    config = variations(*shares)
    whole = schedule(config, 60, 0)
    assert schedule(config, 25, 0) + schedule(config, 35, 25) == whole, "however it is cut"
    for first in range(0, 40, 3):
        for length in (1, 7, 20):
            count = Counter(whole[first : first + length])
            for family, share in zip(FAMILIES, shares, strict=True):
                assert abs(count[family] - share * length) < 2
                assert share > 0 or not count[family]
