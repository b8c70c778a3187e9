"""The report in windows of all sizes, with one picture and with many, and in the frame of another page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from attnviz_video.api import open_trace
from attnviz_video.shipped import shipped
from tests.browser.opened import OpenedReport
from tests.browser.report_made import made, with_pictures

LAYER = 20
#: Of an element: left, top, right, bottom in the window.
BOX = "(one) => { const b = one.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; }"


@pytest.fixture(scope="module")
def demo_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    trace = open_trace(shipped("samples/demo_trace")).data
    return made(trace, tmp_path_factory.mktemp("report"), LAYER)


def resized(page: OpenedReport, width: int, height: int) -> None:
    """Gives the window another size and waits until the page is painted for it."""
    page.page.set_viewport_size({"width": width, "height": height})
    page.page.evaluate(
        "() => new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 50))"
    )


def boxes(page: OpenedReport, selector: str) -> list[list[float]]:
    found: list[list[float]] = page.page.locator(selector).evaluate_all(f"(all) => all.map({BOX})")
    return found


def height_of(page: OpenedReport, selector: str) -> float:
    return float(page.page.locator(selector).evaluate("(one) => one.clientHeight"))


def disjoint(one: list[float], other: list[float]) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


# --- a window that changes -------------------------------------------------------------------------------------------


def test_a_window_that_becomes_narrower_cuts_nothing_off(open_report: Any, demo_report: Path) -> None:
    page: OpenedReport = open_report(demo_report, viewport={"width": 1280, "height": 720})
    for key in "1234":
        page.page.keyboard.press(key)
        for width, height in ((1280, 720), (1100, 700), (950, 720), (390, 844), (320, 700)):
            resized(page, width, height)
            assert page.page.evaluate("document.documentElement.scrollWidth") <= width, (key, width)
            strip = boxes(page, "#strip")[0]
            assert strip[2] <= width, (key, width)
            assert strip[2] > 0.9 * width, (key, width)


@pytest.mark.parametrize("width", [320, 360])
def test_all_tabs_are_in_sight_on_a_phone(open_report: Any, demo_report: Path, width: int) -> None:
    page = open_report(demo_report, viewport={"width": width, "height": 700})
    tabs = boxes(page, "#tabs button")
    assert len(tabs) == 4
    assert all(left >= 0 and right <= width for left, _, right, _ in tabs)
    spilled = "(all) => all.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.textContent)"
    assert page.page.locator("#tabs button").evaluate_all(spilled) == []


@pytest.mark.parametrize(("size", "least"), [((1280, 720), 460), ((943, 700), 420), ((943, 520), 250)], ids=str)
def test_text_has_most_of_a_low_window(open_report: Any, demo_report: Path, size: tuple[int, int], least: int) -> None:
    page = open_report(demo_report, viewport={"width": size[0], "height": size[1]})
    assert height_of(page, "#text") >= least
    assert boxes(page, "#pictures canvas")[0][3] <= boxes(page, "#image-legend")[0][1]
    assert boxes(page, ".inspector .card")[0][2] <= size[0]


# --- several pictures ------------------------------------------------------------------------------------------------


def test_two_pictures_are_whole_at_every_width(open_report: Any, tmp_path: Path) -> None:
    trace = with_pictures(tmp_path, [(320, 320)] * 2, [(4, 4)] * 2)
    page = open_report(made(trace, tmp_path))
    for width, height in ((1280, 720), (1366, 768), (1440, 900), (1600, 900), (1920, 1080), (950, 700), (1101, 800)):
        resized(page, width, height)
        panel, (one, other) = boxes(page, "#pictures")[0], boxes(page, "#pictures figure")
        assert disjoint(one, other), width
        for left, top, right, bottom in (one, other):
            assert panel[0] <= left, width
            assert panel[1] <= top, width
            assert right <= panel[2], width
            assert bottom <= panel[3], width


@pytest.mark.parametrize("size", [(1280, 720), (930, 590), (1920, 1080), (390, 844)], ids=str)
def test_eight_pictures_are_large_enough_and_the_timeline_leaves_room(
    open_report: Any, tmp_path: Path, size: tuple[int, int]
) -> None:
    trace = with_pictures(tmp_path, [(320, 240), (240, 320)] * 4, [(3, 4), (4, 3)] * 4)
    page = open_report(made(trace, tmp_path), viewport={"width": size[0], "height": size[1]})
    figures, canvases = boxes(page, "#pictures figure"), boxes(page, "#pictures canvas")
    assert min(max(right - left, bottom - top) for left, top, right, bottom in canvases) > 109
    assert all(disjoint(one, other) for place, one in enumerate(figures) for other in figures[:place])
    for figure, share in zip(figures, boxes(page, "#pictures figcaption .number"), strict=True):
        assert share[2] <= figure[2] + 0.5
    assert height_of(page, "#strip") <= 150
    page.page.locator("#pictures canvas").last.scroll_into_view_if_needed()
    last, panel = boxes(page, "#pictures canvas")[-1], boxes(page, "#pictures")[0]
    assert panel[1] - 1 <= last[1]
    assert last[3] <= min(panel[3], size[1]) + 1


def test_the_timeline_of_many_pictures_tells_the_share_of_each(open_report: Any, tmp_path: Path) -> None:
    trace = with_pictures(tmp_path, [(320, 240)] * 8, [(3, 4)] * 8)
    page = open_report(made(trace, tmp_path), viewport={"width": 1280, "height": 720})
    page.page.select_option("#head", "1")
    page.painted()
    strip = page.page.locator("#strip")
    box = strip.bounding_box()
    strip.hover(position={"x": 118 + (4.5 / 12) * (box["width"] - 118 - 66), "y": 40})
    shown = page.tooltip()
    row = trace.rows.head_rows(4, 0)[1].astype(float)
    shares = [row[trace.layout.patch_positions(image)].sum() / row.sum() for image in range(8)]
    for image, share in enumerate(shares):
        assert float(shown[f"image {image + 1} share"].split(" ")[0]) == pytest.approx(100 * share, abs=0.06)
    assert float(shown["8 images, share"].split(" ")[0]) == pytest.approx(100 * sum(shares), abs=0.1)
    # The areas have the colours of the bars below the pictures.
    bar = page.page.locator("#pictures .bar-fill").nth(6).evaluate("(one) => getComputedStyle(one).backgroundColor")
    painted = page.page.evaluate(
        """(x) => {
            const canvas = document.getElementById('strip');
            const pixels = canvas.getContext('2d').getImageData(x, 0, 1, canvas.height).data;
            return Array.from({ length: canvas.height }, (_, y) => `rgb(${pixels.slice(4 * y, 4 * y + 3).join(', ')})`);
        }""",
        int(box["width"] / 2) + 40,
    )
    assert bar in painted


# --- in the frame of another page ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "least"), [((1252, 610), 400), ((930, 590), 300)], ids=str)
def test_in_a_frame_the_report_has_neither_title_nor_buttons_that_the_page_around_it_has(
    open_report: Any, demo_report: Path, size: tuple[int, int], least: int
) -> None:
    viewport = {"width": size[0], "height": size[1]}
    page = open_report(demo_report, fragment="#embedded&theme=dark", viewport=viewport)
    for gone in ("#title", "#subtitle", "#theme", "#help"):
        assert page.page.locator(gone).is_hidden()
    assert page.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert height_of(page, "#text") >= least
    strip = boxes(page, "#strip")[0]
    assert strip[0] == 0
    assert strip[2] == size[0]
    page.page.locator("#tabs button").nth(2).click()
    page.page.locator("#view-heads").wait_for(state="visible")
    page.page.locator(".more summary").click()
    page.page.locator(".popover button", has_text="Keys and mouse").click()
    page.page.locator("#help-box").wait_for(state="visible")


def test_on_its_own_the_report_has_title_theme_and_help(open_report: Any, demo_report: Path) -> None:
    page = open_report(demo_report)
    for shown in ("#title", "#subtitle", "#theme", "#help"):
        assert page.page.locator(shown).is_visible()
    assert page.page.locator(".popover button", has_text="Keys and mouse").count() == 0
