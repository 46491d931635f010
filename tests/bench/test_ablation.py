"""The ablation gives every arm as much, and processes that live side by side keep to their cores."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest
import torch

from bench import ablation_data
from bench.ablation_arms import ARMS
from bench.ablation_data import (
    FAMILIES,
    PIECE,
    PIECES,
    SHARES,
    Mixed,
    counts,
    looks_of,
    pieces,
    relives,
    steps_of_sleep,
)
from bench.ablation_plan import life
from bench.held_out import in_parallel
from sage_ext.sleep import Moments

LOOKS = 8


def _moments(count: int, looks: int, first: int) -> Moments:
    """Moments that are told apart by a number in their one sense."""
    number = torch.arange(first, first + count).view(-1, 1, 1).expand(count, looks, 1).float()
    zero = torch.zeros(count, looks, 3)
    return Moments(
        history={"audio": torch.zeros(count, 2 if looks > 1 else 0, 1)},
        remembered={"audio": number},
        varied={"audio": -number},
        actions=zero,
        varied_actions=zero,
        change={},
        asked={},
        match=torch.zeros(count, looks, dtype=torch.long),
        forget=torch.zeros(count, dtype=torch.bool),
        looks=torch.full((count,), looks),
        sights={},
        sought={},
    )


def test_every_arm_that_sleeps_simulates_as_much() -> None:
    assert sum(SHARES.values()) == pytest.approx(1.0)
    for arm in (arm for arm in ARMS if arm.learns == "sleep"):
        found = counts(arm.families, 49152, LOOKS)
        steps = sum(count * steps_of_sleep(family, LOOKS) for family, count in found.items())
        assert steps == pytest.approx(49152, rel=0.001), arm.name
    assert len({arm.families for arm in ARMS if arm.learns == "sleep"}) == 1 + len(FAMILIES)


def test_arms_share_what_was_simulated() -> None:
    few, many = (pieces(Path("runs/a"), "rearranged", count, LOOKS) for count in (PIECE, 2 * PIECE + 1))
    assert len(few) == 1 and len(many) == 3 and many[:1] == few
    assert len(pieces(Path("runs/a"), "causal", PIECE, LOOKS)) == LOOKS
    assert looks_of("rearranged", LOOKS) == 1 < looks_of("physical", LOOKS) == LOOKS


def test_what_is_lived_again_is_shared_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[list[str]] = []

    def module(name: str, run: str, looks: str, seed: str, *paths: str, log: Path) -> None:
        made.append(list(paths))
        for path in map(Path, paths):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    monkeypatch.setattr(ablation_data, "module", module)
    run, wanted = tmp_path / "task" / "run", {"rearranged": (PIECES + 2) * PIECE, "causal": 1}
    jobs = relives(run, wanted, LOOKS, 0)
    for job in jobs:
        job()
    assert [len(paths) for paths in made] == [PIECES, 3]
    assert len({path for paths in made for path in paths}) == PIECES + 3
    assert not relives(run, wanted, LOOKS, 0), "what is there is not lived again"


def test_moments_of_several_lengths_are_drawn_by_one_number() -> None:
    mixed = Mixed([_moments(5, 1, 0), _moments(4, LOOKS, 5)])
    assert len(mixed) == 9 and mixed.looks.tolist() == [1] * 5 + [LOOKS] * 4
    short = mixed.batch(torch.tensor([3, 1]), torch.device("cpu"))
    assert sorted(short.remembered["audio"].flatten().tolist()) == [1, 3] and short.history is None
    long = mixed.batch(torch.tensor([8, 5]), torch.device("cpu"))
    assert sorted(long.remembered["audio"][:, 0, 0].tolist()) == [5, 8] and long.history is not None
    assert torch.equal(long.varied["audio"], -long.remembered["audio"])
    assert mixed.seen(16)["audio"].shape[1] == LOOKS


def test_jobs_side_by_side_share_out_the_cores() -> None:
    before, found = os.sched_getaffinity(0), []
    workers = len(before)
    in_parallel([lambda: found.append(frozenset(os.sched_getaffinity(0)))] * 4, workers)
    assert len(found) == 4 and set().union(*found) <= before
    assert all(len(cores) == 1 for cores in found), "as many workers as cores"
    assert os.sched_getaffinity(0) == before


def test_a_job_that_fails_is_told() -> None:
    done: list[int] = []

    def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        in_parallel([fail, lambda: done.append(1)], 1)
    assert done == [1], "what was begun or waits is done all the same"


def test_seeds_share_experience_in_turn_or_have_their_own() -> None:
    def lives(given: int | None) -> list[int]:
        options = argparse.Namespace(seed=7, seeds=3, lives=given)
        return [life(options, seed) for seed in (7, 8, 9)]

    assert (lives(None), lives(1), lives(2)) == ([7, 8, 9], [7, 7, 7], [7, 8, 7])
