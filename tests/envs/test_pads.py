"""The finger pads: how much they feel, and where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from .worlds import arm

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

WORLDS, SIDE = 4, 8
BALL, BOX = 1, 0
OFFSETS = torch.tensor([[0.0, 0.0], [0.004, 0.005], [-0.005, -0.004], [0.003, -0.006]])
"""From the pads' middle to where a ball is held in each world: across and along the fingers [m]."""


def test_a_force_is_shared_out_whole_and_around_where_it_acts() -> None:
    from sage_envs.senses.pads import Pad

    pad = Pad(low=(-0.008, 0.036), high=(0.008, 0.056))
    place = torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.024, 0.03])
    place = place + torch.tensor([-0.012, 0.031])
    share = pad.spread(place)
    torch.testing.assert_close(share.sum(dim=1), torch.ones(200))
    on_pad = torch.minimum(torch.maximum(place, torch.tensor(pad.low)), torch.tensor(pad.high))
    error = (centre(share.view(200, 1, -1), pad)[:, 0] - on_pad).abs()
    assert (error <= 0.5 * torch.tensor(pad.pitch) + 1e-6).all()
    inner = ((on_pad - torch.tensor(pad.low)) > 0.5 * torch.tensor(pad.pitch)).all(dim=1)
    inner &= ((torch.tensor(pad.high) - on_pad) > 0.5 * torch.tensor(pad.pitch)).all(dim=1)
    assert inner.sum() > 20
    assert error[inner].max() < 1e-6
    assert ((share > 0).sum(dim=1) <= 4).all()


def centre(taxels: Tensor, pad: object) -> Tensor:
    """Centres of pressure of pads (N, L, 64): across and along the fingers (N, L, 2) [m]."""
    grid = taxels.unflatten(-1, (SIDE, SIDE))
    step = torch.arange(SIDE) + 0.5
    total = taxels.sum(dim=-1)
    across, along = (grid.sum(dim=-2) * step).sum(-1) / total, (grid.sum(dim=-1) * step).sum(-1) / total
    return torch.tensor(pad.low) + torch.stack([across, along], dim=-1) * torch.tensor(pad.pitch)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    yield from arm("Sage-Lift", WORLDS, seed=0)


def hold(env: SageEnv, thing: int, offsets: Tensor, steps: int = 20) -> tuple[Tensor, Tensor, Tensor]:
    """Close the gripper on an object that floats between the pads.

    Returns:
        Taxels (N, 2, 64), net normal force on each finger over the last look (N, 2) [N], and where the object's centre
        is in the fingers' frames, across and along (N, 2, 2) [m].
    """
    from isaaclab.utils.math import quat_apply, quat_apply_inverse

    from sage_envs.snapshot import layout

    env.reset(seed=0)
    rows, where = env.snapshot(), layout(env)
    pose = env.arm.pads_pose()
    shift = torch.stack([offsets[:, 0], torch.zeros(WORLDS), offsets[:, 1]], dim=1)
    start = where["objects.pose"].start + 7 * thing
    rows[:, start : start + 3] = pose[:, :3] + quat_apply(pose[:, 3:].contiguous(), shift)
    rows[:, start + 3 : start + 7] = pose[:, 3:]
    rows[:, where["gravity"]] = 0.0
    env.restore(rows)
    action = torch.zeros(WORLDS, env.action_width)
    action[:, -1] = -1.0
    for _ in range(steps):
        observation, *_ = env.step(action)
    data, bodies = env.scene["skin_contacts"].data, [env.robot.body_names.index(link) for link in env.touch.links]
    force = data.net_normal_forces_w_history.torch[:, : env.cfg.decimation].mean(dim=1).norm(dim=-1)
    finger = env.robot.data.body_link_pose_w.torch[:, bodies]
    offset = env.loose.data.body_link_pos_w.torch[:, thing].unsqueeze(1) - finger[..., :3]
    place = quat_apply_inverse(finger[..., 3:].contiguous(), offset.contiguous())[..., ::2]
    return observation["policy"]["tactile"].view(WORLDS, 2, -1), force, place


@pytest.mark.sim
@pytest.mark.parametrize("engine_tells", [True, False])
def test_a_ball_is_felt_where_it_is_held_and_as_strongly(
    env: SageEnv, engine_tells: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert env.touch._points is not None
    if engine_tells:
        # Geometry by itself would be wrong.
        monkeypatch.setattr(env.touch, "places", lambda force, pose: torch.full((*force.shape[:3], 2), 9.0))
    else:
        monkeypatch.setattr(env.touch, "_points", None)
    taxels, force, place = hold(env, BALL, OFFSETS)
    assert (force > 20.0).all()
    torch.testing.assert_close(taxels.sum(dim=-1), force, rtol=0.01, atol=0.0)
    # Both pads press equally on what is at rest.
    torch.testing.assert_close(taxels[:, 0].sum(dim=-1), taxels[:, 1].sum(dim=-1), rtol=0.05, atol=0.0)
    error = (centre(taxels, env.touch.pad) - place).abs()
    assert (error < torch.tensor(env.touch.pad.pitch)).all(), error
    assert ((place - place[:1]).abs().amax(dim=(1, 2))[1:] > 0.002).all()


@pytest.mark.sim
def test_a_box_that_covers_half_a_pad_is_felt_on_that_half(env: SageEnv) -> None:
    from sage_envs.table import OBJECTS

    middle = 0.5 * (env.touch.pad.low[1] + env.touch.pad.high[1])
    offsets = torch.tensor([[0.0, OBJECTS[BOX].height / 2]]).expand(WORLDS, 2)
    taxels, force, place = hold(env, BOX, offsets)
    assert (force > 20.0).all()
    torch.testing.assert_close(taxels.sum(dim=-1), force, rtol=0.01, atol=0.0)
    edge = place[..., 1] - OBJECTS[BOX].height / 2
    assert (edge - middle).abs().max() < 0.004
    rows = taxels.unflatten(-1, (SIDE, SIDE)).sum(dim=-1)
    height = env.touch.pad.low[1] + (torch.arange(SIDE) + 0.5) * env.touch.pad.pitch[1]
    beside = height < edge.unsqueeze(-1) - env.touch.pad.pitch[1]
    assert beside.sum(dim=-1).min() >= 2
    assert ((rows * beside).sum(dim=-1) < 0.01 * force).all()


@pytest.mark.sim
def test_the_table_is_felt_at_the_fingers_tips(env: SageEnv) -> None:
    env.reset(seed=3)
    down = torch.zeros(WORLDS, env.action_width)
    for _ in range(60):
        # Gently at the table: an arm that is pressed on it harder and harder jumps.
        down[:, 2] = torch.where(env.arm.pads_pose()[:, 2] > 0.04, -0.3, -0.05)
        observation, *_ = env.step(down)
    taxels = observation["policy"]["tactile"].view(WORLDS, 2, SIDE, SIDE)
    data = env.scene["skin_contacts"].data
    force = data.net_normal_forces_w_history.torch[:, : env.cfg.decimation].mean(dim=1).norm(dim=-1)
    alone = data.normal_force_matrix_w.torch.abs().amax(dim=(1, 2, 3)) == 0.0
    assert alone.any()
    assert (force[alone].amax(dim=1) > 5.0).all()
    torch.testing.assert_close(taxels.sum(dim=(2, 3))[alone], force[alone], rtol=0.01, atol=0.01)
    # The last rows are the tips.
    assert (taxels[alone][:, :, SIDE - 2 :].sum(dim=(1, 2, 3)) > 0.9 * force[alone].sum(dim=1)).all()


@pytest.mark.sim
def test_nothing_is_felt_in_the_air(env: SageEnv) -> None:
    env.reset(seed=4)
    for _ in range(5):
        observation, *_ = env.step(torch.zeros(WORLDS, env.action_width))
    assert (observation["policy"]["tactile"] == 0.0).all()
