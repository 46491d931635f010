"""``sage-ext view`` and ``sage-ext export``: what they refuse in one line, and the recording."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from sage_ext.cli import main
from sage_ext.memory import Memory


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["view"], "run=nothing: name one run"),
        (["view", "RUN", "--latest"], "name one run"),
        (["view", "nowhere"], "run=nowhere: does not exist"),
        (["view", "RUN", "--port", "70000"], "port=70000: must be 0..65535"),
        (["view", "RUN", "--port", "x"], "invalid int value"),
        (["view", "RUN", "--host", "192.0.2.1"], "host=192.0.2.1: cannot be listened on"),
        (["export", "rosbag", "RUN"], "invalid choice"),
        (["export", "rerun"], "name one run"),
        (["export", "rerun", "RUN", "--out", "/nowhere/x.rrd"], "out=/nowhere/x.rrd: cannot be written"),
    ],
)
def test_bad_input_is_one_line(
    over: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, command: list[str], said: str
) -> None:
    monkeypatch.setattr("sage_ext.live.view.be_modest", lambda: None)
    assert main([str(over) if word == "RUN" else word for word in command]) == 2
    err = capfd.readouterr().err
    assert said in err and err.startswith("error: ") and err.count("\n") == 1, err


def test_what_is_not_installed_says_how_to_install_it(
    over: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sage_ext.live.commands.find_spec", lambda name: None)
    assert main(["view", str(over)]) == main(["export", "rerun", str(over)]) == 2
    err = capfd.readouterr().err
    assert "pip install 'sage-ext[view]'" in err and "pip install 'sage-ext[rerun]'" in err


def test_a_recording_holds_what_is_remembered(over: Path, capfd: pytest.CaptureFixture, tmp_path: Path) -> None:
    from rerun.chunk import RrdReader

    out = tmp_path / "run.rrd"
    assert main(["export", "rerun", str(over), "--out", str(out)]) == 0
    with Memory.open(over / "memory") as memory:
        episodes, steps = len(memory.episodes), len(memory)
        last = memory.episode(memory.episodes[-1], ["reward", "critic"])
    assert f"{episodes} episodes, {steps} looks" in capfd.readouterr().out
    told: dict[str, list] = defaultdict(list)
    for chunk in RrdReader(out).stream().to_chunks():
        batch = chunk.to_record_batch()
        for name in batch.schema.names:
            if "look" in batch.schema.names and ":" in name:
                rows = zip(batch["look"].to_pylist(), batch[name].to_pylist(), strict=True)
                told[f"{chunk.entity_path} {name}"] += [(look, row[0]) for look, row in rows if isinstance(row, list)]
    assert {"/senses/visual", "/senses/depth", "/senses/audio", "/senses/tactile"} <= {key.split()[0] for key in told}
    (rewards,) = (sorted(rows) for key, rows in told.items() if key.startswith("/reward "))
    assert len(rewards) == steps
    assert [value for _, value in rewards[-len(last) :]] == pytest.approx(last["reward"].tolist())
    (places,) = (
        sorted(rows) for key, rows in told.items() if key.startswith("/world/disc_2 ") and "translation" in key
    )
    assert places[-1][1] == pytest.approx([float(last["critic", "pos"][-1, i]) if i else 0.0 for i in (4, 0, 5)])
    assert [f.name for f in tmp_path.iterdir()] == ["run.rrd"]
