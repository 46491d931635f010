"""Sets of dreams lived in parallel: each in shards, each shard by the next worker that is free.

What a shard holds depends on its task, seed, number and size alone, not on who made it or when. Workers are processes
of their own, since two simulators never share one; a lock on its file keeps a shard to one worker. A shard is
there once its ``.json`` is, so that all can be stopped at any time and go on later.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sage_ext.errors import SageError

from .held_out import REPOSITORY, in_parallel
from .table import say

SHARD = 2
"""Dreams of each kind in a shard, at most."""
LESSON_SHARD = 8
"""The same of a shard that holds lessons alone."""


@dataclass(frozen=True)
class Shard:
    """A part of the sets of a task and seed.

    Attributes:
        task: Id of the task.
        seed: Moves everything.
        number: Which of the task's and seed's.
        pairs: Dreams of each kind.
        folder: Where all are kept.
        lessons: Whether it holds lessons alone.
    """

    task: str
    seed: int
    number: int
    pairs: int
    folder: Path
    lessons: bool = False

    @property
    def path(self) -> Path:
        """What its files' names begin with."""
        alone = "-lessons" if self.lessons else ""
        return self.folder / f"{self.task}-{self.seed}" / f"{self.number:02}-{self.pairs}{alone}"

    @property
    def done(self) -> bool:
        """Whether it is there, whole."""
        return self.path.with_suffix(".json").exists()

    @property
    def name(self) -> str:
        """What its maker is told, beside task and folder; :meth:`of` reads it."""
        return f"{self.seed}:{self.number}:{self.pairs}:{int(self.lessons)}"

    @classmethod
    def of(cls, task: str, folder: Path, name: str) -> Shard:
        """Inverse of :attr:`name`."""
        seed, number, pairs, lessons = map(int, name.split(":"))
        return cls(task, seed, number, pairs, folder, bool(lessons))


def shards(task: str, seed: int, pairs: int, folder: Path, lessons: bool = False) -> list[Shard]:
    """What makes up ``pairs`` dreams of each kind; with ``lessons`` so many lessons and nothing else."""
    each = LESSON_SHARD if lessons else SHARD
    sizes = [min(each, pairs - first) for first in range(0, pairs, each)]
    return [Shard(task, seed, number, size, folder, lessons) for number, size in enumerate(sizes)]


def prepare(wanted: Sequence[Shard], workers: int, seconds: float | None = None) -> None:
    """Make the shards that are not there, the first of each task and seed first.

    Args:
        wanted: Shards.
        workers: Processes at once, each on one core.
        seconds: How long at most; what is not there then is left out. None waits for all.

    Raises:
        SageError: The simulator failed.
    """
    missing = sorted((s for s in wanted if not s.done), key=lambda s: (s.number, s.seed))
    if not missing:
        return
    end = None if seconds is None else time.monotonic() + seconds
    tasks = list(dict.fromkeys(s.task for s in missing))
    say(f"dreams: {len(missing)} shards of {', '.join(tasks)}, by {workers} at once")
    # Every task has as many workers; with fewer workers than tasks, one after the other.
    turns = [tasks[i % len(tasks)] for i in range(max(len(tasks), min(workers, len(missing))))]
    jobs = [(task, number, [s for s in missing if s.task == task]) for number, task in enumerate(turns)]
    codes: dict[int, int] = {}

    def work(turn: int) -> None:
        codes[turn] = _work(*jobs[turn], end)

    in_parallel([partial(work, turn) for turn in range(len(jobs))], workers)
    failed = [job for turn, job in enumerate(jobs) if codes[turn]]
    if failed and seconds is None:
        task, number, own = failed[0]
        raise SageError("dreams", task, f"failed, see {_log(own[0].folder, task, number)}", "run it by itself")


def _log(folder: Path, task: str, number: int) -> Path:
    return folder / f"{task}-worker{number}.log"


def _work(task: str, number: int, own: list[Shard], end: float | None) -> int:
    """Run a worker; gives its exit code, 0 where it was stopped because time is up."""
    left = None if end is None else end - time.monotonic()
    if left is not None and left <= 0:
        return 0
    own[0].folder.mkdir(parents=True, exist_ok=True)
    paths = os.pathsep.join([str(REPOSITORY / part) for part in ("", "envs", "tasks")])
    inherited = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    # Simulators live on the CPU: each on one core, and none opens the GPU.
    own_cpu = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([paths, *inherited])} | own_cpu
    names = [shard.name for shard in own]
    with open(_log(own[0].folder, task, number), "ab") as log:
        try:
            return subprocess.run(
                [sys.executable, "-m", "bench.dream_scenes", task, str(own[0].folder.absolute()), *names],
                cwd=REPOSITORY, env=environment, stdout=log, stderr=log, check=False, timeout=left,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            return 0


@contextmanager
def claimed(shard: Shard) -> Iterator[bool]:
    """Whether a shard is this process's to make: not there, and nobody else's. A killed owner owns nothing."""
    path = shard.path.with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield not shard.done
