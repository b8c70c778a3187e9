"""The tokens of a figure: boxes in the colours of the frame, the bar under each, the current one in blue."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from attnviz_video.analysis.scale import level
from attnviz_video.analysis.scores import Scores
from attnviz_video.colormaps import level_steps
from attnviz_video.core.shown import shown_units
from attnviz_video.core.tokens import Segment
from attnviz_video.core.units import DisplayUnit, unit_edges, unit_sums
from attnviz_video.export.figures.look import pt
from attnviz_video.export.figures.sheet import Sheet
from attnviz_video.export.figures.text import PlacedFragment, TextSetter, words_of
from attnviz_video.render.fragments import Fragment, fragments
from attnviz_video.render.heat import token_heat
from attnviz_video.render.sections import sections_of, shown_segments, tag_parts, unit_segments
from attnviz_video.render.settings import RenderSettings
from attnviz_video.theme import Rgb, Theme, contrast

#: How much of the ink is left for marks and special tokens.
_FAINT = 0.7


@dataclass(frozen=True)
class TokenLook:
    """How one unit is painted."""

    #: None: no box.
    fill: Rgb | None
    ink: Rgb
    #: Height of the bar under the unit, 0 to 1.
    bar: float = 0.0
    hatched: bool = False
    current: bool = False


@dataclass(frozen=True)
class TextSeparator:
    """A line without text, on which a section of the text begins."""

    line: int
    label: str
    segment: Segment


@dataclass(frozen=True)
class ShownText:
    """The lines of text that a figure shows."""

    placed: tuple[PlacedFragment, ...]
    separators: tuple[TextSeparator, ...]
    #: Lines of the text that are left out before the first.
    first_line: int
    n_lines: int


def units_of(scores: Scores) -> tuple[DisplayUnit, ...]:
    """The units that the text panel shows."""
    return shown_units(scores.trace, scores.show_prompt)


def current_unit(units: Sequence[DisplayUnit], position: int) -> int:
    """Index of the unit that holds `position`, or of the last one before it; -1 before the first."""
    return int(np.searchsorted(unit_edges(units)[:, 0], position, side="right")) - 1


def set_text(scores: Scores, number: int, setter: TextSetter, width: float, most_lines: int) -> ShownText:
    """The text up to the current token of frame `number`, its last `most_lines` lines."""
    trace = scores.trace
    units = units_of(scores)
    current = current_unit(units, trace.n_prompt + scores.steps[number])
    segments = unit_segments(units, trace.tokens)
    parts = fragments(units, setter.fonts.visible, tag_parts(units, segments))
    sections = [section for section in sections_of(shown_segments(units, segments)) if section.unit <= current]
    stops = [*(section.unit for section in sections[1:]), current + 1]
    placed: list[PlacedFragment] = []
    separators: list[TextSeparator] = []
    for section, stop in zip(sections, stops, strict=True):
        line = placed[-1].line + 1 if placed else 0
        if section.label:
            separators.append(TextSeparator(line, section.label, section.segment))
            line += 1
        placed += setter.lines([part for part in parts if section.unit <= part.unit < stop], width, line)
    last = placed[-1].line if placed else 0
    first = max(0, last - most_lines + 1)
    seen = tuple(replace(part, line=part.line - first) for part in placed if part.line >= first)
    rules = tuple(replace(rule, line=rule.line - first) for rule in separators if rule.line >= first)
    return ShownText(seen, rules, first, last - first + 1)


def token_looks(scores: Scores, number: int, settings: RenderSettings, look: Theme) -> dict[int, TokenLook]:
    """How each unit up to the current one is painted in frame `number`: the weights, scale and colours of the video."""
    weights, scale = scores.frame(number), scores.scale(number)
    units = units_of(scores)
    current = current_unit(units, scores.trace.n_prompt + weights.step)
    levels = level(unit_sums(weights.text, unit_edges(units[: current + 1])), scale, "text")
    sheet = look.color("panel.background")
    ramp = token_heat(settings.colormap, settings.token_style, sheet).ramp(sheet)
    looks = {}
    for unit, (own, step) in enumerate(zip(levels.tolist(), level_steps(levels).tolist(), strict=True)):
        color: Rgb = (int(ramp[step][0]), int(ramp[step][1]), int(ramp[step][2]))
        if unit == current:
            looks[unit] = TokenLook(look.color("token.current"), look.color("token.current.ink"), current=True)
        elif units[unit].image >= 0:
            looks[unit] = TokenLook(look.color("chip"), look.color("ink"))
        elif np.isnan(own):
            ground = look.color("nan.ground") if weights.has_row else None
            looks[unit] = TokenLook(ground, look.color("ink"), hatched=weights.has_row)
        elif settings.token_style == "text":
            looks[unit] = TokenLook(None, color, own)
        else:
            looks[unit] = TokenLook(color, readable_ink(color, look), own)
    return looks


def readable_ink(ground: Rgb, look: Theme) -> Rgb:
    """Black or white letters, whichever contrasts more with their box."""
    dark, light = look.color("token.dark_letters"), look.color("token.light_letters")
    return dark if contrast(dark, ground) >= contrast(light, ground) else light


def draw_text(
    sheet: Sheet,
    text: ShownText,
    looks: dict[int, TokenLook],
    sinks: Sequence[int],
    setter: TextSetter,
    look: Theme,
    corner: tuple[float, float],
    right: float,
) -> None:
    """The boxes, bars and letters of `text` from `corner` on; `sinks` are units that carry the mark."""
    left, top = corner
    for part in text.placed:
        own = looks[part.part.unit]
        if not own.current:
            draw_token(sheet, part, own, setter, look, (left, top + part.line * setter.pitch))
    for part in text.placed:  # last, so that its outline lies over its neighbours
        own = looks[part.part.unit]
        if own.current:
            draw_token(sheet, part, own, setter, look, (left, top + part.line * setter.pitch))
    for part in text.placed:
        if part.part.unit in sinks:
            radius = pt("sink.radius")
            middle = (
                left + max(part.x + radius, part.end - radius),
                top + part.line * setter.pitch + pt("token.outline"),
            )
            sheet.disc(middle, radius, look.color("sink.fill"), look.color("sink.rim"), pt("sink.rim"))
    for separator in text.separators:
        _draw_separator(sheet, separator, setter, look, left, top + separator.line * setter.pitch, right)


def draw_token(
    sheet: Sheet,
    part: PlacedFragment,
    own: TokenLook,
    setter: TextSetter,
    look: Theme,
    corner: tuple[float, float],
    prefix: str = "",
) -> None:
    """One box with its letters; `corner` is where its line begins. `prefix` begins the ids in an SVG."""
    left, top = corner[0] + part.x, corner[1] + pt("token.outline")
    right, bottom = left + part.width, top + setter.box_height
    name = f"{prefix}unit-{part.part.unit}"
    ink = own.ink
    if own.fill is not None:
        sheet.box(
            (left, top, right, bottom),
            own.fill,
            rim=look.color("token.current.outline")
            if own.current
            else look.color("nan.stroke")
            if own.hatched
            else None,
            rim_width=pt("token.outline") if own.current else 0.0,
            radius=pt("token.radius"),
            hatch="/////" if own.hatched else None,
            name=f"{name}-box",
        )
        if part.part.faint and not own.current:
            ink = _mixed(own.fill, ink)
    if own.bar > 0:
        sheet.box(
            (left, bottom, right, bottom + own.bar * pt("token.bar")), look.color("token.bar"), name=f"{name}-bar"
        )
    middle = left + part.inset + setter.fonts.width(part.part.text, setter.size) / 2
    baseline = top + setter.fonts.ascent * setter.size
    sheet.words(middle, baseline, part.part.text, setter.size, ink, anchor="center", name=name)


def sink_units(scores: Scores) -> list[int]:
    """The units of the text panel that hold a sink."""
    units = units_of(scores)
    found = []
    for sink in scores.sinks:
        unit = current_unit(units, sink.position) if sink.image < 0 else -1
        if unit >= 0 and sink.position < units[unit].stop:
            found.append(unit)
    return found


def context_of(
    units: Sequence[DisplayUnit], first_answer: int, current: int, setter: TextSetter, width: float, most_lines: int
) -> list[PlacedFragment]:
    """The current unit with as many words of the answer around it as fit into `most_lines` lines, two before it for
    one after.

    `first_answer` is the position of the first answer token. Where the answer is cut stands "…" (of unit -1); newlines
    become spaces.
    """
    parts: list[Fragment] = []
    after_newline = False
    for part in fragments(units, setter.fonts.visible):
        if part.unit == current or (not part.newlines and units[part.unit].first >= first_answer):
            spaces = max(part.spaces, int(after_newline))
            parts.append(replace(part, newlines=0, spaces=spaces, breaks=part.breaks or after_newline))
        after_newline = part.newlines > 0
    words = list(words_of(parts))
    own = next(place for place, word in enumerate(words) if any(part.unit == current for part in word))
    first, stop = own, own + 1
    best = _window(words, first, stop, setter, width)
    if best[-1].line >= most_lines:  # a long stretch without a space: its own unit must do, cut where it must be
        words = [[replace(part, spaces=0) for part in words[own] if part.unit == current]]
        return [part for part in _window(words, 0, 1, setter, width) if part.line < most_lines]
    refused = 0
    for turn in itertools.cycle(("before", "before", "after")):
        wider = (max(0, first - 1), stop) if turn == "before" else (first, min(len(words), stop + 1))
        placed = _window(words, *wider, setter, width) if wider != (first, stop) else []
        if placed and placed[-1].line < most_lines:
            (first, stop), best, refused = wider, placed, 0
        else:
            refused += 1
        if refused == 3:  # a whole round
            return best
    return best


def _window(
    words: Sequence[Sequence[Fragment]], first: int, stop: int, setter: TextSetter, width: float
) -> list[PlacedFragment]:
    parts = [part for word in words[first:stop] for part in word]
    dots = Fragment(-1, "…", breaks=True)
    if first > 0:
        parts = [dots, replace(parts[0], spaces=1), *parts[1:]]
    if stop < len(words):
        parts.append(replace(dots, spaces=1))
    return setter.lines(parts, width)


def _draw_separator(
    sheet: Sheet, separator: TextSeparator, setter: TextSetter, look: Theme, left: float, top: float, right: float
) -> None:
    """A thin line with a word where the thinking, the answer or another part begins."""
    size = pt("small.text")
    middle = top + setter.pitch / 2
    baseline = middle + (sheet.fonts.ascent - sheet.fonts.height / 2) * size
    color = look.color("ink.soft" if separator.segment == "other" else f"gutter.{separator.segment}")
    sheet.words(left, baseline, separator.label, size, color)
    start = left + sheet.fonts.width(separator.label, size) + pt("line_gap")
    sheet.line((start, middle), (right, middle), look.color("panel.border"), pt("sheet.border"))


def _mixed(ground: Rgb, ink: Rgb) -> Rgb:
    red, green, blue = (round(below + (above - below) * _FAINT) for below, above in zip(ground, ink, strict=True))
    return red, green, blue
