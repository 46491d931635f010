"""The set-up on machines that lack something; nothing is installed here: pip is a recorder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent.parent
PYTHON = Path(sys._base_executable)  # type: ignore[attr-defined]
TOOLS = ["awk", "bash", "cat", "cut", "dirname", "du", "flock", "grep", "mkdir", "rm", "sha256sum", "sleep"]
PIP = """
import os, pathlib, sys
if "install" in sys.argv:
    with open("pip.log", "a") as log:
        print(*sys.argv[1:], file=log)
    sys.exit(pathlib.Path("pip_fails").exists())
"""


class Machine:
    """A checkout on a machine with a few tools on the PATH and no Python at all."""

    def __init__(self, folder: Path) -> None:
        self.repo, self.bin, self.home = folder / "repo", folder / "bin", folder / "home"
        for path in (self.repo / ".ci", self.bin, self.home):
            path.mkdir(parents=True)
        for file in (".ci/setup", "pyproject.toml", "constraints.txt"):
            shutil.copy(REPO / file, self.repo / file)
        for tool in TOOLS:
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)
        self.free(50)

    def command(self, name: str, script: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!{self.bin}/bash\n{script}\n")
        path.chmod(0o755)

    def free(self, gigabytes: int) -> None:
        self.command("df", f"echo Filesystem; echo disk 0 0 {gigabytes * 1000 * 1000} 0% /")

    def make_venv(self) -> None:
        """Makes .venv with a pip that only records what it was asked for."""
        subprocess.run([PYTHON, "-m", "venv", "--without-pip", self.repo / ".venv"], check=True)
        pip = self.repo / ".venv/lib/python3.12/site-packages/pip"
        pip.mkdir()
        (pip / "__init__.py").touch()
        (pip / "__main__.py").write_text(PIP)

    def setup(self, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {"PATH": str(self.bin), "HOME": str(self.home), **environment}
        return subprocess.run(
            [self.repo / ".ci/setup"], env=variables, capture_output=True, text=True, timeout=30, check=False
        )

    @property
    def installs(self) -> int:
        """How often an installation was begun: PyTorch comes first."""
        log = self.repo / "pip.log"
        return sum(line.endswith(" torch") for line in log.read_text().splitlines()) if log.exists() else 0


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_no_python_says_how_to_get_one(machine: Machine) -> None:
    machine.command("python3.12", "echo 'pyenv: python3.12: command not found' >&2; exit 127")
    machine.command("python3", "exit 1")
    done = machine.setup()
    assert done.returncode == 2
    for text in ("no Python 3.12 found", "pyenv install 3.12", "uv python install 3.12", "apt install", "PYTHON="):
        assert text in done.stderr
    assert not (machine.repo / ".venv").exists()


def test_python_without_venv_is_named(machine: Machine) -> None:
    machine.command(
        "python3.12", 'case "$2" in *ensurepip*) echo "No module named ensurepip" >&2; exit 1;; esac; echo "$0"'
    )
    done = machine.setup()
    assert done.returncode == 2
    assert "not complete" in done.stderr and "No module named ensurepip" in done.stderr
    assert "python3.12-venv" in done.stderr


def place_pyenv(machine: Machine) -> None:
    machine.command("python3.12", "exit 127")  # the shim of a version that is not selected
    folder = machine.home / ".pyenv/versions/3.12.9/bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(PYTHON)


def place_uv(machine: Machine) -> None:
    machine.command("uv", f'[ "$*" = "python find --system 3.12" ] && echo {PYTHON}')


def place_python3(machine: Machine) -> None:
    (machine.bin / "python3").symlink_to(PYTHON)


@pytest.mark.parametrize("place", [place_pyenv, place_uv, place_python3])
def test_finds_python_and_then_wants_disk(machine: Machine, place) -> None:
    place(machine)
    machine.free(7)
    done = machine.setup()
    assert done.returncode == 2
    assert "has 7 GB free" in done.stderr and "no Python" not in done.stderr
    assert not (machine.repo / ".venv").exists()


def test_named_python_is_taken(machine: Machine) -> None:
    machine.free(7)
    assert "has 7 GB free" in machine.setup(PYTHON=str(PYTHON)).stderr


def test_installs_once_and_again_only_after_a_change(machine: Machine) -> None:
    machine.make_venv()
    assert machine.setup().returncode == 0
    assert machine.installs == 1
    torch, everything = (machine.repo / "pip.log").read_text().splitlines()
    assert torch.endswith("--constraint constraints.txt torch")
    assert "--constraint constraints.txt --editable" in everything

    start = time.monotonic()
    done = machine.setup()
    assert time.monotonic() - start < 2
    assert (done.returncode, done.stdout, done.stderr, machine.installs) == (0, "", "", 1)

    for changed, file in enumerate((".ci/setup", "pyproject.toml", "constraints.txt"), start=2):
        with (machine.repo / file).open("a") as out:
            out.write("# changed\n")
        assert machine.setup().returncode == 0
        assert machine.installs == changed


def test_failed_installation_is_tried_again(machine: Machine) -> None:
    machine.make_venv()
    (machine.repo / "pip_fails").touch()
    assert machine.setup().returncode == 1
    assert machine.setup().returncode == 1
    (machine.repo / "pip_fails").unlink()
    assert machine.setup().returncode == 0
    assert machine.setup().returncode == 0
    assert machine.installs == 3

    # Half an update, then the change is taken back: what is installed is no longer what the old stamp promised.
    constraints = machine.repo / "constraints.txt"
    before = constraints.read_text()
    constraints.write_text(before + "# changed\n")
    (machine.repo / "pip_fails").touch()
    assert machine.setup().returncode == 1
    constraints.write_text(before)
    (machine.repo / "pip_fails").unlink()
    assert machine.setup().returncode == 0
    assert machine.installs == 5
    assert not (machine.repo / ".venv/tmp").exists()


def test_moved_checkout_and_broken_python_are_made_anew(machine: Machine) -> None:
    machine.make_venv()
    assert machine.setup().returncode == 0
    machine.repo = machine.repo.rename(machine.repo.with_name("moved"))
    machine.free(7)  # stops before the real installation
    done = machine.setup(PYTHON=str(PYTHON))
    assert done.returncode == 2 and "making it anew" in done.stderr

    machine.make_venv()
    for link in (machine.repo / ".venv/bin").glob("python*"):
        link.unlink()
        link.symlink_to(os.devnull)
    done = machine.setup(PYTHON=str(PYTHON))
    assert done.returncode == 2 and "making it anew" in done.stderr
