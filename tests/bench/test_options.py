"""Every bench reads only options that its command line has."""

from __future__ import annotations

import argparse
import importlib
import re
from pathlib import Path

import pytest

import bench

FOLDER = Path(bench.__file__).parent
COMMANDS = sorted(p.stem for p in FOLDER.glob("*.py") if "return run_bench(" in p.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", COMMANDS)
def test_options_that_are_read_exist(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(f"bench.{name}")
    given: list[argparse.Namespace] = []
    monkeypatch.setattr(module, "run_bench", lambda _, options: given.append(options) or 0)
    assert module.main([]) == 0
    read = set(re.findall(r"\boptions\.([a-z_]+)", (FOLDER / f"{name}.py").read_text(encoding="utf-8")))
    assert read - vars(given[0]).keys() == set()


def test_commands_are_found() -> None:
    assert {"speed", "ablation", "compression", "tasks"} <= set(COMMANDS)
