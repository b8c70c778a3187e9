"""One query in all layers, against plain numpy on the rows of the trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.heads import parse_head
from attnviz_video.analysis.layer_comparison import (
    QueryRows,
    compare_layers,
    query_of_step,
    query_of_text,
    recorded_layers,
)
from attnviz_video.core.layout import PatchGrid
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.testing.planted import planted_layout, planted_trace
from tests.analysis.pieces import demo_with_pieces, full_matrix
from tests.render.made import Made, make_trace

MEAN = parse_head("mean")
SIZES, GRIDS = ((320, 200), (100, 100)), ((4, 6), (2, 2))
#: Layer l gives the word "cat" (three pieces long) this weight; the rest is on the first token.
CAT = (0.0, 0.03, 0.3, 0.06, 0.6)
ANSWER = (" the", " c", "a", "t", " ch", "ased", " the", " cat", "\n")


@pytest.fixture(scope="module")
def demo() -> TraceData:
    return demo_with_pieces()


@pytest.fixture
def cats(tmp_path: Path) -> TraceData:
    """Five layers; every row gives its layer's weight to the three pieces of the first cat, in equal parts."""
    n_prompt = planted_layout(SIZES, GRIDS).n_prompt

    def row(step: int, layer: int) -> np.ndarray:
        value = np.zeros(n_prompt + step, np.float32)
        value[0] = 1
        if step >= 4:
            value[n_prompt + 1 : n_prompt + 4] = CAT[layer] / 3
            value[0] -= CAT[layer]
        return np.stack([value, value[::-1]])

    return planted_trace(tmp_path, row, image_sizes=SIZES, grids=GRIDS, answer=ANSWER, layers=range(5))


def test_from_which_layer_chased_looks_at_cat(cats: TraceData) -> None:
    query = query_of_text(cats, "chased", "predicting")
    found = compare_layers(cats, query, range(5), parse_head("0"), keys=["cat", "first token"])
    assert query.tokens == (cats.n_prompt + 4, cats.n_prompt + 5)
    assert query.queries == (cats.n_prompt + 3, cats.n_prompt + 4)
    np.testing.assert_allclose(found.weights[:, 0], CAT, atol=1e-6)
    np.testing.assert_allclose(found.weights[:, 1], 1 - np.array(CAT), atol=1e-6)
    assert found.first_above(0.05) == (2, 0)
    assert found.first_above(0.5) == (4, 0)
    assert found.first_above(0.9)[0] is None


def test_weights_are_sums_over_keys_of_means_over_queries(demo: TraceData) -> None:
    query = query_of_text(demo, "orangecircle", "predicting")
    layers = recorded_layers(demo, MEAN)
    found = compare_layers(demo, query, layers, MEAN, keys=["image 1", "at", "image 1 row 2 col 3", "at#1"])
    assert layers == tuple(range(22))
    patches = demo.layout.patch_positions(0)
    for place, layer in enumerate(layers):
        row = full_matrix(demo, layer)[[129, 130]].mean(axis=0)
        expected = [row[patches].sum(), row[[117, 125]].sum(), row[patches[10]], row[117]]
        np.testing.assert_allclose(found.weights[place], expected, atol=1e-6)
    assert [key.n_occurrences for key in found.keys] == [1, 2, 1, 1]


def test_without_keys_the_heaviest_in_any_layer_are_taken(demo: TraceData) -> None:
    query = query_of_text(demo, "orangecircle", "reading")
    assert query.queries == (130, 131)
    found = compare_layers(demo, query, range(22), MEAN, top_keys=4)
    largest = found.weights.max(axis=0)
    assert (np.diff(largest) <= 0).all()
    rows = np.stack([full_matrix(demo, layer)[[130, 131]].mean(axis=0) for layer in range(22)])
    patches = demo.layout.patch_positions(0)
    text = np.delete(np.arange(1, 132), patches - 1)
    assert largest[0] == pytest.approx(max(rows[:, patches].sum(axis=1).max(), rows[:, text].max()), abs=1e-6)
    assert "image 1" in [key.label for key in found.keys]
    assert all(0 not in key.positions for key in found.keys), "the first token is passed over"


def test_keys_of_one_text_are_told_apart(cats: TraceData) -> None:
    query = query_of_step(cats, 8, "predicting")
    assert query == QueryRows("\\n", (cats.n_prompt + 8,), (cats.n_prompt + 7,))
    found = compare_layers(cats, query, range(5), MEAN, keys=["the", "the#2", "cat#1"])
    n = cats.n_prompt
    assert [key.positions.tolist() for key in found.keys] == [[n, n + 6], [n + 6], [n + 1, n + 2, n + 3]]
    labels = {key.label for key in compare_layers(cats, query, range(5), MEAN, top_keys=30).keys}
    assert {"the#1", "the#2", "cat#1", "cat#2", "chased", "image 1", "image 2"} <= labels


def test_prompt_words_are_queries_where_their_rows_are_there(demo: TraceData) -> None:
    query = query_of_text(demo, "Output", "reading")
    assert query.queries == (86,)
    found = compare_layers(demo, query, [3], MEAN, keys=["what is"])
    assert found.weights[0, 0] == pytest.approx(full_matrix(demo, 3)[86, [80, 81]].sum(), abs=1e-6)
    one = compare_layers(demo, query, [3], parse_head("2"), keys=["what is"])
    assert one.weights[0, 0] == pytest.approx(demo.rows.prompt_rows(3)[2, 86, [80, 81]].sum(), abs=1e-6)


def test_the_answer_comes_first_and_occurrences_are_numbered(demo: TraceData) -> None:
    first = query_of_text(demo, "answer", "predicting")
    assert (first.tokens, first.occurrence, first.n_occurrences) == ((150,), 4, 5)
    assert query_of_text(demo, "answer", "predicting", 1).tokens == (99,)
    bluesquare = query_of_text(demo, "BLUEsquare", "predicting")
    assert (bluesquare.tokens, bluesquare.occurrence, bluesquare.n_occurrences) == ((152, 153), 1, 1)
    assert query_of_text(demo, "process", "predicting").tokens == (89,), "a piece within a word"


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda trace: query_of_text(trace, "chasd", "predicting"), UsageError,
         r"--token 'chasd': no such word in this trace; did you mean 'chased'\?"),
        (lambda trace: query_of_text(trace, "cat", "predicting", 3), UsageError,
         r"--occurrence 3: 'cat' has 2 with rows; choose 1 to 2"),
        (lambda trace: query_of_text(trace, "What", "predicting"), TraceError,
         r"--token 'What' stands only where rows were not recorded \(position 34\); record .* --record_rows all"),
        (lambda trace: query_of_text(trace, "\n", "reading"), UsageError, r"--token '\\n': no such word"),
        (lambda trace: query_of_step(trace, 8, "reading"), TraceError,
         r"token 9 of the answer has no row under --convention reading: nothing was written after this token"),
        (lambda trace: compare(trace, keys=["cta"]), UsageError,
         r"--keys 'cta': the query sees no such word; did you mean 'cat'\?"),
        (lambda trace: compare(trace, keys=["cat#3"]), UsageError,
         r"--keys 'cat#3': the query sees 1 of 'cat'; choose #1$"),
        (lambda trace: compare(trace, keys=["image 3"]), UsageError,
         r"--keys 'image 3': this trace has images 1 to 2$"),
        (lambda trace: compare(trace, keys=["Image 1  row 9 col 1"]), UsageError,
         r"--keys 'Image 1  row 9 col 1': image 1 has 4 rows and 6 columns of patches, both counted from 1; "
         r"the last is 'image 1 row 4 col 6'$"),
        (lambda trace: compare(trace, head="7"), UsageError, r"--head 7 is out of range"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared(
    cats: TraceData, ask: Callable[[TraceData], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ask(cats)


@pytest.mark.parametrize(("n_images", "there"), [(0, "no image"), (1, "one image, image 1")])
def test_a_key_on_an_image_that_there_is_not(tmp_path: Path, n_images: int, there: str) -> None:
    trace = make_trace(tmp_path, Made(image_sizes=SIZES[:n_images], grids=GRIDS[:n_images]))
    query = query_of_text(trace, "circle", "predicting")
    with pytest.raises(UsageError, match=rf"--keys 'image 2 row 1 col 1': this trace has {there}$"):
        compare_layers(trace, query, [0], MEAN, keys=["image 2 row 1 col 1"])


def test_a_key_on_an_image_of_several_parts(tmp_path: Path) -> None:
    trace = make_trace(tmp_path, Made())
    halves = tuple(
        PatchGrid(0, 2, 6, (0.0, 100.0 * part, 320.0, 100.0 * part + 100), 12 * part, "tile") for part in range(2)
    )
    trace = replace(trace, layout=replace(trace.layout, grids=halves))
    query = query_of_text(trace, "circle", "predicting")
    found = compare_layers(trace, query, [0], MEAN, keys=["image 1 tile 2 row 2 col 6"])
    assert found.keys[0].positions.tolist() == [int(trace.layout.patch_positions(0)[-1])]
    said = "image 1 has patches in 2 parts, tiles or a thumbnail; the last is 'image 1 tile 2 row 2 col 6'$"
    with pytest.raises(UsageError, match=said):
        compare_layers(trace, query, [0], MEAN, keys=["image 1 row 1 col 1"])


def compare(trace: TraceData, keys: list[str] | None = None, head: str = "mean") -> object:
    query = query_of_text(trace, "chased", "predicting")
    return compare_layers(trace, query, range(5), parse_head(head), keys=keys or [])


def test_layers_without_the_rows_are_left_out(cats: TraceData) -> None:
    few = replace(cats, header=replace(cats.header, head_layers=(1, 3)))
    assert recorded_layers(few, MEAN) == (0, 1, 2, 3, 4)
    assert recorded_layers(few, parse_head("1")) == (1, 3)
    none = replace(cats, header=replace(cats.header, head_layers=(1, 3), heads=(0,)))
    with pytest.raises(TraceError, match=r"head 1 of layer 0 was not recorded in this trace: .*--layers 0"):
        recorded_layers(none, parse_head("1"))


def test_prompt_rows_of_some_heads_have_no_mean(demo: TraceData) -> None:
    few = replace(demo, header=replace(demo.header, heads=(0, 1)))
    with pytest.raises(TraceError, match=r"mean over heads of layer 3 was not recorded for the prompt's rows .* all"):
        compare_layers(few, query_of_text(few, "Output", "reading"), [3], MEAN)
