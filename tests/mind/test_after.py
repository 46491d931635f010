"""A run goes on from an earlier one of another task: its mind, and what its sleep kept."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from sage_ext import cycle as cycle_module
from sage_ext.after import settled
from sage_ext.errors import Interrupted, SageError
from sage_ext.mind import Mind
from sage_ext.observation import ObservationSpec
from sage_ext.runs import Run
from sage_ext.sleep import Keeper, Moments, Rehearsal, consolidate, kept, relive_moments
from sage_ext.sleep.moments import joined

from .ball_world import BallBody, BallWorld, Push
from .conftest import configured, make_mind, seeded
from .test_cycle import STEPS, Goals, Stop, assert_same, begin, config_of, go, result


class Other(Goals):
    """The same world, with an action more, which does nothing."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.single_action_space = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)

    def step(self, action: Tensor) -> Any:
        return super().step(action[:, :2])

    def relive(self, rows: Tensor, actions: Tensor, **options: Any) -> Any:
        return super().relive(rows, actions[..., :2], **options)


class PushOther(Push):
    def act(self, observation: dict[str, Any]) -> Tensor:
        return torch.nn.functional.pad(super().act(observation), (0, 1), value=0.5)


class OtherBody(BallBody):
    def __init__(self) -> None:
        super().__init__(Other)

    def policy(self, name: str, env: Any, seed: int) -> Push:
        return PushOther(env, seed)


def follow(earlier: Path, *overrides: str) -> Path:
    """A run that goes on from another, made as the command makes it."""
    config = settled(config_of(earlier.parent, f"after={earlier.name}", "seed=5", *overrides))
    with Run.create(config) as run:
        run.write_state({"phases": ["wake", "sleep"]})
        return run.path


def done(path: Path) -> Path:
    with Run.open(path) as run:
        run.write_state({**run.state, "done": True})
    return path


PHASES = ("wake", "sleep")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = begin(tmp_path_factory.mktemp("after"))
    go(path, phases=PHASES)
    return done(path)


@pytest.fixture(scope="module")
def second(first: Path) -> Path:
    path = follow(first)
    go(path, phases=PHASES, body=OtherBody())
    return done(path)


def mind_of(path: Path) -> Mind:
    return Mind.load(path / "checkpoint", configured().sleep, "cpu")


def all_kept(path: Path) -> Moments:
    return kept.joined([kept.load(p) for p in sorted((path / "kept").glob("*"))])


def looks(moments: Moments) -> set[bytes]:
    return {row.numpy().tobytes() for row in moments.varied["visual"]}


def test_what_was_learned_goes_on(first: Path, second: Path) -> None:
    one, two = mind_of(first), mind_of(second)
    assert (one.objective.predictor.action_dim, two.objective.predictor.action_dim) == (3, 4)
    assert two.objective.predictor.narrowest == two.acting.predictor.narrowest == 3
    assert two.learned["updates"] == 2 * one.learned["updates"] == 12
    assert result(second)["after"] == first.name and "after" not in result(first)
    assert result(second)["consolidations"] == 48
    drift = two.objective.encoder.state_dict()
    assert all((drift[k] - v).abs().max() < 0.05 for k, v in one.objective.encoder.state_dict().items())


def test_a_third_goes_back_to_fewer_actions(first: Path, second: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = watch(monkeypatch)
    path = follow(second, "sleep.rehearsal=0.5", "seed=6")
    go(path, phases=PHASES)
    assert mind_of(path).objective.predictor.action_dim == 4
    for moments in mixed:
        # Half as many of each of two earlier runs: half of each round.
        rows = [row.numpy().tobytes() for row in moments.varied["visual"]]
        assert len(rows) == 12
        assert [sum(row in looks(all_kept(run)) for row in rows) for run in (second, first, path)] == [3, 3, 6]


def watch(monkeypatch: pytest.MonkeyPatch) -> list[Moments]:
    seen: list[Moments] = []

    def watched(mind: Mind, moments: Moments, *given: Any) -> Any:
        seen.append(moments)
        return consolidate(mind, moments, *given)

    monkeypatch.setattr(cycle_module, "consolidate", watched)
    return seen


@pytest.mark.parametrize(("weight", "old"), [(0.0, 0), (1.0, 6), (3.0, 9)])
def test_old_and_new_are_mixed(first: Path, monkeypatch: pytest.MonkeyPatch, weight: float, old: int) -> None:
    mixed = watch(monkeypatch)
    path = follow(first, f"sleep.rehearsal={weight}")
    go(path, phases=PHASES, body=OtherBody())
    assert [len(m) for m in mixed] == [12, 12]
    for moments in mixed:
        rows = [row.numpy().tobytes() for row in moments.varied["visual"]]
        assert sum(row in looks(all_kept(first)) for row in rows) == old
        assert moments.asked["object_position"][12 - max(old, 1) :].any(), "rehearsed in every term of the loss"


def test_interrupted_it_ends_as_if_it_had_not_been(first: Path, second: Path) -> None:
    path = follow(first)
    for after in (3, STEPS + 2, STEPS + 1):
        with pytest.raises(Interrupted):
            go(path, Stop(after), PHASES, OtherBody())
    go(path, phases=PHASES, body=OtherBody())
    (path / "dreams.png").write_bytes(b"")
    (second / "dreams.png").write_bytes(b"")
    assert_same(path, second)
    assert looks(all_kept(path)) == looks(all_kept(second))


def test_an_earlier_run_may_learn_on_meanwhile(first: Path, tmp_path: Path) -> None:
    """What is inherited is copied at once."""
    path = follow(first)
    with pytest.raises(Interrupted):
        go(path, Stop(1), PHASES, OtherBody())
    inherited = mind_of(path)
    assert inherited.learned == {"consolidations": 24, "updates": 6, "calibrated": True}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("after=nope",), "after=nope: does not exist"),
        (
            ("sleep.steps=4", "sleep.rearranged_steps=4"),
            r"sleep.steps=4: .*, which is rehearsed, has 5; set sleep.steps=5",
        ),
        (("task.resolution=16",), "task.resolution=16: .*has 32"),
    ],
)
def test_what_does_not_fit_is_named(first: Path, overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(SageError, match=message):
        settled(config_of(first.parent, f"after={first.name}", *overrides))


def test_a_run_that_is_not_fit_is_named(first: Path, tmp_path: Path) -> None:
    path = begin(tmp_path)
    with pytest.raises(SageError, match="after=.*: is not finished"):
        settled(config_of(tmp_path, "after=latest"))
    go(path, phases=("wake",))
    done(path)
    with pytest.raises(SageError, match="after=.*: has no checkpoint"):
        settled(config_of(tmp_path, "after=latest"))
    nothing = begin(tmp_path, "sleep.keep=0")
    go(nothing, phases=PHASES)
    done(nothing)
    with pytest.raises(SageError, match="after=.*kept no moments"):
        settled(config_of(tmp_path, "after=latest"))
    assert settled(config_of(tmp_path, "after=latest", "sleep.rehearsal=0")).after == nothing.name
    # One of another folder is named for good by its whole path.
    assert settled(config_of(tmp_path, f"after={first}")).after == str(first)


class Fewer(Goals):
    """The same world, which tells of one of its two objects alone."""

    num_objects = 1

    def relive(self, rows: Tensor, actions: Tensor, **options: Any) -> Any:
        lived = super().relive(rows, actions, **options)
        if "sight" in lived:
            # What is sought is told once, of no object in particular.
            lived["sight"] |= {k: self.told(v) for k, v in lived["sight"].items() if k not in ("sought", "meant")}
        return lived

    @staticmethod
    def told(value: Tensor) -> Tensor:
        return value[:, :, :1]


class More(Fewer):
    """The same, but tells of one of them twice."""

    num_objects = 3

    @staticmethod
    def told(value: Tensor) -> Tensor:
        return torch.cat([value, value[:, :, :1]], dim=2)


@pytest.mark.parametrize(("world", "bodies"), [(Fewer, 2), (More, 3)])
def test_a_scene_may_have_other_objects(first: Path, world: type[Goals], bodies: int) -> None:
    path = follow(first)
    go(path, phases=PHASES, body=BallBody(world))
    before, after = mind_of(first), mind_of(path)
    assert after.learned["consolidations"] > before.learned["consolidations"]
    assert after.objective.heads.bodies == after.acting.heads.bodies == bodies
    asked = joined([kept.load(file) for file in (path / "kept").glob("*")]).asked["object_position"]
    told = asked.unflatten(-1, (-1, 3)).flatten(0, 1).any(-1).any(0)
    assert len(told) == bodies and told[world.num_objects - 1]


def test_a_mind_that_never_met_objects_is_named(tmp_path: Path) -> None:
    env = BallWorld(2, 30, 32)
    spec = ObservationSpec.from_space(env.single_observation_space["policy"])
    Mind.create(spec, 2, 0, configured().sleep, 0, "cpu").save(tmp_path / "checkpoint")
    for bodies, refused in ((0, nullcontext()), (2, pytest.raises(SageError, match="no readings of loose objects"))):
        with refused:
            Mind.inherit(tmp_path / "checkpoint", spec, 2, bodies, configured().sleep, "cpu")


def test_new_objects_leave_what_is_known_of_the_old(trained: Mind, tmp_path: Path) -> None:
    trained.save(tmp_path / "checkpoint")
    mind = Mind.inherit(tmp_path / "checkpoint", trained.objective.encoder.spec, 2, 4, configured().sleep, "cpu")
    difference = torch.randn(3, 4096, generator=seeded())
    for old, new in ((trained.objective, mind.objective), (trained.acting, mind.acting)):
        for kind, read in old.heads(difference).items():
            again = new.heads(difference)[kind]
            torch.testing.assert_close(again[:, : read.shape[1]], read)
            assert not again[:, read.shape[1] :].any()
    weight = mind.objective.heads.read["object_position"].weight
    state = trained.optimizer.state[trained.objective.heads.read["object_position"].weight]["exp_avg_sq"]
    assert weight.shape[0] == 12 and state.any()
    assert torch.equal(mind.optimizer.state[weight]["exp_avg_sq"], torch.nn.functional.pad(state, (0, 0, 0, 6)))


def test_new_actions_leave_what_is_known_of_the_old(trained: Mind, tmp_path: Path) -> None:
    env = BallWorld(2, 30, 32)
    trained.save(tmp_path / "checkpoint")
    mind = Mind.inherit(
        tmp_path / "checkpoint", trained.objective.encoder.spec, 5, env.num_objects, configured().sleep, "cpu"
    )
    context, actions = torch.randn(2, 4, 4096, generator=seeded()), torch.randn(2, 4, 3, generator=seeded(1))
    for old, new in ((trained.objective, mind.objective), (trained.acting, mind.acting)):
        for h, prediction in old.predictor.unroll(context, actions).items():
            torch.testing.assert_close(new.predictor.unroll(context, actions)[h].mean, prediction.mean)
    state = mind.optimizer.state[mind.objective.predictor.act.weight]["exp_avg_sq"]
    before = trained.optimizer.state[trained.objective.predictor.act.weight]["exp_avg_sq"]
    steps = trained.objective.predictor.horizons[-1]
    old, new = before.unflatten(1, (steps, 3)), state.unflatten(1, (steps, 6))
    assert torch.equal(new[..., [0, 1, 5]], old) and not new[..., 2:5].any()
    with pytest.raises(SageError, match="actions.shape"):
        mind.objective.predictor.unroll(context, torch.randn(2, 4, 2))


def test_moments_come_back_as_they_were_kept(remembered: tuple[BallWorld, Any], tmp_path: Path) -> None:
    moments = relive_moments(*remembered, configured().sleep, 12, 0, seeded())
    kept.save(moments, tmp_path / "a.safetensors")
    again = kept.load(tmp_path / "a.safetensors")
    for field in fields(Moments):
        one, two = getattr(moments, field.name), getattr(again, field.name)
        for key in one if isinstance(one, dict) else [None]:
            assert torch.equal(one[key], two[key]) if key else torch.equal(one, two)
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    with pytest.raises(SageError, match="after=.*is corrupt"):
        kept.load(tmp_path / "a.safetensors")


def test_a_share_of_each_round_is_kept_and_of_the_last_sleep_alone(
    remembered: tuple[BallWorld, Any], tmp_path: Path
) -> None:
    moments = relive_moments(*remembered, configured().sleep, 12, 0, seeded())
    config = replace(configured().sleep, keep=10, consolidations=24)
    keeper = Keeper(tmp_path, "0-0", config.keep / config.consolidations)
    for _ in range(2):  # once more after an interruption
        for number in range(2):
            keeper.keep(moments, number, 12 * number)
    assert [len(kept.load(path)) for path in sorted(tmp_path.glob("*"))] == [5, 5]
    change = kept.load(tmp_path / "0-0-000000.safetensors").change["log_gravity"].flatten(1)
    assert change.any() and not change.any(1).all(), "of several families"
    later = Keeper(tmp_path, "0-1", 1.0)
    later.begin()
    assert not list(tmp_path.glob("*"))
    later.keep(moments, 0, 0)
    later.begin()
    assert [len(kept.load(path)) for path in tmp_path.glob("*")] == [12]


def test_each_earlier_run_has_its_share(first: Path, second: Path) -> None:
    rehearsal = Rehearsal([second / "kept", first / "kept"], 1.0)
    assert rehearsal.count(12) == 8 and rehearsal.count(1) == 0 and Rehearsal().count(12) == 0
    parts = rehearsal.draw(7, seeded())
    assert [len(part) for part in parts] == [4, 3]
    assert looks(parts[0]) <= looks(all_kept(second)) and looks(parts[1]) <= looks(all_kept(first))
    assert not looks(all_kept(second)) & looks(all_kept(first)), "nobody keeps what was rehearsed"
    again = rehearsal.draw(7, seeded())
    assert all(torch.equal(one.actions, two.actions) for one, two in zip(parts, again, strict=True))


def test_a_fresh_mind_has_learned_nothing(remembered: tuple[BallWorld, Any]) -> None:
    """What minds begin with is not shared."""
    mind = make_mind(remembered[0], configured().sleep)
    mind.learned["updates"] = 3
    assert make_mind(remembered[0], configured().sleep).learned["updates"] == 0
