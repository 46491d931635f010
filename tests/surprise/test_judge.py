"""The judge tells what cannot happen, when and in what; stillness does not fool it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from sage_ext.context import checkpoint
from sage_ext.context.layout import GROUPS
from sage_ext.surprise.calibration import pairwise_accuracy
from sage_ext.surprise.judge import Judge
from sage_ext.surprise.readout import learn_weights

from .conftest import START
from .worlds import LOOKS, Stretch, stretches, swapped

AT = 8


def scores(judge: Judge, scenes: Stretch) -> Tensor:
    return judge.score(judge.weigh(judge.evidence(scenes.context, scenes.actions)).looks, START)


def copied(judge: Judge) -> Judge:
    other = Judge.from_config(judge.config())
    other.load_state_dict(judge.state_dict())
    return other


def test_what_stands_still_in_the_air_surprises(judge: Judge) -> None:
    twin, frozen = stretches(60, 7), stretches(60, 7, still=AT)
    assert pairwise_accuracy(scores(judge, frozen), scores(judge, twin)) > 0.8


def test_what_was_foretold_before_is_answered_for_long_after(judge: Judge) -> None:
    """From look 12 on all looks of history are still: only forecasts of 8 looks were made before."""
    far = judge.forecaster.horizons.index(8)
    frozen, twin = (
        judge.evidence(s.context, s.actions)[:, AT + 4 :, far].mean()
        for s in (stretches(60, 7, still=AT), stretches(60, 7))
    )
    assert float(frozen) > float(twin) + 0.3


def test_it_tells_when_and_in_what(judge: Judge) -> None:
    twin = stretches(30, 8)
    found = judge.weigh(judge.evidence(swapped(twin, AT, "audio").context, twin.actions))
    plain = judge.weigh(judge.evidence(twin.context, twin.actions))
    torch.testing.assert_close(found.looks[:, 1:AT], plain.looks[:, 1:AT])
    more = (found.groups - plain.groups)[:, AT].mean(0)
    assert list(GROUPS)[int(more.argmax())] == "audio"
    assert found.senses.shape == (30, LOOKS, 5) and torch.equal(found.senses[:, 1:], found.groups[:, 1:, :5])
    torch.testing.assert_close(found.groups.sum(-1)[:, 1:], found.looks[:, 1:])
    assert bool(found.looks[:, 0].isnan().all()), "nothing foretold the first look"


def test_undisturbed_evidence_is_standard(judge: Judge) -> None:
    flat = judge.usual.flatten(0, 1)
    assert float(flat.nanmean(0).abs().max()) < 0.2, "0 but for what was cut"
    assert 0.5 < float(flat.nan_to_num().square().mean().sqrt()) < 1.1
    assert len(judge.usual_scores) == 30 and torch.equal(judge.usual_scores, judge.usual_scores.sort().values)


def test_a_score_by_hand_and_its_start() -> None:
    looks = torch.tensor([[torch.nan, 9.0, 1.0, 2.0], [torch.nan] * 4])
    want = (torch.tensor([1.0, 2.0]) * 3).exp().mean().log() / 3
    assert float(Judge.score(looks, 2)[0]) == pytest.approx(float(want))
    assert torch.equal(Judge.score(looks, torch.tensor([3, 0]))[:1], torch.tensor([2.0]))
    assert bool(Judge.score(looks, 0)[1].isnan())


def test_coherence_is_conformal_until_dreams_have_taught(judge: Judge) -> None:
    fresh = judge.coherence(scores(judge, stretches(60, 10)))
    assert float(fresh.mean()) == pytest.approx(0.5, abs=0.15)
    assert float(judge.coherence(scores(judge, stretches(60, 10, still=AT))).mean()) < 0.3


def test_dreams_teach_which_evidence_counts(judge: Judge) -> None:
    """Only ``audio`` breaks the law here; what is learned holds for scenes that were not dreamt of."""
    pupil = copied(judge)
    twin = stretches(24, 11)
    told = [pupil.evidence(s.context, s.actions) for s in (swapped(twin, AT, "audio"), twin)]
    weight = learn_weights(pupil, *told, START)
    assert float(weight.sum()) == pytest.approx(1.0) and float(weight.min()) > 0
    audio = list(GROUPS).index("audio")
    assert float(weight[:, audio].sum()) > 2 / 15
    fresh = stretches(80, 12)
    strange = swapped(fresh, AT, "audio")
    apart = (scores(pupil, strange) - scores(pupil, fresh)).mean() / scores(pupil, fresh).std()
    pupil.learn(weight, *told, START)
    after = (scores(pupil, strange) - scores(pupil, fresh)).mean() / scores(pupil, fresh).std()
    assert float(after) > float(apart)
    said = pupil.coherence(torch.cat([scores(pupil, strange), scores(pupil, fresh)]))
    assert float(said[:80].mean()) < 0.3 and float(said[80:].mean()) > 0.7, "now a probability, not a rank"


def test_a_judge_is_saved_whole(judge: Judge, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, {"judge": judge})
    again = checkpoint.load(tmp_path, {"judge": Judge.from_config}).modules["judge"]
    assert isinstance(again, Judge)
    some = stretches(3, 13)
    assert torch.equal(scores(again, some), scores(judge, some))
    assert torch.equal(again.coherence(scores(again, some)), judge.coherence(scores(judge, some)))
