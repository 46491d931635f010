"""A scripted expert that grasps the object asked for from above and lifts it, from ground truth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sage_envs.table import FINGER_JOINTS, OBJECTS, OPEN

from .servo import Servo, hand_yaw, yaw_of

if TYPE_CHECKING:
    from .lift_env import LiftEnv

HOVER = 0.10
"""Height above the object at which the hand turns and opens [m]."""
DEPTH = 0.030
"""How far below an object's top the pads take hold; deeper, and the palm would touch it [m]."""
LOWEST = 0.014
"""How far above its underside at least [m]."""
PASSING, FAR = 0.16, 0.06
"""Height at which the pads pass over things, and how far from the object they do [m]."""
OFF, OFF_MOST = 0.012, 0.04
"""Beside the object by up to the first the hand comes all the way down, from the second on it hovers [m]. Wider than a
grasp needs: what imitates it sees to a centimetre, and would wait above an object forever."""
TURN, TURN_MOST = 0.4, 1.2
"""Turned away by up to the first it comes all the way down, from the second on it hovers [rad]. How things are turned
is hardly seen either."""
AROUND, LEVEL = 0.016, 0.014
"""So near to where it takes hold, to the side and in height, the hand closes; twice as far off it opens again [m]."""
STILL, BLOCKED = 0.01, 0.025
"""Slower than this [m/s] the hand comes no farther down; then it closes from this height on [m]."""
CLOSED = 0.003
"""By how much a finger has moved when the hand is closing [m]."""
FIRM = 5.0
"""Force on each pad at which the object is held [N]."""
FINGER = 0.05
"""From the middle of the open gripper to the middle of a finger [m]."""
PACE = 0.6
"""Share of the full speed."""
TURNS = 8
"""Turns of the hand that are tried; a gripper turned by half a circle is the same."""


class LiftExpert:
    """Comes down the more, the better the hand is placed and turned; closes where it is around the object; lifts what
    it holds.

    It remembers nothing: what it does follows from where things are and what the pads feel. So whoever imitates it has
    nothing to guess. An expert that goes from phase to phase is copied up to the end of the first phase, and then its
    copy waits for something that it cannot see.

    Args:
        env: ``Sage-Lift``.
    """  # noqa: D205

    def __init__(self, env: LiftEnv) -> None:
        device = torch.device(env.device)
        self._servo = Servo(env)
        self._fingers = [env.robot.joint_names.index(name) for name in FINGER_JOINTS]
        self._height = torch.tensor([t.height for t in OBJECTS], device=device)
        self._radius = torch.tensor([t.radius for t in OBJECTS], device=device)
        self._round = torch.tensor([t.kind != "box" for t in OBJECTS], device=device)
        self._lift = env.cfg.lift_height + 0.05

    @torch.no_grad()
    def act(self, observation: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
        """See :meth:`sage_tasks.manipulation.reach_expert.ReachExpert.act`."""
        truth = observation["critic"]
        pose, chosen = truth["hand_pose"], truth["goal_object"].argmax(dim=1)
        thing = truth["object_pose"][torch.arange(len(chosen), device=chosen.device), chosen]
        half = self._height[chosen] / 2
        hold = thing[:, 2] - half + (2 * half - DEPTH).clamp(min=LOWEST)
        away = (pose[:, :2] - thing[:, :2]).norm(dim=1)
        turn = self._best_turn(truth["object_pose"], thing, chosen, hand_yaw(pose[:, 3:]))

        closing = (truth["joint_position"][:, self._fingers].mean(dim=1) < OPEN - CLOSED).float() + 1.0
        # Where another object keeps the hand from coming all the way down, it takes hold higher up.
        blocked = truth["hand_velocity"][:, :3].norm(dim=1) < STILL
        level = closing * torch.where(blocked, BLOCKED, LEVEL)
        around = (away < closing * AROUND) & ((pose[:, 2] - hold).abs() < level)
        held = around & (truth["pad_force"].norm(dim=-1).sum(dim=-1) > FIRM).all(dim=1)
        misplaced = ((away - OFF) / (OFF_MOST - OFF)).clamp(0.0, 1.0)
        misturned = ((turn.abs() - TURN) / (TURN_MOST - TURN)).clamp(0.0, 1.0)
        height = hold + torch.maximum(misplaced, misturned) * (thing[:, 2] + half + HOVER - hold)
        # On the way there the hand passes above everything that stands about.
        height = torch.where(away > FAR, height.clamp(min=PASSING), height)
        height = torch.where(held, half + self._lift, height)
        grip = torch.where(around, -1.0, 1.0)
        place = torch.cat([thing[:, :2], height.unsqueeze(1)], dim=1)
        return self._servo.towards(pose, place, hand_yaw(pose[:, 3:]) + turn, grip, PACE)

    def _best_turn(self, objects: Tensor, thing: Tensor, chosen: Tensor, hand: Tensor) -> Tensor:
        """By how much to turn the hand (N,) [rad], so that the pads lie flat and the fingers clear of other objects."""
        turns = torch.arange(TURNS, device=thing.device) * (math.pi / TURNS)
        # A box offers two pairs of faces; of anything round, every turn will do.
        round_one = self._round[chosen]
        first = torch.where(round_one, hand, yaw_of(thing[:, 3:])).unsqueeze(1)
        fits = round_one.unsqueeze(1) | (torch.arange(TURNS, device=thing.device) % (TURNS // 2) == 0)
        turn = torch.remainder(first + turns - hand.unsqueeze(1) + math.pi / 2, math.pi) - math.pi / 2  # (N, K)
        yaw = hand.unsqueeze(1) + turn
        side = FINGER * torch.stack([yaw.sin(), -yaw.cos()], dim=-1)
        fingers = thing[:, None, None, :2] + torch.stack([side, -side], dim=2)  # (N, K, 2, 2)
        gap = (fingers.unsqueeze(3) - objects[:, None, None, :, :2]).norm(dim=-1) - self._radius
        itself = torch.nn.functional.one_hot(chosen, len(OBJECTS)).bool()[:, None, None]
        gap = torch.where(itself, torch.inf, gap).amin(dim=(2, 3))
        # Enough room is enough: then the smaller turn is the better one.
        score = gap.clamp(max=0.04) - 0.005 * turn.abs() - torch.where(fits, 0.0, 1.0)
        return turn.gather(1, score.argmax(dim=1, keepdim=True)).squeeze(1)
