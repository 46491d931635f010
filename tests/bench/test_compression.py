"""The bench of the 256 numbers: same looks on both sides, and an arm that keeps everything scores so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench import compression, latency, probes
from bench.held_out import Lived
from bench.table import Table
from sage_ext.context.encoder import ContextEncoder, Widths
from sage_ext.errors import SageError
from sage_ext.observation import ObservationSpec, SenseSpec
from sage_ext.sage.core import CoreWidths, SageCore
from sage_ext.sage.policy import SagePolicy
from sage_ext.threads import torch_threads

SPEC = ObservationSpec({k: SenseSpec(*latency.CONTRACT[k]) for k in ("tactile", "proprioceptive")})


def make_policy() -> SagePolicy:
    small = Widths(base=8, hidden=32, semantic=32, physical=32, immediate=32, history=32)
    widths = CoreWidths(slow=32, read=32, heads=2, think=32, steps=2, glance=16, fast=32, memory=16, report=8)
    core = SageCore(SPEC, 2, widths=widths, seed=0)
    return SagePolicy(ContextEncoder(SPEC, small, seed=0), core, -torch.ones(2), torch.ones(2))


def make_lived(episodes: int, seed: int) -> Lived:
    g = torch.Generator().manual_seed(seed)
    senses = {k: torch.randn(episodes, 65, *s.shape, generator=g) for k, s in SPEC.senses.items()}
    return Lived(senses, {}, torch.randn(episodes, 65, 2, generator=g))


def test_messages_are_of_the_looks_that_probes_read() -> None:
    policy, lived = make_policy(), make_lived(3, 0)
    with torch_threads(1):
        context, message = compression.messages(policy, lived)
    assert context.shape == (3, 2, 15, 4096) and message.shape == (3, 2, 15, 256)
    # The second second of the last episode, by itself.
    alone = {k: v[2:, 30:60] for k, v in lived.observation.items()}
    with torch.no_grad():
        wanted, _ = policy.encoder(alone)
        told = policy.core.sequence(wanted, alone)[2].message
    torch.testing.assert_close(context[2, 1], wanted[0, 15:], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(message[2, 1], told[0, 15:], atol=1e-5, rtol=1e-4)


def test_rows_tell_what_each_arm_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = make_policy()
    g = torch.Generator().manual_seed(0)
    shown = torch.randn(40, 4096, generator=g)
    sides = []
    for count in (30, 20):
        cause = torch.randn(count, 1, 15, 40, generator=g)
        told = torch.cat([cause[..., :20], torch.zeros(*cause.shape[:3], 236)], -1)
        sides.append(((cause @ shown, told), make_lived(1, 0)))
    policy.core.bottleneck.calibrate(sides[0][0][0].flatten(0, -2))

    def judged(task: str, known: torch.Tensor, *_: object) -> list[dict[str, dict[str, float]]]:
        if known.shape[-1] == 4096:
            return [{"whole": {"speed": 0.8, "nothing to tell": float("nan")}}]
        return [{"whole": {"speed": 0.6}}]

    monkeypatch.setattr(probes, "judged", judged)
    table = Table("compression", {}, [0])
    compression.compare(table, "Sage-Navigation", policy, *sides, seed=0)
    rows = {(r.arm, r.case, r.metric): r.value for r in table.rows}
    assert rows["principal components", "variance", "kept"] > 0.99
    # The policy's own say half of the causes.
    assert rows["sage-ext", "variance", "kept"] == pytest.approx(0.5, abs=0.1)
    assert rows["sage-ext", "probes", "kept"] == pytest.approx(0.75)
    assert (
        rows["context", "mean", "score"] == pytest.approx(0.8) and ("context", "nothing to tell", "score") not in rows
    )
    assert rows["random", "variance:objects", "kept"] <= 1.0


def test_needs_a_policy_and_a_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    path = ["--json", str(tmp_path / "rows.json")]
    assert compression.main(path) == 2 and "--policy=: is missing" in capsys.readouterr().err
    make_policy().save(tmp_path / "policy")
    assert compression.main([*path, "--policy", str(tmp_path / "policy")]) == 2
    assert "--task=: is missing, and so is --run" in capsys.readouterr().err

    def held_out(task: str, seed: int, preset: str, folder: Path, workers: int) -> None:
        raise SageError("held-out episodes", f"{task}, {workers} workers", "are missing", "live some")

    monkeypatch.setattr(probes, "held_out", held_out)
    given = ["--policy", str(tmp_path / "policy"), "--task", "Sage-Lift", "--workers", "2"]
    assert compression.main([*path, *given]) == 2
    assert "held-out episodes=Sage-Lift, 2 workers: are missing" in capsys.readouterr().err
