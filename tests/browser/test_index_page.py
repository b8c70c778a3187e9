"""The page of a run in a real browser: hostile text, sorting, filters, the keyboard, a phone, a thousand samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from attnviz_video.export.index_page import Card, RunNotes, write_index_page

NOTES = RunNotes("a run", "a model on data.json", "2025-01-02 03:04 UTC", 0, 0, False, settings=[("Model", "demo")])
HOSTILE = (
    "</script><img src=x onerror=window.pwned=1>",
    "<svg onload=window.pwned=1>",
    '"><script>window.pwned=1</script>',
    "<!--<script>",
    "\u202ereversed\u2066 and \u200fleft open",
    "\x1b[31mred\x1b[0m and \x00",
    "javascript:window.pwned=1",
    "{{data}} ${window.pwned=1}",
    "half a pair \ud83d",
)

CARDS = (
    Card(0, "apple", "correct", "How many?", "3", share=0.5, tokens=30, seconds=4.0, kind="generated"),
    Card(1, "pear", "wrong", "Where is it?", "left", reference="right", share=0.1, tokens=300, kind="replayed"),
    Card(2, "plum", "failed", "What colour?", error="image 'x.png': no such file", seconds=0.1),
    Card(3, "fig", "unjudged", "Describe it.", "a table", share=0.3, tokens=7, seconds=90.0, kind="replayed"),
    Card(10, "kiwi", "unfinished", "How many?"),
)

Open = Callable[..., Any]


def written(folder: Path, cards: Sequence[Card] = CARDS, notes: RunNotes = NOTES) -> Path:
    file = folder / "a run" / "index.html"
    file.parent.mkdir(exist_ok=True)
    write_index_page(file, notes, cards)
    return file


def ids(page: Any) -> list[str]:
    return list(page.eval_on_selector_all("#cards .card h2 bdi", "nodes => nodes.map((node) => node.textContent)"))


def filled_in(text: str) -> Card:
    """A card that says `text` wherever a card says anything."""
    return Card(
        0, text, "wrong", text, text, text, text, text, 0.5, 3, 1.0, "generated", text, (text,), (text,),
        text, text, ((text, text),), text, text,
    )  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text(tmp_path: Path, open_page: Open, text: str) -> None:
    notes = RunNotes(text, text, text, 1, 1, True, text, [(text, text)], [(text, text)])
    card = filled_in(text)
    opened = open_page(written(tmp_path, [card, replace(card, index=1, error="", outcome="failed")], notes))
    page = opened.page
    page.locator(".picture").first.click()
    assert page.locator("#sample h3").count() > 5
    assert page.evaluate("window.pwned") is None
    assert page.locator("svg, script:not(body > script), main script, #sample script").count() == 0
    # The only pictures are those the page made, and they lie beside it.
    assert page.evaluate(
        "[...document.images].every((one) => one.src.startsWith(document.baseURI.replace(/index.*/, '')))"
    )
    assert all(request.startswith("file:") for request in opened.requests)
    shown = page.locator("#cards .question").first.inner_text()
    for mark in ("\u202e", "\u2066", "\u200f", "\x1b", "\x00"):
        assert mark not in page.content()
        assert (f"⟨U+{ord(mark):04X}⟩" in shown) == (mark in text)
    if "<" in text:
        assert shown == text
    # Pictures of such names are not there; that is all there is to complain about.
    assert all("ERR_FILE_NOT_FOUND" in problem for problem in opened.problems)


def test_an_ordinary_page_asks_nobody_and_complains_of_nothing(tmp_path: Path, open_page: Open) -> None:
    file = written(tmp_path, [replace(CARDS[0], thumbnail="000000-a b%23/small.webp"), *CARDS[1:]])
    thumbnail = file.parent / "000000-a b%23" / "small.webp"
    thumbnail.parent.mkdir()
    Image.new("RGB", (32, 18), "green").save(thumbnail)
    opened = open_page(file)
    image = opened.page.locator(".picture img")
    image.wait_for()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 32
    assert opened.problems == []
    assert [request.partition(":")[0] for request in opened.requests] == ["file", "file"]


def test_tall_and_wide_pictures_take_the_same_room(tmp_path: Path, open_page: Open) -> None:
    sizes = {"wide": (320, 180), "tall": (180, 320)}
    file = written(tmp_path, [replace(CARDS[0], thumbnail=f"{name}.webp") for name in sizes])
    for name, size in sizes.items():
        Image.new("RGB", size).save(file.parent / f"{name}.webp")
    page = open_page(file).page
    page.wait_for_load_state("load")
    shape = "all => all.map((one) => [one.offsetWidth, one.offsetHeight])"
    wide, tall = page.locator(".picture").evaluate_all(shape)
    assert wide == tall
    assert wide[0] / wide[1] == pytest.approx(16 / 9, rel=0.02)


def test_sorting(tmp_path: Path, open_page: Open) -> None:
    page = open_page(written(tmp_path)).page
    assert ids(page) == ["apple", "pear", "plum", "fig", "kiwi"]
    # What is unknown stands at the end, whichever way round.
    for order, found, turned in (
        ("share", "apple fig pear plum kiwi", "pear fig apple plum kiwi"),
        ("length", "pear apple fig plum kiwi", "fig apple pear plum kiwi"),
        ("seconds", "fig apple plum pear kiwi", "plum apple fig pear kiwi"),
        ("outcome", "plum kiwi pear fig apple", "apple fig pear kiwi plum"),
        ("index", "apple pear plum fig kiwi", "kiwi fig plum pear apple"),
    ):
        page.locator("#order").select_option(order)
        assert ids(page) == found.split()
        page.locator("#direction").click()
        assert ids(page) == turned.split()


def test_filters_and_counts(tmp_path: Path, open_page: Open) -> None:
    page = open_page(written(tmp_path)).page
    count = page.locator("#count")
    assert count.inner_text() == "5 of 5 shown"
    assert page.locator("#outcomes button").all_inner_texts() == [
        "all5", "correct1", "not judged1", "wrong1", "unfinished1", "failed1",
    ]  # fmt: skip
    page.locator("[data-outcome=failed]").click()
    assert ids(page) == ["plum"]
    assert page.locator(".error").inner_text() == "image 'x.png': no such file"
    assert count.inner_text() == "1 of 5 shown"
    page.locator("[data-outcome=failed]").click()
    page.locator("#kind").select_option("replayed")
    assert ids(page) == ["pear", "fig"]
    # A count beside an outcome tells what choosing it would show.
    assert page.locator("[data-outcome=correct]").inner_text() == "correct0"
    page.locator("#search").fill("IT. table")
    count.filter(has_text="1 of 5 shown").wait_for()
    assert ids(page) == ["fig"]
    page.locator("#search").fill("no such words")
    page.locator("#nothing", has_text="No sample matches.").wait_for()
    page.locator("#nothing button").click()
    assert ids(page) == ["apple", "pear", "plum", "fig", "kiwi"]


#: What is known about answers without a video, and parts of a score.
JUDGED = (
    Card(0, "seen", "unfinished", "?", "3", verdict="correct", score=1.0),
    Card(1, "half", "partial", "?", "3", reference="4", verdict="partial", score=0.5),
    Card(2, "lost", "failed", "?", error="encoder", verdict="wrong", score=0.0),
    Card(3, "done", "correct", "?", "3", verdict="correct", score=1.0),
    Card(4, "open", "unjudged", "?", "3"),
)


def test_verdicts_are_counted_with_and_without_a_video(tmp_path: Path, open_page: Open) -> None:
    page = open_page(written(tmp_path, JUDGED)).page
    assert [" ".join(text.split()) for text in page.locator("#figures div").all_inner_texts()] == [
        "samples 5", "correct 50.0 % 2 of 4 judged", "mean score 0.63", "failed 1",
    ]  # fmt: skip
    assert page.locator("#outcomes button").all_inner_texts() == [
        "all5", "correct2", "partly correct1", "not judged1", "wrong1", "unfinished1", "failed1",
    ]  # fmt: skip
    badges = [text.split("\n") for text in page.locator("#cards .badge").all_inner_texts()]
    assert badges == [["… unfinished", "✓ correct"], ["◐ partly correct"], ["! failed", "✗ wrong"], ["✓ correct"], [""]]
    for name, found in (("correct", "seen done"), ("wrong", "lost"), ("failed", "lost"), ("partial", "half")):
        page.locator(f"[data-outcome={name}]").click()
        assert ids(page) == found.split()
    page.locator("[data-outcome='']").click()
    page.locator("#order").select_option("score")
    assert ids(page) == ["seen", "done", "half", "lost", "open"]
    page.locator("#order").select_option("outcome")
    assert ids(page) == ["lost", "open", "half", "seen", "done"]
    half = page.locator("[data-index='1']")
    assert "score 0.5" in half.locator(".numbers").inner_text()
    assert half.locator(".tag").inner_text() == "expected: 4"
    assert half.locator(".picture").get_attribute("aria-label") == "Open sample 1, half: partly correct"
    assert page.locator("[data-index='2'] .picture").get_attribute("aria-label").endswith("lost: failed, wrong")


def test_an_id_that_is_the_number_is_not_said_twice(tmp_path: Path, open_page: Open) -> None:
    cards = [Card(3, "17", "correct"), Card(17, "#17", "correct"), Card(18, "18", "correct"), Card(19, "9", "correct")]
    page = open_page(written(tmp_path, cards)).page
    assert page.locator("#cards h2").all_inner_texts() == ["#3 17", "#17", "#18", "#19 9"]


def test_without_scores_nothing_is_sorted_by_them(tmp_path: Path, open_page: Open) -> None:
    file = written(tmp_path)
    page = open_page(file, "#order=score").page
    assert page.locator("#order option").all_inner_texts() == [
        "index", "image share", "length", "correctness", "time taken",
    ]  # fmt: skip
    assert page.locator("#order").input_value() == "index"
    assert "score" not in page.locator("#figures").inner_text()


def test_a_choice_survives_a_visit_elsewhere(tmp_path: Path, open_page: Open) -> None:
    file = written(tmp_path)
    page = open_page(file).page
    page.locator("#order").select_option("share")
    page.locator("[data-outcome=wrong]").click()
    page.reload()
    assert ids(page) == ["pear"]
    assert page.locator("#order").input_value() == "share"
    # An address that somebody made up does no harm.
    assert len(ids(open_page(file, "#order=constructor&outcome=__proto__&kind=x&search=%00").page)) == 0
    assert len(ids(open_page(file, "#order=constructor&outcome=__proto__&kind=x").page)) == 5


def test_keyboard(tmp_path: Path, open_page: Open) -> None:
    page = open_page(written(tmp_path)).page
    title = page.locator("#sample-title")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.locator(".picture").first.focus()
    page.keyboard.press("Enter")
    assert title.inner_text() == "#0 apple"
    assert page.locator("#previous").is_disabled()
    page.keyboard.press("ArrowRight")
    assert title.inner_text() == "#1 pear"
    assert "right" in page.locator("#sample-body").inner_text()
    page.keyboard.press("Escape")
    assert not page.locator("#sample").is_visible()
    # The browser tells of the closing a moment after it, and first gives the focus back to where it was.
    focused = "document.activeElement.getAttribute('aria-label')"
    page.wait_for_function(f"{focused} === 'Open sample 1, pear: wrong'", timeout=5000)


def test_figures_and_settings_of_the_run(tmp_path: Path, open_page: Open) -> None:
    notes = replace(NOTES, left=1, recorded=2, working=True)
    page = open_page(written(tmp_path, CARDS, notes)).page
    texts = "all => all.map((one) => [...one.children].map((part) => part.textContent))"
    figures = page.locator("#figures div").evaluate_all(texts)
    assert figures == [
        ["samples", "5"], ["correct", "50.0 % 1 of 2 judged"], ["failed", "1"], ["mean image share", "30.0 %"],
        ["tokens per answer", "112"],
    ]  # fmt: skip
    assert page.locator("#state").inner_text() == (
        "1 sample left: the run was still at work. 2 samples recorded, without a video. "
        "Written 2025-01-02 03:04 UTC. All numbers: summary.csv."
    )
    assert not page.locator("#settings").is_visible()
    page.locator(".settings > summary").click()
    assert page.locator("#settings").inner_text().split("\n") == ["Model", "demo"]


def test_an_empty_run(tmp_path: Path, open_page: Open) -> None:
    page = open_page(written(tmp_path, [], replace(NOTES, left=40, working=True))).page
    assert page.locator("#nothing").inner_text() == "No sample has come to an end yet. Load this page again later."
    assert page.locator("#state").inner_text().startswith("40 samples left: the run was still at work.")
    stopped = open_page(written(tmp_path, [], replace(NOTES, left=40))).page
    assert "40 samples left: the run was stopped, or works elsewhere." in stopped.locator("#state").inner_text()


def test_a_telephone_needs_no_sideways_scrolling(tmp_path: Path, open_page: Open) -> None:
    long = "a_word_without_any_place_to_break_it_" * 8
    cards = [filled_in(long), *CARDS]
    page = open_page(written(tmp_path, cards), viewport={"width": 360, "height": 740}).page
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) <= 0
    page.locator(".picture").first.click()
    assert page.evaluate("document.querySelector('#sample').getBoundingClientRect().width") <= 360
    assert page.evaluate("((body) => body.scrollWidth - body.clientWidth)(document.querySelector('#sample-body'))") == 0


def test_dark_for_those_who_prefer_it(tmp_path: Path, open_page: Open) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    file = written(tmp_path)
    assert open_page(file, color_scheme="light").page.evaluate(ground) == "rgb(244, 245, 247)"
    assert open_page(file, color_scheme="dark").page.evaluate(ground) == "rgb(16, 18, 22)"


@pytest.mark.slow
def test_a_thousand_samples_open_in_less_than_a_second(tmp_path: Path, open_page: Open) -> None:
    cards = [
        replace(CARDS[number % 4], index=number, id=f"item {number}", response="<think>seen</think>" * 100)
        for number in range(1000)
    ]
    file = written(tmp_path, cards)
    # Until everything is laid out and painted once.
    painted = "new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now()))))"
    times = []
    for _ in range(3):
        page = open_page(file).page
        times.append(page.evaluate(painted))
        page.locator("#cards > li:nth-child(1000)").wait_for(state="attached")
        assert ids(page) == [card.id for card in cards]
        start = page.evaluate("performance.now()")
        page.locator("#order").select_option("share")
        assert page.evaluate(painted) - start < 1000
        # A choice that comes before all cards are there lays none twice.
        page.locator("#order").select_option("index")
        page.locator("#cards > li:nth-child(1000)").wait_for(state="attached")
        assert ids(page) == [card.id for card in cards]
    assert min(times) < 1000
