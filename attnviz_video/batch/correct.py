"""Whether an answer is right, where that can be known without the scoring rules of a benchmark."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TypeGuard

from attnviz_video.batch.compare import compare, tight
from attnviz_video.core.sample import RESPONSE_FIELDS, Sample, is_token_ids

#: Fields of a dataset item that hold a verdict on its stored response.
VERDICTS = ("correct", "score", "accuracy")
#: Those of them that may say how much of an answer is right.
SCORES = ("score", "accuracy")
#: A score of at least this is right, of no more than that wrong; tasks with parts give what lies between.
FULL_SCORE, NO_SCORE = 1, 0

_CLOSED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_OPEN = re.compile(r"<answer>(.*)$", re.DOTALL | re.IGNORECASE)


def has_verdict_on(sample: Sample, response_field: str | None) -> bool:
    """Whether a verdict in the dataset item is one on what stands under `response_field` (None: the usual fields).

    It judges the response that the item came with: the first of the usual fields that holds one.
    """
    if response_field is None:
        return True
    if response_field not in RESPONSE_FIELDS:
        return False
    earlier = RESPONSE_FIELDS[: RESPONSE_FIELDS.index(response_field)]
    return not any(isinstance(value, str) or is_token_ids(value) for value in map(sample.extra.get, earlier))


@dataclass(frozen=True)
class Verdict:
    """What is known about an answer."""

    #: None: not known, or partly right.
    correct: bool | None = None
    #: "compared" or "field …"; None where nothing is known.
    by: str | None = None
    #: From 0 to 1 as a rule, where the dataset holds one.
    score: int | float | None = None


def judge(sample: Sample, response: str, *, judged: bool) -> Verdict:
    """Whether `response` answers the sample, and how that is known.

    A verdict in the dataset counts for the response it came with (`judged`): a full score is right, none is wrong, one
    between is neither. Otherwise the text in the last `<answer>` tags, or all of a response without any, is compared
    with the reference (see `compare`).
    """
    if judged:
        score = next(filter(is_score, map(sample.extra.get, SCORES)), None)
        for name in VERDICTS:
            verdict = sample.extra.get(name)
            # Compared as it stands: a whole number may be too long for a float.
            if isinstance(verdict, bool | int) or is_score(verdict):
                correct = True if verdict >= FULL_SCORE else False if verdict <= NO_SCORE else None
                return Verdict(correct, f"field {name}", score)
    reference = (sample.answer or "").strip()
    tagged = tagged_answers(reference)
    wanted = tagged[-1] if tagged else reference
    if not tight(wanted):
        return Verdict()
    found = tagged_answers(response)
    correct = compare(found[-1] if found else response, wanted)
    if correct is False and not is_whole(response):
        correct = None  # what was cut off may go on
    return Verdict(correct, None if correct is None else "compared")


def is_score(value: object) -> TypeGuard[int | float]:
    """Whether a field holds a score: a number that is finite."""
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, float) and math.isfinite(value)
    )


def is_whole(response: str) -> bool:
    """Whether a response shows that its answer came to an end; one without any tags may be an answer alone."""
    return _CLOSED.search(response) is not None or not re.search("<(think|answer)>", response, re.IGNORECASE)


def final_answer(response: str) -> str:
    """What a response comes to: the text in its last `<answer>` tags, else its last line."""
    tagged = tagged_answers(response)
    if tagged:
        return tagged[-1].strip()
    lines = [line.strip() for line in response.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def tagged_answers(text: str) -> list[str]:
    """What stands in `<answer>` tags; where none is closed, what follows the open one of a text that was cut off."""
    return [str(found) for found in _CLOSED.findall(text) or _OPEN.findall(text)]
