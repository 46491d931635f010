"""What ``sage-ext play`` can be told: its own keys, and the blocks ``task`` and ``randomisation`` as runs have them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .config import RandomisationConfig, TaskConfig
from .config_build import build, flat
from .config_checks import RULES, SWITCH, Rule, between, check_length, check_values, pattern
from .config_hydra import compose_dict
from .context.layout import SENSES
from .errors import SageError
from .runs import Run

RULES_OF_PLAY: dict[str, Rule | Callable[[], Rule]] = {
    "policy": RULES["wake.policy"],
    "run": pattern(r".+", "null, a run folder, its name, or latest", "run=latest"),
    "missing": pattern("|".join(SENSES), f"null or one of {', '.join(SENSES)}", "missing=audio"),
    "episodes": RULES["wake.episodes"],
    "seed": RULES["seed"],
    "video": SWITCH,
    "video_worlds": between(1, 64),
    "out": pattern(r".+", "null or a folder", "out=plays/first"),
    **{key: rule for key, rule in RULES.items() if key.startswith(("task.", "randomisation."))},
}
"""What each key of a play may be."""


@dataclass(frozen=True)
class PlayConfig:
    """A policy, where it acts and for how long; defaults are those of ``config/play.yaml``."""

    policy: str
    run: str | None
    missing: str | None
    episodes: int
    seed: int
    video: bool
    video_worlds: int
    out: str | None
    task: TaskConfig
    randomisation: RandomisationConfig


def load_play_config(tokens: Sequence[str] = ()) -> PlayConfig:
    """The config of a play: ``config/play.yaml`` and the files it names, and ``key=value`` tokens over them.

    Where a run is named, its task and its randomisation are the defaults.

    Raises:
        SageError: A key is unknown, or a value of the wrong type or out of range; the run is not there.
    """
    config: PlayConfig = build(PlayConfig, compose_dict(PlayConfig, tuple(tokens), file="play"), "")
    check_values(flat(config), RULES_OF_PLAY)
    if config.policy != "sage":
        for key in ("run", "missing"):
            if getattr(config, key) is not None:
                problem = f"is nothing to policy={config.policy}"
                raise SageError(key, getattr(config, key), problem, "leave it out, or set policy=sage")
    elif config.run is None:
        raise SageError("run", "null", "policy=sage is learned in a run, and none is named", "set run=latest")
    else:
        usual = compose_dict(PlayConfig, (), file="play")
        lived = Run.open(config.run, lock=False).config.to_dict()
        usual["task"] = lived["task"] | {"num_envs": usual["task"]["num_envs"]}
        usual["randomisation"] = lived["randomisation"]
        config = build(PlayConfig, compose_dict(PlayConfig, tuple(tokens), usual, file="play"), "")
    check_length(config.task)
    # A world without an episode to count would be stepped for nothing.
    worlds = min(config.task.num_envs, config.episodes)
    return dataclasses.replace(config, task=dataclasses.replace(config.task, num_envs=worlds))
