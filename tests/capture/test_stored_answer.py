"""Which answer is replayed, from where, and how its text becomes tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest

from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.capture.stored_answer import StoredAnswer, answer_ids, replay_record, stored_answer
from attnviz_video.core.sample import Sample
from attnviz_video.errors import DatasetError, UsageError
from attnviz_video.models.token_text import TokenText
from tests.capture import in_memory

PLAIN = CaptureSettings()


def sample(response: str | None = None, **extra: object) -> Sample:
    return Sample(3, "x", "What is it?", (), response=response, extra=extra, source="data.json")


def test_a_single_run_generates_unless_a_response_is_named() -> None:
    assert stored_answer(sample("so"), PLAIN, None) is None
    assert stored_answer(sample("so"), replace(PLAIN, answer="generate"), None) is None
    assert stored_answer(sample("so"), PLAIN, "pred") == StoredAnswer("field pred", "so")
    assert stored_answer(sample("so"), replace(PLAIN, response="other"), None) == StoredAnswer("--response", "other")
    ids = replace(PLAIN, response_ids=(4, 5))
    assert stored_answer(sample("so"), ids, None) == StoredAnswer("--response_ids", token_ids=(4, 5))


def test_stored_takes_the_items_response_and_auto_takes_it_where_there_is_one() -> None:
    stored, auto = replace(PLAIN, answer="stored"), replace(PLAIN, answer="auto")
    found = StoredAnswer("the item's response", "so")
    assert stored_answer(sample("so"), stored, None) == stored_answer(sample("so"), auto, None) == found
    assert stored_answer(sample(), auto, None) is None
    assert stored_answer(sample(""), auto, None) is None
    assert stored_answer(sample(other=[1, 2]), auto, "other") == StoredAnswer("field other", token_ids=(1, 2))
    assert stored_answer(sample(), auto, "other") is None


def test_a_field_may_hold_token_ids() -> None:
    found = stored_answer(sample(token_ids=[4, 5, 6]), PLAIN, "token_ids")
    assert found == StoredAnswer("field token_ids", token_ids=(4, 5, 6))


@pytest.mark.parametrize("value", [None, 3, {"text": "so"}, ["a"], [1, True], [1.0]])
def test_a_field_of_another_kind_is_refused(value: object) -> None:
    with pytest.raises(DatasetError) as caught:
        stored_answer(sample(other=value, more=1), PLAIN, "other")
    assert str(caught.value) == (
        "data.json, item 3: no response to replay under 'other': expected text or a list of token ids"
        f"{'' if value is None else f', got {value!r}'} (other fields: other, more); "
        "name its field with --response_field, or use --answer generate (a single run also takes --response)"
    )


def test_token_ids_are_found_under_the_usual_names_too() -> None:
    wanted: tuple[Literal["stored", "auto"], ...] = ("stored", "auto")
    for answer in wanted:
        for field in ("pred", "prediction", "response", "output"):
            item = replace(sample(), extra={field: [4, 5]})
            found = stored_answer(item, CaptureSettings(answer=answer), None)
            assert found == StoredAnswer("the item's response", token_ids=(4, 5))


@pytest.mark.parametrize("field", ["pred", "other"])
def test_auto_takes_nothing_for_a_response_but_refuses_another_kind(field: str) -> None:
    auto, named = replace(PLAIN, answer="auto"), None if field == "pred" else field
    assert stored_answer(replace(sample(), extra={field: None}), auto, named) is None
    assert stored_answer(replace(sample(), extra={field: []}), auto, named) is None
    for value in (3, {"text": "so"}, ["a"]):
        with pytest.raises(DatasetError) as caught:
            stored_answer(replace(sample(), extra={field: value}), auto, named)
        assert f"expected text or a list of token ids, got {value!r} (other fields: {field}); " in str(caught.value)


def test_an_item_without_a_response_is_refused() -> None:
    with pytest.raises(
        DatasetError,
        match=r"sample x: no response to replay \(looked under pred, prediction, response, output\): .* none\)",
    ):
        stored_answer(replace(sample(), source=""), replace(PLAIN, answer="stored"), None)


def test_empty_responses_are_refused() -> None:
    with pytest.raises(
        DatasetError, match="data.json, item 3: field pred is empty: there is nothing to replay; use --an"
    ):
        stored_answer(sample(""), PLAIN, "pred")
    with pytest.raises(UsageError, match="--response is empty: there is nothing to replay; use --answer generate"):
        stored_answer(sample("so"), replace(PLAIN, response=""), None)
    with pytest.raises(UsageError, match="--response_ids is empty"):
        stored_answer(sample("so"), replace(PLAIN, response_ids=()), None)


# --- text to tokens --------------------------------------------------------------------------------------------------


def ids_of(text: str, tokenizer: Any = None) -> tuple[int, ...]:
    return answer_ids(StoredAnswer("--response", text), tokenizer or in_memory.tokenizer())[0]


def test_token_ids_are_taken_as_they_are_and_without_a_word() -> None:
    answer = StoredAnswer("--response_ids", token_ids=(4, 5))
    assert answer_ids(answer, None) == ((4, 5), ())
    assert replay_record(answer, PLAIN) == {
        "response_from": "--response_ids", "retokenised": False, "replay_depth": "full"
    }  # fmt: skip


def test_text_is_tokenised_without_tokens_around_it() -> None:
    tokenizer = in_memory.tokenizer()
    assert TokenText(tokenizer).text(ids_of("<think>so</think>")) == "<think>so</think>"
    assert in_memory.ENDOFTEXT not in ids_of("so")
    assert in_memory.IM_END not in ids_of("so"), "an answer stripped of its end token stays without"


def test_t11_special_tokens_that_are_spelled_out_are_ones() -> None:
    assert ids_of("so<|im_end|>")[-1] == in_memory.IM_END
    assert len(ids_of("so<|im_end|>")) == 3


def test_text_is_said_to_be_tokenised_again() -> None:
    answer = StoredAnswer("field pred", "so")
    _, notices = answer_ids(answer, in_memory.tokenizer())
    assert notices == (
        "field pred is text and was tokenised again: its tokens may differ from those the model sampled (token ids are "
        "exact: --response_ids)",
    )
    assert replay_record(answer, replace(PLAIN, replay_depth="shown")) == {
        "response_from": "field pred", "retokenised": True, "replay_depth": "shown"
    }  # fmt: skip


def test_f5_lone_surrogates_are_replaced() -> None:
    ids = ids_of("a\ud83db")
    assert TokenText(in_memory.tokenizer()).text(ids) == "a\ufffdb"


class LowerCase:
    """A tokenizer that cannot write capitals."""

    def __init__(self) -> None:
        self._own = in_memory.tokenizer()

    def __call__(self, text: str, **named: Any) -> Any:
        return self._own(text.lower(), **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)


def test_t11_a_response_that_reads_back_differently_is_said_to() -> None:
    _, notices = answer_ids(StoredAnswer("--response", "So"), LowerCase())
    assert notices[1] == "the tokenizer cannot write --response as it stands; it reads 'so'"
    assert len(answer_ids(StoredAnswer("--response", "so"), LowerCase())[1]) == 1
