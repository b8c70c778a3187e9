"""The card of a trace in a notebook: what it says, how large it is, what hostile text becomes."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video import open_trace
from attnviz_video.core.trace import TraceData
from attnviz_video.export.trace_card import MOST_CHARACTERS, MOST_IMAGES, MOST_UNITS, coloring, trace_card
from attnviz_video.shipped import shipped
from attnviz_video.testing.planted import planted_trace

HOSTILE = "'\"><script>alert(1)</script><img src=x onerror=1>"


@pytest.fixture(scope="module")
def demo() -> TraceData:
    return open_trace(shipped("samples/demo_trace")).data


def planted(folder: Path, answer: tuple[str, ...] = (" a", " b", "."), n_images: int = 1) -> TraceData:
    n_prompt = 6 + n_images * 26

    def row(step: int, layer: int) -> np.ndarray:
        return np.full((2, n_prompt + step), 1 / (n_prompt + step), dtype=np.float32)

    return planted_trace(folder, row, image_sizes=((64, 40),) * n_images, grids=((4, 6),) * n_images, answer=answer)


def text_of(card: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", card))


def test_a_trace_shows_itself(demo: TraceData) -> None:
    card = open_trace(shipped("samples/demo_trace"))._repr_html_()
    shown = text_of(card)
    assert "samples/demo_model" in shown
    assert "22 layers × 4 heads · 114 prompt and 53 answer tokens · heads of layers 0–21 recorded" in shown
    assert "What is in the image?" in shown
    assert "⏎\n At the top left a blue square⏎\n" in shown
    assert card.count("<img src='data:image/jpeg;base64,") == 1
    for call in (".report()", ".video()", ".figure(step=1)", ".plot()", ".table()"):
        assert f"<code>{call}</code>" in card
    assert len(card) < 300_000


def test_tokens_have_the_colour_of_their_attention_to_the_image(demo: TraceData) -> None:
    colored = coloring(demo)
    assert colored is not None
    assert colored.name == "share of attention on the image, layer 20, mean over heads"
    patches = demo.layout.patch_positions(0)
    shares = [demo.rows.mean_row(step, 20)[patches].sum() / demo.rows.mean_row(step, 20).sum() for step in range(53)]
    assert np.allclose(np.array(colored.values, dtype=np.float64), shares, atol=2e-3)
    assert colored.top == max(value for value in colored.values if value is not None)
    card = trace_card(demo, Path("t"))
    # The token with most of all has the last colour of the map, and says its share.
    top = int(np.argmax(shares))
    piece = demo.tokens[demo.n_prompt + top].piece.strip()
    words = f"{100 * colored.top:.1f} % share of attention on the image, layer 20, mean over heads"
    assert f"<span title='{words}' style='background:rgb(254,232,56);color:rgb(" in card
    assert f">{piece}</span>" in card


def test_without_images_the_colours_are_probabilities_or_nothing(tmp_path: Path) -> None:
    trace = planted(tmp_path, n_images=0)
    colored = coloring(trace)
    assert colored is not None
    assert colored.name == "probability of the token"
    assert colored.values == pytest.approx([np.exp(-0.1)] * 3)
    silent = replace(trace, steps=tuple(replace(step, log_probability=float("nan")) for step in trace.steps))
    assert coloring(silent) is None
    assert "a b." in text_of(trace_card(silent, tmp_path))


def test_hostile_text_is_text_wherever_it_stands(tmp_path: Path) -> None:
    trace = planted(tmp_path, (HOSTILE, "\u202eevil", "half a pair", "\x1b[31m"))
    tokens = (*trace.tokens[:-2], replace(trace.tokens[-2], piece="\ud800"), trace.tokens[-1])
    trace = replace(trace, tokens=tokens)
    header = replace(
        trace.header,
        model=replace(trace.header.model, id=HOSTILE),
        sample=replace(trace.header.sample, problem=HOSTILE),
    )
    images = tuple(replace(info, name=HOSTILE) for info in trace.layout.images)
    card = trace_card(
        replace(trace, header=header, layout=replace(trace.layout, images=images)), tmp_path / HOSTILE.replace("/", "")
    )
    assert "<script" not in card
    assert set(re.findall(r"<(\w+)", card)) == {"b", "code", "div", "img", "span"}
    assert card.count("<img ") == 1
    assert "onerror=1>" not in re.sub(r"'[^']*'", "''", card)
    assert HOSTILE in text_of(card)
    assert "⟨U+202E⟩evil" in card
    card.encode("utf-8")


def test_long_texts_and_many_images_are_counted(tmp_path: Path) -> None:
    trace = planted(tmp_path, (" word",) * (MOST_UNITS + 7), MOST_IMAGES + 2)
    sample = replace(trace.header.sample, problem="x" * (MOST_CHARACTERS + 1))
    card = trace_card(replace(trace, header=replace(trace.header, sample=sample)), tmp_path)
    assert "… and 7 more" in card
    assert "and 2 more images" in card
    assert "x" * MOST_CHARACTERS + " …" in card
    assert "share of attention on the images, layer 0" in card
    assert len(card) < 300_000


def test_a_trace_that_lost_its_image_or_its_end_still_shows_itself(tmp_path: Path) -> None:
    trace = planted(tmp_path)
    trace.image_files[0].unlink()
    header = replace(trace.header, kind="replay")
    shown = text_of(trace_card(replace(trace, status="failed", header=header), tmp_path))
    assert "replayed answer · incomplete" in shown
    assert "and 1 more image" in shown


def test_a_pass_over_a_text_shows_the_text(tmp_path: Path) -> None:
    trace = planted(tmp_path, (), n_images=0)
    card = trace_card(replace(trace, header=replace(trace.header, kind="encoding")), tmp_path)
    shown = text_of(card)
    assert "6 tokens, one pass over a text" in shown
    assert "What is it?" in shown
    assert ".video()" not in shown
