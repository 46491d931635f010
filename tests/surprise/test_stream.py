"""Surprise as it happens is the same as surprise of the whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sage_ext.context.encoder import ContextEncoder
from sage_ext.surprise.judge import Judge
from sage_ext.surprise.stream import SurpriseStream

from .conftest import START
from .worlds import LOOKS, stretches


class Told(nn.Module):
    """An encoder whose observation is the context; what it carries is the number of looks."""

    def step(
        self, observation: dict[str, Tensor], state: Tensor | None, reset: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        context = observation["visual"]
        before = torch.zeros(len(context), 1) if state is None else state
        if reset is not None:
            before = torch.where(reset.unsqueeze(1), 0.0, before)
        return context, before + 1


def stream(judge: Judge) -> SurpriseStream:
    encoder: ContextEncoder = Told()  # type: ignore[assignment]
    return SurpriseStream(encoder, judge, window=LOOKS - START)


CLOSE = {"rtol": 5e-3, "atol": 5e-3}
"""Products of other shapes round otherwise, and the logarithm of a small error makes that large."""


def test_look_by_look_is_the_same_as_the_whole(judge: Judge) -> None:
    scenes, live = stretches(5, 20, still=9), stream(judge)
    whole = judge.weigh(judge.evidence(scenes.context, scenes.actions))
    for t in range(LOOKS):
        action = scenes.actions[:, t - 1] if t else None
        now = live.step({"visual": scenes.context[:, t]}, action)
        torch.testing.assert_close(now.surprise, whole.looks[:, t], equal_nan=True, **CLOSE)
        torch.testing.assert_close(now.groups, whole.groups[:, t], equal_nan=True, **CLOSE)
        assert torch.equal(now.senses.nan_to_num(), now.groups[:, :5].nan_to_num())
        assert bool(now.coherence.isnan().all()) == (t == 0)
    want = judge.coherence(judge.score(whole.looks, START))
    torch.testing.assert_close(now.coherence, want, **CLOSE)


def test_a_world_that_begins_anew_forgets_what_was_before(judge: Judge) -> None:
    first, second = stretches(3, 21), stretches(3, 22)
    live, fresh = stream(judge), stream(judge)
    for t in range(10):
        live.step({"visual": first.context[:, t]}, first.actions[:, t - 1] if t else None)
    begins = torch.tensor([False, True, False])
    for t in range(LOOKS):
        alone = fresh.step({"visual": second.context[1:2, t]}, second.actions[1:2, t - 1] if t else None)
        looks = second.context[:, t].clone()
        acts = second.actions[:, t - 1].clone() if t else first.actions[:, 9]
        now = live.step({"visual": looks}, acts, reset=begins if t == 0 else None)
        torch.testing.assert_close(now.surprise[1:2], alone.surprise, equal_nan=True, **CLOSE)
        torch.testing.assert_close(now.coherence[1:2], alone.coherence, equal_nan=True, **CLOSE)
        assert bool(now.surprise[[0, 2]].isfinite().all()), "the others go on"


def test_it_remembers_no_more_than_it_needs(judge: Judge) -> None:
    live, scenes = stream(judge), stretches(2, 23)
    sizes = []
    for t in range(40):
        live.step({"visual": scenes.context[:, t % LOOKS]}, scenes.actions[:, t % LOOKS])
        sizes.append((len(live._past), len(live._codes), len(live._last)))
    assert sizes[-1] == sizes[-20] == (8, 4, LOOKS - START)


@pytest.mark.parametrize("look", [5, 9])
def test_an_anomaly_is_seen_at_once(judge: Judge, look: int) -> None:
    scenes, live = stretches(20, 24), stream(judge)
    context = scenes.context.clone()
    context[:, look:] = context[:, look:].roll(1, 0)
    values = [
        live.step({"visual": context[:, t]}, scenes.actions[:, t - 1] if t else None).surprise for t in range(LOOKS)
    ]
    assert float(values[look].mean()) > float(values[look - 1].mean()) + 1.0
