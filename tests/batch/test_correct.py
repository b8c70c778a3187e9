"""Whether an answer is right: told by the dataset, or compared where that proves something."""

from __future__ import annotations

import pytest

from attnviz_video.batch.correct import final_answer, has_verdict_on, is_correct
from attnviz_video.core.sample import Sample


def sample(answer: str | None, **extra: object) -> Sample:
    return Sample(0, "a", "?", (), answer=answer, extra=extra)


@pytest.mark.parametrize(
    ("answer", "response", "correct"),
    [
        ("3", "<think>2 or 3</think><answer>3</answer>", True),
        ("3", "<think>3</think><answer> 4 </answer>", False),
        ("3", "<answer>3.0</answer>", True),
        ("<answer>Red</answer>", "<answer>red.</answer>", True),
        ("left", "<answer>no</answer> wait <answer>Left</answer>", True),
        ("left", "Left.", True),
        ("left", "right", False),
        ("left", "It may be " + "very " * 30 + "left", None),
        ("3", "<think>first I count the", None),
        ("3", "<answer>3", True),
        ("3", "<answer>3</answer> hmm, so <answer>", True),
        ("a" * 41, "b", None),
        ("a" * 41, "A" * 41, True),
        ("", "b", None),
        (None, "b", None),
    ],
)
def test_answers_are_compared_where_that_proves_something(
    answer: str | None, response: str, correct: bool | None
) -> None:
    found, how = is_correct(sample(answer), response, judged=False)
    assert found is correct
    assert how == (None if correct is None else "compared")


def test_a_verdict_counts_for_the_response_it_came_with() -> None:
    judged = sample("3", score=0.5)
    assert is_correct(judged, "<answer>3</answer>", judged=True) == (False, "field score")
    assert is_correct(judged, "<answer>3</answer>", judged=False) == (True, "compared")
    assert is_correct(sample("3", score=1), "<answer>4</answer>", judged=True) == (True, "field score")
    assert is_correct(sample("3", score=10**400), "<answer>4</answer>", judged=True) == (True, "field score")
    assert is_correct(sample("3", score=float("inf")), "<answer>4</answer>", judged=True) == (False, "compared")
    assert is_correct(sample("3", score="high"), "<answer>3</answer>", judged=True) == (True, "compared")


@pytest.mark.parametrize(
    ("response_field", "extra", "judged"),
    [
        (None, {}, True),
        ("pred", {}, True),
        ("response", {}, True),
        ("response", {"pred": None}, True),
        ("response", {"pred": "the one that was judged"}, False),
        ("output", {"prediction": [3, 4]}, False),
        ("messages", {}, False),
        ("other_model", {"pred": "the one that was judged"}, False),
        ("other_model", {}, False),
    ],
)
def test_a_verdict_counts_for_the_field_it_was_passed_on(
    response_field: str | None, extra: dict[str, object], judged: bool
) -> None:
    assert has_verdict_on(sample("3", score=1, **extra), response_field) is judged


@pytest.mark.parametrize(
    ("response", "final"),
    [
        ("<think>3</think><answer> 4 </answer>", "4"),
        ("<answer>1</answer> no: <answer>2</answer>.", "2"),
        ("<ANSWER>cut off at the lim", "cut off at the lim"),
        ("I think so.\n\nIt is 5.\n", "It is 5."),
        (" \n", ""),
    ],
)
def test_what_a_response_comes_to(response: str, final: str) -> None:
    assert final_answer(response) == final
