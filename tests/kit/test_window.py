"""The window's code, executed on a stand-in for omni.ui; the real omni.ui is not on the registry and untested here."""

from __future__ import annotations

import sys
import types
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imsave

from sage_ext.errors import SageError
from sage_ext.jobs import JobStatus
from sage_ext.kit.session import choices
from sage_ext.kit.window import SageWindow

from . import omni_ui
from .omni_ui import button, the


class Session:
    """Stands in for the session: keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple] = []
        self.now = JobStatus(None, "starting", pid=7)
        self.curves: dict[str, deque[float]] = {}

    def start(self, *what):
        self.asked.append(("start", *what))
        return self.now

    def status(self):
        return self.now

    def __getattr__(self, name):
        return lambda *what: self.asked.append((name, *what))


SETTINGS = {"task": "social", "preset": "debug", "physics": "", "num_envs": 3}


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def window(session: Session) -> SageWindow:
    return SageWindow(omni_ui.module(), session, SETTINGS.get)  # type: ignore[arg-type]


def test_it_begins_with_the_settings_and_starts_what_is_chosen(window, session) -> None:
    task, preset, physics = (the(omni_ui.ComboBox, i) for i in range(3))
    assert list(task.items) == choices("task") and "navigation" in task.items and "demo" in preset.items
    button("Start").press()
    task.choose("lift")
    physics.choose("newton_mjwarp")
    the(omni_ui.Field).model.set_value(0)
    button("Start").press()
    assert session.asked == [
        ("start", "social", "debug", ["task.num_envs=3"]),
        ("start", "lift", "debug", ["task.physics=newton_mjwarp"]),
    ]
    assert the(omni_ui.Window).title == "SAGE"


def test_buttons_reach_the_job(window, session) -> None:
    for text in ("Pause", "Stop", "Resume latest"):
        button(text).press()
    session.now = JobStatus(None, "paused")
    window.show(session.now)
    button("Go on").press()
    assert session.asked == [("pause",), ("stop",), ("resume",), ("unpause",)]


def test_a_refused_start_is_said_in_the_window(window, session) -> None:
    def refuse(*what):
        raise SageError("job", 7, "runs already", "stop it first")

    session.start = refuse
    button("Start").press()
    assert [w for w in omni_ui.made if getattr(w, "text", "") == "job=7: runs already; stop it first"]
    session.start = lambda *what: session.now
    button("Start").press()
    assert not [w for w in omni_ui.made if "runs already" in getattr(w, "text", "")]


def test_progress_and_curves(window, session) -> None:
    session.curves = {"sleep/loss": deque([3.0, 2.0, 2.5]), "wake/success_rate": deque([0.5])}
    run = Path("20260101-000000-Sage-Navigation")
    window.show(JobStatus(run, "running", phase="sleep", done=6, total=24, unit="moments", rate=2.0, cycle=1))
    texts = [w.text for w in omni_ui.made if isinstance(w, omni_ui.Label)]
    assert "running · cycle 2, sleep · 6/24 moments, 2.0/s · 20260101-000000-Sage-Navigation" in texts
    assert the(omni_ui.Field, 1).model.value == 0.25
    loss, success = the(omni_ui.Plot), the(omni_ui.Plot, 2)
    assert (loss.values, loss.scale_min, loss.scale_max) == ((3.0, 2.0, 2.5), 2.0, 3.0)
    assert (success.values, success.scale_min, success.scale_max) == ((0.5,), 0.5, 1.5)
    assert "loss 2.5" in texts and "success 0.5" in texts


def test_a_crash_is_shown_with_its_last_lines(window) -> None:
    window.show(JobStatus(None, "killed", signal="SIGKILL", lines=("wake 10/90", "sleep 1/4")))
    assert [w for w in omni_ui.made if getattr(w, "text", "") == "killed by SIGKILL\nwake 10/90\nsleep 1/4"]


def test_the_latest_dream(window, tmp_path: Path) -> None:
    picture = tmp_path / "latest_dream.png"
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    imsave(picture, pixels)
    window.show(JobStatus(tmp_path, "running", picture=picture))
    provider = the(omni_ui.ImageWithProvider).provider
    shown = np.frombuffer(provider.data, np.uint8).reshape(2, 3, 4)
    assert provider.size == [3, 2] and (shown[..., :3] == pixels).all() and (shown[..., 3] == 255).all()
    provider.data = b""
    window.show(JobStatus(tmp_path, "running", picture=picture))
    assert provider.data == b"", "the same picture is not loaded again"


@pytest.mark.kit
def test_in_kit_the_window_and_its_menu_come_and_go(kit, monkeypatch) -> None:
    import omni

    entries: list[tuple] = []
    menu = types.ModuleType("omni.kit.menu.utils")
    menu.MenuItemDescription = lambda name, onclick_fn: types.SimpleNamespace(name=name, onclick_fn=onclick_fn)
    menu.add_menu_items = lambda items, where: entries.extend((where, item) for item in items)
    menu.remove_menu_items = lambda items, where: [entries.remove((where, item)) for item in items]
    ui = omni_ui.module()
    monkeypatch.setattr(omni, "ui", ui, raising=False)
    monkeypatch.setitem(sys.modules, "omni.ui", ui)
    monkeypatch.setitem(sys.modules, "omni.kit.menu", types.ModuleType("omni.kit.menu"))
    monkeypatch.setitem(sys.modules, "omni.kit.menu.utils", menu)
    kit.enable()
    kit.app.update()
    window = the(omni_ui.Window)
    ((where, item),) = entries
    assert (where, item.name, window.visible) == ("Window", "SAGE", True)
    item.onclick_fn()
    assert not window.visible
    kit.until(lambda: any(getattr(w, "text", "") == "idle" for w in omni_ui.made), 10.0)
    kit.enable(False)
    assert window.destroyed and entries == [] and kit.log("no window") == []
