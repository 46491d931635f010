"""``sage-ext view`` and ``sage-ext export``: what they refuse in one line, and the recording."""

from __future__ import annotations

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
    import rerun as rr

    out = tmp_path / "run.rrd"
    assert main(["export", "rerun", str(over), "--out", str(out)]) == 0
    with Memory.open(over / "memory") as memory:
        episodes, steps = len(memory.episodes), len(memory)
        last = memory.episode(memory.episodes[-1], ["reward", "critic"])
    assert f"{episodes} episodes, {steps} looks" in capfd.readouterr().out
    recording = rr.dataframe.load_recording(out)
    table = recording.view(index="look", contents="/**").select().read_all()
    names = {str(name) for name in table.column_names}
    for entity in ("/senses/visual", "/senses/depth", "/senses/audio", "/senses/tactile", "/world/disc_0"):
        assert any(name.startswith(entity + ":") for name in names), (entity, sorted(names))
    rewards = [row[0] for row in table["/reward:Scalars:scalars"].to_pylist() if row]
    assert rewards[-len(last) :] == pytest.approx(last["reward"].tolist())
    places = [row[0] for row in table["/world/disc_2:Transform3D:translation"].to_pylist() if row]
    assert places[-1] == pytest.approx([float(last["critic", "pos"][-1, 4]), 0.0, float(last["critic", "pos"][-1, 5])])
    assert [f.name for f in tmp_path.iterdir()] == ["run.rrd"]
