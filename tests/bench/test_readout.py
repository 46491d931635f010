"""Linear probes: they find what is there to be read, and nothing else."""

from __future__ import annotations

import math

import pytest
import torch

from bench.readout import Readout


def features(n: int, seed: int, d: int = 40) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_what_is_linear_is_read() -> None:
    fit, judge = features(1000, 0), features(400, 1)
    way = features(40, 2, 3)
    readout = Readout(fit, judge)
    assert readout.score(fit @ way + 7.0, judge @ way + 7.0) > 0.999
    assert readout.score((fit @ way).square(), (judge @ way).square()) < 0.2


@pytest.mark.parametrize("n", [300, 3000], ids=["fewer samples than features", "more"])
def test_noise_is_not_read_into(n: int) -> None:
    readout = Readout(features(n, 0, 600), features(400, 1, 600))
    assert abs(readout.score(features(n, 2, 2), features(400, 3, 2))) < 0.15


def test_classes_weigh_the_same() -> None:
    fit, judge = features(4000, 0), features(2000, 1)
    # One in fifty is of the second class: who always says "first" is right in 98 % and has half of the accuracy.
    rare = [(x[:, 0] > 2.05).long() for x in (fit, judge)]
    readout = Readout(fit, judge)
    assert readout.score(*rare) > 0.9
    assert readout.score(torch.roll(rare[0], 1), torch.roll(rare[1], 1)) == pytest.approx(0.5, abs=0.1)


def test_a_feature_that_was_silent_does_not_run_away() -> None:
    fit, judge = features(1000, 0), features(400, 1)
    fit[:, 5] = 1e-6 * fit[:, 5]
    target, truth = fit[:, :1].clone(), judge[:, :1].clone()
    assert Readout(fit, judge).score(target, truth) > 0.9


def test_too_few_samples_give_no_score() -> None:
    fit, judge = features(150, 0), features(400, 1)
    assert math.isnan(Readout(fit, judge).score(fit[:, :1], judge[:, :1]))
    assert math.isnan(Readout(judge, fit[:40]).score(judge[:, :1], fit[:40, :1]))


def test_what_is_always_the_same_gives_no_score() -> None:
    fit, judge = features(1000, 0), features(400, 1)
    readout = Readout(fit, judge)
    assert math.isnan(readout.score(fit[:, :1], torch.ones(400, 1)))
    assert math.isnan(readout.score(torch.ones(1000, 1), judge[:, :1]))
