"""THE STORY in one screen: `record_sample` writes a trace, `render_trace` makes a video of it; the trace joins them."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz_video.config import RenderConfig, RunConfig
from attnviz_video.core.sample import Sample
from attnviz_video.core.step import Step
from attnviz_video.core.trace import StartPoint, TraceData, TraceHeader
from attnviz_video.errors import StartPhraseError, UsageError
from attnviz_video.files import megabytes
from attnviz_video.progress import Progress

if TYPE_CHECKING:
    from PIL.Image import Image

    from attnviz_video.capture.plan import RecordingPlan
    from attnviz_video.capture.way import WayOfCapture
    from attnviz_video.core.prepared import Prepared
    from attnviz_video.models.load import LoadedModel

#: Packages whose version decides what is generated or how it is stored.
VERSIONED = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "pillow", "imageio-ffmpeg")


@dataclass(frozen=True)
class Recording:
    """What `record_sample` leaves behind."""

    trace_folder: Path
    #: Layers to make a video of, as indices from 0.
    shown_layers: tuple[int, ...]
    n_tokens: int
    interrupted: bool = False


def check_before_loading(sample: Sample, config: RunConfig) -> None:
    """Refuse what can be refused before weights are read: layers, heads, names of outputs, a missing response.

    Raises:
        UsageError: a layer or head that the model does not have, or an output that must not be replaced.
        DatasetError: there is no response to replay.
        ModelError: the checkpoint cannot be read, is of a kind that cannot be loaded, or takes not so many images.
    """
    from attnviz_video.capture.plan import plan_recording, refuse_idle_layers
    from attnviz_video.capture.stored_answer import stored_answer
    from attnviz_video.export.names import trace_path, video_path
    from attnviz_video.models.checkpoint import find_checkpoint
    from attnviz_video.models.families import refuse_image_count
    from attnviz_video.models.identity import expected_identity
    from attnviz_video.tracefile.place import refuse_foreign

    stored_answer(sample, config.capture, config.source.response_field)  # raises where there is none to replay
    if not config.export.overwrite:
        refuse_foreign(trace_path(config.export, sample))
    identity = expected_identity(find_checkpoint(config.model))
    if identity is None:
        return
    refuse_image_count(identity.model_type, len(sample.image_paths))
    plan, _ = plan_recording(config.capture, identity)
    refuse_idle_layers(plan, identity.layer_kinds, len(sample.image_paths))
    check_head(config.analysis.head, plan, identity.n_heads)
    for layer in plan.shown_layers:
        video_path(config.export, layer, n_layers=len(plan.shown_layers))


def check_head(head: str, plan: RecordingPlan, n_heads: int) -> None:
    """Refuse a `--head` that the recording will not be able to show.

    Raises:
        UsageError: the model has no such head, or the plan does not keep what it needs.
    """
    from attnviz_video.analysis.heads import parse_head

    wanted = parse_head(head)
    if wanted.kind == "one" and wanted.number >= n_heads:
        raise UsageError(f"--head {wanted.number} is out of range: the model has query heads 0 to {n_heads - 1}")
    needed = {"one": {wanted.number}, "max": set(range(n_heads)), "mean": set()}[wanted.kind]
    if not needed <= set(plan.heads):
        kept = ", ".join(map(str, plan.heads))
        raise UsageError(
            f"--head {head} cannot be shown: --heads keeps only {kept} of the {n_heads} query heads; "
            "record more with --heads, or use --head mean"
        )


def record_sample(
    sample: Sample,
    images: Sequence[Image],
    loaded: LoadedModel,
    config: RunConfig,
    progress: Progress,
    should_stop: Callable[[], bool] = lambda: False,
) -> Recording:
    """Let the model answer one sample, or replay the answer it has, and write the attention to a trace.

    Raises:
        UsageError: a layer or head that the model does not have, or a recording that would be too large.
        DatasetError: there is no response to replay.
        StartPhraseError: the given start phrase occurs nowhere; the trace with the generated text stays.
        ModelError: the model's attention cannot be recorded, or it cannot read the response.
        EnvironmentFault: disk or device.
    """
    from attnviz_video.capture.decoding import settings_record
    from attnviz_video.capture.plan import plan_of_replay, plan_recording
    from attnviz_video.capture.start_phrase import start_before_answer
    from attnviz_video.capture.stored_answer import replay_record, stored_answer
    from attnviz_video.capture.way import way_of_capture
    from attnviz_video.export.names import trace_path
    from attnviz_video.models.prompt import prepare
    from attnviz_video.models.token_text import TokenText, answer_tokens
    from attnviz_video.sources.images import png_bytes
    from attnviz_video.tracefile.read import replaced_notice
    from attnviz_video.tracefile.write import TraceWriter

    answer = stored_answer(sample, config.capture, config.source.response_field)
    plan, notices = plan_recording(config.capture, loaded.identity())
    if answer is not None:
        plan = plan_of_replay(plan, config.capture.replay_depth)
    check_head(config.analysis.head, plan, loaded.identity().n_heads)
    prepared = prepare(loaded, sample, images, config.model.prompt_template)
    capture = way_of_capture(answer, prepared, loaded, config.capture)
    folder = trace_path(config.export, sample)
    header = trace_header(sample, prepared, loaded, plan)
    if answer is None:
        how = settings_record(loaded.model.generation_config, config.capture)
    else:
        header, how = replace(header, kind="replay"), replay_record(answer, config.capture)
    # Final already where the phrase stands in the prompt: a recording that breaks off is then shown from there.
    start = start_before_answer(config.capture, prepared.tokens, prepared.n_prompt)
    header = replace(header, start=start, generation={**header.generation, **how})
    pictures = [png_bytes(image) for image in images]
    forecast = forecast_sentence(plan, prepared, loaded, config, capture, sum(map(len, pictures)))
    for notice in (*notices, *capture.notices, replaced_notice(folder, header), forecast):
        if notice:
            progress.notice(notice)
    with ExitStack() as stack:
        writer = stack.enter_context(
            TraceWriter.create(
                folder, header, prepared.layout, prepared.tokens, pictures, overwrite=config.export.overwrite
            )
        )
        advance = stack.enter_context(progress.track(capture.doing, capture.n_new, "token"))

        def on_step(step: Step) -> None:
            writer.add(step)
            advance(1)

        try:
            generated = capture.run(
                loaded,
                prepared,
                plan,
                config.capture,
                on_step=on_step,
                on_prompt_rows=writer.add_prompt_rows if plan.query_rows == "all" else None,
                should_stop=should_stop,
            )
        except StartPhraseError as error:
            raise StartPhraseError(f"{error}; the text is kept in {writer.workplace}") from error
        tokens = answer_tokens(TokenText(loaded.tokenizer), generated.token_ids, prepared.layout.n_prompt)
        header = replace(header, start=generated.start, generation={**header.generation, **generated.settings})
        if generated.stopped_by == "interrupted":
            writer.fail("stopped by the user", tokens, header)
            folder = writer.workplace
        else:
            writer.complete(tokens, header)
    for notice in generated.notices:
        progress.notice(notice)
    return Recording(folder, plan.shown_layers, len(tokens), interrupted=generated.stopped_by == "interrupted")


def render_trace(
    trace: TraceData, layer: int, config: RunConfig | RenderConfig, path: Path, progress: Progress
) -> Path:
    """Make the video of one layer of a trace; nothing is under `path` until it is whole.

    Raises:
        TraceError: the layer or head was not recorded, or there is nothing to show.
        UsageError: settings that do not fit the trace or the frame.
        EnvironmentFault: disk or encoder.
    """
    from attnviz_video.analysis.scores import score
    from attnviz_video.export.mp4 import write_mp4
    from attnviz_video.export.names import replaced_sentence, video_metadata
    from attnviz_video.render.frame import FramePainter

    scores = score(trace, layer, config.analysis)
    painter = FramePainter(scores, config.render)
    for notice in (scores.report.sentence(), replaced_sentence(path, trace.header), *painter.notices):
        if notice:
            progress.notice(notice)
    with progress.track(f"layer {layer}", painter.n_frames, "frame") as advance:
        return write_mp4(
            (painter.frame(number) for number in range(painter.n_frames)),
            path,
            size=painter.size,
            n_frames=painter.n_frames,
            settings=config.export,
            metadata=video_metadata(trace.header, layer),
            on_frame=lambda written: advance(1),
        )


def forecast_sentence(
    plan: RecordingPlan,
    prepared: Prepared,
    loaded: LoadedModel,
    config: RunConfig,
    capture: WayOfCapture,
    image_bytes: int,
) -> str:
    """How large the trace may become, its images of `image_bytes` included; said before the model runs.

    Raises:
        UsageError: it may exceed `max_trace_gb`.
    """
    from attnviz_video.capture.plan import forecast_bytes

    layout = prepared.layout
    forecast = forecast_bytes(plan, loaded.identity(), layout.n_prompt, capture.n_new, len(layout.images))
    forecast += image_bytes
    if forecast > config.trace.max_trace_gb * 1e9:
        raise UsageError(
            f"the trace may take {megabytes(forecast)}, more than --max_trace_gb {config.trace.max_trace_gb:g}; "
            f"{capture.shorter}record fewer --layers or --heads, or raise --max_trace_gb"
        )
    return (
        f"recording: {layout.n_prompt} prompt tokens, {capture.answer}; "
        f"the trace then takes about {megabytes(forecast)}"
    )


def trace_header(sample: Sample, prepared: Prepared, loaded: LoadedModel, plan: RecordingPlan) -> TraceHeader:
    """What is known about a recording before its first token; the start point is provisional."""
    names = (*VERSIONED, "peft") if loaded.lora else VERSIONED
    versions = {name: importlib.metadata.version(name) for name in names}
    return TraceHeader(
        model=loaded.identity(),
        sample=sample,
        rendered_prompt=prepared.rendered_prompt,
        start=StartPoint("", "none", prepared.layout.n_prompt, 0),
        head_layers=plan.head_layers,
        heads=plan.heads,
        mean_layers=plan.mean_layers,
        scalar_layers=plan.scalar_layers,
        shown_layers=plan.shown_layers,
        query_rows=plan.query_rows,
        generation={"adapter": loaded.lora} if loaded.lora else {},
        versions=versions | {"python": platform.python_version()},
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
