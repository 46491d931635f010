"""The compression: it starts at the principal components, and training keeps what acting and predicting need."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sage_ext.config import load_config
from sage_ext.context.layout import GROUPS, SOUGHT, TOLD
from sage_ext.sage.bottleneck import Bottleneck
from sage_ext.sage.compression import CompressionHeads, kept_variance

from .conftest import make_core, make_observation


def experience(worlds: int, looks: int, causes: int, seed: int = 0) -> Tensor:
    """Contexts (worlds, looks, 4096) in which so many causes of falling strength show, and a little noise."""
    g = torch.Generator().manual_seed(7)
    shown = torch.randn(causes, 4096, generator=g) * torch.linspace(1.0, 0.1, causes).unsqueeze(1)
    g = torch.Generator().manual_seed(seed)
    context = torch.randn(worlds, looks, causes, generator=g) @ shown
    return 3.0 + 5.0 * (context + 0.05 * torch.randn(context.shape, generator=g))


@pytest.fixture(scope="module")
def contexts() -> tuple[Tensor, Tensor]:
    """Some to fit, others to judge."""
    return tuple(experience(1, 800, 64, seed)[0] for seed in (1, 2))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def bottleneck(contexts: tuple[Tensor, Tensor]) -> Bottleneck:
    """Calibrated on the first."""
    torch.manual_seed(0)
    fresh = Bottleneck(32)
    fresh.calibrate(contexts[0])
    return fresh


def test_standard_numbers_have_mean_0_and_deviation_1(bottleneck: Bottleneck, contexts: tuple[Tensor, Tensor]) -> None:
    standard = bottleneck.standard(contexts[0])
    assert standard.mean(0).abs().max() < 1e-3 and (standard.std(0) - 1).abs().max() < 1e-2


def test_a_number_that_never_varied_and_a_wild_one_are_bounded() -> None:
    calm = torch.randn(300, 4096)
    calm[:, 5] = 2.0
    bottleneck = Bottleneck(8)
    bottleneck.calibrate(calm)
    wild = calm[:1].clone()
    wild[:, 5], wild[:, 6] = 9.0, 1e6
    standard = bottleneck.standard(wild)
    assert standard[0, 5] == 0 and standard[0, 6] == 10
    assert bool(bottleneck(standard, torch.zeros(1, 8)).isfinite().all())


def test_what_is_told_passes_as_it_stands_and_the_rest_tells_something_else() -> None:
    g = torch.Generator().manual_seed(3)
    context = torch.randn(3000, 4096, generator=g)
    context[:, GROUPS["audio"].slice] += 3.0 * torch.randn(3000, 1, generator=g)
    context[:, TOLD["dynamics"]][:, 22:] = 0.0  # fewer numbers of the body than there is room for
    bottleneck = Bottleneck(32)
    bottleneck.calibrate(context)
    standard = bottleneck.standard(context)
    loud = standard.clone()
    loud[:, SOUGHT] *= 4.0  # the way is to be heard
    told = torch.cat([loud[:, s] for s in sorted(TOLD.values(), key=lambda s: s.start)], 1)
    told = told[:, told.std(0) > 0]
    message = bottleneck(standard, torch.zeros(3000, 32)).detach()
    n = told.shape[1]
    assert n == sum(s.stop - s.start for s in TOLD.values()) - 42
    assert torch.equal(message[:, :n], told)
    assert bottleneck.stands.tolist() == [True] * n + [False] * (256 - n)
    thinking = bottleneck(standard[:9], torch.randn(9, 32, generator=g)).detach()
    assert torch.equal(thinking[:, :n], told[:9]) and bool((thinking[:, n:] != message[:9, n:]).any(0).all())
    components = message[:, n:]
    torch.testing.assert_close(components.std(0), torch.ones(256 - n), atol=0.02, rtol=0.0)
    across = components.T @ told / len(told)
    assert across.abs().max() < 0.02
    # What varies most of all that is not told comes first.
    heard = standard[:, GROUPS["audio"].slice].mean(1)
    assert torch.corrcoef(torch.stack([components[:, 0], heard]))[0, 1].abs() > 0.95


def test_calibration_keeps_what_a_random_map_loses(bottleneck: Bottleneck, contexts: tuple[Tensor, Tensor]) -> None:
    def kept(maker: Bottleneck) -> dict[str, float]:
        pairs = [(maker(s, torch.zeros(len(s), 32)).detach(), s) for s in map(bottleneck.standard, contexts)]
        return kept_variance(*pairs)

    best, blind = kept(bottleneck), kept(Bottleneck(32))
    assert set(best) == {"all", *GROUPS} and min(best.values()) > 0.98
    # 64 causes in 256 numbers: a random map keeps them too, but not as the largest of many more.
    assert blind["all"] <= best["all"] + 1e-3
    message = bottleneck(bottleneck.standard(contexts[0]), torch.zeros(800, 32))
    assert (message[:, :64].std(0) - 1).abs().max() < 0.05


def test_kept_variance_tells_what_is_lost() -> None:
    g = torch.Generator().manual_seed(0)
    known, told = torch.randn(2, 2000, 256, generator=g)
    rest = torch.randn(2, 2000, 4096, generator=g)

    def context(message: Tensor, other: Tensor) -> Tensor:
        value = other.clone()
        value[:, GROUPS["objects"].slice] = message
        return value

    kept = kept_variance((known, context(known, rest[0])), (told, context(told, rest[1])))
    assert kept["objects"] > 0.999 and kept["materials"] < 0.05
    assert kept["all"] == pytest.approx(1 / 16, abs=0.15)


def test_heads_count_only_what_is_known() -> None:
    heads = CompressionHeads(2, 8, hidden=16, seed=0)
    g = torch.Generator().manual_seed(0)
    message, context = torch.randn(1, 6, 256, generator=g), torch.randn(1, 6, 4096, generator=g)
    actions, valid = torch.randn(1, 6, 8, 2, generator=g), torch.ones(1, 6, 8, dtype=torch.bool)
    valid[0, 3, 2:] = False
    plain = heads(message, context, actions, valid)
    wild = torch.where(valid.unsqueeze(-1), actions, 1e3)
    assert torch.equal(heads(message, context, wild, valid)["act"], plain["act"])
    # What is told of later is the context two looks after each.
    unasked = context.clone()
    unasked[0, :2] = 1e3
    assert torch.equal(heads(message, unasked, actions, valid)["later"], plain["later"])
    unasked[0, 5] = 1e3
    assert heads(message, unasked, actions, valid)["later"] > 1e3
    few = [x[:, :2] for x in (message, context, actions, valid)]
    assert plain["later"] > 0.5 and heads(*few)["later"] == 0


def test_stretches_as_they_are_learned_from_reach_as_far_as_later() -> None:
    act = load_config().act
    assert CompressionHeads(2, act.chunk).ahead < act.steps


def test_heads_are_built_again_from_their_config() -> None:
    heads = CompressionHeads(2, 3, hidden=16)
    again = CompressionHeads.from_config(heads.config())
    again.load_state_dict(heads.state_dict())
    assert again.config() == heads.config() and again.ahead == heads.ahead == 1


def test_training_brings_into_the_message_what_the_actions_need() -> None:
    """The expert goes by a cause too weak for the principal components."""
    core = make_core(chunk=2)
    looks = experience(24, 1, 400, seed=3).repeat(1, 6, 1)
    weak = torch.randn(24, 6, 3, generator=torch.Generator().manual_seed(5))
    looks[..., :3] += 40 * weak
    core.calibrate(looks.flatten(0, 1), make_observation(len(looks) * 6))
    with torch.no_grad():
        core.bottleneck.context.weight[:, :3] = 0.0
    heads = CompressionHeads(3, 2, hidden=256, seed=0)
    actions, valid = weak.unsqueeze(2).repeat(1, 1, 2, 1), torch.ones(24, 6, 2, dtype=torch.bool)
    senses = {k: v for k, v in make_observation(24, 6).items() if k == "proprioceptive"}
    optimizer = torch.optim.Adam(
        [{"params": core.parameters(), "lr": 1e-3}, {"params": heads.parameters(), "lr": 5e-3}]
    )
    weight, stands = core.bottleneck.context.weight.detach().clone(), core.bottleneck.stands
    losses = []
    for _ in range(25):
        extras = core.sequence(looks, senses)[2]
        parts = heads(extras.message, core.bottleneck.standard(looks), actions, valid)
        optimizer.zero_grad()
        sum(parts.values()).backward()  # type: ignore[union-attr]
        optimizer.step()
        losses.append({k: float(v.detach()) for k, v in parts.items()})
    assert 100 < int(stands.sum()) < 256 and torch.equal(core.bottleneck.stands, stands)
    assert ((core.bottleneck.context.weight - weight).abs().amax(1) == 0.0).tolist() == stands.tolist()
    for name in ("present", "act", "later"):
        assert losses[-1][name] < 0.75 * losses[0][name], name
