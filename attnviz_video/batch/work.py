"""What a worker of a real run does: `record_sample` and `render_outputs`, and what the books say about the result."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz_video.batch.correct import has_verdict_on, judge
from attnviz_video.batch.jobs import Facts, SampleTask
from attnviz_video.config import RunConfig
from attnviz_video.core.sample import Sample
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import AttnVizError, Interrupted, TraceError
from attnviz_video.pipeline import check_before_loading, record_sample, render_outputs
from attnviz_video.progress import Progress
from attnviz_video.recording import Recording, check_head

if TYPE_CHECKING:
    from PIL.Image import Image

    from attnviz_video.export.names import Output
    from attnviz_video.models.load import LoadedModel


#: The poster in small.
THUMBNAIL = "thumbnail.webp"


class RecordAndRender:
    """The work of a real run; loads the model once, when the first sample is recorded."""

    def __init__(self, config: RunConfig, *, batch_size: int = 1) -> None:
        self._config = config
        self._batch_size = batch_size
        self._loaded: LoadedModel | None = None
        #: Why samples are recorded one by one although more were asked for.
        self._one_by_one: str | None = None

    def start(self) -> None:
        """Load the model.

        Raises:
            UsageError, ModelError, DeviceError: layers or heads it does not have, or it cannot be loaded.
        """
        from attnviz_video.models.load import load_model

        check_settings(self._config)
        self._loaded = load_model(self._config.model)

    def record(
        self, tasks: Sequence[SampleTask], progress: Progress, should_stop: Callable[[], bool]
    ) -> list[Facts | BaseException]:
        """Record the samples together where the model's batches allow it, else one by one."""
        asked = [self._ask(task, progress) for task in tasks]
        good = [(task, one) for task, one in zip(tasks, asked, strict=True) if not isinstance(one, BaseException)]
        done = iter(self._record(good, progress, should_stop))
        return [one if isinstance(one, BaseException) else next(done) for one in asked]

    def render(self, task: SampleTask, progress: Progress) -> Facts:
        """Make the videos of a trace.

        Raises:
            TraceError: the trace is damaged, or not there any more.
            AttnVizError: as `render_outputs`.
        """
        from attnviz_video.export.names import output_paths
        from attnviz_video.export.thumbnail import write_thumbnail
        from attnviz_video.tracefile.read import open_trace

        config = at_home(self._config, task)
        trace = open_trace(task.home / str(task.facts["trace"]))
        if trace.status != "complete":
            raise TraceError(f"{task.home / str(task.facts['trace'])} is not complete: record it again")
        remove_half_made(task.home)
        layers = trace.header.shown_layers or trace.header.head_layers
        outputs: list[Output] = []
        for layer in layers:
            own = output_paths(config.export, layer, n_layers=len(layers))
            render_outputs(trace, layer, config, own, progress)
            outputs += own
        poster = next(output.path for output in outputs if output.kind == "poster")
        thumbnail = write_thumbnail(poster, task.home / THUMBNAIL)
        return {
            "outputs": [str(path) for path in made_files(task.home)],
            "videos": [output.path.relative_to(task.home).as_posix() for output in outputs if output.kind != "poster"],
            "poster": poster.name,
            "thumbnail": thumbnail.name,
        }

    def _ask(self, task: SampleTask, progress: Progress) -> tuple[Sample, list[Image]] | BaseException:
        """The sample and its opened images; or why they cannot be used."""
        from attnviz_video.sources.images import decode_image

        try:
            if task.sample is None:
                raise TraceError(f"{task.home} has no trace any more; run the batch command again to record it")
            pictures = []
            for path in task.sample.image_paths:
                decoded = decode_image(path)
                pictures.append(decoded.image)
                for notice in decoded.notices:
                    progress.notice(notice)
            check_before_loading(task.sample, at_home(self._config, task))
        except Exception as error:
            return error
        return task.sample, pictures

    def _record(
        self,
        good: Sequence[tuple[SampleTask, tuple[Sample, list[Image]]]],
        progress: Progress,
        should_stop: Callable[[], bool],
    ) -> list[Facts | BaseException]:
        if self._loaded is None:
            raise AttnVizError("record was called before start")
        recordings: list[Recording | BaseException] | None = None
        if len(good) > 1 and self._one_by_one is None:
            from attnviz_video.batch.together import CannotTogetherError, record_together

            try:
                parts = [(sample, images, at_home(self._config, task)) for task, (sample, images) in good]
                recordings = record_together(parts, self._loaded, progress, should_stop)
            except CannotTogetherError as error:
                self._one_by_one = str(error) if error.for_good else None
                progress.notice(f"recorded one by one: {error}")
            except Exception as error:  # of the batch, or of one sample in it: alone, it fails that one only
                reason = " ".join(str(error).split())
                progress.notice(f"recorded one by one: the batch failed with {type(error).__name__}: {reason}")
        if recordings is None:
            recordings = []
            for task, (sample, images) in good:
                recordings.append(self._alone(task, sample, images, progress, should_stop))
        field = self._config.source.response_field
        return [facts_or_error(task, one, field) for (task, _), one in zip(good, recordings, strict=True)]

    def _alone(
        self, task: SampleTask, sample: Sample, images: list[Image], progress: Progress, should_stop: Callable[[], bool]
    ) -> Recording | BaseException:
        assert self._loaded is not None
        try:
            if should_stop():
                raise Interrupted("stopped before this sample")
            return record_sample(sample, images, self._loaded, at_home(self._config, task), progress, should_stop)
        except (Exception, KeyboardInterrupt) as error:
            return error


def build(worker: int, config: RunConfig, devices: Sequence[str] = (), batch_size: int = 1) -> RecordAndRender:
    """The work of one worker; worker i takes device i where devices are named."""
    if devices:
        config = replace(config, model=replace(config.model, device=devices[worker % len(devices)]))
    return RecordAndRender(config, batch_size=batch_size)


def at_home(config: RunConfig, task: SampleTask) -> RunConfig:
    """The settings with which one sample is recorded and rendered: everything goes into its own folder.

    A video is painted in one process, since a batch renders several videos at once instead. There is always a poster:
    the page of the run shows it.
    """
    poster = "auto" if config.export.poster == "none" else config.export.poster
    export = replace(config.export, output_dir=task.home, output=None, render_workers=1, poster=poster)
    return replace(config, export=export)


def check_settings(config: RunConfig) -> None:
    """Refuse layers and heads that the model does not have, before its weights are read.

    Raises:
        UsageError, ModelError: see `check_before_loading`, of which this is the part that is true of all samples.
    """
    from attnviz_video.capture.plan import plan_recording
    from attnviz_video.models.checkpoint import find_checkpoint
    from attnviz_video.models.identity import expected_identity
    from attnviz_video.models.prompt_templates import check_template
    from attnviz_video.text_pass import refuse_encoder

    check_template(config.model)
    checkpoint = find_checkpoint(config.model)
    refuse_encoder(checkpoint.model_type)
    identity = expected_identity(checkpoint)
    if identity is not None:
        plan, _ = plan_recording(config.capture, identity)
        check_head(config.analysis.head, plan, identity.n_heads)


def facts_or_error(
    task: SampleTask, recording: Recording | BaseException, response_field: str | None
) -> Facts | BaseException:
    """What the books say about a recording, or why there is none; an interrupted one is none."""
    if isinstance(recording, BaseException):
        return recording
    if recording.interrupted:
        return Interrupted(f"stopped after {recording.n_tokens} tokens")
    try:
        return facts_of(task, recording, response_field)
    except Exception as error:
        return error


def facts_of(task: SampleTask, recording: Recording, response_field: str | None) -> Facts:
    """What the books say about a recording that is whole; `response_field` is the field that was to be replayed.

    Raises:
        TraceError: the trace cannot be read.
    """
    from attnviz_video.tracefile.format import MANIFEST
    from attnviz_video.tracefile.read import open_trace

    assert task.sample is not None
    trace = open_trace(recording.trace_folder, verify=False)
    response = answer_of(trace)
    judged = trace.header.kind == "replay" and has_verdict_on(task.sample, response_field)
    verdict = judge(task.sample, response, judged=judged)
    return {
        "response": response,
        "correct": verdict.correct,
        "correct_by": verdict.by,
        "score": verdict.score,
        "kind": trace.header.kind,
        "n_images": len(task.sample.image_paths),
        "n_prompt": trace.n_prompt,
        "n_tokens": recording.n_tokens,
        "image_share": image_share(trace, recording.shown_layers[0]),
        "shown_layers": list(recording.shown_layers),
        "trace": recording.trace_folder.name,
        "outputs": [str(recording.trace_folder / MANIFEST)],
        "inputs": [str(path) for path in task.sample.image_paths],
    }


def answer_of(trace: TraceData) -> str:
    """The text that was generated or replayed, without special tokens."""
    return "".join(token.piece for token in trace.tokens[trace.n_prompt :] if not token.special).strip()


def image_share(trace: TraceData, layer: int) -> float | None:
    """The part of attention that lies on images, as the mean over steps and heads of one layer; None where none is.

    A layer of which no scalars were kept has none either.
    """
    layers = trace.header.scalar_layers
    steps = [step.scalars.image_share for step in trace.steps if step.scalars is not None]
    if not steps or layer not in layers or not trace.layout.images:
        return None
    at = layers.index(layer)
    shares = [float(share[at].sum(axis=-1).mean()) for share in steps]
    mean = sum(shares) / len(shares)
    return round(mean, 6) if mean == mean else None  # NaN: JSON has no such number


def remove_half_made(home: Path) -> None:
    """Remove what a killed rendering left: under the lock of the run, nobody else works in a sample's folder."""
    for path in home.glob("*.partial*"):
        if path.is_file():
            path.unlink()
        elif not path.name.startswith("trace_"):
            shutil.rmtree(path)


def made_files(home: Path) -> list[Path]:
    """Everything in a sample's folder that was made of its trace."""
    from attnviz_video.batch.names import DONE, RECORDED, TRACEBACK

    found = []
    for path in sorted(home.iterdir()):
        if path.name in (DONE, RECORDED, TRACEBACK) or ".partial" in path.name or path.name.endswith(".lock"):
            continue
        if path.is_file():
            found.append(path)
        elif not path.name.startswith("trace_"):
            found += sorted(inner for inner in path.rglob("*") if inner.is_file())
    return found
