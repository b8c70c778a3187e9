"""Layers × heads and token lines of the report: the same colours, steps and directions as in the other views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnviz_video.api import open_trace
from attnviz_video.shipped import shipped
from attnviz_video.testing.planted import planted_trace
from tests.browser.opened import OpenedReport
from tests.browser.report_made import made

LAYER = 20


@pytest.fixture(scope="module")
def demo_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    trace = open_trace(shipped("samples/demo_trace")).data
    return made(trace, tmp_path_factory.mktemp("report"), LAYER)


def color(text: str) -> np.ndarray:
    return np.array([int(part) for part in text.removeprefix("rgb(").removesuffix(")").split(",")])


def pixels(page: OpenedReport, canvas: str, area: tuple[int, int, int, int]) -> np.ndarray:
    """The colours [height, width, 3] of a part of a canvas: x, y, width and height in pixels from its corner."""
    read = "([name, area]) => [...document.getElementById(name).getContext('2d').getImageData(...area).data]"
    values = page.page.evaluate(read, [canvas, area])
    return np.array(values).reshape(area[3], area[2], 4)[..., :3]


def near(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Which colours are alike: the mean of heads is rounded to float16 in one of the two."""
    return np.abs(one - other).max(axis=-1) <= 3


# --- token lines -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys", [(), ("s",), ("gamma",), ("relative",)], ids=["whole answer", "this step", "exponent", "relative"]
)
def test_tokens_beside_their_lines_have_the_colours_of_the_text(
    open_report: Any, demo_report: Path, keys: tuple[str, ...]
) -> None:
    page = open_report(demo_report)
    page.go_to(20)
    for key in keys:
        if key == "gamma":
            page.page.locator(".more summary").click()
            page.page.get_by_label("Exponent γ").last.fill("0.4")
        elif key == "relative":
            page.page.locator(".more summary").click()
            page.page.locator(".popover button", has_text="relative").click()
        else:
            page.page.keyboard.press(key)
        page.page.mouse.click(700, 20)  # closes what was opened
        page.painted()
    wanted = [
        color(page.box_of(text, which).evaluate("(one) => getComputedStyle(one).backgroundColor"))
        for text, which in (("middle", 0), ("square", 0), ("top", 0))
    ]
    legend = page.page.locator("#text-legend").text_content()
    page.page.keyboard.press("3")
    page.page.locator("#lines-legend .ramp").wait_for()
    box = page.page.locator("#heads-canvas").bounding_box()
    right = int(box["width"] - 16 - min(300, 0.3 * box["width"]) + 4)
    shown = pixels(page, "heads-canvas", (right, 2, 1, int(box["height"]) - 4))
    for own in wanted:
        assert near(shown, own).any(), own
    assert page.page.locator("#lines-legend").text_content() == f"{legend}mean of the 4 heads drawn"
    page.page.locator("#heads-bar .segmented button", has_text="all in sight").click()
    page.page.locator("#lines-legend").wait_for(state="hidden")


# --- layers × heads --------------------------------------------------------------------------------------------------


def one_hot(folder: Path) -> Path:
    """Five steps on a picture of 4 × 6 patches; the row that produced token s is all on patch s."""

    def row(step: int, layer: int) -> np.ndarray:
        weights = np.zeros((2, 32 + step), dtype=np.float32)
        weights[:, 3 + step] = 1
        return weights

    return made(planted_trace(folder, row, answer=[" a", " b", " c", " d", " e"]), folder)


@pytest.mark.parametrize(("convention", "unseen"), [("predicting", [5]), ("reading", [0, 5])])
def test_maps_over_all_steps_are_of_the_rows_that_are_shown(
    open_report: Any, tmp_path: Path, convention: str, unseen: list[int]
) -> None:
    # Patch 5 is looked at by no row; the row that produced the first token is the row of no token that was written.
    page = open_report(one_hot(tmp_path))
    page.page.locator("#controls button", has_text=convention).click()
    page.page.keyboard.press("2")
    bar = page.page.locator("#model-bar button")
    bar.filter(has_text="maps").click()
    bar.filter(has_text="mean over steps").click()
    page.painted()
    page.page.wait_for_timeout(150)
    canvas = page.page.locator("#model-canvas").bounding_box()
    width, height = (canvas["width"] - 74) / 3 - 2, (canvas["height"] - 26) / 2 - 2
    zoom = min(width / 320, height / 200)
    x0, y0 = 74 + (width - 320 * zoom) / 2, 26 + (height - 200 * zoom) / 2
    line = pixels(page, "model-canvas", (0, round(y0 + 25 * zoom), int(canvas["width"]), 1))[0]
    found = np.stack([line[round(x0 + (patch + 0.5) * 320 / 6 * zoom)] for patch in range(6)])
    assert np.flatnonzero(near(found, found[5])).tolist() == unseen


def test_up_and_down_are_what_the_eye_sees(open_report: Any, demo_report: Path) -> None:
    page = open_report(demo_report, viewport={"width": 1000, "height": 500})
    for view, key, layer in (
        ("1", "ArrowUp", 21),
        ("1", "ArrowDown", 20),
        ("2", "ArrowUp", 19),
        ("2", "ArrowDown", 20),
    ):
        page.page.keyboard.press(view)
        page.page.keyboard.press(key)
        page.painted()
        assert page.state()["layer"] == layer, (view, key)
    page.page.keyboard.press("?")
    keys = page.facts("#help-box")
    assert keys["↑ ↓"] == "layer above or below; in “Layers × heads” one row up or down"


def test_the_row_of_the_layer_stays_in_sight(open_report: Any, demo_report: Path) -> None:
    page = open_report(demo_report, viewport={"width": 1000, "height": 500})
    page.page.keyboard.press("2")
    page.page.locator("#model-bar button", has_text="maps").click()
    for key, times in (("ArrowUp", 20), ("ArrowDown", 15)):
        for _ in range(times):
            page.page.keyboard.press(key)
        page.painted()
        page.page.wait_for_timeout(80)
        layer = page.state()["layer"]
        top, high, whole = page.page.locator("#model-scroll").evaluate(
            "(one) => [one.scrollTop, one.clientHeight, one.firstElementChild.clientHeight]"
        )
        row = (whole - 26) / 22
        assert top <= layer * row + 1
        assert 26 + (layer + 1) * row <= top + high
