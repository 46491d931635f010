"""The page in a real browser, headless, from a file: it is quiet, asks nothing of the network, and shows its films."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sage_ext.cli import main

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WIDTHS = """() => [...document.querySelectorAll(".strip img")].map(image => {
    const box = image.getBoundingClientRect();
    return [image.complete, image.naturalWidth, image.naturalHeight, box.width, box.height];
})"""
BELOW = """() => [...document.querySelectorAll("article")].map(article => {
    const [strip, mark, plot, line] = [".strip.dream", ".strip .broken", ".plot svg", ".plot .mark"]
        .map(what => article.querySelector(what).getBoundingClientRect());
    return [strip.left - plot.left, strip.right - plot.right, strip.bottom - plot.top, mark.left - line.left];
})"""


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_it_opens_from_a_file(browser: Browser, whole: Path, tmp_path: Path, width: int, scheme: str) -> None:
    assert main(["report", str(whole), "--out", str(tmp_path / "page.html")]) == 0
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    page.set_default_timeout(240_000)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_load_state("networkidle")
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [(tmp_path / "page.html").as_uri()]

    films = page.evaluate(WIDTHS)
    assert len(films) == 10
    for complete, natural_width, natural_height, wide, high in films:
        assert complete and (natural_width, natural_height) == (8 * 32, 32)
        assert wide > 250 and wide / high == pytest.approx(8, rel=0.02)
    for left, right, above, mark in page.evaluate(BELOW):
        assert left == pytest.approx(0, abs=1) == right, "the curve lies below its pictures"
        assert above < 0 and abs(mark) < 40
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing runs off the page"
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 21, 24)"
    assert dark == (scheme == "dark")
    page.close()
