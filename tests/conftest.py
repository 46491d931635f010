"""What all tests share: the simulator's environment variables, and the rule that collecting must not load it."""

from __future__ import annotations

import os
import sys

import pytest

os.environ.setdefault("OMNI_KIT_ACCEPT_EULA", "YES")
if hasattr(os, "geteuid") and os.geteuid() == 0:
    os.environ.setdefault("OMNI_KIT_ALLOW_ROOT", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

SIMULATOR = ("isaaclab", "isaaclab_tasks", "ovphysx", "newton", "omni")


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Stops when a test module loads the simulator while it is merely collected.

    All modules are collected in one process, most of them only to be deselected, and a simulator loaded there slows
    every run and leaks into tests that promise to need none.
    """
    loaded = [name for name in SIMULATOR if name in sys.modules]
    if loaded:
        raise pytest.UsageError(
            f"{report.nodeid} imports {loaded[0]} when it is collected; import it inside the tests or in a fixture"
        )
