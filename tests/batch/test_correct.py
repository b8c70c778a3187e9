"""Whether an answer is right: told by the dataset, or compared where that proves something."""

from __future__ import annotations

import pytest

from attnviz_video.batch.correct import Verdict, final_answer, has_verdict_on, judge
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
        ("35", "<answer>3", None),
        ("3", "<answer>4</answer> hmm, so <answer>", False),
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
    found = judge(sample(answer), response, judged=False)
    assert found == Verdict(correct, None if correct is None else "compared")


def test_a_verdict_counts_for_the_response_it_came_with() -> None:
    sure = sample("3", score=0)
    assert judge(sure, "<answer>3</answer>", judged=True) == Verdict(False, "field score", 0)
    assert judge(sure, "<answer>3</answer>", judged=False) == Verdict(True, "compared")
    assert judge(sample("3", score=1), "<answer>4</answer>", judged=True) == Verdict(True, "field score", 1)
    assert judge(sample("3", score=10**400), "<answer>4</answer>", judged=True).correct is True
    assert judge(sample("3", score=float("inf")), "<answer>4</answer>", judged=True) == Verdict(False, "compared")
    assert judge(sample("3", score="high"), "<answer>3</answer>", judged=True) == Verdict(True, "compared")


@pytest.mark.parametrize("score", [0.5, 0.75])
def test_a_part_of_the_score_is_neither_right_nor_wrong(score: float) -> None:
    assert judge(sample("3", score=score), "<answer>4</answer>", judged=True) == Verdict(None, "field score", score)
    assert judge(sample("3", accuracy=score), "<answer>4</answer>", judged=True).by == "field accuracy"
    both = sample("3", score=score, correct=False)
    assert judge(both, "<answer>3</answer>", judged=True) == Verdict(False, "field correct", score)
    assert judge(sample("3", score=-score), "", judged=True) == Verdict(False, "field score", -score)


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
