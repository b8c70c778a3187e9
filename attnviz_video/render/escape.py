"""What is shown for characters that have no look of their own, or whose look could deceive.

Controls, escapes and direction marks are written out, so that text a model produced can neither reorder
what stands around it nor vanish. Nothing is interpreted: `\\x1b[31m` is shown, not obeyed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

#: Other controls, format characters (bidi marks, joiners), surrogates, private use, unassigned, separators.
_WRITTEN_OUT = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
#: Choose between forms of the character before them and have no look of their own.
_VARIATION_SELECTORS = frozenset(range(0xFE00, 0xFE10))

#: From here on, symbols are pictures.
_FIRST_PICTURE = 0x1F000

NEWLINE_MARK = "⏎"
TAB_MARK = "⇥"
SPACE_MARK = "␣"
#: What a combining mark stands on when its letter belongs to another token.
MARK_CARRIER = "\u25cc"


def code_point(character: str) -> str:
    """`⟨U+1F9E0⟩` for 🧠."""
    return f"⟨U+{ord(character):04X}⟩"


def visible(text: str, drawable: Callable[[str], bool]) -> str:
    """`text` with everything that cannot be drawn as itself written out as `⟨U+XXXX⟩`; tabs become `⇥`.

    `drawable` tells for one character whether some font has it. Newlines are the caller's business and
    become `⏎` here. A mark that combines with a letter of the token before it stands on a dotted circle.
    """
    shown = []
    for number, character in enumerate(text):
        if character == "\t":
            shown.append(TAB_MARK)
        elif character == "\n":
            shown.append(NEWLINE_MARK)
        elif ord(character) in _VARIATION_SELECTORS:
            shown.append("" if number > 0 else code_point(character))
        elif unicodedata.category(character) in _WRITTEN_OUT or not drawable(character):
            shown.append(code_point(character))
        else:
            shown.append(MARK_CARRIER + character if number == 0 and is_mark(character) else character)
    return "".join(shown)


def is_mark(character: str) -> bool:
    """Whether `character` is drawn onto the one before it."""
    return unicodedata.category(character) in ("Mn", "Me")


def script_of(character: str) -> str:
    """The script of `character` as its Unicode name begins: "DEVANAGARI", "EGYPTIAN"; "emoji" for pictures, whose names
    begin with what they show; "other" if it has no name.
    """
    if ord(character) >= _FIRST_PICTURE and unicodedata.category(character) in ("So", "Sk"):
        return "emoji"
    return unicodedata.name(character, "other").split(" ")[0]


def special_tag(text: str) -> str:
    """The short form of a special token: `‹im_end›` for `<|im_end|>`."""
    inner = text.strip()
    for opening, closing in (("<|", "|>"), ("<", ">"), ("[", "]")):
        if inner.startswith(opening) and inner.endswith(closing) and len(inner) > len(opening) + len(closing):
            return f"‹{inner[len(opening) : -len(closing)]}›"
    return text
