"""A scripted expert that sends an object sliding to its mark, from ground truth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sage_envs.table import OBJECTS

from .push_env_cfg import LINE
from .servo import Servo, hand_yaw

if TYPE_CHECKING:
    from .push_env import PushEnv

GRIP = -0.6
"""Opening of the gripper: the object lies against two fingertips, which keep it from turning away."""
GAP, CLEAR, CLEAR_MOST = 0.045, 0.024, 0.012
"""From the object's side to the point between the pads: where the hand comes down; nearer than the second it comes down
less, nearer than the third not at all [m]."""
HOVER, MIDDLE = 0.12, 0.006
"""Height of the pads on the way; how far above the object's middle they push, lower the palm would touch it [m]."""
LEVEL, DEEP = 0.012, 0.02
"""So far above that height the hand still pushes; within the second above it that fades [m]."""
SIDE, SIDE_MOST = 0.012, 0.03
"""Beside the way by up to the first the hand comes all the way down, from the second on it hovers [m]."""
TURN, TURN_MOST = 0.07, 0.25
"""Turned away by up to the first it comes all the way down, from the second on it hovers [rad]."""
ENGAGED = 2.0
"""By what SIDE and TURN are multiplied once the hand is down: a push is not given up lightly."""
GAIN, PACE = 9.0, 0.7
"""Speed per distance on the way there [1/s], and the largest share of the full speed."""
FEEDBACK = 0.5
"""Share of what the hand's speed is off by that is added: whatever disturbs the hand lasts for some steps."""
STEER, STRAIGHTEN = 6.0, 0.3
"""Sideways, while pushing: speed per distance from the way [1/s], and share of the object's own drift."""
TOUCH, CATCH = 0.012, 3.0
"""Gap at which the fingers touch [m], and how much faster than the object the hand is per gap beyond it [1/s]."""
FASTER, SLOW = 0.2, 0.15
"""How much faster than the object at most without a gap; speed at which it is touched: faster, it would bounce off
[m/s]."""
ACCELERATION = 2.0
"""Of the push [m/s^2]."""
RELEASE, STEADY = 0.05, 0.05
"""How far before the line the object is let go, and over which distance before that the speed is kept [m]."""
FAST, EARLY = 0.8, 0.2
"""An object that has to cross the line faster than the first [m/s] is let go earlier, by how much per speed [s]: right
before the robot the hand is slow."""
LATENCY = 0.75
"""For how many steps the object goes on at its speed from when it is fast enough until the hand has let go."""
LAST = 1.4
"""For how many steps it may still go on before the line when the hand lets go in any case."""
MOVING = 0.05
"""Slower, an object is not on its way [m/s]."""
RETREAT, AWAY = 0.5, 0.10
"""Share of the full speed at which the hand backs off, and gap at which it is out of the object's way [m]."""


class PushExpert:
    """Comes down behind the object, pushes, and lets it go when it is fast enough to slide the rest by itself.

    Sliding at speed ``v`` on a table with friction ``mu`` an object comes to rest after ``v * v / (2 * mu * g)``. The
    speed of the push is a function of how far the object is from where it is let go, and the way always leads from the
    object to the mark.

    It remembers nothing: what it does follows from where things are and how fast. So whoever imitates it has nothing to
    guess, and an object that stops before the line is pushed again.

    Args:
        env: ``Sage-Push``.
    """

    def __init__(self, env: PushEnv) -> None:
        device = torch.device(env.device)
        self._servo, self._dt, self._full = Servo(env), env.step_dt, env.cfg.hand_speed
        self._radius = torch.tensor([t.radius for t in OBJECTS], device=device)
        self._low = torch.tensor([t.height / 2 + MIDDLE for t in OBJECTS], device=device)

    @torch.no_grad()
    def act(self, observation: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
        """See :meth:`sage_tasks.manipulation.reach_expert.ReachExpert.act`."""
        truth = observation["critic"]
        pose, goal, chosen = truth["hand_pose"], truth["goal_position"][:, :2], truth["goal_object"].argmax(dim=1)
        world = torch.arange(len(chosen), device=chosen.device)
        thing, velocity = truth["object_pose"][world, chosen, :2], truth["object_velocity"][world, chosen, :2]
        braking = truth["object_friction"][world, chosen] * truth["gravity"].norm(dim=1)
        low, radius = self._low[chosen], self._radius[chosen]

        way = goal - thing
        left = way.norm(dim=1)
        way = way / left.unsqueeze(1).clamp(min=1e-6)
        across = torch.stack([-way[:, 1], way[:, 0]], dim=1)
        speed, drift = (velocity * way).sum(dim=1), (velocity * across).sum(dim=1)
        gap = ((thing - pose[:, :2]) * way).sum(dim=1) - radius
        aside = ((pose[:, :2] - thing) * across).sum(dim=1)
        # The fingers side by side across the way; half a turn more or less is the same.
        yaw = torch.remainder(torch.atan2(way[:, 1], way[:, 0]), math.pi) - math.pi
        turn = torch.remainder(yaw - hand_yaw(pose[:, 3:]) + math.pi / 2, math.pi) - math.pi / 2

        high = ((pose[:, 2] - low - LEVEL) / DEEP).clamp(0.0, 1.0)
        loose = ENGAGED + (1.0 - ENGAGED) * high
        beside = ((aside.abs() / loose - SIDE) / (SIDE_MOST - SIDE)).clamp(0.0, 1.0)
        misturned = ((turn.abs() / loose - TURN) / (TURN_MOST - TURN)).clamp(0.0, 1.0)
        above = ((high * CLEAR - gap) / (CLEAR - CLEAR_MOST)).clamp(0.0, 1.0)
        off = torch.maximum(beside, misturned).maximum(above)
        place = torch.cat([thing - (radius + GAP).unsqueeze(1) * way, (low + off * (HOVER - low)).unsqueeze(1)], dim=1)
        there = GAIN * (place - pose[:, :3])
        there = there * (PACE * self._full / there.norm(dim=1, keepdim=True).clamp(min=1e-6)).clamp(max=1.0)

        # The way to where it is let go, the speed that it has to have there, and what that makes of the speed here.
        beyond = (goal[:, 1] - LINE).abs()
        early = EARLY * ((2.0 * braking * beyond).sqrt() - FAST).clamp(min=0.0)
        ahead = (LINE + RELEASE + early - thing[:, 1]).clamp(max=0.0) / way[:, 1].clamp(max=-0.3)
        final = 2.0 * braking * (left - ahead).clamp(min=0.0)
        run_up = (ahead - STEADY - self._dt * speed.clamp(min=0.0)).clamp(min=0.0)
        along = (final - 2.0 * ACCELERATION * run_up).clamp(min=SLOW**2).minimum(final).sqrt()
        along = torch.minimum(along, speed + FASTER + CATCH * (gap - TOUCH).clamp(min=0.0))
        sideways = -STEER * aside - STRAIGHTEN * drift
        push = along.unsqueeze(1) * way + sideways.unsqueeze(1) * across
        push = torch.cat([push, GAIN * (low - pose[:, 2]).unsqueeze(1)], dim=1)
        ready = ((1.0 - off) * (1.0 - high)).unsqueeze(1)
        wanted = ready * push + (1.0 - ready) * there

        needed = (2.0 * braking * (left - LATENCY * self._dt * speed).clamp(min=0.0)).sqrt()
        late = thing[:, 1] - LAST * self._dt * speed < LINE
        gone = (((speed >= needed) & (speed > MOVING)) | late).unsqueeze(1)
        near = self._full * (1.0 - gap / AWAY).clamp(0.0, 1.0).unsqueeze(1)
        wanted = torch.where(gone, torch.cat([-RETREAT * near * way, 0.2 * near], dim=1), wanted)
        action = self._servo.towards(pose, place, yaw, torch.full_like(yaw, GRIP))
        action[:, :3] = (wanted + FEEDBACK * (wanted - truth["hand_velocity"][:, :3])) / self._full
        return action.clamp(-1.0, 1.0)
