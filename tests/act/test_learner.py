"""Learning to act on the ball world: from an expert, from chance, again and again, and interrupted."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from sage_ext.act.sources import learned
from sage_ext.context import checkpoint
from sage_ext.cycle import run_phases
from sage_ext.errors import Interrupted, SageError
from sage_ext.memory import Memory
from sage_ext.report import Reporter
from sage_ext.runs import Run
from tests.mind.ball_world import BallBody, BallWorld
from tests.mind.conftest import configured

ACT = ["act.updates=30", "act.batch=8", "act.steps=8", "act.chunk=4", "act.h_every=2", "act.history=6"]
ACT += ["act.lr=1e-2", "act.average=0.5"]


class Stop:
    """Asks for a stop at the ``after``-th safe point that is ``of`` a kind: with something to save, or without."""

    def __init__(self, after: int | None = None, saves: bool = True) -> None:
        self.after, self.saves, self.count = after, saves, 0

    def arm(self) -> None:
        return

    def check(self, save: Any = None) -> None:
        if (save is not None) == self.saves:
            self.count += 1
            if self.after is not None and self.count >= self.after:
                if save is not None:
                    save()
                raise Interrupted


def begin(runs: Path, *overrides: str) -> Path:
    with Run.create(configured(f"runs={runs}", *ACT, *overrides)) as run:
        return run.path


def go(path: Path, phases: tuple[str, ...], stop: Stop | None = None) -> dict[str, Any]:
    with Run.open(path) as run:
        body = BallBody(goal=0.7, lost=-3.0)
        return run_phases(run.config, run, phases, Reporter(file=io.StringIO()), stop or Stop(), body)


def acted(path: Path, steps: int = 12) -> torch.Tensor:
    """Mean over worlds and time of the actions of a run's policy (2,)."""
    env = BallWorld(4, 30, 32)
    policy, actions = learned(path / "policy", env), []
    observation, _ = env.reset(seed=5)
    for _ in range(steps):
        actions.append(policy.act(observation))
        observation = env.step(actions[-1])[0]
    return torch.stack(actions).mean((0, 1))


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that learned from an expert, who goes right."""
    path = begin(tmp_path_factory.mktemp("taught"), "wake.policy=expert")
    go(path, ("wake", "act"))
    return path


def test_an_expert_is_imitated(taught: Path) -> None:
    summary = json.loads((taught / "summary.json").read_text())
    assert (summary["act"]["objective"], summary["act"]["updates"], summary["act"]["lived"]) == ("bc", 30, [])
    assert summary["act"]["loss"] < 0.6
    right, up = acted(taught).tolist()
    assert right > 0.7 and abs(up) < 0.3


def test_the_policy_is_the_average(taught: Path) -> None:
    with Run.open(taught, lock=False) as run:
        tensors, _ = checkpoint.load_state(run.policy / "checkpoint")
        core, _ = checkpoint.load_state(run.acting / "checkpoint")
    learned_here = {name for name in tensors if name.startswith("core/")}
    assert learned_here and all(torch.equal(tensors[name], core[name]) for name in learned_here)


def test_when_it_acts_it_forgets_as_configured(taught: Path) -> None:
    env, seen = BallWorld(4, 30, 32), list[bool]()
    policy = learned(taught / "policy", env)
    slow = policy.policy.core.slow
    think = slow.forward

    def spy(context: torch.Tensor, state: torch.Tensor, report: torch.Tensor) -> Any:
        seen.append(bool((state == 0.0).all()) and bool((report == 0.0).all()))
        return think(context, state, report)

    slow.forward = spy  # type: ignore[method-assign]
    observation, _ = env.reset(seed=5)
    for _ in range(20):
        observation = env.step(policy.act(observation))[0]
    # H thinks at each second look, and knows nothing at each sixth.
    assert seen == [t % 6 == 0 for t in range(0, 20, 2)]


def test_another_history_goes_on_from_what_was_learned(taught: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(taught, path)
    # As ``sage-ext act RUN act.history=3`` begins.
    (path / "state.json").write_text(json.dumps({"phases": ["act"], "visit": 1, "results": {}}))
    with Run.open(path) as run:
        config = dataclasses.replace(run.config, act=dataclasses.replace(run.config.act, history=3))
        body = BallBody(goal=0.7, lost=-3.0)
        run_phases(config, run, ("act",), Reporter(file=io.StringIO()), Stop(), body)
    assert json.loads((path / "summary.json").read_text())["act"]["updates"] == 60
    assert learned(path / "policy", BallWorld(4, 30, 32)).policy.core.history == 3


@pytest.mark.parametrize(("after", "saves"), [(1, False), (17, True)], ids=["while encoding", "while learning"])
def test_interrupted_and_resumed_is_as_if_it_never_was(taught: Path, tmp_path: Path, after: int, saves: bool) -> None:
    path = begin(tmp_path, "wake.policy=expert")
    go(path, ("wake",))
    with pytest.raises(Interrupted):
        # ``resume``: the same phases; those that are done are not lived again.
        go(reopened(path), ("wake", "act"), Stop(after, saves))
    assert not (path / "policy").exists()
    go(path, ("wake", "act"))
    (tensors, meta), (others, other_meta) = (checkpoint.load_state(p / "acting" / "checkpoint") for p in (path, taught))
    assert meta == other_meta
    assert all(torch.equal(value, others[name]) for name, value in tensors.items())


def reopened(path: Path) -> Path:
    """As it was between two phases of its only cycle."""
    state = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps({**state, "cycle": 0, "phase": 1}))
    return path


def test_rounds_of_dagger_are_remembered_with_the_experts_labels(tmp_path: Path) -> None:
    path = begin(tmp_path, "wake.policy=expert", "act.rounds=2", "act.episodes=2", "act.updates=10")
    summary = go(path, ("wake", "act"))
    assert (summary["episodes"], len(summary["act"]["lived"]), summary["act"]["updates"]) == (8, 2, 30)
    with Memory.open(path / "memory") as memory:
        assert len(memory.episodes) == 8
        for episode in memory.episodes:
            got = memory.episode(episode, ["action", "label", "labelled"])
            assert bool(got["labelled"].all())
            assert torch.equal(got["label"], torch.tensor([1.0, 0.0]).expand(len(got), 2))
            assert not torch.equal(got["action"], got["label"])


def test_from_chance_alone_it_learns_to_do_what_pays(tmp_path: Path) -> None:
    # Being further right pays; chance goes nowhere. Six seeds came to 0.35 to 0.83 here.
    path = begin(
        tmp_path, "wake.policy=sage", "wake.episodes=24", "cycles=2", "act.objective=awr", "act.temperature=0.1",
        "task.num_envs=6", "act.updates=120", "act.discount=0.95", "act.lr=3e-3", "act.average=0.9",
    )  # fmt: skip
    lines = io.StringIO()
    with Run.open(path) as run:
        body = BallBody(goal=0.7, lost=-3.0)
        run_phases(run.config, run, ("wake", "act"), Reporter(file=lines), Stop(), body)
    assert lines.getvalue().count("there is no policy yet: acting at random") == 1
    assert acted(path)[0] > 0.2
    with Memory.open(path / "memory") as memory:
        assert not any(bool(memory.episode(e, ["labelled"])["labelled"].any()) for e in memory.episodes)
        paid = [float(memory.episode(e, ["reward"])["reward"].mean()) for e in memory.episodes]
    assert sum(paid[24:]) / len(paid[24:]) > sum(paid[:24]) / 24 + 0.03


def test_a_policy_of_another_world_is_refused(taught: Path) -> None:
    with pytest.raises(SageError, match=r"observation.visual=\(16, 16, 3\): is another sense than this policy"):
        learned(taught / "policy", BallWorld(1, 5, 16))
    with pytest.raises(SageError, match=r"has learned no policy; sage-ext act "):
        learned(taught / "nothing", BallWorld(1, 5, 32))
