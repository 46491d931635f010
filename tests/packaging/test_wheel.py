"""The wheel has everything the packages need at run time, and finds it there instead of in a checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", folder, REPO], check=True, timeout=60)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def shipped(folder: str) -> list[str]:
    """Files of a folder of the checkout that belong into the wheel, relative to it."""
    paths = (REPO / folder).rglob("*")
    return [str(p.relative_to(REPO / folder)) for p in paths if p.is_file() and "__pycache__" not in p.parts]


@pytest.mark.parametrize(
    ("folder", "place"),
    [
        ("sage_ext", "sage_ext"),
        ("envs/sage_envs", "sage_envs"),
        ("tasks/sage_tasks", "sage_tasks"),
        ("config", "sage_ext/_config"),
        ("envs/assets", "sage_envs/_assets"),
    ],
)
def test_folder_is_complete(wheel: zipfile.ZipFile, folder: str, place: str) -> None:
    files = shipped(folder)
    assert files or folder == "envs/assets"
    assert {f"{place}/{file}" for file in files} <= set(wheel.namelist())


def test_nothing_else_is_inside(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"sage_ext", "sage_envs", "sage_tasks"}


def test_metadata(wheel: zipfile.ZipFile) -> None:
    (info,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    metadata = wheel.read(f"{info}/METADATA").decode()
    assert "\nName: sage-ext\n" in metadata and "Apache-2.0" in metadata
    assert "Requires-Dist: isaaclab[ovphysx]==3.0.0; extra == 'sim'" in metadata
    assert "Apache License" in wheel.read(f"{info}/licenses/LICENSE").decode()
    entry_points = wheel.read(f"{info}/entry_points.txt").decode()
    assert "[console_scripts]\nsage-ext = sage_ext.cli:run\n" in entry_points
    assert "[isaaclab.tasks]\nsage = sage_tasks\n" in entry_points


def test_installed_packages_find_their_files_and_load_no_simulator(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    site = tmp_path.resolve() / "site"
    wheel.extractall(site)
    code = f"""
import sys
sys.path.insert(0, {str(site)!r})
import sage_ext.paths
assert sage_ext.__file__.startswith({str(site)!r}), sage_ext.__file__
print(sage_ext.paths.config_dir())
loaded = [m for m in ("isaaclab", "ovphysx", "newton", "pxr", "sage_envs", "sage_tasks") if m in sys.modules]
assert not loaded, loaded
import sage_envs.paths
print(sage_envs.paths.assets_dir())
"""
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    config, assets = map(Path, done.stdout.split())
    assert config == site / "sage_ext/_config" and list(config.rglob("*.yaml"))
    if shipped("envs/assets"):
        assert assets == site / "sage_envs/_assets" and assets.is_dir()


def test_checkout_finds_its_own_files() -> None:
    from sage_envs.paths import assets_dir
    from sage_ext.paths import config_dir

    assert config_dir() == REPO / "config"
    assert assets_dir() == REPO / "envs/assets"
