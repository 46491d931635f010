"""A whole run on the ball world: what it counts, that its seed repeats it, and that nothing that ends it changes it."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sage_ext import cycle as cycle_module
from sage_ext.config import Config
from sage_ext.context import checkpoint
from sage_ext.cycle import PHASES, run_phases
from sage_ext.errors import Interrupted, SageError
from sage_ext.memory import Memory
from sage_ext.mind import Mind
from sage_ext.report import Reporter
from sage_ext.runs import Run
from sage_ext.sleep import rounds as rounds_module

from .ball_world import BallBody, BallWorld
from .conftest import REPO, configured

STEPS = 18
CHECKS = {"wake": 2 * STEPS, "sleep": 2, "dream": 4}
"""How often a run of 2 waves, 2 rounds and 4 dreams may be stopped."""


class Stop:
    """Asks for a stop at the ``after``-th safe point; one that is not ``told`` leaves no time to save."""

    def __init__(self, after: int | None = None, told: bool = True) -> None:
        self.after, self.told, self.count = after, told, 0

    def arm(self) -> None:
        return

    def check(self, save: Any = None) -> None:
        self.count += 1
        if self.after is not None and self.count >= self.after:
            if save is not None and self.told:
                save()
            raise Interrupted


class Goals(BallWorld):
    """Some robots succeed, which ends nothing."""

    def step(self, action: Tensor) -> tuple[dict[str, Any], Tensor, Tensor, Tensor, dict[str, Any]]:
        observation, x, terminated, truncated, _ = super().step(action)
        return observation, x, terminated, truncated, {"success": x > -0.6}


def config_of(runs: Path, *overrides: str) -> Config:
    return configured(f"runs={runs}", "task.episode_length_s=0.6", *overrides)


def begin(runs: Path, *overrides: str) -> Path:
    with Run.create(config_of(runs, *overrides)) as run:
        return run.path


def go(path: Path, stop: Stop | None = None, phases: tuple[str, ...] = PHASES, body: Any = None) -> dict[str, Any]:
    """What ``sage-ext resume`` does, and ``cycle`` after the folder was made."""
    with Run.open(path) as run:
        return run_phases(
            run.config, run, phases, Reporter(file=io.StringIO()), stop or Stop(), body or BallBody(Goals)
        )


def result(path: Path) -> dict[str, Any]:
    """The summary as written, without what belongs to the machine."""
    summary: dict[str, Any] = json.loads((path / "summary.json").read_text())
    assert set(summary.pop("measured")) == {"seconds", "peak_memory_gb", "machine", "finished"}
    return summary


def weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Everything that was learned, the optimizer's state with it."""
    return checkpoint.load_state(path / "checkpoint" / "checkpoint")


def assert_same(path: Path, other: Path) -> None:
    assert result(path) == result(other)
    (tensors, meta), (others, other_meta) = weights(path), weights(other)
    assert meta == other_meta and tensors.keys() == others.keys()
    assert all(torch.equal(value, others[name]) for name, value in tensors.items())
    for name in ("dreams.png", "dreams.safetensors"):
        (one, found), (two, others) = (
            (p.exists(), p.read_bytes() if p.exists() else b"") for p in (path / name, other / name)
        )
        assert one == two and found == others, name
    with Memory.open(path / "memory") as memory, Memory.open(other / "memory") as other_memory:
        assert memory.episodes == other_memory.episodes
        for episode in memory.episodes:
            assert bool((memory.episode(episode) == other_memory.episode(episode)).all())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    path, stop = begin(tmp_path_factory.mktemp("whole")), Stop()
    go(path, stop)
    assert stop.count == sum(CHECKS.values()), "the interruptions below count on it"
    return path


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cycles that nobody disturbed."""
    path = begin(tmp_path_factory.mktemp("twice"), "cycles=2")
    go(path)
    return path


def test_an_expert_is_disturbed_as_suits_its_task_where_nothing_else_is_said(tmp_path: Path) -> None:
    def done(name: str, *overrides: str) -> tuple[Tensor, Tensor]:
        path = begin(tmp_path / name, "wake.policy=expert", *overrides)
        go(path, phases=("wake",))
        with Memory.open(path / "memory") as memory:
            steps = [memory.episode(e) for e in memory.episodes]
        return torch.cat([s["action"] for s in steps]), torch.cat([s["label"] for s in steps])

    unsaid, wanted = done("unsaid")
    assert torch.equal(unsaid, done("said", f"wake.disturbance={BallBody().disturbance(None)}")[0])
    assert not torch.equal(unsaid, wanted) and torch.equal(*done("none", "wake.disturbance=0"))


def test_the_summary_counts_what_happened(whole: Path) -> None:
    found = result(whole)
    assert {k: found[k] for k in ("task", "physics", "policy", "seed", "cycles")} == {
        "task": "Sage-Navigation", "physics": "ovphysx", "policy": "random", "seed": 0, "cycles": 1,
    }  # fmt: skip
    counts = {"episodes": 4, "experiences": 72, "consolidations": 24, "updates": 6, "explorations": 4}
    assert {k: found[k] for k in counts} == counts
    assert found["success_rate"] in (0.25, 0.5, 0.75)
    assert [d["kind"] for d in found["dreams"]].count("float") == 2 and len(found["dreams"]) == 4
    for name, key in (("mean_coherence", "coherence"), ("mean_twin_coherence", "twin_coherence")):
        assert found[name] == pytest.approx(sum(d[key] for d in found["dreams"]) / 4)
    pairs = [(d["coherence"], d["twin_coherence"]) for d in found["dreams"]]
    told = sum((a < b) + 0.5 * (a == b) for a, b in pairs)
    assert found["pairwise_accuracy"] == pytest.approx(told / 4)
    assert found["loss"] == found["losses"]["loss"] and found["collapsed_loss"] == found["losses"]["collapsed"]
    seconds = json.loads((whole / "summary.json").read_text())["measured"]["seconds"]
    assert set(seconds) == {"start", *PHASES} and all(seconds[p] > 0 for p in PHASES)


def test_a_run_leaves_its_memory_its_mind_and_its_picture(whole: Path) -> None:
    with Memory.open(whole / "memory") as memory:
        assert [e.length for e in memory.episodes] == [STEPS] * 4
    mind = Mind.load(whole / "checkpoint", configured().sleep, "cpu")
    assert (mind.learned["consolidations"], mind.learned["updates"], mind.learned["calibrated"]) == (24, 6, True)
    assert (whole / "dreams.png").read_bytes()[:4] == b"\x89PNG"
    assert not list(whole.glob(".*")), "nothing half written is left"


def test_one_seed_gives_one_result_and_another_another(whole: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    again, other = begin(tmp_path), begin(tmp_path, "seed=1")
    go(again)
    torch.manual_seed(6)
    assert_same(again, whole)
    go(other)
    found, before = result(other), result(whole)
    assert found.pop("seed") != before.pop("seed")
    for key in ("loss", "collapsed_loss", "mean_coherence", "dreams"):
        assert found[key] != before[key], key


def test_living_ahead_changes_nothing(whole: Path, tmp_path: Path) -> None:
    with Run.open(whole) as run:
        assert run.config.sleep.background
    path = begin(tmp_path, "sleep.background=false")
    go(path)
    assert_same(path, whole)


@pytest.mark.parametrize(
    ("after", "told"),
    [
        pytest.param(11, True, id="wave1"),
        pytest.param(STEPS, True, id="wave1end"),
        pytest.param(2 * STEPS - 3, True, id="wave2"),
        pytest.param(2 * STEPS, True, id="wave2end"),
        pytest.param(2 * STEPS + 1, True, id="round1"),
        pytest.param(2 * STEPS + 1, False, id="round1sudden"),
        pytest.param(2 * STEPS + 2, True, id="round2"),
        pytest.param(2 * STEPS + 4, True, id="dream2"),
    ],
)
def test_an_interrupted_run_ends_as_if_it_had_not_been(whole: Path, tmp_path: Path, after: int, told: bool) -> None:
    """A stop that is asked for, ``told``, saves the mind."""
    path = begin(tmp_path)
    with pytest.raises(Interrupted):
        go(path, Stop(after, told))
    assert not (path / "summary.json").exists()
    assert (path / "checkpoint" / "checkpoint.json").exists() == (after > 2 * STEPS + (0 if told else 2))
    go(path)
    assert_same(path, whole)


def test_a_run_interrupted_again_and_again_comes_to_its_end(twice: Path, tmp_path: Path) -> None:
    path, count, spent = begin(tmp_path, "cycles=2"), 0, []
    while not (path / "summary.json").exists():
        try:
            go(path, Stop(STEPS + 2))
        except Interrupted:
            count += 1
        spent.append(sum(json.loads((path / "state.json").read_text())["seconds"].values()))
    assert count >= 5
    assert_same(path, twice)
    assert spent == sorted(spent), "the seconds of all processes are counted"


def test_a_second_cycle_goes_on_from_the_first(whole: Path, twice: Path) -> None:
    one, two = result(whole), result(twice)
    for key in ("episodes", "experiences", "consolidations", "updates", "explorations"):
        assert two[key] == 2 * one[key], key
    assert len(two["dreams"]) == 4 and two["dreams"] != one["dreams"]
    assert two["loss"] != one["loss"]
    with Memory.open(twice / "memory") as memory, Memory.open(whole / "memory") as before:
        first = [memory.episode(e)["observation"] for e in memory.episodes]
        assert memory.episodes[:4] == before.episodes
        beginnings = {tuple(f["proprioceptive"].flatten().tolist()) for f in first}
        assert len(beginnings) == 8, "the second wake is not the first once more"


KILLED = """
import io, os, signal, sys
from pathlib import Path
import pytest, torch
from sage_ext import cycle
from sage_ext.report import Reporter
from sage_ext.runs import Run
from tests.mind.ball_world import BallBody
from tests.mind.conftest import shrink
from tests.mind.test_cycle import Goals, Stop

path, point, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
owner, name = {"relive": (Goals, "relive"), "update": (torch.optim.AdamW, "step"), "save": (os, "replace")}[point]
once = getattr(owner, name)

def mortal(*args, **options):
    global count
    if point != "save" or str(args[1]).endswith("checkpoint.json"):
        count -= 1
    if not count:
        os.kill(os.getpid(), signal.SIGKILL)
    return once(*args, **options)

setattr(owner, name, mortal)
torch.set_num_threads(1)
shrink(pytest.MonkeyPatch())
cycle.SAVE_EVERY_S = -1.0
with Run.open(path) as run:
    cycle.run_phases(run.config, run, cycle.PHASES, Reporter(file=io.StringIO()), Stop(), BallBody(Goals))
"""


@pytest.mark.parametrize(
    ("background", "point", "count", "slept"),
    [
        # Of 12 calls a round, and 3 updates: in the midst of the second.
        pytest.param(False, "relive", 18, 12, id="reliving"),
        pytest.param(True, "relive", 18, None, id="relivingahead"),
        pytest.param(True, "update", 5, 12, id="learning"),
        pytest.param(True, "save", 2, 12, id="saving"),
    ],
)
def test_a_run_killed_in_its_sleep_ends_as_if_it_had_not_been(
    whole: Path, tmp_path: Path, background: bool, point: str, count: int, slept: int | None
) -> None:
    """Where the next round is lived ahead, it is not known whether this one was learned from and saved."""
    path = begin(tmp_path, f"sleep.background={background}")
    found = os.pathsep.join(str(REPO / part) for part in ("", "envs", "tasks"))
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), point, str(count)],
        cwd=REPO,
        env={**os.environ, "PYTHONPATH": found},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    if slept is not None:
        assert weights(path)[1]["extra"]["learned"]["slept"] == slept, "a checkpoint was taken after the first round"
    assert json.loads((path / "state.json").read_text())["phase"] == 1
    go(path)
    assert_same(path, whole)


def test_a_checkpoint_is_taken_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    save = Mind.save

    def watched(self: Mind, folder: Path) -> None:
        saved.append(self.learned["slept"])
        save(self, folder)

    monkeypatch.setattr(Mind, "save", watched)
    overrides = ("sleep.consolidations=18", "sleep.round=6", "sleep.batch=6")
    go(begin(tmp_path, *overrides), phases=("wake", "sleep"))
    assert saved == [18], "two minutes have not gone by"
    monkeypatch.setattr(cycle_module, "SAVE_EVERY_S", -1.0)
    go(begin(tmp_path, *overrides), phases=("wake", "sleep"))
    assert saved == [18, 6, 12, 18, 18]


def test_rounds_go_on_with_the_schedule_of_variations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[int, int]] = []
    relive_moments = rounds_module.relive_moments

    def watched(*given: Any) -> Any:
        taken.append(given[3:5])
        return relive_moments(*given)

    monkeypatch.setattr(rounds_module, "relive_moments", watched)
    go(begin(tmp_path, "sleep.consolidations=14", "sleep.round=6", "sleep.batch=6"), phases=("wake", "sleep"))
    assert taken == [(6, 0), (6, 3), (2, 6)], "moments, and calls of 2 worlds before them"


def test_phases_one_by_one(whole: Path, tmp_path: Path) -> None:
    """``sage-ext wake``, then ``sleep`` and ``dream`` as visits of their own."""
    path = begin(tmp_path)
    found = go(path, phases=("wake",))
    assert found["episodes"] == 4 and "consolidations" not in found and not (path / "checkpoint").exists()

    def visit(number: int, phase: str) -> dict[str, Any]:
        with Run.open(path) as run:
            run.write_state({"phases": [phase], "visit": number, "results": run.state["results"]})
        return go(path, phases=(phase,))

    assert visit(1, "sleep")["consolidations"] == 24
    first = result(path)["loss"]
    assert visit(2, "sleep")["consolidations"] == 48 and result(path)["loss"] != first
    assert visit(3, "dream")["explorations"] == 4
    dreams = result(path)["dreams"]
    found = visit(4, "dream")
    assert found["explorations"] == 8 and found["dreams"] != dreams
    assert (found["episodes"], found["consolidations"]) == (4, 48), "what was before is told on"


def test_a_mind_goes_on_with_what_is_configured_now(whole: Path) -> None:
    config = configured("sleep.weight_decay=0.2", "sleep.weights.regularity=0.7").sleep
    mind = Mind.load(whole / "checkpoint", config, "cpu")
    assert {g["weight_decay"] for g in mind.optimizer.param_groups} == {0.2}
    assert mind.objective.weights.regularity == 0.7


def _truncate(folder: Path) -> None:
    (file,) = folder.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-10])


def _flip(folder: Path) -> None:
    (file,) = folder.glob("*.safetensors")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def _scribble(folder: Path) -> None:
    (folder / "checkpoint.json").write_text("{")


def _remove(folder: Path) -> None:
    (file,) = folder.glob("*.safetensors")
    file.unlink()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped after the first round of its sleep."""
    path = begin(tmp_path_factory.mktemp("stopped"))
    with pytest.raises(Interrupted):
        go(path, Stop(2 * STEPS + 1))
    return path


@pytest.fixture
def copy(stopped: Path, tmp_path: Path) -> Path:
    """The same, to be damaged."""
    return Path(shutil.copytree(stopped, tmp_path / stopped.name))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_truncate, "is truncated"),
        (_flip, "is corrupt: its sha256"),
        (_scribble, "is corrupt: no JSON"),
        (_remove, "does not exist"),
    ],
)
def test_a_damaged_checkpoint_is_named_and_nothing_written(
    copy: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(copy / "checkpoint")
    before = {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()}
    with pytest.raises(SageError, match=f"checkpoint=.*{message}"):
        go(copy)
    assert {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()} == before


def test_a_damaged_state_is_named(copy: Path) -> None:
    (copy / "state.json").write_text('{"cycle": 0, "ph')
    with pytest.raises(SageError, match="state=.*is corrupt: no JSON"):
        go(copy)


class Wider(BallWorld):
    """Another task: its snapshots hold more."""

    def snapshot(self) -> Tensor:
        return torch.cat([super().snapshot(), torch.zeros(self.num_envs, 3)], 1)

    def relive(self, rows: Tensor, actions: Tensor, **options: Any) -> dict[str, dict[str, Tensor]]:
        if rows.shape[1] != 36:
            raise ValueError(f"snapshot.shape={tuple(rows.shape)}: use snapshots of this task")
        return super().relive(rows[:, :33], actions, **options)


@pytest.mark.parametrize(
    "checks", [5, 2 * STEPS, 2 * STEPS + 1, 2 * STEPS + 3], ids=["wake", "woken", "sleep", "dream"]
)
@pytest.mark.parametrize("kind", ["resolution", "snapshot"])
def test_a_memory_of_another_kind_is_named(tmp_path: Path, checks: int, kind: str) -> None:
    path = begin(tmp_path)
    with pytest.raises(Interrupted):
        go(path, Stop(checks))
    with Run.open(path) as run:
        if kind == "resolution":
            run.write_config(config_of(tmp_path, "task.resolution=48"))
    with pytest.raises(SageError, match=r"memory|observation|snapshot"):
        go(path, body=BallBody(Wider) if kind == "snapshot" else None)


def test_curves_and_pictures_go_to_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    path = begin(tmp_path)
    with Run.open(path) as run:
        reporter = Reporter(run.tensorboard, file=io.StringIO())
        found = run_phases(run.config, run, PHASES, reporter, Stop(), BallBody())
        reporter.close()
    events = EventAccumulator(str(path / "tensorboard"))
    events.Reload()
    losses = events.Scalars("sleep/loss")
    assert [e.step for e in losses] == [1, 2, 3, 4, 5, 6]
    assert sum(e.value for e in losses[3:]) / 3 == pytest.approx(found["loss"], rel=1e-5)
    assert events.Scalars("dream/mean_coherence")[0].value == pytest.approx(found["mean_coherence"])
    assert len(events.Tags()["images"]) == 4


def test_the_environment_is_closed_whatever_happens(copy: Path, tmp_path: Path) -> None:
    closed: list[str] = []

    class Watched(BallWorld):
        def close(self) -> None:
            closed.append("closed")

    with pytest.raises(Interrupted):
        go(begin(tmp_path), Stop(3), body=BallBody(Watched))
    _truncate(copy / "checkpoint")
    with pytest.raises(SageError):
        go(copy, body=BallBody(Watched))
    assert len(closed) == 2
