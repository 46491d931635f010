"""A scripted expert that grasps the object asked for from above and lifts it, from ground truth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sage_envs.table import OBJECTS

from .servo import Servo, hand_yaw, yaw_of

if TYPE_CHECKING:
    from .lift_env import LiftEnv

ABOVE, DOWN, CLOSE, LIFT = range(4)
HOVER = 0.10
"""Height above the object at which the hand turns and opens [m]."""
DEPTH = 0.030
"""How far below an object's top the pads take hold; deeper, and the palm would touch it [m]."""
LOWEST = 0.014
"""The pads' middle stays this high above the table [m]."""
CLOSE_S, PATIENCE_S = 0.3, 2.0
"""How long closing takes, and how long to try to come down before beginning anew [s]."""
FINGER = 0.05
"""From the middle of the open gripper to the middle of a finger [m]."""
PASSING = 0.16
"""Height at which the pads pass over things [m]."""
PACE = 0.6
"""Share of the full speed."""
TURNS = 8
"""Turns of the hand that are tried; a gripper turned by half a circle is the same."""


class LiftExpert:
    """Works out for each world which way to turn the hand, and grasps.

    Args:
        env: ``Sage-Lift``.
    """

    def __init__(self, env: LiftEnv) -> None:
        n, device = env.num_envs, torch.device(env.device)
        self._servo, self._dt = Servo(env), env.step_dt
        self._height = torch.tensor([t.height for t in OBJECTS], device=device)
        self._radius = torch.tensor([t.radius for t in OBJECTS], device=device)
        self._round = torch.tensor([t.kind != "box" for t in OBJECTS], device=device)
        self._lift = env.cfg.lift_height + 0.05
        self._phase = torch.zeros(n, dtype=torch.long, device=device)
        self._since = torch.zeros(n, device=device)
        self._yaw = torch.zeros(n, device=device)
        self._place = torch.zeros(n, 2, device=device)

    @torch.no_grad()
    def act(self, observation: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
        """See :meth:`sage_tasks.manipulation.reach_expert.ReachExpert.act`."""
        truth = observation["critic"]
        pose, chosen = truth["hand_pose"], truth["goal_object"].argmax(dim=1)
        thing = truth["object_pose"][torch.arange(len(chosen), device=chosen.device), chosen]
        top = thing[:, 2] + self._height[chosen] / 2
        away = (pose[:, :2] - thing[:, :2]).norm(dim=1)
        above, lifting = self._phase == ABOVE, self._phase == LIFT
        self._yaw = torch.where(above, self._best_turn(truth["object_pose"], thing, chosen), self._yaw)
        self._place = torch.where(lifting.unsqueeze(1), self._place, thing[:, :2])

        # On the way there the hand passes above everything that stands about.
        hover = torch.where(away > 0.04, (top + HOVER).clamp(min=PASSING), top + HOVER)
        height = torch.where(above, hover, (top - DEPTH).clamp(min=LOWEST))
        height = torch.where(lifting, self._height[chosen] / 2 + self._lift, height)
        self._advance(pose, thing, height, away)
        grip = torch.where(self._phase >= CLOSE, -1.0, 1.0)
        place = torch.cat([self._place, height.unsqueeze(1)], dim=1)
        return self._servo.towards(pose, place, self._yaw, grip, PACE)

    def _advance(self, pose: Tensor, thing: Tensor, height: Tensor, away: Tensor) -> None:
        """Go on to the next phase where the last is done, and back to the first where the object slipped away."""
        error = (pose[:, 2] - height).abs()
        turned = torch.remainder(self._yaw - hand_yaw(pose[:, 3:]) + math.pi, 2 * math.pi) - math.pi
        phase, since = self._phase, self._since + self._dt
        done = (phase == ABOVE) & (away < 0.008) & (error < 0.03) & (turned.abs() < 0.08)
        done |= (phase == DOWN) & (error < 0.004)
        done |= (phase == CLOSE) & (since > CLOSE_S)
        far = torch.where(phase == LIFT, (pose[:, :3] - thing[:, :3]).norm(dim=1) > 0.07, away > 0.04)
        failed = (phase > ABOVE) & far | (phase == DOWN) & (since > PATIENCE_S)
        self._phase = torch.where(failed, ABOVE, phase + done)
        self._since = torch.where(self._phase == phase, since, 0.0)

    def _best_turn(self, objects: Tensor, thing: Tensor, chosen: Tensor) -> Tensor:
        """Turn of the hand (N,) [rad] that lays the pads flat and keeps the fingers clear of other objects."""
        turns = torch.arange(TURNS, device=thing.device) * (math.pi / TURNS)
        # A box offers two pairs of faces; of anything round, every turn will do.
        faces = yaw_of(thing[:, 3:]).unsqueeze(1) + turns
        fits = self._round[chosen].unsqueeze(1) | (torch.arange(TURNS, device=thing.device) % (TURNS // 2) == 0)
        yaw = torch.remainder(faces + math.pi / 2, math.pi) - math.pi / 2  # (N, K)
        side = FINGER * torch.stack([yaw.sin(), -yaw.cos()], dim=-1)
        fingers = thing[:, None, None, :2] + torch.stack([side, -side], dim=2)  # (N, K, 2, 2)
        gap = (fingers.unsqueeze(3) - objects[:, None, None, :, :2]).norm(dim=-1) - self._radius
        itself = torch.nn.functional.one_hot(chosen, len(OBJECTS)).bool()[:, None, None]
        gap = torch.where(itself, torch.inf, gap).amin(dim=(2, 3))
        # Enough room is enough: then the smaller turn is the better one.
        score = gap.clamp(max=0.04) - 0.005 * yaw.abs() - torch.where(fits, 0.0, 1.0)
        return yaw.gather(1, score.argmax(dim=1, keepdim=True)).squeeze(1)
