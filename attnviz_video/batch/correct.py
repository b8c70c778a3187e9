"""Whether an answer is right, where that can be known without the scoring rules of a benchmark."""

from __future__ import annotations

import math
import re
from contextlib import suppress

from attnviz_video.core.sample import RESPONSE_FIELDS, Sample, is_token_ids

#: Fields of a dataset item that hold a verdict on its stored response.
VERDICTS = ("correct", "score", "accuracy")
#: A score of at least this is right; tasks with parts give less.
FULL_SCORE = 1.0
#: Longer reference answers are descriptions: that a text differs from them does not make it wrong.
LONGEST_REFERENCE = 40

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


def is_correct(sample: Sample, response: str, *, judged: bool) -> tuple[bool | None, str | None]:
    """Whether `response` answers the sample, and how that is known; (None, None) where it is not.

    A verdict in the dataset counts for the response it came with (`judged`). Otherwise the text in the last `<answer>`
    tags, or all of a short text, is compared with a short reference: numbers by value, words without case and outer
    punctuation.
    """
    if judged:
        for name in VERDICTS:
            verdict = sample.extra.get(name)
            # Compared as it stands: a whole number may be too long for a float, and infinity is no score.
            if isinstance(verdict, bool | int) or (isinstance(verdict, float) and math.isfinite(verdict)):
                return verdict >= FULL_SCORE, f"field {name}"
    reference = (sample.answer or "").strip()
    tagged = tagged_answers(reference)
    wanted = plain(tagged[-1] if tagged else reference)
    if not wanted:
        return None, None
    found = tagged_answers(response)
    given = plain(found[-1] if found else response)
    if same(given, wanted):
        return True, "compared"
    if len(wanted) > LONGEST_REFERENCE:
        return None, None
    # Long text without tags may hold the answer somewhere, and one that was cut off while thinking holds none.
    whole = found or (len(given) <= 2 * LONGEST_REFERENCE and "<think>" not in response)
    return (False, "compared") if whole else (None, None)


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


def plain(text: str) -> str:
    """Text as it is compared."""
    return " ".join(text.casefold().split()).strip(" .,;:!?\"'$()[]{}")


def same(one: str, other: str) -> bool:
    """Whether two plain texts say the same."""
    if one == other:
        return True
    with suppress(ValueError):
        return math.isclose(float(one), float(other), rel_tol=1e-6, abs_tol=1e-9)
    return False
