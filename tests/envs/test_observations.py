"""The checker of our spaces finds whatever does not lie in them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from sage_envs.observations import critic_space, policy_space, violations

SPACE = gym.spaces.Dict({"policy": policy_space(8, 8), "critic": critic_space({"pose": torch.zeros(3, 2, 7)})})


def good() -> dict[str, dict[str, torch.Tensor]]:
    return {
        "policy": {
            "visual": torch.full((3, 8, 8, 3), 255, dtype=torch.uint8),
            "depth": torch.zeros(3, 8, 8, 1),
            "audio": torch.full((3, 1024), -80.0),
            "tactile": torch.zeros(3, 128),
            "proprioceptive": torch.randn(3, 64),
        },
        "critic": {"pose": torch.randn(3, 2, 7)},
    }


def test_what_lies_in_its_space_is_passed() -> None:
    assert violations(SPACE, good()) == []


@pytest.mark.parametrize(
    ("group", "key", "value", "line"),
    [
        ("policy", "depth", torch.full((3, 8, 8, 1), -0.5), "observation.policy.depth: 192 numbers such as -0.5"),
        ("policy", "audio", torch.full((3, 1024), torch.nan), "observation.policy.audio: 3072 numbers such as nan"),
        ("policy", "visual", torch.zeros(3, 8, 8, 3), "visual: torch.float32; must be uint8"),
        ("policy", "tactile", torch.zeros(3, 129), "tactile: shape (3, 129); must be (N, 128)"),
        ("critic", "pose", torch.zeros(3, 14), "observation.critic.pose: shape (3, 14); must be (N, 2, 7)"),
        ("critic", "pose", np.zeros((3, 2, 7), np.float32), "is ndarray for Box; must be a tensor"),
        ("critic", "mass", torch.zeros(3), "observation.critic.mass: is in no space"),
        ("policy", "depth", None, "observation.policy.depth: is missing"),
    ],
)
def test_what_does_not_is_named(group: str, key: str, value: Any, line: str) -> None:
    observation: dict[str, dict[str, Any]] = good()
    if value is None:
        del observation[group][key]
    else:
        observation[group][key] = value
    (found,) = violations(SPACE, observation)
    assert line in found


def test_no_number_may_be_infinite_where_a_bound_is_finite() -> None:
    box = gym.spaces.Box(-1.0, 1.0, (2,))
    assert violations(box, torch.tensor([[1.0, -1.0]])) == []
    assert violations(box, torch.tensor([[torch.inf, 0.0]])) == ["observation: 1 numbers such as inf outside -1..1"]
