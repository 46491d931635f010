"""People on Newton, whose engine has no way in of its own for them: they stand where the task says."""

from __future__ import annotations

import pytest
import torch

pytestmark = pytest.mark.sim


def test_people_walk_where_the_task_says() -> None:
    from sage_tasks.make import make

    env = make("Sage-Social", num_envs=2, seed=0, device="cpu", physics="newton_mjwarp", resolution=16)
    try:
        before = env.reset(seed=0)[0]["critic"]["person_position"]
        for _ in range(3):
            observation, *_ = env.step(torch.zeros(2, 2))
        told = observation["critic"]["person_position"]
        assert (told - before).norm(dim=-1).min() > 0.01
        env.people.update(env.physics_dt)
        where = env.people.data.body_link_pos_w.torch - env.scene.env_origins.unsqueeze(1)
        torch.testing.assert_close(where[..., :2], told, rtol=0.0, atol=1e-5)
    finally:
        env.close()
