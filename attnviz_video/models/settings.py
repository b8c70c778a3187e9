"""Settings of loading a model and writing its prompt."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

#: The user turn of a run: `{problem}` (or Reason-RFT's `{Question}`) is replaced by the item's problem.
DEFAULT_PROMPT_TEMPLATE = (
    "{problem} Output the thinking process in <think> </think> and final answer in <answer> </answer> tags."
)


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
    prompt_template: str = field(
        default=DEFAULT_PROMPT_TEMPLATE, metadata={"help": "user turn; {problem} is replaced by the item's problem"}
    )
    min_pixels: int | None = field(default=None, metadata={"help": "smallest image area the processor may resize to"})
    max_pixels: int | None = field(default=None, metadata={"help": "largest image area the processor may resize to"})
    trust_remote_code: bool = field(
        default=False,
        metadata={"help": "run Python code that comes with the checkpoint (never asked for interactively)"},
    )
