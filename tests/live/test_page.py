"""The page in a real browser, headless: a job is watched, paused, let go on and stopped from it; then it replays."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_ext import jobs
from sage_ext.live.publish import FOLDER, WATCHING

from .conftest import REPO, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture
def view(tmp_path: Path) -> Iterator[Callable[[Path], str]]:
    """Starts ``sage-ext view`` and gives the page's address."""
    started: list[subprocess.Popen] = []

    def start(run: Path) -> str:
        command = [sys.executable, "-m", "sage_ext", "view", str(run), "--port", "0"]
        path = os.pathsep.join(map(str, (REPO, REPO / "envs", REPO / "tasks")))
        environment = {**os.environ, "PYTHONPATH": path}
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        out = started[-1].stdout
        assert out is not None
        return out.readline().split()[-1]

    yield start
    for process in started:
        process.terminate()
        assert process.wait(240) == 0


def opened(browser: Browser, url: str, width: int = 760, height: int = 360) -> Page:
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(240_000)
    page.goto(url)
    page.get_by_role("button", name="Stop").wait_for()
    return page


def shown(page: Page, label: str) -> str:
    """The picture under a label, as the browser has it."""
    script = """label => {
        const image = [...document.querySelectorAll("img")].find(image => {
            for (let e = image, i = 0; e && i < 4; e = e.parentElement, i++)
                if (e.innerText && e.innerText.trim().startsWith(label)) return true;
            return false;
        });
        if (!image || !image.complete || !image.naturalWidth) return "";
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        canvas.getContext("2d").drawImage(image, 0, 0);
        return canvas.toDataURL();
    }"""
    found: str = page.evaluate(script, label)
    return found


def curve(page: Page, title: str) -> str:
    """A plot's pixels."""
    script = """title => {
        const plot = [...document.querySelectorAll(".uplot")].find(p => p.innerText.includes(title));
        return plot ? plot.querySelector("canvas").toDataURL() : "";
    }"""
    found: str = page.evaluate(script, title)
    return found


def moves(read: Callable[[], str]) -> None:
    """Something on the page changes three times."""
    seen = {read()}
    until(lambda: seen.add(read()) or len(seen - {""}) >= 3)


def stands(read: Callable[[], str], page: Page) -> None:
    """Something on the page has stopped changing."""
    before = read()
    page.wait_for_timeout(2000)
    assert read() == before != ""


def test_a_job_is_watched_and_steered_from_the_page(
    browser: Browser, start: Callable[..., jobs.Job], view: Callable[[Path], str]
) -> None:
    job = start("wake.episodes=2000", "task.num_envs=3", "task.resolution=32", "task.episode_length_s=10")
    until(lambda: job.run is not None and job.status().phase == "wake")
    assert job.run is not None
    live = job.run / FOLDER
    page = opened(browser, view(job.run))
    page.get_by_text("running").first.wait_for()
    for label in ("RGB", "Depth", "Spectrogram"):
        moves(lambda label=label: shown(page, label))
    moves(lambda: curve(page, "Proprioception"))
    moves(lambda: page.locator("text=/cycle 0, wake \\d+/").first.inner_text())

    before = set(live.glob(WATCHING))
    assert len(before) == 1 and '"worlds": [\n  0\n ]' in before.pop().read_text()
    page.get_by_role("combobox").first.click()
    page.get_by_role("option", name="2", exact=True).click()
    until(lambda: any("2" in mark.read_text() for mark in live.glob(WATCHING)))
    moves(lambda: shown(page, "RGB"))

    page.get_by_role("button", name="Pause").click()
    until(lambda: job.status().state == "paused")
    page.get_by_text("paused").first.wait_for()
    page.wait_for_timeout(1000)
    stands(lambda: shown(page, "RGB"), page)
    page.get_by_role("button", name="Continue").click()
    until(lambda: job.status().state == "running")
    moves(lambda: shown(page, "RGB"))

    page.close()
    until(lambda: not list(live.glob(WATCHING)))
    done = job.status().done
    until(lambda: (job.status().done or 0) > (done or 0))
    assert job.status().state == "running"

    page = opened(browser, f"http://{page.url.split('/')[2]}/")
    moves(lambda: shown(page, "RGB"))
    page.get_by_role("button", name="Stop").click()
    assert job.wait(240).state == "stopped"
    page.get_by_text("stopped").first.wait_for()
    page.close()


def test_a_run_that_is_over_replays_with_its_mind(browser: Browser, over: Path, view: Callable[[Path], str]) -> None:
    page = opened(browser, view(over), 1100, 800)  # as small as above the tabs lie under one another
    page.get_by_text("its memory is replayed").wait_for()
    moves(lambda: shown(page, "RGB"))
    moves(lambda: shown(page, "Context"))
    moves(lambda: curve(page, "Surprise"))
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("its memory is replayed, paused").wait_for()
    stands(lambda: shown(page, "RGB"), page)
    page.get_by_role("tab", name="Dreams").click()
    page.get_by_text("Each possible twin above its impossible scene").wait_for()
    page.close()
