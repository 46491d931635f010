"""Where the files that ship with the package are, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path


def config_dir() -> Path:
    """Returns the folder of the Hydra YAML files: the wheel's own copy, else ``config/`` of the checkout."""
    package = Path(__file__).resolve().parent
    packaged = package / "_config"
    return packaged if packaged.is_dir() else package.parent / "config"
