"""A scripted expert that drives to the goal, around obstacles, from ground truth.

Each world has a field of travel cost to its goal on a grid, found by relaxing all cells and all
worlds at once until nothing changes. The rover turns towards the neighbourhood from which the rest
of the way is cheapest. What cannot be moved is all but forbidden, loose objects are expensive, and
get more so each time the rover is found pushing them in vain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from .navigation_env import NavigationEnv

CELL = 0.125
"""Edge of a cell of the grid [m]."""
BODY = 0.2
"""Radius of the rover with a little to spare [m]."""
MARGIN = 0.3
"""Beyond :data:`BODY`, a stretch of this width is still worth avoiding [m]: who imitates is less exact."""
NEAR, PUSHING = 2.0, 3.0
"""Extra cost of a metre close to what is fixed, and through a loose object."""
FAR = 100.0
"""A coordinate well outside any room [m]."""
HEADINGS, RANGES = 32, (0.15, 0.30)
"""Directions tried, and how far ahead the field is read in each [m]."""
MOVED = 0.1
"""Displacement of an object after which a world is planned anew [m]."""
PATIENCE_S, BACK_OFF_S, RECOIL_S = 0.4, 0.5, 0.2
"""How long to push against something loose that does not give way, then to drive back, and to drive back from what is
fixed [s]."""


class NavigationExpert:
    """Drives every rover of an environment to its goal.

    Args:
        env: ``Sage-Navigation`` or a task derived from it; of it only its size, device,
            time step and what stands in its room are used.
    """

    forbidden = 40.0
    """Extra cost of a metre through what is fixed."""
    doubt, doubt_most = 2.0, 8.0
    """Factor on the cost of an object at each push in vain, and where it ends."""

    def __init__(self, env: NavigationEnv) -> None:
        n, device = env.num_envs, torch.device(env.device)
        self._patience, self._back_off = round(PATIENCE_S / env.step_dt), round(BACK_OFF_S / env.step_dt)
        self._recoil = round(RECOIL_S / env.step_dt)
        self._half = env.room_half
        half = round(self._half / CELL)
        axis = torch.arange(-half, half + 1, device=device) * CELL
        self._cells = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)  # (G, G, 2): x, then y
        size = len(axis)
        self._obstacle_radius, self._object_radius = (
            torch.tensor([thing.outline for thing in things], device=device) for things in (env.obstacles, env.objects)
        )
        to_wall = self._half - self._cells.abs().amax(dim=-1)
        self._wall_cost = self._fixed_cost(to_wall - BODY)
        angle = torch.arange(HEADINGS, device=device) * (2 * math.pi / HEADINGS)
        self._ahead = torch.stack([angle.cos(), angle.sin()], dim=-1)
        self._field = torch.zeros(n, size, size, device=device)
        self._planned = torch.full((n, 2 + 2 * len(env.obstacles) + 3 * len(env.objects)), torch.nan, device=device)
        self._stuck = torch.zeros(n, dtype=torch.long, device=device)
        self._backing = torch.zeros(n, dtype=torch.long, device=device)
        self._caution = torch.ones(n, len(env.objects), device=device)
        self._goal = torch.full((n, 2), torch.nan, device=device)

    @torch.no_grad()
    def act(self, observation: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
        """Choose wheel speeds.

        Args:
            observation: What the environment gave; of it only ``critic`` is read.

        Returns:
            Actions (N, 2) in -1..1: left and right wheel.
        """
        truth = observation["critic"]
        pose, goal = truth["robot_pose"], truth["goal_position"]
        fresh = (goal != self._goal).any(dim=1)
        self._goal = goal.clone()
        self._caution[fresh], self._stuck[fresh], self._backing[fresh] = 1.0, 0, 0
        self._plan(goal, standing(truth), truth["object_pose"][..., :2])

        target = self._direction(pose[:, :2], goal)
        error = torch.remainder(target - heading(pose) + math.pi, 2 * math.pi) - math.pi
        forward = (1.0 - error.abs() / 0.7).clamp(min=0.0)
        turn = (0.6 * error).clamp(-0.5, 0.5)
        action = torch.stack([forward - turn, forward + turn], dim=1)
        action = action / action.abs().amax(dim=1, keepdim=True).clamp(min=1.0)
        return torch.where(self._back_away(truth, forward).unsqueeze(1), self._reverse(error), action)

    def _plan(self, goal: Tensor, obstacles: Tensor, objects: Tensor) -> None:
        """Bring the fields of those worlds up to date in which something changed."""
        caution = self._caution.log2()
        seen = torch.cat([goal, obstacles.flatten(1), objects.flatten(1), caution], dim=1)
        # Not-a-number compares as different, so that the first call plans everywhere.
        same = (seen - self._planned).abs() < MOVED
        ids = (~same.all(dim=1)).nonzero().squeeze(1)
        if not len(ids):
            return
        self._planned[ids] = seen[ids]
        to_fixed = self._to_fixed(obstacles[ids]) - BODY
        to_loose = gaps(self._cells, objects[ids], self._object_radius) - BODY
        cost = 1.0 + torch.maximum(self._fixed_cost(to_fixed), self._wall_cost)
        pushing = self._caution[ids].view(len(ids), 1, 1, -1) * (1.0 - to_loose / MARGIN).clamp(0.0, 1.0)
        cost = cost + PUSHING * pushing.amax(dim=-1)
        self._field[ids] = travel_cost(self._cells, cost, goal[ids])

    def _direction(self, position: Tensor, goal: Tensor) -> Tensor:
        """Heading with the cheapest way on (N,) [rad]."""
        reach = torch.tensor(RANGES, device=position.device).view(-1, 1, 1)
        points = position.view(-1, 1, 1, 2) + reach * self._ahead  # (N, R, K, 2)
        ahead = self._cost_from(points)
        # Near and far together, for a cheap place behind an obstacle is not reached through it.
        best = self._ahead[ahead.sum(dim=1).argmin(dim=1)]
        straight = goal - position
        near = straight.norm(dim=1, keepdim=True) < RANGES[-1] + CELL
        way = torch.where(near, straight, best)
        return torch.atan2(way[:, 1], way[:, 0])

    def _cost_from(self, points: Tensor) -> Tensor:
        """Cost of the way to the goal from some points (N, A, B, 2) of each world (N, A, B)."""
        grid = points / self._half
        return F.grid_sample(self._field.unsqueeze(1), grid, padding_mode="border", align_corners=True).squeeze(1)

    def _back_away(self, truth: Mapping[str, Tensor], forward: Tensor) -> Tensor:
        """Notice where the rover pushes in vain, and for how long it still has to drive back."""
        velocity = truth["robot_velocity"]
        force = truth["skin_force"].norm(dim=-1)
        touched = force.amax(dim=1) > 1.0
        still = (velocity[:, :2].norm(dim=1) < 0.08) & (velocity[:, 5].abs() < 0.5)
        # Without touch (a wheel off the ground) patience lasts longer.
        gain = torch.where(touched, 3, 1) * (still & (forward > 0.1) & (self._backing == 0))
        self._stuck = torch.where(gain > 0, self._stuck + gain, (self._stuck - 1).clamp(min=0))
        give_up = self._stuck >= 3 * self._patience
        # Doubt what was pushed; everything, where nothing is felt.
        pushed = force[:, : self._caution.shape[1]] > 1.0
        pushed |= ~pushed.any(dim=1, keepdim=True)
        doubted = (self.doubt * self._caution).clamp(max=self.doubt_most)
        self._caution = torch.where(give_up.unsqueeze(1) & pushed, doubted, self._caution)
        self._stuck[give_up] = 0
        self._backing = torch.where(give_up, self._back_off, (self._backing - 1).clamp(min=0))
        # What cannot give way is left at once, whatever else is wanted: nothing has to be remembered for that.
        loose = self._caution.shape[1]
        push, yaw = truth["skin_force"][:, loose:].sum(dim=1), heading(truth["robot_pose"])
        ahead = push[:, 0] * yaw.cos() + push[:, 1] * yaw.sin() < 0.0
        against = (force[:, loose:].amax(dim=1) > 1.0) & ahead
        self._backing = torch.where(against, self._backing.clamp(min=self._recoil), self._backing)
        return self._backing > 0

    def _to_fixed(self, obstacles: Tensor) -> Tensor:
        """Distance from each cell to the nearest obstacle, given their places (n, F, 2) -> (n, G, G) [m]."""
        return gaps(self._cells, obstacles, self._obstacle_radius).amin(dim=-1)

    def _fixed_cost(self, gap: Tensor) -> Tensor:
        """Extra cost of a metre where the rover's rim would be this far from what cannot move."""
        return torch.where(gap < 0.0, self.forbidden, NEAR * (1.0 - gap / MARGIN).clamp(0.0, 1.0))

    @staticmethod
    def _reverse(error: Tensor) -> Tensor:
        """Back in a curve that turns the nose to where it shall go next."""
        turn = 0.25 * torch.where(error >= 0, 1.0, -1.0)
        return torch.stack([-0.6 - turn, -0.6 + turn], dim=1)


def standing(truth: Mapping[str, Tensor]) -> Tensor:
    """Where obstacles stand (N, O, 2) [m]; those under the floor are in nobody's way."""
    obstacles = truth["obstacle_position"]
    return torch.where(obstacles[..., 2:] > 0.0, obstacles[..., :2], FAR)


def heading(pose: Tensor) -> Tensor:
    """Turn about the vertical of poses (N, 7), quaternions xyzw (N,) [rad]."""
    x, y, z, w = pose[:, 3:].unbind(dim=1)
    return torch.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


def travel_cost(cells: Tensor, cost: Tensor, goal: Tensor) -> Tensor:
    """Cheapest way from every cell to the goal, over eight neighbours.

    Args:
        cells: Positions of the cells (G, G, 2) [m], evenly spaced.
        cost: Cost of a metre in each cell (n, G, G), at least 1.
        goal: Goals (n, 2) [m].

    Returns:
        Cost of the way (n, G, G).
    """
    edge = float(cells[0, 1, 0] - cells[0, 0, 0])
    away = (cells - goal.view(-1, 1, 1, 2)).norm(dim=-1)
    field = torch.where(away < 1.5 * edge, away * cost, torch.inf)
    straight, diagonal = edge * cost, math.sqrt(2.0) * edge * cost
    while True:
        before = field
        for _ in range(8):
            p = F.pad(field, (1, 1, 1, 1), value=torch.inf)
            rows = torch.minimum(p[:, :-2], p[:, 2:])
            side = torch.minimum(torch.minimum(p[:, 1:-1, :-2], p[:, 1:-1, 2:]), rows[:, :, 1:-1])
            corner = torch.minimum(rows[:, :, :-2], rows[:, :, 2:])
            field = torch.minimum(field, torch.minimum(side + straight, corner + diagonal))
        if torch.equal(field, before):
            return field


def gaps(cells: Tensor, places: Tensor, radii: Tensor) -> Tensor:
    """Distance from each cell (G, G, 2) to the rims of circles (n, K, 2) around places (n, G, G, K) [m]."""
    return (torch.cdist(cells.flatten(0, 1), places) - radii).unflatten(1, cells.shape[:2])
