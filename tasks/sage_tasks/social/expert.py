"""Scripted experts that drive among people, from ground truth.

Both try some arcs, each a speed and a rate of turn held for a while, and take the one that leads on best and keeps
clear of what stands and of where people will be if they walk on: the dynamic window approach (D. Fox, W. Burgard and
S. Thrun, IEEE Robotics & Automation Magazine 4(1), 1997) with moving obstacles.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sage_envs.crowd import BODY_RADIUS

from ..navigation.expert import BODY, NavigationExpert, heading, standing

if TYPE_CHECKING:
    from .follow_env import FollowEnv
    from .social_env import SocialEnv

WHEEL_RADIUS, TRACK = 0.08, 0.28
"""Of the rover [m]."""
FORWARD = (-0.6, -0.3, 0.0, 0.25, 0.5, 0.75, 1.0)
TURN = (-0.5, -0.25, -0.12, -0.05, 0.0, 0.05, 0.12, 0.25, 0.5)
"""Mean and half the difference of the wheels' shares that are tried."""
TIMES = (0.15, 0.3, 0.5, 0.75, 1.0, 1.3, 1.6)
"""When along an arc it is looked around [s]."""
LOOK_AHEAD = 0.35
"""Beyond an arc's points, where the nose points to counts as well [m]."""
HARD_GAP, SOFT_GAP = 0.15, 0.35
"""Gap to a person that must be kept, and how fast the wish for more fades [m]."""
HIT, NEAR_PERSON, NEAR_THING = 20.0, 1.5, 4.0
"""Costs of meeting a person, of coming close to one, and of touching what stands, in metres of way."""


class SocialExpert(NavigationExpert):
    """Drives every rover of an environment to its goal without touching people.

    Args:
        env: ``Sage-Social``; only its size, device, time step and floor plan are used.
    """

    def __init__(self, env: SocialEnv) -> None:
        super().__init__(env)
        device = env.device
        forward, turn = torch.meshgrid(torch.tensor(FORWARD), torch.tensor(TURN), indexing="ij")
        wheels = torch.stack([forward - turn, forward + turn], dim=-1).flatten(0, 1)
        wheels = wheels / wheels.abs().amax(dim=1, keepdim=True).clamp(min=1.0)
        self._wheels = wheels.to(device)  # (K, 2)
        left, right = (self._wheels * env.cfg.wheel_speed * WHEEL_RADIUS).unbind(dim=1)
        self._times = torch.tensor(TIMES, device=device)
        turned = ((right - left) / TRACK).unsqueeze(1) * self._times
        # sinc(x) = sin(pi x) / (pi x): the chord of an arc over its length.
        chord = 0.5 * (left + right).unsqueeze(1) * self._times * torch.sinc(turned / (2 * math.pi))
        self._arcs = torch.stack([chord * (turned / 2).cos(), chord * (turned / 2).sin()], dim=-1)  # (K, T, 2)
        self._turned = turned

    @torch.no_grad()
    def act(self, observation: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
        """See :meth:`sage_tasks.navigation.expert.NavigationExpert.act`."""
        truth = observation["critic"]
        pose = truth["robot_pose"]
        yaw = heading(pose)
        cos, sin = yaw.cos().view(-1, 1, 1), yaw.sin().view(-1, 1, 1)
        x, y = self._arcs.unbind(dim=-1)
        points = torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-1) + pose[:, None, None, :2]  # (N, K, T, 2)
        nose = yaw.view(-1, 1, 1) + self._turned
        noses = points + LOOK_AHEAD * torch.stack([nose.cos(), nose.sin()], dim=-1)
        cost = self._way(truth, points, noses) + self._people(truth, points) + self._things(truth, points)
        # Of arcs as good as each other the calmer.
        cost = cost + 0.02 * self._wheels.square().sum(dim=1)
        return self._wheels[cost.argmin(dim=1)].clone()

    def _way(self, truth: Mapping[str, Tensor], points: Tensor, noses: Tensor) -> Tensor:
        """What is left of the way after each arc (N, K) [m]."""
        self._plan(truth["goal_position"], standing(truth), truth["object_pose"][..., :2])
        left = 0.5 * (self._cost_from(points) + self._cost_from(noses))
        # An arc may pass over the goal: the sooner the better.
        return (left + 0.1 * self._times).amin(dim=2)

    def _people(self, truth: Mapping[str, Tensor], points: Tensor) -> Tensor:
        """Cost of meeting people along each arc (N, K)."""
        where, velocity = truth["person_position"], truth["person_velocity"]
        walked = where.unsqueeze(1) + self._times.view(1, -1, 1, 1) * velocity.unsqueeze(1)  # (N, T, P, 2)
        gap = (points.unsqueeze(3) - walked.unsqueeze(1)).norm(dim=-1) - BODY - BODY_RADIUS
        hit = (HARD_GAP - gap).clamp(min=0.0) / HARD_GAP
        near = torch.exp(-(gap - HARD_GAP).clamp(min=0.0) / SOFT_GAP)
        # People give way too, and the later the less is known.
        weight = 1.0 / (1.0 + self._times)
        return ((HIT * hit + NEAR_PERSON * near).sum(dim=3) * weight).amax(dim=2)

    def _things(self, truth: Mapping[str, Tensor], points: Tensor) -> Tensor:
        """Cost of touching walls, pillars and objects along each arc (N, K)."""
        places = torch.cat([standing(truth), truth["object_pose"][..., :2]], dim=1)
        radii = torch.cat([self._obstacle_radius, self._object_radius])
        gap = (points.unsqueeze(3) - places[:, None, None]).norm(dim=-1) - radii - BODY
        gap = torch.minimum(gap.amin(dim=3), self._half - points.abs().amax(dim=-1) - BODY)
        return NEAR_THING * (1.0 - gap / 0.1).clamp(0.0, 2.0).amax(dim=2)


class FollowExpert(SocialExpert):
    """Accompanies the first person at the middle of the band.

    Args:
        env: ``Sage-Social-Follow``; only its size, device, time step, floor plan and band are used.
    """

    def __init__(self, env: FollowEnv) -> None:
        super().__init__(env)
        self._keep = sum(env.cfg.band) / 2

    def _way(self, truth: Mapping[str, Tensor], points: Tensor, noses: Tensor) -> Tensor:
        led = truth["person_position"][:, :1] + self._times.view(-1, 1) * truth["person_velocity"][:, :1]  # (N, T, 2)
        led = led.unsqueeze(1)
        # As far from the middle of the band at the end, and looking at the person.
        off = ((points - led).norm(dim=-1) - self._keep).abs()
        turned = (noses - led).norm(dim=-1) - (points - led).norm(dim=-1)
        return off.mean(dim=2) + off[..., -1] + 0.5 * turned[..., -1]
