"""How a job is started: which Python, and what it may know of the process that starts it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

KIT = ("CARB_APP_PATH", "PYTHONHOME")
"""Variables that Kit sets for its own process: a child would look for Kit's libraries, or find another Python's."""
PACKAGES = ("sage_ext", "sage_envs", "sage_tasks")


def interpreter() -> str:
    """The Python that runs this process; where Kit is the program, the one that belongs to it.

    Raises:
        FileNotFoundError: There is none.
    """
    beside = [Path(sys.prefix) / "bin" / name for name in ("python3", "python")]
    for path in (Path(sys.executable or ""), *beside):
        if path.name.startswith("python") and os.access(path, os.X_OK):
            return str(path)
    raise FileNotFoundError(f"no Python found for a job: neither {sys.executable} nor one in {sys.prefix}/bin")


def environment() -> dict[str, str]:
    """The variables of this process without Kit's, and with our packages on the path."""
    variables = {key: value for key, value in os.environ.items() if key not in KIT}
    kit = os.environ.get("CARB_APP_PATH")
    inherited = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and not _inside(p, kit)]
    variables["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([*package_folders(), *inherited]))
    return variables


def package_folders(names: Iterable[str] = PACKAGES) -> list[str]:
    """Folders from which this process imports our packages; a checkout has three, a wheel one."""
    found = (find_spec(name) for name in names)
    return list(dict.fromkeys(str(Path(s.origin).resolve().parent.parent) for s in found if s and s.origin))


def _inside(path: str, folder: str | None) -> bool:
    return folder is not None and Path(path).resolve().is_relative_to(Path(folder).resolve())
