"""The critic learns from dreams what tells them, and nothing else changes by it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.dream_critic import FAST, clues, criticised, learn_critic, tracks
from sage_ext.context.layout import CONTEXT_WIDTH, PLACE
from sage_ext.surprise.scenes import learn

LOOKS, OBJECTS, BESIDE, START, N = 12, 2, 20, 3, 120
CLUES = PLACE * OBJECTS + BESIDE


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
    found = tracks(places)
    moved = found[0, :, :, PLACE : 2 * PLACE - 1]
    assert (moved[1, 0] == FAST).all() and not moved[0].any() and not moved[2:, 0].any() and not moved[:, 1].any()
    shared = found[0, :, :, 3 * PLACE - 2 : 4 * PLACE - 3]
    assert (shared[1, 1] == FAST).all() and not shared[1, 0].any(), "what the others did"


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

    def told(context: Tensor) -> Tensor:
        return clues(judge, context, judge.evidence(context, actions[8:]), 5)

    found = told(context[8:])
    assert found.shape[:2] == (4, LOOKS) and bool(found.isfinite().all())
    other = context[8:].clone()
    other[:, 9:] += 5.0
    changed = (told(other) != found).any(-1).any(0)
    assert not changed[:9].any() and changed[9:].all(), "none knows what comes later"
