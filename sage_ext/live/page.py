"""The page: the scene in the middle, the job and the mind at its left, senses and dreams at its right."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..context.layout import GROUPS
from ..jobs import JobStatus
from . import pictures, shapes
from .guard import GuardedServer
from .insight import Thought
from .looks import Look
from .scene import Scene

SHOWN = 200
"""Looks that curves and the strip of groups show."""
HEARD = 32
"""Looks that the spectrogram shows: a second."""
FELT = 8
"""Entries of proprioception that are drawn."""
COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5")
WIDE = 1200
"""Columns of the gallery at most [pixels]."""
BUTTONS = {"Pause": "pause", "Continue": "run", "Stop": "stop"}
"""What is written on a button, and what it asks of a job."""


class Page:
    """What the browsers show; all of them the same.

    Args:
        server: Where it is served.
        title: What is watched.
        worlds: How many worlds there are.
        press: Called with one of :data:`BUTTONS`' requests.
        choose: Called with a world.
    """

    def __init__(
        self,
        server: GuardedServer,
        title: str,
        worlds: int,
        press: Callable[[str], None],
        choose: Callable[[int], None],
    ) -> None:
        self._server, gui = server, server.gui
        gui.configure_theme(show_logo=False, show_share_button=False)
        gui.main_panel.dock_left()
        gui.add_markdown(f"**{title}**")
        self._phase = gui.add_markdown("waiting for the job")
        self._bar = gui.add_progress_bar(0.0)
        buttons = gui.add_button_group("Job", tuple(BUTTONS))
        buttons.on_click(lambda _: press(BUTTONS[buttons.value]))
        world = gui.add_dropdown("World", [str(i) for i in range(worlds)])
        world.on_update(lambda _: choose(int(world.value)))
        self._strip = gui.add_image(pictures.strip(np.zeros((SHOWN, len(GROUPS)))), label="Context, group by group")
        self._mind = gui.add_markdown("no checkpoint yet: the mind has learned nothing")
        self._surprise = self._plot(("surprise",), "Surprise")
        self._loss = self._plot(("loss",), "Loss")
        panel = gui.add_panel()
        panel.dock_right()
        with panel.add_tab("Senses"):
            self._rgb = gui.add_image(_blank(128, 128), label="RGB")
            self._depth = gui.add_image(_blank(128, 128), label="Depth")
            self._sound = gui.add_image(_blank(64, 16 * HEARD), label="Spectrogram")
            self._touch = gui.add_image(_blank(64, 128), label="Taxels")
            self._felt = self._plot(tuple(f"entry {i}" for i in range(FELT)), "Proprioception")
        with panel.add_tab("Dreams"):
            self._dream_text = gui.add_markdown("no dream yet")
            self._gallery = gui.add_image(_blank(8, 8), label="Each possible twin above its impossible scene")
        self._pictured: float | None = None
        self._frames: dict[str, Any] = {}
        self._losses: deque[tuple[float, float]] = deque(maxlen=SHOWN)
        self._begin = time.monotonic()
        self.restart()

    def restart(self) -> None:
        """Another world is watched from now on."""
        self._heard: deque[np.ndarray] = deque(maxlen=HEARD)
        self._feelings: deque[np.ndarray] = deque(maxlen=SHOWN)
        self._groups: deque[list[float]] = deque(maxlen=SHOWN)
        self._surprises: deque[tuple[float, float]] = deque(maxlen=SHOWN)
        self._looks = 0

    @property
    def watched(self) -> bool:
        """Whether a browser shows it."""
        return bool(self._server.get_clients())

    def draw(self, scene: Scene) -> None:
        """Put a world's shapes into the scene."""
        self._frames = shapes.draw(self._server.scene, scene)
        far = 1.2 * scene.extent()
        self._server.initial_camera.position = (-far, -far, far)
        self._server.initial_camera.look_at = (0.0, 0.0, 0.0)

    def tell(self, job: JobStatus, replaying: str | None) -> None:
        """Show how the job is.

        Args:
            job: Its status.
            replaying: What of a finished run is replayed; None while the job lives.
        """
        parts = [f"**{job.state}**"]
        if job.phase is not None:
            count = f"{job.done}/{job.total} {job.unit}" if job.total is not None else ""
            rate = f"{job.rate:.1f}/s" if job.rate and job.alive and job.total is not None else ""
            parts.append(f"cycle {job.cycle}, {job.phase} " + ", ".join(filter(None, (count, rate))))
        parts += [text for text in (job.error, replaying) if text]
        _set(self._phase, "content", "  \n".join(parts))
        if job.total:
            _set(self._bar, "value", min(100.0, 100.0 * (job.done or 0) / job.total))
        loss = job.metrics.get("sleep/loss")
        if replaying is None and loss is not None and (not self._losses or self._losses[-1][1] != loss):
            self._losses.append((time.monotonic() - self._begin, loss))
            self._loss.data = _columns(self._losses)

    def recall(self, losses: Sequence[tuple[float, float]]) -> None:
        """Show the loss of a job that is over.

        Args:
            losses: Update and loss.
        """
        if losses:
            self._losses = deque(losses, maxlen=SHOWN)
            self._loss.data = _columns(self._losses)

    def show(self, scene: Scene | None, looks: Sequence[Look], thoughts: Sequence[Thought], mind: bool) -> None:
        """Show consecutive looks: the last of them, and all of them in the curves.

        Args:
            scene: Places the bodies.
            looks: At least one.
            thoughts: What the mind makes of them.
            mind: Whether it has a checkpoint.
        """
        last = looks[-1]
        if scene is not None and last.truth:
            with self._server.atomic():
                for name, pose in scene.poses(last.truth).items():
                    if name in self._frames:
                        self._frames[name].position = pose[:3]
                        self._frames[name].wxyz = pose[[6, 3, 4, 5]]
        self._sense(looks)
        _set(self._mind, "content", "" if mind else "no checkpoint yet: the mind has learned nothing")
        for look, thought in enumerate(thoughts, start=self._looks):
            self._groups.append(thought.groups)
            if thought.surprise is not None:
                self._surprises.append((float(look), thought.surprise))
        self._looks += len(looks)
        if self._groups:
            history = np.zeros((SHOWN, len(GROUPS)))
            history[-len(self._groups) :] = self._groups
            self._strip.image = pictures.strip(history)
        if self._surprises:
            self._surprise.data = _columns(self._surprises)

    def gallery(self, *files: Path) -> None:
        """Show the newest of some pictures, if it is newer than the one that is shown."""
        there = [(file.stat().st_mtime, file) for file in files if file.is_file()]
        if not there or max(there)[0] == self._pictured:
            return
        from PIL import Image

        self._pictured, file = max(there)
        try:
            with Image.open(file) as image:
                image.thumbnail((WIDE, 10 * WIDE))
                self._gallery.image = np.asarray(image.convert("RGB"))
        except OSError:
            self._pictured = None
            return
        _set(self._dream_text, "content", f"{file.name}: coherence is 0 where it seems impossible, 1 where ordinary")

    def say(self, text: str) -> None:
        """Show a line to whoever looks."""
        for client in self._server.get_clients().values():
            client.add_notification("sage-ext", text)

    def _sense(self, looks: Sequence[Look]) -> None:
        senses = looks[-1].senses
        if "visual" in senses:
            self._rgb.image = pictures.enlarged(senses["visual"], 192)
        if "depth" in senses:
            self._depth.image = pictures.enlarged(pictures.depth_picture(senses["depth"]), 192)
        if "audio" in senses:
            self._heard.extend(pictures.spectrum(look.senses["audio"]) for look in looks if "audio" in look.senses)
            silence = [np.full_like(self._heard[-1], pictures.FLOOR_DB)] * (HEARD - len(self._heard))
            sound = np.concatenate([*silence, *self._heard], axis=1)
            self._sound.image = pictures.coloured(sound, pictures.FLOOR_DB, pictures.CEILING_DB).repeat(2, axis=0)
        if "tactile" in senses:
            self._touch.image = pictures.enlarged(pictures.touch_picture(senses["tactile"]), 96)
        if "proprioceptive" in senses:
            self._feelings.extend(
                look.senses["proprioceptive"][:FELT] for look in looks if "proprioceptive" in look.senses
            )
            ahead = self._looks + len(looks)
            moments = np.arange(ahead - len(self._feelings), ahead, dtype=np.float64)
            self._felt.data = (moments, *np.asarray(self._feelings, np.float64).T)

    def _plot(self, names: tuple[str, ...], title: str) -> Any:
        series: Any = ({}, *({"label": n, "stroke": c, "width": 1} for n, c in zip(names, COLOURS, strict=False)))
        empty = tuple(np.zeros(2) for _ in (0, *names))
        return self._server.gui.add_uplot(
            empty, series, title=title, height=150, legend={"show": False}, scales={"x": {"time": False}}
        )


def _blank(rows: int, columns: int) -> np.ndarray:
    return np.zeros((rows, columns, 3), np.uint8)


def _columns(rows: Sequence[tuple[float, float]] | deque[tuple[float, float]]) -> tuple[np.ndarray, ...]:
    return tuple(np.asarray(rows, np.float64).T)


def _set(handle: Any, name: str, value: Any) -> None:
    """Only what changed is sent."""
    if getattr(handle, name) != value:
        setattr(handle, name, value)
