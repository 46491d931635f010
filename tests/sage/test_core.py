"""The core: size, gradients, state, and what passes between H and L."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sage_ext.context.layout import GROUPS
from sage_ext.errors import SageError
from sage_ext.sage.core import CoreWidths, SageCore

from .conftest import ACTIONS, SPEC, make_context, make_core, make_observation


@pytest.mark.parametrize("actions", [2, 9])
def test_default_core_has_26_million_parameters(actions: int) -> None:
    with torch.device("meta"):
        core = SageCore(SPEC, actions)
    assert abs(core.parameter_count / 26.0e6 - 1) < 0.02


def test_a_step_gives_a_chunk_for_each_world(core: SageCore) -> None:
    chunk, state, extras = core(make_context(2), make_observation(2))
    assert chunk.shape == (2, 4, ACTIONS) and state.shape == (2, core.state_width)
    assert extras.message.shape == (2, 256) and bool(extras.thought.all())
    assert bool(chunk.isfinite().all())


def test_a_gradient_reaches_every_parameter(core: SageCore) -> None:
    nothing = dict.fromkeys(("depth", "tactile", "proprioceptive"), torch.zeros(2, 4, dtype=torch.bool))
    for present in ({}, nothing):  # the vectors of missing senses learn where they are missing
        chunk, state, extras = core.sequence(make_context(2, 4), make_observation(2, 4), present=present)
        (chunk.square().sum() + state.square().sum() + extras.cost.sum()).backward()
    idle = [name for name, p in core.named_parameters() if p.grad is None or not bool((p.grad != 0).any())]
    assert not idle


@pytest.mark.parametrize(("h_every", "history"), [(1, None), (3, None), (3, 2), (2, 5)])
def test_looks_one_by_one_equal_a_sequence(h_every: int, history: int | None) -> None:
    core, context, senses = make_core(h_every, history=history), make_context(3, 7), make_observation(3, 7)
    reset = torch.zeros(3, 7, dtype=torch.bool)
    reset[1, 2] = reset[2, 5] = True
    present = {"tactile": torch.rand(3, 7) > 0.3}
    chunks, last, extras = core.sequence(context, senses, present=present, reset=reset)
    state = core.initial_state(3)
    for t in range(7):
        now = {k: v[:, t] for k, v in senses.items()}
        chunk, state, told = core(context[:, t], now, state, {k: v[:, t] for k, v in present.items()}, reset[:, t])
        # What L sees is computed for all looks at once: the last bit may differ.
        torch.testing.assert_close(chunk, chunks[:, t], atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(told.message, extras.message[:, t], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(state, last, atol=1e-5, rtol=1e-5)


def test_episodes_that_begin_together_need_no_reset() -> None:
    core, context, senses = make_core(3), make_context(2, 7), make_observation(2, 7)
    reset = torch.zeros(2, 7, dtype=torch.bool)
    reset[:, 0] = True
    for one, other in zip(
        core.sequence(context, senses)[:2], core.sequence(context, senses, reset=reset), strict=False
    ):
        assert torch.equal(one, other)


def test_calibrated_l_sees_small_numbers_as_well_as_large_ones() -> None:
    g = torch.Generator().manual_seed(0)
    felt = make_observation(400)["proprioceptive"]
    felt[:, 0], felt[:, 1] = 0.02 * torch.randn(400, generator=g), 300 * torch.randn(400, generator=g)
    felt[:, 2] = 5.0
    senses = make_observation(400) | {"proprioceptive": felt}
    core = make_core()
    core.calibrate(make_context(400), senses)
    glance, seen = core.fast.glance, []
    glance.read["proprioceptive"].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    glance(senses, {}, 400)
    assert seen[0][:, :2].mean(0).abs().max() < 0.01
    torch.testing.assert_close(seen[0][:, :2].std(0), torch.tensor([0.4, 1.0]), atol=0.05, rtol=0.0)  # at most x20
    # What never varied is neither blown up nor let run wild.
    senses["proprioceptive"][:, 2] = 6.0
    senses["proprioceptive"][:, 0] = 1e6
    glance(senses, {}, 400)
    assert 0.0 < float(seen[1][0, 2]) < 1.0 and float(seen[1][0, 0]) == 10.0


def test_reset_equals_a_fresh_episode_and_touches_no_other_world() -> None:
    core, context, senses = make_core(2), make_context(2, 6), make_observation(2, 6)
    reset = torch.zeros(2, 6, dtype=torch.bool)
    reset[0, 3] = True
    chunk, state, _ = core.sequence(context, senses, reset=reset)
    plain, plain_state, _ = core.sequence(context, senses)
    fresh, fresh_state, _ = core.sequence(context[:1, 3:], {k: v[:1, 3:] for k, v in senses.items()})
    torch.testing.assert_close(chunk[:1, 3:], fresh, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(state[:1], fresh_state, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(chunk[1], plain[1], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(state[1], plain_state[1], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(chunk[0, 3], plain[0, 3], atol=1e-4)


@pytest.mark.parametrize("history", [1, 4])
def test_after_so_many_looks_it_is_as_at_the_start_of_an_episode(history: int) -> None:
    core, context, senses = make_core(3, history=history), make_context(2, 11), make_observation(2, 11)
    chunk, state, extras = core.sequence(context, senses)
    for start in range(0, 11, history):
        now = slice(start, start + history)
        fresh, end, told = core.sequence(context[:, now], {k: v[:, now] for k, v in senses.items()})
        torch.testing.assert_close(chunk[:, now], fresh, atol=1e-6, rtol=1e-5)
        assert torch.equal(extras.thought[:, now], told.thought)
    torch.testing.assert_close(state, end, atol=1e-6, rtol=1e-5)
    remembered = make_core(3).sequence(context, senses)[0]
    torch.testing.assert_close(remembered[:, :history], chunk[:, :history], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(remembered[:, history:], chunk[:, history:], atol=1e-3)


def test_a_world_that_is_reset_forgets_at_looks_of_its_own() -> None:
    core, context, senses = make_core(2, history=4), make_context(2, 9), make_observation(2, 9)
    reset = torch.zeros(2, 9, dtype=torch.bool)
    reset[1, 3] = True
    chunk = core.sequence(context, senses, reset=reset)[0]
    alone = core.sequence(context[1:, 3:], {k: v[1:, 3:] for k, v in senses.items()})[0]
    torch.testing.assert_close(chunk[1:, 3:], alone, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(chunk[0], core.sequence(context, senses)[0][0], atol=1e-6, rtol=1e-5)


def test_h_is_skipped_really(monkeypatch: pytest.MonkeyPatch) -> None:
    core, ran = make_core(h_every=3), []
    forward = core.slow.forward
    monkeypatch.setattr(
        core.slow, "forward", lambda context, *rest: (ran.append(len(context)), forward(context, *rest))[1]
    )
    reset = torch.zeros(2, 7, dtype=torch.bool)
    reset[1, 2] = True  # from here on the two worlds' turns differ
    chunk, _, extras = core.sequence(make_context(2, 7), make_observation(2, 7), reset=reset)
    assert ran == [2, 1, 1, 1, 1]
    assert extras.thought.tolist() == [
        [True, False, False] * 2 + [True],
        [True, False, True, False, False, True, False],
    ]
    assert torch.equal(extras.depth > 0, extras.thought)
    assert not torch.equal(chunk[0, 1], chunk[0, 0]), "L goes on acting"


def test_what_l_hears_of_the_context_is_of_the_same_look_even_where_h_does_not_run() -> None:
    core, context, senses = make_core(h_every=4), make_context(1, 3), make_observation(1, 3)
    messages = core.sequence(context, senses)[2].message[0]
    slow = core.sequence(context[:, :1], {k: v[:, :1] for k, v in senses.items()})[1][:, : core.widths.slow]
    standard = core.bottleneck.standard(context[0])
    torch.testing.assert_close(messages, core.bottleneck(standard, slow.expand(3, -1)), atol=1e-6, rtol=1e-5)
    assert not torch.allclose(messages[1], messages[0], atol=1e-2)


@pytest.mark.parametrize("name", list(GROUPS))
def test_h_attends_to_every_group(core: SageCore, name: str) -> None:
    context, report = make_context(1), torch.zeros(1, 8)
    other = context.clone()
    other[:, GROUPS[name].slice] = make_context(1, seed=1)[:, GROUPS[name].slice]
    before = core.initial_state(1)[:, :32]
    assert not torch.allclose(core.slow(context, before, report)[0], core.slow(other, before, report)[0], atol=1e-6)


def test_h_goes_by_its_own_state(core: SageCore) -> None:
    context, report = make_context(1), torch.zeros(1, 8)
    one, other = (core.slow(context, torch.full((1, 32), x), report)[1].state for x in (0.0, 0.5))
    assert not torch.allclose(one, other, atol=1e-4)


def test_l_reports_to_h(core: SageCore) -> None:
    context = make_context(1)
    felt, other = make_observation(1, seed=1), make_observation(1, seed=2)
    states = [core(context, senses)[1] for senses in (felt, other)]
    messages = [core(context, felt, state)[2].message for state in states]
    assert not torch.allclose(*messages, atol=1e-6)
    mute = make_core()
    nn.init.zeros_(mute.fast.tell.weight)
    states = [mute(context, senses)[1] for senses in (felt, other)]
    messages = [mute(context, felt, state)[2].message for state in states]
    assert torch.equal(*messages), "nothing but the report may tell H of the fast senses"


@pytest.mark.parametrize("sense", ["depth", "tactile", "proprioceptive"])
def test_l_acts_by_the_latest_fast_senses(core: SageCore, sense: str) -> None:
    context, senses = make_context(1), make_observation(1)
    other = senses | {sense: make_observation(1, seed=1)[sense]}
    assert not torch.allclose(core(context, senses)[0], core(context, other)[0], atol=1e-6)


def test_reacting_goes_by_the_last_message_and_leaves_no_trace(core: SageCore) -> None:
    senses, newer = make_observation(2), make_observation(2, seed=1)
    _, state, _ = core(make_context(2), senses)
    before = state.clone()
    one, other = core.react(senses, state), core.react(newer, state)
    assert one.shape == (2, 4, ACTIONS) and not torch.allclose(one, other, atol=1e-6)
    assert torch.equal(state, before)
    elsewhere = core(make_context(2, seed=1), senses)[1]
    elsewhere[:, 32 + 256 :] = state[:, 32 + 256 :]
    assert not torch.allclose(core.react(senses, elsewhere), one, atol=1e-6)


def test_what_is_masked_influences_nothing(core: SageCore) -> None:
    context, clean = make_context(2), make_observation(2)
    for sense in ("depth", "tactile", "proprioceptive"):
        mask = torch.tensor([True, False])
        wild = clean[sense].clone()
        wild[1] = float("nan")
        results = []
        for senses in (clean, clean | {sense: wild}):
            core.zero_grad()
            chunk, state, _ = core(context, senses, present={sense: mask})
            (chunk.square().mean() + state.square().mean()).backward()
            results.append((chunk, state, core.fast.glance.read[sense].weight.grad.clone()))
        for one, other in zip(*results, strict=True):
            assert bool(one.isfinite().all()) and torch.equal(one, other)
        absent = {k: v for k, v in clean.items() if k != sense}
        nowhere = {sense: torch.zeros(2, dtype=torch.bool)}
        assert torch.equal(core(context, absent)[0], core(context, clean, present=nowhere)[0])


def test_config_builds_the_same_architecture() -> None:
    core = make_core(h_every=5, history=10)
    twin = SageCore.from_config(core.config())
    twin.load_state_dict(core.state_dict())
    assert twin.config() == core.config() and (twin.h_every, twin.history) == (5, 10)
    before = {name: value for name, value in core.config().items() if name != "history"}
    assert SageCore.from_config(before).history is None, "policies from before it could be limited remember all"
    assert torch.equal(twin(make_context(1), make_observation(1))[0], core(make_context(1), make_observation(1))[0])


def test_a_seed_makes_the_weights_and_leaves_torch_alone() -> None:
    before = torch.get_rng_state()
    a, b, c = (make_core(seed=s) for s in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(x, b.state_dict()[k]) for k, x in a.state_dict().items())
    assert not torch.equal(a.fast.tell.weight, c.fast.tell.weight)


def test_bad_input_is_named(core: SageCore) -> None:
    context, senses = make_context(2), make_observation(2)

    def mask(*shape: int) -> Tensor:
        return torch.ones(*shape, dtype=torch.bool)

    cases = [
        (lambda: core(context[:, :7], senses), r"context.shape=\(2, 7\): must be \(batch, 4096\)"),
        (lambda: core(context, senses, torch.zeros(2, 5)), r"state.shape=\(2, 5\)"),
        (lambda: core(context, make_observation(3)), r"observation.depth.shape=\(3, 64, 64, 1\): batch must be 2"),
        (lambda: core(context, senses | {"tactile": torch.zeros(2, 9)}), r"observation.tactile.shape=\(2, 9\)"),
        (lambda: core(context, senses, reset=torch.zeros(2)), "reset=torch.float32"),
        (lambda: core(context, senses, present={"tactile": mask(3)}), "present.tactile="),
        (lambda: core(context, senses, present={"smell": mask(2)}), "present=smell"),
        (lambda: core.sequence(context, senses), r"context.shape=\(2, 4096\): must be \(B, T, 4096\)"),
        (lambda: SageCore(SPEC, 0), "sage.action_dim=0: must be a whole number >= 1"),
        (lambda: SageCore(SPEC, 2, h_every=0, widths=CoreWidths(slow=8)), "sage.h_every=0"),
        (lambda: SageCore(SPEC, 2, history=0, widths=CoreWidths(slow=8)), "sage.history=0"),
        (lambda: SageCore(type(SPEC)({"visual": SPEC.senses["visual"]}), 2), "observation=visual: has no fast sense"),
    ]
    for call, message in cases:
        with pytest.raises(SageError, match=message):
            call()


def test_products_in_bfloat16_leave_the_state_in_float32() -> None:
    core = make_core(h_every=2)
    with torch.autocast("cpu", torch.bfloat16):
        chunk, state, extras = core.sequence(make_context(2, 5), make_observation(2, 5))
        (chunk.square().mean() + extras.cost.mean()).backward()
    assert state.dtype == torch.float32
    torch.testing.assert_close(state, core.sequence(make_context(2, 5), make_observation(2, 5))[1], atol=0.1, rtol=0.1)
