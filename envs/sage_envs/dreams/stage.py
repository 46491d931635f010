"""Where, when and how fast: an object brought into view in a remembered moment, so that its law can be broken.

The robot, the room, physics and the other objects stay as they are remembered. The object gets a straight way across
the ground or a flight, drawn so that where it is at the violation and where it ends do not tell scenes apart: a
possible scene ends as often with an object high up, far on or gone as an impossible one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .. import snapshot
from ..sight import in_picture
from .plan import PULLED, Kind

if TYPE_CHECKING:
    from ..sage_env import SageEnv

CANDIDATES = 1500
"""Places and times tried for each world."""
GAP = 0.02
"""Kept between things [m]."""
PACE = (6.0, 13.0)
"""A rolling object goes so many of its radii a second."""
HIGH = 9.0
"""Flights go about as high as so many radii of the largest object."""
LARGER = 0.7
"""An object has to look larger by the inverse of this than what just counts as seen."""
BURIED = -0.2
"""What is lower is not in the way [m]."""


@dataclass
class Staged:
    """Moments with their objects in place, n worlds.

    Attributes:
        body: Which object the law is broken by (n,).
        other: The one it strikes, or that takes its place (n,); the same as ``body`` where there is none.
        at: Look of the violation (n,).
        lead: How many looks an effect comes too early or late (n,).
        pull: Vertical acceleration of the object from the violation on (n,) [m/s^2].
        start: Pose of the object at the beginning (n, 7).
        velocity: Its velocity then (n, 6).
        spot: Where it is at the violation, at rest (n, 7).
        moving: Whether it moves (n,) bool.
        fits: Whether there was a place for it (n,) bool.
    """

    body: Tensor
    other: Tensor
    at: Tensor
    lead: Tensor
    pull: Tensor
    start: Tensor
    velocity: Tensor
    spot: Tensor
    moving: Tensor
    fits: Tensor


def stage(
    env: SageEnv, rows: Tensor, kinds: Sequence[Kind], steps: int, difficulty: float, generator: torch.Generator
) -> Staged:
    """Find objects, places and times.

    Args:
        env: The environment; its first n worlds are left at the moments.
        rows: Snapshots (n, S).
        kinds: Kind of violation a world (n).
        steps: Looks T of a scene.
        difficulty: 0..1; harder ones leave fewer looks and less of a change.
        generator: Source of chance, on the CPU.
    """
    n, device, dt = len(rows), env.device, env.step_dt
    snapshot.place(env, rows, torch.arange(n, device=device))
    world = torch.arange(n, device=device)

    def chance(low: float | Tensor = 0.0, high: float | Tensor = 1.0, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*(shape or (n, CANDIDATES)), generator=generator).to(device)

    def whole(low: float, high: float) -> Tensor:
        return chance(low, high + 1.0 - 1e-4).floor()

    def where(*changes: str) -> Tensor:
        return torch.tensor([kind.change in changes for kind in kinds], device=device).unsqueeze(1)

    def moves(*motions: str) -> Tensor:
        return torch.tensor([kind.motion in motions for kind in kinds], device=device).unsqueeze(1)

    body, other = _objects(env, kinds, generator)
    radius, half = (env.sizes.edges[:n, :, 0] / 2), env.sizes.half_height[:n]
    own, height = radius[world, body].unsqueeze(1), half[world, body].unsqueeze(1)
    ball = torch.tensor([env.objects[i].kind == "ball" for i in body.tolist()], device=device).unsqueeze(1)
    rolling = moves("ball", "strike") | (moves("some") & ball & (chance(0, 1, n, 1) < 0.5))
    flying, falling, striking = moves("fly"), moves("bounce", "land"), moves("strike")
    gravity = -rows[:, snapshot.layout(env)["gravity"]][:, 2:].to(device)
    top = HIGH * float(radius.max())

    # When.
    lead = torch.full((n, 1), round(steps * (3 - 2 * difficulty) / 8), device=device).float()
    left = steps * (0.5 - 0.25 * difficulty)
    at = whole(steps * 3 / 8, steps * 5 / 8)
    at = torch.where(where(*PULLED), steps - (left + whole(-1, 1)).round().clamp(2, steps - 2), at)
    at = torch.where(where("stop-dead"), whole(max(2, steps * 3 // 16), steps * 5 // 16), at)
    hit = torch.where(where("reversal"), whole(steps / 4, steps * 3 / 8), whole(steps * 3 / 8, steps * 5 / 8))
    hit = torch.where(where("early-motion"), whole(steps / 2, steps * 3 / 4), hit)
    hit = torch.where(moves("bounce"), whole(1, steps / 4), hit)
    hit = torch.where(moves("land"), whole(steps * 5 / 8, steps * 7 / 8 - 1), hit)
    at = torch.where(where("pass-through", "rebound"), hit, at)
    at = torch.where(where("early-motion", "early-sound"), hit - lead, at)
    at = torch.where(moves("bounce"), hit + whole(2, steps / 4), at)
    # A collision plays backwards, or does not come about: neither is the louder one.
    turned, after_hit = (hit + whole(3, steps / 4)).clamp(min=steps / 2), chance(0, 1, n, 1) < 0.5
    at = torch.where(where("reversal"), torch.where(after_hit, turned, whole(steps / 2, steps * 5 / 8)), at)
    hit = torch.where(where("reversal") & ~after_hit, at + whole(1, steps / 4), hit)
    after = (steps - at) * dt

    # Where, and how fast.
    pace = own * chance(*PACE)
    pace = torch.where(flying, chance(0.0, 6.0) * float(radius.max()), pace) * (rolling | flying)
    angle = chance(0.0, 2 * torch.pi)
    ground = env.ground(rows)
    low, high = (torch.tensor([ground.x[i], ground.y[i]], device=device) for i in (0, 1))
    spot = low + chance(0.0, 1.0, n, CANDIDATES, 2) * (high - low)
    course = pace.unsqueeze(-1) * torch.stack([angle.cos(), angle.sin()], -1)
    reach = own + radius[world, other].unsqueeze(1)
    hit_time = (hit + 0.5) * dt
    time = torch.where(falling, hit_time, at * dt)
    time = torch.where(striking, hit_time + reach / pace.clamp(min=1e-3), time)

    # How high: flights by where they end, so that what falls up and what is pulled down end alike.
    up = where("float") * 1.0 + where("fall-up") * 2.0
    up = torch.where(where("fall-fast"), -1.0 - (chance(0, 1, n, 1) < 0.5).float(), up)
    rise = 0.5 * up * gravity * after.square()
    lowest = height + GAP
    end = torch.where(where("stop-dead"), 0.0, chance(lowest, lowest + top) - rise / 2)
    fall = torch.where(where("stop-dead"), 0.0, chance(-1.5, 1.0) * top**0.5)
    rate = fall
    level = end - rate * after + 0.5 * gravity * after.square()
    dead = chance(lowest, lowest + 1.5 * top)
    rate = torch.where(where("stop-dead"), chance(-0.15, 0.15) * top / after + 0.5 * gravity * after, rate)
    level = torch.where(where("stop-dead"), dead, level)
    rate = torch.where(moves("bounce"), -chance(1.2, 2.2) * top**0.5, rate)
    rate = torch.where(moves("land"), -0.5 * gravity * hit_time - chance(0.1, 0.8) * top**0.5, rate)
    level, rate = torch.where(flying, level, height.expand_as(level)), rate * (flying | falling)
    weight = gravity * (flying | falling)

    def place_at(t: Tensor | float, extra: Tensor | float = 0.0) -> Tensor:
        since = t - time
        z = level + rate * since - 0.5 * weight * since.square() + extra
        return torch.cat([spot + course * since.unsqueeze(-1), z.unsqueeze(-1)], -1)

    def seen(points: Tensor) -> Tensor:
        return in_picture(env, points, LARGER * own)

    first, last = place_at(0.0), place_at(torch.full_like(time, steps * dt))
    last = torch.where(falling.unsqueeze(-1), place_at(time), last)
    then = torch.where(falling, time, at * dt)
    fits = seen(place_at(then)) & seen(place_at((then - 2 * dt).clamp(min=0.0))) & seen(last)
    fits &= ~flying | (seen(place_at(torch.full_like(time, steps * dt), rise)) & seen(place_at(then, 0.0)))
    floor = torch.stack([first[..., 2], last[..., 2], last[..., 2] + rise], -1).amin(-1)
    fits &= floor > torch.where(flying, lowest, height - 1e-4)
    # Room for what grows, and for what comes instead.
    grown = 1.0 + where("grow", "shrink").float()
    outline = torch.tensor([thing.outline for thing in env.objects], device=device) * env.sizes.scale[:n]
    wide = torch.maximum(outline[world, body], outline[world, other]).unsqueeze(1) * grown
    ends = torch.stack([first[..., :2], last[..., :2]], 2)
    fits &= ((ends > low + wide[..., None, None]) & (ends < high - wide[..., None, None])).flatten(2).all(-1)
    fits &= _free(env, rows, ground.taken, ground.radii, outline, ends, wide, body, other)

    chosen = fits.float().argmax(1)

    def pick(values: Tensor) -> Tensor:
        return values.expand(n, CANDIDATES, *values.shape[2:])[world, chosen]

    start, speed = torch.zeros(n, 7, device=device), torch.zeros(n, 6, device=device)
    turn = torch.pi * chance(0, 1, n)
    start[:, :3], start[:, 5], start[:, 6] = pick(first), turn.sin(), turn.cos()
    speed[:, :2], speed[:, 2] = pick(course), pick(rate + weight * time)
    spin = pick((rolling & ball).float()) / own.squeeze(1)
    speed[:, 3], speed[:, 4] = -speed[:, 1] * spin, speed[:, 0] * spin
    rest = start.clone()
    rest[:, :2], rest[:, 2] = pick(spot), half[world, body]
    none = torch.tensor([kind.motion == "none" for kind in kinds], device=device)
    return Staged(
        body=body,
        other=other,
        at=torch.where(none, steps // 2, pick(at).long()),
        lead=lead.squeeze(1).long(),
        pull=pick((up - 1.0) * gravity),
        start=start,
        velocity=speed,
        spot=rest,
        moving=pick(pace) > 0,
        fits=fits.any(1) | none,
    )


def _objects(env: SageEnv, kinds: Sequence[Kind], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """An object that can move as its kind wants, and another one where it takes two."""
    bodies, others, shapes = [], [], [thing.kind for thing in env.objects]
    for kind in kinds:
        able = [i for i, shape in enumerate(shapes) if kind.motion not in ("ball", "strike") or shape == "ball"]
        order = [able[i] for i in torch.randperm(len(able), generator=generator).tolist()]
        every = torch.randperm(len(shapes), generator=generator).tolist()
        body = order[0] if order else 0
        partners = [body]
        if kind.motion == "strike":
            partners = [i for i in every if i != body]
        elif kind.change == "shape":
            partners = [i for i in every if shapes[i] != shapes[body]]
        elif kind.change == "material":
            partners = [i for i in every if env.objects[i].material != env.objects[body].material]
        bodies.append(body)
        others.append((partners or [body])[0])
    return torch.tensor(bodies, device=env.device), torch.tensor(others, device=env.device)


def _free(
    env: SageEnv,
    rows: Tensor,
    taken: Tensor,
    radii: Tensor,
    outline: Tensor,
    ends: Tensor,
    wide: Tensor,
    body: Tensor,
    other: Tensor,
) -> Tensor:
    """Whether straight ways (n, C, 2, 2) lead past everything that stands there (n, C) bool."""
    n, count = len(rows), len(env.objects)
    poses = rows[:, snapshot.layout(env)["objects.pose"]].view(n, count, 7).to(env.device)
    index = torch.arange(count, device=env.device)
    apart = (index == body.unsqueeze(1)) | (index == other.unsqueeze(1)) | (poses[..., 2] < BURIED)
    links = env.robot.data.body_link_pos_w.torch[:n] - env.scene.env_origins[:n].unsqueeze(1)
    thick = torch.full_like(links[..., 0], 2 * float(outline.max()) / 3)
    things = torch.cat([poses[..., :2], taken, links[..., :2]], 1)
    wanted = torch.cat([torch.where(apart, -torch.inf, outline), radii, thick], 1)
    begin, way = ends[:, :, 0], ends[:, :, 1] - ends[:, :, 0]
    offset = things.unsqueeze(1) - begin.unsqueeze(2)  # (n, C, K, 2)
    share = (offset * way.unsqueeze(2)).sum(-1) / way.square().sum(-1, keepdim=True).clamp(min=1e-9)
    distance = (offset - share.clamp(0.0, 1.0).unsqueeze(-1) * way.unsqueeze(2)).norm(dim=-1)
    return (distance > wanted.unsqueeze(1) + wide.unsqueeze(-1) + GAP).all(-1)


def known(env: SageEnv, kind: Kind) -> bool:
    """Whether a task has what a kind needs."""
    shapes, materials = ({getattr(t, name) for t in env.objects} for name in ("kind", "material"))
    if kind.motion in ("ball", "strike") and "ball" not in shapes:
        return False
    if kind.motion == "strike" and len(env.objects) < 2:
        return False
    if (kind.change == "shape" and len(shapes) < 2) or (kind.change == "material" and len(materials) < 2):
        return False
    return kind.change != "wheels-follow" or bool(env.drives)
