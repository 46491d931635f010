"""What Omniverse Kit loads: the extension, and the functions for scripts.

    from sage_ext import extension
    extension.start(task="navigation", preset="debug")
    extension.status().state
    extension.stop()

This module needs Kit; nothing of sage-ext but ``sage_ext.kit.window`` and ``menu`` does so besides.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import carb
import carb.eventdispatcher
import carb.settings
import omni.ext
import omni.kit.app

from .jobs import JobStatus
from .kit.session import Session

if TYPE_CHECKING:
    from .kit.menu import WindowMenu
    from .kit.window import SageWindow

SETTINGS = "/exts/sage_ext/"
"""Where the settings are; each is read anew whenever it is used."""

_session: Session | None = None


def start(task: str | None = None, preset: str | None = None, settings: Sequence[str] = ()) -> JobStatus:
    """Start a wake-sleep-dream cycle in a process of its own; see :meth:`sage_ext.kit.session.Session.start`."""
    return _enabled().start(task, preset, settings)


def resume(run: str = "latest") -> JobStatus:
    """Go on in a run that was stopped or killed; see :meth:`sage_ext.kit.session.Session.resume`."""
    return _enabled().resume(run)


def pause() -> None:
    """Let the job wait at its next safe point."""
    _enabled().pause()


def unpause() -> None:
    """Let the job go on."""
    _enabled().unpause()


def stop() -> None:
    """Let the job end at its next safe point; it can be resumed."""
    _enabled().stop()


def status() -> JobStatus:
    """How the job is; ``idle`` before there was one."""
    return _enabled().status()


class SageExtension(omni.ext.IExt):
    """Registers the tasks, watches the job, and shows a window where there is ``omni.ui``."""

    def on_startup(self, ext_id: str) -> None:
        """Kit enables the extension."""
        global _session
        import sage_tasks

        sage_tasks.register()
        self._session = _session = Session(_setting, _say)
        self._window: SageWindow | None = None
        self._menu: WindowMenu | None = None
        try:
            from omni import ui
        except ImportError:
            _say("no window: omni.ui is not in this app; use sage_ext.extension.start() or `sage-ext`", False)
        else:
            self._open(ui)
        self._updates = carb.eventdispatcher.get_eventdispatcher().observe_event(
            event_name=omni.kit.app.GLOBAL_EVENT_UPDATE, on_event=self._on_update, observer_name="sage_ext"
        )

    def on_shutdown(self) -> None:
        """Kit disables the extension: ends the job, and leaves nothing behind."""
        global _session
        import sage_tasks

        self._updates = None
        if self._menu is not None:
            self._menu.close()
        if self._window is not None:
            self._window.close()
        self._window = self._menu = None
        self._session.close()
        _session = None
        sage_tasks.unregister()

    def _open(self, ui: object) -> None:
        from .kit.window import SageWindow

        self._window = window = SageWindow(ui, self._session, _setting)
        with contextlib.suppress(ImportError):
            from .kit.menu import WindowMenu

            self._menu = WindowMenu(window.toggle)

    def _on_update(self, event: object) -> None:
        now = self._session.tick()
        if now is not None and self._window is not None:
            self._window.show(now)


def _enabled() -> Session:
    if _session is None:
        raise RuntimeError("the extension sage_ext is not enabled")
    return _session


def _setting(name: str) -> object:
    return carb.settings.get_settings().get(SETTINGS + name)


def _say(text: str, wrong: bool) -> None:
    # Not info: Kit hides that by default.
    (carb.log_error if wrong else carb.log_warn)(text)
