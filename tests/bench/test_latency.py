"""The bench of one act: which parts run in which case, and what becomes of the times."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from bench import latency
from sage_ext.context.encoder import ContextEncoder, Widths
from sage_ext.observation import ObservationSpec, SenseSpec
from sage_ext.sage.core import CoreWidths, SageCore
from sage_ext.sage.policy import SagePolicy
from sage_ext.threads import torch_threads

SPEC = ObservationSpec({k: SenseSpec(*v) for k, v in latency.CONTRACT.items()})


@pytest.fixture
def policy() -> SagePolicy:
    """A small one whose H would run at every third look."""
    encoder = ContextEncoder(
        SPEC, Widths(base=8, hidden=32, semantic=32, physical=32, immediate=32, history=32), seed=0
    )
    widths = CoreWidths(slow=32, read=32, heads=2, think=32, steps=2, glance=16, fast=32, memory=16, report=8)
    return SagePolicy(encoder, SageCore(SPEC, 2, h_every=3, widths=widths, seed=0), -torch.ones(2), torch.ones(2))


def test_each_case_runs_its_parts_and_no_others(policy: SagePolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = {"encoder": 0, "H": 0, "L": 0}
    for name, module in (("encoder", policy.encoder), ("H", policy.core.slow), ("L", policy.core.fast)):
        module.register_forward_hook(lambda *_, name=name: ran.update({name: ran[name] + 1}))
    looks, whence = latency._looks(policy, None, 0)
    assert whence == "random" and {k: str(v.dtype) for k, v in looks[0].items()} == {
        k: dtype for k, (_, dtype) in latency.CONTRACT.items()
    }
    monkeypatch.setattr(latency, "WARM_UP", 0)
    monkeypatch.setattr(latency, "BLOCK", 5)
    seen: dict[str, dict[str, int]] = {}
    plain = {"act": latency.act, "react": latency.react}

    def counted(kind: str):
        def one(*args):
            before = dict(ran)
            result = plain[kind](*args)
            case = kind if kind == "react" else ("full" if policy.core.h_every == 1 else "skip_h")
            seen[case] = {k: ran[k] - before[k] for k in ran}
            return result

        return one

    monkeypatch.setattr(latency, "act", counted("act"))
    monkeypatch.setattr(latency, "react", counted("react"))
    with torch_threads(1):
        times, depth = latency.acts(policy, looks, 2)
    assert {k: [len(block) for block in v] for k, v in times.items()} == {k: [5] * 2 for k in latency.CASES}
    assert seen == {
        "full": {"encoder": 1, "H": 1, "L": 1},
        "skip_h": {"encoder": 1, "H": 0, "L": 1},
        "react": {"encoder": 0, "H": 0, "L": 1},
    }
    assert depth == 2 and policy.core.h_every == 3


def test_parts_add_up_and_are_taken_off_again(policy: SagePolicy) -> None:
    looks, _ = latency._looks(policy, None, 0)
    before = latency.tensors
    with torch_threads(1):
        parts = latency.parts(policy, looks, 20)
    assert list(parts) == ["senses to tensors", "encoder", "H", "compression", "L", "everything else"]
    assert all(seconds > 0 for seconds in parts.values())
    assert latency.tensors is before and "forward" not in vars(policy.core.slow) and policy.core.h_every == 3


def test_rows_of_known_times() -> None:
    table = latency.Table("latency", {}, [0])
    blocks = {"full": [[0.010] * 99 + [0.5], [0.020] * 100], "skip_h": [[0.008]], "l_only": [[0.001], [0.001]]}
    latency._rows(table, blocks)
    rows = {(r.case, r.metric): r.value for r in table.rows}
    assert rows["full", "median_ms"] == pytest.approx(20.0) and rows["full", "p99_ms"] == pytest.approx(20.0)
    assert rows["l_only", "acts_per_full"] == pytest.approx(15.0)


def test_the_command_times_a_saved_policy(policy: SagePolicy, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    policy.save(tmp_path / "policy")
    path = tmp_path / "rows.json"
    assert latency.main(["--policy", str(tmp_path / "policy"), "--acts", "20", "--json", str(path)]) == 0
    written = json.loads(path.read_text())
    rows = {(r["arm"], r["case"], r["metric"]): r["value"] for r in written["rows"]}
    shares = [value for (_, _, metric), value in rows.items() if metric == "share"]
    assert sum(shares) == pytest.approx(1) and len(shares) == 6
    assert {("sage-ext", case, metric) for case in latency.CASES for metric in ("median_ms", "p99_ms")} <= rows.keys()
    assert written["budget"]["policy"] == "trained" and written["budget"]["looks"] == "random"
    assert latency.main(["--policy", str(tmp_path / "none"), "--json", str(path)]) == 2
    assert "does not exist; check the path" in capsys.readouterr().err
