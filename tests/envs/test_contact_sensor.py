"""The captured contact sensor tells what Isaac Lab's own does, number for number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from .worlds import dark

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

pytestmark = pytest.mark.sim

WORLDS = 4
SENSORS = ("object_contacts", "skin_contacts")


def press(env: SageEnv, steps: int) -> dict[str, float]:
    """Press the open gripper onto the table while the objects fall; compare after each step; the largest forces."""
    action = torch.zeros(WORLDS, env.action_width)
    action[:, 2], action[:, -1] = -0.5, 1.0
    most: dict[str, float] = {}
    for _ in range(steps):
        env.step(action)
        for name in SENSORS:
            for key, told in forces(env, name).items():
                plain = forces(env, f"plain_{name}")[key]
                assert torch.equal(told, plain), (name, key)
                most[f"{name}.{key}"] = max(most.get(f"{name}.{key}", 0.0), float(told.abs().max()))
    return most


def forces(env: SageEnv, name: str) -> dict[str, Tensor]:
    data = env.scene[name].data
    keys = ("net_normal_forces_w", "net_normal_forces_w_history", "net_friction_forces_w_history")
    matrix = ("normal_force_matrix_w_history",) if name.endswith("skin_contacts") else ()
    return {key: getattr(data, key).torch.clone() for key in (*keys, *matrix) if getattr(data, key) is not None}


def test_it_tells_what_isaac_labs_sensor_tells() -> None:
    import gymnasium as gym
    from isaaclab.sensors import ContactSensorCfg

    import sage_tasks  # noqa: F401
    from sage_envs.contact_sensor import CapturedContactSensor
    from sage_tasks.make import load_cfg

    cfg = load_cfg(gym.spec("Sage-Lift").kwargs["env_cfg_entry_point"], num_envs=WORLDS, seed=0, device="cpu")
    for name in SENSORS:
        setattr(cfg.scene, f"plain_{name}", getattr(cfg.scene, name).replace(class_type=ContactSensorCfg().class_type))
    env: SageEnv = gym.make("Sage-Lift", cfg=cfg).unwrapped  # type: ignore[assignment]
    try:
        env.look = dark(WORLDS)
        for name in SENSORS:
            assert isinstance(env.scene[name], CapturedContactSensor)
            assert not isinstance(env.scene[f"plain_{name}"], CapturedContactSensor)
        env.reset(seed=0)
        most = press(env, 30)
        assert {key for key, force in most.items() if force < 0.5} <= {"skin_contacts.normal_force_matrix_w_history"}
        assert env.scene["skin_contacts"]._captured is not None

        env._reset_idx(torch.tensor([1, 3]))
        press(env, 10)

        before = env.scene["object_contacts"]._captured[0]
        env.physics.set("time_step", before / 2)
        press(env, 10)
        assert env.scene["object_contacts"]._captured[0] == pytest.approx(before / 2)
    finally:
        env.close()
