"""Rounds of a sleep: each from a seed of its own, lived ahead of what is learned or not."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import torch

from sage_ext.memory import Memory
from sage_ext.sleep import Moments, Rounds
from sage_ext.sleep import rounds as rounds_module
from sage_ext.sleep.variations import FAMILIES

from .ball_world import BallWorld
from .conftest import configured

Remembered = tuple[BallWorld, Memory]
ASKED = ("sleep.consolidations=26", "sleep.round=12", "sleep.batch=6")


def all_of(remembered: Remembered, *overrides: str, number: int = 0, slept: int = 0) -> dict[int, Moments]:
    rounds = Rounds(*remembered, configured(*ASKED, *overrides).sleep, lambda number: 100 + number)
    with rounds.ahead(number, slept) as lived:
        return dict(lived)


def same(one: Moments, other: Moments) -> bool:
    branches = ("history", "remembered", "varied", "change", "asked")
    return all(
        torch.equal(v, getattr(other, b)[k]) for b in branches for k, v in getattr(one, b).items()
    ) and torch.equal(one.actions, other.actions)


def test_living_ahead_changes_nothing(remembered: Remembered) -> None:
    ahead, after = (all_of(remembered, f"sleep.background={b}") for b in ("true", "false"))
    assert [len(m) for m in ahead.values()] == [12, 12, 2] and list(ahead) == list(after) == [0, 1, 2]
    assert all(same(ahead[number], after[number]) for number in ahead)
    assert not same(ahead[0], ahead[1])


def test_each_round_draws_from_a_seed_of_its_own(remembered: Remembered) -> None:
    one_family = [f"sleep.variations.{family}.share={float(family == 'spatial')}" for family in FAMILIES]
    one, two, _ = all_of(remembered, *one_family).values()
    assert not torch.equal(one.actions, two.actions)
    asked: list[int] = []
    config = configured(*ASKED, "sleep.background=false").sleep
    with Rounds(*remembered, config, lambda number: asked.append(number) or 7).ahead(0, 0) as lived:  # type: ignore[func-returns-value]
        first, second, _ = (moments.actions for _, moments in lived)
    assert asked == [0, 0, 1, 1, 2, 2] and torch.equal(first[:6], second[:6]), "the same seed draws the same stretches"


def test_rounds_that_are_left_are_what_they_would_have_been(remembered: Remembered) -> None:
    whole, rest = all_of(remembered), all_of(remembered, number=1, slept=12)
    assert list(rest) == [1, 2] and all(same(rest[number], whole[number]) for number in rest)


class Noisy(BallWorld):
    """Its skin itches."""

    def _observe(self) -> dict[str, dict[str, torch.Tensor]]:
        seen = super()._observe()
        itch = torch.rand(self.num_envs, 128, generator=self.generator)
        return {**seen, "policy": {**seen["policy"], "tactile": seen["policy"]["tactile"] + itch}}


def test_what_the_environment_draws_is_what_it_would_have_been(remembered: Remembered) -> None:
    noisy = Noisy(6, 30, 32), remembered[1]
    whole, rest = all_of(noisy), all_of(noisy, number=1, slept=12)
    assert all(same(rest[number], whole[number]) for number in rest)
    assert not same(whole[0], all_of(remembered)[0])


@pytest.mark.parametrize("background", [True, False])
def test_the_next_round_is_lived_while_this_one_is_learned_from(
    remembered: Remembered, background: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = [threading.Event() for _ in range(3)]
    count = iter(range(3))
    relive_moments = rounds_module.relive_moments

    def watched(*given: Any) -> Moments:
        started[next(count)].set()
        return relive_moments(*given)

    monkeypatch.setattr(rounds_module, "relive_moments", watched)
    rounds = Rounds(*remembered, configured(*ASKED, f"sleep.background={background}").sleep, lambda number: number)
    with rounds.ahead(0, 0) as lived:
        for number, _ in lived:
            if number < 2:  # nothing but the other thread can set it while this one waits
                assert started[number + 1].wait(20 if background else 0.2) == background


@pytest.mark.parametrize("background", [True, False])
def test_whoever_stops_waits_for_the_round_under_way(
    remembered: Remembered, background: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The simulator belongs to one thread at a time."""
    inside: list[bool] = []
    relive_moments = rounds_module.relive_moments

    def slow(*given: Any) -> Moments:
        inside.append(True)
        time.sleep(0.2)
        found = relive_moments(*given)
        inside.pop()
        return found

    monkeypatch.setattr(rounds_module, "relive_moments", slow)
    rounds = Rounds(*remembered, configured(*ASKED, f"sleep.background={background}").sleep, lambda number: number)
    with pytest.raises(KeyError), rounds.ahead(0, 0) as lived:
        next(lived)
        while background and not inside:
            time.sleep(0.001)
        raise KeyError
    assert not inside


def test_a_round_that_fails_says_so(remembered: Remembered, monkeypatch: pytest.MonkeyPatch) -> None:
    relive_moments, calls = rounds_module.relive_moments, iter(range(9))

    def failing(*given: Any) -> Moments:
        if next(calls) == 1:
            raise ValueError("the second")
        return relive_moments(*given)

    monkeypatch.setattr(rounds_module, "relive_moments", failing)
    seen = []
    rounds = Rounds(*remembered, configured(*ASKED).sleep, lambda number: number)
    with pytest.raises(ValueError, match="the second"), rounds.ahead(0, 0) as lived:
        seen += [number for number, _ in lived]
        seen.append(-1)
    assert not seen
