"""The policy: from senses to actions, saved and loaded bit for bit, with nothing of the simulator."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sage_ext.context import checkpoint
from sage_ext.errors import SageError
from sage_ext.sage.policy import SagePolicy

from .conftest import ACTIONS, make_observation

REPO = Path(__file__).parents[2]


def test_acts_in_the_bounds(policy: SagePolicy) -> None:
    observation = make_observation(2)
    free = policy.act(observation)
    assert free.shape == (2, ACTIONS) and not free.requires_grad
    bound = free.abs().max() / 2
    tight = SagePolicy(policy.encoder, policy.core, -bound.expand(ACTIONS), bound.expand(ACTIONS))
    assert torch.equal(tight.act(observation), free.clamp(-bound, bound)) and not torch.equal(
        free, free.clamp(-bound, bound)
    )


def test_takes_what_an_environment_returns(policy: SagePolicy) -> None:
    observation = make_observation(2)
    plain = policy.act(observation)
    policy.reset()
    assert torch.equal(policy.act({"policy": observation, "critic": {"gravity": torch.zeros(2, 3)}}), plain)


def test_remembers_until_it_is_reset(policy: SagePolicy) -> None:
    past, now = make_observation(3, seed=1), make_observation(3, seed=2)
    fresh = policy.act(now)
    policy.reset()
    policy.act(past)
    later = policy.act(now)
    assert not torch.allclose(fresh, later, atol=1e-5)
    policy.reset()
    policy.act(past)
    policy.reset(torch.tensor([True, False, False]))
    policy.reset(torch.tensor([False, False, True]))
    mixed = policy.act(now)
    torch.testing.assert_close(mixed[[0, 2]], fresh[[0, 2]], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(mixed[1], later[1], atol=1e-6, rtol=1e-5)


def test_an_error_leaves_the_memory_as_it_was(policy: SagePolicy) -> None:
    first, second = make_observation(2, seed=1), make_observation(2, seed=2)
    policy.act(first)
    expected = policy.act(second)
    policy.reset()
    policy.act(first)
    blind = second["depth"].clone()
    blind[0, 3, 3] = float("nan")
    with pytest.raises(SageError, match="observation.depth=NaN or infinity: must be finite"):
        policy.act(second | {"depth": blind})
    assert torch.equal(policy.act(second), expected)


def test_a_missing_sense_is_masked(policy: SagePolicy) -> None:
    whole = make_observation(2)
    absent = {k: v for k, v in whole.items() if k != "depth"}
    actions = policy.act(absent)
    policy.reset()
    broken = whole | {"depth": torch.full_like(whole["depth"], float("nan"))}
    assert torch.equal(policy.act(broken, present={"depth": torch.zeros(2, dtype=torch.bool)}), actions)
    policy.reset()
    assert not torch.allclose(policy.act(whole), actions, atol=1e-6)


def test_reacts_between_looks_with_the_fast_senses_alone(policy: SagePolicy) -> None:
    looks = [make_observation(2, seed=s) for s in (1, 2)]
    touch = {"tactile": looks[1]["tactile"], "proprioceptive": looks[1]["proprioceptive"]}
    with pytest.raises(SageError, match="react={}: has nothing to go by before the first look; call act first"):
        policy.react(touch)
    acted = [policy.act(look) for look in looks]
    policy.reset()
    policy.act(looks[0])
    reaction = policy.react(touch)
    assert reaction.shape == (2, ACTIONS) and not torch.allclose(reaction, acted[0], atol=1e-6)
    assert torch.equal(policy.act(looks[1]), acted[1]), "a reaction is not remembered"
    touch["tactile"][0, 0] = float("nan")
    with pytest.raises(SageError, match="observation.tactile=NaN or infinity"):
        policy.react(touch)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda o: o | {"visual": o["visual"][:, :32]}, r"observation.visual.shape=\(2, 32, 64, 3\): must be"),
        (lambda o: o | {"tactile": o["tactile"].double()}, "observation.tactile.dtype=torch.float64"),
        (lambda o: o | {"smell": torch.zeros(2, 3)}, "observation=smell: is no sense of this mind"),
        (lambda o: {}, "observation={}: has no sense"),
        (
            lambda o: {k: v[:1] for k, v in o.items()},
            r"observation=1 worlds: there were 2 before; call reset",
        ),
        (lambda o: o | {"audio": o["audio"] + float("inf")}, "observation.audio=NaN or infinity"),
    ],
)
def test_bad_observations_are_named(policy: SagePolicy, change, message: str) -> None:
    policy.act(make_observation(2))
    with pytest.raises(SageError, match=message):
        policy.act(change(make_observation(2)))


def test_other_bad_input_is_named(policy: SagePolicy) -> None:
    policy.act(make_observation(2))
    one, bad = torch.ones(ACTIONS), torch.full((ACTIONS,), float("inf"))
    encoder, core = policy.encoder, policy.core
    cases = [
        (
            lambda: policy.reset(torch.ones(3, dtype=torch.bool)),
            r"reset=torch.bool\(3,\): must be bool of",
        ),
        (lambda: SagePolicy(encoder, core, -one[:2], one), r"action.low=\(2,\): must be 3 finite numbers"),
        (lambda: SagePolicy(encoder, core, -one, bad), "action.high"),
        (lambda: SagePolicy.for_space(encoder, core, gym.spaces.Discrete(3)), "action_space=Discrete: must be"),
    ]
    for call, message in cases:
        with pytest.raises(SageError, match=message):
            call()
    space = gym.spaces.Box(np.float32([-1, -2, -3]), np.float32([1, 2, 3]))
    assert SagePolicy.for_space(encoder, core, space).high.tolist() == [1, 2, 3]


@pytest.mark.parametrize("worlds", [1, 2])
def test_a_fresh_process_without_the_simulator_gives_the_same_bits(
    policy: SagePolicy, tmp_path: Path, worlds: int
) -> None:
    policy.save(tmp_path / "policy")
    looks = [make_observation(worlds, seed=s) for s in range(3)]
    save_file({f"{t}/{k}": v for t, look in enumerate(looks) for k, v in look.items()}, tmp_path / "looks.safetensors")
    actions = torch.stack([policy.act(look) for look in looks])
    program = """
import sys, torch
from safetensors.torch import load_file, save_file
from sage_ext.sage.policy import SagePolicy
torch.set_num_threads(1)
folder = sys.argv[1]
recorded, policy = load_file(folder + "/looks.safetensors"), SagePolicy.load(folder + "/policy")
looks = [{k[2:]: v for k, v in recorded.items() if k[0] == str(t)} for t in range(3)]
save_file({"actions": torch.stack([policy.act(look) for look in looks])}, folder + "/actions.safetensors")
loaded = [m for m in ("sage_envs", "sage_tasks", "isaaclab", "ovphysx", "newton", "warp", "pxr") if m in sys.modules]
assert not loaded, loaded
"""
    # Only the mind on its path: what needs more would not even be found.
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(REPO), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert torch.equal(load_file(tmp_path / "actions.safetensors")["actions"], actions)


def test_a_broken_or_other_checkpoint_is_named(policy: SagePolicy, tmp_path: Path) -> None:
    with pytest.raises(SageError, match="does not exist; check the path"):
        SagePolicy.load(tmp_path / "none")
    checkpoint.save(tmp_path / "mind", policy.encoder)
    with pytest.raises(SageError, match="mind/checkpoint.json=core: is not in it, only encoder"):
        SagePolicy.load(tmp_path / "mind")
    checkpoint.save(tmp_path / "parts", {"encoder": policy.encoder, "core": policy.core})
    with pytest.raises(SageError, match="parts=action: has no bounds"):
        SagePolicy.load(tmp_path / "parts")
    policy.save(tmp_path / "policy")
    file = tmp_path / "policy" / json.loads((tmp_path / "policy" / "checkpoint.json").read_text())["tensors"]
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(SageError, match="is truncated"):
        SagePolicy.load(tmp_path / "policy")
