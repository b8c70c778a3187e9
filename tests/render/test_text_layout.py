from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import features

from attnviz_video.core.trace import TraceData
from attnviz_video.models.segments import segments_of
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
    assert layout.carried == layout.lines_per_page // 3 > 0
    assert layout.first_line(1) == layout.lines_per_page - layout.carried
    assert [layout.carried_lines(page) for page in (0, 1, 2)] == [0, layout.carried, layout.carried]


def test_the_view_moves_only_when_the_current_line_would_leave_it(tmp_path: Path) -> None:
    layout = layout_text(_trace(tmp_path, [" word"] * 1000), 600, 400, LOOK)
    for line in range(1, layout.n_lines):
        page, before = layout.page_of_line(line), layout.page_of_line(line - 1)
        assert (page > before) == (line == layout.first_line(before) + layout.lines_per_page)
        # What was read last is at the top of the new page, right above the current line.
        if page > before:
            assert line - layout.first_line(page) == layout.carried


@given(
    st.lists(
        st.text(alphabet=st.sampled_from("abcdefg hij\n\t红色，。🧠\u202e\u0301שלו"), min_size=1, max_size=30),
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
    (separator,) = layout.separators
    assert separator.section.label == "response"
    assert lines["?"] < separator.line < lines["yes"]
    assert not [piece for piece in layout.pieces if piece.line == separator.line]
    assert layout_text(trace, 600, 400, LOOK).separators == ()
    assert layout_text(shown, 600, 400, LOOK, show_prompt="none").separators == ()


def _reasoned(tmp_path: Path, answer: list[str]) -> TraceData:
    trace = _trace(tmp_path, answer)
    tokens = [replace(token, segment=part) for token, part in zip(trace.tokens[32:], segments_of(answer), strict=True)]
    return replace(trace, tokens=(*trace.tokens[:32], *tokens))


def test_sections_begin_on_lines_of_their_own(tmp_path: Path) -> None:
    answer = ["<think", ">", "\n", " Red", "</think>", "\n\n", "<answer>", " 3", "</answer>"]
    layout = layout_text(_reasoned(tmp_path, answer), 600, 400, LOOK)
    assert [(separator.line, separator.section.label) for separator in layout.separators] == [
        (0, "thinking"), (3, "answer"),
    ]  # fmt: skip
    # The empty line that a paragraph leaves is used.
    assert [piece.line for piece in layout.pieces] == [1, 1, 1, 2, 2, 2, 4, 4, 4]
    tags = [piece.text for piece in layout.pieces if piece.tag is not None]
    assert tags == ["<think", ">", "</think>", "<answer>", "</answer>"]
    assert layout.segments == ("think",) * 6 + ("answer",) * 3


def test_a_mark_stays_with_its_letter_where_a_word_is_cut(tmp_path: Path) -> None:
    text = "e\u0301" * 60
    layout = layout_text(_trace(tmp_path, [text]), 160, 400, LOOK)
    assert "".join(piece.text for piece in layout.pieces) == text
    assert len(layout.pieces) > 2
    assert all(piece.text[0] == "e" for piece in layout.pieces)


@pytest.mark.skipif(not features.check("raqm"), reason="Pillow comes without a shaping library here")
def test_boxes_of_right_to_left_words_stand_in_that_order(tmp_path: Path) -> None:
    answer = [" ok", " של", "ום", ",", " עולם", " ok"]
    layout = layout_text(_trace(tmp_path, answer), 900, 400, LOOK, fonts="system")
    by_place = sorted(layout.pieces, key=lambda piece: piece.x)
    assert [piece.unit for piece in layout.pieces] == [0, 1, 2, 3, 4, 5]
    assert [piece.unit for piece in by_place] == [0, 4, 3, 2, 1, 5]
    assert all(one.x + one.width < other.x for one, other in zip(by_place, by_place[1:], strict=False))
    plain = layout_text(_trace(tmp_path, answer), 900, 400, LOOK, fonts="bundled")
    assert [piece.unit for piece in sorted(plain.pieces, key=lambda piece: piece.x)] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (3840, 2160)])
@pytest.mark.parametrize("name", ["light", "dark", "talk", "paper"])
def test_text_is_never_smaller_than_24_pixels_at_1080(tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    look = theme(name, *size)
    layout = layout_text(_trace(tmp_path, [" word"] * 600), size[0] // 2, size[1] // 2, look)
    assert layout.n_pages > 1
    assert layout.metrics.face.size_px >= 24 * size[1] / 1080


def test_the_map_takes_room_only_beside_several_pages(tmp_path: Path) -> None:
    few, many = (layout_text(_trace(tmp_path, [" word"] * count), 600, 400, LOOK) for count in (10, 2000))
    assert few.map_room == 0
    assert many.map_room > LOOK.px("map.width")
    assert max(piece.x + piece.width for piece in many.pieces) <= 600 - many.map_room


_LAYOUT_OF_4096 = """
import tempfile, time
from pathlib import Path
from tests.render.made import long_scores
from attnviz_video.render.text_layout import layout_text
from attnviz_video.theme import theme
with tempfile.TemporaryDirectory() as folder:
    trace = long_scores(Path(folder), [f" word{k % 613}" for k in range(4096)], every=4000).trace
start = time.process_time()
layout = layout_text(trace, 900, 740, theme("light"))
print(len(layout.units), time.process_time() - start)
"""


def test_4096_tokens_are_laid_out_in_less_than_a_second_and_a_half() -> None:
    """In a process of its own: the shape checks of the tests cost more than the layout."""
    result = subprocess.run([sys.executable, "-c", _LAYOUT_OF_4096], capture_output=True, text=True, check=True)
    n_units, seconds = result.stdout.split()
    assert int(n_units) == 4096
    assert float(seconds) < 1.5
