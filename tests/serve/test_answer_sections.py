"""The sections of an answer that grows are, at its end, those of the report."""

from __future__ import annotations

import random

from attnviz_video.core.tokens import Token
from attnviz_video.core.units import display_units
from attnviz_video.models.segments import segments_of
from attnviz_video.render.sections import sections_of, shown_segments, unit_segments
from attnviz_video.serve.answer_sections import AnswerSections

PIECES = ("<think>", "</think>", "<answer>", "</answer>", "<", "think", ">", "</", "answer", "\n", " red", "", "好",
          "a>b", "<im_end>")  # fmt: skip


def reported(pieces: list[str], special: list[bool]) -> list[list[object]]:
    """The sections as the report has them: of display units, by the tokens of a finished answer."""
    tokens = [
        Token(number, 7, piece.encode() or b"\xe5", piece, "answer", segment, ends)
        for number, (piece, segment, ends) in enumerate(zip(pieces, segments_of(pieces), special, strict=True))
    ]
    units = display_units(tokens)
    sections = sections_of(shown_segments(units, unit_segments(units, tokens)))
    return [[units[section.unit].first, section.segment] for section in sections]


def pushed(pieces: list[str], special: list[bool]) -> list[list[object]]:
    sections, told = AnswerSections(), []
    for piece, ends in zip(pieces, special, strict=True):
        told = sections.push(piece, special=ends)
    return told


def at(sections: list[list[object]], token: int) -> object:
    """The segment that a token is shown in."""
    return [segment for first, segment in sections if int(str(first)) <= token][-1]


def test_they_are_those_of_the_report() -> None:
    for seed in range(300):
        chance = random.Random(seed)
        pieces = [chance.choice(PIECES) for _ in range(chance.randint(1, 24))] + ["."]
        special = [piece == "<im_end>" for piece in pieces]
        expected, found = reported(pieces, special), pushed(pieces, special)
        # Where a token that completes no character is shown is decided by the one that completes it.
        whole = [number for number, piece in enumerate(pieces) if piece]
        assert [at(found, token) for token in whole] == [at(expected, token) for token in whole], pieces


def test_a_tag_changes_what_came_before_it_when_it_ends() -> None:
    sections = AnswerSections()
    told = [sections.push(piece, special=False) for piece in ("<", "think", ">", " red", "</think", ">", "\n", "so")]
    other, think = [[0, "other"]], [[0, "think"]]
    assert told == [other, other, think, think, think, think, think, [[0, "think"], [7, "other"]]]


def test_characters_that_come_late_belong_to_the_token_before() -> None:
    sections = AnswerSections()
    sections.push("<think", special=False)
    assert sections.push("red", special=False, late=">") == [[0, "think"]]
