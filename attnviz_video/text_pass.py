"""One pass of an encoder over a text, or over two sentences, to a trace: `pipeline.py` without an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from attnviz_video.config import RunConfig
from attnviz_video.core.sample import PAIR_FIELD, Sample, second_text
from attnviz_video.core.step import PromptRows
from attnviz_video.core.trace import ModelIdentity, StartPoint
from attnviz_video.errors import DatasetError, ModelError, UsageError
from attnviz_video.files import megabytes
from attnviz_video.progress import Progress
from attnviz_video.recording import Recording, check_head, trace_header

if TYPE_CHECKING:
    from PIL.Image import Image

    from attnviz_video.models.load import LoadedModel

#: Settings that say something about a prompt or an answer, which a text that is only read does not have.
_IDLE = {
    "model": ("prompt_template", "strategy", "system_prompt"),
    "capture": ("start_phrase",),
}


def record_text(
    sample: Sample, images: Sequence[Image], loaded: LoadedModel, config: RunConfig, progress: Progress
) -> Recording:
    """Let an encoder read the sample's text once, and write the rows of all its queries to a trace.

    Raises:
        UsageError: a layer or head that the model does not have, a response to replay, or a trace that would be too
            large.
        DatasetError: there is no text.
        ModelError: images, a text that is too long, or attention that cannot be recorded.
        EnvironmentFault: disk or device.
    """
    from attnviz_video.capture.encode import encode
    from attnviz_video.capture.plan import forecast_encoding, plan_encoding
    from attnviz_video.export.names import trace_path
    from attnviz_video.models.encoder_text import prepare_text
    from attnviz_video.models.families import refuse_image_count
    from attnviz_video.tracefile.read import replaced_notice
    from attnviz_video.tracefile.write import TraceWriter

    refuse_answers(config)
    refuse_image_count(loaded.checkpoint.model_type, len(images))
    identity = loaded.identity()
    plan, planned = plan_encoding(config.capture, identity)
    check_head(config.analysis.head, plan, identity.n_heads)
    prepared, told = prepare_text(loaded, sample)
    folder = trace_path(config.export, sample)
    header = replace(trace_header(sample, prepared, loaded, plan), kind="encoding", start=StartPoint("", "none", 0, 0))
    if second_text(sample) is not None:
        header = replace(header, generation={**header.generation, PAIR_FIELD: second_text(sample)})
    size = forecast_sentence(forecast_encoding(plan, prepared.n_prompt), prepared.n_prompt, config)
    for notice in (*planned, *idle_notices(config), *told, replaced_notice(folder, header), size):
        if notice:
            progress.notice(notice)
    overwrite = config.export.overwrite
    with (
        TraceWriter.create(folder, header, prepared.layout, prepared.tokens, (), overwrite=overwrite) as writer,
        progress.track("reading", len(plan.head_layers), "layer") as advance,
    ):

        def on_rows(rows: PromptRows) -> None:
            writer.add_prompt_rows(rows)
            advance(1)

        encoded = encode(loaded, prepared, plan, on_rows=on_rows)
        writer.keep_masked(encoded.masked)
        writer.complete((), replace(header, generation={**header.generation, **encoded.settings}))
    for notice in encoded.notices:
        progress.notice(notice)
    return Recording(folder, plan.shown_layers, prepared.n_prompt, is_encoding=True)


def check_text(sample: Sample, config: RunConfig, identity: ModelIdentity | None) -> None:
    """Refuse what an encoder cannot do, before its weights are read; `identity` is what its configuration says.

    Raises:
        UsageError: a layer or head that the model does not have, or a response to replay.
        DatasetError: there is no text.
        ModelError: images.
    """
    from attnviz_video.capture.plan import plan_encoding
    from attnviz_video.models.families import refuse_image_count

    refuse_answers(config)
    if identity is not None:
        refuse_image_count(identity.model_type, len(sample.image_paths))
        plan, _ = plan_encoding(config.capture, identity)
        check_head(config.analysis.head, plan, identity.n_heads)
    if not sample.problem.strip():
        raise DatasetError(f"sample {sample.id}: a text is empty; an encoder needs words to read")


def refuse_answers(config: RunConfig) -> None:
    """Refuse a response to replay: an encoder writes nothing.

    Raises:
        UsageError: one was asked for.
    """
    capture, source = config.capture, config.source
    asked = {
        "--response": capture.response,
        "--response_ids": capture.response_ids,
        "--response_field": source.response_field,
        "--answer stored": capture.answer == "stored" or None,
    }
    given = [flag for flag, value in asked.items() if value is not None]
    if given:
        raise UsageError(
            f"{given[0]}: an encoder reads a text and writes no answer, so there is none to replay; leave it out, or "
            "take a model that answers (--model_path)"
        )


def refuse_encoder(model_type: str) -> None:
    """Refuse an encoder where answers are recorded.

    Raises:
        ModelError: models of this type are encoders.
    """
    from attnviz_video.models.text_encoders import is_encoder

    if is_encoder(model_type):
        raise ModelError(
            f"model_type {model_type!r} is an encoder, which reads a text and writes no answer; record its texts one "
            "by one: run --question"
        )


def refuse_pair(model_type: str, config: RunConfig) -> None:
    """Refuse the second sentence of a pair where the model is no encoder.

    Raises:
        ModelError: `--question_pair` was given.
    """
    if config.source.question_pair is not None:
        raise ModelError(
            f"--question_pair: model_type {model_type!r} takes one question, not a pair of sentences; leave it out, or "
            "take an encoder such as BERT (--model_path)"
        )


def idle_notices(config: RunConfig) -> list[str]:
    """One line for each setting that was given and says nothing to an encoder."""
    return [
        f"--{name} has no effect: an encoder reads the bare text, all of it"
        for stage, names in _IDLE.items()
        for name in names
        if getattr(getattr(config, stage), name) is not None
    ]


def forecast_sentence(n_bytes: int, n_text: int, config: RunConfig) -> str:
    """How large the trace becomes; said before the model runs.

    Raises:
        UsageError: it exceeds `max_trace_gb`.
    """
    if n_bytes > config.trace.max_trace_gb * 1e9:
        raise UsageError(
            f"the trace takes {megabytes(n_bytes)}, more than --max_trace_gb {config.trace.max_trace_gb:g}; "
            "shorten the text, record fewer --layers or --heads, or raise --max_trace_gb"
        )
    return f"reading: {n_text} tokens in one pass; the trace then takes about {megabytes(n_bytes)}"
