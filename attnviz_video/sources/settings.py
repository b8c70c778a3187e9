"""Settings of the first stage: which question, about which images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class SourceSettings:
    """Where the sample comes from."""

    benchmark_json: Path | None = field(
        default=None, metadata={"help": "dataset file in a schema of Reason-RFT: one JSON array, or JSON Lines"}
    )
    image_dir: Path | None = field(
        default=None,
        metadata={"help": "folder that the items' image paths are relative to (default: the JSON's own folder)"},
    )
    sample_idx: int = field(default=0, metadata={"help": "number of the item in the dataset, from 0"})
    image: tuple[Path, ...] = field(default=(), metadata={"help": "image files to ask about, instead of a dataset"})
    question: str | None = field(default=None, metadata={"help": "what to ask about --image, or without a picture"})
    question_pair: str | None = field(
        default=None,
        metadata={"help": "second sentence of a pair, after --question, for encoders (BERT)"},
    )
    response_field: str | None = field(
        default=None,
        metadata={
            "help": "field of the item with a response to replay: text, a list of token ids, or messages for the "
            "assistant's turn (default: pred, prediction, response or output)"
        },
    )
    max_image_num: int = field(default=2, metadata={"help": "use at most this many images of an item"})
    allow_outside_images: bool = field(
        default=False, metadata={"help": "accept image paths that point outside --image_dir"}
    )
