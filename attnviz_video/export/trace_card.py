"""A trace at a glance, as a notebook shows it: who was asked what about which images, and what was answered.

Plain HTML without a program or a style sheet, since pages that show notebooks take those away. Where nothing else is
said the page's own colours are taken, so that the card is read on dark and on light ground.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attnviz_video.colormaps import colormap, level_steps
from attnviz_video.core.shown import shown_units
from attnviz_video.core.trace import TraceData
from attnviz_video.core.units import DisplayUnit, display_units
from attnviz_video.export.displayed import link
from attnviz_video.export.report.facts import ranges
from attnviz_video.export.report.text import plain_text
from attnviz_video.render.escape import NEWLINE_MARK, special_tag
from attnviz_video.render.numbers import percent
from attnviz_video.theme import Rgb, contrast, theme

#: More of an answer, of a question and of images is counted, not shown.
MOST_UNITS = 400
MOST_CHARACTERS = 600
MOST_IMAGES = 6
#: Longest side of an image in pixels, which is twice that on the page.
_IMAGE_SIDE, _IMAGE_QUALITY = 320, 80
#: The colour map of the tokens: even in brightness, and read by everybody.
_COLORMAP = "cividis"
_CARD = "border:1px solid rgba(128,128,128,.45);border-radius:8px;padding:12px 16px;max-width:960px;line-height:1.5"
_SOFT = "opacity:.72;font-size:.9em"
_IMAGE = "max-height:160px;max-width:240px;border-radius:4px;vertical-align:middle;margin-right:6px"
_SPECIAL = "opacity:.6;margin:0 3px"
_TOKEN = "border-radius:3px;padding:1px 2px"


@dataclass(frozen=True)
class Colored:
    """A number for every answer token, and what it is."""

    name: str
    #: None where a token has none.
    values: Sequence[float | None]
    #: The number that takes the last colour.
    top: float


def trace_card(trace: TraceData, folder: Path) -> str:
    """The card of the trace in `folder`; tokens of the answer are coloured by their attention to the images.

    Without images, or without recorded scalars, they are coloured by the probability they were written with.
    """
    header = trace.header
    name, question = plain_text(header.model.short_name), plain_text(header.sample.problem or "")
    parts = [
        f"<div><b>{_text(name)}</b> <span style='{_SOFT}'>{_text(_size_words(trace))}</span></div>",
        _images(trace),
        f"<div style='margin:6px 0;white-space:pre-wrap'>{_text(_cut(question))}</div>" if question else "",
        _answer(trace),
        f"<div style='{_SOFT};margin-top:8px'>{link(folder)}{_what_to_do(trace)}</div>",
    ]
    return f"<div style='{_CARD}'>{''.join(parts)}</div>"


def _what_to_do(trace: TraceData) -> str:
    """What can be made of the trace, as it is typed."""
    of_steps = [".video()", ".figure(step=1)"] if trace.steps else []
    return "".join(f" · <code>{call}</code>" for call in (".report()", *of_steps, ".plot()", ".table()"))


def _size_words(trace: TraceData) -> str:
    """Layers, heads, tokens, and whether the recording is whole."""
    header = trace.header
    words = [
        f"{header.model.n_layers} layers × {header.model.n_heads} heads",
        f"{trace.n_prompt} tokens, one pass over a text"
        if header.kind == "encoding"
        else f"{trace.n_prompt} prompt and {len(trace.steps)} answer tokens",
        f"heads of {ranges(header.head_layers, 'layer') or 'no layer'} recorded",
    ]
    if header.kind == "replay":
        words.append("replayed answer")
    if trace.status != "complete":
        words.append("incomplete")
    return " · ".join(words)


def _images(trace: TraceData) -> str:
    shown = []
    for info, path in list(zip(trace.layout.images, trace.image_files, strict=True))[:MOST_IMAGES]:
        source = _thumbnail(path)
        words = _text(plain_text(f"{info.name}, {info.width} × {info.height}"))
        if source is not None:
            shown.append(f"<img src='{source}' alt='{words}' title='{words}' style='{_IMAGE}'>")
    rest = len(trace.image_files) - len(shown)
    if rest:
        shown.append(f"<span style='{_SOFT}'>and {rest} more {'image' if rest == 1 else 'images'}</span>")
    return f"<div style='margin:8px 0'>{' '.join(shown)}</div>" if shown else ""


def _thumbnail(path: Path) -> str | None:
    """The image in small as a data URL; None where the file is gone or damaged, which a card need not die of."""
    from PIL import Image

    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except OSError:
        return None
    picture.thumbnail((_IMAGE_SIDE, _IMAGE_SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_IMAGE_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _answer(trace: TraceData) -> str:
    """The answer, each unit on the colour of its number, and what the colours mean; the text where there is none."""
    units = display_units(trace.tokens[trace.n_prompt :]) or shown_units(trace, "full")
    colored = coloring(trace)
    shown = "".join(_unit(unit, trace.n_prompt, colored) for unit in units[:MOST_UNITS])
    more = len(units) - MOST_UNITS
    rest = f" <span style='{_SOFT}'>… and {more} more</span>" if more > 0 else ""
    text = f"<div style='white-space:pre-wrap;margin:6px 0;line-height:1.75'>{shown}{rest}</div>"
    return text + (_legend(colored) if colored else "")


def coloring(trace: TraceData) -> Colored | None:
    """What the answer's tokens are coloured by; None where the trace knows nothing of that kind."""
    layer = (trace.header.shown_layers or trace.header.head_layers or (-1,))[0]
    if trace.layout.images and layer in trace.header.scalar_layers:
        place = trace.header.scalar_layers.index(layer)
        shares = [
            None if step.scalars is None else float(step.scalars.image_share[place].sum(axis=-1).mean())
            for step in trace.steps
        ]
        known = [share for share in shares if share is not None and math.isfinite(share)]
        if known:
            name = f"share of attention on {'the image' if len(trace.layout.images) == 1 else 'the images'}"
            return Colored(f"{name}, layer {layer}, mean over heads", shares, max(known) or 1.0)
    chances = [math.exp(step.log_probability) for step in trace.steps]
    if not any(map(math.isfinite, chances)):
        return None
    return Colored("probability of the token", chances, 1.0)


def _unit(unit: DisplayUnit, n_prompt: int, colored: Colored | None) -> str:
    """The text of a unit in a box; spaces before a word stand outside of it, line breaks are marked in it."""
    text = plain_text(unit.text)
    inner = text.lstrip(" ") or text
    words = _text(special_tag(inner) if unit.special else inner.replace("\n", NEWLINE_MARK))
    before, after = " " * (len(text) - len(inner)), "\n" * inner.count("\n")
    step = unit.stop - 1 - n_prompt
    value = colored.values[step] if colored is not None and step >= 0 else None
    if colored is None or value is None or not math.isfinite(value):
        shown = f"<span style='{_SPECIAL}'>{words}</span>" if unit.special else words
        return f"{before}{shown}{after}"
    tip = _text(f"{percent(value)} {colored.name}")
    return f"{before}<span title='{tip}' style='{_colors(value / colored.top)};{_TOKEN}'>{words}</span>{after}"


def _colors(level: float) -> str:
    """The ground and the letters of a level from 0 to 1, as CSS."""
    red, green, blue = colormap(_COLORMAP)[level_steps(np.array([level]))[0]].tolist()
    ground: Rgb = (red, green, blue)
    light = theme("light")
    inks = (light.color("token.dark_letters"), light.color("token.light_letters"))
    ink = max(inks, key=lambda one: contrast(one, ground))
    return f"background:rgb{ground};color:rgb{ink}".replace(" ", "")


def _legend(colored: Colored) -> str:
    ramp = "".join(
        f"<span style='{_colors(level / 7)};display:inline-block;width:16px;height:10px'></span>" for level in range(8)
    )
    return f"<div style='{_SOFT}'>0 {ramp} {percent(colored.top)} · {_text(colored.name)}</div>"


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} …"


def _text(text: str) -> str:
    """Text as HTML: it can neither end an attribute nor begin an element; half of a surrogate pair is replaced."""
    return html.escape(text.encode("utf-8", "replace").decode("utf-8"))
