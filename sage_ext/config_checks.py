"""What each config key may be, in one table, and what keys may be together.

The types come from the dataclasses of :mod:`sage_ext.config`; its defaults come from the YAML files. Tasks and engines
belong to ``sage_tasks``, which is asked if it is there and may be missing where no simulator is.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import SageError

if TYPE_CHECKING:
    from .config import Config, TaskConfig

STEPS_PER_SECOND = 30
"""Environment steps a simulated second, of every task."""


@dataclass(frozen=True)
class Rule:
    """What a value may be; of a list, what each entry may be.

    Attributes:
        allowed: In words, after "must be".
        holds: Whether a value is allowed.
        mend: What to set instead, given the value.
    """

    allowed: str
    holds: Callable[[Any], bool]
    mend: Callable[[Any], str]


def between(low: float, high: float, *, above: bool = False) -> Rule:
    """A number in ``low..high``; ``above`` leaves ``low`` itself out."""

    def mend(value: float) -> str:
        return f"set a number above {low:g}" if above and value <= low else f"set {low if value < low else high:g}"

    allowed = f"above {low:g} and at most {high:g}" if above else f"{low:g}..{high:.10g}"
    return Rule(allowed, lambda v: (low < v if above else low <= v) and v <= high, mend)


def or_null(inner: Rule) -> Rule:
    """What another rule allows, or null."""
    return Rule(f"null or {inner.allowed}", lambda v: v is None or inner.holds(v), inner.mend)


def one_of(*choices: str) -> Rule:
    """One of a few names."""
    return Rule(f"one of {', '.join(choices)}", choices.__contains__, lambda v: f"use {nearest(v, choices)}")


def pattern(expression: str, allowed: str, example: str) -> Rule:
    """Text of a certain form; null passes where the type allows it."""
    return Rule(allowed, lambda v: v is None or bool(re.fullmatch(expression, v)), lambda _: f"use {example}")


def listed(module: str, attribute: str) -> Rule:
    """One of the names that ``module.attribute`` lists; anything where that module is not installed."""
    try:
        return one_of(*getattr(importlib.import_module(module), attribute))
    except ImportError:
        return Rule(f"what {module} knows", lambda _: True, str)


_WEIGHT = between(0, 1e6)
_SHARE = between(0, 1)
# Its type says it all.
SWITCH = Rule("true or false", lambda v: isinstance(v, bool), lambda _: "use true or false")
_MOST = 10
_SCALE = between(0, _MOST, above=True)
_LIGHTEST, _HEAVIEST = 0.05, 20

RULES: dict[str, Rule | Callable[[], Rule]] = {
    "seed": between(0, 2**32 - 1),
    "cycles": between(1, 10**6),
    "runs": pattern(r".+", "a folder", "runs=runs"),
    "name": pattern(r"[A-Za-z0-9_.-]{1,64}", "null or up to 64 letters, digits, '_', '.', '-'", "name=first"),
    "after": pattern(r".+", "null or a run", "after=latest"),
    "task.id": lambda: listed("sage_tasks", "TASKS"),
    "task.difficulty": lambda: listed("sage_tasks.make", "DIFFICULTIES"),
    "task.noise": lambda: listed("sage_tasks.make", "NOISES"),
    "task.segmentation": SWITCH,
    "task.object_sizes": between(0.1, 10),
    "task.num_envs": between(1, 2**16),
    "task.physics": lambda: listed("sage_tasks.make", "ENGINES"),
    "task.device": pattern(r"cpu|cuda(:\d{1,3})?", "null, cpu or cuda:N", "task.device=null to choose by itself"),
    "task.resolution": between(16, 1024),
    "task.episode_length_s": between(0, 3600, above=True),
    "randomisation.gravity_scale": between(0, _MOST),
    "randomisation.static_friction_scale": between(0, _MOST),
    "randomisation.dynamic_friction_scale": between(0, _MOST),
    "randomisation.restitution_scale": between(0, 2),
    "randomisation.mass_scale": between(_LIGHTEST, _HEAVIEST),
    "randomisation.strength_scale": between(0, _MOST),
    "randomisation.size_scale": between(0.1, 10),
    "randomisation.yaw_deg": between(0, 180),
    "randomisation.pitch_deg": between(0, 60),
    "randomisation.shift_m": between(0, 1),
    "randomisation.color": between(0, 1),
    "randomisation.light": between(0, 4),
    "randomisation.light_turn_deg": between(0, 180),
    "memory.capacity": between(1, 10**9),
    "memory.snapshot_every": between(1, 10**6),
    "wake.policy": one_of("random", "expert", "sage"),
    "wake.episodes": between(1, 10**9),
    "wake.disturbance": or_null(between(0, 1)),
    "sleep.consolidations": between(1, 10**9),
    "sleep.batch": between(2, 2**16),
    "sleep.round": between(2, 2**20),
    "sleep.accumulate": between(1, 2**16),
    "sleep.passes": between(1, 10**4),
    "sleep.background": SWITCH,
    "sleep.replay": between(0, 1),
    "sleep.history": between(0, 10**4),
    "sleep.steps": between(2, 10**4),
    "sleep.rearranged_steps": between(1, 10**4),
    "sleep.keep": between(0, 10**7),
    "sleep.rehearsal": between(0, 100),
    "sleep.priority": _SHARE,
    "sleep.average": between(0, 0.999999),
    "sleep.lr": between(0, 1, above=True),
    "sleep.weight_decay": between(0, 10),
    "sleep.sense_dropout": between(0, 0.9),
    "sleep.weights.prediction": _WEIGHT,
    "sleep.weights.calibration": _WEIGHT,
    "sleep.weights.regularity": _WEIGHT,
    "sleep.weights.invariance": _WEIGHT,
    "sleep.weights.change": _WEIGHT,
    "sleep.weights.sighting": _WEIGHT,
    "sleep.weights.seeking": _WEIGHT,
    "sleep.weights.foresight": _WEIGHT,
    "sleep.weights.projections": between(1, 2**16),
    "sleep.variations.physical.share": _SHARE,
    "sleep.variations.physical.gravity_scale": _SCALE,
    "sleep.variations.physical.friction_scale": _SCALE,
    "sleep.variations.physical.mass_scale": between(_LIGHTEST, _HEAVIEST),
    "sleep.variations.physical.elsewhere": _SHARE,
    "sleep.variations.spatial.share": _SHARE,
    "sleep.variations.spatial.yaw_deg": between(0, 180),
    "sleep.variations.spatial.shift_m": between(0, 1),
    "sleep.variations.temporal.share": _SHARE,
    "sleep.variations.causal.share": _SHARE,
    "sleep.variations.rearranged.share": _SHARE,
    "sleep.variations.rearranged.color": _SHARE,
    "sleep.variations.rearranged.light": between(0.05, 2),
    "sleep.variations.rearranged.size": between(0.1, 10),
    "sleep.variations.temporal.speeds": Rule("0.5, 1 or 2", {0.5, 1.0, 2.0}.__contains__, lambda v: "use those"),
    "dream.explorations": between(1, 10**9),
    "dream.looks": between(2, 10**5),
    "dream.laws": lambda: listed("sage_envs.dream_kinds", "NAMES"),
    "dream.difficulty": between(0, 1),
    "dream.known": between(2, 10**9),
    "dream.calibration": between(2, 10**9),
    "dream.kept": between(0, 10**6),
    "act.objective": one_of("auto", "bc", "awr"),
    "act.updates": between(1, 10**9),
    "act.batch": between(1, 2**16),
    "act.steps": between(1, 10**4),
    "act.chunk": between(1, 1000),
    "act.h_every": between(1, 1000),
    "act.history": between(1, 10**4),
    "act.lr": between(0, 1, above=True),
    "act.weight_decay": between(0, 10),
    "act.average": between(0, 0.999999),
    "act.sense_dropout": between(0, 1),
    "act.discount": between(0, 0.9999),
    "act.temperature": between(0.01, 100),
    "act.rounds": between(0, 10**4),
    "act.episodes": between(1, 10**9),
}


def rule(key: str, rules: Mapping[str, Rule | Callable[[], Rule]] = RULES) -> Rule:
    """The rule of a key."""
    found = rules[key]
    return found if isinstance(found, Rule) else found()


def check(config: Config) -> None:
    """Check every value against its rule, and values against each other.

    Raises:
        SageError: The first that does not hold.
    """
    check_values(config.flat())
    check_length(config.task)
    for key, value, problem, mend in _conflicts(config):
        raise SageError(key, shown(value), problem, mend)


def check_values(values: Mapping[str, Any], rules: Mapping[str, Rule | Callable[[], Rule]] = RULES) -> None:
    """Check values by their dotted keys, each against its rule.

    Raises:
        SageError: The first that does not hold.
    """
    for key, value in values.items():
        now = rule(key, rules)
        if isinstance(value, float) and not math.isfinite(value):
            raise SageError(key, value, f"must be {now.allowed}", "set a finite number")
        if value == ():
            raise SageError(key, shown(value), "must have an entry", f"each is {now.allowed}")
        for entry in value if isinstance(value, tuple) else (value,):
            if not now.holds(entry):
                raise SageError(key, shown(value), f"must be {now.allowed}", now.mend(entry))
    for key, value in values.items():
        # Every pair of numbers but a list of choices is a range.
        if isinstance(value, tuple) and key.endswith(("_scale", ".light")) and value[0] > value[1]:
            raise SageError(key, shown(value), "must be [low, high]", f"set {shown(value[::-1])}")


def check_length(task: TaskConfig) -> None:
    """Check that an episode is a whole number of steps.

    Raises:
        SageError: It is not.
    """
    steps, exact = task.steps, task.episode_length_s * STEPS_PER_SECOND
    if abs(exact - steps) > 1e-6 or steps < 1:
        problem = f"must be a whole number of steps of 1/{STEPS_PER_SECOND} s"
        mend = f"set {max(steps, 1) / STEPS_PER_SECOND:.10g}"
        raise SageError("task.episode_length_s", shown(task.episode_length_s), problem, mend)


def _conflicts(config: Config) -> Iterator[tuple[str, object, str, str]]:
    task, sleep, dream = config.task, config.sleep, config.dream
    steps = task.steps
    need = task.num_envs * steps
    if config.memory.capacity < need:
        problem = f"is smaller than an episode of {steps} steps in each of {task.num_envs} worlds"
        yield "memory.capacity", config.memory.capacity, problem, f"set at least {need}"
    # What is taken from an episode has to fit into it.
    fastest = max(1.0, *sleep.variations.temporal.speeds)
    for key, value, most in (
        ("memory.snapshot_every", config.memory.snapshot_every, steps),
        ("sleep.steps", sleep.steps, 1 + int((steps - 1) / fastest)),
        ("sleep.history", sleep.history, steps - 1 - int((sleep.steps - 1) * fastest)),
        ("dream.looks", dream.looks, steps - 1),
    ):
        if value > most:
            yield key, value, f"does not fit into an episode of {steps} steps", f"set at most {most}"
    if sleep.round % sleep.batch:
        multiple = math.ceil(sleep.round / sleep.batch) * sleep.batch
        yield "sleep.round", sleep.round, f"must be a multiple of sleep.batch={sleep.batch}", f"set {multiple}"
    # What is drawn is varied once more when it is lived again, and must be physics still.
    physical, drawn = sleep.variations.physical, config.randomisation
    for name, varied, most in (
        ("gravity_scale", physical.gravity_scale[1], _MOST),
        ("static_friction_scale", physical.friction_scale[1], _MOST),
        ("dynamic_friction_scale", physical.friction_scale[1], _MOST),
        ("mass_scale", physical.mass_scale[1], _HEAVIEST),
    ):
        high = getattr(drawn, name)[1]
        if high * varied > most:
            problem = f"times the {varied:g} of sleep.variations.physical goes beyond {most:g}"
            yield f"randomisation.{name}", shown(getattr(drawn, name)), problem, f"set at most {most / varied:.3g}"
    least, varied = drawn.mass_scale[0], physical.mass_scale[0]
    if least * varied < _LIGHTEST:
        problem = f"times the {varied:g} of sleep.variations.physical goes below {_LIGHTEST:g}"
        mend = f"set at least {_LIGHTEST / varied:.3g}"
        yield "randomisation.mass_scale", shown(drawn.mass_scale), problem, mend
    shares = {name: values["share"] for name, values in dataclasses.asdict(sleep.variations).items()}
    if abs(sum(shares.values()) - 1) > 1e-6:
        rest = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        yield "sleep.variations.*.share", f"{sum(shares.values()):g}", f"must sum to 1 ({rest})", "set all of them"


def nearest(given: object, names: Iterable[str], fallback: str | None = None) -> str:
    """The name that was most likely meant; the fallback, else all of them, where none is near.

    A name may be meant by its last parts alone: ``num_envs`` for ``task.num_envs``.
    """
    names, text = list(names), str(given)
    ends = [name for name in names if name.endswith(f".{text}")]
    if ends:
        return ends[0]

    def likeness(name: str) -> float:
        parts = name.split(".")
        tails = [".".join(parts[i:]) for i in range(len(parts))]
        return max(difflib.SequenceMatcher(None, text.lower(), tail.lower()).ratio() for tail in tails)

    best = max(names, key=likeness, default=None)
    if best is not None and likeness(best) >= 0.6:
        return best
    return ", ".join(names) if fallback is None else fallback


def shown(value: object) -> str:
    """A value as the user would write it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(shown, value))}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{k}:{shown(v)}" for k, v in value.items()) + "}"
    return str(value)
