"""The extension as users get it: a plain checkout in an extension folder, and the built wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from .conftest import FLAGS, REPO

pytestmark = pytest.mark.kit

SCRIPT = """
import subprocess, sys
site, flags = sys.argv[1].split("|"), sys.argv[2].split("|")
sys.path += site  # the dependencies, and no editable install
from omni.kit_app import KitApp
app = KitApp()
app.startup([*flags, "--enable", "sage-ext"])
app.update()
import omni.kit.app
from sage_ext import extension
from sage_ext.jobs import child
from sage_ext.paths import config_dir
import sage_ext, sage_envs, sage_tasks
manager = omni.kit.app.get_app().get_extension_manager()
print("enabled", *[e["id"] for e in manager.get_extensions() if e["enabled"] and "sage" in e["id"]])
print("status", extension.status().state)
print("modules", sage_ext.__file__, sage_envs.__file__, sage_tasks.__file__)
print("config", config_dir())
code = "import sage_ext, sage_envs, sage_tasks as t; print('child', *[m.__file__ for m in (sage_ext, sage_envs, t)])"
print(subprocess.run([child.interpreter(), "-c", code], env=child.environment(), capture_output=True, text=True).stdout)
sys.stdout.flush()
sys.exit(app.shutdown())
"""


def in_kit(tmp_path: Path, folder: Path, *site: Path) -> dict[str, str]:
    """Enables the extension in a Kit of its own that knows no other copy; gives what it found."""
    (tmp_path / "script.py").write_text(SCRIPT)
    places = "|".join([*map(str, site), sysconfig.get_paths()["purelib"]])
    flags = "|".join([*FLAGS, "--ext-folder", str(folder), f"--/log/file={tmp_path / 'kit.log'}"])
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-S", str(tmp_path / "script.py"), places, flags]
    done = subprocess.run(
        command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (line.partition(" ") for line in done.stdout.splitlines())
    return {word: rest for word, _, rest in lines}


def test_a_plain_checkout_works(tmp_path: Path) -> None:
    checkout = tmp_path / "exts" / "sage-ext"
    for folder in ("sage_ext", "envs", "tasks", "config", "data"):
        shutil.copytree(REPO / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("extension.toml", "CHANGELOG.md", "README.md"):
        shutil.copy(REPO / file, checkout)
    found = in_kit(tmp_path, tmp_path / "exts")
    assert found["enabled"].startswith("sage-ext-") and found["status"] == "idle"
    assert found["config"] == str(checkout / "config")
    places = [str(checkout / part / "__init__.py") for part in ("sage_ext", "envs/sage_envs", "tasks/sage_tasks")]
    assert found["modules"].split() == places
    assert found["child"].split() == places, "a job finds the packages, too"


def test_the_wheel_works(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", tmp_path, REPO], check=True, timeout=200)
    site = tmp_path / "site"
    zipfile.ZipFile(next(tmp_path.glob("*.whl"))).extractall(site)
    found = in_kit(tmp_path, site / "sage_ext/_kit", site)
    assert found["enabled"].startswith("sage-ext-") and found["status"] == "idle"
    assert found["config"] == str(site / "sage_ext/_config")
    places = [str(site / part / "__init__.py") for part in ("sage_ext", "sage_envs", "sage_tasks")]
    assert found["modules"].split() == places and found["child"].split() == places
    for part in ("extension.toml", "data/icon.png", "data/preview.png", "CHANGELOG.md", "README.md"):
        assert (site / "sage_ext/_kit/sage-ext" / part).is_file()
