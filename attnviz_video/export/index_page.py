"""The page of a batch run: one file that opens from disk, a card per sample; it asks no other machine for anything.

Text of datasets and models is data to this page: it travels as JSON that cannot end its element, and the page puts it
in as text. Controls and direction marks are written out, as they are on frames.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import quote

from attnviz_video.files import write_atomic
from attnviz_video.render.escape import code_point
from attnviz_video.theme import theme

#: What is known about an answer; `partial`: it got a part of the score.
Verdict = Literal["correct", "partial", "wrong", ""]
#: `unjudged`: whether the answer is right is not known; `unfinished`: no video yet.
Outcome = Literal["correct", "partial", "wrong", "unjudged", "failed", "unfinished"]

_FOLDER = Path(__file__).parent / "viewer"
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
#: Colours of `theme.py` that the page uses, as CSS variables of the same names.
_COLORS = (
    "frame.background", "panel.background", "panel.border", "panel.carried", "ink", "ink.soft", "ink.faint", "accent",
    "track", "notice",
)  # fmt: skip
#: Join letters and parts of an emoji; the browser draws what they ask for.
_JOINERS = frozenset({"\u200c", "\u200d"})
#: Characters that are looked at one by one.
_NOT_PLAIN = re.compile(r"[^ -~\n\t]")
_WRITTEN_OUT = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@dataclass(frozen=True)
class Card:
    """What the page shows of one sample; places are paths from the page's own folder."""

    index: int
    id: str
    outcome: Outcome
    question: str = ""
    #: What the response comes to, and the whole of it.
    answer: str = ""
    response: str = ""
    #: The right answer, where the dataset holds one.
    reference: str = ""
    judged_by: str = ""
    #: 0 to 1.
    share: float | None = None
    tokens: int | None = None
    seconds: float | None = None
    kind: Literal["generated", "replayed", ""] = ""
    error: str = ""
    #: About how the sample was read, shown on the card; and everything else that was told.
    cautions: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    thumbnail: str = ""
    poster: str = ""
    #: Words of the link, and the place.
    videos: tuple[tuple[str, str], ...] = ()
    trace: str = ""
    report: str = ""
    #: Known also where there is no video: of a sample that was only recorded, or could not be rendered.
    verdict: Verdict = ""
    #: What the dataset gives the answer, 0 to 1 as a rule.
    score: float | None = None


@dataclass(frozen=True)
class RunNotes:
    """What the page says about the run as a whole."""

    name: str
    subtitle: str
    #: When the page was written, in words.
    written: str
    #: Samples that were asked for and have not come to an end.
    left: int
    #: Samples that have a trace and wait for `render`.
    recorded: int
    #: Whether the run went on when the page was written.
    working: bool
    #: What an image share is the mean of.
    share_words: str = ""
    #: Names and values, the important ones and all.
    settings: Sequence[tuple[str, str]] = ()
    all_settings: Sequence[tuple[str, str]] = ()


def write_index_page(path: Path, notes: RunNotes, cards: Sequence[Card]) -> None:
    """Write the page as a whole.

    Raises:
        DiskFullError, EnvironmentFault: it cannot be written.
    """
    write_atomic(path, index_page(notes, cards).encode("utf-8"))


def index_page(notes: RunNotes, cards: Sequence[Card]) -> str:
    """The page as HTML."""
    style = color_variables() + _part("index.css")
    script = _part("index.js")
    data = {**_plain(asdict(notes)), "cards": [card_data(card) for card in cards]}
    parts = {
        "policy": content_policy(style, script),
        "title": html.escape(visible(notes.name)),
        "style": style,
        "script": script,
        "data": embedded_json(data),
    }
    # One pass: what is put in is not searched for placeholders again.
    return _PLACEHOLDER.sub(lambda found: parts[found[1]], _part("index.html"))


def card_data(card: Card) -> dict[str, object]:
    """A card as the page reads it: texts made visible, places as relative addresses."""
    table = _plain(asdict(card))
    for name in ("thumbnail", "poster", "trace", "report"):
        table[name] = address(str(getattr(card, name)))
    table["videos"] = [[visible(words), address(place)] for words, place in card.videos]
    return table


def embedded_json(data: object) -> str:
    """JSON for a `<script>` element: without `<`, so that no text can end the element; ASCII, so in any encoding."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def visible(text: str) -> str:
    """`text` with controls, escapes, direction marks and half characters written out as `⟨U+XXXX⟩`."""
    return _NOT_PLAIN.sub(_shown, text.replace("\r\n", "\n"))


def _shown(found: re.Match[str]) -> str:
    character = found[0]
    keep = character in "\n\t" or character in _JOINERS
    return character if keep or unicodedata.category(character) not in _WRITTEN_OUT else code_point(character)


def address(place: str) -> str:
    """A path below the page's folder as a relative address; empty where it is none, or leads elsewhere."""
    path = PurePosixPath(place)
    controls = any(unicodedata.category(character) in ("Cc", "Cs") for character in place)
    if not place or path.is_absolute() or ".." in path.parts or controls:
        return ""
    # "./": what comes first is never taken for the name of a protocol.
    return "./" + quote(path.as_posix()) + ("/" if place.endswith("/") else "")


def content_policy(style: str, script: str) -> str:
    """What the browser lets this page do: its own style and script, pictures and videos beside it, nothing else."""
    return (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src 'self' file:; media-src 'self' file:; base-uri 'none'; form-action 'none'"
    )


def color_variables() -> str:
    """The colours of the light theme as CSS variables, and those of the dark one for readers who prefer dark."""
    light, dark = ("".join(_variable(name, look) for name in _COLORS) for look in ("light", "dark"))
    return f":root{{{light}}}\n@media (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"


def _variable(name: str, look: str) -> str:
    red, green, blue = theme(look).color(name)
    return f"--{name.replace('.', '-')}:rgb({red} {green} {blue});"


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _plain(table: Mapping[str, object]) -> dict[str, object]:
    return {name: _visible_value(value) for name, value in table.items()}


def _visible_value(value: object) -> object:
    if isinstance(value, str):
        return visible(value)
    return [_visible_value(one) for one in value] if isinstance(value, list | tuple) else value


def _part(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
