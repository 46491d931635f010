"""``sage-ext play`` and ``sage-ext tasks`` without a simulator: settings, errors, what is written and what is not."""

from __future__ import annotations

import dataclasses
import json
import sys
import types

import pytest
import torch

from sage_ext import simulator
from sage_ext.cli import main
from sage_ext.config import load_config
from sage_ext.config_build import keys
from sage_ext.errors import Interrupted
from sage_ext.play_config import RULES_OF_PLAY, PlayConfig, load_play_config

from ..mind.ball_world import BallWorld, Push


class Stage:
    """Stands in for ``sage_ext.body``: a small world of balls, which goes on after it was closed as ours do not."""

    def __init__(self) -> None:
        self.configs: list[PlayConfig] = []
        self.world = BallWorld

    def environment(self, config: PlayConfig) -> BallWorld:
        self.configs.append(config)
        return self.world(config.task.num_envs, steps=12, resolution=config.task.resolution, goal=0.05)

    def policy(self, name: str, env: BallWorld, seed: int) -> Push:
        return Push(env, seed, name == "expert")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path) -> Stage:
    fake = Stage()
    monkeypatch.setitem(sys.modules, "sage_ext.body", types.SimpleNamespace(SimulatedBody=lambda: fake))
    monkeypatch.setattr(simulator, "need_simulator", lambda: None)
    monkeypatch.chdir(tmp_path)
    return fake


def test_settings_are_those_of_the_file_and_a_task_is_set_as_in_a_run() -> None:
    usual = load_play_config()
    assert (usual.task.id, usual.policy, usual.video, usual.out) == ("Sage-Navigation", "expert", False, None)
    assert dataclasses.replace(usual.task, num_envs=6) == load_config().task
    assert usual.randomisation == load_config().randomisation
    tokens = ["task=lift", "task.noise=mild", "task.segmentation=true", "task.difficulty=hard", "randomisation=wide"]
    config, run = load_play_config([*tokens, "policy=random", "episodes=200"]), load_config(tokens)
    assert (config.policy, config.episodes, config.task.id) == ("random", 200, "Sage-Lift")
    assert dataclasses.replace(config.task, num_envs=run.task.num_envs) == run.task
    assert config.randomisation == run.randomisation
    assert set(RULES_OF_PLAY) == set(keys(PlayConfig))


@pytest.mark.parametrize("task", ["reach", "Sage-Reach"])
def test_a_task_is_chosen_by_its_file_or_its_id(task) -> None:
    config = load_play_config([f"task={task}", "policy=expert", "video=true"])
    assert (config.task.id, config.task.episode_length_s, config.task.num_envs) == ("Sage-Reach", 6.0, 16)


BAD = [
    ("Sage-Reach", "override=Sage-Reach: is no key=value; write task=Sage-Reach"),
    ("episods=3", "episods=3: unknown key; use episodes"),
    ("num_envs=3", "num_envs=3: unknown key; use task.num_envs"),
    ("wake.policy=random", "wake.policy=random: unknown key; use policy"),
    ("sleep.lr=1", "sleep.lr=1: unknown key"),
    ("preset=debug", "preset=debug: unknown key"),
    ("task=Sage-Navigaton", "use task=Sage-Navigation"),
    ("task.difficulty=hrad", "use hard"),
    ("policy=exprt", "must be one of random, expert, sage; use expert"),
    ("policy=sage", "run=null: policy=sage is learned in a run, and none is named; set run=latest"),
    ("run=latest", "run=latest: is nothing to policy=expert; leave it out, or set policy=sage"),
    ("missing=audio", "missing=audio: is nothing to policy=expert"),
    ("missing=smell", "missing=smell: must be null or one of visual, depth"),
    ("episodes=0", "episodes=0: must be 1..1000000000; set 1"),
    ("episodes=1.5", "must be a whole number"),
    ("task.num_envs=0", "task.num_envs=0: must be 1..65536"),
    ("video=maybe", "video=maybe: must be true or false"),
    ("video=1", "must be true or false"),
    ("video_worlds=65", "set 64"),
    ("task.resolution=8", "set 16"),
    ("task.episode_length_s=nan", "task.episode_length_s=nan: must be above 0"),
    ("task.episode_length_s=3.01", "must be a whole number of steps of 1/30 s; set 3"),
    ("task.device=gpu", "must be null, cpu or cuda:N"),
    ("task.device=cuda:77", "task.device=cuda:77: "),
    ("seed=[1", "cannot be read as a value"),
    ("out=taken", "out=taken: is there already; name a new folder"),
]


@pytest.mark.parametrize(("token", "message"), BAD, ids=[token for token, _ in BAD])
def test_bad_input_is_one_line_and_leaves_nothing(stage, tmp_path, capfd, token, message) -> None:
    (tmp_path / "taken").mkdir()
    assert main(["play", token]) == 2
    err = capfd.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and message in err, err
    assert [p.name for p in tmp_path.rglob("*")] == ["taken"]
    assert not stage.configs


def run_of(task: str, runs) -> str:
    """A run of a task with a small camera, which has learned nothing."""
    from sage_ext.runs import Run

    with Run.create(load_config([f"task={task}", "task.resolution=32", "randomisation=wide", f"runs={runs}"])) as run:
        return str(run.path)


def test_a_runs_task_is_played_where_no_other_is_named(tmp_path) -> None:
    run = run_of("reach", tmp_path)
    config = load_play_config(["policy=sage", f"run={run}", "missing=audio"])
    assert (config.task.id, config.task.resolution, config.task.num_envs) == ("Sage-Reach", 32, 16)
    assert config.randomisation == load_config(["randomisation=wide"]).randomisation
    other = load_play_config(["policy=sage", f"run={run}", "task=lift", "task.num_envs=3", "randomisation=default"])
    assert (other.task.id, other.task.resolution, other.task.num_envs) == ("Sage-Lift", 64, 3)
    assert other.randomisation == load_config().randomisation


def test_a_run_that_has_learned_no_policy_is_named(stage, tmp_path, capfd) -> None:
    run = run_of("reach", tmp_path / "runs")
    assert main(["play", "policy=sage", f"run={run}"]) == 2
    err = capfd.readouterr().err
    assert err == f"error: run={run}: has learned no policy; sage-ext act {run}\n"
    assert not (tmp_path / "plays").exists()


def test_a_play_ends_with_a_table_and_a_file(stage, tmp_path, capfd) -> None:
    assert main(["play", "episodes=5", "task.num_envs=2", "seed=3", "task.resolution=16", "out=here"]) == 0
    result = json.loads((tmp_path / "here" / "play.json").read_text())
    assert (result["task"]["id"], result["policy"], result["episodes"], result["task"]["num_envs"]) == (
        "Sage-Navigation", "expert", 5, 2
    )  # fmt: skip
    assert [(e["world"], e["number"]) for e in result["each"]] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert result["success_rate"] == result["successes"] / 5
    assert result["measured"]["steps"] >= sum(e["steps"] for e in result["each"])
    out = capfd.readouterr().out
    for words in ("success rate", "mean return", "mean length", "steps a second", "here/play.json"):
        assert words in out
    assert not list(tmp_path.rglob("*.mp4"))


def test_no_more_worlds_than_episodes(stage, tmp_path) -> None:
    assert main(["play", "episodes=3", "task.num_envs=16", "task.resolution=16", "out=here"]) == 0
    result = json.loads((tmp_path / "here" / "play.json").read_text())
    assert (result["task"]["num_envs"], [e["world"] for e in result["each"]]) == (3, [0, 1, 2])


def test_the_same_seed_gives_the_same_file(stage, tmp_path) -> None:
    def results(out: str, seed: int) -> dict:
        argv = [
            "play",
            "policy=random",
            "episodes=4",
            "task.num_envs=2",
            f"seed={seed}",
            "task.resolution=16",
            f"out={out}",
        ]
        assert main(argv) == 0
        found = json.loads((tmp_path / out / "play.json").read_text())
        del found["measured"]
        return found

    first = results("a", 7)
    assert first == results("b", 7)
    assert first["each"] != results("c", 8)["each"]


def test_folders_are_named_by_time_task_and_policy(stage, tmp_path) -> None:
    assert main(["play", "episodes=1", "task.resolution=16", "policy=random"]) == 0
    (path,) = (tmp_path / "plays").iterdir()
    assert path.name.endswith("-Sage-Navigation-random") and (path / "play.json").is_file()


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (Interrupted(), 130, "interrupted\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
    ids=["safe point", "at once"],
)
def test_what_was_not_finished_leaves_nothing(stage, tmp_path, capfd, error, code, message) -> None:
    class Broken(BallWorld):
        def step(self, action: torch.Tensor):
            if int(self.clock[0]) == 5:
                raise error
            return super().step(action)

    stage.world = Broken
    assert main(["play", "task.resolution=16", "video=true"]) == code
    assert capfd.readouterr().err == message
    assert not list(tmp_path.iterdir())


def test_what_make_refuses_is_one_line(stage, tmp_path, capfd) -> None:
    from sage_tasks.make import make

    stage.world = lambda *_, **__: make("Sage-Navigation", physics="bullet")
    assert main(["play"]) == 2
    err = capfd.readouterr().err
    assert err.startswith("error: physics=bullet: unknown engine") and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_bug_keeps_its_traceback(stage, tmp_path) -> None:
    def broken(*_, **__):
        raise ValueError("a bug")

    stage.world = broken
    with pytest.raises(ValueError, match="a bug"):
        main(["play"])
    assert not list(tmp_path.iterdir())


def test_tasks_takes_nothing(stage, capfd) -> None:
    assert main(["tasks", "Sage-Navigation"]) == 2
    assert "error: tasks=Sage-Navigation: tasks takes nothing" in capfd.readouterr().err


def test_tasks_prints_what_is_registered(stage, capfd, monkeypatch) -> None:
    import gymnasium as gym
    import numpy as np

    box = gym.spaces.Box
    described = types.SimpleNamespace(
        task="Sage-Some",
        about="do something",
        observation=gym.spaces.Dict({"depth": box(0.0, np.inf, (8, 8, 1)), "tactile": box(0.0, np.inf, (3,))}),
        action=box(np.float32([-1, -2]), np.float32([1, 3])),
        episode_length_s=4.0,
        steps=120,
        policies=("random",),
        agents=(),
        difficulties=("default", "hard"),
        presets=("stock",),
    )
    listing = types.SimpleNamespace(describe_all=lambda: [described])
    monkeypatch.setitem(sys.modules, "sage_tasks.listing", listing)
    assert main(["tasks"]) == 0
    rows = [line.split("  ") for line in capfd.readouterr().out.splitlines()]
    rows = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    for row in (
        ["Sage-Some", "do something"],
        ["observation", "depth (8, 8, 1) float32 in 0..inf"],
        ["tactile (3,) float32 in 0..inf"],
        ["action", "(2,) float32 in -2..3"],
        ["episode", "4 s, 120 steps"],
        ["policies", "random"],
        ["agents", "none"],
        ["difficulties", "default, hard"],
        ["presets", "stock"],
    ):
        assert row in rows, row
