"""The dream bench counts what it says, keeps learning and judging apart, and is resumed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import dreams
from bench.dream_arms import Left, Scorer, Scores, by_amount, by_geometry, by_judge, loudness, pixel_motion, pixels
from bench.dream_scenes import LOOKS, Scenes, Sets
from bench.dream_shards import Shard
from sage_ext.context.layout import CONTEXT_WIDTH
from sage_ext.errors import SageError

LAWS = ("physics", "scale")
EACH = 30


def scenes(count: int, seed: int, names: list[str], fast: float = 1.0) -> Scenes:
    """A brightness that wanders, and a sound as loud as it."""
    generator = torch.Generator().manual_seed(seed)
    walk = 128 + (fast * torch.randn(count, LOOKS, generator=generator)).cumsum(1)
    visual = walk.clamp(0, 255).to(torch.uint8)[..., None, None, None].expand(-1, -1, 4, 4, 3).contiguous()
    audio = walk[..., None].expand(-1, -1, 64).contiguous()
    return Scenes({"visual": visual, "audio": audio}, torch.zeros(count, LOOKS, 2), names)


@pytest.fixture(scope="module")
def toy() -> Sets:
    names = [f"{law}/kind" for law in LAWS for _ in range(EACH)]
    n = len(names)
    rare = ["heavy"] * EACH + ["light"] * EACH
    return Sets(
        known=scenes(EACH, 1, [""] * EACH),
        varied=scenes(EACH, 2, [""] * EACH),
        usual=scenes(EACH, 3, [""] * EACH),
        lessons=scenes(n, 4, names, fast=9.0),
        lessons_twin=scenes(n, 5, names),
        judged=scenes(n, 6, names, fast=9.0),
        judged_twin=scenes(n, 7, names),
        unusual=scenes(2 * EACH, 8, rare),
    )


def surprises(toy: Sets, impossible: dict[str, float]) -> Scores:
    """Normal surprises, higher by so much for the impossible scenes of each law."""

    def of(part: Scenes, seed: int, dreamt: bool) -> Tensor:
        luck = torch.randn(len(part), generator=torch.Generator().manual_seed(seed))
        return luck + torch.tensor([impossible.get(law, 0.0) * dreamt for law in part.law])

    parts = enumerate(("usual", "lessons", "lessons_twin", "judged", "judged_twin", "unusual"))
    return {name: of(getattr(toy, name), i, name in ("lessons", "judged")) for i, name in parts}


def test_figures_by_hand(toy: Sets) -> None:
    scores = surprises(toy, {"physics": 100.0})
    found = dreams.figures_of(Scorer(lambda _: scores), toy)
    assert found["physics"]["pairwise_accuracy"] == found["physics"]["auroc"] == 1.0
    assert found["physics"]["false_alarm_rate"] == 0.0
    assert 0.25 < found["scale"]["pairwise_accuracy"] < 0.75
    assert found["mean"]["pairwise_accuracy"] == pytest.approx(0.5 + 0.5 * found["scale"]["pairwise_accuracy"])
    assert found["scale"]["false_alarm_rate"] > 0.8
    assert found["unusual:heavy"].keys() == {"false_alarm_rate"}
    assert not any(case.startswith("leave-one-out") for case in found), "nothing was learned from dreams"


def test_coherence_is_calibrated_on_other_laws(toy: Sets) -> None:
    """What tells one law says the opposite of another: calibrated on it coherence is wrong."""
    alike = dreams.figures_of(Scorer(lambda _: surprises(toy, {"physics": 3.0, "scale": 3.0})), toy)
    assert all(alike[law]["ece"] < 0.15 for law in LAWS)
    unlike = dreams.figures_of(Scorer(lambda _: surprises(toy, {"physics": 3.0, "scale": -3.0})), toy)
    assert unlike["scale"]["ece"] > 0.3, "the other law taught that much surprise means impossible"


def test_what_is_left_out_is_not_learned_from(toy: Sets) -> None:
    asked: list[Left] = []

    def scorer(left: Left) -> Scores:
        asked.append(left)
        # Learns each law only from dreams of it.
        return surprises(toy, {law: 100.0 for law in LAWS if law != left})

    found = dreams.figures_of(Scorer(scorer, learns=True), toy)
    assert set(asked) == {None, *LAWS}
    for law in LAWS:
        assert found[law]["pairwise_accuracy"] == 1.0
        assert found[f"leave-one-out:{law}"]["pairwise_accuracy"] < 0.75
    assert found["leave-one-out:mean"]["pairwise_accuracy"] < 0.75


def test_pixel_motion_tells_what_moves_more(toy: Sets) -> None:
    for scorer in (by_amount(toy, pixel_motion), by_geometry(toy, pixels)[0], by_geometry(toy, pixels)[1]):
        assert dreams.figures_of(scorer, toy)["mean"]["pairwise_accuracy"] > 0.95
    assert by_geometry(toy, pixels)[1].learns and not by_geometry(toy, pixels)[0].learns


def test_an_amount_is_turned_the_way_that_the_lessons_show(toy: Sets) -> None:
    back = by_amount(toy, lambda senses: -pixel_motion(senses))
    assert dreams.figures_of(back, toy)["mean"]["pairwise_accuracy"] > 0.95
    assert dreams.figures_of(by_amount(toy, loudness), toy)["mean"]["pairwise_accuracy"] < 0.75


def test_arms_that_share_a_judge(toy: Sets, monkeypatch: pytest.MonkeyPatch) -> None:
    spread = torch.randn(CONTEXT_WIDTH, generator=torch.Generator().manual_seed(0))
    encoded: list[int] = []

    def contexts(_: object, senses: dict[str, Tensor]) -> Tensor:
        encoded.append(len(senses["visual"]))
        return (senses["visual"][:, :, 0, 0, :1].float() - 128) / 10 * spread

    monkeypatch.setattr("bench.dream_arms.contexts", contexts)
    heads = SimpleNamespace(bodies=5)
    mind: Any = SimpleNamespace(device=torch.device("cpu"), objective=SimpleNamespace(heads=heads))
    found = by_judge(mind, toy, slept=True)
    assert len(encoded) == 2 + 6, "each set once, for all arms"
    for scorer in (found.equal, found.taught, found.critical):
        figures = dreams.figures_of(scorer, toy)
        assert figures["mean"]["pairwise_accuracy"] > 0.9, "what jumps about was not to be foretold"
        assert scorer.learns == ("leave-one-out:mean" in figures)
    assert not found.equal.learns and len(encoded) == 2 + 6


def options(tmp_path: Path, *more: str) -> argparse.Namespace:
    found: list[argparse.Namespace] = []

    def hold(_: object, given: argparse.Namespace) -> int:
        found.append(given)
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dreams, "run_bench", hold)
        dreams.main(["--keep", str(tmp_path), *more])
    return found[0]


def test_a_missing_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(SageError, match="--run=.*: is missing; name a run that has slept, or latest"):
        dreams.measure(options(tmp_path))
    given = options(tmp_path, "--run", "runs/x", "--arms", "wake only")
    with pytest.raises(SageError, match="--wake=.*: is missing"):
        dreams.measure(given)


def test_what_was_judged_is_not_judged_again(toy: Sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "20260101-000000-Sage-Navigation"
    (run / "checkpoint").mkdir(parents=True)
    (run / "checkpoint" / "checkpoint.json").write_text(json.dumps({"tensors": "checkpoint-abc.safetensors"}))
    from sage_ext.config import load_config

    (run / "config.yaml").write_text(load_config([f"runs={tmp_path}"]).to_yaml())
    (run / "lock").touch()
    made: list[str] = []

    def scorers(*given: object) -> list[tuple[str, object]]:
        made.extend(given[-1])  # type: ignore[arg-type]
        return [(arm, lambda: by_amount(toy, pixel_motion)) for arm in given[-1]]  # type: ignore[attr-defined]

    monkeypatch.setattr(dreams, "_scorers", scorers)
    monkeypatch.setattr(dreams, "prepare", dreamt)
    monkeypatch.setattr("bench.dream_scenes.sets", lambda *_: toy)
    given = options(tmp_path, "--run", str(run), "--arms", "pixel motion", "--seeds", "2", "--pairs", "3")
    first = dreams.measure(given)
    assert made == ["pixel motion"] * 2, "once a seed"
    again = dreams.measure(given)
    assert len(made) == 2 and again.rows == first.rows
    row = next(r for r in first.rows if (r.case, r.metric) == ("mean", "pairwise_accuracy"))
    assert row.arm == "pixel motion" and row.value > 0.95 and row.spread == 0.0
    (run / "checkpoint" / "checkpoint.json").write_text(json.dumps({"tensors": "checkpoint-def.safetensors"}))
    dreams.measure(given)
    assert len(made) == 4, "the mind has learned since"


def dreamt(wanted: Sequence[Shard], workers: int, seconds: float | None = None) -> None:
    """Every shard is there at once."""
    for shard in wanted:
        shard.path.parent.mkdir(parents=True, exist_ok=True)
        shard.path.with_suffix(".json").touch()


def test_a_mind_without_a_run_is_judged(toy: Sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mind = tmp_path / "sleep-0"
    mind.mkdir()
    (mind / "checkpoint.json").write_text(json.dumps({"tensors": "checkpoint-abc.safetensors"}))
    arms: list[tuple[str, object]] = [("pixel motion", lambda: by_amount(toy, pixel_motion))]
    monkeypatch.setattr(dreams, "_scorers", lambda *_: arms)
    monkeypatch.setattr(dreams, "prepare", dreamt)
    monkeypatch.setattr("bench.dream_scenes.sets", lambda *_: toy)
    given = ["--run", str(mind), "--arms", "pixel motion", "--seeds", "1", "--pairs", "3"]
    with pytest.raises(SageError, match="--tasks=.*: is missing"):
        dreams.measure(options(tmp_path, *given))
    found = dreams.measure(options(tmp_path, *given, "--tasks", "Sage-Push"))
    assert found.budget["pairs"] == 3 and found.rows
    assert [p.parent.name for p in (tmp_path / "results").glob("*/*.json")] == ["Sage-Push-0-3"]
    more = dreams.measure(options(tmp_path, *given, "--tasks", "Sage-Push", "--lessons", "9"))
    assert (more.budget["pairs"], more.budget["lessons"]) == (3, 9)
    assert (tmp_path / "results" / "Sage-Push-0-3+9").is_dir(), "further lessons are another judge"


def test_when_time_is_up_what_there_is_is_judged(toy: Sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mind = tmp_path / "sleep-0"
    mind.mkdir()
    (mind / "checkpoint.json").write_text(json.dumps({"tensors": "checkpoint-abc.safetensors"}))
    arms: list[tuple[str, object]] = [("pixel motion", lambda: by_amount(toy, pixel_motion))]
    monkeypatch.setattr(dreams, "_scorers", lambda *_: arms)
    monkeypatch.setattr("bench.dream_scenes.sets", lambda *_: toy)
    given = ["--run", str(mind), "--tasks", "Sage-Push", "--arms", "pixel motion", "--seeds", "2", "--pairs", "5"]
    given += ["--minutes", "1"]
    monkeypatch.setattr(dreams, "prepare", lambda *_: None)
    with pytest.raises(SageError, match="--minutes=1.0: are too few"):
        dreams.measure(options(tmp_path, *given))
    # Of one seed two of the three shards, of the other nothing.
    monkeypatch.setattr(dreams, "prepare", lambda wanted, *_: dreamt(wanted[1:3], 1))
    assert dreams.measure(options(tmp_path, *given)).budget["pairs"] == 3
