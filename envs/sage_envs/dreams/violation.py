"""How laws are broken: in what the second branch of a scene differs from its twin, at its beginning and on the way."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from isaaclab.utils.math import quat_apply_inverse
from torch import Tensor

from .branch import Lived, Looks, glance, gone, put, velocities
from .plan import PULLED, Kind
from .stage import Staged

if TYPE_CHECKING:
    from ..sage_env import SageEnv

MET, APART = 0.02, 5e-4
"""An object counts as struck from this speed on [m/s], and branches as parted from this distance on [m]."""


class Violation:
    """What is broken in n worlds.

    Args:
        env: The environment.
        rows: Snapshots (n, S).
        kinds: Kind of violation a world.
        staged: Objects, places and times.
        steps: Looks T.
        difficulty: 0..1.
        generator: Source of chance, on the CPU.

    Attributes:
        at: Look of the violation (n,).
        mark: Object that the law is broken by (n,).
        first_rows: Snapshots of the twins (n, S).
        first_looks: How objects look, sound and weigh in them.
        second_looks: The same of the second branch.
    """

    def __init__(
        self,
        env: SageEnv,
        rows: Tensor,
        kinds: Sequence[Kind],
        staged: Staged,
        steps: int,
        difficulty: float,
        generator: torch.Generator,
    ) -> None:
        self._env, self._kinds, self._staged, self._steps = env, kinds, staged, steps
        self.at, self._n = staged.at, len(rows)
        self.mark = torch.where(self.of("early-motion", "rebound"), staged.other, staged.body)
        self.mark = torch.where(self.of("rebound"), staged.body, self.mark)
        self._world = torch.arange(self._n, device=env.device)
        self._held: dict[str, Tensor] = {}
        self._size = torch.ones(self._n, device=env.device)
        self._place(rows)
        self._dress(difficulty, generator)

    def of(self, *changes: str) -> Tensor:
        """Which worlds show one of some changes (n,) bool."""
        return torch.tensor([kind.change in changes for kind in self._kinds], device=self._env.device)

    def _moves(self, *motions: str) -> Tensor:
        return torch.tensor([kind.motion in motions for kind in self._kinds], device=self._env.device)

    # -- how both begin ---------------------------------------------------------------------

    def _place(self, rows: Tensor) -> None:
        env, s = self._env, self._staged
        staged = s.fits & ~self._moves("none")
        rows = rows.clone()
        put(env, rows, staged, s.body, s.start, s.velocity)
        # What is struck stands in the way.
        pose = s.spot.clone()
        pose[:, 2] = env.sizes.half_height[: self._n][self._world, s.other]
        self._stands = pose
        struck = staged & self._moves("strike")
        put(env, rows, struck, s.other, pose)
        put(env, rows, staged & self.of("shape"), s.other, gone(pose, s.other))
        first, second = rows.clone(), rows
        put(env, first, staged & self.of("appear"), s.body, gone(s.start, s.body))
        put(env, first, staged & self.of("from-nothing"), s.body, s.spot)
        put(env, first, staged & self.of("rebound"), s.other, gone(pose, s.other))
        put(env, second, staged & self.of("vanish", "shape"), s.body, gone(s.start, s.body))
        put(env, second, staged & self.of("shape"), s.other, pose)
        put(env, second, staged & self.of("pass-through"), s.other, gone(pose, s.other))
        self.first_rows, self._second = first, second
        self._ready = staged

    def _dress(self, difficulty: float, generator: torch.Generator) -> None:
        env, s, n = self._env, self._staged, self._n
        looks = Looks.plain(env, n, self._steps)
        luck = torch.rand(n, 4, generator=generator).to(env.device)
        hidden = torch.tensor([kind.hidden for kind in self._kinds], device=env.device)
        # Away from the object's side, so that it leaves the picture.
        pose, (origin, quat) = s.spot[:, :3] + env.scene.env_origins[:n], (part[:n] for part in env.camera_pose())
        left = quat_apply_inverse(quat.contiguous(), (pose - origin).contiguous())[:, 1]
        looks.gaze = glance(s.at, self._steps, -left.sign()) * hidden.unsqueeze(1)
        first, second = looks, looks.copy()

        shift = (0.5 - 0.38 * difficulty) * torch.where(luck[:, 0] < 0.5, 1.0, -1.0)
        self._paint(first, self.of("colour", "shape"), luck[:, 1])
        self._paint(second, self.of("colour"), (luck[:, 1] + shift) % 1.0)
        self._paint(second, self.of("shape"), luck[:, 1])

        large = torch.where(luck[:, 0] < 1.0 - difficulty, 10.0, 2.0)
        # Ten times larger there is no room but for what was made smaller.
        base = torch.where((large > 5) | (luck[:, 2] < 0.5), 1.0 / large, 1.0)
        small, big, grow = base, base * large, self.of("grow")
        sized = self.of("grow", "shrink") & s.fits
        first.scale[self._world, s.body] = torch.where(sized, torch.where(grow, small, big), 1.0)
        second.scale[self._world, s.body] = torch.where(sized, torch.where(grow, big, small), 1.0)

        heavy = 8.0 ** (1.0 - 0.67 * difficulty)
        weighed, lighter = self.of("weight"), luck[:, 3] < 0.5
        one = torch.where(lighter, heavy**-0.5, heavy**0.5)
        first.masses[self._world, s.body] = torch.where(weighed, one, 1.0)
        second.masses[self._world, s.body] = torch.where(weighed, 1.0 / one, 1.0)

        sounding = self.of("material")
        second.voices[self._world, s.body] = torch.where(sounding, s.other, s.body)
        swapped = torch.where(sounding, s.body, second.voices[self._world, s.other])
        second.voices[self._world, s.other] = swapped

        # One branch shows the other's obstacle where it is not, or hides it where it is.
        feigned = self.of("pass-through", "rebound") & self._ready
        second.elsewhere[self._world, s.other] = feigned
        nowhere = self.of("rebound").unsqueeze(1)
        second.shown[self._world, s.other] = torch.where(nowhere, gone(self._stands, s.other), self._stands)
        self.first_looks, self.second_looks = first, second

        size = torch.where(grow, large, 1.0 / large)
        size = torch.where(weighed, one.reciprocal().square(), size)
        picture = (first.colors - second.colors)[self._world, s.body].norm(dim=1)
        self._size = torch.where(self.of("colour"), picture, torch.where(sized | weighed, size, 1.0))

    def _paint(self, looks: Looks, which: Tensor, hue: Tensor) -> None:
        """Give objects, and what takes their places, a colour of some hue (n,)."""
        colors = torch.tensor([colorsys.hsv_to_rgb(h, 0.75, 0.8) for h in hue.tolist()], device=which.device)
        for body in (self._staged.body, self._staged.other):
            looks.colors[self._world[which], body[which]] = colors[which]

    # -- what the twin tells ------------------------------------------------------------------

    def learn(self, twin: Lived) -> None:
        """Take from the twin what the second branch needs: where things come to lie, and how fast they are struck."""
        s, where = self._staged, twin.truth
        pose = where["object_pose"][self._world, s.at, s.body]
        halt = self.of("halt") & self._ready
        put(self._env, self._second, halt, s.body, pose)
        speed = where["object_velocity"][self._world, :, s.other]  # (n, T, 6)
        struck = speed[..., :3].norm(dim=-1) > MET
        self._hit = torch.where(struck.any(1), struck.float().argmax(1), self._steps)
        self._kick = speed[self._world, (self._hit + 1).clamp(max=self._steps - 1)]
        early = self.of("early-motion")
        self.at = torch.where(early, (self._hit - s.lead).clamp(2, self._steps - 2), self.at)

    def second_rows(self) -> Tensor:
        """Snapshots of the second branch (n, S)."""
        return self._second

    def act(self, tick: int) -> None:
        """Break laws that are broken on the way; called before each physics step."""
        env, s = self._env, self._staged
        hold, dt = env.cfg.decimation, env.physics_dt
        since = tick - self.at * hold
        data = env.loose.data
        begins = since == 0
        if bool(begins.any()) or not self._held:
            speed = data.body_com_vel_w.torch[: self._n][self._world, s.body].clone()
            held = self._held.setdefault("speed", speed)
            self._held["speed"] = torch.where(begins.unsqueeze(1), speed, held)
        gravity = env.physics.gravity[: self._n, 2]
        ready = self._ready & (since >= 0)
        pulled = (ready & self.of(*PULLED)).nonzero().squeeze(1)
        pull = self._held["speed"].clone()
        pull[:, 2] += (s.pull * (since + 1) - gravity) * dt
        still = torch.zeros_like(pull)
        still[:, 2] = -gravity * dt
        stopped = (ready & self.of("stop-dead")).nonzero().squeeze(1)
        kicked = (self._ready & begins & self.of("early-motion")).nonzero().squeeze(1)
        velocities(
            env,
            [
                (pulled, s.body[pulled], pull[pulled]),
                (stopped, s.body[stopped], still[stopped]),
                (kicked, s.other[kicked], self._kick[kicked]),
            ],
        )

    def meet(self, twin: Lived, other: Lived) -> Tensor:
        """Look of the violation (n,): of objects that pass or rebound, when the branches part."""
        s = self._staged
        gap = [b.truth["object_pose"][self._world, :, s.body, :3] for b in (twin, other)]
        parted = (gap[0] - gap[1]).norm(dim=-1) > APART
        parted &= torch.arange(self._steps, device=parted.device) > 1
        first = torch.where(parted.any(1), parted.float().argmax(1), self._steps - 1)
        first = torch.where(self.of("pass-through"), torch.minimum(first, self._hit), first)
        return torch.where(self.of("pass-through", "rebound"), first, self.at)

    def magnitude(self, twin: Lived, at: Tensor) -> Tensor:
        """How much is broken (n,); ``docs/dreams.md`` has the meaning and unit of each kind."""
        s, dt = self._staged, self._env.step_dt
        speed = twin.truth["object_velocity"][self._world, (at - 1).clamp(min=0), s.body, :3].norm(dim=-1)
        size = torch.where(self.of("stop-dead", "halt", "pass-through", "rebound"), speed, self._size)
        size = torch.where(self.of("from-nothing"), s.velocity[:, :3].norm(dim=-1), size)
        gravity = self._env.physics.gravity[: self._n, 2]
        size = torch.where(self.of(*PULLED), (s.pull - gravity).abs(), size)
        size = torch.where(self.of("early-sound", "wheels-follow"), s.lead * dt, size)
        size = torch.where(self.of("early-motion"), (self._hit - at) * dt, size)
        return torch.where(self.of("reversal"), (self._steps - at) * dt, size)
