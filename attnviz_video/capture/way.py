"""The two ways an answer is recorded: while the model generates it, or by replaying one that is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from attnviz_video.capture.answer_replay import check_replay
from attnviz_video.capture.generate import Generated, generate
from attnviz_video.capture.replay import replay
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.capture.stored_answer import StoredAnswer, answer_ids
from attnviz_video.core.prepared import Prepared
from attnviz_video.models.load import LoadedModel


@dataclass(frozen=True)
class WayOfCapture:
    """How the steps of a recording come about, and how that is told."""

    #: Called as `capture.generate.generate` is.
    run: Callable[..., Generated]
    #: What the progress bar says.
    doing: str
    #: Answer tokens: the most there may be, or those of the response.
    n_new: int
    #: The answer's part in the forecast of the trace's size …
    answer: str
    #: … and in the advice where that is too large, a part of the sentence before the other advice.
    shorter: str
    notices: tuple[str, ...] = ()


def way_of_capture(
    answer: StoredAnswer | None, prepared: Prepared, loaded: LoadedModel, settings: CaptureSettings
) -> WayOfCapture:
    """Generation, or the replay of `answer`, which is checked here, before anything is written.

    Raises:
        UsageError, StartPhraseError, ModelError: the response cannot be replayed.
    """
    if answer is None:
        n_new = settings.max_new_tokens
        return WayOfCapture(generate, "generating", n_new, f"up to {n_new} new ones", "lower --max_new_tokens, ")
    ids, notices = answer_ids(answer, loaded.tokenizer)
    check_replay(loaded, prepared, settings, ids)
    run = partial(replay, token_ids=ids)
    return WayOfCapture(run, "replaying", len(ids), f"{len(ids)} of the response to replay", "", notices)
