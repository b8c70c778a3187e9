"""The report of one pass over a text in a real browser: every token in turn, lines both ways, masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnviz_video.analysis.encoding import as_steps
from attnviz_video.analysis.rollout import rollout
from attnviz_video.analysis.scores import score
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.trace import TraceData
from attnviz_video.export.report.settings import ReportSettings
from attnviz_video.export.report.write import write_report
from attnviz_video.progress import Silent
from attnviz_video.render.settings import RenderSettings
from attnviz_video.testing.planted_encoding import planted_encoding
from tests.browser.opened import OpenedReport

TRACE = planted_encoding()
N = 12
Open = Callable[..., OpenedReport]
#: Rows of pixels that a line crosses halfway between the two columns.
PAINTED = """() => {
  const canvas = document.getElementById('heads-canvas');
  const copy = document.createElement('canvas');
  [copy.width, copy.height] = [1, canvas.height];
  const context = copy.getContext('2d');
  context.drawImage(canvas, -Math.round(canvas.width / 2), 0);
  const pixels = context.getImageData(0, 0, 1, canvas.height).data;
  const rows = [];
  for (let y = 0; y < canvas.height; y++) if (pixels[4 * y + 3]) rows.push(y);
  return rows;
}"""


def written(trace: TraceData, folder: Path) -> Path:
    asked = ReportSettings(output=folder / "report.html")
    return write_report(trace, folder, (1,), AnalysisSettings(), RenderSettings(), asked, Silent()).path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(TRACE, tmp_path_factory.mktemp("encoding"))


def numbers(report: OpenedReport, code: str, *given: Any) -> Any:
    return report.page.evaluate(f"(given) => ({code})(...given)", list(given))


def test_every_token_is_current_once_and_its_row_sees_all(open_report: Open, file: Path) -> None:
    report = open_report(file)
    assert (
        report.page.locator("#subtitle").text_content()
        == "planted/bert · sample question · 12 tokens one pass over a text"
    )
    assert report.page.locator("#title").text_content() == "The cat [MASK] on the mat / dogs chase it"
    assert report.page.locator("#step-label").text_content() == "1 / 12"
    for layer, head in ((0, "mean"), (1, "0"), (1, "1")):
        matrix = TRACE.rows.prompt_rows(layer)
        want = matrix.mean(axis=0, dtype=np.float64) if head == "mean" else matrix[int(head)]
        found = [numbers(report, "attnviz.weightsOf", layer, head, query) for query in range(N)]
        np.testing.assert_allclose(found, want, rtol=0, atol=5e-4 if head == "mean" else 0)


def test_tokens_after_the_current_one_are_coloured_and_named(open_report: Open, file: Path) -> None:
    report = open_report(file)
    report.go_to(2)
    looks = report.page.locator("#text .u").evaluate_all("boxes => boxes.map((box) => box.dataset.look)")
    assert looks == ["level", "level", "current", *["level"] * 9]
    heads = report.page.locator("#text h2").all_text_contents()
    assert heads == ["sentence A", "sentence B"]
    row = TRACE.rows.prompt_rows(1).mean(axis=0, dtype=np.float64)[2]
    facts = report.hover_position(9)
    assert float(facts["weight"]) == pytest.approx(row[9], abs=5e-4)
    assert (facts["part"], facts["position"]) == ("sentence B", "9")
    own = report.hover_position(2)
    assert float(own["weight on itself"]) == pytest.approx(row[2], abs=5e-4)


def test_scale_and_rollout_are_those_of_the_package(open_report: Open, file: Path) -> None:
    report = open_report(file)
    for settings in ({"scale": "shared"}, {"scale": "per_frame"}):
        want = score(as_steps(TRACE), 1, AnalysisSettings(**settings))  # type: ignore[arg-type]
        found = numbers(report, "attnviz.scaleOf", settings)
        assert [one["text"] for one in found["scale"]] == [want.scale(frame).text_top for frame in range(N)]
        assert [sink["position"] for sink in found["sinks"]] == [sink.position for sink in want.sinks]
    rolled = rollout(TRACE, 1)
    found = [numbers(report, "attnviz.weightsOf", 1, "rollout", query) for query in range(N)]
    np.testing.assert_allclose(found, rolled, rtol=0, atol=5e-4)


def test_a_mask_tells_what_the_model_would_put_there(open_report: Open, file: Path) -> None:
    report = open_report(file)
    mask = report.page.locator('#text .u[data-unit="3"]')
    for frame in (3, 5):
        report.go_to(frame)
        mask.hover()
        tip = report.page.locator("#tooltip")
        assert tip.locator("p.soft").text_content() == "What the model would put here"
        assert tip.locator("li .piece").all_text_contents() == [f"word{rank}" for rank in range(10)]
        assert tip.locator("li .number").all_text_contents()[:3] == ["50.0 %", "25.0 %", "12.5 %"]
    report.hover_position(4)
    assert report.page.locator("#tooltip li").count() == 0
    report.go_to(3)
    assert report.page.locator("#current-card li").count() == 10
    report.go_to(4)
    assert report.page.locator("#current-card li").count() == 0


def test_what_an_encoding_does_not_have_is_not_offered(open_report: Open, file: Path) -> None:
    report = open_report(file)
    report.page.keyboard.press("r")
    assert report.state()["convention"] == "predicting"
    words = report.page.locator("#controls").inner_text()
    assert "reading" not in words
    assert "whole text" in words
    report.page.locator("summary", has_text="More").click()
    assert "Prompt" not in report.page.locator(".popover").inner_text()


def test_lines_go_both_ways_and_from_sentence_to_sentence(open_report: Open, file: Path) -> None:
    report = open_report(file)
    report.page.keyboard.press("3")
    report.page.get_by_role("button", name="all in sight").or_(report.page.get_by_text("all in sight")).first.click()
    painted: dict[str, set[int]] = {}
    for name in ("all", "A → B", "B → A", "A → A", "B → B"):
        report.page.get_by_role("group", name="Which sentences").get_by_text(name, exact=True).click()
        report.page.wait_for_timeout(100)
        painted[name] = set(report.page.evaluate(PAINTED))
    # Sentence A stands above: lines within it stay above those within B, and lines between them lie in the middle.
    assert max(painted["A → A"]) < 8.5 * 20 < min(painted["B → B"])
    assert painted["A → B"]
    assert painted["B → A"]
    assert max(painted["A → B"]) > max(painted["A → A"])
    assert min(painted["B → A"]) < min(painted["B → B"])
    assert painted["all"] >= painted["A → A"] | painted["B → B"]


def test_one_text_has_no_filter(open_report: Open, tmp_path: Path) -> None:
    report = open_report(written(planted_encoding(second=()), tmp_path))
    report.page.keyboard.press("3")
    assert report.page.get_by_role("group", name="Which sentences").count() == 0
    assert report.page.locator("#text h2").all_text_contents() == ["text"]


def test_layers_and_heads_and_the_facts(open_report: Open, file: Path) -> None:
    report = open_report(file)
    report.page.keyboard.press("2")
    assert "mean over tokens" in report.page.locator("#model-bar").inner_text()
    report.page.keyboard.press("4")
    report.page.locator("#row-statistics").wait_for()
    text = report.page.locator("#view-facts").inner_text()
    for words in ("one pass over a text", "8 tokens", "4 tokens", "1 with candidates", "of every query, each over all"):
        assert words in text
    assert "start phrase" not in text
