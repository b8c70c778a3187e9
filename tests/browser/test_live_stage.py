"""The stage of the live page: its pictures are what is largest, all of them and the newest token are in sight, and its
sections are the report's.
"""

from __future__ import annotations

from typing import Any

import pytest

from attnviz_video.serve.answer_sections import AnswerSections
from tests.browser.fake_live_server import FakeRun, Script
from tests.browser.live_made import SIZE, WORDS, answer, told_prompt, told_step

PROMPT = "Where is the red circle?"
TAGGED = ("<", "think", ">", "\n", " red", "\n", "</", "think", ">", "\n", "<answer", ">", " left", "</answer>")


def at_once(run: FakeRun) -> Script:
    return answer(run, WORDS * 4)


def tagged(run: FakeRun) -> Script:
    sections, told = AnswerSections(), told_prompt(PROMPT.split())
    yield "prompt", told
    for step, text in enumerate(TAGGED):
        yield "step", told_step(told, step, text, sections=sections.push(text, special=False))
        if text == "think":
            run.stop.wait(0.3)
    yield "done", {"stopped_by": "eos"}


def within(inner: dict[str, float], outer: dict[str, float]) -> bool:
    """Whether a box lies in another, half a pixel more or less."""
    return all(
        outer[start] - 0.5 <= inner[start] and inner[start] + inner[side] <= outer[start] + outer[side] + 0.5
        for start, side in (("x", "width"), ("y", "height"))
    )


def overlap(one: dict[str, float], other: dict[str, float]) -> bool:
    return all(
        one[start] < other[start] + other[side] - 0.5 and other[start] < one[start] + one[side] - 0.5
        for start, side in (("x", "width"), ("y", "height"))
    )


@pytest.mark.parametrize(
    ("width", "height", "n_images", "least"),
    [(1280, 720, 1, 400), (1280, 720, 2, 200), (1280, 720, 8, 100), (1440, 900, 2, 240), (950, 720, 2, 140),
     (950, 720, 8, 80), (1920, 1080, 1, 700)],
)  # fmt: skip
def test_all_pictures_and_the_newest_token_are_in_sight(
    open_live: Any, serve_planted: Any, width: int, height: int, n_images: int, least: int
) -> None:
    page = open_live(serve_planted(at_once, max_images=8).url, viewport={"width": width, "height": height})
    page.ask(PROMPT, images=tuple(f"image_number_{number}.png" for number in range(n_images)))
    page.painted("done", len(WORDS) * 4 - 1)
    panel = page.page.locator("#pictures").bounding_box()
    figures = page.page.locator("#pictures figure").all()
    assert len(figures) == n_images
    boxes = [figure.bounding_box() for figure in figures]
    assert all(within(box, panel) for box in boxes)
    for figure, box in zip(figures, boxes, strict=True):
        canvas = figure.locator("canvas").bounding_box()
        assert canvas["width"] >= least
        assert canvas["width"] / canvas["height"] == pytest.approx(SIZE[0] / SIZE[1], rel=0.01)
        assert within(figure.locator(".number").bounding_box(), box)
    assert not any(overlap(one, other) for one in boxes for other in boxes if one is not other)
    # The largest thing there is, beside the text.
    step = page.page.locator("#step-card").bounding_box()
    assert not overlap(step, panel)
    assert within(page.page.locator("#step-card .candidates").bounding_box(), step)
    token = page.page.locator("#text [data-look=current]").bounding_box()
    assert within(token, page.page.locator("#text").bounding_box())
    if n_images == 1:
        assert page.page.locator("figcaption .name").text_content() == "image_number_0.png"
        clipped = "own => own.scrollWidth > own.clientWidth"
        assert not page.page.locator("figcaption .name").evaluate(clipped)


def test_two_pictures_stay_side_by_side_at_every_width(open_live: Any, serve_planted: Any) -> None:
    """Columns are seldom whole pixels wide; a picture must not be sent to a second row by half of one."""
    page = open_live(serve_planted(at_once).url, viewport={"width": 1280, "height": 600})
    page.ask(PROMPT, images=("one.png", "two.png"))
    page.painted("done", len(WORDS) * 4 - 1)
    figures = "[...document.querySelectorAll('#pictures figure')].map((one) => one.getBoundingClientRect())"
    for width in range(1270, 1292):
        page.page.set_viewport_size({"width": width, "height": 600})
        page.page.evaluate("() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")
        one, two = page.page.evaluate(f"() => {figures}.map((box) => [box.x, box.y])")
        assert one[1] == two[1], width
        assert one[0] < two[0]


def test_what_comes_next_leaves_the_picture_its_room(open_live: Any, serve_planted: Any) -> None:
    page = open_live(serve_planted(at_once).url, viewport={"width": 1280, "height": 720})
    page.page.fill("#prompt", PROMPT)
    page.attach("scene.png")
    page.page.click("#ask-next")
    page.painted("done", 0)
    page.page.get_by_text("Click one to append it").wait_for()
    assert page.page.locator("#pictures canvas").bounding_box()["width"] >= 400
    card = page.page.locator("#step-card").bounding_box()
    choices = page.page.locator(".choice").all()
    assert len(choices) == 10
    assert all(within(choice.bounding_box(), card) for choice in choices)


def test_text_that_is_scrolled_back_stays_where_it_is(open_live: Any, serve_planted: Any) -> None:
    def slowly(run: FakeRun) -> Script:
        return answer(run, WORDS * 12, pause=0.02)

    page = open_live(serve_planted(slowly).url, viewport={"width": 1280, "height": 720})
    page.ask(PROMPT)
    page.painted("running", 120)
    top = "() => document.getElementById('text').scrollTop"
    page.page.locator("#text").hover()
    page.page.mouse.wheel(0, -10_000)
    page.page.wait_for_function(f"() => ({top})() === 0")
    page.painted("done")
    assert page.page.evaluate(top) == 0
    page.page.mouse.wheel(0, 20_000)
    page.page.wait_for_function(f"() => ({top})() > 100")


def test_the_sections_of_an_answer_are_the_reports(open_live: Any, serve_planted: Any) -> None:
    page = open_live(serve_planted(tagged).url)
    page.ask(PROMPT)
    page.painted("running", 1)
    titles = page.page.locator("#text .section h2")
    assert titles.all_text_contents() == ["prompt", "response"], "nothing is known of it yet"
    page.painted("done", len(TAGGED) - 1)
    assert titles.all_text_contents() == ["prompt", "thinking", "answer"]
    shown = {
        name: "".join(page.page.locator(f"#text .section-{name} .u").all_text_contents())
        for name in ("think", "answer")
    }
    assert shown == {"think": "<think>⏎red⏎</think>⏎", "answer": "<answer>left</answer>"}
    page.box("red").click()
    page.box("red").and_(page.page.locator("[data-look=current]")).wait_for()
    corner = page.page.locator("#text .u.mark").first.evaluate("own => getComputedStyle(own).borderRadius")
    assert corner == page.page.locator("#text .u").first.evaluate("own => getComputedStyle(own).borderRadius")
