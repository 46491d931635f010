"""Run folders: one a run, with its config, memory, checkpoints, state and results."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from .config import Config, load_config
from .context.layout import CONTEXT_WIDTH
from .errors import SageError

LATEST = "latest"
_STAMP = "%Y%m%d-%H%M%S"
_NAME = re.compile(r"\d{8}-\d{6}-.+")
_RESERVE = 10**9
"""Bytes for what is no memory: checkpoints, TensorBoard, pictures."""


class Run:
    """An open run folder.

    One process at a time works in it; its lock ends with the process. Make one with :meth:`create` or :meth:`open`,
    close it with :meth:`close` or a ``with`` block.

    Attributes:
        path: The folder.
        config: Its resolved config.
        memory: Folder of the memory; it and what follows may not exist yet.
        checkpoint: Folder of the checkpoint.
        kept: Folder of the moments that sleep kept.
        policy: Folder of the policy that has been learned, if any; ``acting`` is where it is being learned.
        tensorboard: Folder of the event files.
        summary: JSON file of the results.
        dreams: Picture of the dreams.
        scenes: The dreams that are kept, see :mod:`sage_ext.dream_file`.
        lessons: Folder of the dreams that fooled the mind.
        judge: Folder of the checkpoint of the mind's judge.
        log: What the simulator said.
    """

    def __init__(self, path: Path, config: Config, lock: IO[str] | None) -> None:
        self.path, self.config, self._lock = path, config, lock
        self.memory = path / "memory"
        self.checkpoint = path / "checkpoint"
        self.kept = path / "kept"
        self.policy, self.acting = path / "policy", path / "acting"
        self.tensorboard = path / "tensorboard"
        self.summary = path / "summary.json"
        self.dreams = path / "dreams.png"
        self.scenes = path / "dreams.safetensors"
        self.lessons = path / "lessons"
        self.judge = path / "judge"
        self.log = path / "simulator.log"

    @classmethod
    def create(cls, config: Config) -> Run:
        """Make the folder ``<runs>/<date>-<time>-<task>[-name]`` of a new run and open it.

        Raises:
            SageError: The disk is too small for what the config remembers, or the folder cannot be made.
        """
        runs = Path(config.runs)
        _check_disk(config, runs)
        when = datetime.datetime.now()
        tail = "-".join(filter(None, (config.task.id, config.name)))
        try:
            runs.mkdir(parents=True, exist_ok=True)
            while True:
                stamp = when.strftime(_STAMP)
                # One stamp a run: names then sort by age, and "latest" means one.
                if not any(runs.glob(f"{stamp}-*")):
                    with contextlib.suppress(FileExistsError):
                        path = runs / f"{stamp}-{tail}"
                        path.mkdir()
                        break
                when += datetime.timedelta(seconds=1)
            run = cls(path, config, _locked(path))
            run.write_config(config)
        except OSError as error:
            problem = f"cannot be written ({error.strerror})"
            raise SageError("runs", runs, problem, "set runs=FOLDER to a writable folder") from error
        return run

    @classmethod
    def open(cls, which: str | Path, runs: str | Path | None = None, lock: bool = True) -> Run:
        """Open an existing run.

        Args:
            which: Its folder, its name below ``runs``, or ``latest``.
            runs: Folder of the run folders; the config's own by default.
            lock: Without it, only for reading.

        Raises:
            SageError: There is none, its config is corrupt, or another process works in it.
        """
        path = Path(which)
        if not (path / "config.yaml").is_file():
            folder = Path(load_config().runs if runs is None else runs)
            found = sorted(p for p in folder.glob("*") if _NAME.fullmatch(p.name) and (p / "config.yaml").is_file())
            if str(which) == LATEST:
                if not found:
                    raise SageError("run", which, f"there is no run in {folder}", "start one: sage-ext cycle")
                path = found[-1]
            elif (folder / path / "config.yaml").is_file():
                path = folder / path
            elif path.is_dir():
                raise SageError("run", which, "has no config.yaml, so it is no run", "give a run folder, or latest")
            else:
                newest = found[-1] if found else "sage-ext cycle, which makes one"
                raise SageError("run", which, "does not exist", f"use {newest}")
        held = _locked(path) if lock else None
        try:
            return cls(path, Config.from_yaml(path / "config.yaml"), held)
        except BaseException:
            if held is not None:
                held.close()
            raise

    @property
    def state(self) -> dict[str, Any]:
        """How far the run is, as last written; empty before that.

        Raises:
            SageError: The file is corrupt.
        """
        return _read(self.path / "state.json", "restore it or start a new run")

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Replace the state: after a kill there is the old or the new one."""
        write_whole(self.path / "state.json", as_json(state))

    def read_summary(self) -> dict[str, Any]:
        """The results, as last written; empty before that.

        Raises:
            SageError: The file is corrupt.
        """
        return _read(self.summary, "delete it and continue the run")

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Replace the results."""
        write_whole(self.summary, as_json(summary))

    def write_config(self, config: Config) -> None:
        """Replace the config."""
        self.config = config
        write_whole(self.path / "config.yaml", config.to_yaml())

    def close(self) -> None:
        """Unlock the folder."""
        if self._lock is not None:
            self._lock.close()

    def discard(self) -> None:
        """Remove the folder, and the folder of the run folders with it if nothing else is in there."""
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.path.parent.rmdir()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def needed_bytes(config: Config) -> int:
    """Disk that a run takes at most: RGB and depth, other senses, snapshot and context a step, and a reserve."""
    steps = min(config.wake.episodes * config.task.steps * config.cycles, config.memory.capacity)
    pixel = 9 if config.task.segmentation else 7
    kept = min(config.sleep.keep, config.sleep.consolidations) * (config.sleep.history + 2 * config.sleep.steps)
    contexts = 2 * CONTEXT_WIDTH * steps if config.wake.policy == "sage" else 0
    return (steps + kept) * (config.task.resolution**2 * pixel + 8000) + contexts + _RESERVE


def _check_disk(config: Config, runs: Path) -> None:
    there = next(p for p in (runs.absolute(), *runs.absolute().parents) if p.exists())
    if not there.is_dir():
        raise SageError("runs", config.runs, f"{there} is a file", "set runs=FOLDER")
    need, free = needed_bytes(config), shutil.disk_usage(there).free
    if free < need:
        problem = f"disk has {free / 1e9:.1f} GB free, this run needs {need / 1e9:.1f} GB"
        raise SageError(
            "runs", config.runs, problem, "free space, set runs=FOLDER on another disk, or wake.episodes lower"
        )


def _locked(path: Path) -> IO[str]:
    try:
        file = open(path / "lock", "a+", encoding="utf-8")  # noqa: SIM115  held open for as long as the run
    except OSError as error:
        raise SageError("run", path, f"cannot be locked ({error.strerror})", "make it writable") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip() or "another one"
        file.close()
        raise SageError("run", path, f"is in use by process {holder}", "wait for that one or stop it") from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def as_json(data: Mapping[str, Any]) -> str:
    """As the text of a JSON file."""
    return json.dumps(data, indent=1) + "\n"


def _read(path: Path, mend: str) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SageError(path.stem, path, f"cannot be read ({error.strerror})", "check its permissions") from error
    except ValueError as error:
        raise SageError(path.stem, path, "is corrupt: no JSON", mend) from error
    if not isinstance(data, dict):
        raise SageError(path.stem, path, "is corrupt: holds no keys", mend)
    return data


def write_whole(path: Path, text: str, sync: bool = True) -> None:
    """Replace a file: after a kill there is the old or the new one.

    Args:
        path: The file.
        text: What it holds from then on.
        sync: Let it outlast the machine's end, too.

    Raises:
        SageError: The disk refuses.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise SageError(path.stem, path, f"cannot be written ({error.strerror})", "free disk space") from error
    finally:
        temporary.unlink(missing_ok=True)
