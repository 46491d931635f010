"""Hydra's part of the config: composing the YAML files, with errors that say what to mend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from .config_build import keys, unknown_key
from .config_checks import nearest, shown
from .errors import SageError
from .paths import config_dir

PRESET, TASK = "preset", "task"

Options = dict[str, tuple[str, ...]]
"""Group -> names of its files."""


def compose_dict(
    cls: type, tokens: tuple[str, ...], base: Mapping[str, Any] | None = None, file: str = "config"
) -> dict[str, Any]:
    """Compose the files, or change a base, as nested plain values; types and ranges are not checked here.

    Args:
        cls: The config class that the values are for: it says which keys there are.
        tokens: ``key=value``; a task may be chosen by its id as well as by its file.
        base: Values to change instead of composing files.
        file: The file in ``config/`` that names the groups.

    Raises:
        SageError: A token cannot be read, or names no key or option.
    """
    options = _options(file)
    tokens = tuple(_by_file(token) for token in tokens)
    overrides = [_parse(cls, options, token) for token in tokens]
    try:
        config = _compose(file, tokens) if base is None else _change(options, base, overrides)
        found = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        cause = " ".join(str(error).split())[:200]
        raise SageError("config", " ".join(tokens), f"cannot be composed ({cause})", "see sage-ext info") from error
    return {str(k): v for k, v in found.items()}  # type: ignore[union-attr]


def groups() -> Options:
    """Group -> its options: the folders of ``config/`` and the files in each."""
    folders = sorted(p for p in config_dir().iterdir() if p.is_dir() and not p.name.startswith(("_", ".")))
    return {p.name: tuple(sorted(f.stem for f in p.glob("*.yaml"))) for p in folders}


def presets() -> dict[str, str]:
    """Preset -> what its file says of itself in its comments."""
    about = {}
    for name in groups()[PRESET]:
        lines = (config_dir() / PRESET / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        said = [line[1:].strip() for line in lines if line.startswith("#") and "@package" not in line]
        about[name] = " ".join(said)
    return about


@cache
def task_files() -> dict[str, str]:
    """Id of a task -> the file in ``config/task`` that chooses it."""
    files = {name: config_dir() / TASK / f"{name}.yaml" for name in groups()[TASK]}
    return {OmegaConf.load(file).id: name for name, file in files.items()}


def _options(file: str) -> Options:
    """The groups that a file names in its defaults."""
    defaults = OmegaConf.load(config_dir() / f"{file}.yaml").defaults
    named = {name for entry in defaults if entry != "_self_" for name in entry}
    return {name: choices for name, choices in groups().items() if name in named}


def _by_file(token: str) -> str:
    key, _, text = token.partition("=")
    return f"{TASK}={task_files()[text]}" if key == TASK and text in task_files() else token


def _parse(cls: type, options: Options, token: str) -> Override:
    """Read one token and check that what it names exists."""
    mend = "write key=value, such as seed=1"
    for group, names in ((PRESET, options.get(PRESET, ())), (TASK, (*options[TASK], *task_files()))):
        if token in names:
            mend = f"write {group}={token}"
    key, equals, text = token.partition("=")
    if not equals or not key.strip():
        raise SageError("override", token, "is no key=value", mend)
    if key[0] in "+~":
        raise SageError(key, text, "keys can be neither added nor removed", f"write {key.lstrip('+~')}={text}")
    try:
        (override,) = OverridesParser.create().parse_overrides([token])
    except HydraException as error:
        problem = "cannot be read as a value"
        raise SageError(key, text, problem, f"quote it: '{key}=\"...\"', or write a list as [a,b]") from error
    if override.type != OverrideType.CHANGE or override.is_sweep_override():
        raise SageError(key, text, "gives several values", f"one run has one: {key}=VALUE, or a list as [a,b]")
    known = keys(cls)
    inner = {k.rsplit(".", n)[0] for k in known for n in range(1, k.count(".") + 1)}
    if PRESET in options and override.key_or_group.rstrip("s") == PRESET != override.key_or_group:
        raise SageError(key, text, "unknown key", f"use {PRESET}={text}")
    if override.package is not None:
        raise unknown_key(key, text, known)
    if override.key_or_group not in options:
        for name, value in _named(override.key_or_group, override.value()):
            if name not in {*known, *inner}:
                raise unknown_key(name, value, known)
    for _ in _chosen(options, override):
        pass
    return override


def _named(key: str, value: object) -> Iterator[tuple[str, object]]:
    """Every key that an override sets: its own, and those in a ``{...}``."""
    yield key, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _named(f"{key}.{name}", inner)


def _chosen(options: Options, override: Override) -> Iterator[tuple[str, str]]:
    """The group options that an override chooses; none for an override of values.

    Raises:
        SageError: There is no such option.
    """
    group, value = override.key_or_group, override.value()
    names = options.get(group)
    if names is None:
        return
    for name in value if isinstance(value, list) and group == PRESET else [value]:
        if str(name) not in names:
            mend = nearest(name, (*names, *(task_files() if group == TASK else ())), "")
            problem = f"is none of the {'presets' if group == PRESET else 'choices'} {', '.join(names)}"
            raise SageError(group, shown(name), problem, f"use {group}={mend or names[0]}")
        yield group, str(name)


def _compose(file: str, tokens: tuple[str, ...]) -> Any:
    GlobalHydra.instance().clear()  # Isaac Lab leaves one behind
    with initialize_config_dir(config_dir=str(config_dir()), version_base=None):
        return compose(file, overrides=list(tokens))


def _whole(group: str, name: str) -> Any:
    """A group's file with those of the group that it builds on; its own values win, as ``_self_`` stands last."""
    file: Any = OmegaConf.load(config_dir() / group / f"{name}.yaml")
    below = [other for other in file.pop("defaults", []) if other != "_self_"]
    return OmegaConf.merge(*(_whole(group, other) for other in below), file)


def _change(options: Options, base: Mapping[str, Any], overrides: list[Override]) -> Any:
    """Apply files first and values second, as Hydra does."""
    config: Any = OmegaConf.create(dict(base))
    values = []
    for override in overrides:
        chosen = list(_chosen(options, override))
        for group, name in chosen:
            file = _whole(group, name)
            config = OmegaConf.merge(config, file if group == PRESET else {group: file})
        if not chosen and override.key_or_group != PRESET:
            values.append(override)
    for override in values:
        OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
    return config
