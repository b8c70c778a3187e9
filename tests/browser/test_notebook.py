"""What a notebook shows of a trace, its video, a figure and its report: the same HTML, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from attnviz_video import open_trace
from attnviz_video.api import Trace
from attnviz_video.progress import Silent
from attnviz_video.shipped import shipped

Open = Callable[..., Any]
HOSTILE = "'\"></div><script>window.pwned=1</script><img src=x onerror=window.pwned=1>"
#: Pages of notebooks are light or dark by their own choice, not by the system's.
GROUNDS = {"light": ("#ffffff", "#1f1f1f"), "dark": ("#111111", "#e8e8e8")}


@pytest.fixture(scope="module")
def demo() -> Trace:
    return open_trace(shipped("samples/demo_trace"))


def notebook(folder: Path, *outputs: str, ground: str = "light") -> Path:
    """A page that holds outputs as a notebook does: one block each, in a column of 900 pixels."""
    background, ink = GROUNDS[ground]
    cells = "".join(f"<div class=output>{output}</div>" for output in outputs)
    file = folder / f"{ground}.html"
    style = f"background:{background};color:{ink};width:900px;font:14px sans-serif"
    file.write_text(f'<!doctype html><meta charset="utf-8"><body style="{style}">{cells}', encoding="utf-8")
    return file


def only_itself(opened: Any) -> bool:
    """Whether the page asked nobody for anything, and nothing complained."""
    own = [url for url in opened.requests if not url.startswith(("data:", "about:"))]
    return own == [opened.page.url] and opened.problems == []


@pytest.mark.parametrize("ground", GROUNDS)
def test_a_trace_in_a_cell(open_page: Open, demo: Trace, tmp_path: Path, ground: str) -> None:
    opened = open_page(notebook(tmp_path, demo._repr_html_(), ground=ground))
    page = opened.page
    image = page.locator("img")
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    # What has no colour of its own takes the page's.
    question = page.get_by_text("What is in the image?")
    same = "one => getComputedStyle(one).color === getComputedStyle(document.body).color"
    assert question.evaluate(same)
    token = page.get_by_text("orange", exact=True).first
    assert not token.evaluate(same)
    token.hover()
    assert token.get_attribute("title").endswith("share of attention on the image, layer 20, mean over heads")
    assert page.locator(".output > div").bounding_box()["width"] <= 900
    assert only_itself(opened)


def test_hostile_text_in_a_cell_is_text(open_page: Open, demo: Trace, tmp_path: Path) -> None:
    tokens = list(demo.data.tokens)
    tokens[demo.data.n_prompt + 3] = replace(tokens[demo.data.n_prompt + 3], piece=HOSTILE)
    header = replace(demo.data.header, sample=replace(demo.data.header.sample, problem=HOSTILE))
    trace = Trace(tmp_path / "t'\"><b>", replace(demo.data, tokens=tuple(tokens), header=header))
    opened = open_page(notebook(tmp_path, trace._repr_html_()))
    assert opened.page.evaluate("window.pwned") is None
    assert opened.page.locator(".output script, .output img[src=x]").count() == 0
    assert opened.page.locator(".output").inner_text().count(HOSTILE) == 2
    assert only_itself(opened)


def test_a_video_and_figures_in_a_cell(open_page: Open, demo: Trace, tmp_path: Path) -> None:
    video = demo.video(tmp_path / "v.mp4", progress=Silent(), width=480, height=270, tokens_per_second=24, hold_end=0)
    picture = demo.figure(tmp_path / "f.png", step=25, progress=Silent())
    vector = demo.figure(tmp_path / "f.svg", step=25, columns=1, progress=Silent())
    shown = notebook(tmp_path, video._repr_html_(), picture._repr_html_(), vector._repr_html_())
    for path in (video.path, picture.path, vector.path):
        path.unlink()  # the notebook is complete without them
    opened = open_page(shown)
    page = opened.page
    if page.evaluate("document.createElement('video').canPlayType('video/mp4; codecs=\"avc1.640028\"')"):
        page.wait_for_function("() => document.querySelector('video').readyState >= 2")
        assert page.evaluate("() => [...document.querySelectorAll('video')].map((one) => one.videoWidth)") == [480]
    boxes = page.locator("img").evaluate_all(
        "all => Promise.all(all.map((one) => one.decode().then(() => [one.naturalWidth, one.clientWidth])))"
    )
    assert all(natural > 0 and 200 < width <= 900 for natural, width in boxes)
    assert len(boxes) == 2
    assert only_itself(opened)


def test_a_report_in_a_cell_works_and_reaches_nothing_of_the_notebook(
    open_page: Open, demo: Trace, tmp_path: Path
) -> None:
    report = demo.report(tmp_path / "r.html")
    opened = open_page(notebook(tmp_path, report._repr_html_()))
    page = opened.page
    page.wait_for_function("() => frames.length === 1")
    frame = page.frames[1]
    frame.wait_for_function("() => document.documentElement.dataset.painted?.endsWith('ready')")
    frame.locator("#text .u").filter(has_text="bottom").first.click()
    page.keyboard.press("ArrowRight")
    frame.wait_for_function("() => document.documentElement.dataset.painted?.endsWith(' 22 ready')")
    frame.locator("#text .u[data-look=current]").first.hover()
    assert frame.locator("#tooltip .candidates li").count() == 10
    frame.locator("#help").click()
    frame.locator("#help-box").wait_for(state="visible")
    assert frame.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    canvas = frame.locator("#pictures canvas").bounding_box()
    assert canvas["height"] > 200  # large enough to be worth looking at
    assert frame.evaluate("() => { try { return parent.document.title; } catch (error) { return error.name; } }") == (
        "SecurityError"
    )
    assert only_itself(opened)
