from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.render.escape import script_of, special_tag, visible


def _all(_: str) -> bool:
    return True


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\tb\n", "a⇥b⏎"),
        ("\x1b[31m", "⟨U+001B⟩[31m"),
        ("\u202etxt", "⟨U+202E⟩txt"),
        ("\x00", "⟨U+0000⟩"),
        ("❤\ufe0f", "❤"),
        ("\ufe0f", "⟨U+FE0F⟩"),
        ("\ud83d", "⟨U+D83D⟩"),
        ("</script>", "</script>"),
    ],
)
def test_hostile_and_invisible_characters_are_written_out(text: str, shown: str) -> None:
    assert visible(text, _all) == shown


def test_missing_characters_are_written_out() -> None:
    assert visible("a🧠", lambda character: character < "\u3000") == "a⟨U+1F9E0⟩"


@given(st.text(min_size=1))
def test_nothing_vanishes_and_nothing_reorders(text: str) -> None:
    shown = visible(text, _all)
    assert shown
    assert not any(character in shown for character in "\u202a\u202b\u202d\u202e\u2066\u2067\u200f\x1b\r\n")


@pytest.mark.parametrize(
    ("text", "tag"),
    [("<|im_end|>", "‹im_end›"), ("<s>", "‹s›"), ("[SEP]", "‹SEP›"), ("<||>", "‹||›"), ("<eos", "<eos"), ("", "")],
)
def test_special_tokens_are_shortened(text: str, tag: str) -> None:
    assert special_tag(text) == tag


def test_scripts_by_name() -> None:
    assert script_of("ह") == "DEVANAGARI"
    assert script_of("\U000e0fff") == "other"
