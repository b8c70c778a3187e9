"""The live page in a real browser, before a server of planted runs: what is shown is what was told."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pytest

from attnviz_video.render.heat import token_heat
from attnviz_video.theme import theme
from tests.browser.fake_live_server import FakeRun, Script
from tests.browser.live_made import WORDS, answer, planted_row, told_prompt, told_step
from tests.browser.opened import four_digits

PROMPT = "Where is the red circle?"
LONG = " ".join([PROMPT] * 5)
HOSTILE = "</script><img src=x onerror=window.pwned=1>"


def at_once(run: FakeRun) -> Script:
    return answer(run)


def slowly(run: FakeRun) -> Script:
    return answer(run, WORDS * 4, pause=0.06)


class Held:
    """A script that goes on when it is let go, step by step."""

    def __init__(self, words: tuple[str, ...] = WORDS) -> None:
        self.words = words
        self._go = threading.Semaphore(0)

    def __call__(self, run: FakeRun) -> Script:
        for told in answer(run, self.words):
            if not isinstance(told, float) and told[0] != "prompt":
                while not self._go.acquire(timeout=0.1):
                    yield 0.0
            yield told

    def let(self, steps: int) -> None:
        for _ in range(steps):
            self._go.release()


# --- an answer -------------------------------------------------------------------------------------------------------


def test_tokens_come_one_by_one_with_their_rows(open_live: Any, serve_planted: Any) -> None:
    script = Held()
    page = open_live(serve_planted(script).url)
    page.ask(PROMPT, images=("scene.png",))
    page.painted("running")
    for step in (0, 1, 5):
        script.let(step + 1 - len(page.text("answer")))
        page.painted("running", step)
        assert page.text("answer") == [word.strip() for word in WORDS[: step + 1]]
        assert page.current() == [WORDS[step].strip()]
    told = told_prompt(PROMPT.split(), image=("", ""))
    row = planted_row(told, 5)
    assert np.array_equal(np.float32(page.page.evaluate("attnvizLive.weights(5)")), row)
    assert page.step_card()["on the image"] == page.numbers()["image share"] == f"{100 * row[1:193].sum():.1f} %"
    assert [piece for piece, _ in page.candidates()][:2] == ["␣of", "␣other0"]
    assert page.candidates()[0][1] == f"{100 * (0.55 + 0.4 * np.sin(5) ** 2):.1f} %"
    assert len(page.candidates()) == 10
    assert page.numbers()["per second"] == "25"
    assert page.numbers()["layer"] == "20 of 28, mean of 16 heads"
    page.box("red", "prompt").hover()
    shown = page.tooltip()
    assert shown["weight"] == four_digits(float(row[196]))
    assert shown["rank"].startswith(str(1 + int((row > row[196]).sum())))
    canvas = page.page.locator("#pictures canvas")
    box = canvas.bounding_box()
    canvas.hover(position={"x": 3.5 * box["width"] / 16, "y": 7.5 * box["height"] / 12})
    assert page.tooltip()["weight"] == four_digits(float(row[1 + 7 * 16 + 3]))
    assert page.page.locator("#tooltip .tip-title").text_content() == "row 8, column 4"


def test_colours_are_those_of_the_row_and_of_the_scale(open_live: Any, serve_planted: Any) -> None:
    script = Held()
    page = open_live(serve_planted(script).url)
    page.ask(LONG)
    script.let(4)
    page.painted("running", 3)
    tops = page.page.evaluate("attnvizLive.scale()")
    told = told_prompt(LONG.split())
    rows = [planted_row(told, step) for step in range(4)]
    # The first position is a sink from the first step on: high in each, and one of the first four.
    assert page.page.evaluate("attnvizLive.sinks()") == [0]
    weights = np.sort(np.concatenate([row[1:] for row in rows]))
    peaks = np.sort([row[1:].max() for row in rows])
    assert tops["text"] == max(weights[int(np.ceil(0.995 * weights.size)) - 1], peaks[int(np.ceil(0.9 * 4)) - 1])
    colors = page.page.evaluate(
        "[...document.querySelectorAll('#text .section-prompt .u')].map((box) => box.style.backgroundColor)"
    )
    sheet = theme("light").color("panel.background")
    ramp = token_heat("red_green", "box", sheet).ramp(sheet)
    levels = np.minimum(1, rows[3][: len(colors)] / np.float32(tops["text"]))
    steps = np.floor(levels.astype(float) * 255 + 0.5).astype(int)
    assert colors == [f"rgb({', '.join(map(str, ramp[step]))})" for step in steps]
    assert len(set(colors)) > 3
    assert page.page.locator("#text-legend .number").all_text_contents()[0] == "0"


def test_an_earlier_step_is_shown_on_hover_and_kept_on_click(open_live: Any, serve_planted: Any) -> None:
    page = open_live(serve_planted(slowly).url)
    page.ask(PROMPT)
    page.painted("running", 4)
    page.box("circle").hover()
    page.page.wait_for_function("() => document.querySelector('#step-card h2').textContent === 'Step 3'")
    assert page.tooltip()["step"] == "3"
    page.box("red").click()
    page.page.mouse.move(700, 4)
    page.painted("running")
    assert page.current() == ["red"]
    page.page.keyboard.press("ArrowRight")
    page.page.wait_for_function("() => document.querySelector('#step-card h2').textContent === 'Step 3'")
    page.page.click("#to-newest")
    page.painted("running", 6)


def test_after_the_end_the_last_step_stays_and_the_report_is_offered(open_live: Any, serve_planted: Any) -> None:
    page = open_live(serve_planted(at_once).url, viewport={"width": 1280, "height": 720})
    page.ask(PROMPT, images=("scene.png",))
    run = page.painted("done")
    offered = page.page.locator("#tabs .offered")
    assert offered.text_content() == "Report"
    page.page.wait_for_timeout(1200)
    page.box(".").and_(page.page.locator("[data-look=current]")).wait_for()
    assert page.page.locator("#prompt").is_visible()
    assert page.page.url.endswith(f"#run={run}")
    assert page.report() == "The report"
    assert page.page.evaluate("() => document.getElementById('report').contentWindow.location.hash") == "#embedded"
    assert page.page.url.endswith(f"#run={run}&view=report")
    assert offered.count() == 0
    page.page.reload()
    assert page.page.frame_locator("#report").locator("h1").text_content() == "The report"
    page.show("stream")
    page.box(".").and_(page.page.locator("[data-look=current]")).wait_for()
    page.page.click(".downloads summary")
    links = page.page.locator(".downloads a").evaluate_all("all => all.map((one) => one.getAttribute('href'))")
    assert links == [f"/api/runs/{run}/trace.zip", f"/api/runs/{run}/report"]
    page.page.keyboard.press("Escape")
    page.page.get_by_role("button", name="Make video", exact=True).click()
    page.page.get_by_role("tab", name="Video").wait_for()
    assert page.page.locator("#player").get_attribute("src") == f"/api/runs/{run}/video.mp4"
    page.problems.clear()  # the planted video is none


@pytest.mark.parametrize("way", ["button", "Esc"])
def test_a_run_is_stopped(open_live: Any, serve_planted: Any, way: str) -> None:
    server = serve_planted(slowly)
    page = open_live(server.url)
    page.ask(PROMPT)
    run = page.painted("running", 3)
    if way == "Esc":
        page.page.keyboard.press("Escape")
    else:
        page.page.get_by_role("button", name="Stop").click()
    page.painted("stopped")
    assert ("POST", f"/api/runs/{run}/stop") in server.requests
    assert 4 <= len(page.text("answer")) < 40
    assert page.page.locator("#run-state").text_content() == "stopped"


def test_a_failed_run_says_why(open_live: Any, serve_planted: Any) -> None:
    def failing(run: FakeRun) -> Script:
        yield from list(answer(run))[:4]
        yield "failed", {"error": "out of memory on cuda:0; shorten the prompt"}

    page = open_live(serve_planted(failing).url)
    page.ask(PROMPT)
    page.painted("failed")
    assert page.trouble("stage") == "Out of memory on cuda:0; shorten the prompt."
    assert page.page.get_by_role("button", name="Again").is_visible()


# --- what comes next, and going on -----------------------------------------------------------------------------------


def test_next_token_mode_appends_the_candidate_that_is_clicked(open_live: Any, serve_planted: Any) -> None:
    server = serve_planted(at_once)
    page = open_live(server.url)
    page.ask(PROMPT, images=("scene.png",), keys="Tab")
    page.page.click("#ask-next")
    first = page.painted("done", 0)
    assert server.runs[first].fields["mode"] == "next"
    assert len(page.candidates()) == 10
    assert page.current() == ["The"]
    for number, ids in (("other2", [902]), ("red", [902, 101])):
        earlier = list(server.runs)[-1]
        page.page.locator(".choice").filter(has_text=number).click()
        page.another(earlier)
        newest = page.painted("done", len(ids))
        fields = server.runs[newest].fields
        assert json.loads(fields["answer_ids"]) == ids
        assert (fields["mode"], fields["continue_from"], fields["prompt"]) == ("next", list(server.runs)[-2], PROMPT)
        assert server.runs[newest].images[0][0] == "scene.png"
    assert page.text("answer")[:2] == ["other2", "red"]
    assert page.page.locator("#text .u.given").count() == 2
    page.page.get_by_role("button", name="Answer from here").click()
    page.another(newest)
    fields = server.runs[page.painted("done")].fields
    assert (fields["mode"], json.loads(fields["answer_ids"])) == ("continue", [902, 101])


@pytest.mark.parametrize(
    ("edited", "sent"),
    [(" The red", {"answer_ids": [100, 101]}), (" The blue", {"answer_prefix": " The blue"}), ("", {})],
)
def test_the_answer_is_edited_and_goes_on(
    open_live: Any, serve_planted: Any, edited: str, sent: dict[str, Any]
) -> None:
    server = serve_planted(at_once)
    page = open_live(server.url)
    page.ask(PROMPT)
    first = page.painted("done")
    page.page.get_by_role("button", name="Edit answer and continue").click()
    box = page.page.locator("#edit-text")
    page.page.wait_for_function("() => document.getElementById('edit-text').value !== ''")
    assert box.input_value() == "".join(WORDS)
    box.fill(edited)
    page.page.keyboard.press("Control+Enter")
    page.another(first)
    second = page.painted("done")
    fields = dict(server.runs[second].fields)
    assert fields["mode"] == ("continue" if edited else "generate")
    assert fields["continue_from"] == first
    given = {name: fields[name] for name in ("answer_ids", "answer_prefix") if name in fields}
    if "answer_ids" in given:
        given["answer_ids"] = json.loads(given["answer_ids"])
    assert given == sent


def test_again_fills_the_composer_and_keeps_what_was_typed(open_live: Any, serve_planted: Any) -> None:
    server = serve_planted(at_once)
    page = open_live(server.url)
    page.page.click("#options summary")
    page.page.get_by_label("Most new tokens").fill("33")
    page.ask(PROMPT, images=("one.png", "two.png"))
    first = page.painted("done")
    again, aside = page.page.get_by_role("button", name="Again …"), page.page.locator("#put-aside")
    again.click()
    assert not aside.is_visible(), "what was sent is no draft"
    page.page.fill("#prompt", "something else")
    page.page.click("#options summary")
    page.page.get_by_label("Most new tokens").fill("44")
    page.page.get_by_role("button", name="Remove one.png").click()
    page.attach("three.png")
    again.click()
    assert list(server.runs) == [first], "nothing is asked yet"
    assert page.page.locator("#prompt").input_value() == PROMPT
    names = "all => all.map((one) => one.alt)"
    assert page.page.locator("#thumbs img").evaluate_all(names) == ["one.png", "two.png"]
    assert page.page.get_by_label("Most new tokens").input_value() == "33"
    aside.get_by_text("What you had typed was put aside.").wait_for()
    aside.get_by_role("button", name="Bring it back").click()
    assert page.page.locator("#prompt").input_value() == "something else"
    assert page.page.locator("#thumbs img").evaluate_all(names) == ["two.png", "three.png"]
    assert page.page.get_by_label("Most new tokens").input_value() == "44"
    again.click()
    page.page.keyboard.press("Control+Enter")
    page.another(first)
    second = server.runs[page.painted("done")]
    assert (second.fields["prompt"], second.fields["max_new_tokens"]) == (PROMPT, "33")
    assert [name for name, _ in second.images] == ["one.png", "two.png"]
    assert not aside.is_visible()


def test_again_keeps_the_beginning_of_the_answer(open_live: Any, serve_planted: Any) -> None:
    server = serve_planted(at_once)
    page = open_live(server.url)
    page.ask(PROMPT)
    first = page.painted("done")
    page.page.get_by_role("button", name="Edit answer and continue").click()
    page.page.wait_for_function("() => document.getElementById('edit-text').value !== ''")
    page.page.locator("#edit-text").fill(" The red")
    page.page.keyboard.press("Control+Enter")
    page.another(first)
    second = page.painted("done", 1)
    page.page.get_by_role("button", name="Again …").click()
    line = page.page.locator("#beginning")
    assert line.locator("span").text_content() == "The answer begins with ␣The red"
    page.page.keyboard.press("Control+Enter")
    page.another(second)
    third = page.painted("done", 1)
    fields = server.runs[third].fields
    assert (fields["mode"], json.loads(fields["answer_ids"])) == ("continue", [100, 101])
    line.get_by_role("button").click()
    page.page.keyboard.press("Control+Enter")
    page.another(third)
    fields = server.runs[page.painted("done")].fields
    assert fields["mode"] == "generate"
    assert "answer_ids" not in fields


# --- text ------------------------------------------------------------------------------------------------------------


def test_bytes_of_one_character_are_one_box(open_live: Any, serve_planted: Any) -> None:
    script = Held(("你", "", "", "好", "", "，", "", "x"))
    page = open_live(serve_planted(script).url)
    page.ask("图中的红色圆圈在哪里？")
    script.let(2)
    page.painted("running", 1)
    assert page.text("answer") == ["你", "…"]
    script.let(2)
    page.painted("running", 3)
    assert page.text("answer") == ["你", "好"]
    row = planted_row(told_prompt(["x"]), 3)
    script.let(2)
    page.painted("running", 5)
    page.box("好").click()
    page.box("你").hover()
    assert page.tooltip()["weight"] == four_digits(float(row[2]))
    page.page.click("#to-newest")
    script.let(3)
    page.painted("done")
    assert page.text("prompt")[1:] == ["图中的红色圆圈在哪里？"]
    assert page.text("answer") == ["你", "好", "，", "x"]


def test_hostile_text_is_text(open_live: Any, serve_planted: Any) -> None:
    def hostile(run: FakeRun) -> Script:
        told = told_prompt([HOSTILE, "a\u202eb"], image=(HOSTILE, f"/api/runs/{run.id}/images/0"))
        told["units"][0][2] = told["tokens"]["text"][0] = HOSTILE
        yield "prompt", told | {"notices": [HOSTILE]}
        for step, text in enumerate((HOSTILE, "\x1b[31mred", "=cmd()")):
            yield "step", told_step(told, step, text, special=step == 2)
        yield "failed", {"error": HOSTILE}

    server = serve_planted(hostile, name=HOSTILE, type=HOSTILE)
    page = open_live(server.url)
    page.ask(HOSTILE, images=(f"{HOSTILE.replace('/', '')}.png",))
    page.painted("failed", 2)
    assert page.text("answer") == [HOSTILE, "⟨U+001B⟩[31mred", "=cmd()"]
    assert page.text("prompt")[2:] == [HOSTILE, "a⟨U+202E⟩b"]
    page.page.locator("#strip").click(position={"x": 130, "y": 20})
    page.page.get_by_role("heading", name="Step 1", exact=True).wait_for()
    assert page.candidates()[0][0] == HOSTILE
    assert HOSTILE in page.trouble("stage")
    assert page.page.locator("#title").text_content() == HOSTILE
    assert page.runs()[0].startswith(HOSTILE)
    page.page.wait_for_timeout(100)
    assert page.page.evaluate("window.pwned") is None
    assert page.page.locator("img[src=x]").count() == 0
