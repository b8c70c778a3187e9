"""Turns, markers and results in the text of dataset items; whole items are in tests/sources/test_schemas.py."""

from __future__ import annotations

import pytest

from attnviz_video.core.conversation import final_answer, read_conversation, without_image_markers


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<image> What?", "What?"),
        ("<image>\n<image>\nWhat changed?", "What changed?"),
        ("In <image> what is it?", "In what is it?"),
        ("<image>", ""),
        ("a < b <images>", "a < b <images>"),
    ],
)
def test_image_markers_go(text: str, plain: str) -> None:
    assert without_image_markers(text) == without_image_markers(plain) == plain


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("<think>\n1\n</think>\n<answer>\n 3 \n</answer>", "3"),
        ("<answer>1</answer> no, <answer>2</answer>", "2"),
        (" 3\n", "3"),
        ("<answer>cut o", "<answer>cut o"),
    ],
)
def test_the_result_is_what_the_last_tags_hold(text: str, result: str) -> None:
    assert final_answer(text) == result


def test_turns_are_told_apart() -> None:
    parts = [{"type": "text", "text": "How "}, {"type": "image", "image": "a.png"}, {"type": "text", "text": "many?"}]
    turns = read_conversation(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": parts},
            {"role": "assistant", "content": ""},
        ]
    )
    assert (turns.system, turns.user, turns.assistant, turns.images) == ("Be brief.", "How many?", "", ("a.png",))
