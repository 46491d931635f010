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
import warp as wp
from torch import Tensor

from .kernel import Kernel

wp.set_module_options({"enable_backward": False})

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
COS_SIGHT, UNSEEN = math.cos(math.radians(100.0)), 0.5
"""Cosine of half the angle of sight phi, and the weight c of what is out of sight."""
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
        obstacle_radii: Their radii (N, M) [m].
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
        now = (self.position, self.velocity, self.desired_speed, self.itinerary, self.leg, self.leg_time, self.stride)
        around = (others.position, others.velocity, others.obstacles, others.obstacle_radii)
        changing = (self.position, self.velocity, self.leg, self.leg_time, self.stride, self.struck)
        then = tuple(map(torch.empty_like, changing))
        _launch(tuple(self.leg.shape), *now, *around, others.radius, self.half, dt, *then)
        self.position, self.velocity, self.leg, self.leg_time, self.stride, self.struck = then

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


@wp.func
def _ellipse_repulsion(away: wp.vec2f, stepping: wp.vec2f, rims: float) -> wp.vec2f:
    """Acceleration of a person by a mover, by the potential ``V0 exp(-(b - rims) / sigma)`` [m/s^2].

    ``b`` is the semi-minor axis of the ellipse through the person with the foci at the mover and at the end of the
    mover's next step relative to the person's.
    """
    rest = away - stepping
    near, far = wp.length(away), wp.length(rest)
    total = near + far
    axis = 0.5 * wp.sqrt(wp.max(total * total - wp.length_sq(stepping), 1.0e-8))
    gradient = (total / (4.0 * axis)) * (away / wp.max(near, 1.0e-6) + rest / wp.max(far, 1.0e-6))
    size = PERSON_POTENTIAL / PERSON_RANGE * wp.exp((rims - axis) / PERSON_RANGE)
    return size / wp.max(wp.length(gradient), 1.0) * gradient


@wp.func
def _seen(push: wp.vec2f, heading: wp.vec2f) -> wp.vec2f:
    """A push, less of it if what pushes is out of sight."""
    if -wp.dot(push, heading) >= wp.length(push) * COS_SIGHT:
        return push
    return UNSEEN * push


@wp.func
def _border(distance: float) -> float:
    """Repulsion of a wall or an obstacle at some distance [m/s^2]."""
    return BORDER_POTENTIAL / BORDER_RANGE * wp.exp(-distance / BORDER_RANGE)


@wp.func
def _to_the_right(force: wp.vec2f) -> wp.vec2f:
    """Turn what pushes a person back so that the person gives way to the right."""
    # Pushed back along -x, to the right is -y: counter-clockwise.
    c, s = wp.cos(SIDE), wp.sin(SIDE)
    return wp.vec2f(c * force[0] - s * force[1], s * force[0] + c * force[1])


@wp.kernel
def _walk(
    position: wp.array2d[wp.vec2f],
    velocity: wp.array2d[wp.vec2f],
    desired_speed: wp.array2d[float],
    itinerary: wp.array3d[wp.vec2f],
    leg: wp.array2d[wp.int64],
    leg_time: wp.array2d[float],
    stride: wp.array2d[float],
    movers: wp.array2d[wp.vec2f],
    mover_velocity: wp.array2d[wp.vec2f],
    obstacles: wp.array2d[wp.vec2f],
    obstacle_radii: wp.array2d[float],
    mover_radius: float,
    half: float,
    dt: float,
    new_position: wp.array2d[wp.vec2f],
    new_velocity: wp.array2d[wp.vec2f],
    new_leg: wp.array2d[wp.int64],
    new_leg_time: wp.array2d[float],
    new_stride: wp.array2d[float],
    struck: wp.array2d[bool],
):
    world, person = wp.tid()
    here, moving = position[world, person], velocity[world, person]
    goal = itinerary[world, person, int(leg[world, person])]
    to_goal = goal - here
    heading = to_goal / wp.max(wp.length(to_goal), 1.0e-6)

    push = wp.vec2f(0.0)
    for other in range(position.shape[1]):
        if other != person:
            stepping = STEP_S * (velocity[world, other] - moving)
            push += _seen(_ellipse_repulsion(here - position[world, other], stepping, 2.0 * BODY_RADIUS), heading)
    for other in range(movers.shape[1]):
        stepping = STEP_S * (mover_velocity[world, other] - moving)
        rims = BODY_RADIUS + mover_radius
        push += _seen(_ellipse_repulsion(here - movers[world, other], stepping, rims), heading)
    for obstacle in range(obstacles.shape[1]):
        away = here - obstacles[world, obstacle]
        distance = wp.max(wp.length(away), 1.0e-6)
        push += _border(distance - obstacle_radii[world, obstacle]) / distance * away
    inward = wp.vec2f(
        _border(half + here[0]) - _border(half - here[0]), _border(half + here[1]) - _border(half - here[1])
    )
    drive = (desired_speed[world, person] * heading - moving) / RELAXATION_S

    going = moving + dt * (drive + _to_the_right(push) + inward)
    going = going * wp.min(TOP_SPEED * desired_speed[world, person] / wp.max(wp.length(going), 1.0e-9), 1.0)
    there = here + dt * going
    new_velocity[world, person] = going
    new_position[world, person] = there

    walked = leg_time[world, person] + dt
    arrived = wp.length(goal - there) < ARRIVED or walked > PATIENCE_S
    if arrived:
        new_leg[world, person] = wp.int64((int(leg[world, person]) + 1) % itinerary.shape[2])
        new_leg_time[world, person] = 0.0
    else:
        new_leg[world, person] = leg[world, person]
        new_leg_time[world, person] = walked

    # Steps a second f at speed v: v = f * length and length = ratio * 60 f.
    rate = wp.sqrt(wp.length(going) / (60.0 * WALK_RATIO))
    taken = float(stride[world, person])
    # Who shuffles on the spot takes no steps.
    if rate > 0.5:
        taken = taken + dt * rate
    struck[world, person] = taken >= 1.0
    new_stride[world, person] = taken - wp.floor(taken)


_launch = Kernel(
    _walk,
    **dict.fromkeys(
        ("position", "velocity", "itinerary", "movers", "mover_velocity", "obstacles", "new_position", "new_velocity"),
        wp.vec2f,
    ),
)
