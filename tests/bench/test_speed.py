"""The arithmetic of speed, its stopwatches and its blocks, on made-up times."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import blocks, speed, speed_cycle, speed_sleep, speed_tasks, speed_wake, table, timing
from bench.blocks import BARE, ENCODE, WAKE, Block, Kind
from sage_ext.errors import SageError


def value(rows: table.Table, arm: str, case: str, metric: str) -> float:
    (found,) = [r.value for r in rows.rows if (r.arm, r.case, r.metric) == (arm, case, metric)]
    return found


class Clock:
    """Time that passes only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


# -- ratios --------------------------------------------------------------------------------------


def test_ratio_is_below_one_when_ours_is_slower() -> None:
    assert timing.paired_ratio([1.0, 1.0, 1.0], [1.25, 1.25, 1.25]) == (0.8, 0.0)


def test_ratio_survives_a_machine_that_slows_down_and_a_stall() -> None:
    slow = [1.0, 2.0, 4.0, 8.0, 16.0]
    ours = [s / 0.5 for s in slow]
    ours[2] *= 100
    assert timing.paired_ratio(slow, ours)[0] == pytest.approx(0.5)


def test_ratio_wants_pairs() -> None:
    with pytest.raises(ValueError):
        timing.paired_ratio([1.0, 2.0], [1.0])


def test_median_and_spread() -> None:
    assert table.median_iqr([5.0]) == (5.0, 0.0)
    assert table.median_iqr([1.0, 2.0, 3.0, 4.0, 100.0]) == (3.0, 2.0)


def test_each_kind_is_as_early_as_late() -> None:
    order = timing.alternating("ABC", 4)
    assert "".join(order) == "ABCCBAABCCBA"
    assert {kind: sum(i for i, k in enumerate(order) if k == kind) for kind in "ABC"} == dict.fromkeys("ABC", 22)


# -- stopwatches ---------------------------------------------------------------------------------


class Machine:
    """Two methods, one of which calls the other, on made-up time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def outer(self) -> str:
        self.clock.now += 1.0
        self.inner()
        self.inner()
        return "done"

    def inner(self) -> None:
        self.clock.now += 10.0


def test_parts_do_not_count_twice() -> None:
    clock = Clock()
    machine = Machine(clock)
    parts = timing.Parts(clock=clock).method("out", machine, "outer").method("in", machine, "inner", "unknown")
    with parts:
        assert machine.outer() == "done"
        machine.inner()
    machine.inner()
    assert parts.seconds == {"out": 1.0, "in": 30.0}
    assert not {"outer", "inner"} & set(vars(machine))


def test_parts_of_a_class_and_a_failing_method_are_put_back() -> None:
    clock, before = Clock(), Machine.inner

    class Failing(Machine):
        def outer(self) -> str:
            self.inner()
            raise KeyError

    parts = timing.Parts(clock=clock).method("in", Machine, "inner").method("out", Failing, "outer")
    with pytest.raises(KeyError), parts:
        Failing(clock).outer()
    assert Machine.inner is before
    assert parts.seconds == {"in": 10.0, "out": 0.0}


# -- blocks --------------------------------------------------------------------------------------

COSTS = {BARE: 2.0, WAKE: 2.5, ENCODE: 4.0}


def lived(kinds: list[Kind], rounds: int, steps: int) -> tuple[blocks.Times, list[str], int]:
    """Run a schedule as wake does, on made-up time: stock renderers take a second more a step."""
    clock, entered = Clock(), []
    stock = [False]
    plan = blocks.schedule(kinds, rounds, steps)

    @contextmanager
    def scene(kind: Kind) -> Iterator[None]:
        entered.append(str(kind))
        stock[0] = kind.stock
        clock.now += 1000.0  # setting up is nobody's time
        yield
        clock.now += 1000.0

    def bare(count: int) -> None:
        clock.now += count * (COSTS[BARE] + stock[0])

    machine = Machine(clock)

    def watch() -> timing.Parts:
        return timing.Parts(clock=clock).method("inner", machine, "inner")

    run = blocks.Blocks(plan, bare, scene, watch, clock=clock)
    taken = 0
    while not run.done:
        clock.now += COSTS[run.case] + stock[0]
        taken += 1
        run.on_step(16, {})
        assert taken < 10_000
    return run.times, entered, taken


def test_blocks_charge_each_kind_its_own_steps() -> None:
    kinds = blocks.kinds(two_renderers=True)
    times, entered, taken = lived(kinds, rounds=3, steps=10)
    for kind in kinds:
        assert times.blocks[kind] == pytest.approx([COSTS[kind.case] + kind.stock] * 3)
    assert taken == blocks.wake_steps(blocks.schedule(kinds, 3, 10))
    assert len(entered) == len(blocks.schedule(kinds, 3, 10))
    assert set(times.parts) == {Kind(BARE, True), Kind(WAKE, True), Kind(ENCODE, False)}


def test_the_base_is_stock_where_there_are_two_renderers() -> None:
    assert blocks.kinds(True)[0] == Kind(BARE, True)
    assert blocks.kinds(False) == [Kind(BARE, False), Kind(WAKE, False), Kind(ENCODE, False)]


def test_wake_rows_charge_wake_its_reset_and_bare_none() -> None:
    times = blocks.Times(
        blocks={
            Kind(BARE, True): [0.04] * 3, Kind(WAKE, True): [0.049] * 3, Kind(ENCODE, True): [0.079] * 3,
            Kind(BARE, False): [0.02] * 3, Kind(WAKE, False): [0.024] * 3, Kind(ENCODE, False): [0.039] * 3,
        },
        parts={Kind(ENCODE, False): {"audio": 0.004, "camera": 0.03}},
        watched={Kind(ENCODE, False): 0.04},
        reset=0.6,
    )  # fmt: skip
    rows = table.Table("speed", {}, [0], machine="")
    speed.wake_rows(rows, times, worlds=16, episode=600)
    assert value(rows, "sage-ext", "wake", "ratio_to_bare") == pytest.approx(1.6)
    assert value(rows, "sage-ext", "wake+encode", "ratio_to_bare") == pytest.approx(1.0)
    assert value(rows, "sage-ext, stock renderer", "wake", "ratio_to_bare") == pytest.approx(0.8)
    assert value(rows, "sage-ext, stock renderer", "wake+encode", "ratio_to_bare") == pytest.approx(0.5)
    assert value(rows, "bare, our renderer", "bare", "ratio_to_bare") == pytest.approx(2.0)
    assert value(rows, "bare", "bare", "steps_per_s") == pytest.approx(400)
    parts = {row.arm: row.value for row in rows.rows if row.arm.startswith("part: ")}
    assert parts["part: audio"] == pytest.approx(4.0)
    assert sum(parts.values()) == pytest.approx(41.0)  # the watched step and its share of the reset


def test_wake_rows_of_one_renderer_have_plain_names() -> None:
    kinds = blocks.kinds(False)
    times = blocks.Times(blocks={kind: [0.1] * 2 for kind in kinds})
    rows = table.Table("speed", {}, [0], machine="")
    speed.wake_rows(rows, times, worlds=256, episode=600)
    assert {row.arm for row in rows.rows} == {"sage-ext", "bare"}


def test_sleep_rows() -> None:
    times = speed_sleep.Times({"pure": [0.9] * 3, "sleep": [1.0] * 3}, {"forward": 0.3}, watched=1.0, reliving=0.5)
    rows = table.Table("speed", {}, [0], machine="")
    speed.sleep_rows(rows, times, batch=12)
    assert value(rows, "sage-ext", "sleep", "ratio_to_pure") == pytest.approx(0.9)
    assert value(rows, "sage-ext", "sleep", "moments_per_s") == pytest.approx(12)
    assert value(rows, "part: everything else", "sleep", "ms") == pytest.approx(700)
    assert value(rows, "before: re-living", "sleep", "ms") == pytest.approx(500)


def test_cycle_rows() -> None:
    summary = {
        "experiences": 3600, "consolidations": 600, "explorations": 10,
        "measured": {"seconds": {"start": 10.0, "wake": 12.0}, "peak_memory_gb": 1.5},
    }  # fmt: skip
    rows = table.Table("speed", {}, [0], machine="")
    speed_cycle.cycle_rows(rows, 30.0, summary)
    assert value(rows, "sage-ext", "cycle", "seconds") == 30.0
    assert value(rows, "sage-ext", "cycle", "peak_gb") == 1.5
    assert value(rows, "seed (reported)", "cycle", "seconds") == 696.0
    parts = [row.value for row in rows.rows if row.arm.startswith("part: ")]
    assert sum(parts) == pytest.approx(30.0)


@pytest.mark.parametrize("code", [0, 3])
def test_a_cycle_runs_on_its_own_and_a_failed_one_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    program = tmp_path / "python"
    script = "for a; do case $a in runs=*) d=${a#runs=}/run; mkdir -p $d; echo {} >$d/summary.json;; esac; done"
    program.write_text(f"#!/bin/sh\n{script}\necho broken\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    if code:
        with pytest.raises(SageError, match="exit code 3: ...broken"):
            speed_cycle.run(tmp_path / "runs", ["preset=debug"], tmp_path / "log")
    else:
        seconds, summary = speed_cycle.run(tmp_path / "runs", ["preset=debug"], tmp_path / "log")
        assert seconds > 0 and summary == {}


# -- what bare is ----------------------------------------------------------------------------------


class FakeScene(dict):
    sensors: dict[str, object]


def fake_env() -> tuple[object, FakeScene]:
    class Thing:
        pass

    env, camera = Thing(), Thing()
    camera.cfg, camera._renderer = Thing(), Thing()
    camera.cfg.update_latest_camera_pose, camera._renderer.stock = False, False
    scene = FakeScene(camera=camera)
    scene.sensors = {"object_contacts": 1, "camera": camera, "skin_contacts": 2}
    env.scene = scene
    return env, scene


@pytest.mark.parametrize("case", [BARE, WAKE])
@pytest.mark.parametrize("stock", [True, False])
def test_the_scene_is_dressed_and_put_back(case: str, stock: bool) -> None:
    env, scene = fake_env()
    camera, sensors = scene["camera"], dict(scene.sensors)
    with pytest.raises(KeyError), speed_wake.dressed(env, Kind(case, stock)):
        assert list(scene.sensors) == (["camera"] if case == BARE else list(sensors))
        assert camera.cfg.update_latest_camera_pose == (case == BARE)
        assert camera._renderer.stock == stock
        raise KeyError
    assert list(scene.sensors.items()) == list(sensors.items())
    assert camera.cfg.update_latest_camera_pose is False
    assert camera._renderer.stock is False


def test_a_block_left_halfway_is_put_back() -> None:
    left = []

    @contextmanager
    def scene(kind: Kind) -> Iterator[None]:
        try:
            yield
        finally:
            left.append(kind)

    run = blocks.Blocks([Block(Kind(WAKE, True), 3)], lambda _: None, scene, timing.Parts)
    run.on_step()
    run.on_step()
    run.close()
    assert left == [Kind(WAKE, True)] and not run.done


# -- every task --------------------------------------------------------------------------------------


def test_every_task_has_rows_of_its_own_and_navigation_the_plain_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each task is measured by a process that is told which; here a script answers for it."""
    program = tmp_path / "python"
    program.write_text(
        """#!/bin/sh
while [ $# -gt 0 ]; do case $1 in --task) t=$2;; --json) j=$2;; esac; shift; done
echo '{"budget": {"task": "ID-'$t'", "worlds": 16, "camera": 64, "rounds": 1, "steps_a_block": 10}, "rows": [' > $j
if [ $t = navigation ]; then case=wake; else case=wake/ID-$t; fi
echo '{"arm": "sage-ext", "case": "'$case'", "metric": "ms", "value": 1.0, "spread": null}]}' >> $j
"""
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(speed, "RESULTS", tmp_path)
    path = tmp_path / "rows.json"
    assert speed.main(["--task", "all", "--json", str(path)]) == 0
    cases = {row["case"] for row in json.loads(path.read_text())["rows"]}
    assert {"wake", "wake/ID-navigation", "wake/ID-lift", "wake/ID-social_follow"} <= cases
    assert len(cases) == 8


def test_a_task_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho broken\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    options = argparse.Namespace(preset="cpu", seed=0, run=None, rounds=1, worlds=None, steps=10)
    with pytest.raises(SageError, match=r"--task=lift: exit code 3: ...broken"):
        speed_tasks.run("lift", options, tmp_path / "rows.json", tmp_path / "log")


def test_other_cases_of_other_tasks_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        speed.main(["--task", "lift", "--cases", "sleep"])
    assert "--task lift: other cases are measured for navigation only; use --cases wake" in capsys.readouterr().err
