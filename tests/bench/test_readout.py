"""Linear probes: they find what is there to be read, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from bench.readout import WHOLE, Readout


def features(n: int, seed: int, d: int = 40) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def probes(fit: torch.Tensor, judge: torch.Tensor) -> Callable[[torch.Tensor, torch.Tensor], float]:
    """Scores of the whole, of features that are one group."""
    readout = Readout(fit, [judge], {"all": slice(0, fit.shape[1])})
    return lambda target, truth: readout.scores(target, [truth])[0][WHOLE]


def test_what_is_linear_is_read() -> None:
    fit, judge = features(1000, 0), features(400, 1)
    way = features(40, 2, 3)
    score = probes(fit, judge)
    assert score(fit @ way + 7.0, judge @ way + 7.0) > 0.999
    assert score((fit @ way).square(), (judge @ way).square()) < 0.2


@pytest.mark.parametrize("n", [300, 3000], ids=["fewer samples than features", "more"])
def test_noise_is_not_read_into(n: int) -> None:
    score = probes(features(n, 0, 600), features(400, 1, 600))
    assert abs(score(features(n, 2, 2), features(400, 3, 2))) < 0.15


def test_classes_weigh_the_same() -> None:
    fit, judge = features(4000, 0), features(2000, 1)
    # One in fifty is of the second class: who always says "first" is right in 98 % and has half of the accuracy.
    rare = [(x[:, 0] > 2.05).long() for x in (fit, judge)]
    score = probes(fit, judge)
    assert score(*rare) > 0.9
    assert score(torch.roll(rare[0], 1), torch.roll(rare[1], 1)) == pytest.approx(0.5, abs=0.1)


def test_a_feature_that_was_silent_does_not_run_away() -> None:
    fit, judge = features(1000, 0), features(400, 1)
    fit[:, 5] = 1e-6 * fit[:, 5]
    target, truth = fit[:, :1].clone(), judge[:, :1].clone()
    assert probes(fit, judge)(target, truth) > 0.9


def test_too_few_samples_give_no_score() -> None:
    fit, judge = features(150, 0), features(400, 1)
    assert math.isnan(probes(fit, judge)(fit[:, :1], judge[:, :1]))
    assert math.isnan(probes(judge, fit[:40])(judge[:, :1], fit[:40, :1]))


def test_what_is_always_the_same_gives_no_score() -> None:
    fit, judge = features(1000, 0), features(400, 1)
    score = probes(fit, judge)
    assert math.isnan(score(fit[:, :1], torch.ones(400, 1)))
    assert math.isnan(score(torch.ones(1000, 1), judge[:, :1]))


def test_the_whole_is_read_from_the_groups_that_tell() -> None:
    fit, judge = features(400, 0, 2000), features(400, 1, 2000)
    groups = {"tells": slice(0, 10), "tells too": slice(10, 20), "noise": slice(20, 2000)}
    way = features(20, 2, 1)
    (scores,) = Readout(fit, [judge], groups).scores(fit[:, :20] @ way, [judge[:, :20] @ way])
    assert scores[WHOLE] > 0.99 > max(scores["tells"], scores["tells too"]) and scores["noise"] < 0.1


def test_a_place_is_judged_in_metres() -> None:
    fit, judge = features(1000, 0), features(400, 1)
    # Up and down nothing can be told, and there is little to tell.
    place = [
        torch.cat([x[:, :2], 0.01 * torch.randn(len(x), 1, generator=torch.Generator().manual_seed(5))], 1)
        for x in (fit, judge)
    ]
    assert probes(fit, judge)(*place) > 0.99


@pytest.mark.parametrize("classes", [False, True], ids=["numbers", "classes"])
def test_fitted_once_judged_on_two_sets_is_fitted_twice(classes: bool) -> None:
    fit, sets = features(900, 0, 300), [features(400, 1, 300), features(20, 3, 300), features(500, 4, 300)]
    groups = {"one": slice(0, 40), "two": slice(40, 120), "three": slice(120, 300)}
    way = features(300, 2, 1)

    def asked(x: torch.Tensor) -> torch.Tensor:
        values = x @ way
        return (values[:, 0] > 5).long() if classes else values

    together = Readout(fit, sets, groups).scores(asked(fit), [asked(x) for x in sets])
    for number, judge in enumerate(sets):
        (alone,) = Readout(fit, [judge], groups).scores(asked(fit), [asked(judge)])
        assert alone == pytest.approx(together[number], abs=1e-6, nan_ok=True)
    assert all(map(math.isnan, together[1].values())), "too few to judge"
    assert together[0][WHOLE] > together[0]["one"] and together[0] != together[2]
