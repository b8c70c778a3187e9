"""Generates an answer with the model's own `generate` and hands over one `Step` per token, with its attention rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

from attnviz_video.capture.decoding import check_decoding, end_tokens, generation_arguments, settings_record
from attnviz_video.capture.plan import RecordingPlan
from attnviz_video.capture.recorder import AttentionRecorder
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.capture.start_phrase import final_start, resolve_start
from attnviz_video.capture.stepper import Stepper, StepSink
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.step import PromptRows, Step
from attnviz_video.core.trace import StartPoint
from attnviz_video.errors import DeviceError, ModelError
from attnviz_video.models.decoder import attention_modules
from attnviz_video.models.hub_library import quiet_transformers
from attnviz_video.models.load import LoadedModel
from attnviz_video.models.token_text import TokenText


@dataclass(frozen=True)
class Generated:
    """What was generated; the steps themselves went to `on_step`."""

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
) -> Generated:
    """Generate an answer to `prepared` and record it by `plan`; the text is the one the model writes without recording.

    `on_step` is called after each token, in order; nothing of a step is kept here. `should_stop` is asked after
    each step. Runs of one seed write the same text; the process's random state is left as it was.

    Raises:
        StartPhraseError: the user's phrase is nowhere; all steps have been handed over by then.
        ModelError: the model's attention cannot be recorded.
        DeviceError: the device is out of memory.
        UsageError: a setting is out of its range.
    """
    check_decoding(settings)
    decision = resolve_start(settings, prepared.tokens)
    own = loaded.model.generation_config
    recorder = AttentionRecorder(
        attention_modules(loaded.model), plan, loaded.identity(), prepared.layout, on_prompt_rows
    )
    sink = StepSink(on_step, should_stop)
    stepper = Stepper(TokenText(loaded.tokenizer), recorder, decision, end_tokens(own), sink)
    if settings.max_new_tokens > 0:
        with ExitStack() as stack:
            stack.enter_context(quiet_transformers())
            stack.enter_context(_out_of_memory(loaded.device))
            stack.enter_context(_seeded(settings, loaded.device))
            stack.enter_context(recorder)
            hook = loaded.model.register_forward_hook(stepper.on_forward)
            stack.callback(hook.remove)
            _run(loaded, prepared, settings, stepper)
    stepper.finish()
    start, notices = final_start(
        decision, stepper.pieces, prepared.n_prompt, finished=stepper.stopped_by != "interrupted"
    )
    stopped_by = stepper.stopped_by or ("length" if len(stepper.ids) >= settings.max_new_tokens else "stop")
    return Generated(tuple(stepper.ids), stopped_by, start, notices, settings_record(own, settings))


def _run(loaded: LoadedModel, prepared: Prepared, settings: CaptureSettings, stepper: Stepper) -> None:
    """The library's own generation loop, with our step at the end of each of its steps."""
    inputs = {
        name: value.to(loaded.device) if isinstance(value, torch.Tensor) else value
        for name, value in prepared.inputs.items()
    }
    if inputs["input_ids"].shape[0] != 1:
        raise ModelError(
            f"recording takes one sequence at a time, {inputs['input_ids'].shape[0]} came; "
            "for beams and batches, replay the finished text instead"
        )
    own = loaded.model.generation_config
    arguments = generation_arguments(own, settings)
    if own.stop_strings:
        arguments["tokenizer"] = loaded.tokenizer
    stepper.start_clock()
    loaded.model.generate(**inputs, **arguments, stopping_criteria=[stepper])


@contextmanager
def _seeded(settings: CaptureSettings, device: torch.device) -> Iterator[None]:
    """Sampling draws from the seed; afterwards the process's random state is what it was."""
    if not settings.do_sample:
        yield
        return
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(settings.seed)
        yield


@contextmanager
def _out_of_memory(device: torch.device) -> Iterator[None]:
    """Turns the library's out-of-memory errors into one that says what to lower."""
    try:
        yield
    except RuntimeError as error:
        words = str(error)
        if not isinstance(error, torch.OutOfMemoryError) and not (
            "out of memory" in words or "can't allocate memory" in words
        ):
            raise
        raise DeviceError(
            f"{device} is out of memory while generating; lower --max_new_tokens, --max_pixels or the number of "
            "--layers, or use a larger device"
        ) from error
