"""Where showing and recording start: the start phrase, found by token positions and never by tokenising again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from attnviz_video.capture.settings import DEFAULT_START_PHRASE, CaptureSettings
from attnviz_video.core.tokens import Token
from attnviz_video.core.trace import StartPoint
from attnviz_video.errors import StartPhraseError

#: Stands for positions between two tokens of a search that do not follow each other; no phrase contains it.
_GAP = "\0"


@dataclass(frozen=True)
class StartDecision:
    """What is known before the first token is generated."""

    phrase: str
    #: Whether the user named the phrase; only then is a missing phrase an error.
    given: bool
    #: Position of the phrase's first token in the prompt, if it is there.
    prompt_position: int | None = None
    #: Recording waits until the phrase has been written by the model.
    waiting: bool = False


def find_in_pieces(pieces: Sequence[str], phrase: str, which: Literal["first", "last"]) -> tuple[int, int] | None:
    """First token of `phrase` and the token after its last, as indices into `pieces`; None where it does not occur.

    The phrase may start or end inside a piece. A character belongs to the piece that completes it, so empty pieces
    before the phrase's first character are part of that character and count as the phrase's.
    """
    text = "".join(pieces)
    start = text.find(phrase) if which == "first" else text.rfind(phrase)
    if start < 0 or not phrase:
        return None
    first = _token_of(pieces, start)
    if sum(map(len, pieces[:first])) == start:
        while first > 0 and not pieces[first - 1]:
            first -= 1
    return first, _token_of(pieces, start + len(phrase) - 1) + 1


def _token_of(pieces: Sequence[str], offset: int) -> int:
    """Index of the piece that holds character number `offset` of the joined text."""
    stop = 0
    for index, piece in enumerate(pieces):
        stop += len(piece)
        if offset < stop:
            return index
    raise ValueError(f"offset {offset} lies behind the text of {stop} characters")


def find_in_tokens(tokens: Sequence[Token], phrase: str, which: Literal["first", "last"]) -> tuple[int, int] | None:
    """First position of `phrase` and the position after its last token; it never spans a gap between positions."""
    kept: list[Token] = []
    pieces: list[str] = []
    for token in tokens:
        if kept and token.position != kept[-1].position + 1:
            pieces.append(_GAP)
            kept.append(token)
        pieces.append(token.piece)
        kept.append(token)
    found = find_in_pieces(pieces, phrase, which)
    return None if found is None else (kept[found[0]].position, kept[found[1] - 1].position + 1)


def resolve_start(settings: CaptureSettings, prompt: Sequence[Token]) -> StartDecision:
    """Search the user's part of the prompt (last occurrence), and decide whether recording waits for the answer.

    Raises:
        StartPhraseError: the phrase was to be in the prompt and is not.
    """
    given = settings.start_phrase is not None
    phrase = DEFAULT_START_PHRASE if settings.start_phrase is None else settings.start_phrase
    if not phrase:
        return StartDecision(phrase, given)
    where = settings.start_phrase_in
    if where != "answer":
        found = find_in_tokens([token for token in prompt if token.role == "user"], phrase, "last")
        if found is not None:
            return StartDecision(phrase, given, prompt_position=found[0])
    if given and where == "prompt":
        user_text = "".join(token.piece for token in prompt if token.role == "user")
        raise StartPhraseError(
            f"start phrase {phrase!r} is not in the user's prompt {_shortened(user_text)!r}; "
            'search the answer too with --start_phrase_in auto, or show everything with --start_phrase ""'
        )
    return StartDecision(phrase, given, waiting=given)


def start_before_answer(settings: CaptureSettings, prompt: Sequence[Token], n_prompt: int) -> StartPoint:
    """The start point as far as the prompt tells: for a trace whose answer may never be finished.

    Raises:
        StartPhraseError: as `resolve_start`.
    """
    return final_start(resolve_start(settings, prompt), (), n_prompt, finished=False)[0]


class PhraseDetector:
    """Finds a phrase in text that arrives piece by piece; needs time and memory for the phrase only."""

    def __init__(self, phrase: str) -> None:
        self._phrase = phrase
        self._tail = ""
        self.found = False

    def feed(self, piece: str) -> bool:
        """Take the next piece; True from the piece on that completes the phrase."""
        text = self._tail + piece
        self.found = self.found or self._phrase in text
        self._tail = text[-(len(self._phrase) - 1) :] if len(self._phrase) > 1 else ""
        return self.found


def final_start(
    decision: StartDecision, answer_pieces: Sequence[str], n_prompt: int, *, finished: bool = True
) -> tuple[StartPoint, tuple[str, ...]]:
    """Where showing and recording started, now that the whole answer is known, and notices for the user.

    `finished` is False where the user stopped the generation, so that the phrase might still have come.

    Raises:
        StartPhraseError: the phrase that the user gave was not written.
    """
    phrase, n_steps = decision.phrase, len(answer_pieces)
    if not phrase:
        return StartPoint(phrase, "none", 0, 0), ()
    if decision.prompt_position is not None:
        return StartPoint(phrase, "prompt", decision.prompt_position, 0), ()
    found = find_in_pieces(answer_pieces, phrase, "first")
    if found is not None:
        first_step = found[1] if decision.waiting else 0
        start = StartPoint(phrase, "answer", n_prompt + found[0], first_step)
        ending = f"the answer ends with the start phrase {phrase!r}: no token follows it"
        return start, (ending,) if found[1] == n_steps else ()
    if not decision.waiting:
        notice = f"start phrase {phrase!r} occurs neither in the prompt nor in the answer; shown from the answer on"
        return StartPoint(phrase, "none", n_prompt, 0), (notice,)
    if not finished:
        notice = f"stopped before start phrase {phrase!r} was written: no token was recorded"
        return StartPoint(phrase, "none", n_prompt, n_steps), (notice,)
    raise StartPhraseError(
        f"start phrase {phrase!r} occurs neither in the user's prompt nor in the answer "
        f'{_shortened("".join(answer_pieces))!r}; record again with --start_phrase "" or another phrase'
    )


def _shortened(text: str, limit: int = 2000) -> str:
    return text if len(text) <= limit else f"{text[: limit // 2]} … {text[-limit // 2 :]}"
