"""Who wrote which part of a prompt, against a template made up here."""

from __future__ import annotations

from typing import Any

from attnviz_video.errors import ModelError
from attnviz_video.models.prompt_roles import prompt_roles, system_span, user_span


def _render(conversation: list[dict[str, Any]]) -> str:
    """`S: <system>;U: <user>;A:` with the system text "be kind" unless one is given."""
    turns = {turn["role"]: "".join(part.get("text", "#") for part in turn["content"]) for turn in conversation}
    return f"S: {turns.get('system', 'be kind')};U: {turns['user']};A:"


def _refusing(conversation: list[dict[str, Any]]) -> str:
    if conversation[0]["role"] == "system":
        raise ModelError("no system turns")
    return f"U: {conversation[0]['content'][-1]['text']};A:"


def _spans(text: str, roles: list[Any]) -> dict[str, str]:
    return {role: "".join(char for char, of in zip(text, roles, strict=True) if of == role) for role in set(roles)}


def test_parts_are_told_apart() -> None:
    text = "S: be kind;U: what is it?;A:"
    spans = _spans(text, prompt_roles(list(text), "what is it?", _render, []))
    assert spans == {"system": "be kind", "user": "what is it?", "template": "S: ;U: ;A:"}


def test_equal_words_in_the_system_turn_are_not_the_user_s() -> None:
    text = "S: be kind;U: be kind;A:"
    roles = prompt_roles(list(text), "be kind", _render, [])
    assert roles[3:10] == ["system"] * 7
    assert roles[14:21] == ["user"] * 7


def test_a_template_that_refuses_system_turns_has_none() -> None:
    text = "U: hi;A:"
    assert _spans(text, prompt_roles(list(text), "hi", _refusing, [])) == {"user": "hi", "template": "U: ;A:"}


def test_pieces_without_characters_go_with_the_next() -> None:
    pieces = ["S: be kind;U: ", "", "", "的", ";A:"]
    assert prompt_roles(pieces, "的", _render, []) == ["system", "user", "user", "user", "template"]


def test_a_user_text_that_the_template_changed() -> None:
    assert user_span("U: hi;A:", "  hi  ", ";A:") == (3, 5)
    assert user_span("U: é;A:", "e\u0301", ";A:") == (3, 4)
    assert user_span("U: hi !;A:", "hi", ";A:") == (3, 5)
    assert user_span("U: HELLO;A:", "hello", ";A:") == (3, 8)
    assert user_span("U: hi", "hi", ";A:") == (3, 5)


def test_a_system_text_that_is_not_there() -> None:
    assert system_span("U: hi", "S: ", "be kind") == (0, 0)
    assert system_span("S: ;U: hi", "S: ", "") == (0, 0)
    assert system_span("<s>S: be kind;", "S: ", "be kind") == (6, 13)
