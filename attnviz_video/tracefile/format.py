"""Trace format, version 2: names of the files and what the manifest says about them (see docs/trace_format.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from attnviz_video.core.layout import ImageInfo, PatchGrid
from attnviz_video.core.step import MaskedToken
from attnviz_video.core.trace import TraceHeader, TraceStatus
from attnviz_video.errors import TraceError

FORMAT = "attnviz-trace"
#: The newest version that is read. Encodings are written as 2, all else as 1, which older programs read.
SCHEMA_VERSION = 2
ENCODING_VERSION = 2

MANIFEST = "manifest.json"
TOKENS = "tokens.jsonl"
STEPS = "steps.jsonl"
SCALARS = "scalars.f32"

#: A shard is written when it holds this many recorded steps …
STEPS_PER_SHARD = 16
#: … or already this many, and their rows exceed `SHARD_BYTES`.
FEWEST_STEPS_PER_SHARD = 8
SHARD_BYTES = 32_000_000
#: Steps without rows are light; they wait for this many before they make a shard of their own.
LIGHT_STEPS_PER_SHARD = 256

_OWN_NAME = re.compile(
    r"(manifest|tokens|steps|scalars|attn-\d{5,}|prompt-\d{5,}|image-\d+)(\.[0-9a-f-]{8,30}\.partial)?\.(json|jsonl|f32|safetensors|png)"
)
_ROWS_NAME = re.compile(r"(attn|prompt)-\d{5,}\.safetensors")


def shard_name(number: int) -> str:
    """File of shard `number`: the rows of some consecutive steps."""
    return f"attn-{number:05d}.safetensors"


def prompt_name(layer: int) -> str:
    """File of the rows of the prompt's own queries at `layer`."""
    return f"prompt-{layer:05d}.safetensors"


def image_name(image: int) -> str:
    """File of image number `image`."""
    return f"image-{image}.png"


def is_own_name(name: str) -> bool:
    """Whether a file of that name inside a trace folder was written by this program (whole or half)."""
    return _OWN_NAME.fullmatch(name) is not None


def is_rows_name(name: str) -> bool:
    """Whether a file of that name holds attention rows."""
    return _ROWS_NAME.fullmatch(name) is not None


@dataclass(frozen=True)
class FileEntry:
    """A file, or the beginning of a growing file: its first `size` bytes have the CRC-32 `crc32` (8 hex digits)."""

    name: str
    size: int
    crc32: str


@dataclass(frozen=True)
class ShardEntry:
    """A shard and the steps `first_step` … `stop_step - 1` it completes."""

    file: FileEntry
    first_step: int
    stop_step: int


@dataclass(frozen=True)
class PromptEntry:
    """The file with the prompt's own rows of `layer`."""

    file: FileEntry
    layer: int


@dataclass(frozen=True)
class LayoutPart:
    """The part of a `TokenLayout` that is not in the tokens file: its arrays are rebuilt from the prompt's tokens."""

    n_prompt: int
    images: tuple[ImageInfo, ...]
    grids: tuple[PatchGrid, ...]
    guessed: bool


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` holds, besides format and version."""

    status: TraceStatus
    #: Why a failed trace failed; empty otherwise.
    reason: str
    #: Finished steps: what the growing files and the shards hold.
    n_steps: int
    header: TraceHeader
    layout: LayoutPart
    tokens: FileEntry
    steps: FileEntry
    scalars: FileEntry
    images: tuple[FileEntry, ...]
    shards: tuple[ShardEntry, ...]
    prompt_rows: tuple[PromptEntry, ...]
    #: Candidates for the mask tokens of an encoding; no key of other manifests.
    masked: tuple[MaskedToken, ...] = field(default=(), metadata={"later": "only encodings have it"})

    @property
    def is_encoding(self) -> bool:
        """Whether the trace is one pass over a text."""
        return self.header.kind == "encoding"

    def named_files(self) -> tuple[tuple[str, FileEntry], ...]:
        """Every file of the trace but the manifest, with the name it must have."""
        return (
            (TOKENS, self.tokens),
            (STEPS, self.steps),
            (SCALARS, self.scalars),
            *((image_name(number), entry) for number, entry in enumerate(self.images)),
            *((shard_name(number), shard.file) for number, shard in enumerate(self.shards)),
            *((prompt_name(part.layer), part.file) for part in self.prompt_rows),
        )


def check_manifest(manifest: Manifest, where: str) -> None:
    """Check what types cannot say: names of files, the order of shards, counts.

    Raises:
        TraceError: the first contradiction found.
    """
    for wanted, entry in manifest.named_files():
        if entry.name != wanted:
            raise TraceError(f"{where} names the file {entry.name!r} where {wanted!r} belongs; the trace is damaged")
    stops = [0, *(shard.stop_step for shard in manifest.shards)]
    if [shard.first_step for shard in manifest.shards] != stops[:-1] or stops != sorted(set(stops)):
        raise TraceError(f"{where}: the steps of its shards do not follow each other; the trace is damaged")
    if stops[-1] != manifest.n_steps:
        raise TraceError(
            f"{where}: the shards end at step {stops[-1]}, the manifest counts {manifest.n_steps} steps; "
            "the trace is damaged"
        )
    if len(manifest.images) != len(manifest.layout.images):
        raise TraceError(
            f"{where}: {len(manifest.images)} image files for {len(manifest.layout.images)} images; "
            "the trace is damaged"
        )
    if manifest.is_encoding:
        _check_encoding(manifest, where)
    elif manifest.masked:
        raise TraceError(f"{where}: mask tokens in a trace that is no encoding; the trace is damaged")


def _check_encoding(manifest: Manifest, where: str) -> None:
    """An encoding has no steps, all of its queries, and mask tokens within its text."""
    if manifest.n_steps or manifest.header.query_rows != "all":
        raise TraceError(
            f"{where}: an encoding with {manifest.n_steps} steps and query_rows {manifest.header.query_rows!r}, "
            "expected 0 and 'all'; the trace is damaged"
        )
    positions = [one.position for one in manifest.masked]
    if positions != sorted(set(positions)) or any(not 0 <= p < manifest.layout.n_prompt for p in positions):
        raise TraceError(
            f"{where}: mask tokens at {positions} in a text of {manifest.layout.n_prompt} tokens; the trace is damaged"
        )
