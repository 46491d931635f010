"""The manifests agree with each other, and no file names a machine or a registry."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPO = Path(__file__).resolve().parent.parent.parent
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]


def test_one_version() -> None:
    manifest = tomllib.loads((REPO / "extension.toml").read_text())
    assert manifest["package"]["version"] == PROJECT["version"]
    assert f"## [{PROJECT['version']}]" in (REPO / manifest["package"]["changelog"]).read_text()


def test_kit_modules_exist() -> None:
    for module in tomllib.loads((REPO / "extension.toml").read_text())["python"]["module"]:
        place = REPO / module.get("path", "") / module["name"].replace(".", "/")
        assert (place / "__init__.py").is_file() or place.with_suffix(".py").is_file(), module


def test_kit_finds_its_pictures() -> None:
    manifest = tomllib.loads((REPO / "extension.toml").read_text())["package"]
    for key in ("icon", "preview_image"):
        assert (REPO / manifest[key]).read_bytes().startswith(b"\x89PNG"), key


def test_constraints_pin_every_dependency_within_its_bounds() -> None:
    lines = [line for line in (REPO / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line) for line in lines)
    pins = {normal(name): version for name, version in (line.split("==") for line in lines)}
    assert len(pins) == len(lines)
    wanted = [*PROJECT["dependencies"], *chain(*PROJECT["optional-dependencies"].values())]
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(pins[normal(requirement.name)]), requirement


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def git_files(*which: str) -> list[str]:
    command = ["git", "ls-files", "-z", *which]
    listed = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    return [name for name in listed.stdout.split("\0") if name]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Every tracked text file (before the first commit: every file that is not ignored)."""
    names = git_files("--cached") or git_files("--others", "--exclude-standard")
    if not names:
        pytest.skip("not a git checkout")
    files = [REPO / name for name in names if (REPO / name).is_file()]
    found = {}
    for file in files:
        data = file.read_bytes()
        if b"\0" not in data:
            found[str(file.relative_to(REPO))] = data.decode(errors="replace")
    assert "pyproject.toml" in found
    return found


def found_in(texts: dict[str, str], pattern: str) -> list[str]:
    return [f"{name}: {match.group()}" for name, text in texts.items() for match in re.finditer(pattern, text)]


def test_no_paths_of_one_machine(texts: dict[str, str]) -> None:
    folders = "|".join(("root", "work", r"home/\w+"))
    assert not found_in(texts, rf"(?<![\w.~}}*/-])/(?:{folders})/")


def test_no_package_registry(texts: dict[str, str]) -> None:
    assert not found_in(texts, "index" + r"-url\s*[= ]\s*\w+:|find" + r"-links\s*[= ]|https?://\S*/simple\b")
    # Nor the registries that this machine's own pip is set to use, whatever they are.
    settings = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    hosts = set(re.findall(r"https?://(?:[^@/\s']*@)?([\w.-]+)", settings)) - {"pypi.org", "localhost"}
    for host in hosts:
        assert not found_in(texts, re.escape(host))
