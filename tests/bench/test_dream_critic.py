"""The critic learns from dreams what tells them, and nothing else changes by it."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.dream_critic import clues, criticised, learn_critic
from sage_ext.context.layout import CONTEXT_WIDTH
from sage_ext.surprise.scenes import learn

LOOKS, CLUES, START, N = 12, 20, 3, 120


def scenes(seed: int) -> tuple[Tensor, Tensor]:
    """Impossible scenes and their twins: from some look on two clues, each usual alone, no longer agree."""
    generator = torch.Generator().manual_seed(seed)
    twin = torch.randn(N, LOOKS, CLUES, generator=generator)
    twin[..., 1] = twin[..., 0]
    impossible = twin.clone()
    late = torch.arange(LOOKS) >= torch.randint(4, 8, (N, 1), generator=generator)
    impossible[..., 1] = torch.where(late, -twin[..., 0], twin[..., 0])
    return impossible, twin


def test_it_tells_what_no_clue_tells_alone() -> None:
    lessons, judged = scenes(0), scenes(1)
    before = torch.get_rng_state()
    critic = learn_critic(*lessons, lessons[1], START)
    assert torch.equal(torch.get_rng_state(), before), "the caller's chance is its own"
    with torch.no_grad():
        dreamt, twin = (critic(seen, START) for seen in judged)
    assert (dreamt > twin).float().mean() > 0.9


def test_no_lesson_is_judged_by_a_critic_that_learned_from_it() -> None:
    """Without anything to learn, critics know their own lessons by heart and others not at all."""
    generator = torch.Generator().manual_seed(0)
    seen = {k: torch.randn(60, LOOKS, 200, generator=generator) for k in ("usual", "lessons", "lessons_twin")}
    critic = learn_critic(seen["lessons"], seen["lessons_twin"], seen["usual"], START)
    with torch.no_grad():
        heart = critic(seen["lessons"], START) > critic(seen["lessons_twin"], START)
    found = criticised(seen, torch.arange(60), START)
    assert heart.float().mean() > 0.9
    assert 0.25 < (found["lessons"] > found["lessons_twin"]).float().mean() < 0.75
    some = criticised(seen, torch.arange(0, 60, 2), START)
    assert all(value.shape == (60,) and bool(value.isfinite().all()) for value in some.values())


def test_clues_are_of_each_look_and_finite() -> None:
    generator = torch.Generator().manual_seed(0)
    context = torch.randn(12, LOOKS, CONTEXT_WIDTH, generator=generator).cumsum(1)
    actions = torch.randn(12, LOOKS, 2, generator=generator)
    judge = learn(context[:8], actions[:8], START, 5)
    found = clues(judge, context[8:], actions[8:])
    assert found.shape[:2] == (4, LOOKS) and bool(found.isfinite().all())
    other = context[8:].clone()
    other[:, 9:] += 5.0
    changed = (clues(judge, other, actions[8:]) != found).any(-1).any(0)
    assert not changed[:9].any() and changed[9:].all(), "none knows what comes later"
