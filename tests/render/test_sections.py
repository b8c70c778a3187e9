from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from attnviz_video.core.tokens import Segment, Token
from attnviz_video.core.units import DisplayUnit, display_units
from attnviz_video.models.segments import segments_of
from attnviz_video.render import sections
from attnviz_video.render.sections import Section, TagPart, sections_of, shown_segments, tag_parts, unit_segments


def _units(
    answer: Sequence[str], prompt: Sequence[str] = ()
) -> tuple[tuple[DisplayUnit, ...], tuple[Segment, ...], tuple[Segment, ...]]:
    segments: list[Segment] = [*(["prompt"] * len(prompt)), *segments_of(answer)]  # type: ignore[list-item]
    tokens = [
        Token(number, number, piece.encode() or b"\xe7", piece, "answer", segment, special=piece.startswith("<|"))
        for number, (piece, segment) in enumerate(zip((*prompt, *answer), segments, strict=True))
    ]
    units = display_units(tokens)
    own = unit_segments(units, tokens)
    return units, own, shown_segments(units, own)


REASONED = ("<think", ">", "\n", "Red", "</", "think", ">", "\n", "<answer", ">", " 3", "</answer>", "<|im_end|>")


def test_thinking_and_answer_are_sections() -> None:
    _, _, shown = _units(REASONED)
    assert sections_of(shown) == (Section(0, "think", "thinking"), Section(8, "answer", "answer"))


def test_white_space_and_special_tokens_between_sections_make_none() -> None:
    assert _units(REASONED)[2] == ("think",) * 8 + ("answer",) * 5
    assert _units(("\n", *REASONED))[2][0] == "think"


@pytest.mark.parametrize(
    ("answer", "prompt", "expected"),
    [
        (("Red", " one"), (), [("other", "")]),
        (("Red", " one"), ("What", "?"), [("prompt", ""), ("other", "response")]),
        (("<think>", "a", "</think>", "\n\n", "Red"), (), [("think", "thinking"), ("other", "response")]),
        (
            ("Well", "<think>", "a", "</think>", "<answer>", "b", "</answer>"), ("What",),
            [("prompt", ""), ("other", "response"), ("think", "thinking"), ("answer", "answer")],
        ),
        ((), (), []),
    ],
)  # fmt: skip
def test_labels(answer: Sequence[str], prompt: Sequence[str], expected: list[tuple[str, str]]) -> None:
    found = sections_of(_units(answer, prompt)[2])
    assert [(section.segment, section.label) for section in found] == expected


def test_the_report_calls_segments_by_the_same_names() -> None:
    folder = Path(sections.__file__).parents[1] / "export"
    assert '"segmentNames": dict(SEGMENT_NAMES)' in (folder / "report" / "data.py").read_text(encoding="utf-8")
    for name in ("text_view", "strip_view"):
        assert "data.segmentNames[" in (folder / "viewer" / "report" / f"{name}.js").read_text(encoding="utf-8")


def test_a_tag_that_several_tokens_spell_has_a_part_in_each() -> None:
    units, own, _ = _units(REASONED)
    parts = tag_parts(units, own)
    assert parts[0] == (TagPart(0, 6, "think", True, False),)
    assert parts[1] == (TagPart(0, 1, "think", False, True),)
    assert [(part.opens, part.closes) for number in (4, 5, 6) for part in parts[number]] == [
        (True, False), (False, False), (False, True),
    ]  # fmt: skip
    assert parts[11] == (TagPart(0, 9, "answer", True, True),)
    assert set(parts) == {0, 1, 4, 5, 6, 8, 9, 11}


def test_a_tag_may_share_its_tokens_with_text() -> None:
    units, own, _ = _units((" <think>The", " red", ".</think><answer>", "b"))
    parts = tag_parts(units, own)
    assert [(part.start, part.stop) for part in parts[0]] == [(1, 8)]
    assert [(part.start, part.stop, part.segment) for part in parts[2]] == [(1, 9, "think")]


@pytest.mark.parametrize(
    ("answer", "prompt"),
    [
        (("Put", " it", " in"), (" <think>", "</think>", " tags")),
        (("<think>", " a", " <answer>", " tag", " <think>", "</think>"), ()),
    ],
)
def test_tags_that_are_talked_about_are_text(answer: Sequence[str], prompt: Sequence[str]) -> None:
    units, own, _ = _units(answer, prompt)
    talked_about = {number for number, unit in enumerate(units) if unit.text in (" <think>", " <answer>")}
    assert talked_about
    assert not talked_about & set(tag_parts(units, own))
