"""Omniverse Kit's kernel in this process, with the checkout in an extension folder."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parent.parent.parent
NAME = "sage-ext"
FLAGS = (
    "--allow-root",
    "--no-window",
    # With fast shutdown the process would end in shutdown() with exit code 0, whatever failed.
    "--/app/fastShutdown=false",
    "--/app/extensions/registryEnabled=false",
)


class Kit:
    """A running Kit; the extension is in reach and not enabled."""

    def __init__(self, folder: Path) -> None:
        from omni.kit_app import KitApp

        (folder / "exts").mkdir()
        (folder / "exts" / NAME).symlink_to(REPO, target_is_directory=True)
        self._log = folder / "kit.log"
        self.runs = folder / "runs"
        self.app = KitApp()
        here = ["--ext-folder", str(folder / "exts"), f"--/log/file={self._log}", f"--/exts/sage_ext/runs={self.runs}"]
        self.app.startup([*FLAGS, *here])
        import carb.settings
        import omni.kit.app

        self.manager = omni.kit.app.get_app().get_extension_manager()
        self.settings = carb.settings.get_settings()

    @property
    def enabled(self) -> list[str]:
        """Ids of the enabled extensions."""
        return [e["id"] for e in self.manager.get_extensions() if e["enabled"]]

    def enable(self, enabled: bool = True) -> None:
        """Enable or disable the extension."""
        self.manager.set_extension_enabled_immediate(NAME, enabled)

    def until(self, condition: Callable[[], bool], seconds: float = 400.0) -> None:
        """Let Kit update until something came about."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come about"
            self.app.update()
            time.sleep(0.02)

    def log(self, text: str) -> list[str]:
        """Lines of Kit's log that have a text."""
        return [line for line in self._log.read_text(errors="replace").splitlines() if text in line]


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    running = Kit(tmp_path_factory.mktemp("kit"))
    yield running
    assert running.app.shutdown() == 0


@pytest.fixture
def extension() -> Any:
    """The module that Kit loaded."""
    return sys.modules["sage_ext.extension"]
