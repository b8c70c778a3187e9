"""The text of a report: display units and tokens, with nothing in them that a page could obey or that hides."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz_video.core.shown import ShowPrompt, shown_units
from attnviz_video.core.tokens import Token
from attnviz_video.core.trace import TraceData
from attnviz_video.core.units import DisplayUnit
from attnviz_video.render.escape import special_tag, visible
from attnviz_video.render.sections import shown_segments, unit_segments

#: How much of the prompt the page can show.
MODES: tuple[ShowPrompt, ...] = ("full", "phrase", "none")


def plain_text(text: str) -> str:
    """`text` with controls, direction marks and the like written out as `⟨U+202E⟩`; newlines stay."""
    return "\n".join(visible(line, lambda character: True) for line in text.split("\n"))


def unit_lists(trace: TraceData) -> dict[str, list[list[object]]]:
    """The display units of each mode as [first, stop, text, special, image, segment]."""
    return {mode: _units(shown_units(trace, mode), trace.tokens) for mode in MODES}


def _units(units: Sequence[DisplayUnit], tokens: Sequence[Token]) -> list[list[object]]:
    segments = shown_segments(units, unit_segments(units, tokens))
    return [
        [unit.first, unit.stop, _unit_text(unit), int(unit.special), unit.image, segment]
        for unit, segment in zip(units, segments, strict=True)
    ]


def _unit_text(unit: DisplayUnit) -> str:
    text = plain_text(unit.text)
    return special_tag(text) if unit.special and unit.image < 0 else text


def token_columns(tokens: Sequence[Token]) -> dict[str, object]:
    """Every position of prompt and answer, column by column; patches have no text of their own."""
    return {
        "ids": [token.id for token in tokens],
        "pieces": [None if token.patch >= 0 else piece_text(token) for token in tokens],
        "roles": [token.role for token in tokens],
    }


def piece_text(token: Token) -> str:
    """What one token stands for: its characters, or its bytes where it completes none."""
    if token.piece:
        return plain_text(token.piece)
    return "".join(f"<0x{byte:02X}>" for byte in token.raw)
