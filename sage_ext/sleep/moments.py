"""Moments: stretches of memory beside the same stretches lived again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor

from ..config import SleepConfig
from ..environment import Environment, Observation
from ..learning import seeking, sighting
from ..learning.batch import Batch
from ..learning.changes import CHANGES, SENSED, evened, width
from ..learning.predictor import widened
from ..memory import Memory
from ..mind import with_speed
from .told import sighted, sought, what_changed
from .variations import Draw, draw, schedule, shown_sizes

Stretches = Callable[[int, int, torch.Generator, Sequence[str]], TensorDict]
KEPT = 0.5
"""Share of the moments with objects elsewhere in which one branch has them where they were."""
TIMED = ("remembered", "varied", "actions", "varied_actions", "change", "asked", "match", "sights", "sought")
"""What has an axis of looks."""


@dataclass
class Moments:
    """M moments of up to T looks, remembered and lived again from the same instant, which is the first look.

    Attributes:
        history: Sense -> looks before that instant (M, P, ...).
        remembered: Sense -> (M, T, ...).
        varied: The same moments under a variation.
        actions: What was done after each remembered look, and the logarithm of the speed 1 (M, T, A + 1).
        varied_actions: What was done after each varied look, and that of its speed (M, T, A + 1).
        change: Kind of change -> by how much the varied look differs (M, T, k).
        asked: Where that can be sensed (M, T, k) bool.
        match: For each varied look the remembered look of the same instant, or -1 (M, T).
        forget: Whether history is of no use, as time runs at another speed or another scene was seen (M,) bool.
        looks: How many looks each has (M,); beyond is nothing.
        sights: Branch -> where each loose object is in its pictures (M, T, 6 B), see
            :data:`~sage_ext.learning.sighting.TOLD`.
        sought: Branch -> the way to what is sought (M, T, 5), see :data:`~sage_ext.learning.seeking.TOLD`.
    """

    history: Observation
    remembered: Observation
    varied: Observation
    actions: Tensor
    varied_actions: Tensor
    change: Observation
    asked: Observation
    match: Tensor
    forget: Tensor
    looks: Tensor
    sights: Observation
    sought: Observation

    def __len__(self) -> int:
        return len(self.actions)

    def take(self, which: Tensor) -> Moments:
        """Some of the moments."""
        return Moments(**{f.name: _each(getattr(self, f.name), lambda v: v[which]) for f in fields(self)})

    def to(self, device: torch.device | str) -> Moments:
        """The same on another device."""
        return Moments(**{f.name: _each(getattr(self, f.name), lambda v: v.to(device)) for f in fields(self)})

    def batch(self, which: Tensor, device: torch.device) -> Batch:
        """Some moments, which have as many looks each, as a training batch."""
        looks = int(self.looks[which].max())
        chosen = {f.name: _pick(getattr(self, f.name), which, device) for f in fields(Batch) if hasattr(self, f.name)}
        for name in TIMED:
            chosen[name] = _each(chosen[name], lambda value: value[:, :looks])
        looked_before = any(v.shape[1] for v in self.history.values()) and not bool(self.forget[which].all())
        return Batch(**{**chosen, "history": chosen["history"] if looked_before else None})

    def seen(self, frames: int) -> Observation:
        """What was sensed in some of the varied branches, about so many looks: sense -> (m, T, ...)."""
        steps = self.actions.shape[1]
        whole = (self.looks == steps).nonzero().squeeze(1)
        if not len(whole):
            whole, steps = torch.arange(len(self)), int(self.looks.min())
        some = whole[: max(2, frames // steps)]
        return {k: v[some, :steps] for k, v in self.varied.items()}


def slice_length(config: SleepConfig) -> int:
    """Steps of memory a moment needs: those before its instant, and those of its fastest re-living."""
    return config.history + 1 + int((config.steps - 1) * max(1.0, *config.variations.temporal.speeds))


def looks_of(config: SleepConfig, family: str) -> int:
    """Looks of a family's moments: where things lie elsewhere already the first look tells."""
    return min(config.steps, config.rearranged_steps) if family == "rearranged" else config.steps


def relive_moments(
    env: Environment,
    memory: Memory,
    config: SleepConfig,
    count: int,
    first_call: int,
    generator: torch.Generator,
    stretches: Stretches | None = None,
) -> Moments:
    """Take moments from memory back into the simulator.

    Args:
        env: The environment; where its worlds stand afterwards is of no meaning.
        memory: Where the moments come from.
        config: What varies, and how long a moment is.
        count: How many moments.
        first_call: Number of the first call of the simulator, counted over the whole sleep.
        generator: Source of chance, on the CPU.
        stretches: Draws stretches of memory, given how many, their length, a generator and the keys that are read;
            None draws all alike.

    Raises:
        SageError: Memory holds no stretch that is long enough and has a snapshot at its instant.
    """
    plain = round(config.replay * count)
    parts: list[Moments] = [replay(memory, config, plain, env.num_objects, generator)] if plain else []
    keys = ["observation", "action", "snapshot"]
    for family in schedule(config.variations, -(-(count - plain) // env.num_envs), first_call):
        n = min(env.num_envs, count - sum(map(len, parts)))
        length = slice_length(config)
        if stretches is None:
            stretch = memory.sample_slices(n, length, generator, snapshot_at=config.history, keys=keys)
        else:
            stretch = stretches(n, length, generator, keys)
        drawn = draw(config.variations, family, n, generator)
        parts.append(_relive(env, stretch, drawn, config, generator))
    return joined(parts)


def joined(parts: Sequence[Moments]) -> Moments:
    """Moments of several origins as one, actions as wide as the widest, and as many loose objects as there are most."""
    if len(parts) == 1:
        return parts[0]
    width = max(p.actions.shape[-1] for p in parts)
    told = zip(*(evened([getattr(p, name) for p in parts]) for name in ("change", "asked", "sights")), strict=True)
    even = [
        replace(
            p,
            actions=widened(p.actions, width),
            varied_actions=widened(p.varied_actions, width),
            change=change,
            asked=asked,
            sights=sights,
        )
        for p, (change, asked, sights) in zip(parts, told, strict=True)
    ]
    return Moments(**{f.name: _join([getattr(p, f.name) for p in even]) for f in fields(Moments)})


def replay(memory: Memory, config: SleepConfig, n: int, bodies: int, generator: torch.Generator) -> Moments:
    """Moments of plain memory: two stretches that have nothing to do with each other take the branches' places.

    Args:
        memory: Where they come from.
        config: How long a moment is.
        n: How many.
        bodies: Loose objects of the scene.
        generator: Source of chance, on the CPU.
    """
    keys, past, looks = ["observation", "action"], config.history, config.steps
    pair = [memory.sample_slices(n, past + looks, generator, keys=keys) for _ in range(2)]
    senses = [{k: s["observation", k] for k in s["observation"].keys()} for s in pair]  # noqa: SIM118
    nothing = {kind: torch.zeros(n, looks, width(kind, bodies)) for kind in CHANGES if kind not in SENSED}
    nothing = {kind: value for kind, value in nothing.items() if value.shape[-1]}
    return Moments(
        history={k: v[:, :past] for k, v in senses[0].items()},
        remembered={k: v[:, past:] for k, v in senses[0].items()},
        varied={k: v[:, past:] for k, v in senses[1].items()},
        actions=with_speed(pair[0]["action"][:, past:], 1.0),
        varied_actions=with_speed(pair[1]["action"][:, past:], 1.0),
        change=nothing,
        asked={kind: torch.zeros_like(value, dtype=torch.bool) for kind, value in nothing.items()},
        match=torch.full((n, looks), -1),
        # The history is that of one branch alone.
        forget=torch.ones(n, dtype=torch.bool),
        looks=torch.full((n,), looks),
        sights={branch: torch.zeros(n, looks, sighting.TOLD * bodies) for branch in ("remembered", "varied")},
        sought={branch: torch.zeros(n, looks, seeking.TOLD) for branch in ("remembered", "varied")},
    )


def _relive(
    env: Environment, stretch: TensorDict, drawn: Draw, config: SleepConfig, generator: torch.Generator
) -> Moments:
    n, past, family = len(stretch), config.history, drawn.family
    looks = looks_of(config, family)
    senses = {k: stretch["observation", k] for k in stretch["observation"].keys()}  # noqa: SIM118
    now = {k: v[:, past] for k, v in senses.items()}
    rows, acted = stretch["snapshot"][:, past], stretch["action"][:, past:]
    # Other actions are those of another moment: as likely as its own, and nobody had to invent them.
    others = acted.roll(1, 0) if family == "causal" else acted
    anew = drawn.elsewhere or family == "spatial"
    arranged = partial(env.rearrange, generator=generator, lived_on=looks > 1)
    sizes: Sequence[Tensor | None] = (None, None)
    if family == "rearranged" and looks == 1 and env.feigns and config.variations.rearranged.size != (1.0, 1.0):
        # What is only looked at is neither felt nor heard, and may look larger than it is.
        sizes = shown_sizes(config.variations.rearranged.size, n, env.num_objects, generator).unbind()
    lived = env.relive(
        arranged(rows) if drawn.elsewhere else rows,
        others[:, : _steps(looks, drawn.speed)],
        gravity_scale=drawn.gravity,
        friction_scale=drawn.friction,
        mass_scale=drawn.mass,
        viewpoint=drawn.viewpoint,
        color=drawn.color,
        light=drawn.light,
        size=sizes[1],
        speed=drawn.speed,
        start=anew,
        located=True,
    )
    varied = _from_the_instant(now, lived, looks)
    if drawn.elsewhere:
        # A second arrangement takes the place of what is remembered, of which little is in view; but for some, as only
        # there a hand is where things are.
        kept = torch.rand(n, 1, generator=generator) < KEPT
        second = torch.where(kept.to(rows.device), rows, arranged(rows))
        plain = env.relive(
            second,
            acted[:, : looks - 1],
            color=drawn.color,
            light=drawn.light,
            size=sizes[0],
            start=True,
            located=True,
        )
        remembered = _from_the_instant(now, plain, looks)
    else:
        plain = env.relive(rows, acted[:, : looks - 1], senses=(), located=True)
        remembered = {k: v[:, past : past + looks] for k, v in senses.items()}
    # Look k comes k * speed steps after the instant.
    instant = torch.arange(looks) * drawn.speed
    told = (instant == instant.round()) & (instant <= looks - 1)
    if family == "causal" or drawn.elsewhere:
        told &= instant == (-1 if drawn.elsewhere else 0)
    depths = remembered["depth"], varied["depth"]
    # At half speed there may be a look more than is wanted.
    sights = plain["sight"], {k: v[:, :looks] for k, v in lived["sight"].items()}
    change, asked = what_changed(drawn, *sights, depths)
    lived_again = Moments(
        history={k: v[:, :past] for k, v in senses.items()},
        remembered=remembered,
        varied=varied,
        actions=with_speed(acted[:, :looks], 1.0),
        varied_actions=with_speed(
            torch.stack([_between(others, float(t), drawn.speed) for t in instant], dim=1), drawn.speed
        ),
        change=change,
        asked=asked,
        match=torch.where(told, instant.long(), -1).expand(n, looks),
        # What was looked at before was seen from elsewhere, or showed the objects elsewhere.
        forget=torch.full((n,), drawn.speed != 1.0 or anew),
        looks=torch.full((n,), looks),
        sights={"remembered": sighted(sights[0], depths[0]), "varied": sighted(sights[1], depths[1])},
        sought={"remembered": sought(sights[0]), "varied": sought(sights[1])},
    )
    return _padded(lived_again, config.steps)


def _padded(moments: Moments, steps: int) -> Moments:
    """With nothing after the last look, so that moments of all families have one shape."""

    def pad(value: Tensor) -> Tensor:
        missing = value.new_zeros(len(value), steps - value.shape[1], *value.shape[2:])
        return torch.cat([value, missing], 1)

    if moments.actions.shape[1] == steps:
        return moments
    return replace(moments, **{name: _each(getattr(moments, name), pad) for name in TIMED})


def _steps(looks: int, speed: float) -> int:
    """Steps of memory between the first and the last look."""
    return math.ceil((looks - 1) * speed)


def _from_the_instant(now: Observation, lived: dict[str, Observation], looks: int) -> Observation:
    """Looks from the instant on: what is remembered of it, seen anew where it was, then what was lived."""
    first = now | {k: v.cpu() for k, v in lived.get("start", {}).items()}
    after = lived.get("policy", {})
    if looks == 1:
        return {k: v.unsqueeze(1) for k, v in first.items()}
    return {k: torch.cat([first[k].unsqueeze(1), after[k].cpu()[:, : looks - 1]], 1) for k in after}


def _between(actions: Tensor, instant: float, speed: float) -> Tensor:
    """Mean action from an instant (in steps) until the next look (n, A)."""
    first = int(instant)
    last = max(first + 1, round(instant + speed))
    return actions[:, min(first, actions.shape[1] - 1) : last].mean(dim=1)


def _each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A tensor or each of a dict's, changed."""
    return {k: change(v) for k, v in value.items()} if isinstance(value, dict) else change(value)


def _pick(value: Any, which: Tensor, device: torch.device) -> Any:
    return _each(value, lambda v: v[which].to(device))


def _join(parts: list[Any]) -> Any:
    if isinstance(parts[0], dict):
        return {k: torch.cat([p[k] for p in parts]) for k in parts[0]}
    return torch.cat(parts)
