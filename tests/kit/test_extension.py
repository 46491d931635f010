"""The extension in the real Kit kernel, which has no omni.ui: enabled, a job run, killed, and everything given back."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from sage_ext import jobs
from sage_ext.errors import SageError

pytestmark = pytest.mark.kit
NO_WINDOW = "no window: omni.ui is not in this app"


def test_it_starts_in_under_three_seconds(kit) -> None:
    assert "sage_ext.extension" not in sys.modules
    start = seconds()
    kit.enable()
    kit.app.update()
    assert seconds() - start < 3.0


def test_it_is_enabled_and_works(kit, extension) -> None:
    import gymnasium

    # An extension whose start failed is in the list, too.
    assert any(name.startswith("sage-ext-") for name in kit.enabled)
    assert extension.status().state == "idle"
    assert kit.log("Failed to startup") == [] and "Sage-Navigation" in gymnasium.registry


def test_without_omni_ui_there_is_no_window_and_it_says_so_once(kit) -> None:
    for _ in range(5):
        kit.app.update()
    assert "omni.ui" not in sys.modules and "sage_ext.kit.window" not in sys.modules
    assert len(kit.log(NO_WINDOW)) == 1


def test_bad_settings_are_refused_in_a_line(kit, extension) -> None:
    with pytest.raises(SageError, match="preset=nothing"):
        extension.start(preset="nothing")
    assert extension.status().state == "idle" and not kit.runs.exists()


def test_a_cycle_reports_its_progress_and_obeys_settings_changed_meanwhile(kit, extension) -> None:
    kit.settings.set("/exts/sage_ext/preset", "debug")
    kit.settings.set("/exts/sage_ext/num_envs", 1)
    kit.settings.set("/exts/sage_ext/refresh_s", 0.05)
    extension.start(task="navigation", settings=["wake.episodes=1", "sleep.consolidations=4", "sleep.round=4"])
    with pytest.raises(SageError, match="runs already"):
        extension.start()
    kit.until(lambda: extension.status().run is not None)
    config = yaml.safe_load((extension.status().run / "config.yaml").read_text())
    assert (config["task"]["num_envs"], config["sleep"]["batch"]) == (1, 4)
    seen = []

    def over() -> bool:
        seen.append(extension.status())
        return not seen[-1].alive

    kit.until(over)
    last = seen[-1]
    assert last.state == "finished", last
    assert {"start", "wake", "sleep", "dream"} <= {s.phase for s in seen}
    assert len({s.done for s in seen if s.phase == "wake"}) > 1 and last.metrics["sleep/loss"] > 0
    assert last.run is not None and last.run.parent == kit.runs and last.picture is not None
    assert json.loads((last.run / "summary.json").read_text())["explorations"] == 2
    for state in ("running, wake", "running, sleep", "finished"):
        kit.until(lambda state=state: bool(kit.log(f"job {last.run} {state}")), 10.0)


def test_a_job_killed_with_sigkill_is_reported_as_such(kit, extension) -> None:
    extension.start()
    kit.until(lambda: extension.status().run is not None)
    os.kill(extension.status().pid, signal.SIGKILL)
    kit.until(lambda: not extension.status().alive)
    now = extension.status()
    assert (now.state, now.signal) == ("killed", "SIGKILL")
    kit.until(lambda: bool(kit.log("killed: by SIGKILL; its last lines:")), 10.0)
    assert any("[Error]" in line for line in kit.log("killed: by SIGKILL"))


def test_disabled_it_leaves_nothing_behind(kit, extension) -> None:
    import gymnasium

    kit.settings.set("/exts/sage_ext/stop_s", 0.5)
    extension.start()
    kit.until(lambda: extension.status().run is not None)
    run = extension.status().run
    kit.enable(False)
    assert not jobs.status(run).alive and children() == []
    with pytest.raises(RuntimeError, match="not enabled"):
        extension.status()
    settings = kit.settings.get("/exts")
    before = holdings()
    for _ in range(5):
        kit.enable()
        kit.app.update()
        assert extension.status().state == "idle"
        kit.enable(False)
        kit.app.update()
    assert holdings() == before and kit.settings.get("/exts") == settings
    assert not [name for name in gymnasium.registry if name.startswith("Sage-")]
    # Nothing is called any more by Kit's updates, and once enabled again only once an update.
    ticks = []
    tick = extension.Session.tick
    extension.Session.tick = lambda self: ticks.append(1)
    try:
        kit.app.update()
        assert ticks == []
        kit.enable()
        ticks.clear()
        kit.app.update()
        assert len(ticks) == 1
    finally:
        extension.Session.tick = tick


def seconds() -> float:
    """A clock that stands still while this thread waits for a core, so that a busy machine decides nothing."""
    waited = int(Path("/proc/thread-self/schedstat").read_text().split()[1])
    return time.monotonic() - waited / 1e9


def holdings() -> tuple[int, ...]:
    """Threads, of Python and of the process, open files, children, and live objects of ours."""
    gc.collect()
    ours = [o for o in gc.get_objects() if str(type(o).__module__).startswith("sage_ext.")]
    tasks, files = (len(list(Path("/proc/self", name).iterdir())) for name in ("task", "fd"))
    return threading.active_count(), tasks, files, len(children()), len(ours)


def children() -> list[str]:
    """Processes that this one started and that were not waited for."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
