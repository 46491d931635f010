"""Missing senses are masked, not faked: nothing under a false mask has any influence."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sage_ext.context.encoder import ContextEncoder
from sage_ext.context.layout import GROUPS, SENSES

from .conftest import make_observation


def _poison(value: Tensor) -> Tensor:
    return torch.full_like(value, float("nan")) if value.is_floating_point() else torch.full_like(value, 255)


@pytest.mark.parametrize("sense", SENSES)
def test_what_is_masked_influences_neither_values_nor_gradients(small: ContextEncoder, sense: str) -> None:
    mask = torch.tensor([[True, False, True, False], [False, True, True, True]])
    clean, results = make_observation(2, 4), []
    wild = clean[sense].clone()
    wild[~mask] = _poison(wild[~mask])
    for observation in (clean, clean | {sense: wild}):
        small.zero_grad()
        context, state, reading = small.charted(observation, present={sense: mask}, validate=True)
        told = [context, state, *reading.aim]
        torch.stack([part.square().mean() for part in told]).sum().backward()
        results.append((context, state, {k: p.grad.clone() for k, p in small.named_parameters()}))
    (context, state, gradients), (context_2, state_2, gradients_2) = results
    assert torch.equal(context, context_2) and torch.equal(state, state_2)
    for key, gradient in gradients.items():
        assert bool(gradient.isfinite().all()) and torch.equal(gradient, gradients_2[key]), key


@pytest.mark.parametrize("sense", SENSES)
def test_an_absent_sense_equals_a_masked_one(small: ContextEncoder, sense: str) -> None:
    observation = make_observation(2, 3)
    none = torch.zeros(2, 3, dtype=torch.bool)
    masked, _ = small(observation, present={sense: none})
    absent, _ = small({k: v for k, v in observation.items() if k != sense})
    assert torch.equal(masked, absent)
    assert torch.equal(absent[..., GROUPS[sense].slice], small.missing[sense].expand(2, 3, -1))
    assert not torch.equal(absent, small(observation)[0])


def test_the_core_knows_that_a_sense_is_missing(small: ContextEncoder) -> None:
    """Not only through the learned vector: a sense that happens to look like it is told from a missing one."""
    observation = make_observation(1, 1)
    with torch.no_grad():
        small.missing["audio"].copy_(small(observation)[0][0, 0, GROUPS["audio"].slice])
    there, _ = small(observation)
    gone, _ = small(observation, present={"audio": torch.zeros(1, 1, dtype=torch.bool)})
    torch.testing.assert_close(there[..., :1536], gone[..., :1536])
    assert not torch.allclose(there[..., GROUPS["historical"].slice], gone[..., GROUPS["historical"].slice], atol=1e-5)


def test_a_sense_that_returns_is_not_mistaken_for_motion(small: ContextEncoder) -> None:
    observation = {k: v.expand(1, 2, *v.shape[2:]).contiguous() for k, v in make_observation(1, 1).items()}
    present = {"tactile": torch.tensor([[False, True]])}
    back, _ = small(observation, present=present)
    still, _ = small({k: v[:, 1:] for k, v in observation.items()})
    span = GROUPS["immediate"].slice  # reads senses and motion only
    torch.testing.assert_close(back[:, 1, span], still[:, 0, span], atol=1e-5, rtol=1e-4)


def test_everything_missing_still_gives_a_context(small: ContextEncoder) -> None:
    observation = {k: _poison(v) for k, v in make_observation(2).items()}
    none = {k: torch.zeros(2, dtype=torch.bool) for k in SENSES}
    context, _ = small.step(observation, present=none)
    assert bool(context.isfinite().all())
