"""The config: YAML files, presets and ``key=value`` overrides, turned into checked, frozen dataclasses.

Defaults live in ``config/`` alone; the dataclasses say which keys there are and of which type, and
:mod:`sage_ext.config_checks` what they may be. A default in a dataclass is what runs had that are older than the key.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .config_build import build, flat
from .config_checks import STEPS_PER_SECOND, check
from .errors import SageError
from .paths import config_dir


@dataclass(frozen=True)
class TaskConfig:
    """Which worlds, how many, and for how long."""

    id: str
    difficulty: str
    noise: str
    segmentation: bool
    object_sizes: tuple[float, ...]
    num_envs: int
    physics: str
    device: str | None
    resolution: int
    episode_length_s: float

    @property
    def steps(self) -> int:
        """Environment steps of a full episode."""
        return round(self.episode_length_s * STEPS_PER_SECOND)


@dataclass(frozen=True)
class RandomisationConfig:
    """What differs from world to world, drawn at each reset; passed on to :mod:`sage_envs.randomisation`."""

    gravity_scale: tuple[float, float]
    static_friction_scale: tuple[float, float]
    dynamic_friction_scale: tuple[float, float]
    restitution_scale: tuple[float, float]
    mass_scale: tuple[float, float]
    strength_scale: tuple[float, float]
    size_scale: tuple[float, float]
    yaw_deg: float
    pitch_deg: float
    shift_m: float
    color: float
    light: tuple[float, float]
    light_turn_deg: float


@dataclass(frozen=True)
class MemoryConfig:
    """How much is remembered, and how often it can be lived again."""

    capacity: int
    snapshot_every: int


@dataclass(frozen=True)
class WakeConfig:
    """Who acts, for how many episodes over all worlds."""

    policy: str
    episodes: int
    disturbance: float | None


@dataclass(frozen=True)
class WeightsConfig:
    """Passed on to :class:`sage_ext.learning.objective.Weights`; its ``drop`` is ``sleep.sense_dropout``."""

    prediction: float
    calibration: float
    foresight: float
    regularity: float
    invariance: float
    change: float
    sighting: float
    seeking: float
    projections: int


@dataclass(frozen=True)
class PhysicalConfig:
    """Other gravity, friction and masses, as ranges of factors."""

    share: float
    gravity_scale: tuple[float, float]
    friction_scale: tuple[float, float]
    mass_scale: tuple[float, float]
    elsewhere: float


@dataclass(frozen=True)
class SpatialConfig:
    """Another viewpoint."""

    share: float
    yaw_deg: float
    shift_m: float


@dataclass(frozen=True)
class TemporalConfig:
    """Another speed."""

    share: float
    speeds: tuple[float, ...]


@dataclass(frozen=True)
class CausalConfig:
    """Other actions, those of another moment."""

    share: float


@dataclass(frozen=True)
class RearrangedConfig:
    """The loose objects elsewhere, all in other colours and sizes."""

    share: float
    color: float = 0.0
    light: tuple[float, float] = (1.0, 1.0)
    size: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class VariationsConfig:
    """What moments are lived again under."""

    physical: PhysicalConfig
    spatial: SpatialConfig
    temporal: TemporalConfig
    causal: CausalConfig
    rearranged: RearrangedConfig


@dataclass(frozen=True)
class SleepConfig:
    """How much is learned, from how much, how fast."""

    consolidations: int
    batch: int
    accumulate: int
    round: int
    passes: int
    background: bool
    replay: float
    history: int
    steps: int
    rearranged_steps: int
    lr: float
    weight_decay: float
    average: float
    sense_dropout: float
    weights: WeightsConfig
    variations: VariationsConfig
    keep: int = 0
    rehearsal: float = 0.0
    priority: float = 0.0


@dataclass(frozen=True)
class DreamConfig:
    """What is dreamt, and how it is judged."""

    explorations: int
    looks: int
    laws: tuple[str, ...]
    difficulty: float
    known: int
    calibration: int
    kept: int


@dataclass(frozen=True)
class ActConfig:
    """How acting is learned."""

    objective: str
    updates: int
    batch: int
    steps: int
    chunk: int
    h_every: int
    history: int
    lr: float
    weight_decay: float
    average: float
    sense_dropout: float
    discount: float
    temperature: float
    rounds: int
    episodes: int


@dataclass(frozen=True)
class Config:
    """Everything a run depends on."""

    seed: int
    cycles: int
    runs: str
    name: str | None
    task: TaskConfig
    randomisation: RandomisationConfig
    memory: MemoryConfig
    wake: WakeConfig
    sleep: SleepConfig
    dream: DreamConfig
    act: ActConfig
    after: str | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Config:
        """From plain nested values, checked.

        Raises:
            SageError: A key is unknown or missing, or a value is of the wrong type or out of range.
        """
        config: Config = build(cls, data, "")
        check(config)
        return config

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> Config:
        """Read what :meth:`to_yaml` wrote, checked as if it came from the command line.

        Raises:
            SageError: The file is missing, no YAML, or not a valid config.
        """
        import yaml

        try:
            data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise SageError("config", path, f"cannot be read ({error.strerror})", "check the path") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise SageError("config", path, "is corrupt: no YAML", "restore it or start a new run") from error
        if not isinstance(data, dict):
            raise SageError("config", path, "is corrupt: holds no keys", "restore it or start a new run")
        _add_newer_keys(data)
        try:
            return cls.from_dict(data)
        except SageError as error:
            raise SageError(
                "config", path, f"is not valid: {error.key}={error.value}: {error.problem}", error.mend
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """As plain nested dicts, lists, numbers and text."""
        return _plain(dataclasses.asdict(self))

    def to_yaml(self) -> str:
        """As YAML text, every key resolved."""
        import yaml

        text: str = yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)
        return text

    def flat(self) -> dict[str, Any]:
        """Dotted key -> value, in the order of the classes."""
        return flat(self)


def load_config(overrides: Sequence[str] = (), base: Config | None = None) -> Config:
    """The config of a new run: the YAML files, presets on top, the overrides on top of these.

    Args:
        overrides: Hydra's ``key=value`` tokens, ``preset=[one,two]`` among them.
        base: Start from this config instead of the YAML files: presets and values are applied to it in order.

    Raises:
        SageError: What is wrong, the nearest key or name, and what is allowed.
    """
    from .config_hydra import compose_dict

    return Config.from_dict(compose_dict(Config, tuple(overrides), None if base is None else base.to_dict()))


def _add_newer_keys(data: dict[str, Any]) -> None:
    """Give a run from before there was acting the defaults of what it does not know."""
    import yaml

    for block in ("wake", "act"):
        usual = yaml.safe_load((config_dir() / block / "default.yaml").read_text(encoding="utf-8"))
        if isinstance(data.get(block, {}), dict):
            data[block] = usual | data.get(block, {})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return list(value) if isinstance(value, tuple) else value
