"""The bench of tasks without a simulator: its rows, its arms, what it keeps, and its baseline."""

from __future__ import annotations

import argparse
import functools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import tasks, tasks_act, tasks_arms, tasks_cnn, tasks_play
from bench.table import Table
from bench.tasks import add_rows, main
from bench.tasks_arms import named
from bench.tasks_cnn import CnnPolicy, train
from bench.tasks_play import CONDITIONS, Plan, config_of
from sage_ext.act import sources as acting
from sage_ext.act.disturbed import Disturbed
from sage_ext.errors import SageError
from sage_ext.sage import core
from sage_ext.threads import torch_threads
from sage_ext.wake import open_memory, wake

from ..act.conftest import CORE
from ..mind.ball_world import BallWorld, Push
from ..mind.conftest import configured, make_mind, shrink


def plan(condition: str, task: str = "Sage-Reach") -> Plan:
    return Plan("expert", None, None, task, condition, 40, 20, 7)


def test_conditions_are_settings_of_a_play() -> None:
    usual = config_of(plan("nominal"))
    assert (usual.task.id, usual.task.episode_length_s, usual.episodes, usual.task.num_envs) == (
        "Sage-Reach",
        6.0,
        40,
        20,
    )
    assert usual.task.device == "cpu"  # whatever device learns and thinks
    assert config_of(plan("gravity x0.5")).randomisation.gravity_scale == (0.5, 0.5)
    slick = config_of(plan("friction x0.4")).randomisation
    assert slick.static_friction_scale == slick.dynamic_friction_scale == (0.4, 0.4)
    assert config_of(plan("mass x2")).randomisation.mass_scale == (2.0, 2.0)
    moved = config_of(plan("camera moved")).randomisation
    assert (moved.yaw_deg, moved.pitch_deg, moved.shift_m) == (10.0, 5.0, 0.05)
    for name, condition in CONDITIONS.items():
        if condition.missing or name == "nominal":
            assert config_of(plan(name)).randomisation == usual.randomisation and not condition.shifted
    assert len(CONDITIONS) == 16 and sum(c.shifted for c in CONDITIONS.values()) == 10


def test_rows_are_means_over_seeds_and_shifts() -> None:
    table = Table("tasks", {}, [0, 1], machine="")
    rates = {"nominal": [0.9, 1.0], "gravity x0.5": [0.5, 0.6], "mass x2": [0.7, 0.6], "no audio": [0.2, 0.2]}
    add_rows(table, "Sage-Reach", "cnn", rates, 40)
    found = {(row.case, row.metric): (row.value, row.spread) for row in table.rows}
    assert found["Sage-Reach/nominal", "success"] == pytest.approx((0.95, 0.05))
    assert found["Sage-Reach/shifted", "success"] == pytest.approx((0.6, 0.0))
    assert found["Sage-Reach/shifted", "drop_from_nominal"][0] == pytest.approx(0.35)
    assert found["Sage-Reach/missing", "success"] == pytest.approx((0.2, 0.0))
    one = Table("tasks", {}, [0], machine="")
    add_rows(one, "Sage-Reach", "cnn", {"nominal": [0.8]}, 100)
    assert one.rows[0].spread == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--sage", "runs/a"], "--sage=runs/a: is no NAME=FOLDER"),
        (["--sage", "cnn=runs/a"], "--sage=cnn: is an arm already"),
        (["--arms", "cmm"], "--arms=cmm: is no arm; use some of wake only, wake + sleep, cnn, expert, random"),
        (["--mind", "a=b", "--sage", "c=d"], "--mind=a=b: goes not with --sage"),
        (["--mind", "ours=nowhere", "--tasks", "Sage-Reach", "--arms", "ours"], "nowhere: has no checkpoint.json"),
        (["--run", "runs/a"], "--run=runs/a: is not enough"),
        (["--sage", "ours=nowhere", "--tasks", "Sage-Reach", "--arms", "ours"], "run=nowhere: does not exist"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, capfd: Any, argv: list[str], message: str) -> None:
    assert main([*argv, "--json", str(tmp_path / "rows.json"), "--keep", str(tmp_path)]) == 2
    err = capfd.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and message in err


def test_names_may_hold_what_runs_do() -> None:
    assert named("--sage", ["wake + sleep=runs/{task}=x"]) == {"wake + sleep": "runs/{task}=x"}
    with pytest.raises(SageError, match="is an arm already"):
        named("--mind", ["a=1", "a=2"])


def test_a_result_is_played_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[dict] = []
    processes: list[dict] = []

    def module(name: str, given: str, device: str, log: Path) -> None:
        assert (name, device) == ("bench.tasks_play", "cpu")
        processes.append(json.loads(given))
        for path, one in processes[-1].items():
            played.append(one)
            Path(path).write_text(json.dumps({"success_rate": 0.25}))

    monkeypatch.setattr(tasks, "module", module)
    argv = [
        "--tasks",
        "Sage-Reach",
        "--arms",
        "expert",
        "random",
        "--conditions",
        "nominal",
        "no audio",
        "--seeds",
        "2",
    ]
    argv += ["--keep", str(tmp_path / "keep"), "--json", str(tmp_path / "rows.json"), "--device", "cpu"]
    assert main([*argv, "--workers", "3"]) == 0 and len(played) == 8
    # All arms play in the same rooms, one after the other.
    assert len(processes) == 4
    assert all(len({(p["condition"], p["seed"]) for p in each.values()}) == 1 for each in processes)
    assert {(p["kind"], p["condition"], p["seed"] - tasks.ROOMS) for p in played} == {
        (kind, condition, seed)
        for kind in ("expert", "random")
        for condition in ("nominal", "no audio")
        for seed in (0, 1)
    }
    rows = {(r["arm"], r["case"]): r["value"] for r in json.loads((tmp_path / "rows.json").read_text())["rows"]}
    assert rows["expert", "Sage-Reach/nominal"] == 0.25
    assert main(argv) == 0 and len(played) == 8
    assert main([*argv, "--episodes", "40"]) == 0 and len(played) == 16


@pytest.mark.parametrize(("worlds", "stops"), [(3, True), (2, False)])
def test_play_ends_when_nothing_can_change(worlds: int, stops: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    env = BallWorld(worlds, 40, 32)
    steps, step = [], env.step

    def counted(action: torch.Tensor) -> Any:
        """The first world's episode ends after 3 steps as a failure, the others succeed after 5."""
        steps.append(len(steps))
        *outcome, extras = step(action)
        late = len(steps) >= 5
        extras = {"success": torch.tensor([False] + [late] * (worlds - 1))}
        outcome[2] = torch.tensor([len(steps) == 3] + [len(steps) % 40 == 0] * (worlds - 1))
        return (*outcome, extras)

    monkeypatch.setattr(env, "step", counted)
    monkeypatch.setattr(tasks_play, "policy_of", lambda *_: Push(env, 0, expert=True))
    found = tasks_play.played(Plan("expert", None, None, "Sage-Reach", "nominal", 3, 3, 7), env)
    assert (found["successes"], found["success_rate"]) == ((2, 2 / 3) if stops else (1, 1 / 3))
    assert len(steps) == 5 if stops else len(steps) > 5


def test_a_failure_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def module(name: str, given: str, device: str, log: Path) -> None:
        condition = next(iter(json.loads(given).values()))["condition"]
        tried.append(condition)
        if condition == "nominal":
            raise SageError("bench.tasks_play", "", "exit code 1", "run it by itself")
        for path in json.loads(given):
            Path(path).write_text(json.dumps({"success_rate": 0.25}))

    monkeypatch.setattr(tasks, "module", module)
    argv = ["--tasks", "Sage-Reach", "--arms", "random", "--conditions", "nominal", "no audio", "mass x2"]
    assert main([*argv, "--seeds", "1", "--workers", "1", "--keep", str(tmp_path), "--device", "cpu"]) == 2
    assert tried == ["nominal", "no audio", "mass x2"]


def test_arms_learn_to_act_on_given_minds_from_the_same_demonstrations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = argparse.Namespace(
        sage=[], mind=["a=" + str(tmp_path / "a-{seed}"), "b=" + str(tmp_path / "b-{seed}")], demonstrations=2,
        worlds=2, updates=4, batch=2, device="cpu", preset="cpu", keep=tmp_path / "keep", disturbance=None,
    )  # fmt: skip
    env = BallWorld(2, 20, 32)

    def expert(seed: int) -> Disturbed:
        push = Push(env, seed, expert=True)
        return Disturbed(push, env, 0.3, seed, push)

    def wake_up(*tokens: str, log: Path) -> None:
        runs = Path(next(t for t in tokens if t.startswith("runs=")).removeprefix("runs="))
        lived.append(runs)
        disturbed.append([t for t in tokens if t.startswith("wake.disturbance")])
        with open_memory(runs / "run" / "memory", env, 100) as memory:
            wake(env, expert, memory, 2, 5, 0)
        (runs / "run" / "summary.json").write_text("{}")

    def module(name: str, given: str, log: Path) -> None:
        assert name == "bench.tasks_act"
        learned.append(json.loads(given)["mind"])
        with torch_threads(1):
            tasks_act.main([given])

    lived: list[Path] = []
    learned: list[str] = []
    disturbed: list[list[str]] = []
    monkeypatch.setattr(tasks_arms, "command", wake_up)
    monkeypatch.setattr(tasks_arms, "module", module)
    shrink(monkeypatch)
    monkeypatch.setattr(core, "CoreWidths", functools.partial(core.CoreWidths, **CORE, report=8))
    for name in ("a", "b"):
        make_mind(env, configured().sleep).save(tmp_path / f"{name}-3")
    for _ in range(2):  # what is there is not made again
        arms = tasks_arms.Arms(options)
        one, other = (arms.source(name, "Sage-Reach", 3) for name in ("a", "b"))
        assert len(lived) == 1 and learned == [str(tmp_path / "a-3"), str(tmp_path / "b-3")]
    assert one.folder != other.folder and one.seconds is not None
    options.disturbance = 0.05
    less = tasks_arms.Arms(options).source("a", "Sage-Reach", 3)
    assert disturbed == [[], ["wake.disturbance=0.05"]] and less.folder != one.folder, "from other demonstrations"
    observation, _ = env.reset(seed=1)
    assert acting.learned(Path(str(one.folder)) / "policy", env).act(observation).shape == (2, 2)


def test_the_baseline_imitates_the_labels_and_ignores_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks_cnn, "LR", 3e-3)
    env = BallWorld(2, 20, 32)

    def expert(seed: int) -> Disturbed:
        push = Push(env, seed, expert=True)
        return Disturbed(push, env, 0.3, seed, push)

    with open_memory(tmp_path / "memory", env, 100) as memory:
        wake(env, expert, memory, 2, 5, 0)
    train(tmp_path, tmp_path / "cnn", updates=24, batch=8, chunk=2, dropout=0.2, seed=0)
    observation, _ = env.reset(seed=1)
    action = CnnPolicy(tmp_path / "cnn").act(observation)
    assert action[:, 0].min() > 0.5 and action[:, 1].abs().max() < 0.4
    blind, spoilt = CnnPolicy(tmp_path / "cnn", ("depth",)), dict(observation["policy"])
    spoilt["depth"] = spoilt["depth"] + torch.nan
    assert torch.equal(blind.act({"policy": spoilt}), blind.act(observation))
    assert not torch.equal(blind.act(observation), action)
