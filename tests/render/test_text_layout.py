from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.core.trace import TraceData
from attnviz_video.render.text_layout import TextLayout, layout_text
from attnviz_video.testing.planted import planted_layout, planted_tokens
from attnviz_video.theme import theme
from tests.render.made import Made, make_trace

LOOK = theme("light", 1280, 720)


def _trace(tmp_path: Path, answer: list[str], first_shown: int | None = None) -> TraceData:
    """A trace of any text; its rows are never read."""
    base = make_trace(tmp_path, Made(answer=(" x",), first_shown=first_shown))
    layout = planted_layout([(320, 200)], [(4, 6)])
    return replace(base, tokens=planted_tokens(layout, answer))


def _check(layout: TextLayout, width: int) -> None:
    """No box leaves the panel, none overlaps another, order is kept, and each unit is there."""
    assert {piece.unit for piece in layout.pieces} == set(range(len(layout.units)))
    for before, after in zip(layout.pieces, layout.pieces[1:], strict=False):
        assert after.unit >= before.unit
        assert after.line > before.line or (after.line == before.line and after.x > before.x + before.width - 1)
    for piece in layout.pieces:
        assert piece.x >= 0
        assert piece.x + piece.width <= width or len(piece.text) == 1
        assert piece.line < layout.n_lines


def test_text_is_as_large_as_fits(tmp_path: Path) -> None:
    few = layout_text(_trace(tmp_path, [" word"] * 10), 600, 400, LOOK)
    many = layout_text(_trace(tmp_path, [" word"] * 2000), 600, 400, LOOK)
    assert few.metrics.face.size_px == LOOK.px("text.largest")
    assert many.metrics.face.size_px == LOOK.px("text.least")
    assert few.n_pages == 1
    assert many.n_pages > 5


def test_t18_lines_are_higher_than_the_letters_and_their_marks(tmp_path: Path) -> None:
    metrics = layout_text(_trace(tmp_path, [" word"]), 600, 400, LOOK).metrics
    assert metrics.pitch >= metrics.face.height + metrics.bar + metrics.outline


def test_t18_pages_are_whole_lines_and_cover_all(tmp_path: Path) -> None:
    layout = layout_text(_trace(tmp_path, [" word"] * 4096), 600, 400, LOOK)
    assert layout.lines_per_page * layout.metrics.pitch <= 400
    for line in range(layout.n_lines):
        first = layout.first_line(layout.page_of_line(line))
        assert first <= line < first + layout.lines_per_page
    pages = [layout.page_of_line(line) for line in range(layout.n_lines)]
    assert pages == sorted(pages)
    assert set(pages) == set(range(layout.n_pages))


def test_a_page_begins_with_the_end_of_the_one_before(tmp_path: Path) -> None:
    layout = layout_text(_trace(tmp_path, [" word"] * 1000), 600, 400, LOOK)
    assert layout.carried == 2
    assert layout.first_line(1) == layout.lines_per_page - 2


@given(
    st.lists(
        st.text(alphabet=st.sampled_from("abcdefg hij\n\t红色，。🧠\u202e"), min_size=1, max_size=30),
        min_size=1,
        max_size=60,
    ),
    st.integers(60, 700),
)
def test_any_text_is_laid_out_without_overlap(texts: list[str], width: int) -> None:
    layout_of_prompt = planted_layout([], [])
    trace = make_trace(Path(), Made(answer=(" x",), image_sizes=(), grids=()))
    trace = replace(trace, tokens=planted_tokens(layout_of_prompt, texts))
    layout = layout_text(trace, width, 300, LOOK)
    _check(layout, width)
    assert [(unit.first, unit.stop) for unit in layout.units] == [(6 + k, 7 + k) for k in range(len(texts))]


def test_newlines_break_lines_and_keep_paragraphs(tmp_path: Path) -> None:
    layout = layout_text(_trace(tmp_path, [" a", "\n", " b", ".\n\n\n", " c"]), 600, 400, LOOK)
    line_of = {piece.text: piece.line for piece in layout.pieces}
    assert (line_of["a"], line_of["b"], line_of["c"]) == (0, 1, 3)


def test_a_word_longer_than_a_line_is_broken_between_units(tmp_path: Path) -> None:
    layout = layout_text(_trace(tmp_path, [" abcdefgh", "ijklmnop", "qrstuvwx"]), 160, 400, LOOK)
    assert [piece.line for piece in layout.pieces] == [0, 1, 2]


def test_a_unit_wider_than_a_line_is_cut(tmp_path: Path) -> None:
    layout = layout_text(_trace(tmp_path, ["x" * 200]), 160, 400, LOOK)
    assert "".join(piece.text for piece in layout.pieces) == "x" * 200
    assert len({piece.line for piece in layout.pieces}) > 3
    _check(layout, 160)


def test_prompt_and_answer_are_parted(tmp_path: Path) -> None:
    trace = _trace(tmp_path, [" yes"])
    shown = replace(trace, header=replace(trace.header, start=replace(trace.header.start, first_shown=28)))
    layout = layout_text(shown, 600, 400, LOOK)
    lines = {piece.text: piece.line for piece in layout.pieces}
    assert lines["?"] < layout.separator < lines["yes"]
    assert not [piece for piece in layout.pieces if piece.line == layout.separator]
    assert layout_text(trace, 600, 400, LOOK).separator == -1


def test_text_starts_at_the_first_shown_position(tmp_path: Path) -> None:
    layout = layout_text(_trace(tmp_path, [" yes"], first_shown=30), 600, 400, LOOK)
    assert [unit.text for unit in layout.units] == [" it", "?", " yes"]


def test_t10_units_are_found_by_position(tmp_path: Path) -> None:
    layout = layout_text(_trace(tmp_path, [" same", " same", "", " same"]), 600, 400, LOOK)
    n_prompt = 32
    assert [layout.unit_at(n_prompt + k) for k in range(4)] == [0, 1, 2, 2]
    assert layout.unit_of(n_prompt + 4) == -1
    assert layout.unit_of(0) == -1
