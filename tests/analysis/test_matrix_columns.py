"""Which text has a column of a matrix, how every column is called, and how much of the rows lies on the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis import matrices
from attnviz_video.analysis.matrices import MOST_OF_A_PROMPT, MatrixChoice, attention_matrix, key_lines
from attnviz_video.analysis.tables import LayerRows, token_name, weights
from attnviz_video.core.tokens import Token
from attnviz_video.core.trace import StartPoint, TraceData
from attnviz_video.tracefile.read import open_trace
from tests.analysis.pieces import DEMO
from tests.render.made import Made, make_trace

LAYER = 20


@pytest.fixture(scope="module")
def demo() -> TraceData:
    return open_trace(DEMO)


def phrase_nowhere(trace: TraceData) -> TraceData:
    """`trace` as it is recorded when the built-in phrase is found nowhere: shown from the answer on."""
    start = StartPoint("Based on the following requirements", "none", trace.n_prompt, 0)
    return replace(trace, header=replace(trace.header, start=start))


def test_without_the_start_phrase_the_text_of_the_user_has_columns(demo: TraceData) -> None:
    trace = phrase_nowhere(demo)
    text = [line.first for line in key_lines(trace, MatrixChoice()) if line.image < 0]
    assert text == list(range(80, len(demo.tokens))), "from the first word of the question on"
    words = [line.first for line in key_lines(trace, MatrixChoice(words=True)) if line.image < 0]
    assert words[0] == 80
    matrix = attention_matrix(trace, LAYER, "mean", MatrixChoice())
    assert matrix.seen[0].sum() > 1, "the first row has something to show"
    answer = [line.first for line in key_lines(trace, MatrixChoice(show_prompt="none")) if line.image < 0]
    assert answer[0] == demo.n_prompt


def test_a_question_too_long_leaves_the_answer_its_room(demo: TraceData, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = phrase_nowhere(demo)
    n_user = sum(token.role == "user" for token in trace.tokens)
    assert n_user <= MOST_OF_A_PROMPT
    for most, first in ((n_user, 80), (n_user - 1, demo.n_prompt)):
        monkeypatch.setattr(matrices, "MOST_OF_A_PROMPT", most)
        assert [line.first for line in key_lines(trace, MatrixChoice()) if line.image < 0][0] == first


def test_what_has_no_column_is_counted_row_by_row(demo: TraceData) -> None:
    matrix = attention_matrix(demo, LAYER, None, MatrixChoice())
    assert matrix.hidden.shape == (4, 53)
    assert matrix.hides_prompt_only
    hidden = [position for position in range(80) if demo.tokens[position].patch < 0]
    for step in (0, 17, 52):
        rows = demo.rows.head_rows(step, LAYER).astype(np.float64)
        expected = rows[:, hidden].sum(axis=1) / rows.sum(axis=1)
        np.testing.assert_allclose(matrix.hidden[:, step], expected, atol=1e-6)
    assert matrix.hidden.max() > 0.2
    whole = attention_matrix(demo, LAYER, None, MatrixChoice(show_prompt="full"))
    assert (whole.hidden == 0).all()
    most = attention_matrix(demo, LAYER, "max", MatrixChoice())
    assert ((most.hidden >= 0) & (most.hidden <= 1)).all(), "a share of the row, whatever the row sums to"


def test_hidden_words_of_the_answer_are_no_prompt(demo: TraceData) -> None:
    start = StartPoint("circle", "answer", 132, 18)
    matrix = attention_matrix(
        replace(demo, header=replace(demo.header, start=start)), LAYER, "mean", MatrixChoice()
    )  # fmt: skip
    assert not matrix.hides_prompt_only
    assert matrix.hidden.max() > 0


def test_a_row_of_nothing_hides_nothing_that_is_known(tmp_path: Path) -> None:
    def row(step: int, layout: object) -> np.ndarray:
        size = layout.n_prompt + step  # type: ignore[attr-defined]
        return np.full(size, np.nan if step == 1 else 0.0 if step == 2 else 1 / size, dtype=np.float32)

    matrix = attention_matrix(make_trace(tmp_path, Made(row=row)), 0, "mean", MatrixChoice(show_prompt="none"))
    assert np.isnan(matrix.hidden[0, [1, 2]]).all()
    assert np.isfinite(matrix.hidden[0, [0, 3]]).all()


def test_with_the_whole_prompt_every_token_has_its_row_and_its_column(demo: TraceData) -> None:
    matrix = attention_matrix(demo, LAYER, "mean", MatrixChoice(queries="all", show_prompt="full"))
    text = [token.position for token in demo.tokens if token.patch < 0]
    assert [line.first for line in matrix.keys if line.image < 0] == text[:-1], "the last token is a key of no query"
    assert [line.first for line in matrix.queries if line.image < 0] == text[1:]
    assert all(line.stop - line.first == 1 for line in matrix.queries if line.image < 0)
    assert [line.text for line in matrix.keys[:4]] == ["<|im_start|>", "system", "\n", "You"]
    plain = demo.rows.prompt_rows(LAYER).astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(matrix.weights[0, 5, :6], plain[5, :6], atol=1e-6)


def test_tokens_between_the_patches_of_an_image_are_part_of_a_whole_prompt_only(tmp_path: Path) -> None:
    trace = make_trace(tmp_path, Made())
    (start,) = (token.position for token in trace.tokens if token.position + 1 == trace.layout.patch_positions(0)[0])
    between = replace(trace.tokens[start], role="image", image=0, patch=-1)
    trace = replace(trace, tokens=(*trace.tokens[:start], between, *trace.tokens[start + 1 :]))
    assert start in [line.first for line in key_lines(trace, MatrixChoice(show_prompt="full"))]
    shown = replace(trace, header=replace(trace.header, start=StartPoint("", "none", 0, 0)))
    assert start not in [line.first for line in key_lines(shown, MatrixChoice())]


def test_pieces_of_a_character_have_a_row_each(tmp_path: Path) -> None:
    trace = make_trace(tmp_path, Made(answer=("在", "", "左", "x"), image_sizes=(), grids=()))
    half = trace.n_prompt + 1
    tokens = (*trace.tokens[:half], replace(trace.tokens[half], raw=b"\xe5\xb7"), *trace.tokens[half + 1 :])
    trace = replace(trace, tokens=tokens)
    matrix = attention_matrix(trace, 0, "mean", MatrixChoice(show_prompt="none"))
    assert [line.text for line in matrix.queries] == ["在", "<0xE5><0xB7>", "左", "x"]
    for step in range(1, 4):
        row = trace.rows.mean_row(step, 0)[trace.n_prompt :]
        np.testing.assert_allclose(matrix.weights[0, step, :step], row, atol=1e-7)
    assert weights(LayerRows(trace, 0)).columns["token"] == ["在", "<0xE5><0xB7>", "左", "x"]


@pytest.mark.parametrize(
    ("raw", "piece", "name"),
    [
        (b" cat", " cat", " cat"),
        (b"\xeb", "", "<0xEB>"),
        (b"\xeb", "<0xEB><0xEB>", "<0xEB>"),
        (b"a", "<0xEB>a", "a"),
        (b"\x90", "左", "左"),
        (b"<0xEB>", "<0xEB>", "<0xEB>"),
    ],
)
def test_a_token_is_never_called_by_the_bytes_of_those_before_it(raw: bytes, piece: str, name: str) -> None:
    assert token_name(Token(0, 0, raw, piece, "answer", "other")) == name
