"""What the recorder hands over must agree with what was announced: checks before anything is written."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.tokens import Token
from attnviz_video.core.trace import TraceHeader
from attnviz_video.errors import TraceError
from attnviz_video.tracefile.format import Manifest

#: Fields of a header that say which rows a trace holds.
_ANNOUNCED = ("head_layers", "heads", "mean_layers", "scalar_layers", "shown_layers", "query_rows")


def check_prompt(tokens: Sequence[Token], layout: TokenLayout, images: Sequence[bytes]) -> None:
    """The prompt's tokens and images are those of the layout.

    Raises:
        TraceError: the first contradiction.
    """
    if len(images) != len(layout.images):
        raise TraceError(f"{len(images)} image files for the {len(layout.images)} images of the layout")
    if len(tokens) != layout.n_prompt:
        raise TraceError(f"{len(tokens)} prompt tokens for the {layout.n_prompt} prompt positions of the layout")
    for number, token in enumerate(tokens):
        found = (token.position, token.image, token.patch)
        wanted = (number, int(layout.image_of[number]), int(layout.patch_of[number]))
        if found != wanted:
            raise TraceError(f"prompt token {number} has position, image, patch {found}, the layout says {wanted}")


def check_answer_tokens(tokens: Sequence[Token], step_ids: Sequence[int], n_prompt: int) -> None:
    """Each answer token has the id that its step produced, and they follow the prompt.

    Raises:
        TraceError: the first contradiction.
    """
    for number, (token, token_id) in enumerate(zip(tokens, step_ids, strict=True)):
        if token.position != n_prompt + number:
            raise TraceError(f"answer token {number} has position {token.position}, expected {n_prompt + number}")
        if token.id != token_id:
            raise TraceError(f"answer token {number} has id {token.id}, step {number} produced {token_id}")


def announces_the_same(one: TraceHeader, other: TraceHeader) -> bool:
    """Whether two headers say that the same rows were recorded."""
    return all(getattr(one, name) == getattr(other, name) for name in _ANNOUNCED)


def check_final_header(header: TraceHeader, manifest: Manifest) -> None:
    """The final header announces the rows that were written, and no others.

    Raises:
        TraceError: the first contradiction.
    """
    for name in _ANNOUNCED:
        before, after = getattr(manifest.header, name), getattr(header, name)
        if before != after:
            raise TraceError(f"the final header says {name} {after!r}, the recording began with {before!r}")
    missing = sorted(set(header.head_layers) - {part.layer for part in manifest.prompt_rows})
    if header.query_rows == "all" and missing:
        raise TraceError(f"the prompt rows of the layers {missing} are missing")
