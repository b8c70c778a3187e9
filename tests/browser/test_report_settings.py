"""The report's facts and statistics, and what its settings change, in a real browser."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from attnviz_video import open_trace
from attnviz_video.analysis.heads import parse_head, reduce_heads
from attnviz_video.api import Trace
from attnviz_video.core.tokens import SEGMENT_NAMES
from attnviz_video.shipped import shipped
from tests.browser.opened import OpenedReport

Open = Callable[..., OpenedReport]
LAYER = 20


@pytest.fixture(scope="module")
def demo() -> Trace:
    return open_trace(shipped("samples/demo_trace"))


@pytest.fixture(scope="module")
def demo_report(demo: Trace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo.report(tmp_path_factory.mktemp("report") / "report.html", layer_idx=LAYER).path


def number(text: str) -> float:
    return float(text.split(" ")[0])


@pytest.mark.parametrize(("frame", "head"), [(24, "mean"), (52, "2")])
def test_statistics_of_a_row_are_those_of_the_trace(
    open_report: Open, demo: Trace, demo_report: Path, frame: int, head: str
) -> None:
    page = open_report(demo_report, viewport={"width": 1280, "height": 720})
    page.page.select_option("#head", head)
    page.go_to(frame)
    page.page.keyboard.press("4")
    page.page.locator("#row-statistics").wait_for()
    row = reduce_heads(demo.data, frame, LAYER, parse_head(head)).astype(np.float64)
    shown = page.facts("#row-statistics")
    assert shown["keys"] == str(row.size)
    share = row[row > 0] / row.sum()
    expected = {
        "sum": row.sum(), "mean": row.mean(), "smallest": row.min(), "largest": row.max(),
        "median": np.sort(row)[row.size // 2], "99th percentile": np.sort(row)[int(0.99 * row.size)],
        "ten largest together": 100 * np.sort(row)[-10:].sum() / row.sum(), "entropy": -(share * np.log(share)).sum(),
        "image 1": 100 * row[demo.data.layout.patch_positions(0)].sum() / row.sum(),
    }  # fmt: skip
    for name, value in expected.items():
        assert number(shown[name]) == pytest.approx(value, rel=1e-3, abs=0.051 if "%" in shown[name] else 6e-4), name
    page.page.keyboard.press("1")
    page.painted(frame)
    cards = page.facts("#inspector")
    for name, same in (("sum", "sum"), ("largest weight", "largest"), ("ten largest together", "ten largest together")):
        assert number(cards[name]) == pytest.approx(number(shown[same]), abs=5e-4)


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (900, 820)], ids=str)
def test_all_facts_can_be_reached(open_report: Open, demo_report: Path, size: tuple[int, int]) -> None:
    page = open_report(demo_report, viewport={"width": size[0], "height": size[1]})
    page.page.keyboard.press("4")
    page.page.locator("#row-statistics").wait_for()
    assert page.page.locator("#row-statistics").bounding_box()["y"] < size[1]
    titles = page.page.locator("#view-facts h2").all_text_contents()
    assert titles[0] == "Row shown: layer 20, mean over heads, step 1"
    assert titles[1:] == ["Model", "Text", "Recording", "Versions", "In this page"]
    assert page.facts("#view-facts")["rows of single heads"] == "layers 0–21"
    # Whatever lies below is scrolled to; nothing lies to the side, where nobody would look.
    sideways = "view => view.scrollWidth - view.clientWidth"
    assert page.page.locator("#view-facts").evaluate(sideways) == 0


def test_segments_have_the_names_they_have_in_the_video(open_report: Open, demo_report: Path) -> None:
    page = open_report(demo_report)
    assert page.page.locator("#text h2").all_text_contents() == ["prompt", "thinking", "answer"]
    names = page.page.evaluate("JSON.parse(document.getElementById('data').textContent).segmentNames")
    assert names == dict(SEGMENT_NAMES)


def pixels(page: OpenedReport) -> np.ndarray:
    """The picture as it is painted: [height, width, 3]."""
    page.painted()
    with Image.open(io.BytesIO(page.page.locator("#pictures canvas").first.screenshot())) as picture:
        return np.asarray(picture.convert("RGB"), dtype=np.int16)


def test_overlay_opacity_and_grid_can_be_switched(open_report: Open, demo_report: Path) -> None:
    page = open_report(demo_report)
    page.go_to(24)
    both = pixels(page)

    def press(key: str) -> np.ndarray:
        page.page.keyboard.press(key)
        page.page.wait_for_timeout(100)
        return pixels(page)

    without_grid = press("g")
    changed = (both != without_grid).any(axis=-1).mean()
    assert 0.005 < changed < 0.15  # lines only
    bare = press("h")
    assert (bare != without_grid).any(axis=-1).mean() > 0.5
    assert np.array_equal(press("h"), without_grid)
    page.page.locator(".more summary").click()
    opacity = page.page.get_by_label("Overlay")
    opacity.fill("0.3")
    page.page.wait_for_timeout(100)
    faint = pixels(page)
    # Between the bare picture and the full overlay.
    assert 0 < np.abs(faint - bare).mean() < np.abs(without_grid - bare).mean()
    page.page.get_by_label("patch grid").check()
    assert page.state()["grid"] is True


def test_selectors_offer_what_the_trace_holds(
    open_report: Open, demo: Trace, demo_report: Path, tmp_path: Path
) -> None:
    page = open_report(demo_report)
    assert page.page.locator("#layer option").count() == 22
    heads = ["mean over heads", "max over heads", "rollout from layer 0", "head 0", "head 1", "head 2", "head 3"]
    assert page.page.locator("#head option:enabled").all_text_contents() == heads
    row = reduce_heads(demo.data, 0, 7, parse_head("max"))
    page.page.select_option("#layer", "7")
    page.page.select_option("#head", "max")
    page.painted()
    assert number(page.hover_position(95)["weight"]) == pytest.approx(float(row[95]), rel=1e-3)
    few = open_report(demo.report(tmp_path / "few.html", layer_idx=LAYER, report_layers=[LAYER]).path)
    few.page.select_option("#layer", "7")
    few.painted()
    assert few.page.locator("#head option:enabled").all_text_contents() == ["mean over heads", "rollout from layer 0"]


def test_reading_shows_the_row_of_the_token_itself(open_report: Open, demo: Trace, demo_report: Path) -> None:
    page = open_report(demo_report)
    page.go_to(24)
    for button, step in (("reading", 25), ("predicting", 24)):
        page.page.get_by_role("button", name=button, exact=True).click()
        page.painted()
        row = reduce_heads(demo.data, step, LAYER, parse_head("mean"))
        assert number(page.hover_position(95)["weight"]) == pytest.approx(float(row[95]), rel=1e-3)


def test_the_theme_follows_the_system_until_it_is_chosen(open_report: Open, demo_report: Path) -> None:
    ground: Any = "() => getComputedStyle(document.body).backgroundColor"
    dark, light = (open_report(demo_report, color_scheme=scheme) for scheme in ("dark", "light"))
    grounds = [page.page.evaluate(ground) for page in (dark, light)]
    assert grounds[0] != grounds[1]
    dark.page.keyboard.press("t")
    assert dark.page.evaluate(ground) == grounds[1]
