"""Run folders: unique, locked, replaced whole, and made only where they fit."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from collections import namedtuple

import pytest

from sage_ext import runs
from sage_ext.config import load_config
from sage_ext.errors import SageError
from sage_ext.runs import Run, needed_bytes


@pytest.fixture
def config(tmp_path):
    return load_config(["preset=debug", f"runs={tmp_path}/deep/runs", "name=try"])


def disk_with(monkeypatch, free):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**15, 0, free))


def test_create_makes_a_folder_with_the_config(config):
    with Run.create(config) as run:
        assert re.fullmatch(r"\d{8}-\d{6}-Sage-Navigation-try", run.path.name)
        assert str(run.path.parent) == config.runs
        assert (run.state, run.read_summary()) == ({}, {})
    with Run.open(run.path) as again:
        assert again.config == config


def test_runs_of_one_second_are_two_and_sort_by_age(config):
    made = []
    for name in "dcba":
        with Run.create(dataclasses.replace(config, name=name)) as run:
            made.append(run.path)
    assert made == sorted(set(made))
    assert Run.open("latest", config.runs, lock=False).path == made[-1]
    assert Run.open(made[1].name, config.runs, lock=False).path == made[1]


def test_latest_ignores_what_is_no_run(config):
    with Run.create(config) as run:
        pass
    (run.path.parent / "99999999-999999-nothing-in-it").mkdir()
    (run.path.parent / "zzz").mkdir()
    (run.path.parent / "zzz" / "config.yaml").write_text("")
    assert Run.open("latest", config.runs, lock=False).path == run.path


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(SageError, match=r"run=latest: there is no run in .*sage-ext cycle"):
        Run.open("latest", tmp_path)
    with pytest.raises(SageError, match="run=nope: does not exist"):
        Run.open("nope", tmp_path)
    with pytest.raises(SageError, match=r"has no config\.yaml"):
        Run.open(tmp_path, tmp_path)


def test_two_processes_cannot_use_one_run(config):
    run = Run.create(config)
    code = f"from sage_ext.runs import Run; Run.open({str(run.path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env())
    assert f"is in use by process {os.getpid()}" in done.stderr
    Run.open(run.path, lock=False)
    run.close()
    Run.open(run.path).close()


def test_a_corrupt_config_does_not_keep_the_lock(config):
    with Run.create(config) as run:
        pass
    good = (run.path / "config.yaml").read_text()
    (run.path / "config.yaml").write_text("seed: [")
    with pytest.raises(SageError, match="is corrupt") as _kept:  # and with it the frames that hold the file
        Run.open(run.path)
    (run.path / "config.yaml").write_text(good)
    Run.open(run.path).close()


def test_state_is_replaced_whole(config, monkeypatch):
    with Run.create(config) as run:
        run.write_state({"phases": ["wake"], "n": 1})
        assert run.state == {"phases": ["wake"], "n": 1}

        def killed(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            run.write_state({"n": 2})
        assert run.state == {"phases": ["wake"], "n": 1}
        assert {p.name for p in run.path.iterdir()} == {"config.yaml", "lock", "state.json"}


def test_state_is_on_the_disk_before_it_replaces(config, monkeypatch):
    calls = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), sync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))
    with Run.create(config) as run:
        calls.clear()
        run.write_state({})
    assert calls == ["fsync", "replace"]


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": '])
def test_a_corrupt_state_is_named(config, text):
    with Run.create(config) as run:
        (run.path / "state.json").write_text(text)
        with pytest.raises(SageError, match=r"state=.*state\.json: is corrupt"):
            _ = run.state


def test_a_disk_that_is_too_small_is_refused_before_anything_is_made(config, monkeypatch, tmp_path):
    need = needed_bytes(config)
    disk_with(monkeypatch, need - 1)
    with pytest.raises(SageError, match=r"runs=.*: disk has 1\.0 GB free, this run needs 1\.0 GB"):
        Run.create(config)
    assert not list(tmp_path.iterdir())
    disk_with(monkeypatch, need)
    Run.create(config).close()


def test_needed_disk_grows_with_what_is_remembered_up_to_the_capacity():
    assert needed_bytes(load_config(["sleep.keep=0"])) == pytest.approx(3600 * 36_700 + 1e9, rel=0.001)
    full = needed_bytes(load_config(["wake.episodes=100000", "sleep.keep=0"]))
    kept = needed_bytes(load_config(["wake.episodes=200000"]))
    assert full == pytest.approx(1e5 * 36_700 + 1e9, rel=0.01)
    # 512 moments of a look before, and three of each branch.
    assert kept == pytest.approx(full + 512 * 7 * 36_700, rel=0.001)
    assert needed_bytes(load_config(["task.resolution=128"])) > 1.3e9


def test_runs_may_not_be_a_file(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(SageError, match="runs is a file"):
        Run.create(load_config([f"runs={tmp_path}/runs"]))


def test_discard_leaves_nothing(config, tmp_path):
    run = Run.create(config)
    other = Run.create(config)
    run.discard()
    assert [p.name for p in other.path.parent.iterdir()] == [other.path.name]
    other.discard()
    assert not (tmp_path / "deep" / "runs").exists()


def test_a_failed_write_says_what_failed(config, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with Run.create(config) as run:
        monkeypatch.setattr(runs.os, "fsync", full)
        with pytest.raises(SageError, match="No space left on device"):
            run.write_summary({})


def env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
