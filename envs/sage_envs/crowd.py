"""People who walk, after the social force model, for all people of all worlds at once.

The model is that of D. Helbing and P. Molnar, "Social force model for pedestrian dynamics", Physical Review E 51, 4282
(1995), doi 10.1103/PhysRevE.51.4282, and so are the parameters below where nothing else is said.

Each person accelerates towards the next goal of an itinerary, away from others, whose repulsion has the shape of an
ellipse stretched along the step they are about to take, and away from walls and obstacles; what is out of sight
counts half. Four things differ from the paper, whose people are points in an open corridor:

* Bodies have a size. The repulsion of others is measured from rim to rim, as in D. Helbing, I. Farkas and
  T. Vicsek, "Simulating dynamical features of escape panic", Nature 407, 487 (2000), doi 10.1038/35035023.
* The step of another is taken relative to one's own: A. Johansson, D. Helbing and P. K. Shukla, "Specification of
  the social force pedestrian model by evolutionary adjustment to video tracking data", Advances in Complex Systems
  10, 271 (2007), doi 10.1142/S0219525907001355. Without it people walk into those they come up behind.
* In place of random fluctuations, which decide who gives way to which side, repulsion is turned a little to the
  right: the side preference measured by M. Moussaid et al., Proc. R. Soc. B 276, 2755 (2009),
  doi 10.1098/rspb.2009.0405. The same moment therefore always goes on in the same way.
* The gradient of the ellipse is at most 1, its value for a circle; at the tips of a thin ellipse it has none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

BODY_RADIUS = 0.25
"""Half the breadth of a person's shoulders [m]."""
DESIRED_SPEED, DESIRED_SPEED_SPREAD = 1.34, 0.26
"""Mean and standard deviation of the speed at which people like to walk [m/s]."""
LEAST_DESIRED_SPEED = 0.5
"""Nobody likes to walk slower than that [m/s]."""
TOP_SPEED = 1.3
"""Nobody walks faster than this many times the desired speed."""
RELAXATION_S = 0.5
"""Time tau in which people come back to their desired velocity [s]."""
PERSON_POTENTIAL, PERSON_RANGE = 2.1, 0.3
"""V0 [m^2/s^2] and sigma [m] of the repulsion of others."""
BORDER_POTENTIAL, BORDER_RANGE = 10.0, 0.2
"""U0 [m^2/s^2] and R [m] of the repulsion of walls and obstacles."""
STEP_S = 0.5
"""How far ahead relative steps are allowed for: Delta t [s]. The paper has 2 s for steps that are not relative."""
SIGHT, UNSEEN = math.radians(100.0), 0.5
"""Half the angle of sight phi [rad], and the weight c of what is out of sight."""
SIDE = 0.15
"""How far repulsion is turned to the right [rad]."""
ARRIVED = 0.4
"""Distance at which people turn to the next goal of their itinerary [m]."""
PATIENCE_S = 5.0
"""After this time people give a goal up and turn to the next [s]."""
WALK_RATIO = 0.0064
"""Length of a step over steps a minute, which hardly depends on speed [m min]: N. Sekiya, H. Nagasaki, H. Ito and
T. Furuna, "The invariant relationship between step length and step rate during free walking", Journal of Human
Movement Studies 30, 241 (1996)."""


@dataclass(frozen=True)
class Others:
    """What people walk around without it being one of them.

    Attributes:
        position: Movers such as robots (N, R, 2) [m].
        velocity: Their velocities (N, R, 2) [m/s].
        radius: Their radius [m].
        obstacles: Centres of round obstacles (N, M, 2) [m].
        obstacle_radii: Their radii (M,) or (N, M) [m].
    """

    position: Tensor
    velocity: Tensor
    radius: float
    obstacles: Tensor
    obstacle_radii: Tensor


class Crowd:
    """P people in each of N square rooms.

    Args:
        num_worlds: N.
        num_people: P.
        legs: Goals of an itinerary, after the last of which the first comes again.
        half: Half the inner edge of the rooms, whose centres are the origins [m].
        device: Where the tensors live.

    Attributes:
        position: Where people are (N, P, 2) [m].
        velocity: (N, P, 2) [m/s].
        desired_speed: (N, P) [m/s].
        itinerary: Goals in order (N, P, legs, 2) [m].
        leg: Index of the goal they walk to (N, P).
        leg_time: For how long they have been walking to it (N, P) [s].
        stride: Steps taken since the last heel strike, 0..1 (N, P).
        struck: Whose heel struck the floor in the last :meth:`step` (N, P) bool.
    """

    def __init__(self, num_worlds: int, num_people: int, legs: int, half: float, device: str | torch.device) -> None:
        self.half = half
        shape = (num_worlds, num_people)
        self.position = torch.zeros(*shape, 2, device=device)
        self.velocity = torch.zeros(*shape, 2, device=device)
        self.desired_speed = torch.full(shape, DESIRED_SPEED, device=device)
        self.itinerary = torch.zeros(*shape, legs, 2, device=device)
        self.leg = torch.zeros(shape, dtype=torch.long, device=device)
        self.leg_time = torch.zeros(shape, device=device)
        self.stride = torch.zeros(shape, device=device)
        self.struck = torch.zeros(shape, dtype=torch.bool, device=device)

    @property
    def goal(self) -> Tensor:
        """Where people are heading (N, P, 2) [m]."""
        index = self.leg[..., None, None].expand(-1, -1, 1, 2)
        return self.itinerary.gather(2, index).squeeze(2)

    def begin(self, ids: Tensor, position: Tensor, itinerary: Tensor, desired_speed: Tensor) -> None:
        """Put people somewhere, at rest.

        Args:
            ids: Worlds (n,).
            position: (n, P, 2) [m].
            itinerary: (n, P, legs, 2) [m].
            desired_speed: (n, P) [m/s].
        """
        self.position[ids], self.itinerary[ids], self.desired_speed[ids] = position, itinerary, desired_speed
        self.velocity[ids], self.leg_time[ids], self.stride[ids] = 0.0, 0.0, 0.0
        self.leg[ids] = 0
        self.struck[ids] = False

    def step(self, dt: float, others: Others) -> None:
        """Walk on.

        Args:
            dt: Time step [s].
            others: What else there is.
        """
        velocity = self.velocity + dt * self.acceleration(others)
        speed = velocity.norm(dim=-1).clamp(min=1e-9)
        self.velocity = velocity * (TOP_SPEED * self.desired_speed / speed).clamp(max=1.0).unsqueeze(-1)
        self.position = self.position + dt * self.velocity
        self.leg_time = self.leg_time + dt
        arrived = ((self.goal - self.position).norm(dim=-1) < ARRIVED) | (self.leg_time > PATIENCE_S)
        self.leg = (self.leg + arrived) % self.itinerary.shape[2]
        self.leg_time = torch.where(arrived, 0.0, self.leg_time)
        # Steps a second f at speed v: v = f * length and length = ratio * 60 f.
        rate = (self.velocity.norm(dim=-1) / (60.0 * WALK_RATIO)).sqrt()
        # Who shuffles on the spot takes no steps.
        stride = self.stride + dt * torch.where(rate > 0.5, rate, 0.0)
        self.struck = stride >= 1.0
        self.stride = stride % 1.0

    def acceleration(self, others: Others) -> Tensor:
        """Sum of the social forces on each person (N, P, 2) [m/s^2]."""
        to_goal = self.goal - self.position
        heading = to_goal / to_goal.norm(dim=-1, keepdim=True).clamp(min=1e-6)
        drive = (self.desired_speed.unsqueeze(-1) * heading - self.velocity) / RELAXATION_S
        return drive + self._from_movers(heading, others) + self._from_borders(others)

    def _from_movers(self, heading: Tensor, others: Others) -> Tensor:
        people, movers = self.position.shape[1], others.position.shape[1]
        where = torch.cat([self.position, others.position], dim=1)
        velocity = torch.cat([self.velocity, others.velocity], dim=1)
        stepping = STEP_S * (velocity.unsqueeze(1) - self.velocity.unsqueeze(2))
        radius = torch.tensor([BODY_RADIUS] * people + [others.radius] * movers, device=where.device)
        away = self.position.unsqueeze(2) - where.unsqueeze(1)  # (N, P, P + R, 2)
        push = ellipse_repulsion(away, stepping, BODY_RADIUS + radius)
        push = push.masked_fill(torch.eye(people, people + movers, dtype=torch.bool, device=where.device)[..., None], 0)
        size = push.norm(dim=-1)
        seen = -(push * heading.unsqueeze(2)).sum(dim=-1) >= size * math.cos(SIGHT)
        push = push * torch.where(seen, 1.0, UNSEEN).unsqueeze(-1)
        return _to_the_right(push.sum(dim=2))

    def _from_borders(self, others: Others) -> Tensor:
        x, y = self.position.unbind(dim=-1)
        inward = torch.stack([_border(self.half + x) - _border(self.half - x)], dim=-1)
        inward = torch.cat([inward, (_border(self.half + y) - _border(self.half - y)).unsqueeze(-1)], dim=-1)
        away = self.position.unsqueeze(2) - others.obstacles.unsqueeze(1)
        distance = away.norm(dim=-1).clamp(min=1e-6)
        push = (_border(distance - others.obstacle_radii.unsqueeze(-2)) / distance).unsqueeze(-1) * away
        return inward + _to_the_right(push.sum(dim=2))

    # -- remembered and lived again ----------------------------------------------------------

    def state(self) -> Tensor:
        """All that the future depends on (N, D), float32."""
        return torch.cat([value.flatten(1).float() for value in self._kept()], dim=1)

    def set_state(self, ids: Tensor, rows: Tensor) -> None:
        """Inverse of :meth:`state` for some worlds.

        Args:
            ids: Worlds (n,).
            rows: (n, D).
        """
        kept = self._kept()
        for value, part in zip(kept, rows.split([value[0].numel() for value in kept], dim=1), strict=True):
            value[ids] = part.view(len(ids), *value.shape[1:]).to(value.dtype)
        self.struck[ids] = False

    def _kept(self) -> tuple[Tensor, ...]:
        return (
            self.position,
            self.velocity,
            self.desired_speed,
            self.itinerary,
            self.leg,
            self.leg_time,
            self.stride,
        )


def ellipse_repulsion(away: Tensor, stepping: Tensor, rims: Tensor) -> Tensor:
    """Repulsion of movers by the potential ``V0 exp(-(b - rims) / sigma)``.

    ``b`` is the semi-minor axis of the ellipse through a person with the foci at a mover and at the end of the mover's
    next step.

    Args:
        away: From each mover to each person (N, P, Q, 2) [m].
        stepping: Next steps of the movers relative to the persons' (N, P, Q, 2) [m].
        rims: Sum of the radii of person and mover (Q,) [m].

    Returns:
        Acceleration of each person by each mover (N, P, Q, 2) [m/s^2].
    """
    near, far = away.norm(dim=-1), (away - stepping).norm(dim=-1)
    total = near + far
    axis = 0.5 * (total.square() - stepping.square().sum(dim=-1)).clamp(min=1e-8).sqrt()
    unit = away / near.clamp(min=1e-6).unsqueeze(-1) + (away - stepping) / far.clamp(min=1e-6).unsqueeze(-1)
    gradient = (total / (4.0 * axis)).unsqueeze(-1) * unit
    gradient = gradient / gradient.norm(dim=-1, keepdim=True).clamp(min=1.0)
    size = PERSON_POTENTIAL / PERSON_RANGE * torch.exp((rims - axis) / PERSON_RANGE)
    return size.unsqueeze(-1) * gradient


def _border(distance: Tensor) -> Tensor:
    """Repulsion of a wall or an obstacle at some distance [m/s^2]."""
    return BORDER_POTENTIAL / BORDER_RANGE * torch.exp(-distance / BORDER_RANGE)


def _to_the_right(force: Tensor) -> Tensor:
    """Turn what pushes a person back so that the person gives way to the right."""
    x, y = force.unbind(dim=-1)
    c, s = math.cos(SIDE), math.sin(SIDE)
    # Pushed back along -x, to the right is -y: counter-clockwise.
    return torch.stack([c * x - s * y, s * x + c * y], dim=-1)
