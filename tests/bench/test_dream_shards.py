"""Dreams are lived in shards, each made once, by whoever is free, and whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import dream_shards
from bench.dream_shards import LESSON_SHARD, SHARD, Shard, claimed, prepare, shards
from sage_ext.errors import SageError


class Worker:
    """Stands for the simulators: makes the shards that a command names, as they do."""

    def __init__(self, fails: bool = False, slow: bool = False) -> None:
        self.fails, self.slow = fails, slow
        self.made: list[str] = []

    def __call__(self, command: list[str], **given: Any) -> subprocess.CompletedProcess[bytes]:
        assert command[1:3] == ["-m", "bench.dream_scenes"] and given["env"]["OMP_NUM_THREADS"] == "1"
        if self.slow:
            raise subprocess.TimeoutExpired(command, given["timeout"])
        if self.fails:
            return subprocess.CompletedProcess(command, 1)
        task, folder = command[3], Path(command[4])
        for name in command[5:]:
            shard = Shard.of(task, folder, name)
            with claimed(shard) as mine:
                if mine:
                    self.made.append(f"{task}:{name}")
                    shard.path.with_suffix(".json").touch()
        return subprocess.CompletedProcess(command, 0)


def wanted(folder: Path) -> list[Shard]:
    return [shard for task in ("A", "B") for seed in (0, 1) for shard in shards(task, seed, 2 * SHARD + 1, folder)]


def test_shards_make_up_the_whole(tmp_path: Path) -> None:
    found = shards("A", 0, 2 * SHARD + 1, tmp_path)
    assert [s.pairs for s in found] == [SHARD, SHARD, 1]
    assert len({s.path for s in wanted(tmp_path)}) == 12
    more = shards("A", 0, LESSON_SHARD + 1, tmp_path, lessons=True)
    assert [s.pairs for s in more] == [LESSON_SHARD, 1]
    assert not {s.path for s in more} & {s.path for s in wanted(tmp_path)}
    assert [Shard.of("A", tmp_path, s.name) for s in found + more] == found + more


@pytest.mark.parametrize("workers", [1, 5])
def test_each_shard_is_made_once_by_any_number_of_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    worker = Worker()
    monkeypatch.setattr(dream_shards.subprocess, "run", worker)
    prepare(wanted(tmp_path), workers)
    assert all(s.done for s in wanted(tmp_path))
    assert len(worker.made) == len(set(worker.made)) == 12
    if workers == 1:
        own = [name for name in worker.made if name.startswith("A")]
        assert own[:2] == [f"A:0:0:{SHARD}:0", f"A:1:0:{SHARD}:0"], "the first of each seed first"
    prepare(wanted(tmp_path), workers)
    assert len(worker.made) == 12, "what is there is not made again"


def test_a_shard_belongs_to_one_process_until_that_ends(tmp_path: Path) -> None:
    shard = Shard("A", 0, 0, 2, tmp_path)
    holds = """
import sys
from pathlib import Path
from bench.dream_shards import Shard, claimed
with claimed(Shard("A", 0, 0, 2, Path(sys.argv[1]))) as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", holds, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "True\n"
        with claimed(shard) as mine:
            assert not mine
        other.kill()
    with claimed(shard) as mine:
        assert mine, "a killed owner owns nothing"
        shard.path.with_suffix(".json").touch()
    with claimed(shard) as mine:
        assert not mine, "it is there"


def test_a_failure_is_told_and_time_that_is_up_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dream_shards.subprocess, "run", Worker(fails=True))
    with pytest.raises(SageError, match="dreams=A: failed, see .*A-worker0.log"):
        prepare(wanted(tmp_path), 2)
    monkeypatch.setattr(dream_shards.subprocess, "run", Worker(slow=True))
    prepare(wanted(tmp_path), 2, seconds=5.0)
    assert not any(s.done for s in wanted(tmp_path))
