"""Writes the prompt of a sample and prepares it for the model: ids, pixels, and what every position stands for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from attnviz_video.core.conversation import without_image_markers
from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.prepared import KeyColumns, Prepared
from attnviz_video.core.sample import Sample
from attnviz_video.core.tokens import Token
from attnviz_video.errors import AttnVizError, DatasetError, ModelError, TooLongError, UsageError
from attnviz_video.models.decoder import text_config
from attnviz_video.models.families import refuse_image_count
from attnviz_video.models.foreign_errors import first_line
from attnviz_video.models.layouts.adapter import SeparateImages, image_info, image_token_id, prompt_ids
from attnviz_video.models.load import LoadedModel
from attnviz_video.models.prompt_roles import prompt_roles, system_turn, takes_system_turn
from attnviz_video.models.settings import PLACEHOLDERS
from attnviz_video.models.token_text import TokenText

_VIDEO_MARKER = "<video>"


def prepare(
    loaded: LoadedModel, sample: Sample, images: Sequence[Any], template: str, system: str | None = None
) -> Prepared:
    """Turn a question about `images` (upright RGB Pillow images) into model inputs, layout and tokens.

    The user turn is the images, then `template` with the sample's problem in it. `system` goes before it as a turn of
    its own; without one the chat template writes what it writes by itself.

    Raises:
        DatasetError, UsageError: see `user_text`.
        ModelError: no chat template, none with a system turn, a video, a prompt longer than the model's context, or a
            layout rule that does not fit what the processor returned.
    """
    try:
        text = user_text(sample.problem, template)
    except DatasetError as error:
        raise DatasetError(f"{_place(sample)}: {error}") from error
    try:
        refuse_image_count(loaded.checkpoint.model_type, len(images))
    except ModelError as error:
        raise ModelError(f"sample {sample.id}: {error}") from error
    if system is not None:
        _check_system_turn(loaded, len(images))
    conversation = [*([] if system is None else [system_turn(system)]), *user_turn(images, text)]
    rendered = render(loaded.processor, conversation)
    outputs = _process(loaded, sample, conversation)
    layout, columns = _layout(loaded, sample, outputs, images)
    _check_length(loaded, sample, prompt_ids(outputs).size, layout if columns is None else None)
    ids = _trace_ids(loaded, outputs, layout, columns)
    return Prepared(
        inputs=outputs,
        layout=layout,
        tokens=_tokens(loaded, ids, layout, _image_parts(len(images)), text, system),
        rendered_prompt=rendered,
        columns=columns,
    )


def _place(sample: Sample) -> str:
    """Where a sample was read."""
    return f"{sample.source}, item {sample.index}" if sample.source else f"sample {sample.id}"


def user_text(problem: str, template: str) -> str:
    """`template` with the problem in place of `{problem}`; `<image>` markers go, since images come first.

    Raises:
        DatasetError: the problem holds a `<video>` marker.
        UsageError: the template has no place for the problem.
    """
    if _VIDEO_MARKER in problem:
        raise DatasetError("the problem holds a <video> marker: video inputs are not supported, give single images")
    plain = without_image_markers(problem)
    for placeholder in PLACEHOLDERS:
        if placeholder in template:
            return template.replace(placeholder, plain)
    raise UsageError(f"the prompt template {template!r} has no {PLACEHOLDERS[0]} where the item's problem goes")


def user_turn(images: Sequence[Any], text: str) -> list[dict[str, Any]]:
    """A conversation of one user turn: images first, then text."""
    content = [{"type": "image", "image": image} for image in images]
    return [{"role": "user", "content": [*content, {"type": "text", "text": text}]}]


def render(processor: Any, conversation: list[dict[str, Any]]) -> str:
    """The chat template's text for a conversation, one placeholder per image.

    Raises:
        ModelError: the model has no chat template, or it fails.
    """
    if not getattr(processor, "chat_template", None):
        raise ModelError(
            "the model has no chat template (a base model?), so its prompt cannot be written; "
            "use an instruction-tuned checkpoint or add chat_template.jinja to the model folder"
        )
    try:
        rendered: str = processor.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
    except Exception as error:
        raise ModelError(f"the model's chat template fails: {first_line(error)}") from error
    return rendered


def _process(loaded: LoadedModel, sample: Sample, conversation: list[dict[str, Any]]) -> dict[str, Any]:
    """Everything the processor returns for the conversation: tensors on the CPU, batch size 1.

    The chat template is rendered and tokenised in one call: rendering it to text and tokenising that again writes a
    second beginning-of-sequence token for several families (Gemma 3, Idefics 3, Pixtral, Mllama).
    """
    try:
        outputs = loaded.processor.apply_chat_template(
            conversation, tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True
        )
    except AttnVizError:
        raise
    except Exception as error:
        raise ModelError(
            f"sample {sample.id}: the processor of {loaded.id} refuses this input: {first_line(error)}"
        ) from error
    if any(name.startswith(("pixel_values_videos", "video_")) for name in outputs):
        raise ModelError(f"sample {sample.id}: video inputs are not supported, give single images")
    return {name: value for name, value in outputs.items() if name != "labels"}


def _layout(
    loaded: LoadedModel, sample: Sample, outputs: dict[str, Any], images: Sequence[Any]
) -> tuple[TokenLayout, KeyColumns | None]:
    names = [path.name for path in sample.image_paths]
    infos = [
        image_info(names[index] if index < len(names) else f"image {index}", image)
        for index, image in enumerate(images)
    ]
    adapter, config = loaded.adapter, loaded.model.config
    try:
        layout = adapter.layout(config, loaded.processor, outputs, infos)
        if isinstance(adapter, SeparateImages):
            return layout, adapter.key_columns(config, loaded.processor, outputs, infos)
    except ModelError as error:
        raise ModelError(f"sample {sample.id}: {error}") from error
    return layout, None


def _check_length(loaded: LoadedModel, sample: Sample, length: int, layout: TokenLayout | None) -> None:
    """Refuse a prompt of `length` tokens that the model cannot read; `layout` says which of them are of images."""
    limit = getattr(text_config(loaded.model), "max_position_embeddings", None)
    if isinstance(limit, int) and length >= limit:
        n_image = 0 if layout is None else int(np.count_nonzero(layout.image_of >= 0))
        smaller = " or lower --max_pixels" if n_image else ""
        raise TooLongError(
            f"sample {sample.id}: the prompt has {length} tokens ({n_image} of images), the model reads "
            f"{limit}; shorten the problem{smaller}",
            n_prompt=length, n_image=n_image, limit=limit,
        )  # fmt: skip


def _trace_ids(
    loaded: LoadedModel, outputs: dict[str, Any], layout: TokenLayout, columns: KeyColumns | None
) -> list[int]:
    """The token id of every trace position; image features outside the prompt take the id that mentions the image."""
    own = prompt_ids(outputs)
    if columns is None:
        return [int(token) for token in own]
    ids = np.full(layout.n_prompt, image_token_id(loaded.model.config) or 0, dtype=np.int64)
    ids[columns.text] = own
    return [int(token) for token in ids]


def _image_parts(n_images: int) -> list[dict[str, Any]]:
    """Stand-ins for images in a conversation that is only rendered."""
    return [{"type": "image"}] * n_images


def _check_system_turn(loaded: LoadedModel, n_images: int) -> None:
    """Refuse a system turn that the chat template would leave out, or write in another form than text."""
    if not takes_system_turn(lambda messages: render(loaded.processor, messages), _image_parts(n_images)):
        raise ModelError(
            f"the chat template of {loaded.id} takes no system turn; leave out --system_prompt, "
            "or put its text into --prompt_template"
        )


def _tokens(
    loaded: LoadedModel,
    ids: list[int],
    layout: TokenLayout,
    images: list[dict[str, Any]],
    text: str,
    system: str | None,
) -> tuple[Token, ...]:
    described = TokenText(loaded.tokenizer).describe(ids)
    pieces = ["" if image >= 0 else token.piece for token, image in zip(described, layout.image_of, strict=True)]
    roles = prompt_roles(pieces, text, lambda messages: render(loaded.processor, messages), images, system)
    return tuple(
        Token(
            position=position,
            id=ids[position],
            raw=token.raw,
            piece=token.piece,
            role="image" if layout.image_of[position] >= 0 else roles[position],
            segment="prompt",
            special=token.special,
            image=int(layout.image_of[position]),
            patch=int(layout.patch_of[position]),
        )
        for position, token in enumerate(described)
    )
