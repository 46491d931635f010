"""Watching a run: its job while that runs, its memory once it is over."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch

from ..config_checks import STEPS_PER_SECOND
from ..errors import SageError
from ..jobs import JobStatus, request, status
from ..runs import Run
from .curve import losses
from .follow import Follower
from .guard import GuardedServer
from .insight import Insight
from .page import SHOWN, Page
from .publish import FOLDER
from .replay import Replay
from .scene import Scene

TICK_S = 0.1
"""Time between two pictures [s]."""
TELL_S = 0.5
"""Time between two looks at the job's status [s]."""


class View:
    """A page that shows a run.

    Args:
        run: Its folder.
        host: Address to listen on.
        port: Port to listen on, or the next free one; 0 is any.

    Raises:
        SageError: It is no run, or the address cannot be listened on.
    """

    def __init__(self, run: Path, host: str = "127.0.0.1", port: int = 8080) -> None:
        opened = Run.open(run, lock=False)
        self._run, self._memory = opened, opened.memory
        self._status = status(opened.path)
        self._scene: Scene | None = None
        self._insight = Insight(opened.checkpoint)
        self._world, self._pressed = 0, ""
        self._server = GuardedServer(host, port, f"sage-ext {opened.path.name}")
        self._page = Page(self._server, opened.path.name, opened.config.task.num_envs, self._press, self._choose)
        self._source: Follower | Replay = self._make_source()

    @property
    def url(self) -> str:
        """Where the page is."""
        host = self._server.get_host()
        name = "127.0.0.1" if host in ("0.0.0.0", "localhost") else f"[{host}]" if ":" in host else host
        return f"http://{name}:{self._server.get_port()}/"

    def serve(self, until: Callable[[], bool] = lambda: False) -> None:
        """Serve the page.

        Args:
            until: Ends it.
        """
        told = -TELL_S
        try:
            while not until():
                begun = time.monotonic()
                if begun - told >= TELL_S:
                    told = begun
                    self._tell()
                self._obey()
                if self._page.watched:
                    self._look()
                time.sleep(max(0.01, TICK_S - (time.monotonic() - begun)))
        finally:
            self.close()

    def close(self) -> None:
        """Stop serving; the job goes on."""
        self._source.rest()
        self._server.stop()

    def _tell(self) -> None:
        was, self._status = self._status, self._read()
        if was.alive != self._status.alive:
            self._watch_anew()
        if self._scene is None:
            self._scene = Scene.read(self._run.path / FOLDER)
            if self._scene is not None:
                self._page.draw(self._scene)
        if self._page.watched:
            self._source.watch()
        else:
            self._source.rest()
        self._page.tell(self._status, None if self._status.alive else self._replayed())
        with contextlib.suppress(OSError):
            latest = [self._status.picture] if self._status.picture is not None else []
            self._page.gallery(self._run.dreams, *latest)

    def _replayed(self) -> str:
        if not (self._memory / "meta.json").is_file():
            return "nothing is remembered of this run"
        return "its memory is replayed" + (
            ", paused" if isinstance(self._source, Replay) and self._source.paused else ""
        )

    def _read(self) -> JobStatus:
        with contextlib.suppress(SageError):
            return status(self._run.path)
        return self._status

    def _look(self) -> None:
        looks = self._source.take()
        if not looks:
            return
        mind = self._insight.refresh()
        self._page.show(self._scene, looks, self._insight.think(looks), mind)

    def _obey(self) -> None:
        pressed, self._pressed = self._pressed, ""
        if self._world != self._source.world:
            self._watch_anew()
        if not pressed:
            return
        if isinstance(self._source, Replay) and pressed != "stop":
            self._source.paused = pressed == "pause"
            return
        try:
            request(self._run.path, pressed)
        except SageError as error:
            self._page.say(str(error))

    def _watch_anew(self) -> None:
        self._source.rest()
        self._source = self._make_source()
        self._insight.restart()
        self._page.restart()

    def _make_source(self) -> Follower | Replay:
        if self._status.alive:
            return Follower(self._run.path, self._world)
        self._page.recall(losses(self._run.tensorboard, SHOWN))
        return Replay(self._memory, self._world, 1.0 / STEPS_PER_SECOND)

    def _press(self, what: str) -> None:
        self._pressed = what

    def _choose(self, world: int) -> None:
        self._world = world


def be_modest() -> None:
    """Leave the cores to the job: this process takes what is left over."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(15)
    torch.set_num_threads(1)
