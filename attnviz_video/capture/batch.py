"""Several samples at once, generated or replayed; each of them is recorded as if it ran alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

from attnviz_video.capture.answer_replay import AnswerReplay
from attnviz_video.capture.batch_run import BatchRun, SampleRun
from attnviz_video.capture.decoding import check_decoding, generation_arguments, settings_record
from attnviz_video.capture.device_memory import out_of_memory_is_told
from attnviz_video.capture.generate import Generated
from attnviz_video.capture.intercept import watched_attention
from attnviz_video.capture.plan import RecordingPlan
from attnviz_video.capture.replay import replay_together
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.step import PromptRows, Step
from attnviz_video.errors import AttnVizError, StartPhraseError, UsageError
from attnviz_video.models.collation import collate
from attnviz_video.models.decoder import whole_prompt_arguments
from attnviz_video.models.device import on_device
from attnviz_video.models.hub_library import quiet_transformers
from attnviz_video.models.load import LoadedModel
from attnviz_video.models.teacher_forcing import with_answer

#: What became of one sample of a batch: a fault of one sample is none of the others'.
Outcome = Generated | AttnVizError
#: Takes the number of a sample, and a step or the prompt's rows of one layer.
OnStep = Callable[[int, Step], None]
OnPromptRows = Callable[[int, PromptRows], None]

_ADVICE = "run fewer samples at once, lower --max_new_tokens, --max_pixels or the number of --layers"


def generate_batch(
    loaded: LoadedModel,
    prepared: Sequence[Prepared],
    plan: RecordingPlan,
    settings: CaptureSettings,
    *,
    on_step: OnStep,
    on_prompt_rows: OnPromptRows | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Outcome]:
    """Generate an answer to each sample and record it by `plan`; text and rows are those of `generate`.

    `on_step` is called as by `generate`, with the number of the sample first; samples take turns. Each answer ends with
    its own end token. A step's milliseconds are those of the whole batch. There is one outcome per sample, in order: a
    `StartPhraseError` where the sample's phrase is nowhere.

    Raises:
        UsageError: the text of one sample would depend on the others.
        ModelError: the model's attention cannot be recorded, or its batches are not known to equal single runs.
        DeviceError: the device is out of memory.
    """
    check_decoding(settings)
    refuse_shared_chance(loaded, settings)
    outcomes: dict[int, Outcome] = {}
    runs: dict[int, SampleRun] = {}
    for number, sample in enumerate(prepared):
        give_rows = None if on_prompt_rows is None else partial(on_prompt_rows, number)
        try:
            runs[number] = SampleRun(loaded, sample, plan, settings, partial(on_step, number), give_rows, should_stop)
        except StartPhraseError as error:
            outcomes[number] = error
    if runs and settings.max_new_tokens > 0:
        _generate(loaded, list(runs.values()), settings, plan.query_rows)
    record = {**settings_record(loaded.model.generation_config, settings), "batch_size": len(runs)}
    for number, run in runs.items():
        try:
            outcomes[number] = run.finished(settings.max_new_tokens, record)
        except StartPhraseError as error:
            outcomes[number] = error
    return [outcomes[number] for number in range(len(prepared))]


def _generate(loaded: LoadedModel, runs: Sequence[SampleRun], settings: CaptureSettings, query_rows: str) -> None:
    """The library's own generation loop over all samples, with our step at the end of each of its steps."""
    inputs = collate([run.prepared.inputs for run in runs], loaded.model.config)
    batch = BatchRun(runs, loaded.identity().layer_kinds)
    arguments = generation_arguments(loaded.model.generation_config, settings)
    if query_rows == "all":
        arguments |= whole_prompt_arguments(loaded.model)
    with ExitStack() as stack:
        stack.enter_context(quiet_transformers())
        stack.enter_context(out_of_memory_is_told(loaded.device, "generating a batch", _ADVICE))
        stack.callback(batch.release)
        stack.enter_context(watched_attention(batch.modules, batch.watch))
        hook = loaded.model.register_forward_hook(batch.on_forward)
        stack.callback(hook.remove)
        batch.start_clock()
        try:
            loaded.model.generate(**on_device(inputs, loaded.device), **arguments, stopping_criteria=[batch])
        except BaseException:
            # The steps that were finished are kept; what went wrong is more important than that this may fail too.
            batch.hand_over_what_is_left()
            raise
        batch.hand_over()


def refuse_shared_chance(loaded: LoadedModel, settings: CaptureSettings) -> None:
    """Refuse what would make one sample's text depend on the other samples of its batch.

    Raises:
        UsageError: sampling, or stop strings.
    """
    if settings.do_sample:
        raise UsageError(
            "--do_sample: in a batch, what is drawn for one sample would depend on the others; run the samples one by "
            "one, or generate greedily"
        )
    if loaded.model.generation_config.stop_strings:
        raise UsageError(
            f"the generation configuration of {loaded.id} ends answers at stop_strings, which is not known for each "
            "sample of a batch; run the samples one by one"
        )


def replay_batch(
    loaded: LoadedModel,
    prepared: Sequence[Prepared],
    plan: RecordingPlan,
    settings: CaptureSettings,
    answers: Sequence[Sequence[int]],
    *,
    on_step: OnStep,
    on_prompt_rows: OnPromptRows | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Outcome]:
    """Record the token ids `answers[i]` to sample i by `plan`, all in one forward pass; rows are those of `replay`.

    `on_step` is called with the number of the sample first, all steps of one sample before those of the next. There is
    one outcome per sample, in order: an error where its answer cannot be replayed.

    Raises:
        ModelError: the model's attention cannot be recorded, or its batches are not known to equal single runs.
        DeviceError: the device is out of memory.
    """
    outcomes: dict[int, Outcome] = {}
    replays: dict[int, AnswerReplay] = {}
    for number, (sample, token_ids) in enumerate(zip(prepared, answers, strict=True)):
        give_rows = None if on_prompt_rows is None else partial(on_prompt_rows, number)
        try:
            replays[number] = AnswerReplay(
                loaded, sample, plan, settings, token_ids, on_step=partial(on_step, number), on_prompt_rows=give_rows
            )
        except AttnVizError as error:
            outcomes[number] = error
    if replays:
        config = loaded.model.config
        longest = max(one.span.queries.stop for one in replays.values())
        # The others are filled up with their own last token: no position sees what comes after it, and without
        # padding the model takes its fastest way through attention.
        whole = [
            with_answer(
                prepared[number].inputs,
                one.token_ids[:-1] + one.token_ids[-1:] * (longest - one.span.queries.stop),
                str(config.model_type),
            )
            for number, one in replays.items()
        ]
        inputs = collate(whole, config)
        done = replay_together(loaded, inputs, list(replays.values()), plan, settings, should_stop)
        outcomes |= dict(zip(replays, done, strict=True))
    return [outcomes[number] for number in range(len(prepared))]
