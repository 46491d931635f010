"""The window: what to run, how far it is, three curves, and the latest dream beside its twin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import SageError
from ..jobs import JobStatus
from .session import CURVES, Session, choices

TITLE = "SAGE"
ENGINES = ("preset's own", "ovphysx", "newton_mjwarp")
"""Engines that run in a job's own process; the first leaves the choice to the config."""
HEIGHT = 60
"""Of a curve [pixels]."""


class SageWindow:
    """The window; made where there is ``omni.ui``.

    Args:
        ui: The module ``omni.ui``.
        session: What it starts and shows.
        read: Gives the present value of a setting by its name; the first choices.
    """

    def __init__(self, ui: Any, session: Session, read: Callable[[str], Any]) -> None:
        self._ui, self._session = ui, session
        self._shown: tuple[Path, float] | None = None
        self._tasks, self._presets = choices("task"), choices("preset")
        self._window = ui.Window(TITLE, width=420, height=720)
        with self._window.frame, ui.ScrollingFrame(), ui.VStack(spacing=6, height=0):
            self._task = self._choice("Task", self._tasks, read("task"))
            self._preset = self._choice("Preset", self._presets, read("preset"))
            self._physics = self._choice("Physics", ENGINES, read("physics"))
            with ui.HStack(height=0):
                ui.Label("Worlds (0: preset's own)", width=170)
                self._worlds = ui.IntField().model
                self._worlds.set_value(int(read("num_envs") or 0))
            with ui.HStack(height=0, spacing=6):
                ui.Button("Start", clicked_fn=self._guard(self._start))
                self._pause = ui.Button("Pause", clicked_fn=self._guard(self._toggle_pause))
                ui.Button("Stop", clicked_fn=self._guard(session.stop))
                ui.Button("Resume latest", clicked_fn=self._guard(session.resume))
            self._state = ui.Label("idle", word_wrap=True)
            self._bar = ui.ProgressBar().model
            self._error = ui.Label("", word_wrap=True, style={"color": 0xFF4040FF})
            self._plots, self._values = {}, {}
            for name, title in CURVES.items():
                self._values[name] = ui.Label(title)
                self._plots[name] = ui.Plot(ui.Type.LINE, 0.0, 1.0, 0.0, height=HEIGHT, style={"color": 0xFFE0B040})
            ui.Label("Latest dream: possible twin, broken law")
            self._picture = ui.ByteImageProvider()
            ui.ImageWithProvider(self._picture, height=180)

    def show(self, status: JobStatus) -> None:
        """Show how the job is."""
        self._state.text = _line(status)
        self._bar.set_value(status.done / status.total if status.done is not None and status.total else 0.0)
        self._pause.text = "Go on" if status.state == "paused" else "Pause"
        if status.state in ("failed", "killed"):
            why = status.error or (f"killed by {status.signal}" if status.signal else "ended without a word")
            self._error.text = "\n".join([why, *status.lines])
        for name, values in self._session.curves.items():
            low, high = min(values), max(values)
            self._plots[name].scale_min, self._plots[name].scale_max = low, high if high > low else low + 1.0
            self._plots[name].set_data(*values)
            self._values[name].text = f"{CURVES[name]} {values[-1]:.4g}"
        if status.picture is not None:
            self._show_picture(status.picture)

    def toggle(self) -> None:
        """Show or hide the window."""
        self._window.visible = not self._window.visible

    def close(self) -> None:
        """Destroy the window."""
        self._window.destroy()
        self._window = None

    def _choice(self, label: str, names: Any, chosen: Any) -> Any:
        with self._ui.HStack(height=0):
            self._ui.Label(label, width=170)
            box = self._ui.ComboBox(list(names).index(chosen) if chosen in names else 0, *names)
        return box.model.get_item_value_model()

    def _start(self) -> None:
        settings = [f"task.num_envs={self._worlds.as_int}"] if self._worlds.as_int else []
        if self._physics.as_int:
            settings.append(f"task.physics={ENGINES[self._physics.as_int]}")
        self.show(self._session.start(self._tasks[self._task.as_int], self._presets[self._preset.as_int], settings))

    def _toggle_pause(self) -> None:
        if self._session.status().state == "paused":
            self._session.unpause()
        else:
            self._session.pause()

    def _guard(self, act: Callable[[], Any]) -> Callable[[], None]:
        """What a button does: an error is shown in the window instead of being lost in Kit's log."""

        def clicked() -> None:
            self._error.text = ""
            try:
                act()
            except SageError as error:
                self._error.text = str(error)

        return clicked

    def _show_picture(self, path: Path) -> None:
        from matplotlib.image import imread

        changed = (path, path.stat().st_mtime)
        if changed == self._shown:
            return
        pixels = (imread(path) * 255).round().astype("uint8")  # (H, W, 4)
        self._picture.set_bytes_data(pixels.flatten().data, [pixels.shape[1], pixels.shape[0]])
        self._shown = changed


def _line(status: JobStatus) -> str:
    parts = [status.state]
    if status.phase:
        parts.append(f"cycle {status.cycle + 1}, {status.phase}")
    if status.done is not None and status.total:
        parts.append(f"{status.done}/{status.total} {status.unit}, {status.rate:.1f}/s")
    if status.run is not None:
        parts.append(status.run.name)
    return " · ".join(parts)
