"""Commands and outputs that a page of the documentation shows, tried as a reader would."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
_PROGRAM = ("python", "visualize_heatmap.py")
#: A line that stands for any number of left-out lines.
LEFT_OUT = "…"
#: Weights are printed with four digits; the last one may differ on another machine.
ROUNDING = 0.0002
_NUMBER = re.compile(r"\d+\.\d+(?:e-\d+)?")


@dataclass(frozen=True)
class ShownCommand:
    """A command of a page, and what the page says it prints (None where it says nothing)."""

    words: tuple[str, ...]
    output: str | None

    def __str__(self) -> str:
        return shlex.join(self.words)


def shown_commands(page: Path) -> list[ShownCommand]:
    """The commands of all `bash` blocks; a `text` block after one is the output of its last command."""
    found: list[ShownCommand] = []
    for language, text in blocks(page):
        if language == "bash":
            lines = text.replace("\\\n", " ").splitlines()
            for line in lines:
                words = tuple(shlex.split(line, comments=True))
                if words:
                    assert words[:2] == _PROGRAM, f"{page.name}: {line}"
                    found.append(ShownCommand(words[2:], None))
        elif language == "text":
            found[-1] = ShownCommand(found[-1].words, text)
    return found


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Language and text of every fenced block."""
    return ((match[1], match[2]) for match in _BLOCK.finditer(page.read_text(encoding="utf-8")))


def prose(page: Path) -> str:
    """The page without its blocks, code and links."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    return re.sub(r"`[^`]*`|\]\([^)]*\)", "", text)


def differs(shown: str, printed: str) -> str:
    """What the page shows that was not printed there; empty where all is right."""
    rest = [line.rstrip() for line in printed.splitlines()]
    may_skip = False
    for line in map(str.rstrip, shown.splitlines()):
        if line.strip() == LEFT_OUT:
            may_skip = True
            continue
        place = next((place for place, other in enumerate(rest) if _is_same(line, other)), None)
        if place is None or (place and not may_skip):
            return f"shown: {line!r}\nprinted: {rest[:1]}"
        rest, may_skip = rest[place + 1 :], False
    return "" if may_skip or not any(rest) else f"printed after it: {rest[0]!r}"


def _is_same(shown: str, printed: str) -> bool:
    """Whether two lines have the same words, and numbers that a machine's rounding may have made of one another."""
    words, others = shown.split(), printed.split()
    return len(words) == len(others) and all(
        word == other or (_NUMBER.fullmatch(word) and _NUMBER.fullmatch(other) and _is_near(float(word), float(other)))
        for word, other in zip(words, others, strict=True)
    )


def _is_near(one: float, other: float) -> bool:
    return abs(one - other) <= ROUNDING


def numbers_without_source(page: Path) -> list[str]:
    """Decimal numbers of the prose that are no number of an output, rounded to as many digits."""
    outputs = " ".join(command.output or "" for command in shown_commands(page))
    known = [float(number) for number in re.findall(r"(?<![\w.])\d+\.\d+(?:e-\d+)?", outputs)]
    named = re.findall(r"(?<![\w.])\d+\.\d+(?![\w.]*\d)", prose(page))
    return [one for one in named if not any(round(value, len(one.partition(".")[2])) == float(one) for value in known)]
