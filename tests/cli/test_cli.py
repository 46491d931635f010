"""Commands, their exit codes, and what they leave on the disk."""

from __future__ import annotations

import os

import pytest

from sage_ext import cli
from sage_ext.cli import main
from sage_ext.config import Config, load_config
from sage_ext.errors import Interrupted, SageError
from sage_ext.runs import Run

from .conftest import remember


def only_run(tmp_path):
    (path,) = (tmp_path / "runs").iterdir()
    return path


def raises(error):
    def act(*_):
        raise error

    return act


def one_line(capfd, *words) -> str:
    err = capfd.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1, err
    assert all(word in err for word in words), err
    return err


def test_help_teaches_and_loads_nothing_heavy(python):
    code = """
import sys
from sage_ext.cli import main
try:
    main(["--help"])
finally:
    heavy = [m for m in ("torch", "hydra", "rich", "gymnasium", "isaaclab", "sage_tasks") if m in sys.modules]
    print("heavy", heavy)
"""
    process = python("-c", code)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "heavy []" in out
    for word in (
        "cycle",
        "wake",
        "sleep",
        "dream",
        "act",
        "resume",
        "info",
        "preset=debug",
        "runs/",
        "latest",
        "Ctrl-C",
    ):
        assert word in out


def test_module_and_version(python):
    process = python("-m", "sage_ext", "--version")
    assert process.communicate(timeout=60)[0].startswith("sage-ext 0.")
    assert process.returncode == 0


def test_no_command_shows_the_help(capfd):
    assert main([]) == 0
    assert "commands:" in capfd.readouterr().out


def test_cycle_makes_a_run_and_ends_with_the_table(cycle, tmp_path, capfd):
    assert main(["cycle", "preset=debug", "seed=3"]) == 0
    path = only_run(tmp_path)
    ((config, _, phases, state),) = cycle.calls
    assert config == Config.from_yaml(path / "config.yaml") == load_config(["preset=debug", "seed=3"])
    assert phases == ["wake", "sleep", "dream"] == state["phases"]
    with Run.open(path) as run:
        assert run.state["done"] is True
    out = capfd.readouterr().out
    assert "episodes" in out and "summary.json" in out and path.name in out


def test_a_cycle_in_which_sage_acts_learns_to_act(cycle, tmp_path):
    assert main(["cycle", "preset=debug", "wake.policy=sage"]) == 0
    assert cycle.calls[0][2] == ["wake", "sleep", "dream", "act"]


def test_wake_is_a_new_run_with_wake_alone(cycle, tmp_path):
    assert main(["wake", "preset=debug"]) == 0
    assert cycle.calls[0][2] == ["wake"]


@pytest.mark.parametrize("command", ["sleep", "dream", "act"])
def test_sleep_and_dream_go_on_in_a_run(cycle, tmp_path, capfd, command):
    main(["wake", "preset=debug"])
    assert main([command, "latest", "sleep.lr=0.01", "dream.looks=10"]) == 0
    path = only_run(tmp_path)
    config, where, phases, state = cycle.calls[1]
    assert (where.resolve(), phases, state["visit"]) == (path, [command], 1)
    assert config == load_config(["preset=debug", "sleep.lr=0.01", "dream.looks=10"])
    assert config == Config.from_yaml(path / "config.yaml")
    out = capfd.readouterr().out
    assert "sleep.lr: 0.0003 -> 0.01\n" in out and "dream.looks: 16 -> 10\n" in out
    assert main([command, path.name]) == 0
    assert cycle.calls[2][3]["visit"] == 2


@pytest.mark.parametrize(
    "token", ["task.resolution=128", "memory.capacity=200", "name=other", "preset=gpu", "randomisation=wide"]
)
def test_what_a_run_remembers_cannot_change(cycle, tmp_path, capfd, token):
    main(["wake", "preset=debug"])
    before = files(tmp_path)
    capfd.readouterr()
    assert main(["sleep", "latest", token]) == 2
    one_line(capfd, "is fixed", "start a new run")
    assert files(tmp_path) == before and len(cycle.calls) == 1


def test_a_device_that_is_not_there_changes_nothing(cycle, tmp_path, capfd):
    main(["wake", "preset=debug"])
    before = files(tmp_path)
    assert main(["sleep", "latest", "task.device=cuda:77"]) == 2
    one_line(capfd, "task.device=cuda:77")
    assert files(tmp_path) == before and len(cycle.calls) == 1


def test_runs_says_where_latest_is(cycle, tmp_path):
    main(["wake", "preset=debug", f"runs={tmp_path}/other"])
    assert main(["sleep", "latest", f"runs={tmp_path}/other"]) == 0
    assert cycle.calls[1][0].runs == f"{tmp_path}/other"


BAD = [
    (["cycel"], "command=cycel"),
    (["cycle", "foo"], "override=foo"),
    (["cycle", "=3"], "override==3"),
    (["cycle", "--preset=debug"], "unrecognized arguments"),
    (["cycle", "tsak.num_envs=3"], "use task.num_envs"),
    (["cycle", "preset=gpuu"], "use preset=gpu"),
    (["cycle", "task.id=Sage-Navigaton"], "use Sage-Navigation"),
    (["cycle", "sleep.variations.physical.gravity_scale=[-1,1]"], "gravity_scale=[-1.0,1.0]"),
    (["cycle", "memory.capacity=10"], "set at least 3600"),
    (["cycle", "task.device=cuda:77"], "task.device=cuda:77"),
    (["wake", "wake.policy=expret"], "use expert"),
    (["sleep"], "run=nothing"),
    (["sleep", "sleep.batch=3"], "run=nothing"),
    (["sleep", "latest"], "there is no run"),
    (["dream", "a", "b"], "takes one run"),
    (["resume", "nope"], "run=nope"),
    (["info", "nope"], "run=nope"),
    (["info", "nope=1"], "unknown key"),
]


@pytest.mark.parametrize(("argv", "word"), BAD, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_bad_input_is_one_line_and_exit_code_2_and_writes_nothing(cycle, tmp_path, capfd, argv, word):
    try:
        code = main(argv)
    except SystemExit as stop:  # argparse
        code = stop.code
    assert code == 2
    one_line(capfd, word)
    assert not list(tmp_path.iterdir()) and not cycle.calls


def test_a_full_disk_is_refused(cycle, tmp_path, capfd, monkeypatch):
    import shutil
    from types import SimpleNamespace

    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5 * 10**8))
    assert main(["cycle"]) == 2
    one_line(capfd, "disk has 0.5 GB free, this run needs 1.3 GB", "free space")
    assert not list(tmp_path.iterdir())


def test_without_the_simulator_nothing_begins(cycle, tmp_path, capfd, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli.main(["cycle"]) == 2
    one_line(capfd, "simulator=isaaclab", "pip install 'sage-ext[sim]'")
    assert not list(tmp_path.iterdir())


def test_bad_input_found_as_the_simulator_starts_leaves_nothing(cycle, tmp_path, capfd):
    cycle.act = raises(SageError("observation", "(3,)", "is wrong", "mend it"))
    assert main(["cycle"]) == 2
    one_line(capfd, "observation=(3,): is wrong; mend it")
    assert not list(tmp_path.iterdir())


def test_bad_input_found_late_in_an_old_run_takes_the_config_back(cycle, tmp_path, capfd):
    main(["wake", "preset=debug"])
    before = files(tmp_path)
    cycle.act = raises(SageError("checkpoint", "x", "is corrupt", "use another"))
    assert main(["sleep", "latest", "sleep.lr=0.5"]) == 2
    assert files(tmp_path) == before


def test_a_failure_after_something_was_lived_keeps_it_and_says_how_to_go_on(cycle, tmp_path, capfd):
    def act(config, run, phases, reporter, stop):
        remember(run)
        raise SageError("memory.path", run.memory, "disk is full", "free space")

    cycle.act = act
    assert main(["cycle"]) == 2
    err = capfd.readouterr().err
    assert err.splitlines()[1] == f"resume with: sage-ext resume runs/{only_run(tmp_path).name}"


def test_what_make_refuses_is_one_line(cycle, tmp_path, capfd):
    from sage_tasks.make import make

    cycle.act = lambda *_: make("Sage-Navigation", physics="bullet")
    assert main(["cycle"]) == 2
    one_line(capfd, "physics=bullet: unknown engine")
    assert not list(tmp_path.iterdir())


def test_a_bug_keeps_its_traceback_and_says_how_to_go_on(cycle, tmp_path, capfd):
    cycle.act = raises(ValueError("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        main(["cycle"])
    assert f"resume with: sage-ext resume runs/{only_run(tmp_path).name}" in capfd.readouterr().err


@pytest.mark.parametrize("error", [Interrupted(), KeyboardInterrupt()], ids=["safe point", "at once"])
def test_interrupted_can_be_resumed(cycle, tmp_path, capfd, error):
    def act(config, run, phases, reporter, stop):
        run.write_state({**run.state, "phase": 1, "seen": 7})
        raise error

    cycle.act = act
    assert main(["cycle", "preset=debug", "seed=9"]) == 130
    path = only_run(tmp_path)
    assert f"interrupted; resume with: sage-ext resume runs/{path.name}\n" in capfd.readouterr().err

    assert main(["sleep", "latest"]) == 2
    one_line(capfd, "is not finished", "sage-ext resume")
    assert main(["resume", "latest", "seed=1"]) == 2
    one_line(capfd, "override=seed=1", "its own config")

    cycle.act = lambda *_: None
    assert main(["resume", str(path)]) == 0
    config, where, phases, state = cycle.calls[-1]
    assert (config, where, phases) == (cycle.calls[0][0], path, ["wake", "sleep", "dream"])
    assert (state["phase"], state["seen"]) == (1, 7)

    count = len(cycle.calls)
    assert main(["resume", "latest"]) == 0
    assert "nothing to resume" in capfd.readouterr().out and len(cycle.calls) == count


def test_a_run_in_use_is_refused(cycle, tmp_path, capfd):
    main(["wake", "preset=debug"])
    with Run.open(only_run(tmp_path)):
        assert main(["sleep", "latest"]) == 2
    one_line(capfd, f"is in use by process {os.getpid()}")


def test_sleep_needs_a_memory_and_the_others_a_checkpoint(cycle, tmp_path, capfd):
    main(["wake", "preset=debug"])
    path = only_run(tmp_path)
    (path / "checkpoint" / "checkpoint.json").unlink()
    capfd.readouterr()
    for command in ("dream", "act"):
        assert main([command, "latest"]) == 2
        one_line(capfd, "has no checkpoint", "sage-ext sleep")
    (path / "memory" / "meta.json").unlink()
    assert main(["sleep", "latest"]) == 2
    one_line(capfd, "has no memory")


def test_what_the_simulator_prints_goes_to_the_log(cycle, tmp_path, capfd):
    def act(config, run, phases, reporter, stop):
        os.write(1, b"native chatter\n")
        os.write(2, b"native warning\n")
        reporter.say("seen")

    cycle.act = act
    assert main(["cycle"]) == 0
    out, err = capfd.readouterr()
    assert "seen" in out and "native" not in out + err
    assert (only_run(tmp_path) / "simulator.log").read_text() == "native chatter\nnative warning\n"
    assert main(["cycle", "--verbose"]) == 0
    out, err = capfd.readouterr()
    assert "native chatter" in out and "native warning" in err


def test_the_licence_is_accepted_before_the_simulator_starts(cycle, monkeypatch):
    monkeypatch.delenv("OMNI_KIT_ACCEPT_EULA", raising=False)
    monkeypatch.delenv("OMNI_KIT_ALLOW_ROOT", raising=False)
    seen = {}
    cycle.act = lambda *_: seen.update(os.environ)
    main(["cycle"])
    assert seen["OMNI_KIT_ACCEPT_EULA"] == "YES"
    assert seen.get("OMNI_KIT_ALLOW_ROOT") == ("1" if os.geteuid() == 0 else None)


def test_info_lists_what_there_is(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["info", "preset=debug", "seed=42"]) == 0
    out = capfd.readouterr().out
    for word in ("sage-ext", "torch", "cpu", "debug", "gpu", "Sage-Navigation", "sleep.variations.temporal.speeds"):
        assert word in out
    rows = [line.split() for line in out.splitlines()]
    assert ["seed", "42", "0..4294967295"] in rows and ["wake.episodes", "2", "1..1000000000"] in rows
    assert not list(tmp_path.iterdir())


def test_info_may_be_cut_short(python):
    process = python("-u", "-m", "sage_ext", "info")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 0 and process.stderr.read() == ""


def test_info_of_a_run(cycle, tmp_path, capfd):
    main(["cycle", "preset=debug"])
    capfd.readouterr()
    before = files(tmp_path)
    with Run.open(only_run(tmp_path)):  # reading needs no lock
        assert main(["info", "latest"]) == 0
    out = capfd.readouterr().out
    assert "wake, sleep, dream, finished" in out and "episodes" in out
    rows = [line.split() for line in out.splitlines()]
    assert ["*", "task.num_envs", "2"] in rows and ["seed", "0"] in rows
    assert files(tmp_path) == before


def files(folder) -> dict[str, bytes]:
    paths = (p for p in folder.rglob("*") if p.is_file() and p.name not in ("lock", "simulator.log"))
    return {str(p): p.read_bytes() for p in paths}
