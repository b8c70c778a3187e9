"""The ways an answer is recorded: while the model generates it, by replaying one that is there, or both in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from attnviz_video.capture.answer_replay import check_replay
from attnviz_video.capture.continued import check_beginning, continue_answer
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
    #: Tokens of the answer that somebody else wrote, and that the model goes on from.
    n_given: int = 0


@dataclass(frozen=True)
class Watched:
    """Somebody sees an answer while it is generated, token by token, and may have written its beginning."""

    beginning: StoredAnswer | None = None


def way_of_capture(
    answer: StoredAnswer | None,
    prepared: Prepared,
    loaded: LoadedModel,
    settings: CaptureSettings,
    watched: Watched | None = None,
) -> WayOfCapture:
    """Generation, or the replay of `answer`, which is checked here, before anything is written.

    Raises:
        UsageError, StartPhraseError, ModelError: the response, or the beginning of one, cannot be replayed.
    """
    if answer is None:
        return _generation(prepared, loaded, settings, watched)
    ids, notices = answer_ids(answer, loaded.tokenizer)
    check_replay(loaded, prepared, settings, ids)
    run = partial(replay, token_ids=ids)
    return WayOfCapture(run, "replaying", len(ids), f"{len(ids)} of the response to replay", "", notices)


def _generation(
    prepared: Prepared, loaded: LoadedModel, settings: CaptureSettings, watched: Watched | None
) -> WayOfCapture:
    n_new, shorter = settings.max_new_tokens, "lower --max_new_tokens, "
    run: Callable[..., Generated] = generate if watched is None else partial(generate, one_by_one=True)
    if watched is None or watched.beginning is None:
        return WayOfCapture(run, "generating", n_new, f"up to {n_new} new ones", shorter)
    check_beginning(settings)
    ids, notices = answer_ids(watched.beginning, loaded.tokenizer)
    check_replay(loaded, prepared, settings, ids)
    run = partial(continue_answer, beginning=ids, one_by_one=True)
    told = f"{len(ids)} of the answer's beginning, up to {n_new} new ones"
    return WayOfCapture(run, "going on", len(ids) + n_new, told, shorter, notices, n_given=len(ids))
