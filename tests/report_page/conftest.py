"""A run folder with everything that a report shows, in the formats in which runs write it; and dreams made by hand."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from sage_ext.config import load_config
from sage_ext.dream import Explored
from sage_ext.dream_file import save_dreams
from sage_ext.report import Reporter
from sage_ext.runs import Run
from tests.browser import browser  # noqa: F401  a fixture

LOOKS, AT = 16, 8
COHERENCES = {"float": [(0.1, 0.5), (0.7, 0.4)], "vanish": [(0.2, 0.5), (0.5, 0.5)], "reversal": [(0.3, 0.8)]}
"""Law -> coherence of each dream and of its twin."""
ROWS = [("sage-ext", "mass", 0.81), ("sage-ext", "materials:mass", 0.62), ("untrained", "mass", 0.12)]
ROWS += [("sage-ext", "objects:mass", -0.3), ("untrained", "materials:mass", 0.05)]
"""Of probes: arm, case, R2."""


def explored(law: str, coherence: float, twin_coherence: float, size: int = 32, at: int = AT) -> Explored:
    """A dream: a square that goes on in the twin and is gone in the dream."""
    twin = torch.full((LOOKS, size, size, 3), 90, dtype=torch.uint8)
    for look in range(LOOKS):
        twin[look, look % size : look % size + 6, 4:10] = torch.tensor([220, 60, 30], dtype=torch.uint8)
    frames = twin.clone()
    frames[at:] = 90
    surprise = torch.cat([torch.tensor([torch.nan]), torch.zeros(LOOKS - 1)])
    shocked = surprise.clone()
    shocked[at:] = 3.0
    sound = torch.full((LOOKS, 1024), -80.0)
    sound[at, :512].view(32, 16)[10] = -20.0
    return Explored(
        law=law, kind="vanish", magnitude=1.0,
        at=at, episode=3, step=40, coherence=coherence, twin_coherence=twin_coherence, surprise=shocked,
        twin_surprise=surprise, frames=frames, twin_frames=twin, actions=torch.zeros(LOOKS, 2),
        senses={"visual": frames, "audio": torch.full_like(sound, -80.0)}, twin_senses={"visual": twin, "audio": sound},
        groups=shocked[:, None].expand(LOOKS, 15) / 15, twin_groups=surprise[:, None].expand(LOOKS, 15) / 15,
    )  # fmt: skip


def dreamt() -> list[Explored]:
    """Five dreams; two laws were missed once."""
    return [explored(law, *pair) for law, pairs in COHERENCES.items() for pair in pairs]


def write_probes(path: Path) -> None:
    """As ``bench.probes`` does."""
    rows = [{"arm": a, "case": c, "metric": "r2", "value": v, "spread": None} for a, c, v in ROWS]
    rows.append({"arm": "sage-ext", "case": "mean", "metric": "score", "value": 0.8, "spread": None})
    budget = {"tasks": ["Sage-Navigation"], "updates": 40, "episodes": "160 to fit"}
    path.write_text(json.dumps({"bench": "probes", "machine": "a small one", "budget": budget, "rows": rows}))


def begun(runs: Path, *overrides: str) -> Run:
    """A run that has told nothing yet."""
    return Run.create(load_config(["preset=debug", f"runs={runs}", *overrides]))


def tell(run: Run, updates: int = 40) -> None:
    """Curves as a cycle writes them."""
    reporter = Reporter(run.tensorboard, file=io.StringIO())
    for update in range(updates):
        reporter.scalar("sleep/loss", 9.0 - update / 10, update + 1)
        reporter.scalar("sleep/collapsed", 21.0, update + 1)
        reporter.scalar("sleep/change/log_mass", 1.0, update + 1)
    reporter.scalar("rank/objects", 0.25, updates)
    for cycle in range(2):
        reporter.scalar("wake/success_rate", 0.25 + 0.5 * cycle, cycle)
        reporter.scalar("dream/mean_coherence", 0.4 - 0.1 * cycle, cycle)
        reporter.scalar("dream/mean_twin_coherence", 0.5, cycle)
    reporter.image("dream/0-float", np.zeros((4, 4, 3), np.uint8), 0)
    reporter.close()


def finish(run: Run, dreams: list[Explored]) -> None:
    """Results as a cycle writes them."""
    records = [dream.record() for dream in dreams]
    measured = {"seconds": {"wake": 12.0}, "peak_memory_gb": 2.5, "machine": "x86_64, 2 cores, cpu", "finished": "now"}
    results = {"episodes": 12, "experiences": 7200, "consolidations": 600, "updates": 40, "explorations": len(records)}
    run.write_summary({**results, "pairwise_accuracy": 0.7, "dreams": records, "measured": measured})


@pytest.fixture(scope="package")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with everything; leave it as it is."""
    with begun(tmp_path_factory.mktemp("runs"), "seed=7", "name=shown") as run:
        tell(run)
        finish(run, dreamt())
        save_dreams(run.scenes, dreamt())
        write_probes(run.path / "probes.json")
        return run.path


@pytest.fixture
def opened(whole: Path) -> Callable[[], Run]:
    """Opens it for reading."""
    return lambda: Run.open(whole, lock=False)
