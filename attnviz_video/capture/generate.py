"""Generates an answer with the model's own `generate` and hands over one `Step` per token, with its attention rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

import torch

from attnviz_video.capture.decoding import check_decoding, end_tokens, generation_arguments, settings_record
from attnviz_video.capture.device_memory import out_of_memory_is_told
from attnviz_video.capture.eager import EagerRecorder
from attnviz_video.capture.intercept import NotRoutedError
from attnviz_video.capture.plan import RecordingPlan
from attnviz_video.capture.recorder import AttentionRecorder
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.capture.start_phrase import final_start, resolve_start
from attnviz_video.capture.stepper import Stepper, StepSink
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.step import PromptRows, Step
from attnviz_video.core.trace import StartPoint
from attnviz_video.errors import ModelError
from attnviz_video.models.decoder import attention_modules, whole_prompt_arguments
from attnviz_video.models.device import on_device
from attnviz_video.models.hub_library import quiet_transformers
from attnviz_video.models.load import LoadedModel
from attnviz_video.models.token_text import TokenText

_ADVICE = "lower --max_new_tokens, --max_pixels or the number of --layers, or use a larger device"


@dataclass(frozen=True)
class Generated:
    """What was generated or replayed; the steps themselves went to `on_step`."""

    #: The end token included, if the model wrote one.
    token_ids: tuple[int, ...]
    stopped_by: Literal["eos", "length", "stop", "interrupted"]
    start: StartPoint
    notices: tuple[str, ...]
    #: What it was generated with, ready for JSON.
    settings: Mapping[str, object]


def generate(
    loaded: LoadedModel,
    prepared: Prepared,
    plan: RecordingPlan,
    settings: CaptureSettings,
    *,
    on_step: Callable[[Step], None],
    on_prompt_rows: Callable[[PromptRows], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    one_by_one: bool = False,
) -> Generated:
    """Generate an answer to `prepared` and record it by `plan`; the text is the one the model writes without recording.

    `on_step` is called for each token, in order, for up to 16 of them at a time: their rows are computed together. With
    `one_by_one` it is called as soon as a token is known.
    Nothing of a step is kept afterwards. `should_stop` is asked after each token. Runs of one seed write the same
    text; the process's random state is left as it was.

    Raises:
        StartPhraseError: the user's phrase is nowhere; all steps have been handed over by then.
        ModelError: the model's attention cannot be recorded.
        DeviceError: the device is out of memory.
        UsageError: a setting is out of its range.
    """
    check_decoding(settings)
    decision = resolve_start(settings, prepared.tokens)
    own = loaded.model.generation_config
    text, identity, sink = TokenText(loaded.tokenizer), loaded.identity(), StepSink(on_step, should_stop, one_by_one)
    once = _once_per_layer(on_prompt_rows)
    recorder: AttentionRecorder | EagerRecorder
    how: Mapping[str, object] = settings_record(own, settings)
    warnings: tuple[str, ...] = ()
    try:
        recorder = AttentionRecorder(
            attention_modules(loaded.model), plan, identity, prepared.layout, once, prepared.columns
        )
        stepper = Stepper(text, recorder, decision, end_tokens(own), sink)
        _run(loaded, prepared, plan, settings, recorder, stepper)
    except NotRoutedError as reason:
        # No token is known by then: the rows of the first are those that are compared with the model's output.
        how, warnings = {**how, "attention": "eager"}, (eager_warning(reason),)
        recorder = EagerRecorder(loaded.model, plan, identity, prepared.layout, once, prepared.columns)
        stepper = Stepper(text, recorder, decision, end_tokens(own), sink)
        try:
            _run(loaded, prepared, plan, settings, recorder, stepper)
        except NotRoutedError:
            raise reason from None
    stepper.finish()
    start, notices = final_start(
        decision, stepper.pieces, prepared.n_prompt, finished=stepper.stopped_by != "interrupted"
    )
    stopped_by = stepper.stopped_by or ("length" if len(stepper.ids) >= settings.max_new_tokens else "stop")
    return Generated(tuple(stepper.ids), stopped_by, start, (*warnings, *notices), how)


def eager_warning(reason: NotRoutedError) -> str:
    """What the user is told where the weights that the model returns are recorded instead of our own."""
    return (
        f"recorded with eager attention, since {reason.reason}: this is slower and takes more memory, and the text may "
        "differ from the one without recording"
    )


def _once_per_layer(on_prompt_rows: Callable[[PromptRows], None] | None) -> Callable[[PromptRows], None] | None:
    """Rows that were handed over before recording started anew are not handed over again."""
    if on_prompt_rows is None:
        return None
    seen: set[int] = set()

    def give(rows: PromptRows) -> None:
        if rows.layer not in seen:
            seen.add(rows.layer)
            on_prompt_rows(rows)

    return give


def _run(
    loaded: LoadedModel,
    prepared: Prepared,
    plan: RecordingPlan,
    settings: CaptureSettings,
    recorder: AttentionRecorder | EagerRecorder,
    stepper: Stepper,
) -> None:
    """The library's own generation loop, with our step at the end of each of its steps."""
    if settings.max_new_tokens == 0:
        return
    inputs = on_device(prepared.inputs, loaded.device)
    if inputs["input_ids"].shape[0] != 1:
        raise ModelError(
            f"recording takes one sequence at a time, {inputs['input_ids'].shape[0]} came; "
            "for beams and batches, replay the finished text instead"
        )
    own = loaded.model.generation_config
    arguments = generation_arguments(own, settings)
    if own.stop_strings:
        arguments["tokenizer"] = loaded.tokenizer
    if plan.query_rows == "all":
        arguments |= whole_prompt_arguments(loaded.model)
    with ExitStack() as stack:
        stack.enter_context(quiet_transformers())
        stack.enter_context(out_of_memory_is_told(loaded.device, "generating", _ADVICE))
        stack.enter_context(_seeded(settings, loaded.device))
        stack.enter_context(recorder)
        hook = loaded.model.register_forward_hook(stepper.on_forward)
        stack.callback(hook.remove)
        stepper.start_clock()
        try:
            loaded.model.generate(**inputs, **arguments, stopping_criteria=[stepper])
        except BaseException:
            # The steps that were finished are kept; what went wrong is more important than that this may fail too.
            with suppress(Exception):
                stepper.hand_over()
            raise
        stepper.hand_over()


@contextmanager
def _seeded(settings: CaptureSettings, device: torch.device) -> Iterator[None]:
    """Sampling draws from the seed; afterwards the process's random state is what it was."""
    if not settings.do_sample:
        yield
        return
    # The seed is set on every GPU, and a model may lie on several.
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if device.type == "cuda" else []):
        torch.manual_seed(settings.seed)
        yield
