"""On the table, too, objects of a remembered moment can lie elsewhere."""

from __future__ import annotations

import pytest
import torch

pytestmark = pytest.mark.sim


def test_objects_lie_elsewhere_on_the_table() -> None:
    from sage_envs.snapshot import layout
    from sage_tasks.make import make

    env = make("Sage-Reach", num_envs=4, seed=0, device="cpu")
    try:
        env.reset(seed=1)
        rows = env.snapshot()
        generator = torch.Generator().manual_seed(0)
        new = torch.cat([env.rearrange(rows, generator) for _ in range(4)])
        part = layout(env)["objects.pose"]
        poses, before = (r[:, part].unflatten(1, (-1, 7)) for r in (new, rows.repeat(4, 1)))
        elsewhere = (poses != before).any(2)
        assert elsewhere.float().mean() > 0.7
        radii = torch.tensor([thing.outline for thing in env.objects])
        height = torch.tensor([thing.height / 2 for thing in env.objects]).expand_as(elsewhere)
        assert torch.equal(poses[..., 2][elsewhere], height[elsewhere])
        for axis, (low, high) in enumerate(env.cfg.area):
            assert (poses[..., axis] - radii >= low)[elsewhere].all() and (poses[..., axis] + radii <= high)[
                elsewhere
            ].all()
        gap = torch.cdist(poses[..., :2], poses[..., :2]) - radii - radii.unsqueeze(1) + 10 * torch.eye(len(radii))
        assert (gap.amin(2)[elsewhere] > 0).all()
        lived = env.relive(new[:4], torch.zeros(4, 4, env.action_width), senses=(), start=True, located=True)
        sight = lived["sight"]
        assert sight["in_frame"][:, 0].float().mean() > 0.5
        position = lived["critic"]["object_pose"][..., :3]
        assert position[..., 2].min() > 0.0, "none falls through the table"
        way = lived["critic"]["goal_position"] - lived["critic"]["hand_pose"][..., :3]
        assert torch.allclose(sight["sought"][:, 1:], way, atol=1e-6)
        assert (sight["meant"] == -1).all(), "a goal is no object"
        assert lived["start"]["depth"].shape[0] == 4 and (lived["start"]["depth"] > 0).any()
    finally:
        env.close()
