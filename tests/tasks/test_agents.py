"""rsl_rl's PPO on nested observations: what its networks get, and that it learns. Needs no simulator."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDict
from torch import Tensor

from sage_ext.threads import torch_threads
from sage_tasks.agents.ppo import SagePPO, groups, symlog

WORLDS = 32


def observed(goal: Tensor) -> TensorDict:
    """Senses of a robot that feels where its goal is."""
    n = len(goal)
    senses = {
        "visual": torch.full((n, 8, 8, 3), 255, dtype=torch.uint8),
        "depth": torch.full((n, 8, 8, 1), 3.0),
        "tactile": torch.full((n, 4), 100.0),
        "proprioceptive": goal,
    }
    classes = torch.full((n, 8, 8, 1), 9, dtype=torch.uint8)
    truth = {"goal": goal, "pose": torch.zeros(n, 2, 7), "semantic_segmentation": classes}
    return TensorDict({"policy": senses, "critic": truth}, batch_size=[n])


class Reach:
    """Reward is how near an action comes to what proprioception names; an episode is one step."""

    num_envs, num_actions, max_episode_length, device = WORLDS, 2, 1, "cpu"
    cfg: dict = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(0)
        self.draw()

    def draw(self) -> None:
        self.goal = torch.rand(WORLDS, 2, generator=self.generator) - 0.5

    def get_observations(self) -> TensorDict:
        return observed(self.goal)

    def step(self, actions: Tensor) -> tuple[TensorDict, Tensor, Tensor, dict]:
        reward = -(actions - self.goal).square().sum(dim=1)
        self.draw()
        return self.get_observations(), reward, torch.ones(WORLDS, dtype=torch.long), {}


def settings(actor: list[str]) -> dict[str, Any]:
    """As :class:`sage_tasks.agents.ppo_cfg.SagePpoRunnerCfg` gives them, but smaller."""
    network = {"hidden_dims": [32], "activation": "elu", "obs_normalization": True}
    picture = {"output_channels": [4], "kernel_size": 3, "stride": 2, "activation": "elu"}
    gaussian = {"class_name": "GaussianDistribution", "init_std": 0.6, "std_type": "log"}
    return {
        "num_steps_per_env": 16,
        "save_interval": 1000,
        "check_for_nan": False,
        "obs_groups": {"actor": actor, "critic": ["proprioceptive", "critic"]},
        "actor": {"class_name": "CNNModel", **network, "cnn_cfg": picture, "distribution_cfg": gaussian},
        "critic": {"class_name": "MLPModel", **network},
        "algorithm": {
            "class_name": "sage_tasks.agents.ppo:SagePPO",
            "learning_rate": 3e-3,
            "num_learning_epochs": 4,
            "num_mini_batches": 4,
        },
    }


def runner(actor: list[str]) -> Any:
    from rsl_rl.runners import OnPolicyRunner

    torch.manual_seed(0)
    return OnPolicyRunner(Reach(), settings(actor), device="cpu")


def test_groups_are_flat_with_channels_first_and_tame() -> None:
    flat = groups(observed(torch.tensor([[0.5, -0.5]])))
    assert {name: tuple(value.shape) for name, value in flat.items()} == {
        "visual": (1, 3, 8, 8),
        "depth": (1, 1, 8, 8),
        "tactile": (1, 4),
        "proprioceptive": (1, 2),
        "critic": (1, 16),
    }
    assert flat["visual"].max() == 1.0 and flat["depth"].max() == 3.0
    assert flat["tactile"][0, 0] == pytest.approx(4.6151, abs=1e-4)
    assert groups(flat) is flat


def test_symlog_is_odd_and_near_the_identity_around_zero() -> None:
    x = torch.tensor([-100.0, -0.01, 0.0, 0.01, 100.0])
    assert torch.equal(symlog(x), -symlog(-x))
    assert symlog(x)[3] == pytest.approx(0.01, rel=0.01)


def test_only_what_is_read_is_kept() -> None:
    algorithm = runner(["proprioceptive", "depth"]).alg
    assert isinstance(algorithm, SagePPO)
    assert set(algorithm.storage.observations.keys()) == {"proprioceptive", "depth", "critic"}


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(ValueError, match="'smell'.*visual"):
        runner(["proprioceptive", "depth", "smell"])


def test_not_a_number_is_refused() -> None:
    learner = runner(["proprioceptive", "depth"])
    obs = learner.env.get_observations()
    learner.alg.act(obs)
    obs["policy", "depth"][3] = torch.nan
    with pytest.raises(ValueError, match="'depth'.*NaN"):
        learner.alg.process_env_step(obs, torch.zeros(WORLDS), torch.zeros(WORLDS, dtype=torch.long), {})


def test_it_learns_and_its_policy_takes_what_an_environment_gives() -> None:
    learner = runner(["proprioceptive", "depth"])
    goal = torch.tensor([[0.4, -0.4], [-0.3, 0.2], [0.0, 0.3]])

    def error() -> float:
        with torch.no_grad():
            return float((learner.get_inference_policy("cpu")(observed(goal)) - goal).norm(dim=1).mean())

    before = error()
    with torch_threads(1):
        learner.learn(25)
    assert error() < 0.15 < before
