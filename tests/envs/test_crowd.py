"""People who walk, without a simulator."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sage_envs.crowd import ARRIVED, BODY_RADIUS, DESIRED_SPEED, LEAST_DESIRED_SPEED, PATIENCE_S, Crowd, Others

DT = 1 / 60
RADIUS = 0.2
PILLAR = 0.2


def others(worlds: int, movers: Tensor | None = None, obstacles: Tensor | None = None) -> Others:
    nothing = torch.zeros(worlds, 0, 2)
    where = nothing if movers is None else movers
    pillars = nothing if obstacles is None else obstacles
    return Others(where, torch.zeros_like(where), RADIUS, pillars, torch.full(pillars.shape[:2], PILLAR))


def people(start: list[list[float]], goal: list[list[float]], half: float = 20.0, worlds: int = 1) -> Crowd:
    """People of one goal each, alike in all worlds."""
    crowd = Crowd(worlds, len(start), 1, half, "cpu")
    begin, end = torch.tensor(start).expand(worlds, -1, -1), torch.tensor(goal).expand(worlds, -1, -1)
    crowd.begin(torch.arange(worlds), begin, end.unsqueeze(2), torch.full(begin.shape[:2], DESIRED_SPEED))
    return crowd


def busy(worlds: int, count: int, half: float, seed: int) -> Crowd:
    """People with random goals of a room and speeds, from places apart."""
    draw = torch.Generator().manual_seed(seed)
    axis = torch.tensor([-0.6, 0.0, 0.6]) * half
    places = torch.cartesian_prod(axis, axis)
    start = torch.stack([places[torch.randperm(9, generator=draw)[:count]] for _ in range(worlds)])
    goals = (2 * torch.rand(worlds, count, 6, 2, generator=draw) - 1) * (half - 0.75)
    speed = (DESIRED_SPEED + 0.26 * torch.randn(worlds, count, generator=draw)).clamp(min=LEAST_DESIRED_SPEED)
    crowd = Crowd(worlds, count, 6, half, "cpu")
    crowd.begin(torch.arange(worlds), start, goals, speed)
    return crowd


def walk(crowd: Crowd, seconds: float, about: Others) -> Tensor:
    """Places after each step (S, N, P, 2) [m]."""
    path = []
    for _ in range(round(seconds / DT)):
        crowd.step(DT, about)
        path.append(crowd.position)
    return torch.stack(path)


def least_gap(path: Tensor) -> float:
    """Least distance between two people's rims [m]."""
    apart = torch.cdist(path, path) + 1e3 * torch.eye(path.shape[2])
    return float(apart.min()) - 2 * BODY_RADIUS


def test_who_has_the_way_clear_walks_at_the_desired_speed() -> None:
    crowd = people([[-6.0, 0.0]], [[8.0, 0.0]])
    path = walk(crowd, 5.0, others(1))[:, 0, 0]
    speed = (path[240] - path[180]).norm()
    assert speed == pytest.approx(DESIRED_SPEED, rel=0.01)
    # From rest the speed comes as 1 - exp(-t / tau), which costs the way of tau = 0.5 s.
    assert path[299, 0] == pytest.approx(-6.0 + DESIRED_SPEED * 4.5, abs=0.05)
    assert path[:, 1].abs().max() < 1e-4


def test_two_who_meet_head_on_pass_without_touching() -> None:
    crowd = people([[-4.0, 0.0], [4.0, 0.0]], [[9.0, 0.0], [-9.0, 0.0]], worlds=5)
    aside = torch.tensor([0.0, 0.1, -0.1, 0.4, -0.4])
    crowd.position[:, 1, 1] = aside
    crowd.itinerary[:, 1, 0, 1] = aside
    path = walk(crowd, 7.0, others(5))
    assert least_gap(path) > 0.1
    assert (path[-1, :, 0, 0] > 2.0).all()
    assert (path[-1, :, 1, 0] < -2.0).all()


def test_who_is_faster_passes_who_is_slower() -> None:
    crowd = people([[0.0, 0.0], [-2.0, 0.0]], [[15.0, 0.0], [15.0, 0.0]])
    crowd.desired_speed[:, 0] = 0.6
    path = walk(crowd, 8.0, others(1))
    assert least_gap(path) > 0.1
    assert path[-1, 0, 1, 0] > path[-1, 0, 0, 0] + 1.0


def test_people_walk_around_a_robot_and_a_pillar() -> None:
    crowd = people([[-4.0, 0.0]], [[9.0, 0.0]], worlds=2)
    robot = torch.tensor([[[0.0, 0.0]], [[100.0, 0.0]]])
    pillar = torch.tensor([[[100.0, 0.0]], [[0.0, 0.0]]])
    path = walk(crowd, 7.0, others(2, robot, pillar))
    nearest = path[:, :, 0].norm(dim=-1).amin(dim=0)
    assert nearest[0] > BODY_RADIUS + RADIUS + 0.1
    assert nearest[1] > BODY_RADIUS + PILLAR + 0.1
    assert (path[-1, :, 0, 0] > 2.0).all()


def test_walls_are_not_crossed() -> None:
    crowd = people([[0.0, 0.0], [0.0, 1.0], [1.0, -1.0]], [[9.0, 0.5], [-9.0, 9.0], [1.0, -9.0]], half=3.0)
    path = walk(crowd, 8.0, others(1))
    assert path.abs().max() < 3.0 - BODY_RADIUS
    # They get as near as their goals make them.
    assert (path[-1].abs().amax(dim=-1) > 2.0).all()


def test_people_give_way_to_a_robot_that_comes_towards_them() -> None:
    def nearest(speed: float) -> float:
        crowd = people([[-3.0, 0.0]], [[9.0, 0.0]])
        x, least = 3.0, 9.0
        for _ in range(240):
            x -= DT * speed
            about = others(1, torch.tensor([[[x, 0.05]]]))
            about.velocity[..., 0] = -speed
            crowd.step(DT, about)
            least = min(least, float((crowd.position[0, 0] - about.position[0, 0]).norm()))
        return least

    assert nearest(0.8) > BODY_RADIUS + RADIUS + 0.1


def test_in_a_busy_room_nobody_touches_anybody_or_a_wall() -> None:
    crowd = busy(worlds=64, count=4, half=3.5, seed=0)
    path = walk(crowd, 10.0, others(64))
    assert least_gap(path) > 0.0
    assert path.abs().max() < 3.5 - BODY_RADIUS
    # They do not stand about either.
    assert path.diff(dim=0).norm(dim=-1).mean() / DT > 0.5


def test_the_same_seed_gives_the_same_paths() -> None:
    first, again, other = (walk(busy(4, 4, 3.0, seed), 5.0, others(4)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.isclose(first[-1], other[-1], atol=0.01).all(dim=-1).any()


def test_worlds_do_not_feel_each_other() -> None:
    together = busy(3, 4, 3.0, seed=1)
    alone = Crowd(1, 4, 6, 3.0, "cpu")
    alone.begin(torch.arange(1), together.position[1:2], together.itinerary[1:2], together.desired_speed[1:2])
    torch.testing.assert_close(
        walk(together, 3.0, others(3))[:, 1], walk(alone, 3.0, others(1))[:, 0], rtol=0.0, atol=1e-3
    )


def test_a_state_put_back_goes_on_as_it_did() -> None:
    crowd = busy(3, 4, 3.0, seed=1)
    walk(crowd, 4.0, others(3))
    state = crowd.state()
    first = walk(crowd, 4.0, others(3))
    steps = crowd.stride.clone()
    crowd.set_state(torch.arange(3), state)
    assert torch.equal(crowd.state(), state)
    assert torch.equal(walk(crowd, 4.0, others(3)), first)
    assert torch.equal(crowd.stride, steps)
    other = busy(3, 4, 3.0, seed=2)
    other.set_state(torch.tensor([2]), state[:1])
    assert torch.equal(other.state()[2], state[0])
    assert not torch.equal(other.state()[1], state[1])


def test_an_itinerary_is_walked_in_order_and_around() -> None:
    crowd = Crowd(1, 1, 3, 20.0, "cpu")
    stops = torch.tensor([[2.0, 0.0], [2.0, 2.0], [0.0, 0.0]])
    crowd.begin(torch.arange(1), torch.zeros(1, 1, 2), stops.view(1, 1, 3, 2), torch.ones(1, 1))
    legs = [0]
    for _ in range(720):
        before = crowd.goal
        crowd.step(DT, others(1))
        if int(crowd.leg[0, 0]) != legs[-1]:
            legs.append(int(crowd.leg[0, 0]))
            assert (crowd.position - before).norm() < ARRIVED
    assert legs[:5] == [0, 1, 2, 0, 1]


def test_a_goal_out_of_reach_is_given_up() -> None:
    crowd = Crowd(1, 1, 2, 20.0, "cpu")
    goals = torch.tensor([[2.0, 0.0], [-2.0, 0.0]]).view(1, 1, 2, 2)
    crowd.begin(torch.arange(1), torch.zeros(1, 1, 2), goals, torch.ones(1, 1))
    about = others(1, torch.tensor([[[2.0, 0.0]]]))
    walk(crowd, PATIENCE_S - 0.5, about)
    assert crowd.leg.item() == 0
    walk(crowd, 1.0, about)
    assert crowd.leg.item() == 1


def test_steps_a_second_grow_with_speed() -> None:
    crowd = people([[-10.0, 0.0]], [[15.0, 0.0]], worlds=2)
    crowd.desired_speed[:, 0] = torch.tensor([1.34, 0.6])
    walk(crowd, 2.0, others(2))
    struck = torch.zeros(2)
    for _ in range(480):
        crowd.leg_time[:] = 0.0
        crowd.step(DT, others(2))
        struck += crowd.struck[:, 0]
    torch.testing.assert_close(struck / 8.0, torch.tensor([1.87, 1.25]), rtol=0.0, atol=0.13)


@pytest.mark.parametrize("speed", [0.0, 0.08], ids=["stands", "shuffles on the spot"])
def test_who_does_not_walk_takes_no_steps(speed: float) -> None:
    crowd = people([[0.0, 0.0]], [[9.0, 0.0]])
    crowd.desired_speed[:] = speed
    for _ in range(300):
        crowd.step(DT, others(1))
        assert not crowd.struck.any()
