"""The live page in a real browser: what is asked and with which images, the queue, reloads, a server that goes away."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.fake_live_server import FakeRun, Script
from tests.browser.live_made import WORDS, answer

PROMPT = "Where is the red circle?"


def at_once(run: FakeRun) -> Script:
    return answer(run)


def slowly(run: FakeRun) -> Script:
    return answer(run, WORDS * 2, pause=0.06)


def until_stopped(run: FakeRun) -> Script:
    yield from list(answer(run))[:6]
    while True:
        yield 0.1


# --- what is asked ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["drop", "paste", "dialog"])
def test_images_come_by_every_way(open_live: Any, serve_planted: Any, way: str) -> None:
    server = serve_planted(at_once)
    page = open_live(server.url)
    if way == "dialog":
        page.attach("one.png")
    else:
        page.offer(way, "one.png", "image/png")
    page.attach("two.png", "three.png")
    names = page.page.locator("#thumbs img").evaluate_all("all => all.map((one) => one.alt)")
    assert names == ["one.png", "two.png", "three.png"]
    page.page.get_by_role("button", name="Remove two.png").click()
    page.ask(PROMPT)
    run = server.runs[page.painted("done")]
    assert [name for name, _ in run.images] == ["one.png", "three.png"]
    assert run.images[0][1].startswith(b"\x89PNG")


def test_what_cannot_be_read_is_refused_at_once(open_live: Any, serve_planted: Any) -> None:
    page = open_live(serve_planted(at_once, max_images=2).url)
    page.offer("drop", "notes.pdf", "application/pdf")
    assert page.trouble() == "“notes.pdf” is not an image that can be read; PNG, JPEG, WEBP, GIF, BMP and TIFF are."
    page.attach("one.png", "two.png", "three.png")
    assert page.trouble() == "This server takes at most 2 images; it was started with --max_image_num 2."
    assert page.page.locator("#thumbs img").count() == 2
    text = open_live(serve_planted(at_once, vision=False, name="gpt2").url)
    assert not text.page.locator("#attach").is_visible()
    text.offer("paste", "one.png", "image/png")
    assert text.trouble() == "gpt2 reads text only; it takes no images."


def test_settings_travel_with_the_prompt(open_live: Any, serve_planted: Any) -> None:
    server = serve_planted(at_once)
    page = open_live(server.url)
    page.page.click("#options summary")
    page.page.get_by_label("Layer").select_option("7")
    page.page.get_by_label("Most new tokens").fill("33")
    page.page.get_by_label("Sample").check()
    page.page.get_by_label("Temperature").fill("0.7")
    page.page.get_by_label("Seed").fill("5")
    page.page.get_by_label("System prompt").fill("Be short.")
    page.page.keyboard.press("Escape")
    page.ask(PROMPT)
    fields = server.runs[page.painted("done")].fields
    assert fields == {
        "prompt": PROMPT, "mode": "generate", "layer_idx": "7", "max_new_tokens": "33", "do_sample": "true",
        "temperature": "0.7", "seed": "5", "system": "Be short.",
    }  # fmt: skip


def test_a_wrong_number_and_an_empty_prompt_are_said_where_they_stand(open_live: Any, serve_planted: Any) -> None:
    server = serve_planted(at_once)
    page = open_live(server.url)
    page.ask("   ")
    assert page.trouble() == "Write a prompt first."
    page.page.click("#options summary")
    page.page.get_by_label("Most new tokens").fill("0")
    page.ask(PROMPT)
    assert page.trouble("fields") == "Most new tokens: expected a whole number from 1 to 100000."
    box = page.page.locator("#fields-trouble").bounding_box()
    on_top = page.page.evaluate("([x, y]) => document.elementFromPoint(x, y).id", [box["x"] + 5, box["y"] + 5])
    assert on_top == "fields-trouble", "nothing lies over it"
    assert page.page.evaluate("() => document.activeElement.min") == "1"
    page.page.keyboard.type("9")
    assert not page.page.locator("#fields-trouble").is_visible()
    assert not server.runs


def test_a_prompt_that_no_model_reads_is_not_sent(open_live: Any, serve_planted: Any) -> None:
    server = serve_planted(at_once)
    page = open_live(server.url)
    page.ask("x" * 20_001)
    assert page.trouble() == "The prompt has 20001 characters; the model reads 1250 tokens: shorten it."
    assert not server.runs


@pytest.mark.parametrize("way", ["Esc", "button"])
def test_what_is_being_sent_can_be_cancelled(open_live: Any, serve_planted: Any, way: str) -> None:
    server = serve_planted(until_stopped)
    server.thinks = 60.0 if way == "button" else 0.15
    page = open_live(server.url)
    page.ask(PROMPT)
    if way == "button":
        page.page.get_by_text("Being sent and read …").wait_for()
        page.page.get_by_role("button", name="Cancel").first.click()
    else:
        page.page.keyboard.press("Escape")
    assert page.trouble() == "Cancelled: nothing was asked."
    assert page.page.locator("#ask").is_enabled()
    assert not page.page.locator("#sending").is_visible()
    assert page.page.evaluate("() => location.hash") == ""


@pytest.mark.parametrize(
    ("status", "error"),
    [(413, "the request has more than 25 MB"), (422, "the prompt is too long"), (409, "16 runs wait")],
)
def test_a_refusal_is_told_under_the_prompt(open_live: Any, serve_planted: Any, status: int, error: str) -> None:
    server = serve_planted(at_once)
    server.refuse = (status, error)
    page = open_live(server.url, refused=True)
    page.ask(PROMPT)
    assert page.trouble() == f"{error[0].upper()}{error[1:]}."
    assert page.page.locator("#prompt").input_value() == PROMPT
    server.refuse = None
    page.ask(PROMPT)
    page.painted("done")
    assert not page.page.locator("#composer-trouble").is_visible()


def test_keys_of_an_input_method_are_not_for_the_page(open_live: Any, serve_planted: Any) -> None:
    server = serve_planted(at_once)
    page = open_live(server.url)
    page.page.fill("#prompt", "你好")
    press = """(composing) => document.getElementById('prompt').dispatchEvent(new KeyboardEvent('keydown',
        { key: 'Enter', ctrlKey: true, isComposing: composing, bubbles: true, cancelable: true }))"""
    page.page.evaluate(press, True)
    page.page.wait_for_timeout(150)
    assert not server.runs
    page.page.evaluate(press, False)
    assert server.runs[page.painted("done")].fields["prompt"] == "你好"


# --- several tabs, reloads, a server that is gone --------------------------------------------------------------------


def test_two_tabs_wait_in_line(open_live: Any, serve_planted: Any) -> None:
    server = serve_planted(until_stopped)
    one, two = open_live(server.url), open_live(server.url)
    one.ask("the first one")
    first = one.painted("running", 1)
    two.ask("the second one")
    second = two.painted("queued")
    waits = two.page.locator("#text[data-words='Waiting: one run is before this one.']")
    waits.wait_for()
    one.page.get_by_text("waiting, number 1").first.wait_for()
    assert two.page.locator("#run-state").text_content() == "waiting, number 1"
    # A tab that waits holds no connection: it asks now and then.
    asked = [path for _, path in server.requests].count(f"/api/runs/{second}")
    two.page.wait_for_timeout(2300)
    assert [path for _, path in server.requests].count(f"/api/runs/{second}") - asked in (2, 3)
    one.page.keyboard.press("Escape")
    assert one.painted("stopped") == first
    two.painted("running", 1)
    two.page.keyboard.press("Escape")
    two.painted("stopped")


def test_a_run_goes_on_while_its_tab_asks_for_another(open_live: Any, serve_planted: Any) -> None:
    """The server ends runs that nobody asks about (FAULTS row 30): the tab asks about all of its own."""
    server = serve_planted(until_stopped)
    page = open_live(server.url)
    page.ask("the first one")
    first = page.painted("running", 1)
    page.ask("the second one")
    page.another(first)
    page.painted("queued")

    def asked_in(milliseconds: int) -> int:
        before = server.requests.count(("GET", f"/api/runs/{first}"))
        page.page.wait_for_timeout(milliseconds)
        return server.requests.count(("GET", f"/api/runs/{first}")) - before

    assert asked_in(2300) >= 2
    server.runs[first].stop.set()
    page.painted("running", 1)
    page.page.wait_for_timeout(1200)
    assert asked_in(1300) == 0
    page.page.keyboard.press("Escape")
    page.painted("stopped")


def test_a_tab_that_waits_says_when_it_leaves(open_live: Any, serve_planted: Any) -> None:
    server = serve_planted(until_stopped)
    one, two = open_live(server.url), open_live(server.url)
    one.ask("the first one")
    one.painted("running", 1)
    two.ask("the second one")
    second = two.painted("queued")
    two.page.locator("#text[data-words^=Waiting]").wait_for()
    two.page.goto("about:blank")
    two.requests.clear()
    for _ in range(50):
        if second in server.left:
            break
        one.page.wait_for_timeout(50)
    assert server.left == [second]


def test_a_reload_comes_back_to_the_run(open_live: Any, serve_planted: Any) -> None:
    page = open_live(serve_planted(slowly).url)
    page.ask(PROMPT, images=("scene.png",))
    run = page.painted("running", 5)
    page.page.reload()
    assert page.painted("running", 6) == run
    assert page.text("answer")[:3] == ["The", "red", "circle"]
    assert page.page.locator("#prompt").input_value() == PROMPT
    page.painted("done")
    page.page.reload()
    page.painted("done", 2 * len(WORDS) - 1)


@pytest.mark.parametrize("resumes", [True, False])
def test_a_lost_connection_is_taken_up_again(open_live: Any, serve_planted: Any, resumes: bool) -> None:
    server = serve_planted(slowly)
    server.resumes = resumes
    page = open_live(server.url, refused=True)
    page.ask(PROMPT)
    page.painted("running", 5)
    server.gone = True
    banner = page.page.locator("#banner")
    banner.wait_for(state="visible")
    assert banner.text_content().startswith(f"The server at 127.0.0.1:{server.port} does not answer; trying again")
    assert page.text("answer")[:3] == ["The", "red", "circle"]
    page.page.get_by_text("no connection", exact=True).first.wait_for()
    assert page.page.locator("#run-state").text_content() == "no connection"
    assert page.page.locator("#acts .stop").is_disabled()
    page.ask(PROMPT)
    assert page.trouble() == "The server does not answer."
    server.gone = False
    banner.wait_for(state="hidden")
    page.page.locator("#composer-trouble").wait_for(state="hidden")
    page.painted("done")
    assert len(server.runs) == 1
    page.painted("done", 2 * len(WORDS) - 1)
    # Every token once, whether the server goes on where it was cut off or tells everything again.
    n_prompt = 1 + len(PROMPT.split())
    assert page.page.evaluate("() => attnvizLive.tokens()")[n_prompt:] == list(WORDS * 2)


def test_runs_are_listed_opened_and_deleted(open_live: Any, serve_planted: Any) -> None:
    server = serve_planted(at_once)
    page = open_live(server.url)
    page.ask("the first one")
    first = page.painted("done")
    page.ask("the second one", images=("scene.png",))
    page.another(first)
    page.painted("done")
    page.page.wait_for_function("() => document.querySelectorAll('#runs .mark.done').length === 2")
    seen = "() => [...document.querySelectorAll('#runs img')].map((one) => one.naturalWidth)"
    page.page.wait_for_function(f"() => ({seen})()[0] === 2")
    assert page.page.evaluate(seen) == [2], "of the run that has a picture"
    assert page.runs() == ["the second one | done · 18 tokens", "the first one | done · 18 tokens"]
    page.page.locator("#runs .open").nth(1).click()
    page.page.wait_for_function("id => document.documentElement.dataset.painted.startsWith(`${id} done`)", arg=first)
    page.page.evaluate("() => history.back()")
    page.another(first)
    entry = page.page.locator("#runs li").nth(1)
    entry.hover()
    entry.locator(".remove").click()
    entry.get_by_text("Delete?").wait_for()
    assert first in server.runs
    entry.locator(".remove").click()
    page.page.wait_for_function("() => document.querySelectorAll('#runs li').length === 1")
    assert first not in server.runs
    page.page.goto(f"{server.url}#run={first}")
    page.page.get_by_text("This run is not here any more").wait_for()
    assert not page.page.locator("#stage-head").is_visible()
    assert page.page.evaluate("() => location.hash") == ""
    page.problems.clear()  # of the 404


def test_a_run_that_is_deleted_while_it_runs_is_gone(open_live: Any, serve_planted: Any) -> None:
    server = serve_planted(until_stopped)
    page = open_live(server.url)
    page.ask(PROMPT)
    run = page.painted("running", 2)
    page.page.locator("#runs li").hover()
    page.page.locator("#runs .remove").click()
    page.page.get_by_text("Delete?").click()
    page.page.wait_for_function("() => document.querySelectorAll('#runs li').length === 0")
    page.page.get_by_text("See where a model looks").wait_for()
    assert ("DELETE", f"/api/runs/{run}") in server.requests
    assert not page.page.locator("#composer-trouble").is_visible()


def test_runs_that_were_asked_alike_are_told_apart_by_their_time(open_live: Any, serve_planted: Any) -> None:
    server = serve_planted(at_once)
    for number, created in enumerate(
        ("2026-11-21T18:45:12+00:00", "2026-11-21T18:45:40+00:00", "2026-11-20T07:05:00+00:00")
    ):
        run = server.add({"prompt": "the same" if number < 2 else "another", "mode": "generate"})
        run.created = created
    page = open_live(server.url, timezone_id="Europe/Paris", locale="en-GB")
    page.page.wait_for_function("() => document.querySelectorAll('#runs time').length === 3")
    assert page.page.locator("#runs time").all_text_contents() == ["19:45:40", "19:45:12", "08:05"]
    assert page.page.locator("#runs .open").nth(2).get_attribute("title") == "another\n20 Nov 2026, 08:05:00"


def test_a_report_that_cannot_be_made_is_told(open_live: Any, serve_planted: Any) -> None:
    server = serve_planted(at_once)
    server.report = (503, "application/json", '{"error": "disk full while writing the report"}')
    page = open_live(server.url, refused=True)
    page.ask(PROMPT)
    page.painted("done")
    page.page.get_by_role("tab", name="Report").click()
    assert page.trouble("stage") == "Disk full while writing the report."
    page.box(".").wait_for()


# --- the window ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "height", "scheme"), [(1280, 720, "dark"), (1920, 1080, "light"), (900, 700, "light"), (400, 800, "dark")]
)
def test_everything_is_in_sight(open_live: Any, serve_planted: Any, width: int, height: int, scheme: str) -> None:
    server = serve_planted(until_stopped)
    page = open_live(server.url, viewport={"width": width, "height": height}, color_scheme=scheme)
    page.ask(PROMPT, images=("scene.png",))
    page.painted("running", 3)
    assert page.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    wanted = ["#pictures canvas", "#step-card .candidates", "#text .section-other", "#acts .stop"]
    if width > 820:
        for place in (*wanted, "#strip", "#ask"):
            box = page.page.locator(place).first.bounding_box()
            assert box["y"] >= 0
            assert box["y"] + box["height"] <= height + 1, place
    ground = page.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(244, 245, 247)" if scheme == "light" else "rgb(16, 18, 22)")
    page.page.keyboard.press("Escape")


def test_the_page_is_used_by_keys_alone(open_live: Any, serve_planted: Any) -> None:
    page = open_live(serve_planted(at_once).url)
    assert page.page.evaluate("() => document.activeElement.id") == "prompt"
    page.page.keyboard.type(PROMPT)
    for _ in range(4):
        page.page.keyboard.press("Tab")
    assert page.page.evaluate("() => document.activeElement.id") == "ask-next"
    page.page.keyboard.press("Enter")
    page.painted("done", 0)
    page.page.locator(".choice").nth(1).focus()
    earlier = page.painted("done")
    page.page.keyboard.press("Enter")
    page.another(earlier)
    page.painted("done", 1)
    page.page.locator("#stage-head").get_by_role("button", name="Again …").focus()
    page.page.keyboard.press("ArrowLeft")
    page.box("other0").and_(page.page.locator("[data-look=current]")).wait_for()
    page.page.keyboard.press("t")
    assert page.page.evaluate("() => document.documentElement.dataset.theme") == "dark"
    page.page.keyboard.press("?")
    assert page.page.locator("#help-box").is_visible()
