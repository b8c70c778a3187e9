"""Plot `heads`: every recorded head of a layer side by side, as small matrices or, with `--step`, as image maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from attnviz_video.analysis.head_images import HeadImages, head_images
from attnviz_video.analysis.matrices import matrix_levels, treated
from attnviz_video.analysis.scale import level
from attnviz_video.analysis.scores import shown_steps
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.export.figures.legend import draw_named_marks
from attnviz_video.export.figures.look import pt
from attnviz_video.export.figures.pictures import (
    PictureRoom,
    PictureSettings,
    draw_grid,
    draw_marks,
    heated,
    picture_rooms,
)
from attnviz_video.export.figures.sheet import Sheet
from attnviz_video.export.figures.step_figure import Drawn
from attnviz_video.export.plots.heat_map import HeatMap, column_widths, draw_parting_lines, paint
from attnviz_video.export.plots.heat_map import cell_edges as point_edges
from attnviz_video.export.plots.look import PlotLook
from attnviz_video.export.plots.matrix import (
    draw_matrix_bars,
    layer_words,
    lines_of_first_sentence,
    matrix_words,
    read_matrix,
    row_title,
    scale_words,
)
from attnviz_video.export.plots.parts import (
    bar_height,
    draw_bar,
    draw_notes,
    draw_title,
    draw_words,
    line_height,
    weight_bar,
)
from attnviz_video.export.plots.request import PlotRequest
from attnviz_video.render.image_view import read_image, view_picture
from attnviz_video.render.numbers import percent
from attnviz_video.render.pictures import pictures_of

#: Points of the narrowest and of the widest panel.
_LEAST, _WIDEST = 50.0, 165.0
#: Greatest height of a panel for its width; of all panels for the width of the plot, and in points.
_TALLEST = 1.4
_HIGHEST = 0.75
_ALL_ROWS = 560.0
_GAP = 6.0


@dataclass(frozen=True)
class Grid:
    """Where the panels of equal size stand, in points."""

    per_row: int
    width: float
    left: float

    def corner(self, number: int, top: float, height: float) -> tuple[float, float]:
        """Upper left corner of panel `number` of `height` points in all."""
        row, column = divmod(number, self.per_row)
        return self.left + column * (self.width + _GAP), top + row * (height + _GAP)


def heads_name(request: PlotRequest) -> str:
    """`attention_heads_layer20`, `attention_heads_step12_layer20`."""
    step = "" if request.settings.step is None else f"_step{request.step_number}"
    return f"attention_heads{step}_layer{request.layer}"


def draw_heads(request: PlotRequest) -> Drawn:
    """The heads of one layer, in the order of their numbers, on one scale.

    Raises:
        UsageError: one head is asked for, or a step without images or a row.
        TraceError: the heads were not recorded one by one, or the rows that are wanted.
        ImageError: an image of the trace cannot be read.
    """
    if request.analysis.head != "mean":
        raise UsageError(
            f"--head {request.analysis.head}: --what heads shows every recorded head; leave out --head, "
            "or draw one with --what matrix"
        )
    if request.settings.step is None:
        return _draw_matrices(request)
    if request.layer not in request.trace.header.head_layers:
        raise TraceError(
            f"the heads of layer {request.layer} were not recorded one by one in this trace; record again with "
            f"--layers {request.layer}"
        )
    if not request.trace.layout.images:
        raise UsageError("--step: this trace has no image to show the heads on; leave out --step for their matrices")
    return _draw_images(request)


def grid_of(sheet: Sheet, count: int, height_of: Callable[[float], float], more: float = 0.0) -> Grid:
    """Panels as wide as they can be without the plot becoming higher than a part of its width, in even rows.

    `height_of` gives the height of a panel, its number included, for its width; `more` is what large text adds to each.
    """
    room = sheet.width - 2 * pt("margin")
    most = max(1, min(count, int((room + _GAP) // (_LEAST + _GAP))))
    fewest = -(-count // -(-count // most))
    found = Grid(fewest, (room - (fewest - 1) * _GAP) / fewest, pt("margin"))
    for per_row in sorted({-(-count // n_rows) for n_rows in range(-(-count // most), count + 1)}):
        width = (room - (per_row - 1) * _GAP) / per_row
        if width <= _WIDEST and -(-count // per_row) * (height_of(width) - more + _GAP) <= _HIGHEST * sheet.width:
            return replace(found, per_row=per_row, width=width)
    return replace(found, width=min(_WIDEST, found.width))


def _more_height(sheet: Sheet, look: PlotLook) -> float:
    """Points by which the line over a panel is higher than in the program's own text size."""
    return max(0.0, look.text("label") - pt("label.text")) * sheet.fonts.height


def _draw_matrices(request: PlotRequest) -> Drawn:
    matrix = read_matrix(request, None)
    levels, scale = matrix_levels(treated(matrix, request.analysis.sinks), matrix, request.analysis)
    heads = request.trace.header.heads
    sheet, look, margin = request.sheet(), request.look, pt("margin")
    start = draw_title(request, sheet, margin)
    head_line = line_height(sheet, look, "label") + pt("line_gap") / 2
    shape = min(max(len(matrix.queries) / max(1, len(matrix.keys)), 0.5), _TALLEST)
    grid = grid_of(sheet, len(heads), lambda width: head_line + width * shape, _more_height(sheet, look))
    wide = [line.image >= 0 and line.patch < 0 for line in matrix.keys]
    x_edges = point_edges(sheet, column_widths(wide, grid.width, least=grid.width / 20, widest=grid.width))
    n_lines = -(-len(heads) // grid.per_row)
    room = (_ALL_ROWS - n_lines * (head_line + _GAP)) / n_lines
    height = min(grid.width * shape, room)
    y_edges = point_edges(sheet, [height / len(matrix.queries)] * len(matrix.queries))
    rows_before, columns_before = (
        lines_of_first_sentence(request.trace, lines) for lines in (matrix.queries, matrix.keys)
    )
    notes: tuple[str, ...] = ()
    for place, (number, head) in enumerate(sorted((head, number) for number, head in enumerate(heads))):
        left, top = grid.corner(place, start, head_line + height)
        draw_words(sheet, look, (left, top), f"head {number}", "label", bold=True, name=f"head-{number}")
        left, top = sheet.snapped(left), sheet.snapped(top + head_line)
        heat = HeatMap(levels[head], matrix.seen, (), (), rows_before=rows_before, columns_before=columns_before)
        pixels, notes = paint(heat, look, x_edges, y_edges)
        sheet.picture(left, top, pixels, f"cells-{number}")
        box = (left, top, left + x_edges[-1] * sheet.dot, top + y_edges[-1] * sheet.dot)
        draw_parting_lines(sheet, look, heat, box, x_edges, y_edges, f"parting-{number}")
        sheet.box(box, None, rim=look.color("image.border"), rim_width=look.border_width)
    top = start + n_lines * (head_line + height + _GAP)
    top = draw_matrix_bars(request, sheet, matrix, scale, top)
    axes = f"rows from above: {row_title(request)}; columns from the left: key"
    words = [*matrix_words(request, matrix, _which(request)), axes, *scale_words(request, matrix)]
    words = ["" if word.startswith("purple") else word for word in words]
    height = draw_notes(request, sheet, [*words, *notes], top)
    return request.drawn(sheet, height, f"heads of layer {request.layer}")


def _draw_images(request: PlotRequest) -> Drawn:
    step = request.step
    assert step is not None
    found = head_images(request.trace, request.layer, step, request.analysis)
    sheet, look, margin = request.sheet(), request.look, pt("margin")
    start = draw_title(request, sheet, margin)
    head_line = line_height(sheet, look, "label") + pt("line_gap") / 2
    sizes = [picture.size for picture in pictures_of(request.trace.layout, request.analysis.areas)]

    def rooms_of(width: float) -> tuple[list[PictureRoom], float]:
        return picture_rooms(sheet, sizes, width, width * _TALLEST, captions=False)

    grid = grid_of(sheet, len(found.heads), lambda width: head_line + rooms_of(width)[1], _more_height(sheet, look))
    rooms, height = rooms_of(grid.width)
    size, label = look.text("small"), look.text("label")
    shares = [percent(float(own.sum())) for own in found.shares]
    right = max(room.left + room.width for room in rooms)
    # "head 12  43.2 %" where that fits over every panel, else "12  43.2 %".
    widest = sheet.fonts.width(f"head {max(found.heads)}  ", label, bold=True)
    widest += max(sheet.fonts.width(share, size) for share in shares)
    before = "head " if widest <= right else ""
    for place, (number, head) in enumerate(sorted((head, number) for number, head in enumerate(found.heads))):
        left, top = grid.corner(place, start, head_line + height)
        draw_words(sheet, look, (left, top), f"{before}{number}", "label", bold=True, name=f"head-{number}")
        end, baseline = left + right, top + sheet.fonts.ascent * label
        sheet.words(end, baseline, shares[head], size, look.color("ink.soft"), anchor="right", name=f"share-{number}")
        _draw_pictures(request, sheet, found, head, rooms, (left, top + head_line), f"head{number}")
    n_lines = -(-len(found.heads) // grid.per_row)
    top = start + n_lines * (head_line + height + _GAP)
    heat = PictureSettings(request.picture_render, look.theme).heat
    what = "attention over its mean" if request.analysis.sinks == "relative" else "attention"
    bar = weight_bar(f"{what} per image patch", found.scale, "image", "one scale for all heads")
    draw_bar(sheet, look, bar, (margin, top), sheet.width - 2 * margin, "bar-1", heat.ramp(look.color("ramp.ground")))
    top += bar_height(sheet, look) + pt("line_gap")
    marked = request.analysis.sinks == "raw" and any(sink.image >= 0 for sink in found.sinks)
    holes = any(bool((~np.isfinite(weights)).any()) for weights in found.images)
    names = ["peak patch", *(["attention sink"] if marked else []), *(["no value"] if holes else [])]
    top += draw_named_marks(sheet, names, look.theme, margin, top, sheet.width - 2 * margin, size,
                            look.color("ink.soft"))  # fmt: skip
    top += pt("line_gap")
    piece = request.trace.tokens[request.trace.n_prompt + step].piece.strip()
    rows = "row that produced" if request.analysis.convention == "predicting" else "row of"
    sinks = {"raw": "", "mask": "sinks left out", "relative": "weights over the mean of their patch"}
    words = [
        f"step {request.step_number} of {len(shown_steps(request.trace))}: {rows} “{piece}”",
        layer_words(request),
        _which(request),
        "beside the number of each head: share of its row on the images",
        sinks[request.analysis.sinks],
    ]
    height = draw_notes(request, sheet, words, top)
    return request.drawn(sheet, height, f"heads of layer {request.layer} at step {request.step_number}")


def _draw_pictures(
    request: PlotRequest, sheet: Sheet, found: HeadImages, head: int, rooms: list[PictureRoom],
    corner: tuple[float, float], name: str,
) -> None:  # fmt: skip
    """The images under the weights of one head, as the video paints them."""
    trace, look = request.trace, request.look
    settings = PictureSettings(request.picture_render, look.theme)
    for place, (picture, room) in enumerate(zip(pictures_of(trace.layout, request.analysis.areas), rooms, strict=True)):
        dots = max(1, round(room.width / sheet.dot)), max(1, round(room.height / sheet.dot))
        source = read_image(trace.image_files[picture.image])
        view = view_picture(source, picture, trace.layout, (0, 0, *dots), dots, look.theme)
        left, top = sheet.snapped(corner[0] + room.left), sheet.snapped(corner[1] + room.top)
        weights = found.images[picture.image][head]
        levels = level(weights, found.scale, "image")
        pixels = heated(view, levels, settings)
        sheet.picture(left, top, pixels, f"{name}-picture{place + 1}")
        box = (left, top, left + pixels.shape[1] * sheet.dot, top + pixels.shape[0] * sheet.dot)
        if settings.render.grid_lines and not settings.render.smooth:
            draw_grid(sheet, view, box)
        sheet.box(box, None, rim=look.color("image.border"), rim_width=pt("image.border"))
        marked = found.sinks if request.analysis.sinks == "raw" else ()
        draw_marks(sheet, marked, weights, view, (left, top), levels, look.theme)


def _which(request: PlotRequest) -> str:
    """How many of the heads these are."""
    n_heads, heads = request.trace.header.model.n_heads, request.trace.header.heads
    return f"all {n_heads} heads" if len(heads) == n_heads else f"the {len(heads)} recorded of {n_heads} heads"
