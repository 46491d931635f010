"""What one step is made of: leaves with key, shape and dtype, kept as plain JSON beside the rows."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import torch
from tensordict import TensorDict
from torch import Tensor

from ..errors import SageError
from .disk import write_atomic

Key = str | tuple[str, ...]

ENDS = (("terminated",), ("truncated",))
SNAPSHOT = ("has_snapshot",)
_RESERVED = ("episode", "step")
_FORMAT, _VERSION = "sage-memory", 1


@dataclass(frozen=True)
class Leaf:
    """One tensor of a step: its nested key, its shape without batch axes, its dtype."""

    key: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def name(self) -> str:
        """The key as users write it."""
        return ".".join(self.key)

    @property
    def file(self) -> str:
        """Name of the leaf's file; quoted, so that no two keys share one and none leaves the folder."""
        return ".".join(quote(part, safe="").replace(".", "%2E") for part in self.key) + ".raw"

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of one step."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Schema:
    """The leaves of a step, in order."""

    leaves: tuple[Leaf, ...]

    @classmethod
    def of(cls, step: TensorDict) -> Schema:
        """Read the schema from one example step of batch size ``[]``.

        Raises:
            SageError: A leaf cannot be remembered, or an end flag is missing.
        """
        leaves = []
        for key, value in step.items(include_nested=True, leaves_only=True):
            parts = (key,) if isinstance(key, str) else tuple(key)
            if not isinstance(value, Tensor) or value.numel() == 0:
                raise SageError("step." + ".".join(parts), value, "is no tensor or an empty one", "leave it out")
            if parts[0] in _RESERVED:
                raise SageError("step", parts[0], "is a key that samples use themselves", "rename it")
            leaves.append(Leaf(parts, tuple(value.shape), value.dtype))
        schema = cls(tuple(sorted(leaves, key=lambda leaf: leaf.key)))
        for key in (*ENDS, SNAPSHOT):
            found = [leaf for leaf in leaves if leaf.key == key]
            if key in ENDS and not found:
                raise SageError("step", key[0], "is missing", "add it as a bool for each world")
            if found and (found[0].shape, found[0].dtype) != ((), torch.bool):
                raise SageError(f"step.{key[0]}", found[0].shape, "must be one bool for each world", "convert it")
        return schema

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of one step."""
        return sum(leaf.row_bytes for leaf in self.leaves)

    def select(self, keys: Sequence[Key] | None) -> list[Leaf]:
        """The leaves at or below the keys; all when ``keys`` is None.

        Raises:
            SageError: A key names nothing.
        """
        if keys is None:
            return list(self.leaves)
        chosen: dict[Leaf, None] = {}
        for key in keys:
            parts = (key,) if isinstance(key, str) else tuple(key)
            found = [leaf for leaf in self.leaves if leaf.key[: len(parts)] == parts]
            if not found:
                names = ", ".join(leaf.name for leaf in self.leaves)
                raise SageError("memory.keys", ".".join(parts), "is not remembered", f"use some of {names}")
            chosen.update(dict.fromkeys(found))
        return list(chosen)

    def check(self, steps: TensorDict) -> list[Tensor]:
        """The steps' tensors in the order of the leaves.

        Args:
            steps: One step of N worlds, batch size ``[N]``.

        Raises:
            SageError: Other keys, shapes or dtypes than those remembered.
        """
        if len(steps.batch_size) != 1 or not steps.batch_size[0]:
            raise SageError("step.batch_size", tuple(steps.batch_size), "must be (worlds,)", "batch one step of N")
        given = dict(steps.items(include_nested=True, leaves_only=True))
        values = []
        for leaf in self.leaves:
            value = given.pop(leaf.key if len(leaf.key) > 1 else leaf.key[0], None)
            if value is None:
                raise SageError("step", leaf.name, "is missing", "give every key that this memory was created with")
            if tuple(value.shape[1:]) != leaf.shape or value.dtype != leaf.dtype:
                raise SageError(
                    f"step.{leaf.name}", f"{tuple(value.shape)} {value.dtype}",
                    f"must be (worlds, *{leaf.shape}) {leaf.dtype}", "convert it or create another memory",
                )  # fmt: skip
            values.append(value)
        if given:
            raise SageError("step", next(iter(given)), "is not remembered here", "drop it or create another memory")
        return values


@dataclass(frozen=True)
class Meta:
    """What a memory's folder is: written once, never changed."""

    capacity: int
    max_episode_steps: int
    schema: Schema

    def save(self, path: Path) -> None:
        """Write as JSON, atomically."""
        leaves = [
            {"key": leaf.key, "shape": leaf.shape, "dtype": str(leaf.dtype).removeprefix("torch.")}
            for leaf in self.schema.leaves
        ]
        data = {"format": _FORMAT, "version": _VERSION, "capacity": self.capacity}
        data |= {"max_episode_steps": self.max_episode_steps, "leaves": leaves}
        write_atomic(path, (json.dumps(data, indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> Meta:
        """Inverse of :meth:`save`.

        Raises:
            SageError: There is no such file, or it does not describe a memory.
        """
        try:
            data = json.loads(path.read_bytes())
            if data["format"] != _FORMAT or data["version"] != _VERSION:
                raise ValueError(f"format {data['format']} {data['version']}, not {_FORMAT} {_VERSION}")
            leaves = []
            for entry in data["leaves"]:
                leaf = Leaf(tuple(map(str, entry["key"])), tuple(map(int, entry["shape"])), _dtype(entry["dtype"]))
                leaves.append(leaf)
            meta = cls(int(data["capacity"]), int(data["max_episode_steps"]), Schema(tuple(leaves)))
            if not 1 <= meta.max_episode_steps <= meta.capacity or not {leaf.key for leaf in leaves}.issuperset(ENDS):
                raise ValueError("impossible values")
            return meta
        except OSError as error:
            raise SageError(
                "memory.path", path, f"cannot be read ({error.strerror})", "point memory.path at a memory or create one"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SageError(
                "memory.path", path, f"is corrupt or of another format ({error})",
                "restore it, delete the memory's folder or set another memory.path",
            ) from error  # fmt: skip


def _dtype(name: str) -> torch.dtype:
    dtype = getattr(torch, name)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"no dtype {name}")
    return dtype
