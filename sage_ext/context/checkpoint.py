"""Checkpoints: tensors as safetensors, everything else as JSON beside them.

``NAME.json`` names the tensor file it belongs to by content, ``NAME-<sha256, 12 digits>.safetensors``, and is
replaced last: whoever is killed while saving leaves the previous checkpoint whole, never half of each.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..errors import SageError
from .encoder import ContextEncoder
from .layout import GROUPS

FORMAT = 3
"""Version of the format, and of what a context's numbers mean; a reader refuses others."""

_NAME = "checkpoint"


@runtime_checkable
class Configured(Protocol):
    """A module that tells how to build it again."""

    def config(self) -> dict[str, Any]:
        """Architecture as plain JSON types."""
        ...


@dataclass
class Checkpoint:
    """What was read back.

    Attributes:
        modules: Name -> module with its weights, on the CPU.
        extra: What the writer added.
        optimizer: Optimizer state for :func:`restore_optimizer`; None if none was saved.
    """

    modules: dict[str, nn.Module]
    extra: dict[str, Any] = field(default_factory=dict)
    optimizer: tuple[dict[str, Tensor], dict[str, Any]] | None = None


def save(
    folder: str | Path,
    modules: nn.Module | Mapping[str, nn.Module],
    extra: Mapping[str, Any] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
) -> Path:
    """Write modules, and an optimizer for exact resumption, into a folder.

    Args:
        folder: Made if it does not exist; a checkpoint in it is replaced.
        modules: Named modules with a ``config()``; a bare module is named ``encoder``.
        extra: Anything JSON can hold.
        optimizer: Its state is kept too.

    Returns:
        Path of the JSON file.

    Raises:
        SageError: The disk is full or the folder cannot be written.
    """
    named = {"encoder": modules} if isinstance(modules, nn.Module) else dict(modules)
    tensors: dict[str, Tensor] = {}
    meta: dict[str, Any] = {
        "layout": {name: [g.family, g.width] for name, g in GROUPS.items()},
        "modules": {k: m.config() if isinstance(m, Configured) else {} for k, m in named.items()},
        "extra": dict(extra or {}),
    }
    for name, module in named.items():
        tensors |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
    if optimizer is not None:
        states, meta["optimizer"] = flatten_optimizer(optimizer)
        tensors |= {f"optimizer/{key}": value for key, value in states.items()}
    return save_state(Path(folder) / _NAME, tensors, meta)


def load(
    folder: str | Path,
    builders: Mapping[str, Callable[[dict[str, Any]], nn.Module]] | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> Checkpoint:
    """Read what :func:`save` wrote.

    Args:
        folder: Folder of the checkpoint.
        builders: Name -> function from the module's config to the module; modules without one are left out.
            By default the encoder alone.
        overrides: Name -> entries that replace those of its config, such as a spec with larger pictures.

    Raises:
        SageError: Missing, truncated, corrupt, of another format or layout, or no fit for the modules.
    """
    path = Path(folder) / f"{_NAME}.json"
    tensors, meta = load_state(path)
    layout = {name: [g.family, g.width] for name, g in GROUPS.items()}
    if meta.get("layout") != layout:
        raise SageError(str(path), "layout", "is another layout of the context", "use the version that wrote it")
    modules: dict[str, nn.Module] = {}
    for name, builder in (builders or {"encoder": ContextEncoder.from_config}).items():
        if name not in meta["modules"]:
            raise SageError(str(path), name, f"is not in it, only {', '.join(meta['modules'])}", "use another one")
        weights = {k.removeprefix(f"{name}/"): v for k, v in tensors.items() if k.startswith(f"{name}/")}
        try:
            module = builder({**meta["modules"][name], **(overrides or {}).get(name, {})})
            module.load_state_dict(weights)
        except (RuntimeError, KeyError, TypeError) as error:
            cause = " ".join(str(error).split())[:200]
            raise SageError(str(path), name, f"does not fit ({cause})", "use the version that wrote it") from error
        modules[name] = module
    states = {k.removeprefix("optimizer/"): v for k, v in tensors.items() if k.startswith("optimizer/")}
    return Checkpoint(modules, meta["extra"], (states, meta["optimizer"]) if "optimizer" in meta else None)


def flatten_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Optimizer state as named tensors and JSON: ``INDEX.NAME`` -> tensor, and the parameter groups."""
    state = optimizer.state_dict()
    tensors = {
        f"{index}.{name}": torch.as_tensor(value)
        for index, entries in state["state"].items()
        for name, value in entries.items()
        if value is not None
    }
    groups = [{k: v.item() if isinstance(v, Tensor) else v for k, v in g.items()} for g in state["param_groups"]]
    return tensors, {"type": type(optimizer).__name__, "param_groups": groups}


def restore_optimizer(optimizer: torch.optim.Optimizer, saved: tuple[Mapping[str, Tensor], Mapping[str, Any]]) -> None:
    """Give an optimizer over the same parameters in the same order the state it was saved with.

    Args:
        optimizer: Of the same type.
        saved: :attr:`Checkpoint.optimizer`.

    Raises:
        SageError: Another type of optimizer, or other parameters.
    """
    tensors, meta = saved
    kind = type(optimizer).__name__
    if meta["type"] != kind:
        raise SageError("optimizer", kind, f"cannot take the state of {meta['type']}", f"use {meta['type']}")
    # JSON has no tuples; betas must come back as one for state_dicts to compare equal.
    groups = [{k: tuple(v) if k == "betas" else v for k, v in g.items()} for g in meta["param_groups"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, entries in state.items():
        moment = entries.get("exp_avg")
        if number >= len(parameters) or (moment is not None and moment.shape != parameters[number].shape):
            raise SageError("optimizer", f"parameter {number}", "is another one than was saved", "keep their order")
    try:
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    except ValueError as error:
        raise SageError("optimizer", kind, f"does not fit ({error})", "keep parameters and order") from error


def save_state(path: str | Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Path:
    """Write named tensors and JSON as one atomic whole.

    Args:
        path: ``NAME`` or ``NAME.json``; the tensors go to ``NAME-<hash>.safetensors`` beside it.
        tensors: Any dtypes and shapes; bits are kept.
        meta: Anything JSON can hold.

    Returns:
        Path of the JSON file.

    Raises:
        SageError: The disk is full, the folder cannot be written, or ``meta`` is no JSON.
    """
    path = Path(path).with_suffix(".json")
    # clone: safetensors refuses tensors that share memory; contiguous: and strided ones.
    plain = {k: v.detach().to("cpu", copy=True).contiguous() for k, v in tensors.items()}
    temporary: list[Path] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.append(_temporary(path))
        save_file(plain, temporary[0])
        digest, size = _hash(temporary[0]), temporary[0].stat().st_size
        data = path.with_name(f"{path.stem}-{digest[:12]}.safetensors")
        document = {"format": FORMAT, "tensors": data.name, "sha256": digest, "bytes": size, "meta": dict(meta)}
        text = json.dumps(document, indent=1, allow_nan=False)
        temporary.append(_temporary(path))
        temporary[1].write_text(text + "\n", encoding="utf-8")
        for file in temporary:
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        os.replace(temporary[0], data)
        os.replace(temporary[1], path)
    except (OSError, SafetensorError) as error:
        mend = "free disk space or choose another folder"
        raise SageError(str(path), "write", f"failed ({error})", mend) from error
    except (TypeError, ValueError) as error:
        raise SageError(str(path), "meta", f"is no JSON ({error})", "keep plain, finite values in it") from error
    finally:
        for file in temporary:
            file.unlink(missing_ok=True)
    for old in path.parent.glob(f"{path.stem}-{'[0-9a-f]' * 12}.safetensors"):
        if old != data:
            old.unlink(missing_ok=True)
    return path


def load_state(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save_state` wrote, bit for bit.

    Args:
        path: ``NAME`` or ``NAME.json``.

    Returns:
        The tensors and ``meta``.

    Raises:
        SageError: A file is missing, truncated, corrupt or of another format.
    """
    path = Path(path).with_suffix(".json")
    again = "save it again or use another checkpoint"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        version = document["format"]
    except FileNotFoundError as error:
        raise SageError("checkpoint", path, "does not exist", "check the path") from error
    except OSError as error:
        raise SageError("checkpoint", path, f"cannot be read ({error})", "check its permissions") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SageError("checkpoint", path, "is corrupt: no JSON of a checkpoint", again) from error
    if version != FORMAT:
        newer = isinstance(version, int) and version > FORMAT
        mend = "update sage-ext" if newer else "train it again, or use the version of sage-ext that wrote it"
        raise SageError("checkpoint", path, f"has format {version}, this reads {FORMAT}", mend)
    try:
        data, size, digest, meta = (
            path.with_name(document["tensors"]),
            document["bytes"],
            document["sha256"],
            document["meta"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SageError("checkpoint", path, f"is corrupt: entry {error} is missing or wrong", again) from error
    if not data.is_file():
        raise SageError("checkpoint", data, "does not exist", again)
    if data.stat().st_size != size:
        raise SageError("checkpoint", data, f"is truncated: {data.stat().st_size} of {size} bytes", again)
    if _hash(data) != digest:
        raise SageError("checkpoint", data, "is corrupt: its sha256 is not the one that was written", again)
    try:
        return load_file(data), meta
    except (SafetensorError, OSError) as error:
        raise SageError("checkpoint", data, f"is corrupt ({error})", again) from error


def _temporary(path: Path) -> Path:
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".tmp", dir=path.parent)
    os.close(handle)
    return Path(name)


def _hash(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
