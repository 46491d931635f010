"""Files, presets and overrides give one checked config; every mistake is named with its mend."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from sage_ext.config import Config, load_config
from sage_ext.config_build import keys
from sage_ext.config_checks import RULES
from sage_ext.config_hydra import groups, presets
from sage_ext.errors import SageError
from sage_ext.paths import config_dir


def experiences(config: Config) -> int:
    return config.wake.episodes * config.task.steps


def test_demo_is_the_default_and_the_workload_of_the_seed():
    config = load_config()
    assert config == load_config(["preset=demo"])
    assert (config.wake.episodes, config.task.steps, experiences(config)) == (6, 600, 3600)
    assert (config.sleep.consolidations, config.dream.explorations) == (600, 10)
    assert (config.sleep.lr, config.memory.capacity, config.cycles) == (3e-4, 100_000, 1)


def test_debug_is_small():
    config = load_config(["preset=debug"])
    assert (config.task.num_envs, config.wake.episodes, config.task.steps) == (2, 2, 90)
    assert (config.sleep.consolidations, config.sleep.batch, config.sleep.round) == (24, 4, 12)
    assert (config.dream.explorations, config.dream.calibration) == (2, 8)


def test_gpu_is_large_and_its_memory_holds_an_episode_of_all_worlds():
    config = load_config(["preset=gpu"])
    assert (config.task.num_envs, config.wake.episodes, config.task.resolution) == (256, 256, 128)
    assert (config.sleep.consolidations, config.sleep.batch, config.sleep.round) == (20_000, 128, 2560)
    assert (config.dream.explorations, config.dream.calibration, config.task.device) == (200, 1000, "cuda:0")
    assert config.memory.capacity >= 256 * 600


def test_presets_stack_and_the_last_wins():
    both = load_config(["preset=[gpu,debug]"])
    assert (both.task.num_envs, both.sleep.batch) == (2, 4)
    assert (both.task.resolution, both.memory.capacity) == (128, 160_000)
    assert load_config(["preset=[debug,gpu]"]).task.num_envs == 256


@pytest.mark.parametrize("tokens", [["task.num_envs=3", "preset=debug"], ["preset=debug", "task.num_envs=3"]])
def test_an_override_wins_over_presets_wherever_it_stands(tokens):
    config = load_config(tokens)
    assert (config.task.num_envs, config.wake.episodes) == (3, 2)
    assert load_config(tokens, base=load_config()).task.num_envs == 3


def test_a_base_keeps_what_is_not_overridden():
    base = load_config(["preset=debug", "seed=5"])
    changed = load_config(
        ["sleep.variations.physical.gravity_scale=[0.5,2]", "sleep.variations.spatial={yaw_deg: 5}"], base
    )
    assert changed.sleep.variations.spatial == dataclasses.replace(base.sleep.variations.spatial, yaw_deg=5.0)
    assert changed.sleep.variations.physical.gravity_scale == (0.5, 2.0)
    assert dataclasses.replace(changed, sleep=base.sleep) == base
    assert load_config(["preset=demo"], base).sleep.batch == 30


@pytest.mark.parametrize("task", ["navigation_push", "Sage-Navigation-Push"])
def test_a_task_is_chosen_by_its_file_or_its_id(task):
    config = load_config([f"task={task}", "task.difficulty=hard"])
    assert (config.task.id, config.task.difficulty) == ("Sage-Navigation-Push", "hard")
    assert dataclasses.replace(config.task, id="Sage-Navigation", difficulty="default") == load_config().task


def test_values_have_their_types():
    config = load_config(
        ["memory.capacity=1e6", "sleep.lr=1", "name=2024", "task.device=null", "dream.laws=[physics/float]"]
    )
    assert (config.memory.capacity, type(config.memory.capacity)) == (1_000_000, int)
    assert type(config.sleep.lr) is float
    assert (config.name, config.task.device, config.dream.laws) == ("2024", None, ("physics/float",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.seed = 1  # type: ignore[misc]


def test_every_key_has_a_rule_a_default_and_nothing_else_does():
    assert set(RULES) == set(keys(Config)) == set(load_config().flat())


def test_a_run_older_than_a_key_has_what_was_before_it(tmp_path):
    config, path = load_config(), tmp_path / "config.yaml"
    old = config.to_dict()
    newer = {"after": None, "sleep.keep": 0, "sleep.rehearsal": 0.0, "sleep.priority": 0.0}
    for key in newer:
        block, _, name = key.rpartition(".")
        del (old[block] if block else old)[name]
    path.write_text(yaml.safe_dump(old))
    assert Config.from_yaml(path).flat() == {**config.flat(), **newer}


def test_weights_are_those_of_the_objective():
    from sage_ext.learning.terms import Weights

    weights = load_config().sleep.weights
    assert {f.name for f in dataclasses.fields(weights)} == {f.name for f in dataclasses.fields(Weights)} - {"drop"}
    assert Weights(**dataclasses.asdict(weights), drop=load_config().sleep.sense_dropout) == Weights()


def test_each_preset_says_what_it_is():
    assert set(presets()) == set(groups()["preset"]) == {"debug", "demo", "gpu"}
    assert all(presets().values())


def test_loading_leaves_no_trace(tmp_path, monkeypatch):
    import logging

    from hydra.core.global_hydra import GlobalHydra

    monkeypatch.chdir(tmp_path)
    handlers = list(logging.getLogger().handlers)
    load_config(["preset=debug"])
    assert not list(tmp_path.iterdir())
    assert logging.getLogger().handlers == handlers
    assert not GlobalHydra.instance().is_initialized()


def test_a_hydra_that_others_started_is_in_nobodys_way():
    from hydra import initialize_config_dir

    initialize_config_dir(config_dir=str(config_dir()), version_base=None)
    assert load_config(["seed=4"]).seed == 4


BAD = {
    "randomisation.mass_scale=[2,1]": r"randomisation.mass_scale=\[2.0,1.0\]: must be \[low, high\].*set \[1.0,2.0\]",
    "randomisation.mass_scale=[0.01,1]": r"randomisation.mass_scale=.*must be 0.05..20.*set 0.05",
    "randomisation.mass=[1,1]": r"randomisation.mass=.*unknown key.*use randomisation.mass_scale",
    "randomisation.static_friction_scale=[1,9]": r"times the 1.6 of sleep.variations.physical goes beyond 10.*6.25",
    "randomisation.mass_scale=[1,15]": r"times the 2 of sleep.variations.physical goes beyond 20; set at most 10",
    "randomisation.mass_scale=[0.08,1]": r"times the 0.5 of sleep.variations.physical goes below 0.05.*least 0.1",
    "randomisation=wild": r"randomisation=wild.*is none of the choices default, wide.*use randomisation=wide",
    "foo": "override=foo: .*key=value",
    "debug": "override=debug: .*write preset=debug",
    "=3": "override==3: .*key=value",
    "tsak.num_envs=3": "tsak.num_envs=3: unknown key; use task.num_envs",
    "num_envs=3": "num_envs=3: unknown key; use task.num_envs",
    "presets=debug": "presets=debug: unknown key; use preset=debug",
    "qqqq=1": "qqqq=1: unknown key; use a key that sage-ext info lists",
    "+seed=1": r"\+seed=1: .*; write seed=1",
    "~seed=1": "~seed=1: .*; write seed=1",
    "seed=1,2": "seed=1,2: gives several values",
    "runs={a": "runs={a: cannot be read",
    "preset=gpuu": "preset=gpuu: is none of the presets debug, demo, gpu; use preset=gpu",
    "preset=[demo,debgu]": "preset=debgu: is none of .*; use preset=debug",
    "preset=null": "preset=null: is none of the presets",
    "task=Sage-Navigaton": "task=Sage-Navigaton: is none of the choices .*; use task=Sage-Navigation",
    "task=naviagtion": "task=naviagtion: is none of the choices .*; use task=navigation",
    "Sage-Reach": "override=Sage-Reach: .*write task=Sage-Reach",
    "task.id=Sage-Navigaton": "task.id=Sage-Navigaton: must be one of .*; use Sage-Navigation",
    "task.difficulty=hrad": "task.difficulty=hrad: must be one of easy, default, hard; use hard",
    "task.noise=mils": "task.noise=mils: must be one of none, mild, harsh; use mild",
    "task.segmentation=yess": "task.segmentation=yess: must be true or false; write it like task.segmentation=true",
    "task.physics=ovphysics": "task.physics=ovphysics: .*; use ovphysx",
    "task.device=gpu": "task.device=gpu: must be null, cpu or cuda:N",
    "task.episode_length_s=3.01": "task.episode_length_s=3.01: must be a whole number of steps.*; set 3$",
    "task.num_envs=0": r"task.num_envs=0: must be 1\.\.65536; set 1$",
    "task.num_envs=two": "task.num_envs=two: must be a whole number",
    "task.num_envs=true": "task.num_envs=true: must be a whole number",
    "seed=1.5": "seed=1.5: must be a whole number",
    "seed=-1": r"seed=-1: must be 0\.\.4294967295; set 0$",
    "sleep.lr=nan": "sleep.lr=nan: .*finite",
    "sleep.lr=0": "sleep.lr=0.0: must be above 0",
    "sleep.variations.physical.gravity_scale=[-0.8,1.2]": r"gravity_scale=\[-0.8,1.2\]: must be above 0",
    "sleep.variations.physical.friction_scale=[1.2,0.8]": r"friction_scale=\[1.2,0.8\]: .*; set \[0.8,1.2\]",
    "sleep.variations.physical.gravity_scale=0.8": "gravity_scale=0.8: must be a list of 2",
    "sleep.variations.physical=3": "physical=3: must be a block",
    "sleep.variations.spatial.share=1": r"share=1.8: must sum to 1 \(physical 0.3, .*rearranged 0.3\)",
    "sleep.variations.causal.share=-0.1": r"causal.share=-0.1: must be 0..1; set 0",
    "sleep.variations.physical.mass_scale=[0,1]": r"mass_scale=\[0.0,1.0\]: must be 0.05..20; set 0.05",
    "sleep.weights.physics=1": "sleep.weights.physics=1: unknown key",
    "sleep.average=1": "sleep.average=1.0: must be 0..0.999999; set 0.999999",
    "sleep.replay=1.5": "sleep.replay=1.5: must be 0..1; set 1",
    "sleep.accumulate=0": "sleep.accumulate=0: must be 1",
    "sleep.passes=0": "sleep.passes=0: must be 1",
    "sleep.background=yes please": "sleep.background=yes please: must be true or false",
    "sleep.history=599": "sleep.history=599: does not fit into an episode of 600 steps; set at most 595",
    "sleep.weights={predicton:1}": "sleep.weights.predicton=1: unknown key; use sleep.weights.prediction",
    "sleep.round=13": "sleep.round=13: must be a multiple of sleep.batch=30; set 30",
    "sleep.steps=400": "sleep.steps=400: does not fit into an episode of 600 steps; set at most 300",
    "dream.looks=600": "dream.looks=600: does not fit .*; set at most 599",
    "sleep.variations.temporal.speeds=[3]": r"speeds=\[3.0\]: must be",
    "dream.laws=[phsyics]": r"dream.laws=\[phsyics\]: .*; use physics",
    "dream.difficulty=2": "dream.difficulty=2.0: must be 0..1; set 1",
    "dream.laws=[]": r"dream.laws=\[\]: must have an entry",
    "memory.capacity=3599": "memory.capacity=3599: is smaller than an episode of 600 steps in each of 6.*least 3600",
    "wake.policy=expret": "wake.policy=expret: .*; use expert",
    "name=a/b": "name=a/b: must be null or",
    "wake.policy=${oc.env:SAGE_NOPE}": "cannot be composed .*SAGE_NOPE",
}


@pytest.mark.parametrize("token", BAD)
def test_a_mistake_is_one_line_with_its_mend(token):
    with pytest.raises(SageError, match=BAD[token]) as caught:
        load_config([token])
    assert "\n" not in str(caught.value)


def test_limits_themselves_are_allowed():
    config = load_config(["memory.capacity=3600", "dream.looks=24", "sleep.steps=300", "task.num_envs=1"])
    assert (config.memory.capacity, config.dream.looks, config.sleep.steps, config.task.num_envs) == (3600, 24, 300, 1)


def test_tasks_are_not_asked_for_where_there_are_none(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "sage_tasks", None)
    assert load_config(["task.id=Elsewhere"]).task.id == "Elsewhere"


def test_yaml_round_trip(tmp_path):
    config = load_config(["preset=debug", "sleep.lr=1e-5", "name=2024", "seed=4294967295", "runs='a b: c'"])
    path = tmp_path / "config.yaml"
    path.write_text(config.to_yaml())
    assert Config.from_yaml(path) == config
    assert set(yaml.safe_load(config.to_yaml())) == {f.name for f in dataclasses.fields(Config)}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "no YAML"),
        ("- 1", "holds no keys"),
        ("", "holds no keys"),
        ("seed: 0", "cycles=: is missing"),
        ("!!python/object/apply:os.system [true]", "no YAML"),
        (None, "sleep.batch=0: must be 2"),
    ],
)
def test_a_corrupt_file_is_named(tmp_path, text, problem):
    path = tmp_path / "config.yaml"
    path.write_text(load_config().to_yaml().replace("batch: 30", "batch: 0") if text is None else text)
    with pytest.raises(SageError, match=problem) as caught:
        Config.from_yaml(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SageError, match="cannot be read"):
        Config.from_yaml(tmp_path / "none.yaml")


def test_the_files_hold_only_known_keys():
    """A key in a file that no dataclass knows would fail each load, a preset's only where it is used."""
    presets = [load_config([f"preset={file.stem}"]) for file in Path(config_dir()).rglob("preset/*.yaml")]
    assert len(presets) > 2


def test_every_task_has_a_file_of_its_own():
    from sage_tasks import TASKS

    chosen = [load_config([f"task={file.stem}"]).task.id for file in Path(config_dir()).rglob("task/*.yaml")]
    assert sorted(chosen) == sorted(TASKS)


def test_randomisation_is_off_unless_chosen():
    off, wide = load_config().randomisation, load_config(["randomisation=wide"]).randomisation
    for field in dataclasses.fields(off):
        value = getattr(off, field.name)
        assert value in (0.0, (1.0, 1.0))
        # Sizes are drawn among those of task.object_sizes, and there is one by default.
        assert (getattr(wide, field.name) != value) or field.name == "size_scale"


def test_a_run_from_before_there_was_acting_gets_the_defaults(tmp_path):
    old = load_config(["preset=debug", "wake.policy=expert"]).to_dict()
    del old["act"], old["wake"]["disturbance"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(old))
    config, usual = Config.from_yaml(tmp_path / "config.yaml"), load_config(["preset=gpu"])
    assert (config.wake.policy, config.wake.episodes, config.wake.disturbance) == ("expert", 2, usual.wake.disturbance)
    assert dataclasses.replace(config.act, updates=usual.act.updates, batch=256, episodes=256) == usual.act
