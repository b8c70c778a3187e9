"""THE STORY in one screen: `record_sample` writes a trace, `render_trace` makes a video of it; the trace joins them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz_video.config import RenderConfig, RunConfig
from attnviz_video.core.sample import Sample
from attnviz_video.core.step import Step
from attnviz_video.core.trace import TraceData, TraceHeader
from attnviz_video.errors import StartPhraseError, UsageError
from attnviz_video.files import megabytes
from attnviz_video.progress import Progress
from attnviz_video.recording import Recording, check_head, trace_header

if TYPE_CHECKING:
    from PIL.Image import Image

    from attnviz_video.capture.generate import Generated
    from attnviz_video.capture.plan import RecordingPlan
    from attnviz_video.capture.stored_answer import StoredAnswer
    from attnviz_video.capture.way import Watched, WayOfCapture
    from attnviz_video.core.prepared import Prepared
    from attnviz_video.export.names import Output
    from attnviz_video.models.load import LoadedModel
    from attnviz_video.tracefile.write import TraceWriter


def check_before_loading(sample: Sample, config: RunConfig) -> None:
    """Refuse what can be refused before weights are read: layers, heads, names of outputs, a missing response.

    Raises:
        UsageError: a layer or head that the model does not have, an output that must not be replaced, or a prompt
            template that is not there.
        DatasetError: there is no response to replay.
        ModelError: the checkpoint cannot be read, is of a kind that cannot be loaded, or takes not so many images.
    """
    from attnviz_video.capture.plan import plan_recording, refuse_idle_layers
    from attnviz_video.capture.stored_answer import stored_answer
    from attnviz_video.export.names import output_paths, trace_path
    from attnviz_video.models.checkpoint import find_checkpoint
    from attnviz_video.models.families import refuse_image_count
    from attnviz_video.models.identity import expected_identity
    from attnviz_video.models.prompt_templates import prompt_of
    from attnviz_video.models.text_encoders import is_encoder
    from attnviz_video.text_pass import check_text, refuse_pair
    from attnviz_video.tracefile.place import refuse_foreign

    stored_answer(sample, config.capture, config.source.response_field)  # raises where there is none to replay
    prompt_of(sample, config.model)
    if not config.export.overwrite:
        refuse_foreign(trace_path(config.export, sample))
    checkpoint = find_checkpoint(config.model)
    identity = expected_identity(checkpoint)
    if is_encoder(checkpoint.model_type):
        check_text(sample, config, identity)
        return
    refuse_pair(checkpoint.model_type, config)
    if identity is None:
        return
    refuse_image_count(identity.model_type, len(sample.image_paths))
    plan, _ = plan_recording(config.capture, identity)
    refuse_idle_layers(plan, identity.layer_kinds, len(sample.image_paths))
    check_head(config.analysis.head, plan, identity.n_heads)
    for layer in plan.shown_layers:
        output_paths(config.export, layer, n_layers=len(plan.shown_layers))


def record_sample(
    sample: Sample,
    images: Sequence[Image],
    loaded: LoadedModel,
    config: RunConfig,
    progress: Progress,
    should_stop: Callable[[], bool] = lambda: False,
) -> Recording:
    """Let the model answer one sample, or replay the answer it has, and write the attention to a trace.

    An encoder, which writes no answer, reads the sample's text instead (`text_pass.record_text`).

    Raises:
        UsageError: a layer or head that the model does not have, or a recording that would be too large.
        DatasetError: there is no response to replay.
        StartPhraseError: the given start phrase occurs nowhere; the trace with the generated text stays.
        ModelError: the model's attention cannot be recorded, or it cannot read the response.
        EnvironmentFault: disk or device.
    """
    if loaded.is_encoder:
        from attnviz_video.text_pass import record_text

        return record_text(sample, images, loaded, config, progress)
    announced = announce(sample, images, loaded, config, progress)
    with ExitStack() as stack:
        writer = stack.enter_context(announced.writer(overwrite=config.export.overwrite))
        capture = announced.capture
        advance = stack.enter_context(progress.track(capture.doing, capture.n_new, "token"))

        def on_step(step: Step) -> None:
            writer.add(step)
            advance(1)

        try:
            generated = capture.run(
                loaded,
                announced.prepared,
                announced.plan,
                config.capture,
                on_step=on_step,
                on_prompt_rows=writer.add_prompt_rows if announced.plan.query_rows == "all" else None,
                should_stop=should_stop,
            )
        except StartPhraseError as error:
            raise phrase_is_nowhere(error, writer) from error
        return finish(announced, generated, writer, loaded, progress)


@dataclass(frozen=True, eq=False)
class Announced:
    """A recording that has been planned and told about, and may begin."""

    prepared: Prepared
    plan: RecordingPlan
    capture: WayOfCapture
    #: None where the answer is generated.
    answer: StoredAnswer | None
    folder: Path
    header: TraceHeader
    #: PNG files.
    pictures: Sequence[bytes]

    def writer(self, *, overwrite: bool) -> TraceWriter:
        """Start the trace.

        Raises:
            UsageError, TraceError, EnvironmentFault: see `TraceWriter.create`.
        """
        from attnviz_video.tracefile.write import TraceWriter

        prepared = self.prepared
        return TraceWriter.create(
            self.folder, self.header, prepared.layout, prepared.tokens, self.pictures, overwrite=overwrite
        )


def announce(
    sample: Sample,
    images: Sequence[Image],
    loaded: LoadedModel,
    config: RunConfig,
    progress: Progress,
    *,
    watched: Watched | None = None,
    png_files: Sequence[bytes] | None = None,
) -> Announced:
    """Everything of a recording that comes before its first token; nothing is written yet.

    `watched` is given where somebody sees the tokens as they come; `png_files` are the images as `png_bytes` makes
    them, where that has been done.

    Raises:
        UsageError, DatasetError, StartPhraseError, ModelError: see `record_sample`.
    """
    from attnviz_video.capture.decoding import settings_record
    from attnviz_video.capture.plan import plan_of_replay, plan_recording
    from attnviz_video.capture.start_phrase import start_before_answer
    from attnviz_video.capture.stored_answer import replay_record, stored_answer
    from attnviz_video.capture.way import way_of_capture
    from attnviz_video.export.names import trace_path
    from attnviz_video.models.processor import area_limits
    from attnviz_video.models.prompt import prepare
    from attnviz_video.models.prompt_templates import prompt_of
    from attnviz_video.sources.images import png_bytes
    from attnviz_video.text_pass import refuse_encoder, refuse_pair
    from attnviz_video.tracefile.read import replaced_notice

    refuse_encoder(loaded.checkpoint.model_type)
    refuse_pair(loaded.checkpoint.model_type, config)
    answer = stored_answer(sample, config.capture, config.source.response_field)
    plan, notices = plan_recording(config.capture, loaded.identity())
    if answer is not None:
        plan = plan_of_replay(plan, config.capture.replay_depth)
    check_head(config.analysis.head, plan, loaded.identity().n_heads)
    prompt = prompt_of(sample, config.model)
    prepared = prepare(loaded, sample, images, prompt.template, prompt.system)
    capture = way_of_capture(answer, prepared, loaded, config.capture, watched)
    folder = trace_path(config.export, sample)
    header = trace_header(sample, prepared, loaded, plan)
    if answer is None:
        how = settings_record(loaded.model.generation_config, config.capture)
    else:
        header, how = replace(header, kind="replay"), replay_record(answer, config.capture)
    # Final already where the phrase stands in the prompt: a recording that breaks off is then shown from there.
    start = start_before_answer(config.capture, prepared.tokens, prepared.n_prompt)
    limits = {"max_image_num": config.source.max_image_num, **area_limits(loaded.processor)}
    asked = {"prompt": prompt.record(), "images": limits}
    given = {"given_tokens": capture.n_given} if capture.n_given else {}
    header = replace(header, start=start, generation={**header.generation, **how, **asked, **given})
    pictures = [png_bytes(image) for image in images] if png_files is None else png_files
    forecast = forecast_sentence(plan, prepared, loaded, config, capture, sum(map(len, pictures)))
    for notice in (*notices, *prompt.notices, *capture.notices, replaced_notice(folder, header), forecast):
        if notice:
            progress.notice(notice)
    return Announced(prepared, plan, capture, answer, folder, header, pictures)


def finish(
    announced: Announced, generated: Generated, writer: TraceWriter, loaded: LoadedModel, progress: Progress
) -> Recording:
    """Complete the trace of a recording whose steps are all written, or keep what there is of an interrupted one.

    Raises:
        TraceError, EnvironmentFault: see `TraceWriter.complete`.
    """
    from attnviz_video.models.token_text import TokenText, answer_tokens

    header, folder = announced.header, announced.folder
    tokens = answer_tokens(TokenText(loaded.tokenizer), generated.token_ids, announced.prepared.layout.n_prompt)
    header = replace(header, start=generated.start, generation={**header.generation, **generated.settings})
    interrupted = generated.stopped_by == "interrupted"
    if interrupted:
        writer.fail("stopped by the user", tokens, header)
        folder = writer.workplace
    else:
        writer.complete(tokens, header)
    for notice in generated.notices:
        progress.notice(notice)
    return Recording(folder, announced.plan.shown_layers, len(tokens), interrupted=interrupted)


def phrase_is_nowhere(error: StartPhraseError, writer: TraceWriter) -> StartPhraseError:
    """The same error, with the place where the generated text is kept."""
    return StartPhraseError(f"{error}; the text is kept in {writer.workplace}")


def render_trace(
    trace: TraceData, layer: int, config: RunConfig | RenderConfig, path: Path, progress: Progress
) -> Path:
    """Make the video of one layer of a trace, in the form that the name `path` ends in; see `render_outputs`."""
    from attnviz_video.export.names import Output, kind_of

    return render_outputs(trace, layer, config, (Output(kind_of(path), path),), progress)[0]


def render_outputs(
    trace: TraceData, layer: int, config: RunConfig | RenderConfig, outputs: Sequence[Output], progress: Progress
) -> list[Path]:
    """Make the video of one layer of a trace in every form asked for; each takes its name when it is whole.

    Raises:
        TraceError: the layer or head was not recorded, or there is nothing to show.
        UsageError: settings that do not fit the trace or the frame.
        EnvironmentFault: disk or encoder.
    """
    from attnviz_video.analysis.scores import score
    from attnviz_video.export.idle_settings import idle_notices
    from attnviz_video.export.names import replaced_sentence, video_metadata
    from attnviz_video.export.outputs import Video
    from attnviz_video.export.schedule import plan_schedule
    from attnviz_video.render.frame import FramePainter

    scores = score(trace, layer, config.analysis, show_prompt=config.render.show_prompt)
    schedule = plan_schedule(trace, scores.steps, config.export)
    metadata = video_metadata(trace.header, layer)
    video = Video(scores, FramePainter(scores, config.render), schedule, config.render, config.export, metadata)
    video.check(outputs)
    replaced = (replaced_sentence(output.path, trace.header) for output in outputs)
    idle = idle_notices(trace, config.render, config.export, outputs)
    notices = (scores.report.sentence(), *replaced, *idle, *video.painter.notices, *schedule.notices)
    for notice in (*notices, *(words for output in outputs for words in video.notices(output))):
        if notice:
            progress.notice(notice)
    for output in outputs:
        name = f"layer {layer}" if output.kind == "mp4" else f"layer {layer}, {output.kind}"
        with progress.track(name, 1 if output.kind == "poster" else len(schedule.frames), "frame") as advance:
            video.write(output, progress.notice, counted(advance))
    return [output.path for output in outputs]


def counted(advance: Callable[[int], None]) -> Callable[[int], None]:
    """From how many frames are written to how many more than ever before: an attempt may begin anew."""
    reached = 0

    def on_frame(written: int) -> None:
        nonlocal reached
        if written > reached:
            advance(written - reached)
            reached = written

    return on_frame


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
