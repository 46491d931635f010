"""What ``sage-ext play`` can be told: a few bare keys, checked by the rules that runs have for the same things."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from .config import build
from .config_checks import Rule, between, nearest, pattern, rule, shown
from .errors import SageError
from .paths import config_dir


@dataclass(frozen=True)
class PlayConfig:
    """A policy, where it acts and for how long; defaults are those of ``config/play.yaml``."""

    task: str
    difficulty: str
    policy: str
    episodes: int
    num_envs: int
    seed: int
    physics: str
    device: str | None
    resolution: int
    episode_length_s: float | None
    video: bool
    video_worlds: int
    out: str | None


_AS_IN_RUNS = {
    "task": "task.id",
    "difficulty": "task.difficulty",
    "policy": "wake.policy",
    "episodes": "wake.episodes",
    "num_envs": "task.num_envs",
    "seed": "seed",
    "physics": "task.physics",
    "device": "task.device",
    "resolution": "task.resolution",
    "episode_length_s": "task.episode_length_s",
}
_OWN: dict[str, Rule] = {
    "video": Rule("true or false", lambda _: True, str),
    "video_worlds": between(1, 64),
    "out": pattern(r".+", "null or a folder", "out=plays/first"),
}


def play_rule(key: str) -> Rule:
    """What a key of :class:`PlayConfig` may be."""
    return _OWN[key] if key in _OWN else rule(_AS_IN_RUNS[key])


def load_play_config(tokens: Sequence[str] = ()) -> PlayConfig:
    """Read ``config/play.yaml`` and ``key=value`` tokens over it.

    Raises:
        SageError: A key is unknown, or a value of the wrong type or out of range.
    """
    data = yaml.safe_load((config_dir() / "play.yaml").read_text(encoding="utf-8"))
    names = [field.name for field in dataclasses.fields(PlayConfig)]
    for token in tokens:
        key, equals, text = token.partition("=")
        if not equals or not key:
            raise SageError(
                "setting", token, "is no key=value", f"write task={token}, or another of {', '.join(names)}"
            )
        if key not in names:
            raise SageError(key, text, "unknown key", f"use {nearest(key, names)}")
        try:
            data[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise SageError(key, text, "cannot be read as a value", f"quote it: {key}='\"...\"'") from error
    config: PlayConfig = build(PlayConfig, data, "")
    for key in names:
        value, now = getattr(config, key), play_rule(key)
        if value is not None and not now.holds(value):
            raise SageError(key, shown(value), f"must be {now.allowed}", now.mend(value))
    return config
