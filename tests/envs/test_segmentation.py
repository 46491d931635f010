"""Class and instance of each pixel, against where things are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch

from .worlds import MAKE, Stage, assert_stock_pictures

if TYPE_CHECKING:
    from sage_envs.sage_env import SageEnv

pytestmark = pytest.mark.sim
WORLDS = 2
BALL = 4


@pytest.fixture(scope="module")
def env() -> Iterator[SageEnv]:
    from sage_tasks.make import make

    env = make(num_envs=WORLDS, segmentation=True, **MAKE)
    yield env
    env.close()


def test_it_is_part_of_the_ground_truth_and_its_space(env: SageEnv) -> None:
    observation, _ = env.reset(seed=0)
    space = env.single_observation_space["critic"]
    for kind in ("semantic_segmentation", "instance_segmentation"):
        picture = observation["critic"][kind]
        assert picture.shape == (WORLDS, 64, 64) and picture.dtype == torch.uint8
        # A space lets other dtypes be cast.
        assert space[kind].contains(picture[0].numpy()) and space[kind].dtype == picture.numpy().dtype


def test_a_ball_ahead_is_a_ball_where_its_colour_is_and_gone_with_it(env: SageEnv) -> None:
    from sage_envs.senses.segmentation import CLASSES

    stage = Stage(env)
    stage.object(BALL, (1.0, 0.0, 0.1))
    stage.begin()
    seen = env.observe()
    ball = seen["critic"]["semantic_segmentation"] == CLASSES.index("ball")
    instances = env.segmentation.instances
    assert torch.equal(ball, seen["critic"]["instance_segmentation"] == instances.index("object_4"))
    assert ball.flatten(1).sum(1).min() > 20
    red, _, blue = seen["policy"]["visual"].unbind(-1)
    # It is blue, and nothing else in sight is as blue.
    assert (blue[ball].int() - red[ball].int() > 20).all()
    depth = seen["policy"]["depth"][..., 0]
    assert (depth[ball] < 0.85).all() and (depth[ball] > 0.6).all()
    stage.object(BALL, (-1.0, 1.0, 0.1))
    stage.begin()
    assert not (env.observe()["critic"]["semantic_segmentation"] == CLASSES.index("ball")).any()


def test_every_pixel_that_hits_something_has_a_class_and_an_instance(env: SageEnv) -> None:
    from sage_envs.senses.segmentation import CLASSES

    seen = env.reset(seed=1)[0]
    hit = seen["policy"]["depth"][..., 0] > 0
    classes, instances = (seen["critic"][f"{kind}_segmentation"] for kind in ("semantic", "instance"))
    assert torch.equal(classes > 0, hit) and torch.equal(instances > 0, hit)
    assert {CLASSES[i] for i in classes.unique().tolist()} > {"floor", "wall"}
    assert set(env.segmentation.instances) >= {"floor", "wall_0", "robot", "object_0", "obstacle_0", "obstacle_goal"}


def test_pictures_are_those_of_the_stock_renderer(env: SageEnv) -> None:
    env.reset(seed=3)
    assert_stock_pictures(env)


def test_what_sleep_is_told_is_in_view_has_pixels(env: SageEnv) -> None:
    """Nine points an object, looked up in the depth picture, against a count of its pixels; whole ones and parts."""
    from sage_ext.sleep.told import in_view, nearest

    generator, told, pixels = torch.Generator().manual_seed(0), [], []
    env.reset(seed=5)
    rows = env.snapshot()
    for _ in range(24):
        lived = env.relive(env.rearrange(rows, generator), torch.zeros(WORLDS, 3, 2), located=True)
        sight, truth = {k: v[:, 1:] for k, v in lived["sight"].items()}, lived["critic"]
        seen = in_view(sight, lived["policy"]["depth"])
        distance = (truth["object_pose"][..., :3] - truth["robot_pose"][..., None, :3]).norm(dim=-1)
        torch.testing.assert_close(sight["distance"], distance, atol=1e-4, rtol=0)
        first = torch.where(seen, distance, torch.inf).argmin(-1)
        assert torch.equal(nearest(sight, seen).argmax(-1)[seen.any(-1)], first[seen.any(-1)])
        assert not nearest(sight, seen)[~seen.any(-1)].any()
        told.append(seen)
        pixels.append(truth["object_pixels"])
    seen, shown = torch.cat(told), torch.cat(pixels) >= 6
    assert shown.sum() > 100
    assert (seen & shown).sum() > 0.88 * shown.sum() and (seen & shown).sum() > 0.96 * seen.sum()
