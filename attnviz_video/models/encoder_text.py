"""A text, or two sentences, as an encoder reads them: ids, and what every position is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.sample import Sample, second_text
from attnviz_video.core.tokens import Segment, Token
from attnviz_video.errors import DatasetError, ModelError
from attnviz_video.models.foreign_errors import first_line
from attnviz_video.models.hub_library import quiet_transformers
from attnviz_video.models.layouts.adapter import prompt_ids
from attnviz_video.models.load import LoadedModel
from attnviz_video.models.text_encoders import longest_text
from attnviz_video.models.token_text import TokenPiece, TokenText

#: How people write a mask, whatever the tokenizer calls it.
MASKS = ("[MASK]", "<mask>")


def prepare_text(loaded: LoadedModel, sample: Sample) -> tuple[Prepared, tuple[str, ...]]:
    """The sample's text, or its pair of sentences, as inputs of an encoder, and notices for the user.

    No template is put around it: special tokens are those that the tokenizer adds by itself.

    Raises:
        ModelError: the tokenizer refuses it, or it is longer than the model reads.
        DatasetError: there is no text.
    """
    second = second_text(sample)
    texts = [text for text in (sample.problem, second) if text is not None]
    if not all(text.strip() for text in texts):
        raise DatasetError(f"sample {sample.id}: a text is empty; an encoder needs words to read")
    texts, notices = _with_own_mask(texts, loaded.tokenizer)
    try:
        with quiet_transformers():
            encoding = loaded.tokenizer(*texts)
    except Exception as error:
        raise ModelError(
            f"sample {sample.id}: the tokenizer of {loaded.id} refuses this text: {first_line(error)}"
        ) from error
    inputs = {name: torch.tensor([encoding[name]]) for name in encoding if name in loaded.tokenizer.model_input_names}
    ids = [int(token) for token in prompt_ids(inputs)]
    _check_length(loaded, sample, len(ids))
    described = with_spaces(TokenText(loaded.tokenizer).describe(ids), encoding, texts)
    segments = sentence_segments(ids, encoding, loaded.tokenizer, pair=len(texts) > 1)
    nothing = np.full(len(ids), -1, dtype=np.int64)
    tokens = tuple(
        Token(position, ids[position], token.raw, token.piece, "user", segments[position], token.special)
        for position, token in enumerate(described)
    )
    prepared = Prepared(
        inputs=inputs,
        layout=TokenLayout((), (), nothing, nothing.copy()),
        tokens=tokens,
        rendered_prompt="".join(token.piece for token in tokens),
    )
    return prepared, notices


def _with_own_mask(texts: Sequence[str], tokenizer: Any) -> tuple[list[str], tuple[str, ...]]:
    """The texts with the tokenizer's own mask where another tokenizer's was written."""
    own = tokenizer.mask_token
    foreign = [mask for mask in MASKS if mask != own and any(mask in text for text in texts)]
    if not foreign:
        return list(texts), ()
    if own is None:
        return list(texts), (f"{foreign[0]} is ordinary text for this model: its tokenizer has no mask token",)
    replaced = list(texts)
    for mask in foreign:
        replaced = [text.replace(mask, own) for text in replaced]
    return replaced, (f"{foreign[0]} was read as {own}, the mask of this model",)


def _check_length(loaded: LoadedModel, sample: Sample, length: int) -> None:
    limit = longest_text(loaded.model, loaded.tokenizer)
    if limit is not None and length > limit:
        raise ModelError(
            f"sample {sample.id}: the text has {length} tokens, the model reads {limit}; shorten it, or record it in "
            "parts"
        )


def with_spaces(described: Sequence[TokenPiece], encoding: Any, texts: Sequence[str]) -> list[TokenPiece]:
    """The tokens with a space before each only where the text has one, which the ids alone do not say.

    `encoding` is what the tokenizer returned: where it knows the characters each token stands for, they decide; a slow
    tokenizer does not, and the spaces stay those that decoding writes.
    """
    own = getattr(encoding, "encodings", None)
    if not own:
        return list(described)
    sequence_of, spans = own[0].sequence_ids, own[0].offsets
    result, ends = list(described), [0] * len(texts)
    for position, (token, sequence, (start, stop)) in enumerate(zip(described, sequence_of, spans, strict=True)):
        if sequence is None or stop <= start or not token.piece.strip():
            continue
        gap = texts[sequence][ends[sequence] : start]
        ends[sequence] = max(ends[sequence], stop)
        inside = texts[sequence][start:stop]
        leading = inside[: len(inside) - len(inside.lstrip())]
        space = gap[len(gap.rstrip()) :] + leading
        result[position] = token._replace(piece=space + token.piece.lstrip(" "))
    return result


def sentence_segments(ids: Sequence[int], encoding: Any, tokenizer: Any, *, pair: bool) -> list[Segment]:
    """The sentence of every token; a separator belongs to the sentence before it, the opening token to the first."""
    if not pair:
        return ["text"] * len(ids)
    own = getattr(encoding, "encodings", None)
    if own:
        return _follow(own[0].sequence_ids)
    kinds = [int(kind) for kind in encoding.get("token_type_ids") or ()]
    if 1 in kinds:
        return ["second" if kind else "first" for kind in kinds]
    # Neither is known: the first sentence ends with the first separators that stand behind a word of it.
    separators = {tokenizer.sep_token_id, tokenizer.eos_token_id} - {None}
    found = [position for position, token in enumerate(ids) if position and token in separators]
    stop = found[0] + 1 if found else len(ids)
    while stop < len(ids) and ids[stop] in separators:
        stop += 1
    return ["first" if position < stop else "second" for position in range(len(ids))]


def _follow(sequences: Sequence[int | None]) -> list[Segment]:
    names: tuple[Segment, Segment] = ("first", "second")
    current = 0
    segments = []
    for sequence in sequences:
        current = current if sequence is None else sequence
        segments.append(names[current])
    return segments
