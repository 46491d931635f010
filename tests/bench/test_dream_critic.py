"""The critic learns from dreams what tells them, and nothing else changes by it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from bench.dream_critic import ECHO, FAST, LOUDER, SINCE, TONE, clues, criticised, heard, learn_critic, tracks
from sage_ext.context.layout import CONTEXT_WIDTH, PLACE, TRAIT, TRAITS
from sage_ext.context.stems import MEL_BANDS
from sage_ext.surprise.scenes import learn

LOOKS, OBJECTS, BESIDE, START, N = 12, 2, 20, 3, 120
CLUES = (PLACE + TRAIT) * OBJECTS + BESIDE


def scenes(seed: int) -> tuple[Tensor, Tensor]:
    """Two objects that drift; in impossible scenes one of them lies still from some look on."""
    generator = torch.Generator().manual_seed(seed)
    twin = torch.randn(N, LOOKS, CLUES, generator=generator)
    speed = 0.2 * torch.randn(N, 1, OBJECTS, PLACE - 1, generator=generator).sign()
    places = torch.randn(N, 1, OBJECTS, PLACE - 1, generator=generator) + speed * torch.arange(LOOKS).view(1, -1, 1, 1)
    twin[..., : PLACE * OBJECTS] = F.pad(places, (0, 1), value=3.0).flatten(2)
    at = torch.randint(4, 8, (N, 1), generator=generator)
    look = torch.minimum(torch.arange(LOOKS).expand(N, -1), at)
    impossible = twin.clone()
    impossible[..., :PLACE] = twin[..., :PLACE].gather(1, look.unsqueeze(-1).expand(-1, -1, PLACE))
    return impossible, twin


def test_it_tells_an_object_that_stops_without_a_reason() -> None:
    lessons, judged = scenes(0), scenes(1)
    before = torch.get_rng_state()
    critic = learn_critic(*lessons, lessons[1], START, OBJECTS)
    assert torch.equal(torch.get_rng_state(), before), "the caller's chance is its own"
    with torch.no_grad():
        dreamt, twin = (critic(seen, START) for seen in judged)
    assert (dreamt > twin).float().mean() > 0.9


def test_a_track_tells_motion_only_where_its_object_was_seen_before() -> None:
    places = torch.zeros(1, 4, 2, PLACE)
    places[0, :, 0] = torch.tensor([0.0, 1.0, 2.0, 3.0]).unsqueeze(-1)
    places[0, :, 1] = 1.0
    places[..., -1] = 3.0
    places[0, 2, 0, -1] = 0.1
    found = tracks(places, torch.zeros(1, 4, 2, TRAIT))
    moved = found[0, :, :, PLACE : 2 * PLACE - 1]
    assert (moved[1, 0] == FAST).all() and not moved[0].any() and not moved[2:, 0].any() and not moved[:, 1].any()
    shared = found[0, :, :, 3 * PLACE - 2 : 4 * PLACE - 3]
    assert (shared[1, 1] == FAST).all() and not shared[1, 0].any(), "what the others did"


def test_a_track_tells_how_a_thing_looks_and_that_it_changes() -> None:
    places, traits = torch.full((1, 4, 2, PLACE), 3.0), torch.ones(1, 4, 2, TRAIT)
    traits[0, 2:, 0] = 2.0
    places[0, 3, 1, -1] = 0.1
    found = tracks(places, traits)[0, ..., -2 * TRAIT :]
    assert (found[:2, 0, :TRAIT] == 1).all() and (found[2:, 0, :TRAIT] == 2).all() and not found[3, 1].any(), (
        "not there"
    )
    assert (found[2, 0, TRAIT:] == 2).all() and not found[[0, 1, 3], 0, TRAIT:].any() and not found[:, 1, TRAIT:].any()


def test_a_sound_is_compared_with_those_before() -> None:
    # Silence, then the same sound twice, the second 20 dB less loud, then another.
    bands = torch.full((1, 8, MEL_BANDS, 4), -80.0)
    bands[0, 2, :8, 1], bands[0, 4, :8, 2], bands[0, 7, 8:16, 0] = -20.0, -40.0, -20.0
    found = heard(bands.flatten(2))
    assert found.shape == (1, 8, MEL_BANDS + ECHO)
    assert found[0, 2, :8].tolist() == [3.0] * 8 and found[0, 2, 8:MEL_BANDS].tolist() == [0.0] * 56
    begins, tone, louder, since = found[0, :, MEL_BANDS:].T
    assert begins.tolist() == [0, 0, 1, 0, 1, 0, 0, 1]
    assert not found[0, :4, MEL_BANDS + 1 :].any(), "there was none before"
    assert louder[4].item() == -20 / LOUDER and louder[7].item() == 20 / LOUDER
    assert since[4].item() == pytest.approx(2 / SINCE) and since[7].item() == pytest.approx(3 / SINCE)
    # A spectrum that is as quiet again as it is narrow is 20 dB x (8 / 64) x 2 x (1 - 8 / 64) away.
    assert tone[4].item() == pytest.approx(20 * 2 * (1 / 8) * (7 / 8) / TONE)
    assert tone[7].item() > tone[4].item()


def test_no_lesson_is_judged_by_a_critic_that_learned_from_it() -> None:
    """Without anything to learn, critics know their own lessons by heart and others not at all."""
    generator = torch.Generator().manual_seed(0)
    seen = {k: torch.randn(60, LOOKS, 200, generator=generator) for k in ("usual", "lessons", "lessons_twin")}
    known = torch.randn(60, LOOKS, 200, generator=generator)
    critic = learn_critic(seen["lessons"], seen["lessons_twin"], known, START, OBJECTS)
    with torch.no_grad():
        heart = critic(seen["lessons"], START) > critic(seen["lessons_twin"], START)
    found = criticised(seen, known, torch.arange(60), START, OBJECTS)
    assert heart.float().mean() > 0.9
    assert 0.25 < (found["lessons"] > found["lessons_twin"]).float().mean() < 0.75
    some = criticised(seen, known, torch.arange(0, 60, 2), START, OBJECTS)
    assert all(value.shape == (60,) and bool(value.isfinite().all()) for value in some.values())


def test_clues_are_of_each_look_and_finite() -> None:
    generator = torch.Generator().manual_seed(0)
    context = torch.randn(12, LOOKS, CONTEXT_WIDTH, generator=generator).cumsum(1)
    actions = torch.randn(12, LOOKS, 2, generator=generator)
    judge = learn(context[:8], actions[:8], START, 5)

    audio = 20.0 * torch.randn(4, LOOKS, 4 * MEL_BANDS, generator=generator) - 40.0

    def told(context: Tensor, audio: Tensor | None = audio) -> Tensor:
        return clues(judge, context, judge.evidence(context, actions[8:]), 5, audio)

    found = told(context[8:])
    deaf = told(context[8:], None)
    assert deaf.shape == found.shape and not torch.equal(deaf, found)
    assert torch.equal(
        found[..., 5 * PLACE : 5 * (PLACE + TRAIT)], context[8:, :, TRAITS][..., : 5 * TRAIT].clamp(-12, 12)
    )
    assert found.shape[:2] == (4, LOOKS) and bool(found.isfinite().all())
    other = context[8:].clone()
    other[:, 9:] += 5.0
    changed = (told(other) != found).any(-1).any(0)
    assert not changed[:9].any() and changed[9:].all(), "none knows what comes later"
