"""One HTML file out of the viewer's parts and data: no request leaves it, and no data in it can become code."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files

from attnviz_video.theme import theme

#: What stands in the head of every report of ours, so that a repeated run may replace it.
MARK = "attnviz_video report"
#: The parts of the viewer's program, in the order in which they are put together.
SCRIPTS = (
    "numbers", "scale", "store", "analysis", "state", "paint", "position_facts", "unit_boxes", "text_view", "cells",
    "picture_view", "strip_view", "inspector", "model_view", "line_weights", "head_view", "facts_view", "controls",
    "main",
)  # fmt: skip
#: Characters that end or begin a tag, and the line separators that old parsers of scripts know; JSON may escape them.
_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def page(title: str, data: Mapping[str, object], blocks: Iterable[tuple[str, str]]) -> str:
    """The whole report: `data` as JSON, and `blocks` (identifier, text), each in an element that is no program.

    The policy in the head forbids every request and every program but the one below, by its hash.
    """
    style, program = theme_variables() + part("report.css"), program_text()
    inert = "".join(f'<script type="text/plain" id="{name}">{text}</script>\n' for name, text in blocks)
    parts = {
        "@@MARK@@": MARK,
        "@@POLICY@@": policy(style, program),
        "@@TITLE@@": html.escape(" ".join(title.split())),
        "@@STYLE@@": style,
        "@@DATA@@": json_text(data),
        "@@BLOCKS@@": inert,
        "@@PROGRAM@@": program,
    }
    return fill("report.html", parts)


def fill(name: str, parts: Mapping[str, str]) -> str:
    """The file `name` of the viewer with its marks replaced; `parts` stand in the order of the marks."""
    # Cut at the first mark each time: a mark within a title or the data is text.
    rest, done = part(name), []
    for mark, text in parts.items():
        before, _, rest = rest.partition(mark)
        done += [before, text]
    return "".join([*done, rest])


def policy(style: str, program: str, *, images: str = "data:", further: Sequence[str] = ()) -> str:
    """Content Security Policy: this style and this program, `images` from there, `further` directives, nothing else."""
    directives = (
        "default-src 'none'", f"script-src '{_hash(program)}'", f"style-src '{_hash(style)}'", f"img-src {images}",
        *further, "base-uri 'none'", "form-action 'none'",
    )  # fmt: skip
    return "; ".join(directives)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def json_text(data: object) -> str:
    """JSON that may stand inside `<script>`: it holds no `<`, so that no token can end it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character, escape in _ESCAPED.items():
        text = text.replace(character, escape)
    # A lone surrogate, which a tokenizer may yield, cannot be UTF-8.
    return text.encode("utf-8", "replace").decode("utf-8")


def program_text() -> str:
    """The viewer's program: its parts in one closure, so that they see each other and nothing else does."""
    return program_of([f"report/{name}" for name in SCRIPTS])


def program_of(names: Iterable[str]) -> str:
    """The parts `names` of the viewer as one program, in this order."""
    return "(() => {\n'use strict';\n" + "\n".join(part(f"{name}.js") for name in names) + "\n})();\n"


def part(name: str) -> str:
    """A file of the viewer."""
    return (files("attnviz_video.export") / "viewer" / name).read_text(encoding="utf-8")


def theme_variables() -> str:
    """The colours of the video's light and dark themes as CSS variables: `--frame-background` and so on."""
    light, dark = (_declarations(name) for name in ("light", "dark"))
    return (
        f":root{{{light}}}\n:root[data-theme=dark]{{{dark}}}\n"
        f"@media (prefers-color-scheme: dark){{:root:not([data-theme=light]){{{dark}}}}}\n"
    )


def _declarations(name: str) -> str:
    colors = theme(name).colors
    declared = "".join(f"--{key.replace('.', '-')}:rgb{color};".replace(" ", "") for key, color in colors.items())
    return f"color-scheme:{name};{declared}"
