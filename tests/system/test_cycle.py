"""The command as a user runs it, on the real simulator: the same seed gives the same, interrupted or not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.sim

COMMAND = [sys.executable, "-m", "sage_ext"]
# With sensor noise, which is drawn too.
SMALL = ["preset=debug", "seed=3", "dream.laws=[physics/float,physics/vanish]", "task.noise=harsh"]


def summary(run: Path) -> dict:
    """Results of a run without what depends on the machine and the moment."""
    found = json.loads((run / "summary.json").read_text())
    del found["measured"]
    return found


def only_run(folder: Path) -> Path:
    (run,) = folder.iterdir()
    return run


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    done = subprocess.run([*COMMAND, "cycle", *SMALL, f"runs={folder}"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return only_run(folder)


def test_a_cycle_leaves_what_it_promises(uninterrupted: Path) -> None:
    found = summary(uninterrupted)
    assert (found["episodes"], found["experiences"], found["consolidations"], found["explorations"]) == (2, 180, 24, 2)
    assert 0.0 <= found["mean_coherence"] <= 1.0 and found["collapsed_loss"] > 0.0
    assert (uninterrupted / "dreams.png").read_bytes().startswith(b"\x89PNG")


def test_interrupted_and_resumed_is_as_if_it_never_was(uninterrupted: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "cycle", *SMALL, f"runs={tmp_path}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 300
        # In the midst of sleep: the memory is whole, nothing is learned or half of it.
        while time.monotonic() < deadline and process.poll() is None:
            state = list(tmp_path.glob("*/state.json"))
            if state and json.loads(state[0].read_text()).get("phase") == 1:
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors
    assert "sage-ext resume" in errors
    run = only_run(tmp_path)
    assert not (run / "summary.json").exists()
    done = subprocess.run([*COMMAND, "resume", str(run)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert summary(run) == summary(uninterrupted)
    # The name of its file is the hash of all that was learned.
    (learned,), (undisturbed,) = (p.glob("checkpoint/*.safetensors") for p in (run, uninterrupted))
    assert learned.name == undisturbed.name
