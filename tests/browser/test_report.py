"""The report in a real browser: what it shows is what the trace holds."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnviz_video.analysis.heads import parse_head, reduce_heads
from attnviz_video.analysis.rollout import rollout
from attnviz_video.analysis.scores import score
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.api import open_trace
from attnviz_video.core.trace import TraceData
from attnviz_video.shipped import shipped
from attnviz_video.testing.planted import planted_trace
from tests.browser.opened import OpenedReport, four_digits
from tests.browser.report_made import made

LAYER = 20
HOSTILE = "</script><img src=x onerror=window.pwned=1>"


@pytest.fixture(scope="module")
def demo() -> TraceData:
    return open_trace(shipped("samples/demo_trace")).data


@pytest.fixture(scope="module")
def demo_report(demo: TraceData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(demo, tmp_path_factory.mktemp("report"), LAYER)


# --- what is read off the page ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [3, 24, 52])
def test_hovered_weights_are_those_of_the_trace(
    open_report: Any, demo: TraceData, demo_report: Path, frame: int
) -> None:
    page = open_report(demo_report)
    page.go_to(frame)
    row = reduce_heads(demo, frame, LAYER, parse_head("mean"))
    for position in (81, 95, demo.n_prompt + frame - 1):
        shown = page.hover_position(position)
        assert shown["weight"] == four_digits(float(row[position]))
        assert shown["token id"] == str(demo.tokens[position].id)
        assert shown["position"] == str(position)
        rank = 1 + int((row > row[position]).sum())
        assert shown["rank"].split("–")[0].split(" ")[0] == str(rank)
        assert shown["rank"].endswith(f"of {row.size}")
    grid = demo.layout.grids[0]
    patch = int(row[demo.layout.patch_positions(0)].argmax())
    shown = page.hover_patch(*divmod(patch, grid.columns), grid.rows, grid.columns)
    assert shown["weight"] == four_digits(float(row[demo.layout.patch_positions(0)].max()))


def test_the_current_token_has_its_raw_candidates(open_report: Any, demo: TraceData, demo_report: Path) -> None:
    page = open_report(demo_report)
    page.go_to(24)
    page.hover_position(demo.n_prompt + 24)
    rows = page.page.locator("#tooltip .candidates li")
    assert rows.count() == 10
    numbers = rows.locator(".number").all_text_contents()
    for candidate, number in zip(demo.steps[24].candidates, numbers, strict=True):
        if candidate.probability < 0.0005:
            assert float(number) == pytest.approx(candidate.probability, rel=0.05)
        else:
            assert number in ("> 99.9 %", f"{100 * candidate.probability:.1f} %")
    assert page.facts("#current-card")["token id"] == str(demo.steps[24].token_id)


def test_every_layer_and_head_is_the_trace_row(open_report: Any, demo: TraceData, demo_report: Path) -> None:
    page = open_report(demo_report)
    for layer, head, step in ((0, "mean", 0), (20, "2", 31), (7, "max", 52), (21, "3", 17)):
        shown = page.page.evaluate("asked => attnviz.weightsOf(...asked)", [layer, head, step])
        assert np.array_equal(np.float32(shown), reduce_heads(demo, step, layer, parse_head(head)))


def test_rollout_and_the_prompts_rows(open_report: Any, demo: TraceData, demo_report: Path) -> None:
    page = open_report(demo_report)
    rolled = rollout(demo, 7)
    for step in (0, 40):
        shown = page.page.evaluate("asked => attnviz.weightsOf(...asked)", [7, "rollout", step])
        assert np.allclose(shown, rolled[demo.n_prompt - 1 + step][: demo.n_prompt + step], rtol=1e-3, atol=1e-7)
    # A negative step is a query of the prompt: -14 is the 14th before the first answer token.
    prompt = demo.rows.prompt_rows(3)
    shown = page.page.evaluate("attnviz.weightsOf(3, '2', -14)")
    assert np.array_equal(np.float32(shown), prompt[2, demo.n_prompt - 15][: demo.n_prompt - 14])


def test_short_weights_are_the_trace_to_five_digits(open_report: Any, demo: TraceData, tmp_path: Path) -> None:
    page = open_report(made(demo, tmp_path, LAYER, report_weights="short", report_layers=(19,)))
    page.go_to(24)
    row = reduce_heads(demo, 24, LAYER, parse_head("mean"))
    for position in (95, 101, 137):
        shown = page.hover_position(position)["weight"]
        assert shown == ("0" if row[position] < 5e-6 else f"{row[position]:.5f}")
    kept = page.page.evaluate("attnviz.weightsOf(19, '1', 24)")
    assert np.abs(np.array(kept) - reduce_heads(demo, 24, 19, parse_head("1"))).max() <= 5.1e-5


SETTINGS = [
    {},
    {"convention": "reading"},
    {"scale": "per_frame"},
    {"scale_scope": "joint"},
    {"sinks": "mask"},
    {"sinks": "relative"},
    {"scale": "per_frame", "scale_scope": "joint", "sinks": "relative", "convention": "reading"},
    {"head": "max"},
    {"head": "1"},
]
SAME_NAMES = {"scale_scope": "scope"}


def test_scales_and_sinks_are_those_of_the_video(open_report: Any, demo: TraceData, demo_report: Path) -> None:
    page = open_report(demo_report)
    for settings, layer, show_prompt in itertools.product(SETTINGS, (0, LAYER), ("phrase", "full")):
        expected = score(demo, layer, AnalysisSettings(**settings), show_prompt=show_prompt)  # type: ignore[arg-type]
        same_scores(shown_scores(page, settings, layer, show_prompt), expected)


def shown_scores(page: OpenedReport, settings: dict[str, str], layer: int, show_prompt: str) -> dict[str, Any]:
    asked = {SAME_NAMES.get(name, name): value for name, value in settings.items()}
    found: dict[str, Any] = page.page.evaluate(
        "asked => attnviz.scaleOf(asked)", {**asked, "layer": layer, "showPrompt": show_prompt}
    )
    return found


def same_scores(shown: dict[str, Any], expected: Any) -> None:
    assert [sink["position"] for sink in shown["sinks"]] == [sink.position for sink in expected.sinks]
    for number, scale in enumerate(shown["scale"]):
        wanted = expected.scale(number)
        assert (scale["text"], scale["image"]) == (wanted.text_top, wanted.image_top)
        assert (scale["textClipped"], scale["imageClipped"]) == (wanted.text_clipped, wanted.image_clipped)


def with_sinks(folder: Path, n_steps: int = 12, answer: str = " word") -> TraceData:
    """Two images, a sink in the text and one in an image, weights that differ everywhere."""

    def row(step: int, layer: int) -> np.ndarray:
        rng = np.random.default_rng([step, layer])
        heads = rng.gamma(0.4, 1.0, (3, 58 + step))
        heads[:, 0] = 0.4 * heads.sum(1)
        heads[:, 9] += 0.25 * heads.sum(1)
        heads /= heads.sum(1, keepdims=True)
        return heads.astype(np.float16).astype(np.float32)

    answers = [f"{answer}{number}" for number in range(n_steps)]
    sizes, grids = ((320, 200), (200, 260)), ((4, 6), (6, 4))
    return planted_trace(folder, row, image_sizes=sizes, grids=grids, answer=answers, n_heads=3)


def test_scales_with_sinks_and_two_images(open_report: Any, tmp_path: Path) -> None:
    trace = with_sinks(tmp_path)
    page = open_report(made(trace, tmp_path))
    for settings in SETTINGS:
        # The mean of three float16 rows is no float16; single heads and their maximum are.
        asked = {"head": "2", **settings}
        expected = score(trace, 1, AnalysisSettings(**asked), show_prompt="full")  # type: ignore[arg-type]
        assert len(expected.sinks) == 2
        same_scores(shown_scores(page, asked, 1, "full"), expected)


# --- what the user does ----------------------------------------------------------------------------------------------


def test_keys_move_through_the_answer(open_report: Any, demo_report: Path) -> None:
    page = open_report(demo_report)
    for key, frame in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 52), ("Home", 0)):
        page.page.keyboard.press(key)
        page.painted(frame)
        assert page.page.locator("#step-label").text_content() == f"{frame + 1} / 53"
    page.page.keyboard.press("ArrowDown")
    page.painted()
    assert page.state()["layer"] == 19
    page.page.keyboard.press("]")
    page.painted()
    assert page.state()["head"] == "max"
    for key, view in (("2", "model"), ("3", "heads"), ("4", "facts"), ("1", "read")):
        page.page.keyboard.press(key)
        page.page.locator(f"#view-{view}").wait_for(state="visible")


def test_play_goes_on_by_itself_and_stops(open_report: Any, demo_report: Path) -> None:
    page = open_report(demo_report)
    page.page.select_option("#speed", "16")
    page.page.keyboard.press("Escape")
    page.page.locator("#play").click()
    page.page.wait_for_function("() => attnviz.state().frame >= 3")
    page.page.locator("#play").click()
    stopped = page.state()["frame"]
    page.page.wait_for_timeout(300)
    assert page.state()["frame"] == stopped
    page.go_to(51)
    page.page.locator("#play").focus()
    page.page.keyboard.press(" ")
    page.painted(52)
    page.page.wait_for_function("() => !attnviz.state().playing")


def test_a_clicked_patch_names_the_tokens_that_read_it_most(
    open_report: Any, demo: TraceData, demo_report: Path
) -> None:
    page = open_report(demo_report)
    grid, positions = demo.layout.grids[0], demo.layout.patch_positions(0)
    row = reduce_heads(demo, 24, LAYER, parse_head("mean"))
    patch = int(row[positions].argmax())
    page.click_patch(*divmod(patch, grid.columns), grid.rows, grid.columns)
    weights = [reduce_heads(demo, s, LAYER, parse_head("mean"))[positions[patch]] for s in range(len(demo.steps))]
    readers = page.page.locator("#pin-card .reader")
    readers.first.wait_for()
    assert readers.locator(".number").first.text_content() == four_digits(float(max(weights)))
    readers.first.click()
    page.painted(int(np.argmax(weights)))
    page.page.keyboard.press("Escape")
    page.page.locator("#pin-card").wait_for(state="detached")


def test_a_pinned_token_is_followed_and_brushed_ones_are_averaged(
    open_report: Any, demo: TraceData, demo_report: Path
) -> None:
    page = open_report(demo_report)
    page.box_of("bottom").click()
    page.painted()
    position = int(page.state()["pinned"][0])
    assert demo.tokens[position].piece == " bottom"
    assert page.state()["frame"] == position - demo.n_prompt
    page.go_to(40)
    row = reduce_heads(demo, 40, LAYER, parse_head("mean"))
    assert page.facts("#pin-card")["weight now"] == four_digits(float(row[position]))
    start, stop = page.box_of("bottom").bounding_box(), page.box_of("red").bounding_box()
    page.page.mouse.move(start["x"] + 5, start["y"] + 5)
    page.page.mouse.down()
    page.page.mouse.move(stop["x"] + 5, stop["y"] + 5, steps=6)
    page.page.mouse.up()
    brushed = page.state()["brushed"]
    assert brushed == list(range(position - demo.n_prompt, 25))
    rows = [reduce_heads(demo, frame, LAYER, parse_head("mean")) for frame in brushed]
    mean = np.mean([row[95] for row in rows])
    assert float(page.hover_position(95)["mean weight"]) == pytest.approx(float(mean), rel=1e-3)


def test_the_overview_leads_to_the_head_that_is_clicked(open_report: Any, demo_report: Path) -> None:
    page = open_report(demo_report)
    page.page.keyboard.press("2")
    canvas = page.page.locator("#model-canvas")
    canvas.wait_for()
    box = canvas.bounding_box()
    width, height = (box["width"] - 74) / 5, (box["height"] - 26) / 22
    at = {"x": 74 + 2.5 * width, "y": 26 + 9.5 * height}
    canvas.hover(position=at)
    assert page.page.locator("#tooltip strong").text_content() == "layer 9, head 1"
    canvas.click(position=at)
    page.painted()
    assert (page.state()["view"], page.state()["layer"], page.state()["head"]) == ("read", 9, "1")


def test_lines_between_tokens_cost_little_at_four_thousand_positions(open_report: Any, tmp_path: Path) -> None:
    def row(step: int, layer: int) -> np.ndarray:
        weights = np.random.default_rng(step).gamma(0.3, 1.0, (1, 3508 + step))
        return (weights / weights.sum()).astype(np.float32)

    trace = planted_trace(tmp_path, row, grids=((50, 70),), answer=[" word"] * 500, layers=(0,), n_heads=1)
    page = open_report(made(trace, tmp_path))
    page.page.keyboard.press("3")
    page.page.locator("#heads-canvas").wait_for()
    page.go_to(499)
    took = page.page.evaluate(
        """async () => {
            const start = performance.now();
            for (let frame = 400; frame < 420; frame++) {
                attnviz.goTo(frame);
                await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
            }
            return (performance.now() - start) / 20;
        }"""
    )
    assert took < 250, f"{took:.0f} ms per step"


# --- what must not happen --------------------------------------------------------------------------------------------


def test_hostile_tokens_are_text(open_report: Any, tmp_path: Path) -> None:
    pieces = [HOSTILE, "\u202eevil", "\x1b[31mred", "<!--<script>", "=cmd()", "]]>", "\u2028next", "\ud800"]
    trace = with_sinks(tmp_path)
    tokens = list(trace.tokens)
    for number, piece in enumerate(pieces):
        place = trace.n_prompt + number
        tokens[place] = replace(tokens[place], piece=piece)
    sample = replace(trace.header.sample, id=HOSTILE, problem=f'"><b>{HOSTILE}')
    header = replace(trace.header, sample=sample, model=replace(trace.header.model, id=HOSTILE))
    page = open_report(made(replace(trace, tokens=tuple(tokens), header=header), tmp_path))
    assert page.page.evaluate("window.pwned") is None
    assert page.page.locator("#text").locator("img, script, b").count() == 0
    text = page.page.locator("#text").text_content()
    for shown in (
        HOSTILE,
        "⟨U+202E⟩evil",
        "⟨U+001B⟩[31mred",
        "<!--<script>",
        "=cmd()",
        "]]>",
        "⟨U+2028⟩next",
        "⟨U+D800⟩",
    ):
        assert shown in text
    assert HOSTILE in page.page.title()
    page.page.keyboard.press("4")
    page.page.locator("#view-facts .card").first.wait_for()
    for frame in range(len(pieces)):
        page.go_to(frame)
    assert page.page.evaluate("window.pwned") is None


def test_no_program_but_its_own_may_run(open_report: Any, demo_report: Path) -> None:
    page = open_report(demo_report)
    page.page.evaluate(
        """() => {
            const script = document.createElement('script');
            script.textContent = 'window.pwned = 1';
            document.body.append(script);
        }"""
    )
    assert page.page.evaluate("window.pwned") is None
    assert page.problems
    assert all("Content Security Policy" in said for said in page.problems)
    page.problems.clear()


# --- traces of other kinds -------------------------------------------------------------------------------------------


def test_a_trace_without_images_or_probabilities(open_report: Any, tmp_path: Path) -> None:
    def row(step: int, layer: int) -> np.ndarray:
        return np.full((2, 6 + step), 1 / (6 + step), dtype=np.float32)

    trace = planted_trace(tmp_path, row, image_sizes=(), grids=(), answer=[" a", " b", " c"])
    steps = tuple(replace(info, candidates=(), log_probability=float("nan"), scalars=None) for info in trace.steps)
    header = replace(trace.header, kind="replay", scalar_layers=())
    page = open_report(made(replace(trace, steps=steps, header=header, status="failed"), tmp_path))
    assert page.page.locator("#picture-panel").is_hidden()
    assert "recording failed" in page.page.locator("#subtitle").text_content()
    assert "No probabilities were recorded" in page.page.locator("#current-card").text_content()
    for key in "234":
        page.page.keyboard.press(key)
        page.page.wait_for_timeout(60)


def test_reading_leaves_the_last_token_without_a_row(open_report: Any, demo_report: Path) -> None:
    page = open_report(demo_report)
    page.page.keyboard.press("r")
    page.go_to(52)
    page.page.wait_for_function("() => document.getElementById('pictures').textContent.includes('no row')")
    assert page.hover_position(95)["weight"] == "no row"


@pytest.mark.parametrize("size", [(390, 844), (1440, 900), (1920, 1080)], ids=str)
def test_nothing_lies_outside_the_window(open_report: Any, demo_report: Path, size: tuple[int, int]) -> None:
    page: OpenedReport = open_report(demo_report, viewport={"width": size[0], "height": size[1]})
    for key in "1234":
        page.page.keyboard.press(key)
        page.page.wait_for_timeout(80)
        assert page.page.evaluate("document.documentElement.scrollWidth") <= size[0]
