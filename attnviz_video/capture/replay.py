"""Records an answer that was written before, by whatever engine, in one forward pass.

Teacher forcing: the model reads the prompt and the finished answer at once. In a causal model the query before a token
then sees just what it saw when that token was generated, so that its row is the same, and all rows are there at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attnviz_video.capture.answer_replay import AnswerReplay
from attnviz_video.capture.device_memory import out_of_memory_is_told
from attnviz_video.capture.generate import Generated
from attnviz_video.capture.intercept import AttentionCall
from attnviz_video.capture.output_head import OutputHead
from attnviz_video.capture.plan import CROSS, RecordingPlan
from attnviz_video.capture.recorder import wanted_modules
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.capture.teacher_forced import TeacherForcedPass
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.step import PromptRows, Step
from attnviz_video.models.decoder import attention_modules
from attnviz_video.models.device import on_device
from attnviz_video.models.hub_library import quiet_transformers
from attnviz_video.models.load import LoadedModel
from attnviz_video.models.teacher_forcing import with_answer


def replay(
    loaded: LoadedModel,
    prepared: Prepared,
    plan: RecordingPlan,
    settings: CaptureSettings,
    token_ids: Sequence[int],
    *,
    on_step: Callable[[Step], None],
    on_prompt_rows: Callable[[PromptRows], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Generated:
    """Record the answer `token_ids` to `prepared` by `plan`, as if it were generated now.

    `on_step` is called for each token, in order, as `generate` does; a step has no time of its own (milliseconds are
    NaN). With `settings.replay_depth` "shown" the pass ends after the last layer of the plan: there are no candidates,
    and log-probabilities are NaN. `should_stop` is asked after each block of steps.

    Raises:
        UsageError: there are no tokens.
        StartPhraseError: the user's phrase is nowhere; nothing has run by then.
        ModelError: the model cannot read the answer, or its attention cannot be recorded.
        DeviceError: the device is out of memory.
    """
    answer = AnswerReplay(loaded, prepared, plan, settings, token_ids, on_step=on_step, on_prompt_rows=on_prompt_rows)
    inputs = with_answer(prepared.inputs, answer.token_ids[:-1], str(loaded.model.config.model_type))
    (replayed,) = replay_together(loaded, inputs, [answer], plan, settings, should_stop)
    return replayed


def replay_together(
    loaded: LoadedModel,
    inputs: Mapping[str, Any],
    answers: Sequence[AnswerReplay],
    plan: RecordingPlan,
    settings: CaptureSettings,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Generated]:
    """One forward pass over `inputs`, which hold one sequence per answer, starting at position 0.

    The steps of each answer are handed over to its own sink, one answer after the other.

    Raises:
        ModelError, DeviceError: as `replay`.
    """
    wanted = wanted_modules(attention_modules(loaded.model), plan)
    idle = answers[0].columns.idle_layers(wanted, plan)
    identity = loaded.identity()
    head = OutputHead(loaded.model) if settings.replay_depth == "full" else None

    def on_prompt_call(sequence: int, call: AttentionCall) -> None:
        answers[sequence].take_prompt(call)

    forward = TeacherForcedPass(
        {layer: module for layer, module in wanted.items() if layer not in idle},
        [answer.span for answer in answers],
        n_heads=identity.n_heads,
        cross_layers=frozenset(layer for layer, kind in enumerate(identity.layer_kinds) if kind == CROSS),
        on_prompt_call=on_prompt_call,
    )
    advice = "shorten the response, lower --max_pixels or the number of --layers, or use a larger device"
    with quiet_transformers(), out_of_memory_is_told(loaded.device, "replaying", advice):
        forward.run(loaded.model, on_device(inputs, loaded.device), head)
        done = []
        for sequence, answer in enumerate(answers):
            done.append(answer.hand_over(forward.layers[sequence], head, sequence, should_stop))
            forward.layers[sequence].clear()
    return done
