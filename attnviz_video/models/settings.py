"""Settings of loading a model and writing its prompt."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

#: Where the item's problem goes in a template; `{Question}` is Reason-RFT's name for it.
PLACEHOLDERS = ("{problem}", "{Question}")
Strategy = Literal["cot", "cot-sft", "sft", "zero-shot"]
#: The tasks of Reason-RFT.
Task = Literal["clevr-math", "super-clevr", "geomath", "geometry3k", "trance", "trance-left", "trance-right"]


@dataclass(frozen=True)
class ModelSettings:
    """Which model, where, and what it is asked."""

    model_path: str | None = field(
        default=None,
        metadata={
            "help": "folder or hub id of the model (default: the demo model that ships with this program)",
            "path_or_id": True,
        },
    )
    revision: str | None = field(default=None, metadata={"help": "hub revision of the model"})
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda, cuda:1, mps …"})
    device_map: Literal["auto", "balanced", "balanced_low_0", "sequential"] | None = field(
        default=None, metadata={"help": "spread the model over all GPUs (needs accelerate); instead of --device"}
    )
    adapter: str | None = field(
        default=None,
        metadata={"help": "folder or hub id of a LoRA adapter to add to the model (needs peft)", "path_or_id": True},
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = field(
        default="auto", metadata={"help": "auto: as the checkpoint says on a GPU, float32 on a CPU"}
    )
    strategy: Strategy | None = field(
        default=None,
        metadata={
            "help": "words around the problem: cot (think, then answer) or cot-sft, its name in Reason-RFT; sft: the "
            "bare problem; zero-shot: the answer alone (default: cot)"
        },
    )
    task: Literal["auto", "none", Task] = field(
        default="auto",
        metadata={"help": "task of Reason-RFT, for its own wording; auto: by the name of the dataset file"},
    )
    prompt_template: str | None = field(
        default=None,
        metadata={
            "help": "user turn instead of the strategy's: text, or a file, with {Question} where the item's problem "
            "goes, or a folder of files named like those of configs/prompts",
            "path_or_id": True,
            "no_path_if_it_holds": PLACEHOLDERS,
        },
    )
    system_prompt: str | None = field(
        default=None, metadata={"help": 'system turn; "" is an empty one (default: as the chat template has it)'}
    )
    min_pixels: int | None = field(default=None, metadata={"help": "smallest image area the processor may resize to"})
    max_pixels: int | None = field(default=None, metadata={"help": "largest image area the processor may resize to"})
    trust_remote_code: bool = field(
        default=False,
        metadata={"help": "run Python code that comes with the checkpoint (never asked for interactively)"},
    )
