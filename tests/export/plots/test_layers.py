"""Plot `layers`: its curves and cells are the numbers of the trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attnviz_video.colormaps import colormap, level_steps
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.testing.planted_encoding import planted_encoding
from tests.analysis.pieces import demo_with_pieces, full_matrix
from tests.export.plots.drawn import Told, assert_one_axis, caption, plotted, points_of
from tests.render.made import Made, make_trace


@pytest.fixture(scope="module")
def trace() -> TraceData:
    return demo_with_pieces()


@pytest.fixture(scope="module")
def expected(trace: TraceData) -> np.ndarray:
    """Weight of the image and of all "at" for the mean of the two rows that produced "orangecircle": [layers, 2]."""
    rows = [full_matrix(trace, layer)[[129, 130]].mean(axis=0) for layer in range(22)]
    patches = trace.layout.patch_positions(0)
    return np.array([[row[patches].sum(), row[[117, 125]].sum()] for row in rows])


def test_curves_are_the_weights(trace: TraceData, expected: np.ndarray, tmp_path: Path) -> None:
    figure = plotted(trace, tmp_path, "layers", token="orangecircle", keys="image 1, at", threshold=0.2)
    lines = np.stack([points_of(figure, f"key-{number}") for number in range(2)])
    assert lines.shape == (2, 22, 2)
    zero = points_of(figure, "threshold")[0]
    heights = np.concatenate([lines[..., 1].T.ravel(), zero[1:]])
    assert_one_axis(heights, np.append(expected.ravel(), 0.2), upwards=True)
    assert_one_axis(lines[0, :, 0], np.arange(22.0), upwards=False)
    first = int(np.argmax(expected[:, 0] >= 0.2))
    assert figure.text_of("first-0") == f"first at layer {first}"
    assert figure.text_of("first-1") == "never"
    assert figure.text_of("label-0") == "image 1"


def test_the_caption_says_whose_rows_these_are(trace: TraceData, tmp_path: Path) -> None:
    words = caption(plotted(trace, tmp_path, "layers", token="orangecircle", keys="image 1,at", columns=1))
    for part in ("query “orangecircle” (1 of 2)", "mean of the rows that produced its 2 tokens", "mean of 4 heads",
                 "at: 2 occurrences summed", "image: sum of its patches", "first layer with at least 0.10",
                 "samples/demo_model"):  # fmt: skip
        assert part in words
    words = caption(plotted(trace, tmp_path, "layers", step=18, convention="reading", head="3", top_keys=2))
    for part in (
        "query “circle”, step 18",
        "row of the token itself",
        "head 3",
        "keys: the 2 heaviest words and images",
    ):
        assert part in words


def test_many_keys_are_cells(trace: TraceData, tmp_path: Path) -> None:
    keys = "image 1,at,what,is,in,the,thinkingprocess,first token"
    figure = plotted(trace, tmp_path, "layers", token="orangecircle", keys=keys, threshold=0.2, dpi=100)
    rows = np.stack([full_matrix(trace, layer)[[129, 130]].mean(axis=0) for layer in range(22)])
    patches = trace.layout.patch_positions(0).tolist()
    groups = [patches, [117, 125], [80], [81], [82, 90, 100], [83, 87, 118, 126], [88, 89], [0]]
    weights = np.stack([rows[:, group].sum(axis=1) for group in groups])
    pixels = figure.picture("layers")
    height, width = pixels.shape[0] / 8, pixels.shape[1] / 22
    colors = colormap("reds")[level_steps(weights / weights.max())]
    for row in range(8):
        for column in range(22):
            found = pixels[int((row + 0.5) * height), int((column + 0.5) * width)]
            assert np.abs(found.astype(int) - colors[row, column]).max() <= 1
    assert figure.has("first-0")
    assert not figure.has("first-1")


def test_of_several_occurrences_the_choice_is_told(trace: TraceData, tmp_path: Path) -> None:
    told = Told()
    plotted(trace, tmp_path, "layers", told, token="orangecircle")
    assert told.notices == [
        "'orangecircle' stands 2 times where rows were recorded; shown is number 1 (position 130), choose another "
        "with --occurrence"
    ]
    told = Told()
    plotted(trace, tmp_path, "layers", told, token="orangecircle", occurrence=2)
    assert told.notices == []


def test_chosen_layers_only(trace: TraceData, tmp_path: Path, expected: np.ndarray) -> None:
    figure = plotted(trace, tmp_path, "layers", token="orangecircle", keys="image 1", layer_idx=[20, 3, 9])
    line = points_of(figure, "key-0")
    assert_one_axis(line[:, 1], expected[[3, 9, 20], 0], upwards=True)
    assert_one_axis(line[:, 0], np.array([3.0, 9.0, 20.0]), upwards=False)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, UsageError, r"which token\? give --token WORD .* or --step N"),
        ({"token": "at", "step": 3}, UsageError, "--token and --step each name a query; give one"),
        (
            {"step": 3, "occurrence": 2},
            UsageError,
            "--occurrence counts the places of a word; name it with --token WORD",
        ),
        ({"token": "at", "layer_idx": 3}, UsageError, "--what layers compares layers: name several with --layer_idx"),
        ({"token": "at", "head": "77"}, UsageError, "--head 77 is out of range"),
        ({"step": 99}, UsageError, "--step 99: this video has steps 1 to 53"),
    ],
)
def test_what_cannot_be_compared(
    trace: TraceData, tmp_path: Path, settings: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plotted(trace, tmp_path, "layers", **settings)


def test_a_trace_of_one_layer_has_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="holds mean over heads of layer 0 only; record again with --layers all"):
        plotted(make_trace(tmp_path, Made()), tmp_path, "layers", step=2)


def test_an_encoding_is_compared_by_the_rows_of_its_own_tokens(tmp_path: Path) -> None:
    trace = planted_encoding(n_layers=3)
    for settings in ({"token": "mat"}, {"step": 7}):
        figure = plotted(trace, tmp_path, "layers", keys="cat,it", **settings)
        expected = np.stack([trace.rows.prompt_rows(layer).mean(axis=0)[6, [2, 10]] for layer in range(3)])
        heights = np.stack([points_of(figure, f"key-{number}")[:, 1] for number in range(2)], axis=1)
        assert_one_axis(heights, expected, upwards=True)
        assert "row of the token itself" in caption(figure)
    assert "query “mat”, token 7" in caption(figure)


def test_keys_that_are_named_leave_nothing_to_choose(trace: TraceData, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--keys names what is looked at, so --top_keys 3 has nothing to choose"):
        plotted(trace, tmp_path, "layers", token="circle", keys="image 1", top_keys=3)
    five = plotted(trace, tmp_path, "layers", token="circle")
    assert "keys: the 5 heaviest words and images" in caption(five)
