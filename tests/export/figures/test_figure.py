"""A step as a figure: the numbers of the video, text as text, fonts embedded, the same bytes each time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import rcParams
from PIL import Image

from attnviz_video.analysis.scale import level
from attnviz_video.analysis.scores import Scores, score
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.colormaps import level_steps
from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.sample import TruthBox
from attnviz_video.core.units import unit_edges, unit_sums
from attnviz_video.export.figures.look import WIDTHS, pt
from attnviz_video.export.figures.settings import FigureSettings
from attnviz_video.export.figures.sheet import Format
from attnviz_video.export.figures.step_figure import draw_step
from attnviz_video.export.figures.tokens import units_of
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.heat import image_heat, token_heat
from attnviz_video.render.numbers import weight
from attnviz_video.render.settings import RenderSettings
from attnviz_video.theme import theme
from tests.export.figures.figure_reading import LEAST_TEXT, SvgFigure, pdf_fonts
from tests.render.made import ANSWER, Made, make_scores, make_trace, uneven_row

COARSE = FigureSettings(dpi=100)
CHINESE = ("图片", "里", "有", " a", " red", "圆", "。")


def step_svg(
    folder: Path, scores: Scores, number: int, render: RenderSettings | None = None, columns: int = 2
) -> SvgFigure:
    settings = replace(COARSE, columns=columns)
    drawn = draw_step(scores, number, settings, render or RenderSettings())
    return SvgFigure(drawn.save(folder / f"step{number}-{columns}.svg", "svg"))


# --- the numbers are those of the video ------------------------------------------------------------------------------


@pytest.mark.parametrize("colormap", ["red_green", "cividis"])
@pytest.mark.parametrize("number", [0, 5])
def test_boxes_have_the_colour_of_the_level_of_their_weight(tmp_path: Path, number: int, colormap: str) -> None:
    scores = make_scores(tmp_path, Made(first_shown=28))
    figure = step_svg(tmp_path, scores, number, RenderSettings(colormap=colormap))  # type: ignore[arg-type]
    units = units_of(scores)
    weights, scale = scores.frame(number), scores.scale(number)
    levels = level(unit_sums(weights.text, unit_edges(units)), scale, "text")
    sheet = theme("light").color("panel.background")
    ramp = token_heat(colormap, "box", sheet).ramp(sheet)
    current = next(index for index, unit in enumerate(units) if unit.first == scores.trace.n_prompt + number)
    assert current == number + len(units) - len(ANSWER)
    for index in range(current):
        assert figure.fill_of(f"unit-{index}-box") == tuple(ramp[level_steps(levels)[index]].tolist())
    assert figure.fill_of(f"unit-{current}-box") == theme("light").color("token.current")
    assert not any(figure.has(f"unit-{index}-box") for index in range(current + 1, len(units)))


def test_boxes_have_the_colours_of_the_frame(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(first_shown=28))
    painter = FramePainter(scores, RenderSettings(width=1280, height=720))
    figure = step_svg(tmp_path, scores, 4)
    frame, units = painter.frame(4), units_of(scores)
    seen = set()
    for unit, (left, top, right, bottom) in painter.unit_boxes(4):
        inside = frame[top + 3 : bottom - 3, left + 3 : right - 3].reshape(-1, 3)
        colors, counts = np.unique(inside, axis=0, return_counts=True)
        fill = figure.fill_of(f"unit-{units.index(unit)}-box")
        assert fill == tuple(colors[counts.argmax()].tolist())
        seen.add(fill)
    assert len(seen) > 3


def test_the_bar_under_a_token_is_as_high_as_its_level(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made())
    figure = step_svg(tmp_path, scores, 4)
    weights = scores.frame(4).text[scores.trace.n_prompt :]
    levels = level(weights, scores.scale(4), "text")
    heights = [figure.height_of(f"unit-{index}-bar") for index in range(4)]
    assert heights == pytest.approx((levels[:4] * pt("token.bar")).tolist(), abs=0.01)
    assert not figure.has("unit-4-bar")


def test_patches_have_the_colours_of_the_frame(tmp_path: Path) -> None:
    """On an image of one colour each patch is one colour, whatever the size it is painted in."""
    scores = make_scores(tmp_path, Made())
    Image.new("RGB", (320, 200), (90, 140, 200)).save(scores.trace.image_files[0])
    painter = FramePainter(scores, RenderSettings(width=1280, height=720, grid_lines=False))
    picture = step_svg(tmp_path, scores, 3).picture("step4-picture1")
    frame, seen = painter.frame(3), set()
    rows, columns = 4, 6
    for patch, (left, top, right, bottom) in enumerate(painter.patch_cells(0).tolist()):
        row, column = divmod(patch, columns)
        y, x = (2 * row + 1) * picture.shape[0] // (2 * rows), (2 * column + 1) * picture.shape[1] // (2 * columns)
        color = tuple(frame[(top + bottom) // 2, (left + right) // 2].tolist())
        assert tuple(picture[y, x].tolist()) == color
        seen.add(color)
    assert len(seen) > 5


def test_the_overlay_is_exact_to_the_pixel(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made())
    Image.new("RGB", (320, 200), (90, 140, 200)).save(scores.trace.image_files[0])
    picture = step_svg(tmp_path, scores, 3).picture("step4-picture1")
    steps = level_steps(level(scores.frame(3).images[0], scores.scale(3), "image")).reshape(4, 6)
    heat = image_heat("red_green", "weight")
    exact = np.array([[heat.over(np.array([90.0, 140.0, 200.0]), int(step)) for step in row] for row in steps])
    y = np.repeat(np.arange(4), np.diff(np.round(np.arange(5) * picture.shape[0] / 4 + 1e-9).astype(int)))
    x = np.repeat(np.arange(6), np.diff(np.round(np.arange(7) * picture.shape[1] / 6 + 1e-9).astype(int)))
    # Half a pixel between two patches belongs to either of them.
    inside = ~np.isin(np.arange(y.size), np.flatnonzero(np.diff(y)) + np.array([[0], [1]]))
    assert np.abs(picture - exact[y][:, x])[inside].max() <= 0.5


def test_legend_share_and_caption_say_the_numbers_of_the_frame(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made())
    figure = step_svg(tmp_path, scores, 4)
    scale, shares = scores.scale(4), scores.shares(4)
    words = " ".join(figure.texts)
    for number in (scale.text_top, scale.image_top):
        assert weight(number) in figure.texts or f"≥ {weight(number)}" in figure.texts
    assert f"{100 * shares.images[0]:.1f} % of the row" in words
    assert f"text shown: {100 * shares.shown:.1f} % of the row" in figure.text_of("text-share")
    assert "attention per image patch" in words
    assert "one scale per video" in words
    caption = "".join(figure.text_of(f"caption-{number}") for number in range(1))
    for part in ("step 5/6", "planted", "layer 0 of 0–0", "mean of 2 heads", "row that produced the blue token"):
        assert part in caption


def test_the_png_holds_the_picture_as_it_is(tmp_path: Path) -> None:
    """Pixel for pixel, not resampled once more; the lines drawn over it aside."""
    scores = make_scores(tmp_path, Made())
    render = RenderSettings(grid_lines=False)
    picture = step_svg(tmp_path, scores, 4, render).picture("step5-picture1")
    drawn = draw_step(scores, 4, COARSE, render)
    with Image.open(drawn.save(tmp_path / "step.png", "png")) as file:
        assert file.info["dpi"] == pytest.approx((100, 100), abs=0.1)
        page = np.asarray(file.convert("RGB"))
    assert page.shape[1] == 700
    height, width = picture.shape[:2]
    inner = picture[2 : height // 2, 2 : width // 2]
    found = [
        (y, x)
        for y in range(page.shape[0] - inner.shape[0])
        for x in range(330, 380)
        if np.array_equal(page[y, x : x + inner.shape[1]], inner[0])
        and np.abs(page[y : y + inner.shape[0], x : x + inner.shape[1]].astype(int) - inner).mean() < 12
    ]
    assert found


# --- what is refused, what is missing --------------------------------------------------------------------------------


def test_a_step_without_a_row_is_drawn_uncoloured_and_says_so(tmp_path: Path) -> None:
    """Under `reading`, nothing was written after the last token."""
    scores = make_scores(tmp_path, Made(analysis=AnalysisSettings(convention="reading")))
    figure = step_svg(tmp_path, scores, 5)
    assert not figure.has("unit-0-box")
    assert not figure.has("unit-0-bar")
    assert figure.fill_of("unit-5-box") == theme("light").color("token.current")
    words = " ".join(figure.texts)
    assert "no row: nothing was written after this token" in words
    assert "no row" in figure.text_of("text-share")


def test_a_trace_without_images_has_step_figures(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(image_sizes=(), grids=()))
    for columns in (1, 2):
        figure = step_svg(tmp_path, scores, 5, columns=columns)
        assert [figure.text_of(f"unit-{index}") for index in range(6)] == [piece.strip() for piece in ANSWER]
        assert not figure.has("legend-image")
        assert figure.has("legend-text")


def test_masked_sinks_are_hatched_and_the_key_names_them(tmp_path: Path) -> None:
    def row(step: int, layout: object) -> np.ndarray:
        values = np.full(layout.n_prompt + step, 0.2, dtype=np.float32)  # type: ignore[attr-defined]
        values[0] = 60.0
        return values / values.sum()

    scores = make_scores(tmp_path, Made(row=row, first_shown=0, analysis=AnalysisSettings(sinks="mask")))
    figure = step_svg(tmp_path, scores, 5)
    assert scores.sinks
    assert "url(#" in figure.source
    assert {"no value", "attention sink"} <= set(figure.texts)


@pytest.mark.parametrize("style", ["box", "text"])
@pytest.mark.parametrize("name", ["light", "dark", "paper"])
def test_every_theme_and_token_style(tmp_path: Path, name: str, style: str) -> None:
    render = RenderSettings(theme=name, token_style=style)  # type: ignore[arg-type]
    figure = step_svg(tmp_path, make_scores(tmp_path, Made()), 5, render)
    assert figure.has("unit-0-box") == (style == "box")
    assert figure.text_of("unit-5") == "."


def test_a_long_answer_shows_its_last_lines_and_says_how_many_are_before(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(answer=[f" word{k}" for k in range(180)]))
    figure = step_svg(tmp_path, scores, 179, columns=1)
    assert figure.has("unit-179-box")
    assert not figure.has("unit-0-box")
    assert any(text.startswith("… ") and text.endswith(" lines before") for text in figure.texts)


def test_title_and_caption_are_the_users_own(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made())
    figure = step_svg(tmp_path, scores, 5, RenderSettings(title="", caption="Figure 3: where it looked"))
    assert not figure.has("title")
    assert figure.text_of("words-0") == "Figure 3: where it looked"
    assert step_svg(tmp_path, scores, 4).text_of("title") == "What is it?"


def test_there_is_a_picture_for_each_image(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(image_sizes=((320, 200), (120, 300)), grids=((4, 6), (6, 3))))
    figure = step_svg(tmp_path, scores, 5)
    assert figure.has("step6-picture1")
    assert figure.has("step6-picture2")
    assert not figure.has("step6-picture3")


def test_boxes_of_dataset_and_answer_are_drawn_with_their_labels_and_named_in_the_key(tmp_path: Path) -> None:
    trace = make_trace(tmp_path, Made(answer=(" at", " (500,500),(900,900)", " there")))
    sample = replace(trace.header.sample, boxes=(TruthBox("红色 disc", 0, (32.0, 20.0, 128.0, 90.0)),))
    scores = score(replace(trace, header=replace(trace.header, sample=sample)), 0, AnalysisSettings())
    both = RenderSettings(boxes="both")
    last, first, none = (
        step_svg(tmp_path, scores, number, render) for number, render in ((2, both), (0, both), (2, RenderSettings()))
    )
    truth, written = (
        "#{:02x}{:02x}{:02x}".format(*theme("light").color(f"box.{name}")) for name in ("truth", "answer")
    )
    assert "".join(last.texts).count("红色") == 1
    assert "1" in last.texts
    assert "1" not in first.texts  # the answer has not written it yet
    assert {"ground truth", "box in the answer"} <= set(last.texts)
    assert f"stroke-dasharray: 3.2,1.6; stroke-dashoffset: 0; stroke: {written}" in last.source
    assert f"stroke: {truth}" in last.source
    assert not {truth, written} & {color for color in (truth, written) if color in none.source}


def test_a_legend_without_weights_has_no_numbers(tmp_path: Path) -> None:
    def row(step: int, layout: TokenLayout) -> np.ndarray:
        weights = uneven_row(step, layout)
        weights[layout.n_prompt :] = 0
        return weights

    figure = step_svg(tmp_path, make_scores(tmp_path, Made(row=row)), 3)
    assert figure.texts.count("no weight") == 1
    assert not [text for text in figure.texts if "e-08" in text or not text]


def test_opacity_and_smoothing_are_those_of_the_frame(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made())
    Image.new("RGB", (320, 200), (90, 140, 200)).save(scores.trace.image_files[0])
    strong = step_svg(tmp_path, scores, 3, RenderSettings(alpha=1.0)).picture("step4-picture1")
    peak = int(scores.frame(3).images[0].argmax())
    row, column = divmod(peak, 6)
    y, x = (2 * row + 1) * strong.shape[0] // 8, (2 * column + 1) * strong.shape[1] // 12
    step = level_steps(level(scores.frame(3).images[0], scores.scale(3), "image"))[peak]
    heat = image_heat("red_green", "weight", 1.0)
    assert np.abs(strong[y, x] - heat.over(np.array([90.0, 140.0, 200.0]), int(step))).max() <= 0.5
    smoothed, plain = step_svg(tmp_path, scores, 3, RenderSettings(smooth=True)), step_svg(tmp_path, scores, 3)
    assert "smoothed" in smoothed.text_of("legend-image")
    assert "smoothed" not in plain.text_of("legend-image") + smoothed.text_of("legend-text")
    smooth, exact = smoothed.picture("step4-picture1"), plain.picture("step4-picture1")
    assert len(np.unique(smooth.reshape(-1, 3), axis=0)) > 2 * len(np.unique(exact.reshape(-1, 3), axis=0))


# --- text, fonts, bytes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [1, 2])
def test_text_is_text_in_an_svg_also_in_chinese_and_never_small(tmp_path: Path, columns: int) -> None:
    scores = make_scores(tmp_path, Made(answer=CHINESE, problem="图片里有什么？ What?"))
    figure = step_svg(tmp_path, scores, 6, columns=columns)
    assert [figure.text_of(f"unit-{index}") for index in range(7)] == [piece.strip() for piece in CHINESE]
    assert figure.text_of("title") == "图片里有什么？ What?"
    assert len(set(figure.ids)) == len(figure.ids)
    assert min(figure.text_sizes) >= LEAST_TEXT
    assert float(figure.root.get("width", "").removesuffix("pt")) == pytest.approx(WIDTHS[columns], abs=0.5)


def test_an_svg_carries_the_letters_it_uses(tmp_path: Path) -> None:
    figure = step_svg(tmp_path, make_scores(tmp_path, Made(answer=CHINESE)), 6)
    for family in ("DejaVu Sans", "Droid Sans Fallback"):
        assert f"@font-face {{ font-family: '{family}'" in figure.source


def test_fonts_are_embedded_in_a_pdf_whole_and_as_truetype(tmp_path: Path) -> None:
    drawn = draw_step(make_scores(tmp_path, Made(answer=CHINESE)), 6, COARSE, RenderSettings())
    fonts = pdf_fonts(drawn.save(tmp_path / "step.pdf", "pdf"))
    assert {name.partition("+")[2] for name in fonts} == {"DejaVuSans", "DejaVuSans-Bold", "DroidSansFallback"}
    assert all(fonts.values())


def test_dollar_signs_are_letters(tmp_path: Path) -> None:
    figure = step_svg(tmp_path, make_scores(tmp_path, Made(answer=(" $x^2$", " <b>", " &"))), 2)
    assert [figure.text_of(f"unit-{index}") for index in range(3)] == ["$x^2$", "<b>", "&"]


def test_missing_characters_are_written_out_and_told(tmp_path: Path) -> None:
    drawn = draw_step(make_scores(tmp_path, Made(answer=("🧠",))), 0, COARSE, RenderSettings())
    figure = SvgFigure(drawn.save(tmp_path / "step.svg", "svg"))
    assert figure.text_of("unit-0") == "⟨U+1F9E0⟩"
    (notice,) = drawn.notices
    assert notice.startswith("no shipped font has the character ⟨U+1F9E0⟩ (")
    assert notice.endswith("); such characters are shown by number")


@pytest.mark.parametrize("kind", ["pdf", "png", "svg"])
def test_two_runs_give_the_same_bytes_whatever_matplotlib_is_set_to(tmp_path: Path, kind: Format) -> None:
    scores = make_scores(tmp_path, Made())
    first = draw_step(scores, 4, COARSE, RenderSettings()).save(tmp_path / f"a.{kind}", kind).read_bytes()
    before = dict(rcParams)
    rcParams.update({"pdf.fonttype": 3, "svg.fonttype": "path", "font.size": 30, "savefig.facecolor": "red"})
    try:
        second = draw_step(scores, 4, COARSE, RenderSettings()).save(tmp_path / f"b.{kind}", kind).read_bytes()
        assert rcParams["font.size"] == 30
    finally:
        rcParams.update(before)
    assert first == second
    assert b"attnviz_video figure" in first
