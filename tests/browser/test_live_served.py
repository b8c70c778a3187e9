"""The live page before the real server and real models: what streams in is what the report of the trace shows."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnviz_video.shipped import shipped
from attnviz_video.testing.families.text_only import build_qwen2
from tests.browser.live_opened import OpenedLive

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "Which object is left of the red circle?"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Starts `serve` with flags and returns its address; ends it as Ctrl-C does."""
    started: list[subprocess.Popen[str]] = []

    def start(*flags: str) -> str:
        runs = tmp_path_factory.mktemp("runs")
        command = [sys.executable, "visualize_heatmap.py", "serve", "--port", "0", "--runs_dir", str(runs), *flags]
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
        )
        started.append(process)
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            pytest.fail(process.communicate()[1], pytrace=False)
        return address

    yield start
    for process in started:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def demo(serve: Callable[..., str]) -> str:
    return serve("--layer_idx", "19", "--max_new_tokens", "60")


@pytest.fixture(scope="module")
def text_model(serve: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> str:
    return serve("--model_path", str(build_qwen2(tmp_path_factory.mktemp("text") / "model")), "--device", "cpu")


def ask_about_scene(page: OpenedLive, prompt: str = PROMPT) -> None:
    page.page.set_default_timeout(60_000)
    page.page.set_input_files("#files", [str(shipped("samples/images/pair_00_initial.png"))])
    page.ask(prompt)


def report_frame(page: OpenedLive) -> Any:
    """The report, put on the stage, once its rows are painted."""
    page.page.get_by_role("tab", name="Report").click()
    page.page.wait_for_function(
        "() => document.getElementById('report').contentDocument?.documentElement?.dataset.painted?.endsWith('ready')"
    )
    return page.page.frame(url=re.compile("/report#embedded$"))


def test_what_streams_in_is_what_the_report_shows(open_live: Any, demo: str) -> None:
    page = open_live(demo)
    ask_about_scene(page)
    page.painted("running", 2)
    assert page.page.get_by_role("button", name="Stop").is_visible()
    page.painted("done")
    report = report_frame(page)
    asked = report.evaluate("() => attnviz.scaleOf({})")
    shown = page.page.evaluate("() => attnvizLive.scale()")
    assert shown == asked["scale"][0]
    sinks = {sink["position"] for sink in asked["sinks"]}
    assert set(page.page.evaluate("() => attnvizLive.sinks()")) == sinks
    last = report.evaluate("() => JSON.parse(document.getElementById('data').textContent).steps.length") - 1
    for step in (0, last // 2, last):
        live = np.float32(page.page.evaluate("step => attnvizLive.weights(step)", step))
        kept = np.float32(report.evaluate("step => attnviz.weightsOf(19, 'mean', step)", step))
        assert np.array_equal(live, kept)
    page.show("stream")
    page.painted("done", last)
    assert page.page.locator("#pictures canvas").count() == 1
    assert page.numbers()["layer"] == "19 of 22, mean of 4 heads"


def test_the_report_wears_the_colours_of_the_page(open_live: Any, demo: str) -> None:
    page = open_live(demo, color_scheme="light")
    ask_about_scene(page, "What is blue?")
    page.painted("done")
    report = report_frame(page)
    ground = "() => getComputedStyle(document.body).backgroundColor"
    assert report.evaluate(ground) == page.page.evaluate(ground) == "rgb(244, 245, 247)"
    page.page.click("#theme")
    page.page.wait_for_function(f"() => ({ground})() === 'rgb(16, 18, 22)'")
    assert report.evaluate(ground) == "rgb(16, 18, 22)"


def test_next_tokens_and_an_edited_answer(open_live: Any, demo: str) -> None:
    page = open_live(demo)
    page.page.set_default_timeout(60_000)
    page.attach("tiny.png")
    page.page.fill("#prompt", "图中有什么？")
    page.page.click("#ask-next")
    first = page.painted("done", 0)
    assert len(page.candidates()) == 10
    second_choice = page.candidates()[1][0]
    page.page.locator(".choice").nth(1).click()
    page.another(first)
    second = page.painted("done", 1)
    assert page.page.locator("#text .u.given").count() == 1
    assert page.page.locator("#text .u.given").text_content().strip() == second_choice.replace("␣", "").strip()
    page.page.get_by_role("button", name="Answer from here").click()
    page.another(second)
    third = page.painted("done")
    report_frame(page)
    page.page.get_by_role("button", name="Edit answer and continue").click()
    page.page.wait_for_function("() => document.getElementById('edit-text').value.length > 5")
    page.page.locator("#edit-text").fill("<think>\n At the top")
    page.page.click("#edit-go")
    page.another(third)
    page.painted("done")
    page.show("stream")
    page.painted("done", 3)
    assert "".join(page.page.evaluate("() => attnvizLive.tokens()")).count("<think>\n At the top") == 1
    assert page.page.locator("#text .u.given").count() >= 4
    assert page.page.locator("#text .section h2").all_text_contents()[:2] == ["prompt", "thinking"]


def test_the_trace_and_a_video_can_be_taken_away(open_live: Any, demo: str) -> None:
    page = open_live(demo)
    ask_about_scene(page, "What is red?")
    run = page.painted("done")
    zipped = page.page.request.get(f"{demo}api/runs/{run}/trace.zip")
    assert f"trace_{run}/manifest.json" in zipfile.ZipFile(io.BytesIO(zipped.body())).namelist()
    page.page.get_by_role("button", name="Make video", exact=True).click()
    page.page.get_by_role("tab", name="Video").wait_for()
    player = "document.getElementById('player')"
    page.page.wait_for_function(f"() => {player}.readyState >= 1 || {player}.error")
    page.page.click(".downloads summary")
    assert page.page.locator(".downloads a").count() == 3
    video = page.page.request.get(f"{demo}api/runs/{run}/video.mp4")
    assert video.headers["content-type"] == "video/mp4"
    page.problems.clear()  # a Chromium may have no decoder of H.264


def test_a_text_model_is_asked_in_chinese_and_stopped(open_live: Any, text_model: str) -> None:
    page = open_live(text_model)
    page.page.set_default_timeout(60_000)
    assert not page.page.locator("#attach").is_visible()
    page.ask("你好，世界 — 红色圆圈在哪里？")
    page.painted("running", 4)
    assert not page.page.locator("#picture-panel").is_visible()
    page.page.keyboard.press("Escape")
    run = page.painted("stopped")
    assert "你好，世界" in "".join(page.text("prompt"))
    assert "�" not in "".join(page.text("prompt"))
    report_frame(page)
    page.page.reload()
    assert page.painted("stopped") == run
    page.page.wait_for_function("() => document.getElementById('report').contentDocument?.getElementById('theme')")
