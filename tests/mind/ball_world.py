"""A world without a simulator: boxes seen from the side, in which two balls bounce and a robot disc pushes them.

It fulfils :class:`sage_ext.environment.Environment` for real. Every number that comes back is made of sums, products
and roots taken world by world, so a moment lived again is the same bit for bit wherever and beside whatever it is
lived, except for a camera that is turned.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

DT, HOLD = 1 / 120, 4
"""Physics step [s], and how many an environment step has."""
G = 9.81
ROBOT, DISCS = 0, 3
FIRST, SECOND = [0, 0, 1], [1, 2, 2]
RADIUS = torch.tensor([0.22, 0.16, 0.2])
MASS = torch.tensor([2.0, 0.5, 1.0])
BOUNCE = torch.tensor([0.1, 0.85, 0.75])
MU = torch.tensor([0.3, 0.1, 0.2])
LOW = torch.stack([RADIUS - 1, RADIUS], 1)
HIGH = torch.stack([1 - RADIUS, 2 - RADIUS], 1)
THRUST = torch.tensor([9.0, 14.0])
"""Acceleration of the robot at full action, sideways and up [m/s^2]."""
REST = 0.2
"""Slower bounces end [m/s]."""
LIFT, LIVELY = 6.0, 0.4
KINDS = ("physics/float", "physics/vanish", "reversal/reversal")
ANGLE = torch.arange(128) * (2 * torch.pi / 128)
TAXELS = torch.stack([ANGLE.cos(), ANGLE.sin()], 1)
PITCH = (1 - (torch.arange(64) - torch.tensor([[10.0], [30.0], [50.0]])).abs() / 6).clamp(min=0)
"""How loud each disc is in each band (3, 64)."""
PARTS = {"pos": 6, "vel": 6, "gone": 3, "seen": 2, "colour": 9, "gravity": 3, "friction": 1, "action": 2}
PARTS |= {"mass": 1}
"""What a snapshot holds."""


@dataclass
class Physics:
    """What is in force."""

    gravity: Tensor
    friction_scale: Tensor


@dataclass
class Scenes:
    """Fulfils :class:`sage_ext.environment.DreamScenes`."""

    impossible: dict[str, Tensor]
    twin: dict[str, Tensor]
    impossible_truth: dict[str, Tensor]
    twin_truth: dict[str, Tensor]
    actions: Tensor
    valid: Tensor
    at: Tensor
    law: list[str]
    kind: list[str]
    object: Tensor
    place: Tensor
    magnitude: Tensor


class BallWorld:
    """N boxes.

    Args:
        num_envs: Boxes.
        steps: Of an episode.
        resolution: Rows and columns of the picture.
        goal: An episode ends in success where the robot comes further right [m],
        lost: and in failure where it comes further left [m].
    """

    device = "cpu"
    dream_kinds = KINDS
    feigns = True
    num_objects = DISCS - 1

    def __init__(
        self, num_envs: int = 2, steps: int = 30, resolution: int = 64, goal: float = 2.0, lost: float = -2.0
    ) -> None:
        self.num_envs, self.max_episode_length, self.resolution = num_envs, steps, resolution
        self.goal, self.lost = goal, lost
        box, inf = gym.spaces.Box, np.inf
        senses = {
            "visual": box(0, 255, (resolution, resolution, 3), np.uint8),
            "depth": box(0.0, inf, (resolution, resolution, 1), np.float32),
            "audio": box(-inf, inf, (1024,), np.float32),
            "tactile": box(0.0, inf, (128,), np.float32),
            "proprioceptive": box(-inf, inf, (64,), np.float32),
        }
        truth = {k: box(-inf, inf, (6,), np.float32) for k in ("pos", "vel")}
        self.single_observation_space = gym.spaces.Dict(
            {"policy": gym.spaces.Dict(senses), "critic": gym.spaces.Dict(truth)}
        )
        self.single_action_space = box(-1.0, 1.0, (2,), np.float32)
        n, side = num_envs, torch.linspace(-1.15, 1.15, resolution)
        self.grid = side.repeat(resolution), -side.repeat_interleave(resolution)
        self.generator = torch.Generator().manual_seed(0)
        self.state = {k: torch.zeros(n, w) for k, w in PARTS.items()}
        self.viewpoint = torch.zeros(n, 5)
        self.tint, self.light = torch.zeros(num_envs, 1), torch.ones(num_envs, 1)
        self.shown = torch.ones(num_envs, DISCS - 1)
        self.clock = torch.zeros(n, dtype=torch.long)
        self._loud: list[Tensor] = []
        self._force = torch.zeros(n, DISCS, 2)
        self.on_look: Callable[[dict[str, Any], Tensor, Tensor], None] | None = None
        self._begins = torch.ones(n, dtype=torch.bool)
        self._place(torch.ones(n, dtype=torch.bool))

    @property
    def physics(self) -> Physics:
        return Physics(self.state["gravity"].clone(), self.state["friction"][:, 0].clone())

    def reset(self, seed: int | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        if seed is not None:
            self.reseed(seed)
        self._place(torch.ones(self.num_envs, dtype=torch.bool))
        return self._observe(), {}

    def reseed(self, seed: int) -> None:
        self.generator.manual_seed(seed)

    def step(self, action: Tensor) -> tuple[dict[str, Any], Tensor, Tensor, Tensor, dict[str, Any]]:
        self.state["action"] = action.clamp(-1, 1)
        for _ in range(HOLD):
            self._tick()
        self.clock += 1
        x = self.state["pos"][:, 0].clone()
        success = x > self.goal
        terminated, truncated = success | (x < self.lost), self.clock >= self.max_episode_length
        if bool((terminated | truncated).any()):
            self._place(terminated | truncated)
        return self._observe(), x, terminated, truncated, {"success": success}

    def close(self) -> None:
        return

    def scene_description(self) -> dict[str, Any]:
        upright = [0.0, 0.0, 0.0, 1.0]
        shapes, bodies = [], []
        for disc, colour in enumerate(([0.24, 0.35, 0.78], [0.9, 0.5, 0.1], [0.2, 0.7, 0.3])):
            told = {"truth": "pos", "first": 2 * disc, "sets": [0, 2]}
            bodies.append({"name": f"disc_{disc}", "pose": [0.0, 0.0, 0.0, *upright], "follows": [told]})
            shape = {
                "kind": "sphere",
                "size": [float(RADIUS[disc])],
                "color": colour,
                "pose": [0.0, 0.0, 0.0, *upright],
            }
            shapes.append({"name": f"disc_{disc}/ball", "body": f"disc_{disc}", **shape})
        floor = {"kind": "box", "size": [2.0, 1.0, 0.1], "color": [0.5, 0.5, 0.5], "pose": [0.0, 0.0, -0.05, *upright]}
        shapes.append({"name": "floor", "body": None, **floor})
        return {"shapes": shapes, "bodies": bodies, "joints": []}

    def snapshot(self) -> Tensor:
        return torch.cat([self.state[k] for k in PARTS], 1)

    def relive(
        self,
        rows: Tensor,
        actions: Tensor,
        *,
        gravity_scale: Tensor | None = None,
        friction_scale: Tensor | None = None,
        mass_scale: Tensor | None = None,
        viewpoint: Tensor | None = None,
        color: Tensor | None = None,
        light: Tensor | None = None,
        size: Tensor | None = None,
        speed: float = 1.0,
        senses: Collection[str] | None = None,
        start: bool = False,
        located: bool = False,
        before_tick: Callable[[int], None] | None = None,
    ) -> dict[str, dict[str, Tensor]]:
        n, look = len(rows), int(HOLD * speed)
        self._restore(rows)
        if gravity_scale is not None:
            self.state["gravity"][:n] *= gravity_scale[:, None]
        if friction_scale is not None:
            self.state["friction"][:n] *= friction_scale[:, None]
        if mass_scale is not None:
            self.state["mass"][:n] *= mass_scale[:, None]
        self.viewpoint.zero_()
        if viewpoint is not None:
            self.viewpoint[:n] = viewpoint
        if color is not None:
            self.tint[:n] = color[:, None] * 255
        if light is not None:
            self.light[:n] = light[:, None]
        if size is not None:
            self.shown[:n] = size
        seen, sights = [], [self._sight()]
        begin = dict(zip(("visual", "depth"), (part[:n] for part in self._render()), strict=True))
        for tick in range(HOLD * actions.shape[1]):
            if tick % HOLD == 0:
                self.state["action"][:n] = actions[:, tick // HOLD].clamp(-1, 1)
            if before_tick is not None:
                before_tick(tick)
            self._tick()
            if (tick + 1) % look == 0:
                seen.append(self._observe())
                sights.append(self._sight())
        self.viewpoint.zero_(), self.tint.zero_(), self.light.fill_(1.0), self.shown.fill_(1.0)
        groups = seen[0] if seen else {}
        lived = {g: {k: torch.stack([s[g][k][:n] for s in seen], 1) for k in v} for g, v in groups.items()}
        if senses is not None and seen:
            lived["policy"] = {k: v for k, v in lived["policy"].items() if k in senses}
        if located:
            lived["sight"] = {k: torch.stack([s[k][:n] for s in sights], 1) for k in sights[0]}
        return lived | ({"start": begin} if start else {})

    def rearrange(self, rows: Tensor, generator: torch.Generator, lived_on: bool = True) -> Tensor:
        n, first = len(rows), {k: sum(list(PARTS.values())[: list(PARTS).index(k)]) for k in PARTS}
        rows, luck = rows.clone(), torch.rand(n, 2, 4, generator=generator)
        for ball in (0, 1):
            rows[:, first["pos"] + 2 + 2 * ball] = 0.9 * (ball + luck[:, ball, 0]) - 0.75
            rows[:, first["pos"] + 3 + 2 * ball] = 0.3 + 1.4 * luck[:, ball, 1]
            rows[:, first["vel"] + 2 + 2 * ball : first["vel"] + 4 + 2 * ball] = 4 * luck[:, ball, 2:] - 2
        return rows

    def _sight(self) -> dict[str, Tensor]:
        """The balls as the camera has them: the inverse of what :meth:`_render` does with the viewpoint."""
        pos, vel = (self.state[k].view(-1, DISCS, 2)[:, 1:] for k in ("pos", "vel"))
        yaw, pitch, ahead, left, up = self.viewpoint[..., None].unbind(1)
        dx, dz = pos[..., 0] + left, pos[..., 1] - up - pitch - 1
        across = (yaw.cos() * dx + yaw.sin() * dz) / (1 - ahead)
        along = (yaw.cos() * dz - yaw.sin() * dx) / (1 - ahead)
        pixel = (torch.stack([-along, across], -1) + 1.15) / 2.3 * (self.resolution - 1)
        there = self.state["gone"][:, 1:] == 0
        inside = ((pixel >= 0) & (pixel < self.resolution)).all(-1) & there
        apart = pos - self.state["pos"][:, None, :2]
        return {
            "position": torch.stack([(1.5 - ahead).expand_as(across), -across, along], -1),
            "velocity": torch.stack([torch.zeros_like(across), -vel[..., 0], vel[..., 1]], -1),
            "pixel": pixel,
            "radius": RADIUS[1:] * self.shown,
            "distance": apart.norm(dim=-1),
            "extent": RADIUS[1:] * self.shown / 2.3 * (self.resolution - 1) / (1 - ahead) * there,
            "in_frame": inside,
            "sought": torch.cat([self.goal - self.state["pos"][:, :1], torch.zeros(self.num_envs, 2)], 1),
            "meant": torch.full((self.num_envs,), -1),
        }

    def foresee(self, rows: Tensor, kinds: Sequence[str]) -> Tensor:
        self._restore(rows)
        lively = self.state["vel"][: len(rows)].abs().amax(1) > LIVELY
        return lively | torch.tensor([kind != "reversal/reversal" for kind in kinds])

    def dream(
        self,
        rows: Tensor,
        actions: Tensor,
        kinds: Sequence[str],
        *,
        difficulty: float = 0.5,
        generator: torch.Generator | None = None,
    ) -> Scenes:
        n, at = len(rows), actions.shape[1] // 2
        law, kind = ([name.split("/")[i] for name in kinds] for i in (0, 1))
        lived = self.relive(rows, actions)
        twin, truth = lived["policy"], lived["critic"]
        broken = {name: torch.tensor([one == name for one in kind]) for name in ("float", "vanish", "reversal")}
        lively = truth["vel"][:, :at].abs().amax((1, 2)) > LIVELY
        valid = torch.where(broken["reversal"], lively, truth["pos"][:, at - 1, 3] < 1.2)

        def break_law(tick: int) -> None:
            since = tick - at * HOLD
            if since >= 0:
                rise = self.state["vel"][:n, 3]
                self.state["vel"][:n, 3] = torch.where(broken["float"], LIFT * DT * (since + 1), rise)
                self.state["gone"][:n, 1] = broken["vanish"].float()

        dreamt = self.relive(rows, actions, before_tick=break_law)
        impossible = dreamt["policy"]
        for lived, other in ((twin, impossible), (truth, dreamt["critic"])):
            for key, value in other.items():
                back = torch.cat([lived[key][:, :at], lived[key][:, :at].flip(1)], 1)
                if key == "proprioceptive":
                    back[:, at:, :2] *= -1.0
                value[broken["reversal"]] = back[broken["reversal"]]
        return Scenes(
            impossible=impossible,
            twin=twin,
            impossible_truth=dreamt["critic"],
            twin_truth=truth,
            actions=torch.cat([actions[:, 1:], actions[:, -1:]], 1),
            valid=valid,
            at=torch.full((n,), at),
            law=law,
            kind=kind,
            object=torch.where(broken["reversal"], -1, 0),
            place=torch.nn.functional.pad(truth["pos"][:, at, 2:4], (0, 1)),
            magnitude=torch.full((n,), 1.0 - difficulty),
        )

    def _restore(self, rows: Tensor) -> None:
        if rows.shape[1:] != (sum(PARTS.values()),) or len(rows) > self.num_envs:
            raise ValueError(f"snapshot.shape={tuple(rows.shape)}: use snapshots of this task")
        for (name, width), part in zip(PARTS.items(), rows.split(list(PARTS.values()), 1), strict=True):
            self.state[name] = torch.cat([part, torch.zeros(self.num_envs - len(rows), width)])
        self._loud.clear()
        self._begins[: len(rows)] = True
        self._force.zero_()

    def _place(self, which: Tensor) -> None:
        n, s = self.num_envs, self.state
        luck = torch.rand(n, 14, generator=self.generator)
        x = torch.tensor([-0.65, -0.05, 0.55]) + (luck[:, :3] - 0.5) * torch.tensor([0.2, 0.3, 0.3])
        z = torch.cat([RADIUS[:1].expand(n, 1), 0.5 + luck[:, 3:5]], 1)
        fresh = {k: torch.zeros_like(v) for k, v in s.items()}
        fresh["pos"] = torch.stack([x, z], 2).flatten(1)
        fresh["vel"][:, 2:] = 4 * luck[:, 5:9] - 2
        fresh["colour"] = torch.cat([torch.tensor([[60.0, 90.0, 200.0]]).expand(n, 3), 255 * luck[:, 8:14]], 1)
        fresh["gravity"][:, 2] = -G
        fresh["friction"] += 1.0
        fresh["mass"] += 1.0
        for name, value in fresh.items():
            s[name] = torch.where(which[:, None], value, s[name])
        self.clock[which] = 0
        self._begins |= which
        self._force[which] = 0.0
        for loud in self._loud:
            loud[which] = 0.0

    def _tick(self) -> None:
        s = self.state
        pos, vel, here = s["pos"].view(-1, DISCS, 2), s["vel"].view(-1, DISCS, 2).clone(), 1 - s["gone"]
        vel[:, ROBOT] += s["action"] * THRUST * DT
        vel += s["gravity"][:, None, ::2] * DT
        pos = pos + vel * DT
        mass = MASS * torch.cat([torch.ones_like(s["mass"]), s["mass"].expand(-1, DISCS - 1)], 1)
        apart = pos[:, SECOND] - pos[:, FIRST]
        distance = (apart[..., 0] ** 2 + apart[..., 1] ** 2).clamp(min=1e-12).sqrt()
        normal, reach = apart / distance[..., None], RADIUS[FIRST] + RADIUS[SECOND]
        meet = (distance < reach) & (here[:, FIRST] * here[:, SECOND] > 0)
        closing = ((vel[:, FIRST] - vel[:, SECOND]) * normal).unbind(-1)
        closing = (closing[0] + closing[1]).clamp(min=0)
        size = torch.where(meet, 1.8 * closing / (1 / mass[:, FIRST] + 1 / mass[:, SECOND]), 0.0)
        shift = torch.where(meet, 0.5 * (reach - distance), 0.0)[..., None] * normal
        kick = size[..., None] * normal
        vel = vel + _spread(kick) / mass[..., None]
        pos = pos + _spread(shift)
        low, high = pos < LOW, pos > HIGH
        back = -BOUNCE[:, None] * vel
        back = torch.where(back.abs() < REST, 0.0, back)
        after = torch.where((low & (vel < 0)) | (high & (vel > 0)), back, vel)
        wall = (after - vel) * mass[..., None]
        pos = torch.minimum(torch.maximum(pos, LOW), HIGH)
        brake = MU * s["friction"] * s["gravity"][:, 2:].abs() * DT * low[..., 1]
        slide = after[..., 0]
        slide = torch.sign(slide) * (slide.abs() - brake).clamp(min=0)
        s["pos"], s["vel"] = pos.flatten(1), torch.stack([slide, after[..., 1]], 2).flatten(1)
        struck = [size[:, 0] + size[:, 1], size[:, 0] + size[:, 2], size[:, 1] + size[:, 2]]
        hit = wall.abs()
        self._loud.append((torch.stack(struck, 1) + hit[..., 0] + hit[..., 1]) * here)
        # On the robot's skin: what the two balls and the walls do, as seen from its middle.
        self._force = self._force + torch.stack([kick[:, 0], kick[:, 1], -wall[:, ROBOT]], 1) / DT

    def _observe(self) -> dict[str, dict[str, Tensor]]:
        s, ticks = self.state, len(self._loud)
        n, speed, dt = self.num_envs, s["vel"][:, :2], max(ticks, 1) * DT
        loud = torch.stack(self._loud, 1) if ticks else torch.zeros(n, 1, DISCS)
        frame = torch.arange(16) * loud.shape[1] // 16
        x = loud[:, frame, :, None] * (5 * PITCH)
        x = x[:, :, 0] + x[:, :, 1] + x[:, :, 2]
        sound = -80 + 80 * x / (1 + x)
        force = self._force / max(ticks, 1)
        strength = (force[..., 0] ** 2 + force[..., 1] ** 2).sqrt()[..., None]
        along = force[..., :1] * TAXELS[:, 0] + force[..., 1:] * TAXELS[:, 1]
        touch = (10 * (along - 0.9 * strength)).clamp(min=0)
        felt = (speed - s["seen"]) / dt if ticks else torch.zeros(n, 2)
        body = torch.cat([speed, felt - s["gravity"][:, ::2], s["action"], torch.zeros(n, 58)], 1)
        s["seen"] = speed.clone()
        self._loud.clear()
        self._force = torch.zeros_like(self._force)
        visual, depth = self._render()
        senses = {"visual": visual, "depth": depth, "audio": sound.transpose(1, 2).flatten(1)}
        senses |= {"tactile": touch[:, 0] + touch[:, 1] + touch[:, 2], "proprioceptive": body}
        seen = {"policy": senses, "critic": {k: s[k].clone() for k in ("pos", "vel")}}
        if self.on_look is not None:
            self.on_look(seen, s["action"], self._begins)
        self._begins[:] = False
        return seen

    def _render(self) -> tuple[Tensor, Tensor]:
        s, (yaw, pitch, ahead, left, up) = self.state, self.viewpoint[..., None].unbind(1)
        across, along = (g * (1 - ahead) for g in self.grid)
        px, pz = yaw.cos() * across - yaw.sin() * along - left, yaw.sin() * across + yaw.cos() * along + up + pitch + 1
        room = (px.abs() < 1) & (pz > 0) & (pz < 2)
        tile = ((px * 2).floor() + (pz * 2).floor()) % 2
        shade = torch.where(room, 90 + 25 * tile + 20 * pz, 40.0)
        colour, depth = [shade, shade, shade], torch.where(room, 2.5 - ahead, 0.0)
        for disc in range(DISCS):
            x, z = s["pos"][:, 2 * disc : 2 * disc + 1], s["pos"][:, 2 * disc + 1 : 2 * disc + 2]
            radius = RADIUS[disc] * self.shown[:, disc - 1 : disc] if disc else RADIUS[0]
            rest = radius**2 - (px - x) ** 2 - (pz - z) ** 2
            inside = (rest > 0) & (s["gone"][:, disc, None] == 0)
            paint = s["colour"][:, 3 * disc : 3 * disc + 3]
            colour = [torch.where(inside, paint[:, i, None], c) for i, c in enumerate(colour)]
            depth = torch.where(inside, 1.5 - ahead - rest.clamp(min=0).sqrt(), depth)
        shape = self.num_envs, self.resolution, self.resolution
        colour[0] = colour[0] + self.tint
        lit = (self.light.unsqueeze(-1) * torch.stack(colour, -1)).clamp(0, 255).to(torch.uint8)
        return lit.view(*shape, 3), depth.view(*shape, 1)


def _spread(pairs: Tensor) -> Tensor:
    """From what each pair's second disc gets (N, 3, 2) to what each disc gets."""
    a, b, c = pairs.unbind(1)
    return torch.stack([-a - b, a - c, b + c], 1)


class Push:
    """Actions of chance, each held for a few steps; ``expert`` goes right."""

    def __init__(self, env: BallWorld, seed: int, expert: bool = False) -> None:
        self.generator, self.n, self.expert, self.count = torch.Generator().manual_seed(seed), env.num_envs, expert, 0

    def act(self, observation: dict[str, Any]) -> Tensor:
        if self.count % 6 == 0:
            self.action = 2 * torch.rand(self.n, 2, generator=self.generator) - 1
        self.count += 1
        return torch.tensor([[1.0, 0.0]]).expand(self.n, 2).clone() if self.expert else self.action.clone()


class BallBody:
    """Fulfils :class:`sage_ext.cycle.Body`; ``world`` makes the environment."""

    def __init__(self, world: Callable[..., BallWorld] = BallWorld, **options: Any) -> None:
        self.world, self.options = world, options

    def environment(self, config: Any) -> BallWorld:
        task = config.task
        self.env = self.world(task.num_envs, task.steps, task.resolution, **self.options)
        return self.env

    def policy(self, name: str, env: Any, seed: int) -> Push:
        return Push(env, seed, name == "expert")

    def disturbance(self, env: Any) -> float:
        return 0.25


def sense_names(env: BallWorld) -> list[str]:
    return list(env.single_observation_space["policy"])  # type: ignore[call-overload]
