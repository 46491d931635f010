"""Puts an extension folder for Kit into the wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLACE = "sage_ext/_kit/sage-ext"
"""Where it lies in the wheel; sage_ext/paths.py knows it, too. Kit calls an extension after its folder."""


class ExtensionFolder(BuildHookInterface):
    """Called by hatchling for each wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files; an editable install needs none, for there the checkout is the extension folder."""
        if version == "editable":
            return
        root, built = Path(self.root), Path(self.directory) / "extension.toml"
        lines = (root / "extension.toml").read_text(encoding="utf-8").splitlines(keepends=True)
        # In the wheel the three packages lie beside each other, where Python looks anyway; Kit wants paths to exist.
        built.parent.mkdir(parents=True, exist_ok=True)
        built.write_text("".join(line for line in lines if not line.startswith("path = ")), encoding="utf-8")
        build_data["force_include"][str(built)] = f"{PLACE}/extension.toml"
        for name in ("CHANGELOG.md", "README.md", "data"):
            build_data["force_include"][str(root / name)] = f"{PLACE}/{name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the manifest that was written for the wheel."""
        (Path(self.directory) / "extension.toml").unlink(missing_ok=True)
