"""Images that are cut up: tiles and a thumbnail over the same pixels, margins that the model never sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from attnviz_video.analysis.scores import Scores, score
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.layout import ImageInfo, TokenLayout
from attnviz_video.core.scores import Sink
from attnviz_video.models.layouts.areas import THUMBNAIL, TILE, Area, ImageTokens, assemble, grid_tokens
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.image_caption import UNSEEN, Share, share_words
from attnviz_video.render.settings import RenderSettings
from attnviz_video.testing.planted import MemoryRows, planted_tokens
from attnviz_video.testing.readback import levels_from_pixels, peak_from_pixels
from attnviz_video.theme import theme
from tests.render.made import ANSWER, Made, draw_scene, make_trace

SETTINGS = RenderSettings(width=1280, height=720)
LOOK = theme("light", 1280, 720)
SIZE = (300, 200)
IMAGE_TOKEN = 9
#: A thumbnail of 2 x 2, then two tiles of 2 x 2 side by side, written row by row over both with a newline after each
#: row; 50 pixels at the left and the right are not seen.
N_IMAGE_TOKENS = 4 + 2 * 5
N_PROMPT = 2 + 1 + N_IMAGE_TOKENS + 1 + 4


def cut_up_layout() -> TokenLayout:
    numbers = grid_tokens(2, 4, first=4, skip=1)
    areas = (
        Area((50.0, 0.0, 250.0, 200.0), grid_tokens(2, 2), THUMBNAIL),
        Area((50.0, 0.0, 150.0, 200.0), numbers[:, :2], TILE),
        Area((150.0, 0.0, 250.0, 200.0), numbers[:, 2:], TILE),
    )
    ids = np.zeros(N_PROMPT, dtype=np.int64)
    ids[3 : 3 + N_IMAGE_TOKENS] = IMAGE_TOKEN
    config = SimpleNamespace(model_type="cut_up", image_token_id=IMAGE_TOKEN)
    info = ImageInfo("image0.png", *SIZE, "0")
    return assemble(config, {"input_ids": ids[None]}, [info], [ImageTokens(N_IMAGE_TOKENS, areas)])


def scores_of(folder: Path, image_weights: list[float], **analysis: object) -> Scores:
    """Every row has `image_weights` on the patches of the image, in patch order, and the rest on the first token."""
    layout = cut_up_layout()
    row = np.zeros(N_PROMPT + len(ANSWER), dtype=np.float32)
    row[layout.patch_positions(0)] = image_weights
    row[0] = 1 - sum(image_weights)
    trace = make_trace(folder, Made(image_sizes=(SIZE,), grids=((1, N_IMAGE_TOKENS),)))
    draw_scene(SIZE, 0).save(trace.image_files[0])
    rows = MemoryRows({(step, 0): np.tile(row[: N_PROMPT + step], (2, 1)) for step in range(len(ANSWER))})
    trace = replace(trace, layout=layout, tokens=planted_tokens(layout, ANSWER), rows=rows)
    return score(trace, 0, AnalysisSettings(**analysis))  # type: ignore[arg-type]


#: Thumbnail patches, the left tile's, the right tile's; the heaviest of all is on the thumbnail.
WEIGHTS = [0.2, 0.0, 0.0, 0.0] + [0.01, 0.02, 0.03, 0.04] + [0.05, 0.06, 0.07, 0.08]


def test_tiles_stand_side_by_side_and_the_thumbnail_nowhere(tmp_path: Path) -> None:
    painter = FramePainter(scores_of(tmp_path, WEIGHTS), SETTINGS)
    left, top, right, bottom = painter.images.views[0].box
    cells = painter.patch_cells(0)
    assert not cells[:4].any()
    scale = (right - left) / SIZE[0]
    wanted = [(50, 0), (100, 0), (50, 100), (100, 100), (150, 0), (200, 0), (150, 100), (200, 100)]
    for cell, (x, y) in zip(cells[4:].tolist(), wanted, strict=True):
        assert cell[:2] == pytest.approx([left + x * scale, top + y * scale], abs=1)
        assert cell[2:] == pytest.approx([left + (x + 50) * scale, top + (y + 100) * scale], abs=1)


def test_tiles_are_painted_with_their_own_weights(tmp_path: Path) -> None:
    painter = FramePainter(scores_of(tmp_path, WEIGHTS), SETTINGS)
    levels = levels_from_pixels(painter, painter.frame(1), 0)
    assert np.isnan(levels[:4]).all()
    # The heaviest patch that is painted has the top colour: the thumbnail's weight does not stretch the scale.
    np.testing.assert_allclose(levels[4:], np.array(WEIGHTS[4:]) / 0.08, atol=0.04)


def test_margins_that_are_not_seen_stay_as_they_are(tmp_path: Path) -> None:
    painter = FramePainter(scores_of(tmp_path, WEIGHTS), replace(SETTINGS, grid_lines=False))
    view = painter.images.views[0]
    left, top, right, bottom = view.box
    changed = (painter.frame(1)[top:bottom, left:right] != view.pixels).any(axis=2)
    margin = int((right - left) / 6) - 4
    assert not changed[:, :margin].any()
    assert not changed[:, -margin:].any()
    assert changed[:, margin + 8 : -margin - 8].mean() > 0.9


def test_the_heaviest_painted_patch_is_outlined(tmp_path: Path) -> None:
    painter = FramePainter(scores_of(tmp_path, WEIGHTS), SETTINGS)
    assert peak_from_pixels(painter, painter.frame(1), 0) == 11


def test_weight_on_the_thumbnail_alone_is_told_and_leaves_the_picture_without_a_peak(tmp_path: Path) -> None:
    scores = scores_of(tmp_path, [0.1, 0.2, 0.0, 0.0] + [0.0] * 8)
    painter = FramePainter(scores, SETTINGS)
    assert peak_from_pixels(painter, painter.frame(1), 0) == -1
    shares = scores.shares(1)
    assert shares.images[0] == pytest.approx(0.3)
    assert shares.unpainted.tolist() == pytest.approx([0.3])


def test_a_sink_on_the_thumbnail_is_not_marked_in_the_corner_of_the_frame(tmp_path: Path) -> None:
    scores = scores_of(tmp_path, WEIGHTS)
    plain = FramePainter(replace(scores, sinks=()), SETTINGS).frame(1)
    marked = FramePainter(replace(scores, sinks=(Sink(3, 0.2, 0, 0),)), SETTINGS).frame(1)
    assert (plain[:60, :60] == marked[:60, :60]).all()


def test_per_frame_scale_leaves_the_thumbnail_out(tmp_path: Path) -> None:
    assert scores_of(tmp_path, WEIGHTS, scale="per_frame").scale(1).image_top == pytest.approx(0.08, rel=1e-3)


def test_what_is_not_seen_is_shaded_without_colour_and_told(tmp_path: Path) -> None:
    painter = FramePainter(scores_of(tmp_path, WEIGHTS), SETTINGS)
    view = painter.images.views[0]
    assert view.has_unseen
    margin = (view.box[2] - view.box[0]) // 6 - 2
    left = view.pixels[:, :margin].reshape(-1, 3).astype(int)
    assert {tuple(color) for color in np.unique(left, axis=0) if np.ptp(color) > 12} == set()
    assert (left == LOOK.color("unseen.stroke")).all(axis=1).mean() > 0.05
    (caption,) = painter.images._captions
    assert caption.label == f"image0.png ({UNSEEN[1]})"
    assert caption.words(Share(0.3, 0.1)).startswith("30.0 %")


@pytest.mark.parametrize(
    ("areas", "shown", "names"),
    [
        ("combined", [range(4, 12)], [""]),
        ("thumbnail", [range(4)], [""]),
        ("side_by_side", [range(4, 12), range(4)], ["tiles", "thumbnail"]),
        ("separate", [range(4, 8), range(8, 12), range(4)], ["tile 1", "tile 2", "thumbnail"]),
    ],
)
def test_areas_are_shown_as_asked(tmp_path: Path, areas: str, shown: list[range], names: list[str]) -> None:
    scores = scores_of(tmp_path, WEIGHTS, areas=areas)
    painter = FramePainter(scores, SETTINGS)
    assert [view.picture.area for view in painter.images.views] == names
    painted = set().union(*shown)
    # Patch 0 is a sink (the heaviest on every frame), which a scale leaves out where there is anything else.
    top = max(WEIGHTS[patch] for patch in painted if patch) or WEIGHTS[0]
    frame = painter.frame(1)
    shares = scores.shares(1)
    for number, patches in enumerate(shown):
        levels = levels_from_pixels(painter, frame, number)
        assert np.flatnonzero(~np.isnan(levels)).tolist() == list(patches)
        wanted = np.minimum(np.array(WEIGHTS)[list(patches)] / top, 1.0)
        np.testing.assert_allclose(levels[list(patches)], wanted, atol=0.04)
        told = painter.images._share(number, shares)
        on_it = sum(WEIGHTS) if len(shown) == 1 else sum(WEIGHTS[patch] for patch in patches)
        assert told.share == pytest.approx(on_it, rel=1e-3)
        left_out = sum(WEIGHTS) - sum(WEIGHTS[patch] for patch in painted)
        assert told.unpainted == pytest.approx(left_out, rel=1e-3, abs=1e-6)
        if left_out:
            assert painter.images._captions[number]._aside == ("tiles" if areas == "thumbnail" else "thumbnail")


def test_a_tile_alone_shows_its_part_of_the_image(tmp_path: Path) -> None:
    painter = FramePainter(scores_of(tmp_path, WEIGHTS, areas="separate"), SETTINGS)
    assert [view.picture.crop for view in painter.images.views] == [
        (50, 0, 150, 200), (150, 0, 250, 200), (0, 0, 300, 200),
    ]  # fmt: skip
    assert [view.has_unseen for view in painter.images.views] == [False, False, True]


def test_tile_borders_are_stronger_than_patch_lines(tmp_path: Path) -> None:
    painter = FramePainter(scores_of(tmp_path, [0.0] * 12), SETTINGS)
    plain = FramePainter(scores_of(tmp_path, [0.0] * 12), replace(SETTINGS, grid_lines=False))
    view = painter.images.views[0]
    left, top, right, bottom = view.box
    frames = [one.frame(1)[top:bottom, left:right].astype(int) for one in (painter, plain)]
    darker = np.abs(frames[0] - frames[1]).sum(axis=2).mean(axis=0)
    first, second = view.grids
    border, patch = int(first.x_edges[-1]), int(first.x_edges[1])
    assert (darker[border - 1 : border + 1] > 1.5 * darker[patch]).all()
    assert darker[patch] > 0
    assert int(second.x_edges[0]) == border


def test_share_of_the_tiles_in_words() -> None:
    assert share_words(0.56, "row", 0.2, "tiles") == "56.0 % of the row, 20.0 % on the tiles (not painted)"


def test_share_of_the_thumbnail_in_words() -> None:
    assert share_words(0.56, "row", 0.2) == "56.0 % of the row, 20.0 % on the thumbnail (not painted)"
    assert share_words(0.56, "", 0.2) == "56.0 % (20.0 % thumbnail)"
    assert share_words(float("nan"), "row", 0.2) == "no row"
