"""What was complete outlives a kill, a torn file and a full disk."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import random
import resource
import signal
import time
import warnings

import pytest
import torch

from sage_ext.errors import SageError
from sage_ext.memory import Memory, disk

from .steps import Worlds, check_steps, check_whole, example


def fork(child) -> int:
    """Run ``child`` in a process of its own; its exit status is 0 unless it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        torch.set_num_threads(1)
        child()
        status = 0
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(status)


def filled(path, steps: int = 60, **kwargs) -> Worlds:
    worlds = Worlds(Memory.create(path, example(), max_episode_steps=20, **kwargs), 4, 20)
    for _ in range(steps):
        worlds.step()
    return worlds


def test_a_kill_at_any_instant_loses_no_complete_episode(tmp_path):
    path, chance = tmp_path / "m", random.Random()
    Memory.create(path, example(), 400, max_episode_steps=20).close()
    heads = []
    for count in range(10):
        told, tell = os.pipe()

        def write(tell=tell, count=count):
            worlds = Worlds(Memory.open(path), 3 + count % 2, 20, seed=count)
            done = 0
            while True:
                worlds.step()
                for episode in worlds.written[done:]:
                    os.write(tell, b"%d\n" % episode.id)
                done = len(worlds.written)

        pid = fork(write)
        os.close(tell)
        seen = os.read(told, 64)
        time.sleep(chance.uniform(0.0, 0.15))
        os.kill(pid, signal.SIGKILL)
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL
        while more := os.read(told, 1 << 20):
            seen += more
        os.close(told)
        with Memory.open(path) as memory:
            check_whole(memory)
            heads.append(memory.head)
            told_of = {int(line) for line in seen.split(b"\n")[:-1]}
            assert {i for i in told_of if i >= memory.head - 400} <= {e.id for e in memory.episodes}
            check_steps(memory.sample(20))
    assert heads == sorted(heads) and heads[-1] > 2 * 400


def test_the_head_is_claimed_before_rows_are_overwritten(tmp_path, monkeypatch):
    worlds = filled(tmp_path / "m", steps=200, capacity=400)
    calls = []
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: calls.append((fd, worlds.memory.head)) or real(fd, data, at))
    before = worlds.memory.head
    worlds.step()
    (first, _), *rest = calls
    assert first == worlds.memory._head._file.fileno()
    assert [head for _, head in rest] == [before + 4] * len(rest) and rest


def test_a_write_that_breaks_off_abandons_open_episodes(tmp_path, monkeypatch):
    worlds = filled(tmp_path / "m", capacity=400)
    memory, before = worlds.memory, worlds.memory.episodes
    real, left = os.pwrite, [2]

    def broken(fd, data, at):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return real(fd, data, at)

    monkeypatch.setattr(os, "pwrite", broken)
    with pytest.raises(KeyboardInterrupt):
        worlds.step()
    monkeypatch.undo()
    assert memory.episodes == before
    worlds.restart()
    for _ in range(40):
        worlds.step()
    check_whole(memory)
    assert len(memory.episodes) > len(before)


def test_reopening_finds_the_same(tmp_path):
    worlds = filled(tmp_path / "m", steps=150, capacity=400)
    episodes, steps, head = worlds.memory.episodes, len(worlds.memory), worlds.memory.head
    worlds.memory.flush()
    worlds.memory.close()
    with Memory.open(tmp_path / "m") as memory:
        assert (memory.episodes, len(memory), memory.head) == (episodes, steps, head)
        assert memory.capacity == 400 and memory.max_episode_steps == 20
        check_whole(memory)


def test_a_torn_journal_line_is_ignored_and_not_built_upon(tmp_path):
    worlds = filled(tmp_path / "m", capacity=400)
    episodes, journal = worlds.memory.episodes, tmp_path / "m" / "episodes.jsonl"
    worlds.memory.close()
    with open(journal, "ab") as file:
        file.write(journal.read_bytes().splitlines()[0][:-9])
    with Memory.open(tmp_path / "m") as memory:
        assert memory.episodes == episodes
        again = Worlds(memory, 4, 3)
        for _ in range(5):
            again.step()
        more = memory.episodes
        assert len(more) > len(episodes)
    with Memory.open(tmp_path / "m") as memory:
        assert memory.episodes == more


def test_the_journal_does_not_grow_without_end(tmp_path):
    worlds = Worlds(Memory.create(tmp_path / "m", example(), 40, max_episode_steps=4), 4, 4)
    most = 0
    for _ in range(1000):
        worlds.step()
        most = max(most, (tmp_path / "m" / "episodes.jsonl").read_bytes().count(b"\n"))
    assert len(worlds.written) > 1000 and most < 400
    episodes = worlds.memory.episodes
    worlds.memory.close()
    with Memory.open(tmp_path / "m") as memory:
        assert memory.episodes == episodes


def test_episodes_beyond_the_head_are_not_believed(tmp_path):
    filled(tmp_path / "m", capacity=400).memory.close()
    (tmp_path / "m" / "head").write_bytes((100).to_bytes(8, "little"))
    for _ in range(2):
        with Memory.open(tmp_path / "m") as memory:
            assert check_whole(memory)
            assert all(e.start + (e.length - 1) * e.stride < memory.head for e in memory.episodes)
            worlds = Worlds(memory, 4, 20, seed=5)
            for _ in range(40):
                worlds.step()
            check_whole(memory)


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("meta.json", lambda p: p.write_text(p.read_text()[:-20])),
        ("meta.json", lambda p: p.write_text(json.dumps(json.loads(p.read_text()) | {"version": 99}))),
        ("meta.json", lambda p: p.write_text(p.read_text().replace("int64", "load"))),
        ("meta.json", lambda p: p.write_text("[]")),
        ("meta.json", lambda p: p.unlink()),
        ("head", lambda p: p.write_bytes(b"123")),
        ("head", lambda p: p.unlink()),
        ("episodes.jsonl:2", lambda p: p.with_name("episodes.jsonl").write_text('{"start": 0}\n' * 3)),
        ("critic.mark.raw", lambda p: os.truncate(p.parent / "rows" / p.name, 100)),
        ("critic.mark.raw", lambda p: (p.parent / "rows" / p.name).unlink()),
    ],
)  # fmt: skip
def test_a_broken_folder_is_named(tmp_path, file, damage):
    filled(tmp_path / "m", steps=3, capacity=400).memory.close()
    damage(tmp_path / "m" / file)
    with pytest.raises(SageError) as caught:
        Memory.open(tmp_path / "m")
    assert file.split(":")[0] in str(caught.value) and caught.value.mend


def test_two_at_once_and_two_in_one_place_are_refused(tmp_path):
    memory = filled(tmp_path / "m", steps=3, capacity=400).memory
    with pytest.raises(SageError, match="in use"):
        Memory.open(tmp_path / "m")
    memory.close()
    with pytest.raises(SageError, match="holds a memory already"):
        Memory.create(tmp_path / "m", example(), max_episode_steps=20)
    with pytest.raises(ValueError):
        memory.append(torch.stack([example()]))
    with pytest.raises(SageError, match="cannot be written"):
        Memory.create("/proc/nowhere", example(), max_episode_steps=20)


def test_any_number_may_read_while_nobody_writes(tmp_path):
    filled(tmp_path / "m", steps=3, capacity=400).memory.close()
    before = {path: path.read_bytes() for path in (tmp_path / "m").rglob("*") if path.is_file()}
    with Memory.open(tmp_path / "m", shared=True) as one, Memory.open(tmp_path / "m", shared=True) as other:
        assert len(one) == len(other)
        with pytest.raises(SageError, match="in use"):
            Memory.open(tmp_path / "m")
        with pytest.raises(SageError, match="opened to be read"):
            one.append(torch.stack([example()]))
        with pytest.raises(SageError, match="opened to be read"):
            one.forget_since(0)
    with Memory.open(tmp_path / "m"), pytest.raises(SageError, match="in use"):
        Memory.open(tmp_path / "m", shared=True)
    assert before == {path: path.read_bytes() for path in before}


def test_a_full_disk_is_told_before_anything_is_written(tmp_path, monkeypatch):
    memory = Memory.create(tmp_path / "m", example(), 20_000, max_episode_steps=20)
    worlds, real, left = Worlds(memory, 100, 20), os.posix_fallocate, [13]

    def fallocate(fd, offset, size):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(fd, offset, size)

    monkeypatch.setattr(os, "posix_fallocate", fallocate)
    with pytest.raises(SageError, match=r"memory\.path=.*disk is full: needs .* MB, .* MB free; free space"):
        for _ in range(200):
            worlds.step()
    assert memory.head == worlds.memory.head == 4000 and check_whole(memory) == len(worlds.written)
    check_steps(memory.sample_slices(20, 3))
    left[0] = 10**9
    worlds.again()
    reserved = 10**9 - left[0]
    for _ in range(300):
        worlds.step()
    assert reserved and check_whole(memory)
    assert {e.id for e in memory.episodes} == {e.id for e in worlds.written if e.id >= memory.head - 20_000}
    assert 10**9 - left[0] == 5 * 10 - 10  # Five leaves, ten chunks, none twice but for the one that failed.


def test_what_a_copy_lost_is_reserved_again(tmp_path, monkeypatch):
    memory = Memory.create(tmp_path / "m", example(), 20_000, max_episode_steps=20)
    worlds, real, done = Worlds(memory, 100, 20), os.posix_fallocate, []
    for _ in range(60):
        worlds.step()
    memory.close()
    monkeypatch.setattr(os, "posix_fallocate", lambda fd, at, size: done.append((at, size)) or real(fd, at, size))
    with Memory.open(tmp_path / "m") as memory:
        Worlds(memory, 100, 20).step()
        assert {chunk for chunk in done if chunk[1] == 8 * 2048} == {(8 * 2048 * k, 8 * 2048) for k in range(3)}
        assert memory.head == 6100


def test_a_file_size_limit_in_mid_write_costs_only_open_episodes(tmp_path):
    worlds = filled(tmp_path / "m", capacity=4000)
    memory, before = worlds.memory, resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = 8 * 400 + 3  # Of the largest file, not on a row's edge.
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        with pytest.raises(SageError, match="limit of file size"):
            for _ in range(400):
                worlds.step()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    check_whole(memory)
    worlds.restart()
    for _ in range(100):
        worlds.step()
    assert check_whole(memory) == len(worlds.written)
    with pytest.raises(SageError, match="limit of file size"):
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
            Memory.create(tmp_path / "n", example(), max_episode_steps=20)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_journal_that_is_refused_is_written_later(tmp_path, monkeypatch):
    worlds = filled(tmp_path / "m", steps=40, capacity=4000)
    memory, real = worlds.memory, os.write

    def torn(fd, data):
        return real(fd, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", torn)
    known = len(memory.episodes)
    with pytest.raises(SageError, match=r"episodes\.jsonl: disk is full"):
        for _ in range(40):
            worlds.step()
    assert memory.episodes == sorted(worlds.written) and len(worlds.written) > known
    monkeypatch.undo()
    worlds.again()
    memory.close()
    with Memory.open(tmp_path / "m") as memory:
        assert memory.episodes == sorted(worlds.written)
        check_whole(memory)


def test_a_really_full_disk(tmp_path):
    """A 1 MB tmpfs in a mount namespace of its own, where a write through a mapping would be SIGBUS."""
    (tmp_path / "mount").mkdir()
    user, group = os.getuid(), os.getgid()

    def child():
        try:
            os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNS)
            for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
                with open(f"/proc/self/{name}", "w") as file:
                    file.write(text)
        except OSError:
            os._exit(77)
        target = str(tmp_path / "mount").encode()
        if ctypes.CDLL(None).mount(b"tmpfs", target, b"tmpfs", 0, b"size=1m"):
            os._exit(77)
        path, ballast = tmp_path / "mount" / "m", tmp_path / "mount" / "ballast"
        ballast.write_bytes(bytes(700_000))
        worlds = Worlds(Memory.create(path, example(), 20_000, max_episode_steps=20), 100, 20)
        with pytest.raises(SageError, match="disk is full"):
            for _ in range(200):
                worlds.step()
        assert worlds.memory.head > 2000
        check_whole(worlds.memory)
        ballast.unlink()
        worlds.again()
        for _ in range(250):
            worlds.step()
        check_whole(worlds.memory)
        worlds.memory.close()
        with Memory.open(path) as memory:
            check_whole(memory)

    status = os.waitstatus_to_exitcode(os.waitpid(fork(child), 0)[1])
    if status == 77:
        pytest.skip("no mount namespaces here")
    assert status == 0


def test_an_atomic_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "f").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(SageError, match="disk is full"):
        disk.write_atomic(tmp_path / "f", b"new")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]
