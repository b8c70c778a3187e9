"""Records an answer whose beginning is given: that part is replayed, and the model goes on from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from attnviz_video.capture.generate import Generated, generate
from attnviz_video.capture.plan import RecordingPlan
from attnviz_video.capture.replay import replay
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.prepared import KeyColumns, Prepared
from attnviz_video.core.step import PromptRows, Step
from attnviz_video.errors import UsageError
from attnviz_video.models.load import LoadedModel
from attnviz_video.models.teacher_forcing import with_answer
from attnviz_video.models.token_text import TokenText, answer_tokens


def continue_answer(
    loaded: LoadedModel,
    prepared: Prepared,
    plan: RecordingPlan,
    settings: CaptureSettings,
    beginning: Sequence[int],
    *,
    on_step: Callable[[Step], None],
    on_prompt_rows: Callable[[PromptRows], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    one_by_one: bool = False,
) -> Generated:
    """Record the answer that begins with the token ids `beginning` and that the model goes on with from there.

    The steps of the beginning come from one pass over it (`replay`), those after it from `generate`, which writes up to
    `settings.max_new_tokens` more; all have the rows that writing the whole answer would have given. The beginning is
    read twice: rows of it that are kept need all its queries, and generating needs its keys.

    Raises:
        UsageError: a start phrase is given, or the beginning is empty.
        ModelError, DeviceError: as `replay` and `generate`.
    """
    check_beginning(settings)
    replayed = replay(
        loaded, prepared, plan, settings, beginning, on_step=on_step, on_prompt_rows=on_prompt_rows,
        should_stop=should_stop,
    )  # fmt: skip
    if replayed.stopped_by == "interrupted" or should_stop():
        return replace(replayed, stopped_by="interrupted")

    def on_new_step(step: Step) -> None:
        on_step(replace(step, info=replace(step.info, index=len(beginning) + step.info.index)))

    generated = generate(
        loaded, with_beginning(loaded, prepared, beginning), replace(plan, query_rows="answer"), settings,
        on_step=on_new_step, should_stop=should_stop, one_by_one=one_by_one,
    )  # fmt: skip
    return replace(generated, token_ids=(*replayed.token_ids, *generated.token_ids), start=replayed.start)


def check_beginning(settings: CaptureSettings) -> None:
    """Refuse settings with which no beginning can be given.

    Raises:
        UsageError: a start phrase is given: it might stand in the beginning, in what follows, or across both.
    """
    if settings.start_phrase != "":
        raise UsageError('an answer that is continued is recorded whole: give --start_phrase ""')


def with_beginning(loaded: LoadedModel, prepared: Prepared, beginning: Sequence[int]) -> Prepared:
    """The prompt with the first tokens of its answer behind it, as if they were a part of it.

    Raises:
        ModelError: what an input of the model says about an answer is not known.
    """
    n_more, layout, columns = len(beginning), prepared.layout, prepared.columns
    no_image = np.full(n_more, -1, dtype=np.int64)
    longer = TokenLayout(
        layout.images,
        layout.grids,
        np.concatenate([layout.image_of, no_image]),
        np.concatenate([layout.patch_of, no_image]),
        layout.guessed,
    )
    if columns is not None:
        positions = np.arange(prepared.n_prompt, prepared.n_prompt + n_more, dtype=columns.text.dtype)
        columns = KeyColumns(np.concatenate([columns.text, positions]), columns.cross)
    return replace(
        prepared,
        inputs=with_answer(prepared.inputs, beginning, str(loaded.model.config.model_type)),
        layout=longer,
        tokens=(*prepared.tokens, *answer_tokens(TokenText(loaded.tokenizer), beginning, prepared.n_prompt)),
        columns=columns,
    )
