"""Checked dataclasses: their dotted keys, and making them from plain nested values."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from .config_checks import nearest, shown
from .errors import SageError


@cache
def keys(cls: type, prefix: str = "") -> tuple[str, ...]:
    """Every dotted key of a config class, in its order."""
    found: list[str] = []
    for name, kind in get_type_hints(cls).items():
        inner = isinstance(kind, type) and dataclasses.is_dataclass(kind)
        found += keys(kind, f"{prefix}{name}.") if inner else [prefix + name]
    return tuple(found)


def flat(config: Any) -> dict[str, Any]:
    """Dotted key -> value of a config, in the order of :func:`keys`."""
    return {key: _get(config, key) for key in keys(config.__class__)}


def unknown_key(key: str, value: object, known: Iterable[str]) -> SageError:
    """The error for a key that does not exist, with the nearest that does."""
    return SageError(key, shown(value), "unknown key", f"use {nearest(key, known, 'a key that sage-ext info lists')}")


def build(cls: type, data: object, prefix: str) -> Any:
    """Make a config class from plain nested values, each of its key's type; ranges are not checked.

    A key may be missing if its field has a default.

    Args:
        cls: The dataclass.
        data: Its keys and values.
        prefix: What stands before its keys in errors, with the dot.

    Raises:
        SageError: A key is unknown or missing, or a value is of the wrong type.
    """
    if not isinstance(data, Mapping):
        names = ", ".join(f.name for f in dataclasses.fields(cls))
        raise SageError(
            prefix.rstrip("."), shown(data), f"must be a block of {names}", f"set {prefix}{names.split(',')[0]}=..."
        )
    hints = get_type_hints(cls)
    for name, value in data.items():
        if name not in hints:
            raise unknown_key(f"{prefix}{name}", value, keys(cls, prefix))
    newer = {f.name for f in dataclasses.fields(cls) if f.default is not dataclasses.MISSING}
    for name in hints:
        if name not in data and name not in newer:
            raise SageError(prefix + name, "", "is missing", "set it")
    return cls(**{name: _convert(hint, data[name], prefix + name) for name, hint in hints.items() if name in data})


def _convert(hint: Any, value: Any, key: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return build(hint, value, f"{key}.")  # type: ignore[arg-type]
    if isinstance(hint, types.UnionType):
        return None if value is None else _convert(get_args(hint)[0], value, key)
    if get_origin(hint) is tuple:
        entries = get_args(hint)
        many = entries[-1] is Ellipsis
        if isinstance(value, list | tuple) and (many or len(value) == len(entries)):
            return tuple(_convert(entries[0], entry, key) for entry in value)
        count = "a list" if many else f"a list of {len(entries)}"
        raise SageError(key, shown(value), f"must be {count}", f"write {key}=[{'a,b,...' if many else 'low,high'}]")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int and number and value == value and abs(value) != float("inf") and int(value) == value:
        return int(value)
    if hint is float and number:
        return float(value)
    if hint is bool and isinstance(value, bool):
        return value
    if hint is str and (isinstance(value, str) or number):
        return str(value)
    kinds = {int: ("a whole number", "1"), float: ("a number", "0.5"), bool: ("true or false", "true")}
    kind, example = kinds.get(hint, ("text", "text"))
    raise SageError(key, shown(value), f"must be {kind}", f"write it like {key}={example}")


def _get(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = getattr(config, part)
    return config
