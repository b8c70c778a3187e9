"""The report as a file: what it holds, what it refuses, how large it is."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnviz_video.analysis.scores import score
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.api import Trace, open_trace
from attnviz_video.config import REPORT_LOOK, ReportConfig, to_mapping
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.export.report import blocks, rollout
from attnviz_video.export.report import write as report_writer
from attnviz_video.export.report.blocks import held_rows
from attnviz_video.export.report.facts import ranges, trace_facts
from attnviz_video.export.report.images import LONGEST_SIDE, image_sources
from attnviz_video.export.report.rollout import missing_rollout, rollout_rows
from attnviz_video.export.report.settings import ReportSettings
from attnviz_video.export.report.write import Report, write_report
from attnviz_video.progress import Silent
from attnviz_video.render.settings import RenderSettings
from attnviz_video.shipped import shipped
from attnviz_video.testing.planted import planted_trace

LAYER = 20


@pytest.fixture(scope="module")
def demo() -> TraceData:
    return open_trace(shipped("samples/demo_trace")).data


def write(trace: TraceData, folder: Path, layer: int = 0, **settings: Any) -> str:
    asked = ReportSettings(**{"output": folder / "r.html", "overwrite": True, **settings})
    made = write_report(trace, folder, (layer,), AnalysisSettings(), RenderSettings(), asked, Silent())
    return made.path.read_text(encoding="utf-8")


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found.group(1))
    return data


class Told(Silent):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


# --- what it holds ---------------------------------------------------------------------------------------------------


def test_it_opens_with_the_scale_of_the_video(demo: TraceData, tmp_path: Path) -> None:
    first = data_of(write(demo, tmp_path, LAYER))["first"]
    scale = score(demo, LAYER, AnalysisSettings()).shared_scale
    assert scale is not None
    assert first["tops"] == [scale.text_top, scale.image_top, scale.text_clipped, scale.image_clipped]
    assert (first["layer"], first["head"], first["convention"]) == (LAYER, "mean", "predicting")


def test_it_holds_every_row_of_a_small_trace(demo: TraceData, tmp_path: Path) -> None:
    coding = data_of(write(demo, tmp_path, LAYER))["coding"]
    names = {f"rows-{layer}-{head}" for layer in range(22) for head in ("mean", "0", "1", "2", "3", "rollout")}
    assert set(coding) == names
    assert set(coding.values()) == {"exact"}


def test_rollout_says_what_it_lacks(demo: TraceData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_rollout(demo) == ""
    answer_only = replace(demo, header=replace(demo.header, query_rows="answer"))
    said = "rollout needs every row: record with --record_rows all --layers all --heads all"
    assert data_of(write(answer_only, tmp_path, LAYER))["noRollout"] == said
    assert not list(rollout_rows(answer_only, (0, 1)))
    monkeypatch.setattr(rollout, "MOST_POSITIONS", 100)
    assert missing_rollout(demo) == "rollout is left out of reports of more than 100 positions"


def test_only_the_asked_layers_come_head_by_head(demo: TraceData, tmp_path: Path) -> None:
    data = data_of(write(demo, tmp_path, LAYER, report_layers=(-1, 3)))
    assert data["headLayers"] == [3, 21]
    assert data["meanLayers"] == list(range(22))


def test_a_large_trace_brings_the_heads_of_its_first_layer_only(
    demo: TraceData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "ALL_HEADS_BYTES", 1000)
    assert held_rows(demo, [LAYER], ReportSettings()).head_layers == (LAYER,)
    assert len(held_rows(demo, [LAYER], ReportSettings(report_layers="all")).head_layers) == 22


def test_candidates_keep_their_raw_probabilities(demo: TraceData, tmp_path: Path) -> None:
    steps = data_of(write(demo, tmp_path, LAYER))["steps"]
    for info, (log_probability, _, candidates) in zip(demo.steps, steps, strict=True):
        assert log_probability == info.log_probability
        assert [one[2] for one in candidates] == [candidate.probability for candidate in info.candidates]


def test_the_policy_allows_this_program_and_nothing_else(demo: TraceData, tmp_path: Path) -> None:
    text = write(demo, tmp_path, LAYER)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy.group(1).startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy.group(1)
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        part = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert part is not None
        digest = base64.b64encode(hashlib.sha256(part.group(1).encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy.group(1)
    assert not re.search(r"https?://", text.replace("http://www.w3.org", ""))
    assert "innerHTML" not in text


def test_nothing_in_the_data_can_end_it(tmp_path: Path) -> None:
    trace = planted(tmp_path, 4)
    hostile = "</script><img src=x onerror=window.pwned=1>@@PROGRAM@@"
    sample = replace(trace.header.sample, problem=hostile, id="\ud800 lone")
    tokens = (*trace.tokens[:-1], replace(trace.tokens[-1], piece=f"{hostile}\u202e"))
    text = write(replace(trace, tokens=tokens, header=replace(trace.header, sample=sample)), tmp_path)
    assert "<img" not in text
    assert text.count("</script>") == len(re.findall(r"<script[ >]", text))
    data = data_of(text)
    assert data["question"] == hostile
    assert data["units"]["none"][-1][2] == f"{hostile}⟨U+202E⟩"
    assert data["sample"] == "⟨U+D800⟩ lone"


def planted(folder: Path, n_steps: int, n_heads: int = 2, **more: Any) -> TraceData:
    def row(step: int, layer: int) -> np.ndarray:
        weights = np.random.default_rng([step, layer]).gamma(0.5, 1.0, (n_heads, 32 + step))
        return (weights / weights.sum(1, keepdims=True)).astype(np.float16).astype(np.float32)

    return planted_trace(folder, row, answer=[f" w{n}" for n in range(n_steps)], n_heads=n_heads, **more)


def test_a_failed_trace_shows_what_was_finished(tmp_path: Path) -> None:
    trace = replace(planted(tmp_path, 5), status="failed")
    data = data_of(write(trace, tmp_path))
    assert data["status"] == "failed"
    assert data["frames"] == [0, 1, 2, 3, 4]
    recording = dict(dict(data["facts"])["Recording"])
    assert recording["recorded"] == "failed; what was finished is here"


def test_a_trace_without_rows_has_no_report(tmp_path: Path) -> None:
    trace = planted(tmp_path, 2)
    steps = tuple(replace(info, recorded=False) for info in trace.steps)
    with pytest.raises(TraceError, match="nothing to render: 2 tokens were generated"):
        write(replace(trace, steps=steps), tmp_path)


def test_numbers_that_are_none_do_not_break_the_page(tmp_path: Path) -> None:
    trace = planted(tmp_path, 3)
    steps = tuple(
        replace(info, log_probability=float("nan"), candidates=(), scalars=None, milliseconds=float("inf"))
        for info in trace.steps
    )
    data = data_of(write(replace(trace, steps=steps), tmp_path))
    assert data["scalars"] is None
    assert data["steps"][0] == [None, None, []]


def test_phrases_that_name_one_box_share_its_label(demo: TraceData, tmp_path: Path) -> None:
    boxes = data_of(write(demo, tmp_path, LAYER))["boxes"]
    assert boxes[0] == ["blue square, top left", 0, 4.0, 8.0, 67.0, 71.0]
    assert len(boxes) == 4


def test_facts_tell_the_vocabulary_and_the_tokenizer_where_they_are_known(demo: TraceData) -> None:
    model = replace(demo.header.model, vocab_size=0, tokenizer_class="", tokenizer_size=0)

    def facts(**known: Any) -> dict[str, Any]:
        header = replace(demo.header, model=replace(model, **known))
        return dict(dict(trace_facts(replace(demo, header=header)))["Model"])  # type: ignore[call-overload,no-any-return]

    assert {"vocabulary", "tokenizer"}.isdisjoint(facts())
    known = facts(vocab_size=151936, tokenizer_size=151657, tokenizer_class="Qwen2TokenizerFast")
    assert known["vocabulary"] == "151,936 tokens, of which the tokenizer knows 151,657"
    assert known["tokenizer"] == "Qwen2TokenizerFast"
    assert facts(vocab_size=1024, tokenizer_size=1024)["vocabulary"] == "1,024 tokens"


def test_facts_name_ranges() -> None:
    assert ranges((0, 1, 2, 5, 9, 10), "layer") == "layers 0–2, 5, 9–10"
    assert ranges((4,), "layer") == "layer 4"
    assert ranges((), "layer") == ""


def test_large_images_are_made_smaller(tmp_path: Path) -> None:
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 255, (900, 2600, 3), dtype=np.uint8)
    path = tmp_path / "large.png"
    Image.fromarray(noise).save(path)
    (source,) = image_sources([path])
    assert source.startswith("data:image/jpeg;base64,")
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as picture:
        assert picture.size == (LONGEST_SIDE, round(900 * LONGEST_SIDE / 2600))
    with pytest.raises(TraceError, match=r"gone\.png cannot be read .*; copy the trace again"):
        image_sources([tmp_path / "gone.png"])


# --- what it refuses and says ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"output": Path("r.pdf")}, UsageError, "-o r.pdf: expected a file name that ends in .html"),
        ({"report_layers": (99,)}, UsageError, "layer 99 is out of range: the model has layers 0 to 21"),
    ],
)
def test_refusals(
    demo: TraceData, tmp_path: Path, settings: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=f"^{re.escape(sentence)}"):
        write(demo, tmp_path, LAYER, **settings)


def test_heads_that_were_not_recorded_are_refused(tmp_path: Path) -> None:
    trace = planted(tmp_path, 3)
    trace = replace(trace, header=replace(trace.header, head_layers=(0,)))
    with pytest.raises(TraceError, match=r"of layer 1 was not recorded .* record again with --layers 1"):
        write(trace, tmp_path, report_layers=(1,))


def test_a_file_of_somebody_else_stays(demo: TraceData, tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    path.write_text("<p>mine</p>")
    with pytest.raises(UsageError, match="was not written by this program; choose another name with -o"):
        write(demo, tmp_path, LAYER, overwrite=False)
    write(demo, tmp_path, LAYER)
    write(demo, tmp_path, LAYER, overwrite=False)  # ours may be replaced
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(UsageError, match="is a folder; name a file in it"):
        write(demo, tmp_path, LAYER, output=tmp_path / "folder.html")
    with pytest.raises(UsageError, match=r"cannot be written: .*r\.html is a file; choose another place with -o"):
        write(demo, tmp_path, LAYER, output=path / "x.html")


def test_a_large_report_is_told_of(demo: TraceData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_writer, "LARGE_BYTES", 1000)
    for weights, advice in (
        ("auto", "name fewer layers with --report_layers"),
        ("exact", "--report_weights short halves it"),
    ):
        told = Told()
        settings = ReportSettings(output=tmp_path / "r.html", report_weights=weights)  # type: ignore[arg-type]
        write_report(demo, tmp_path, (LAYER,), AnalysisSettings(), RenderSettings(), settings, told)
        assert len(told.notices) == 1
        assert re.fullmatch(rf".*r\.html has [\d.]+ MB and opens slowly; {advice}", told.notices[0])


# --- from Python -----------------------------------------------------------------------------------------------------


def test_a_trace_makes_its_report_and_shows_it(demo: TraceData, tmp_path: Path) -> None:
    folder = tmp_path / "trace_sample0"
    made = Trace(folder, demo).report(layer_idx=19, report_layers=[19], progress=Silent())
    assert made.path == tmp_path / "trace_sample0_report.html"
    assert data_of(made.path.read_text(encoding="utf-8"))["first"]["layer"] == 19
    shown = made._repr_html_()
    assert shown.startswith('<iframe sandbox="allow-scripts" srcdoc="<!doctype html>')
    # The attribute is the page, character by character, and ends where it should.
    source = shown.partition('srcdoc="')[2].partition('"')[0]
    assert html.unescape(source) == made.path.read_text(encoding="utf-8")
    assert Path(made).read_bytes().startswith(b"<!doctype html>")


def test_a_report_too_large_for_a_notebook_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_writer, "_NOTEBOOK_BYTES", 3)
    path = tmp_path / "<r>.html"
    path.write_text("long")
    assert (
        Report(path)._repr_html_().endswith("&lt;r&gt;.html</code> is too large for a notebook; open it in a browser")
    )
    path.unlink()
    assert Report(path)._repr_html_().endswith("&lt;r&gt;.html</code> is not there any more")


def test_the_look_settings_exist() -> None:
    assert set(REPORT_LOOK) <= set(to_mapping(ReportConfig()))
