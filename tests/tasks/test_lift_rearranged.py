"""What is only looked at shows the object that is meant by the hand more often than chance would."""

from __future__ import annotations

import pytest
import torch

pytestmark = pytest.mark.sim


def test_the_object_that_is_meant_is_often_by_the_hand() -> None:
    from sage_envs.rearrange import BY_HAND, REACH
    from sage_tasks.make import make

    env = make("Sage-Lift", num_envs=8, seed=0, device="cpu")
    try:
        env.reset(seed=1)
        generator = torch.Generator().manual_seed(0)
        for _ in range(10):
            env.command(torch.rand(8, env.action_width, generator=generator) * 2 - 1)
            env.advance(env.cfg.decimation)
        rows, still = env.snapshot(), torch.zeros(8, 0, env.action_width)
        # The worlds stand elsewhere: hands are those of the moments, not of the worlds.
        env.reset(seed=2)

        def ways(lived_on: bool) -> torch.Tensor:
            arranged = [env.rearrange(rows, generator, lived_on=lived_on) for _ in range(16)]
            lived = [env.relive(a, still, start=True, located=True)["sight"] for a in arranged]
            assert all(torch.equal(sight["meant"][:, 0], lived[0]["meant"][:, 0]) for sight in lived)
            return torch.cat([sight["sought"][:, 0] for sight in lived])

        often, seldom = (ways(lived_on) for lived_on in (False, True))
        beside = [(way[:, :2].norm(dim=1) <= REACH + 1e-3).float().mean() for way in (often, seldom)]
        assert beside[0] > beside[1] + 0.5 * BY_HAND
        near = often[:, :2].norm(dim=1) <= REACH + 1e-3
        assert (often[near][:, 2] < 1e-3).float().mean() > 0.8, "under it or in it, but for what flies by chance"
        assert often.norm(dim=1).min() < 0.1 and seldom.norm(dim=1).min() > 0.1
    finally:
        env.close()
