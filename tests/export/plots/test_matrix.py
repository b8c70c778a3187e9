"""Plot `matrix`: the colours of its cells are those of the trace's weights, and it says what they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.colormaps import colormap
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.testing.planted_encoding import planted_encoding
from attnviz_video.tracefile.read import open_trace
from attnviz_video.views import Trace
from tests.analysis.pieces import DEMO, demo_with_pieces
from tests.export.figures.figure_reading import LEAST_TEXT, SvgFigure, pdf_fonts
from tests.export.plots.drawn import Told, caption, plotted
from tests.render.made import Made, make_trace, uneven_row

LAYER = 20


@pytest.fixture(scope="module")
def demo() -> TraceData:
    return open_trace(DEMO)


def cells(figure: SvgFigure, n_rows: int, n_columns: int, name: str = "cells") -> np.ndarray:
    """Colour in the middle of every cell of a map whose columns are all alike."""
    pixels = figure.picture(name)
    height, width = pixels.shape[:2]
    rows = ((np.arange(n_rows) + 0.5) * height / n_rows).astype(int)
    columns = ((np.arange(n_columns) + 0.5) * width / n_columns).astype(int)
    return np.asarray(pixels[rows][:, columns])


def painted(weights: np.ndarray, top: float, name: str = "reds") -> np.ndarray:
    """The colours that weights must have, by the definition of the scale."""
    return colormap(name)[np.floor(np.clip(weights / top, 0, 1) * 255 + 0.5).astype(int)]


def scale_top(weights: np.ndarray) -> float:
    """Top of a shared scale by its definition: the 99.5th percentile, or nine tenths of the rows' largest weights."""
    usable = np.sort(weights[np.isfinite(weights)].astype(np.float16))
    peaks = np.sort([row[np.isfinite(row)].max() for row in weights if np.isfinite(row).any()]).astype(np.float16)
    covered = usable[int(np.ceil(0.995 * usable.size)) - 1]
    return max(float(covered), float(peaks[int(np.ceil(0.9 * peaks.size)) - 1]))


@pytest.mark.parametrize("name", ["reds", "viridis"])
def test_the_cells_have_the_colours_of_the_weights(demo: TraceData, tmp_path: Path, name: str) -> None:
    rows = [demo.rows.mean_row(step, LAYER) for step in range(53)]
    plain = np.full((53, 52), np.nan, dtype=np.float32)
    for step, row in enumerate(rows):
        plain[step, :step] = row[114:]
    figure = plotted(demo, tmp_path, "matrix", layer_idx=LAYER, show_prompt="none", colormap=name)
    pixels = figure.picture("cells")
    # The column of the image comes first and is as wide as the others: 53 columns have room.
    height, width = pixels.shape[:2]
    centres = ((np.arange(53) + 0.5) * width / 53).astype(int)
    found = pixels[((np.arange(53) + 0.5) * height / 53).astype(int)][:, centres]
    seen = np.isfinite(plain)
    np.testing.assert_array_equal(found[:, 1:][seen], painted(plain[seen], scale_top(plain), name))
    assert (found[:, 1:][~seen] == 255).all()
    image = np.array([[row[demo.layout.patch_positions(0)].sum(dtype=np.float64)] for row in rows], dtype=np.float32)
    np.testing.assert_array_equal(found[:, 0], painted(image[:, 0], scale_top(image), name))


def test_exact_colours_of_a_planted_matrix(tmp_path: Path) -> None:
    """Text only, one number per row of the palette: every cell is one step of the colour map."""
    trace = make_trace(tmp_path, Made(image_sizes=(), grids=(), first_shown=2, answer=tuple(" abcdefg")))
    rows = [uneven_row(step, trace.layout) for step in range(8)]
    plain = np.full((8, 11), np.nan)
    for step, row in enumerate(rows):
        plain[step, : row.size - 2] = row[2:]
    figure = plotted(trace, tmp_path, "matrix")
    plain = plain.astype(np.float32)
    found = cells(figure, 8, 11)
    seen = np.isfinite(plain)
    np.testing.assert_array_equal(found[seen], painted(plain[seen], scale_top(plain)))
    assert (found[~seen] == 255).all()
    assert [figure.text_of(f"cells-row-{row}") for row in range(8)] == ["␣", *"abcdefg"]
    assert figure.text_of("cells-column-4") == "␣"
    assert figure.text_of("column-title") == "key: what is attended to"
    assert figure.text_of("row-title") == "token that the query produced"
    assert "numbers in the cells: percent" in caption(figure)
    assert f"{100 * plain[7, 0]:.0f}" in figure.texts
    assert f"{100 * plain[7, 2]:.1f}" in figure.texts


def test_the_caption_says_what_is_shown(demo: TraceData, tmp_path: Path) -> None:
    words = caption(plotted(demo, tmp_path, "matrix", layer_idx=LAYER))
    for part in (
        "layer 20 of 0–21",
        "attention, mean of 4 heads",
        "53 rows: queries of the answer",
        "a column of an image sums its patches",
        "every 2nd column named",
        "samples/demo_model",
    ):
        assert part in words
    assert "every 2nd row" not in words
    words = caption(
        plotted(
            demo,
            tmp_path,
            "matrix",
            layer_idx=LAYER,
            head="2",
            queries="all",
            patches=True,
            convention="reading",
            caption="Figure 3: all of it",
        )  # fmt: skip
    )
    assert "head 2" in words
    assert "all queries shown" in words
    assert "r1 c1: patch in row 1, column 1 of the image" in words
    assert "sums its patches" not in words


def test_scales_are_named_and_bars_carry_numbers(demo: TraceData, tmp_path: Path) -> None:
    figure = plotted(demo, tmp_path, "matrix", layer_idx=LAYER)
    assert figure.text_of("bar-1-title") == "attention per text token"
    assert figure.text_of("bar-1-last").startswith("≥ 0.")
    assert figure.text_of("bar-2-title") == "attention per image (sum of its patches)"
    narrow = plotted(demo, tmp_path, "matrix", layer_idx=LAYER, columns=1)
    assert narrow.text_of("bar-2-title") == "attention per image (sum)"
    joint = plotted(demo, tmp_path, "matrix", layer_idx=LAYER, scale_scope="joint", gamma=0.5)
    assert joint.text_of("bar-1-title") == "attention per token or image (sum of its patches)"
    assert joint.text_of("bar-1-kind") == "one scale, gamma 0.5"
    assert not joint.has("bar-2-title")
    each = plotted(demo, tmp_path, "matrix", layer_idx=LAYER, scale="per_frame")
    assert each.text_of("bar-1-last") == "largest of its row"
    relative = plotted(demo, tmp_path, "matrix", layer_idx=LAYER, sinks="relative", words=True)
    assert relative.text_of("bar-1-title") == "attention over its mean per text word"
    assert "weights over the mean of their column" in caption(relative)


def test_sinks_are_marked_and_masked(tmp_path: Path) -> None:
    def row(step: int, layout: object) -> np.ndarray:
        weights = uneven_row(step, layout)  # type: ignore[arg-type]
        weights[0] = 3.0
        return np.asarray(weights / weights.sum(), dtype=np.float32)

    trace = make_trace(tmp_path, Made(first_shown=0, row=row, answer=tuple(" abcdefghij")))
    assert "purple dot: attention sink" in caption(plotted(trace, tmp_path, "matrix"))
    words = caption(plotted(trace, tmp_path, "matrix", sinks="mask"))
    assert "sinks left out" in words
    assert "grey: no value" in words
    assert "purple dot" not in words


def test_words_are_merged_and_said(tmp_path: Path) -> None:
    figure = plotted(demo_with_pieces(), tmp_path, "matrix", layer_idx=LAYER, words=True)
    assert "topleft" in figure.texts
    assert "word pieces merged: summed over keys, averaged over queries" in caption(figure)


def test_chinese_and_what_no_font_has(tmp_path: Path) -> None:
    trace = make_trace(tmp_path, Made(answer=("红色", "的", "圆", "🧠", "\n")))
    told = Told()
    figure = plotted(trace, tmp_path, "matrix", told=told)
    assert [figure.text_of(f"cells-row-{row}") for row in range(5)] == ["红色", "的", "圆", "⟨U+1F9E0⟩", "⏎"]
    assert told.notices == ["no shipped font has the character ⟨U+1F9E0⟩ (emoji); such characters are shown by number"]


@pytest.mark.parametrize("columns", [1, 2])
def test_long_answers_have_every_kth_name_and_no_two_on_each_other(tmp_path: Path, columns: int) -> None:
    trace = make_trace(tmp_path, Made(answer=tuple(f" w{number}" for number in range(300))))
    figure = plotted(trace, tmp_path, "matrix", columns=columns)
    words = caption(figure)
    rows = [number for number in range(300) if figure.has(f"cells-row-{number}")]
    assert rows == list(range(0, 300, 5))
    assert "every 5th row named" in words
    pitch = figure.picture("cells").shape[0] * 72 / 300 / 60
    assert pitch >= LEAST_TEXT
    named = [number for number in range(1, 300) if figure.has(f"cells-column-{number}")]
    every = {1: 10, 2: 5}[columns]
    assert figure.text_of("cells-column-0") == "image"
    assert set(np.diff(named).tolist()) == {every}
    assert f"every {every}th column named" in words
    assert min(figure.text_sizes) >= LEAST_TEXT


def test_an_empty_answer_and_rows_that_are_missing(demo: TraceData, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="nothing to render"):
        plotted(replace(demo, steps=()), tmp_path, "matrix", layer_idx=LAYER)
    trace = make_trace(tmp_path, Made())
    with pytest.raises(TraceError, match=r"rows of the prompt were not recorded.*--record_rows all"):
        plotted(trace, tmp_path, "matrix", queries="all")


def test_unclean_rows_are_told_and_refused_by_strict(tmp_path: Path) -> None:
    def row(step: int, layout: object) -> np.ndarray:
        weights = uneven_row(step, layout)  # type: ignore[arg-type]
        weights[-1] = np.nan
        return weights

    trace = make_trace(tmp_path, Made(row=row))
    told = Told()
    plotted(trace, tmp_path, "matrix", told=told)
    assert told.notices == ["attention rows: 6 NaN values (drawn hatched) among 6 rows"]
    with pytest.raises(TraceError, match="--strict: layer 0: attention rows: 6 NaN"):
        plotted(trace, tmp_path, "matrix", strict=True)


def test_an_encoding_is_a_square_of_all_its_tokens(tmp_path: Path) -> None:
    trace = planted_encoding()
    size = len(trace.tokens)
    plain = trace.rows.prompt_rows(1).mean(axis=0, dtype=np.float64).astype(np.float32)
    figure = plotted(trace, tmp_path, "matrix", layer_idx=1)
    np.testing.assert_array_equal(cells(figure, size, size), painted(plain, scale_top(plain)))
    names = [token.piece.strip() for token in trace.tokens]
    assert [figure.text_of(f"cells-row-{row}") for row in range(size)] == names
    assert figure.text_of("row-title") == "query: the token that attends"
    assert "12 rows: all queries shown" in caption(figure)
    with pytest.raises(UsageError, match="a filmstrip shows images and this trace has none; choose another plot"):
        plotted(trace, tmp_path, "filmstrip", layer_idx=1)


def test_a_pdf_holds_its_letters(tmp_path: Path) -> None:
    trace = make_trace(tmp_path, Made(answer=("红色", " is")))
    path = Trace(tmp_path / "trace", trace).plot("matrix", format="pdf", progress=Told()).path
    assert path == tmp_path / "attention_matrix_layer0.pdf"
    assert len(pdf_fonts(path)) >= 2
    assert all(pdf_fonts(path).values())


def test_the_same_plot_gives_the_same_bytes(demo: TraceData, tmp_path: Path) -> None:
    one = plotted(demo, tmp_path, "matrix", layer_idx=LAYER).source
    assert plotted(demo, tmp_path, "matrix", layer_idx=LAYER).source == one


def test_text_that_is_not_shown_is_told_in_percent(demo: TraceData, tmp_path: Path) -> None:
    rows = np.stack([demo.rows.mean_row(step, LAYER)[:80] for step in range(53)]).astype(np.float64)
    patches = demo.layout.patch_positions(0)
    hidden = rows.sum(axis=1) - rows[:, patches].sum(axis=1)
    said = f"prompt text not shown: mean {100 * hidden.mean():.1f} %, at most {100 * hidden.max():.1f} % of a row"
    assert said in caption(plotted(demo, tmp_path, "matrix", layer_idx=LAYER))
    assert "not shown" not in caption(plotted(demo, tmp_path, "matrix", layer_idx=LAYER, show_prompt="full"))
    start = replace(demo.header.start, first_shown=132, first_step=18, found_in="answer")
    later = replace(demo, header=replace(demo.header, start=start))
    words = caption(plotted(later, tmp_path, "matrix", layer_idx=LAYER))
    assert "text not shown: mean" in words
    assert "prompt text not shown" not in words


def test_rows_of_the_prompt_and_of_images_are_named(demo: TraceData, tmp_path: Path) -> None:
    figure = plotted(demo, tmp_path, "matrix", layer_idx=LAYER, queries="all", show_prompt="full")
    assert figure.text_of("row-title") == "token that follows the query"
    assert "row of the image: mean over its 64 patches" in caption(figure)
    assert "103 rows: all queries shown" in caption(figure)
    patches = plotted(demo, tmp_path, "matrix", layer_idx=LAYER, queries="all", show_prompt="full", patches=True)
    assert "mean over its" not in caption(patches)


def test_a_maximum_over_heads_is_said_to_sum_to_anything(demo: TraceData, tmp_path: Path) -> None:
    words = caption(plotted(demo, tmp_path, "matrix", layer_idx=LAYER, head="max"))
    assert "attention, maximum of 4 heads (rows do not sum to 1)" in words
