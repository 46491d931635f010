"""A scripted expert that brings the hand to the goal, from ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .servo import Servo

if TYPE_CHECKING:
    from .reach_env import ReachEnv


class ReachExpert:
    """Goes straight to the goal with the hand pointing down.

    Args:
        env: ``Sage-Reach``.
    """

    def __init__(self, env: ReachEnv) -> None:
        self._servo = Servo(env)

    @torch.no_grad()
    def act(self, observation: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
        """Choose hand motions.

        Args:
            observation: What the environment gave; of it only ``critic`` is read.

        Returns:
            Actions (N, 7) in -1..1.
        """
        truth = observation["critic"]
        pose, goal = truth["hand_pose"], truth["goal_position"]
        zero = torch.zeros_like(goal[:, 0])
        return self._servo.towards(pose, goal, zero, zero + 1.0)
