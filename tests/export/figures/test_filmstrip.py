"""A filmstrip: one scale, one legend, each panel with its token, over one and over two columns."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attnviz_video.analysis.scores import Scores
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.layout import TokenLayout
from attnviz_video.errors import UsageError
from attnviz_video.export.figures.filmstrip import draw_filmstrip, plan_strip
from attnviz_video.export.figures.fonts import FigureFonts
from attnviz_video.export.figures.look import WIDTHS, pt
from attnviz_video.export.figures.settings import FigureSettings
from attnviz_video.export.figures.sheet import Sheet
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.numbers import weight
from attnviz_video.render.settings import RenderSettings
from attnviz_video.testing.readback import peak_from_pixels
from attnviz_video.theme import theme
from tests.export.figures.figure_reading import LEAST_TEXT, SvgFigure, pdf_fonts
from tests.render.made import Made, make_scores

LONG = tuple(f" word{number}" for number in range(24))
TWO_IMAGES = Made(answer=LONG, image_sizes=((320, 200), (120, 300)), grids=((4, 6), (6, 3)))
COARSE = FigureSettings(dpi=100)


def strip_svg(
    folder: Path, scores: Scores, frames: tuple[int, ...], columns: int = 2, chosen_by: str = ""
) -> SvgFigure:
    drawn = draw_filmstrip(scores, frames, replace(COARSE, columns=columns), RenderSettings(), chosen_by)
    return SvgFigure(drawn.save(folder / "strip.svg", "svg"))


@pytest.mark.parametrize("columns", [1, 2])
def test_every_panel_has_its_step_its_pictures_their_shares_and_its_token(tmp_path: Path, columns: int) -> None:
    scores = make_scores(tmp_path, TWO_IMAGES)
    frames = (2, 9, 17, 20, 23)
    figure = strip_svg(tmp_path, scores, frames, columns)
    words = " ".join(figure.texts)
    for number in frames:
        assert figure.text_of(f"step{number + 1}") == f"step {number + 1}"
        assert figure.fill_of(f"step{number + 1}-unit-{number}-box") == theme("light").color("token.current")
        for image in (0, 1):
            assert f"{100 * scores.image_share(number)[image]:.1f} %" in words
            assert figure.has(f"step{number + 1}-picture{image + 1}")
    assert len(set(figure.ids)) == len(figure.ids)
    assert min(figure.text_sizes) >= LEAST_TEXT
    assert float(figure.root.get("width", "").removesuffix("pt")) == pytest.approx(WIDTHS[columns], abs=0.5)


def test_panels_have_the_colours_of_their_frames_on_one_scale(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(answer=LONG))
    Image.new("RGB", (320, 200), (90, 140, 200)).save(scores.trace.image_files[0])
    painter = FramePainter(scores, RenderSettings(width=1280, height=720, grid_lines=False))
    figure = strip_svg(tmp_path, scores, (0, 20))
    left, top, right, bottom = painter.patch_cells(0)[8].tolist()
    seen = []
    for number in (0, 20):
        picture = figure.picture(f"step{number + 1}-picture1")
        color = picture[3 * picture.shape[0] // 8, 5 * picture.shape[1] // 12]
        assert np.array_equal(color, painter.frame(number)[(top + bottom) // 2, (left + right) // 2])
        seen.append(tuple(color.tolist()))
    assert seen[0] != seen[1]
    assert figure.texts.count("one scale per video") == 1
    assert [text for text in figure.texts if text.startswith("≥")] == [f"≥ {weight(scores.scale(0).image_top)}"]


def test_the_token_stands_among_its_neighbours_and_what_follows_is_fainter(tmp_path: Path) -> None:
    figure = strip_svg(tmp_path, make_scores(tmp_path, Made(answer=LONG)), (10,))
    ink, faint = ("#{:02x}{:02x}{:02x}".format(*theme("light").color(name)) for name in ("ink", "ink.faint"))
    for number, color in ((8, ink), (9, ink), (11, faint)):
        assert figure.text_of(f"step11-unit-{number}") == f"word{number}"
        assert re.search(rf"fill: {color}[^>]*>word{number}<", figure.source)
    assert figure.text_of("step11-unit--1") == "……"


@pytest.mark.parametrize("columns", [1, 2])
def test_a_long_word_takes_no_more_lines_than_there_are(tmp_path: Path, columns: int) -> None:
    """An address or coordinates have no space to break at."""
    long = tuple(f"(5{number}0,500),(900,900)" for number in range(9))
    figure = strip_svg(tmp_path, make_scores(tmp_path, Made(answer=long)), (4,), columns)
    assert "(540,500),(900,900)".startswith(figure.text_of("step5-unit-4"))
    baselines = {
        element.get("y") for element in figure.root.iter() if element.text and element.text in "(540,500),(900,900)"
    }
    assert len(baselines - {None}) <= 2


def test_how_the_steps_were_chosen_is_said_where_nobody_named_them(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(answer=LONG))
    rule = "steps with most image attention, at least 3 apart"
    assert rule in strip_svg(tmp_path, scores, (0, 9), chosen_by=rule).text_of("caption-0")
    named = strip_svg(tmp_path, scores, (0, 9)).text_of("caption-0")
    assert named.startswith("24 steps in all · planted")


def test_one_panel_without_a_row_is_left_bare(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(analysis=AnalysisSettings(convention="reading")))
    figure = strip_svg(tmp_path, scores, (0, 5))
    with Image.open(scores.trace.image_files[0]) as file:
        corner = file.convert("RGB").getpixel((1, 1))
    assert tuple(figure.picture("step6-picture1")[1, 1].tolist()) == corner
    assert tuple(figure.picture("step1-picture1")[1, 1].tolist()) != corner
    assert figure.texts.count("no row") == 1


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("count", [1, 2, 5, 8, 13])
def test_panels_are_never_narrow_never_off_the_page_and_spread_over_their_rows(
    tmp_path: Path, count: int, columns: int
) -> None:
    scores = make_scores(tmp_path, TWO_IMAGES)
    sheet = Sheet(WIDTHS[columns], (255, 255, 255), FigureFonts(), 300)
    width = sheet.width - 2 * pt("margin")
    plan = plan_strip(sheet, scores, count, width)
    n_rows = -(-count // plan.per_row)
    assert plan.panel_width >= pt("panel.least")
    assert plan.per_row * plan.panel_width + (plan.per_row - 1) * pt("panel.gap") <= width + 0.01
    assert n_rows * plan.per_row - count < n_rows
    assert all(room.left + room.width <= plan.panel_width + sheet.dot for room in plan.rooms)


def test_a_trace_without_images_has_no_filmstrip(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(image_sizes=(), grids=()))
    sentence = "a filmstrip shows images and this trace has none; draw one step of its text with --step N"
    with pytest.raises(UsageError, match=sentence):
        draw_filmstrip(scores, (0, 2), COARSE, RenderSettings())


def test_frames_with_a_scale_each_have_no_filmstrip(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(analysis=AnalysisSettings(scale="per_frame")))
    sentence = "a filmstrip has one scale for all of its panels; leave out --scale per_frame, or draw one step"
    with pytest.raises(UsageError, match=sentence):
        draw_filmstrip(scores, (0, 2), COARSE, RenderSettings())


def test_chinese_is_text_with_its_font_and_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(answer=("图片", "里", "有", "一个", "红色", "的", "圆", "。")))
    figure = strip_svg(tmp_path, scores, (4,))
    assert figure.text_of("step5-unit-4") == "红色"
    first, second = (
        draw_filmstrip(scores, (0, 4), COARSE, RenderSettings()).save(tmp_path / f"{name}.pdf", "pdf")
        for name in ("a", "b")
    )
    assert first.read_bytes() == second.read_bytes()
    fonts = pdf_fonts(first)
    assert any("DroidSansFallback" in name for name in fonts)
    assert all(fonts.values())


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("sizes", [((320, 200),), ((320, 200), (120, 300)), ((320, 200),) * 4])
def test_captions_have_one_form_on_all_panels(tmp_path: Path, columns: int, sizes: tuple[tuple[int, int], ...]) -> None:
    """Images that have all of the row, hardly any of it, none, or something in between."""

    def row(step: int, layout: TokenLayout) -> np.ndarray:
        weights = np.full(layout.n_prompt + step, (0.0, 1e-7)[step % 2], dtype=np.float32)
        weights[layout.patch_positions(step % len(sizes))] = 1.0
        weights[layout.patch_positions((step + 1) % len(sizes))] += (0.0, 0.1)[step % 2]
        return weights

    scores = make_scores(tmp_path, Made(answer=LONG, image_sizes=sizes, grids=((4, 6),) * len(sizes), row=row))
    figure = strip_svg(tmp_path, scores, tuple(range(1, 9)), columns)
    told = [text for text in figure.texts if re.match(r"(< )?\d+\.\d %", text)]
    assert len(told) == 8 * len(sizes)
    assert len({re.sub(r"(< )?\d+\.\d %", "#", text) for text in told}) == 1
    names = [text for text in figure.texts if re.fullmatch(r"(image )?[1-4]", text)]
    assert len({re.sub(r"\d", "N", text) for text in names}) <= 1
    assert len(names) in (0, len(told))


@pytest.mark.parametrize(("share", "is_outlined"), [(0.098, False), (0.102, True)])
def test_a_peak_below_a_tenth_of_the_scale_is_not_outlined_as_on_frames(
    tmp_path: Path, share: float, is_outlined: bool
) -> None:
    """Step 0 sets the scale; on all others the heaviest patch has `share` of it."""

    def row(step: int, layout: TokenLayout) -> np.ndarray:
        weights = np.full(layout.n_prompt + step, 1e-4, dtype=np.float32)
        weights[layout.patch_positions(0)] = 0.5 if step == 0 else 1e-4
        weights[layout.patch_positions(0)[7]] = 0.5 if step == 0 else 0.5 * share
        return weights

    scores = make_scores(tmp_path, Made(answer=LONG, row=row))
    painter = FramePainter(scores, RenderSettings(width=1280, height=720))
    assert peak_from_pixels(painter, painter.frame(2), 0) == (7 if is_outlined else -1)
    outer = "#{:02x}{:02x}{:02x}".format(*theme("light").color("peak.outer"))
    rims = []
    for frames in ((2, 3), (2,)):
        # Lines between patches may have the colour of the rim.
        drawn = draw_filmstrip(scores, frames, COARSE, RenderSettings(grid_lines=False))
        rims.append(drawn.save(tmp_path / "bare.svg", "svg").read_text().count(f"stroke: {outer}"))
    assert rims[0] - rims[1] == (1 if is_outlined else 0)
