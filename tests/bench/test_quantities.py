"""What the probes ask for, on a scene that can be worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from bench.probes import behind_best
from bench.quantities import GROUP_OF, Quantity, quantities, turned_back
from sage_ext.context.layout import GROUPS

E, T = 2, 40
LEFT = (0.0, 0.0, math.sin(math.pi / 4), math.cos(math.pi / 4))
"""Quaternion xyzw of a quarter turn to the left."""


def truth() -> dict[str, torch.Tensor]:
    """A rover at (1, 0.5) that faces +y, two objects, a goal straight ahead with an obstacle on the way."""
    zeros = torch.zeros
    found = {
        "robot_pose": torch.tensor([1.0, 0.5, 0.0, *LEFT]).expand(E, T, 7).clone(),
        "robot_velocity": torch.tensor([0.0, 2.0, 0.0, 0.0, 0.0, 0.3]).expand(E, T, 6),
        "goal_position": torch.tensor([1.0, 1.8]).expand(E, T, 2),
        "object_pose": zeros(E, T, 2, 7),
        "object_velocity": zeros(E, T, 2, 6),
        "object_mass": torch.tensor([0.5, 2.0]).expand(E, T, 2),
        "object_pixels": torch.tensor([9.0, 2.0]).expand(E, T, 2),
        "obstacle_position": torch.tensor([[1.0, 1.2, 0.3], [1.0, 0.9, -2.0]]).expand(E, T, 2, 3).clone(),
        "skin_force": zeros(E, T, 5, 3),
        "gravity": torch.tensor([0.0, 0.0, -9.81]).expand(E, T, 3),
        "friction_scale": torch.ones(E, T, 1),
    }
    found["object_pose"][..., 0, :3] = torch.tensor([0.0, 1.5, 0.1])
    found["object_pose"][..., 1, :3] = torch.tensor([-1.5, -1.5, 0.1])
    return found


def named(given: dict[str, torch.Tensor], name: str) -> list[Quantity]:
    return [q for q in quantities("navigation", given, (3, 1)) if q.name == name]


def test_a_room_seen_from_the_robot() -> None:
    turned = turned_back(torch.tensor(LEFT), torch.tensor([0.0, 1.0, 0.0]))
    assert torch.allclose(turned, torch.tensor([1.0, 0.0, 0.0]), atol=1e-6)
    first, second = named(truth(), "object position")
    assert torch.allclose(first.values[0, 0], torch.tensor([1.0, 1.0, 0.1]), atol=1e-6), "a metre ahead and to the left"
    assert first.counts.all() and not second.counts.any(), "the second has too few pixels"
    (velocity,) = named(truth(), "robot velocity")
    assert torch.allclose(velocity.values[0, 0], torch.tensor([2.0, 0.0]), atol=1e-6)
    (spin,) = named(truth(), "robot spin")
    assert torch.allclose(spin.values[0, 0], torch.tensor([0.3]), atol=1e-6)
    (heading,) = named(truth(), "robot heading")
    assert torch.allclose(heading.values[0, 0], torch.tensor([0.0, 1.0]), atol=1e-6)
    (goal,) = named(truth(), "goal position")
    assert torch.allclose(goal.values[0, 0], torch.tensor([1.3, 0.0]), atol=1e-6)


def test_free_distance_and_the_way_to_the_goal() -> None:
    given = truth()
    (free,), (reachable,) = named(given, "free distance"), named(given, "reachable")
    assert float(free.values[0, 0]) == pytest.approx(0.7) and not reachable.values.any()
    given["obstacle_position"][..., 2] = -2.0  # all buried: the wall is next, and the way is free
    (free,), (reachable,) = named(given, "free distance"), named(given, "reachable")
    assert float(free.values[0, 0]) == pytest.approx(1.5) and reachable.values.all()


def test_touch_tells_contact_material_and_mass_for_a_second() -> None:
    given = truth()
    given["skin_force"][0, 5, 1, 0] = 2.0  # the second object
    given["skin_force"][1, 20, 3, 1] = 0.5  # an obstacle
    (contact,) = named(given, "contact")
    assert contact.values.nonzero().tolist() == [[0, 5], [1, 20]] and contact.counts.all()
    (material,) = named(given, "material")
    assert material.counts.nonzero().tolist() == [[0, 5], [1, 20]]
    assert material.values[0, 5] == 1 and material.values[1, 20] == 4
    (mass,) = named(given, "mass")
    assert mass.counts[0].nonzero().flatten().tolist() == list(range(5, 35)) and not mass.counts[1].any()
    (friction,) = named(given, "friction")
    assert not friction.counts.any(), "nothing slides"
    given["object_velocity"][1, 3:5, 0, 0] = 0.5
    given["object_velocity"][0, :, 1, 0] = 0.5  # the second object, which is not to be seen
    (friction,) = named(given, "friction")
    assert friction.counts[1].nonzero().flatten().tolist() == list(range(20, 34)) and not friction.counts[0].any()


def test_half_a_second_ahead() -> None:
    given = truth()
    given["robot_pose"][:, :, 1] += torch.arange(T) * 0.01
    (ahead,) = named(given, "robot position 0.5 s ahead")
    assert torch.allclose(ahead.values[0, 3], torch.tensor([0.15, 0.0]), atol=1e-6)
    assert ahead.counts[0].tolist() == [True] * 25 + [False] * 15


def test_the_group_that_carries_a_name_is_held_against_the_best() -> None:
    scores = {
        "whole": {"friction": 0.9, "robot heading": 0.9, "mass": math.nan},
        "materials": {"friction": 0.5, "robot heading": 0.1, "mass": math.nan},
        "dynamics": {"friction": 0.7, "robot heading": 0.8, "mass": math.nan},
    }
    assert behind_best(scores) == {"friction": pytest.approx(0.2)}, "others have no group of theirs, or no score"
    names = {q.name for q in quantities("navigation", truth(), (3, 1))}
    assert {"friction", "contact", "object position"} <= names & set(GROUP_OF)
    assert set(GROUP_OF.values()) < set(GROUPS)
