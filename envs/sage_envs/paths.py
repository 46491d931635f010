"""Where the robots' USD files are, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path


def assets_dir() -> Path:
    """Folder of the robots' USD files: ``envs/assets`` of a checkout, else the wheel's copy."""
    here = Path(__file__).resolve().parent
    checkout = here.parent / "assets"
    return checkout if checkout.is_dir() else here / "_assets"
