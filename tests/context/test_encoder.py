"""The context encoder: size, history, resets, errors."""

from __future__ import annotations

import pytest
import torch

from sage_ext.context.calibration import calibrate
from sage_ext.context.core import PICTURES
from sage_ext.context.encoder import ContextEncoder
from sage_ext.context.layout import GROUPS, PLACE, ROOM, SEEN, SELF, SENSES, untold
from sage_ext.context.scan import scan
from sage_ext.errors import SageError

from .conftest import SMALL, make_observation, make_spec


def test_default_encoder_has_24_2_million_parameters(encoder: ContextEncoder) -> None:
    assert abs(encoder.parameter_count / 24.2e6 - 1) < 0.02


def test_forward_gives_finite_contexts(encoder: ContextEncoder) -> None:
    with torch.no_grad():
        context, state = encoder(make_observation(2, 2))
    assert context.shape == (2, 2, 4096) and state.shape == (2, encoder.core.state_width)
    assert bool(context.isfinite().all())


@pytest.mark.parametrize("name", list(GROUPS))
def test_every_group_depends_on_what_is_sensed(small: ContextEncoder, name: str) -> None:
    a, b = (small(make_observation(1, 2, seed=s))[0] for s in (1, 2))
    assert bool((a[..., GROUPS[name].slice] != b[..., GROUPS[name].slice]).any(-1).all())


@pytest.mark.parametrize("sense", SENSES)
def test_every_sense_reaches_its_own_group_and_no_other_sensory_group(small: ContextEncoder, sense: str) -> None:
    one, other = make_observation(1, 1, seed=1), make_observation(1, 1, seed=2)
    a, b = small(one)[0], small(one | {sense: other[sense]})[0]
    changed = {k for k in GROUPS if not torch.equal(a[..., GROUPS[k].slice], b[..., GROUPS[k].slice])}
    assert changed & set(SENSES) == {sense}
    blind = set() if sense in PICTURES else {"objects"}
    assert changed - set(SENSES) == set(GROUPS) - set(SENSES) - blind


def test_streaming_equals_batched(small: ContextEncoder) -> None:
    observation = make_observation(3, 6)
    present = {"audio": torch.rand(3, 6) > 0.4, "visual": torch.rand(3, 6) > 0.4}
    reset = torch.zeros(3, 6, dtype=torch.bool)
    reset[1, 3] = reset[2, 0] = True
    batched, last = small(observation, present=present, reset=reset)
    state = small.initial_state(3)
    for t in range(6):
        now = {k: v[:, t] for k, v in observation.items()}
        context, state = small.step(now, state, {k: v[:, t] for k, v in present.items()}, reset[:, t])
        torch.testing.assert_close(context, batched[:, t], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(state, last, atol=1e-5, rtol=1e-4)


def test_history_matters_but_not_for_the_senses(small: ContextEncoder) -> None:
    past, now = make_observation(1, seed=1), make_observation(1, seed=2)
    fresh, _ = small.step(now)
    later, _ = small.step(now, small.step(past)[1])
    seen = GROUPS["objects"].slice.stop
    torch.testing.assert_close(fresh[:, :seen], later[:, :seen])
    for name in ("relationships", "dynamics", "immediate", "historical", "predictive"):
        assert not torch.allclose(fresh[:, GROUPS[name].slice], later[:, GROUPS[name].slice], atol=1e-4), name


def test_reset_equals_a_fresh_state_and_touches_no_other_world(small: ContextEncoder) -> None:
    observation = make_observation(2, 5)
    reset = torch.zeros(2, 5, dtype=torch.bool)
    reset[0, 2] = True
    context, state = small(observation, reset=reset)
    fresh, fresh_state = small({k: v[:1, 2:] for k, v in observation.items()})
    plain, plain_state = small(observation)
    torch.testing.assert_close(context[:1, 2:], fresh, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(state[:1], fresh_state, atol=1e-5, rtol=1e-4)
    assert torch.equal(context[1], plain[1]) and torch.equal(state[1], plain_state[1])
    assert not torch.allclose(context[0, 2], plain[0, 2], atol=1e-4)


def test_reset_stops_the_gradient_of_the_past(small: ContextEncoder) -> None:
    observation = make_observation(1, 3)
    observation["tactile"].requires_grad_()
    reset = torch.tensor([[False, False, True]])
    small(observation, reset=reset)[0][:, 2].sum().backward()
    gradient = observation["tactile"].grad
    assert gradient is not None and bool((gradient[:, :2] == 0).all()) and bool((gradient[:, 2] != 0).any())


def test_same_seed_same_weights_and_outputs_bit_for_bit() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    a, b, c = (ContextEncoder(make_spec(), SMALL, seed=s) for s in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before), "a seeded encoder must not move the global generator"
    assert all(torch.equal(x, b.state_dict()[k]) for k, x in a.state_dict().items())
    observation = make_observation(2, 3)
    assert torch.equal(a(observation)[0], b(observation)[0])
    assert not torch.equal(a(observation)[0], c(observation)[0])


@pytest.mark.parametrize("size", [128, 224])
def test_the_same_weights_read_larger_pictures(small: ContextEncoder, size: int) -> None:
    large = ContextEncoder(make_spec(size), SMALL)
    large.load_state_dict(small.state_dict())
    assert large.parameter_count == small.parameter_count
    context, _ = large.step(make_observation(1, size=size))
    assert context.shape == (1, 4096) and bool(context.isfinite().all())


def test_one_encoder_sees_one_scene_alike_at_two_sizes(small: ContextEncoder) -> None:
    scene = make_observation(1)
    scene["visual"] = torch.full_like(scene["visual"], 77)
    large = ContextEncoder(make_spec(128), SMALL)
    large.load_state_dict(small.state_dict())
    doubled = {k: v.repeat_interleave(2, 1).repeat_interleave(2, 2) if v.dim() == 4 else v for k, v in scene.items()}
    a, b = small.step(scene)[0][:, :512], large.step(doubled)[0][:, :512]
    assert (a - b).norm() < 0.1 * a.norm()  # up to the border's padding


def test_calibration_brings_every_number_to_mean_0_and_deviation_1(small: ContextEncoder) -> None:
    observation = make_observation(8, 8)
    before = small(observation)[0].flatten(0, 1)
    calibrate(small, observation)
    after = small(observation)[0].flatten(0, 1)
    # But for what is told in units of its own: places, and the way to what is sought.
    after = torch.cat([after[:, untold(group)] for group in GROUPS.values()], 1)
    assert before.std(0).median() < 0.5
    assert after.mean(0).abs().max() < 1e-3
    assert after.std(0).max() < 1.01 and after.std(0).median() > 0.9


def test_calibration_brings_what_the_way_is_summed_from_to_one_size(small: ContextEncoder) -> None:
    observation = make_observation(8, 8)
    sizes = torch.logspace(-1, 2, 64)
    observation["proprioceptive"] = observation["proprioceptive"] * sizes + sizes
    calibrate(small, observation)
    standard = small.body(observation["proprioceptive"].flatten(0, 1))
    assert standard.mean(0).abs().max() < 1e-3 and (standard.std(0) - 1).abs().max() < 1e-3


def test_calibration_does_not_amplify_a_silent_sense(small: ContextEncoder) -> None:
    observation = make_observation(4, 4)
    observation["tactile"] = torch.zeros_like(observation["tactile"])
    calibrate(small, observation)
    touched = small(observation | {"tactile": torch.full((4, 4, 128), 10.0)})[0]
    assert touched[..., GROUPS["tactile"].slice].abs().max() < 100


@pytest.mark.parametrize("looks", [1, 3, 8])
def test_calibration_does_not_amplify_a_sense_that_speaks_rarely(small: ContextEncoder, looks: int) -> None:
    observation = make_observation(4, 16)
    felt = observation["tactile"] = torch.zeros(4, 16, 128)
    felt[0, :looks, :2] = torch.rand(looks, 2)
    calibrate(small, observation)
    felt[1, 3:6, 40:60] = 60.0
    group = small(observation)[0][..., GROUPS["tactile"].slice]
    assert group[2:].abs().max() < 1, "untouched"
    assert 1 < group[1, 3:6].abs().max() < 12


@pytest.mark.parametrize(
    ("key", "make", "message"),
    [
        ("visual", lambda v: v[:, :32], r"observation.visual.shape=\(2, 32, 64, 3\): must be \(batch, 64, 64, 3\)"),
        ("depth", lambda v: v.double(), r"observation.depth.dtype=torch.float64: must be float32"),
        ("audio", lambda v: v[:1], r"observation.audio.shape=\(1, 1024\): batch must be \(2,\)"),
        ("audio", lambda v: v.index_fill(1, torch.tensor([3]), float("nan")), "observation.audio=NaN or infinity"),
        ("depth", lambda v: v + float("inf"), "observation.depth=NaN or infinity: must be finite; mend the sensor"),
    ],
)
def test_bad_observations_are_named(small: ContextEncoder, key: str, make, message: str) -> None:
    observation = make_observation(2)
    with pytest.raises(SageError, match=message):
        small.step(observation | {key: make(observation[key])})


def test_other_bad_input_is_named(small: ContextEncoder) -> None:
    observation = make_observation(2)
    cases = [
        (lambda: small.step(observation, state=torch.zeros(2, 7)), r"state.shape=\(2, 7\)"),
        (lambda: small.step(observation, reset=torch.zeros(2)), "reset=torch.float32"),
        (lambda: small.step(observation, present={"audio": torch.ones(3, dtype=torch.bool)}), "present.audio="),
        (lambda: small.step(observation, present={"smell": torch.ones(2, dtype=torch.bool)}), "present=smell"),
        (lambda: small.step({}), "observation={}: has no sense"),
        (lambda: small.step({"smell": torch.zeros(2, 3)}), "observation=smell"),
    ]
    for call, message in cases:
        with pytest.raises(SageError, match=message):
            call()


def test_forward_checks_values_only_when_asked(small: ContextEncoder) -> None:
    observation = make_observation(1, 2)
    observation["audio"][0, 1, 5] = float("nan")
    small(observation)
    with pytest.raises(SageError, match="observation.audio"):
        small(observation, validate=True)


def test_places_pass_into_the_context_as_they_stand_and_learn_nothing_from_it(small: ContextEncoder) -> None:
    observation = make_observation(2, 3)
    context, _ = small(observation)
    points = small.points(observation)
    width = SEEN.stop - SEEN.start
    places = context[..., SEEN].unflatten(-1, (-1, PLACE)) / torch.tensor([3.0, 3.0, 3.0, 1.0, 1.0, 1.0, 3.0])
    near = places[..., 3:5].abs() < 4.0
    told = points[..., :width].unflatten(-1, (-1, PLACE))
    assert torch.allclose(places[..., :3], told[..., :3]) and torch.allclose(places[..., 6], told[..., 6])
    assert torch.allclose(places[..., 3:5][near], told[..., 3:5][near]) and near.any()
    context[..., SEEN].sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in small.landmarks.parameters())


def test_the_body_and_the_room_stand_in_the_context_as_they_are_sensed(small: ContextEncoder) -> None:
    observation = make_observation(8, 8)
    calibrate(small, observation)
    context, _ = small(observation)
    body = observation["proprioceptive"].flatten(0, 1)
    standard = ((body - body.mean(0)) / body.std(0)).clamp(-4, 4)
    assert torch.allclose(context[..., SELF].flatten(0, 1), standard, atol=1e-3)
    nearest = scan(observation["depth"].flatten(0, 1))
    standard = ((nearest - nearest.mean(0)) / nearest.std(0)).clamp(-4, 4)
    assert torch.allclose(context[..., ROOM].flatten(0, 1), standard, atol=1e-2)
    for sense, where in (("proprioceptive", SELF), ("depth", ROOM)):
        present = {sense: torch.zeros(8, 8, dtype=torch.bool)}
        assert not small(observation, present=present)[0][..., where].any(), "what is missing is the average"
        assert not small({k: v for k, v in observation.items() if k != sense})[0][..., where].any()


def test_a_scan_tells_the_nearest_thing_in_each_direction() -> None:
    depth = torch.full((1, 64, 64, 1), 3.0)
    depth[0, 20, 9] = 0.5  # in the second of four bands, the third of 16 directions
    depth[0, :, 60:] = 0.0  # nothing was hit
    found = scan(depth).view(4, 16)
    assert found[1, 2] == pytest.approx(1 / 1.5) and not found[:, 15].any()
    rest = torch.ones(4, 16, dtype=torch.bool)
    rest[1, 2] = rest[:, 15] = False
    assert torch.allclose(found[rest], torch.tensor(0.25))
    assert scan(depth.repeat_interleave(2, 1).repeat_interleave(2, 2)).equal(found.view(1, -1)), "at any size"
