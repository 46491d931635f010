"""A scripted expert that sends an object sliding to its mark, from ground truth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sage_envs.table import OBJECTS

from .push_env_cfg import LINE
from .servo import Servo

if TYPE_CHECKING:
    from .push_env import PushEnv

ABOVE, DOWN, TOUCH, PUSH, DONE = range(5)
GRIP = -0.3
"""Opening of the gripper: the object lies against two fingertips, which keep it from turning away."""
GAP = 0.030
"""From the object's side to the point between the pads where the hand comes down [m]."""
HOVER, LOW = 0.16, (0.016, 0.035)
"""Height of the pads on the way; least and most while pushing, which is done at half the object's height [m]."""
CREEP = 0.1
"""Share of the full speed at which the object is touched: struck faster, it would bounce off."""
STIRRED = 0.03
"""Speed of the object that shows that it is touched [m/s]."""
LATENCY = 1.1
"""For how many steps the object goes on at its speed from when it is fast enough until the hand has let go."""
ACCELERATION, CAP = 6.0, 0.92
"""Of the hand while pushing [m/s^2], and the share of the speed needed at which it ends."""


class PushExpert:
    """Pushes until the object is fast enough to slide the rest of the way by itself, then lets it go.

    Sliding at speed ``v`` on a table with friction ``mu`` it comes to rest after ``v * v / (2 * mu * g)``: the hand
    stops when that is what is left, and before the line in any case.

    Args:
        env: ``Sage-Push``.
    """

    def __init__(self, env: PushEnv) -> None:
        n, device = env.num_envs, torch.device(env.device)
        self._servo, self._dt, self._full = Servo(env), env.step_dt, env.cfg.hand_speed
        self._radius = torch.tensor([t.radius for t in OBJECTS], device=device)
        self._low = torch.tensor([t.height / 2 for t in OBJECTS], device=device).clamp(*LOW)
        self._phase = torch.zeros(n, dtype=torch.long, device=device)
        self._speed = torch.zeros(n, device=device)
        self._goal = torch.full((n, 2), torch.nan, device=device)
        self._start = torch.zeros(n, 2, device=device)

    @torch.no_grad()
    def act(self, observation: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
        """See :meth:`sage_tasks.manipulation.reach_expert.ReachExpert.act`."""
        truth = observation["critic"]
        pose, goal, chosen = truth["hand_pose"], truth["goal_position"][:, :2], truth["goal_object"].argmax(dim=1)
        world = torch.arange(len(chosen), device=chosen.device)
        thing, velocity = truth["object_pose"][world, chosen, :2], truth["object_velocity"][world, chosen, :2]
        braking = truth["object_friction"][world, chosen] * truth["gravity"].norm(dim=1)
        fresh = (goal != self._goal).any(dim=1)
        self._goal = goal.clone()
        self._phase[fresh] = ABOVE
        waiting = self._phase <= TOUCH
        self._start = torch.where(waiting.unsqueeze(1), thing, self._start)

        way = goal - self._start
        way = way / way.norm(dim=1, keepdim=True).clamp(min=1e-6)
        # The fingers side by side across the way; half a turn more or less is the same.
        yaw = torch.remainder(torch.atan2(way[:, 1], way[:, 0]), math.pi) - math.pi
        low, behind = self._low[chosen], thing - (self._radius[chosen] + GAP).unsqueeze(1) * way
        left = ((goal - thing) * way).sum(dim=1)
        speed = (velocity * way).sum(dim=1).clamp(min=0.0)

        error = (pose[:, :2] - behind).norm(dim=1)
        done = (self._phase == ABOVE) & (error < 0.015)
        done |= (self._phase == DOWN) & (error < 0.01) & ((pose[:, 2] - low).abs() < 0.005)
        done |= (self._phase == TOUCH) & (speed > STIRRED)
        needed = (2.0 * braking * (left - LATENCY * self._dt * speed).clamp(min=0.0)).sqrt()
        enough, late = speed >= needed, thing[:, 1] - 2.0 * self._dt * speed < LINE
        done |= (self._phase == PUSH) & (enough | late)
        self._phase = self._phase + done

        height = torch.where(self._phase == ABOVE, HOVER, low)
        action = self._servo.towards(pose, torch.cat([behind, height.unsqueeze(1)], dim=1), yaw, 0.0 * yaw + GRIP, 0.6)
        creeping = (self._phase == TOUCH).unsqueeze(1)
        action[:, :2] = torch.where(creeping, CREEP * way, action[:, :2])
        pushing, gone = self._phase == PUSH, self._phase == DONE
        # The speed is held a little below what is needed, which falls on the way until the two meet.
        faster = torch.minimum(self._speed + ACCELERATION * self._dt, CAP * needed)
        self._speed = torch.where(pushing, torch.maximum(self._speed, faster), 0.0).clamp(max=self._full)
        # Steering: the line from start to mark is kept.
        aside = self._start - pose[:, :2]
        aside = aside - (aside * way).sum(dim=1, keepdim=True) * way
        ahead = (self._speed.unsqueeze(1) * way + 4.0 * aside) / self._full
        lift = (low.unsqueeze(1) - pose[:, 2:3]) * 4.0 / self._full
        action[:, :3] = torch.where(pushing.unsqueeze(1), torch.cat([ahead, lift], dim=1), action[:, :3])
        # Out of the object's way, no farther than where the push began.
        retreat = (((pose[:, :2] - self._start) * way).sum(dim=1, keepdim=True) > 0.0).float()
        back = torch.cat([-0.5 * retreat * way, 0.2 * retreat], dim=1)
        action[:, :3] = torch.where(gone.unsqueeze(1), back, action[:, :3])
        return action.clamp(-1.0, 1.0)
