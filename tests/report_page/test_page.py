"""The page says what the run was, says what is missing and how to mend it, and is one small file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sage_ext import dream_file
from sage_ext.cli import main
from sage_ext.dream_file import save_dreams
from sage_ext.report_page import page as page_module
from sage_ext.report_page.page import MOST_BYTES, gather, page
from sage_ext.runs import Run

from .conftest import begun, dreamt, explored, finish, tell, write_probes


def made(run: Run) -> str:
    return page(gather(run))


@pytest.fixture(scope="module")
def html(whole: Path) -> str:
    return made(Run.open(whole, lock=False))


def test_it_says_what_the_run_was(html: str) -> None:
    for word in ("Sage-Navigation", "x86_64, 2 cores, cpu", "12 episodes, 40 updates", "7,200", "2.5 GB", "wake 12 s"):
        assert word in html, word
    changed, every = html.split("Settings that are not the default")[1].split("<details>")
    assert "<dt>seed</dt><dd>7</dd>" in changed and "memory.capacity" in every
    assert "task.physics" not in changed and "task.physics" in every


def test_curves_of_each_kind_are_there(html: str) -> None:
    for alt in (
        "loss: from 9 to 5.1 in 40 updates",
        "change/log_mass: from 1 to 1 in 40 updates",
        "objects: from 0.25 to 0.25",
        "success awake by cycle: 0.25, 0.75",
        "coherence of dreams by cycle: 0.4, 0.3; twins 0.5, 0.5",
    ):
        assert alt in html, alt


def test_dreams_come_worst_misses_first_with_their_coherences(html: str) -> None:
    dreams = html.split("<article")[1:]
    titles = [re.sub(r"<[^>]*>", "", re.findall(r"<h3>(.*?)</h3>", d)[0]) for d in dreams]
    assert titles == [
        "1 float: vanish fooled",
        "2 vanish could not tell",
        "3 vanish told apart",
        "4 float: vanish told apart",
        "5 reversal: vanish told apart",
    ]
    for dream in dreams:
        assert dream.count("<img ") == dream.count("data:image/webp;base64,") == 2
        assert dream.count('class="broken"') == 1
        assert "the dream peaks at 3, its twin at 0" in dream
        assert dream.count('class="heat"') == 15
    assert "<br>0.40</div>" in dreams[0] and "<br>0.70</div>" in dreams[0]


def test_every_picture_has_words(html: str) -> None:
    assert html.count("<img ") == len(re.findall(r'<img alt="[^"]{20,}"', html))
    assert html.count("<svg ") == len(re.findall(r'<svg [^>]*role="img" aria-label="[^"]{10,}"', html))


def test_it_asks_nothing_of_anyone(html: str) -> None:
    assert "<script" not in html and "@import" not in html and "http" not in html.replace("http-equiv", "")
    assert set(re.findall(r'(?:src|href)="([^"]{1,5})', html)) == {"data:", "#run", "#lear", "#prob", "#laws", "#drea"}


def test_the_same_run_gives_the_same_page(html: str, opened: Callable[[], Run]) -> None:
    assert made(opened()) == html


def test_names_cannot_break_out(tmp_path: Path) -> None:
    with begun(tmp_path) as run:
        dreams = [explored("<script>alert(1)</script>", 0.1, 0.5)]
        finish(run, dreams)
        save_dreams(run.scenes, dreams)
        text = made(run)
    assert "<script" not in text and "&lt;script&gt;alert(1)" in text


def test_a_run_at_work_has_a_page_that_says_what_is_to_come(tmp_path: Path) -> None:
    with begun(tmp_path) as run:
        tell(run)
        text = made(run)
        name = run.path.name
    assert text.count(f"This run has not dreamt yet: <code>sage-ext dream {name}</code>") == 2
    assert f"python -m bench.probes --run {name} --json" in text
    assert "<dt>finished</dt><dd>not yet</dd>" in text


def test_a_run_that_kept_no_pictures_says_so(tmp_path: Path) -> None:
    with begun(tmp_path) as run:
        finish(run, dreamt())
        text = made(run)
    assert "kept no pictures of its dreams" in text and ">all laws<" in text


def test_many_large_dreams_stay_a_small_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise is the worst that a picture can be."""
    monkeypatch.setattr(dream_file, "MOST_BYTES", 10**9)
    dreams, generator = [], torch.Generator().manual_seed(0)
    for i in range(dream_file.MOST):
        dreams.append(explored("float", 0.5 - i / 1000, 0.5, size=64))
        shape = dreams[-1].frames.shape
        dreams[-1].frames = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
        dreams[-1].twin_frames = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    with begun(tmp_path) as run:
        finish(run, dreams)
        save_dreams(run.scenes, dreams)
        told = gather(run)
        text = page(told)
        assert text.count("<article") == dream_file.MOST and len(text) < MOST_BYTES
        told.dreams = told.dreams[:8]
        monkeypatch.setattr(page_module, "MOST_BYTES", 4 * 10**5)
        text = page(told)
    shown = text.count("<article")
    assert len(text) < 4 * 10**5 and 0 < shown < 8
    assert f"Of {dream_file.MOST} dreams the worst {shown} are shown." in text


def test_the_command_writes_the_file(whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    out = tmp_path / "page.html"
    assert main(["report", str(whole), "--out", str(out)]) == 0
    assert str(out) in capfd.readouterr().out
    assert out.read_text().startswith("<!doctype html>") and "0.81" in out.read_text()
    write_probes(tmp_path / "other.json")
    (tmp_path / "other.json").write_text((tmp_path / "other.json").read_text().replace("0.81", "0.93"))
    assert main(["report", str(whole), "--out", str(out), "--probes", str(tmp_path / "other.json")]) == 0
    assert "0.93" in out.read_text() and "0.81" not in out.read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other.json", "page.html"]


def test_latest_is_the_newest_run(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").symlink_to(whole.parent)
    monkeypatch.chdir(tmp_path)
    assert main(["report", "--latest", "--out", "page.html"]) == 0
    assert whole.name in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["report"], "run=nothing: name one run"),
        (["report", "RUN", "--latest"], "name one run"),
        (["report", "nowhere"], "run=nowhere: does not exist"),
        (["report", "EMPTY"], "has told nothing yet"),
        (["report", "RUN", "--probes", "/nowhere/p.json"], "cannot be read"),
        (["report", "RUN", "--out", "/nowhere/x.html"], "cannot be written"),
        (["report", "RUN", "--colour"], "unrecognized arguments"),
        (["reprot", "RUN"], "use report"),
        (["dream", "watch"], "run=nothing: name one run"),
        (["dream", "watch", "EMPTY"], "has none to watch; make some: sage-ext dream"),
        (["dream", "watch", "RUN", "--slow", "0"], "slow=0: must be 1..16"),
        (["dream", "watch", "RUN", "--count", "0"], "count=0: must be at least 1"),
        (["dream", "watch", "RUN", "--out", "/nowhere/x.mp4"], "cannot be written"),
    ],
)
def test_bad_input_is_one_line(
    whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture, command: list[str], said: str
) -> None:
    with begun(tmp_path / "runs") as run:
        paths = {"RUN": str(whole), "EMPTY": str(run.path)}
    before = sorted(whole.iterdir())
    assert main([paths.get(word, word) for word in command]) == 2
    err = capfd.readouterr().err
    assert said in err and err.startswith("error: ") and err.count("\n") == 1, err
    assert sorted(whole.iterdir()) == before


@pytest.mark.parametrize("command", [["report"], ["dream", "watch"]])
def test_help_teaches(capfd: pytest.CaptureFixture, command: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    out = capfd.readouterr().out
    assert stop.value.code == 0
    assert "examples:" in out and "--latest" in out and "--out FILE" in out
