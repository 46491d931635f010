"""Other people's interfaces to our tasks: ``gymnasium.make``, our spaces, and rsl_rl through Isaac Lab's wrapper."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import torch

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

pytestmark = pytest.mark.sim

WORLDS = 4


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    import gymnasium as gym

    import sage_tasks

    made = gym.make(next(iter(sage_tasks.TASKS)), num_envs=WORLDS, seed=1, device="cpu", resolution=32)
    yield made.unwrapped  # type: ignore[misc]
    made.close()


def test_gymnasium_makes_a_task_by_its_id(env: SageEnv) -> None:
    assert type(env).__name__ == "NavigationEnv"
    assert (env.num_envs, env.cfg.seed, env.cfg.scene.camera.height) == (WORLDS, 1, 32)
    assert env.spec is not None and env.spec.id == "Sage-Navigation"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"physics": "bullet"}, ValueError, "physics=bullet: .*ovphysx"),
        ({"num_worlds": 3}, TypeError, "num_worlds"),
    ],
)
def test_gymnasium_is_refused_in_words(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    import gymnasium as gym

    with pytest.raises(error, match=message):
        gym.make("Sage-Navigation", **settings)


def test_settings_do_not_stand_beside_a_config(env: SageEnv) -> None:
    import gymnasium as gym

    with pytest.raises(ValueError, match=r"num_envs=3: cannot stand beside cfg"):
        gym.make("Sage-Navigation", cfg=env.cfg, num_envs=3)


def test_a_config_gets_its_default_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Isaac Lab gives it or fresh from its class; the environment itself is not made a second time."""
    import gymnasium as gym

    from sage_tasks.navigation import navigation_env
    from sage_tasks.navigation.navigation_env_cfg import NavigationEnvCfg

    seen = []

    class Stop(Exception):
        pass

    def stop(cfg: Any, render_mode: str | None) -> None:
        seen.append(cfg)
        raise Stop

    monkeypatch.setattr(navigation_env, "NavigationEnv", stop)
    with pytest.raises(Stop):
        gym.make("Sage-Navigation", cfg=NavigationEnvCfg())
    assert type(seen[0].sim.physics).__name__ == "OvPhysxCfg"
    again = seen[0]
    with pytest.raises(Stop):
        gym.make("Sage-Navigation", cfg=again)
    assert seen[1].to_dict() == again.to_dict()


def test_observations_lie_in_their_spaces(env: SageEnv) -> None:
    from sage_envs.observations import violations

    observation, _ = env.reset(seed=0)
    assert violations(env.single_observation_space, observation) == []
    generator = torch.Generator().manual_seed(0)
    for step in range(40):
        if step == 20:
            env.episode_length_buf[:2] = env.max_episode_length - 1
        action = 2.0 * torch.rand(WORLDS, 2, generator=generator) - 1.0
        observation, reward, *_ = env.step(action)
        assert violations(env.single_observation_space, observation) == []
        assert reward.shape == (WORLDS,) and torch.isfinite(reward).all()


def test_no_task_takes_anothers_checkpoints() -> None:
    from isaaclab_tasks.utils.parse_cfg import load_cfg_from_registry

    from sage_tasks import TASKS

    names = [load_cfg_from_registry(task, "rsl_rl_cfg_entry_point").experiment_name for task in TASKS]
    assert names == [task.lower().replace("-", "_") for task in TASKS]


def test_isaac_labs_wrapper_and_the_registered_agent_train(env: SageEnv) -> None:
    import importlib.metadata as metadata

    from isaaclab_rl.rsl_rl import RslRlVecEnvWrapper, create_rsl_rl_runner, handle_deprecated_rsl_rl_cfg
    from isaaclab_tasks.utils.parse_cfg import load_cfg_from_registry

    cfg = load_cfg_from_registry("Sage-Navigation", "rsl_rl_cfg_entry_point")
    cfg = handle_deprecated_rsl_rl_cfg(cfg, metadata.version("rsl-rl-lib"))
    cfg.device, cfg.num_steps_per_env = "cpu", 8
    wrapped = RslRlVecEnvWrapper(env, clip_actions=cfg.clip_actions)
    learner = create_rsl_rl_runner(wrapped, cfg)
    weights = [p.detach().clone() for p in learner.alg.get_policy().parameters()]
    learner.learn(2)
    assert any(not torch.equal(a, b) for a, b in zip(weights, learner.alg.get_policy().parameters(), strict=True))
    with torch.inference_mode():
        action = learner.get_inference_policy("cpu")(wrapped.get_observations())
    assert action.shape == (WORLDS, 2) and torch.isfinite(action).all()
