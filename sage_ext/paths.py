"""Where the files that ship with the package are, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path


def config_dir() -> Path:
    """Returns the folder of the Hydra YAML files: the wheel's own copy, else ``config/`` of the checkout."""
    package = Path(__file__).resolve().parent
    packaged = package / "_config"
    return packaged if packaged.is_dir() else package.parent / "config"


def extension_folder() -> Path:
    """Returns the folder to add to Kit's extension folders: the wheel's own, else the one that holds the checkout."""
    package = Path(__file__).resolve().parent
    packaged = package / "_kit"
    return packaged if packaged.is_dir() else package.parent.parent
