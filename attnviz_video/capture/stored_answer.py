"""Which answer is recorded: one the model writes now, or one that was written before and is replayed."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.core.sample import RESPONSE_FIELDS, Sample, is_token_ids
from attnviz_video.errors import DatasetError, UsageError
from attnviz_video.models.token_text import TokenText


@dataclass(frozen=True)
class StoredAnswer:
    """A finished answer: its text, or better the ids of its tokens."""

    #: Where it comes from, in the words of the user: a flag or a field.
    origin: str
    text: str | None = None
    token_ids: tuple[int, ...] | None = None


def stored_answer(sample: Sample, settings: CaptureSettings, response_field: str | None) -> StoredAnswer | None:
    """The answer to replay, or None where the model is to generate one; nothing heavy is needed to know.

    Raises:
        UsageError: what was given on the command line is empty.
        DatasetError: the item holds no response where there should be one, or something else in its place.
    """
    if settings.response is not None:
        return _not_empty(StoredAnswer("--response", text=settings.response))
    if settings.response_ids is not None:
        return _not_empty(StoredAnswer("--response_ids", token_ids=settings.response_ids))
    wanted = settings.answer or ("generate" if response_field is None else "stored")
    if wanted == "generate":
        return None
    found, other = _in_item(sample, response_field)
    if wanted == "auto" and other is None and (found is None or not (found.text or found.token_ids)):
        return None
    place = f"{sample.source}, item {sample.index}" if sample.source else f"sample {sample.id}"
    if found is None:
        where = f"under {response_field!r}" if response_field else f"(looked under {', '.join(RESPONSE_FIELDS)})"
        got = "" if other is None else f", got {_shortened(repr(other))}"
        others = ", ".join(sample.extra) or "none"
        raise DatasetError(
            f"{place}: no response to replay {where}: expected text or a list of token ids{got} "
            f"(other fields: {others}); "
            "name its field with --response_field, or use --answer generate (a single run also takes --response)"
        )
    try:
        return _not_empty(found)
    except UsageError as error:
        raise DatasetError(f"{place}: {error}") from error


def _in_item(sample: Sample, response_field: str | None) -> tuple[StoredAnswer | None, object]:
    """The response of a dataset item, text or token ids as an engine reports them; failing that, what is in its place.

    A field that is missing or null holds nothing: an item that has not been answered.
    """
    origin = "the item's response" if response_field is None else f"field {response_field}"
    if sample.response is not None:
        return StoredAnswer(origin, text=sample.response), None
    fields = RESPONSE_FIELDS if response_field is None else (response_field,)
    values = [sample.extra[field] for field in fields if sample.extra.get(field) is not None]
    ids: Any = next(filter(is_token_ids, values), None)
    if ids is not None:
        return StoredAnswer(origin, token_ids=tuple(ids)), None
    return None, next(iter(values), None)


def _not_empty(answer: StoredAnswer) -> StoredAnswer:
    if not (answer.text or answer.token_ids):
        raise UsageError(f"{answer.origin} is empty: there is nothing to replay; use --answer generate")
    return answer


def answer_ids(answer: StoredAnswer, tokenizer: Any) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The ids of a stored answer, and notices for the user.

    Text is tokenised by itself, as the model would write it after the prompt: no token is put before or behind it, so
    that an answer which its engine stripped of the end token stays without; special tokens spelled out in it are ones.
    """
    if answer.token_ids is not None:
        return answer.token_ids, ()
    text = (answer.text or "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    ids = tuple(int(token) for token in tokenizer(text, add_special_tokens=False)["input_ids"])
    notices = [
        f"{answer.origin} is text and was tokenised again: its tokens may differ from those the model sampled "
        "(token ids are exact: --response_ids)"
    ]
    written = TokenText(tokenizer).text(ids)
    if not _same_text(written, text):
        notices.append(f"the tokenizer cannot write {answer.origin} as it stands; it reads {_shortened(written)!r}")
    return ids, tuple(notices)


def _same_text(one: str, other: str) -> bool:
    """Whether two texts differ at most in their Unicode form and in space at their ends."""
    return unicodedata.normalize("NFC", one).strip() == unicodedata.normalize("NFC", other).strip()


def _shortened(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else f"{text[: limit // 2]} … {text[-limit // 2 :]}"


def replay_record(answer: StoredAnswer, settings: CaptureSettings) -> dict[str, object]:
    """What a trace says about a replay under `generation`: how the original was generated is not known."""
    return {
        "response_from": answer.origin,
        "retokenised": answer.token_ids is None,
        "replay_depth": settings.replay_depth,
    }
