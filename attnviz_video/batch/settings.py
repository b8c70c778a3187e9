"""Settings of a batch: which samples, how many at once, and what to do about an earlier run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class BatchSettings:
    """Which samples of the dataset, by how many workers."""

    samples: str | None = field(
        default=None,
        metadata={"help": "items of the dataset: 0:200,450,id:CLEVR_000123 (default: all)"},
    )
    shard: str | None = field(
        default=None, metadata={"help": "i/n: do only part i of n of these items, for arrays of jobs"}
    )
    engine: Literal["local", "in_process", "ray"] = field(
        default="local",
        metadata={
            "help": "local: worker processes on this machine; in_process: one thing after the other in this process; "
            "ray: actors on a Ray cluster (needs ray)"
        },
    )
    devices: tuple[int, ...] | None = field(
        default=None,
        metadata={"help": "GPUs to record on, one worker with a model of its own each: 0,1,2,3 (default: --device)"},
    )
    num_workers: int | None = field(
        default=None,
        metadata={"help": "recording workers, each with its own model (default: one, or one for each of --devices)"},
    )
    ray_address: str | None = field(
        default=None, metadata={"help": "address of the Ray cluster, or auto (default: a cluster for this run alone)"}
    )
    batch_size: int = field(default=1, metadata={"help": "samples a worker records at once"})
    trace_only: bool = field(
        default=False, metadata={"help": "record only; `render RUN_DIR` makes the videos later, without a GPU"}
    )
    retry_failed: bool = field(
        default=False, metadata={"help": "try failed samples of an earlier run again", "command_line_only": True}
    )
    force_new: bool = field(
        default=False,
        metadata={
            "help": "start anew, whatever has changed; the former run is moved aside, not deleted",
            "command_line_only": True,
        },
    )
    verify: bool = field(
        default=False,
        metadata={"help": "compare checksums of what is done, not only sizes and dates"},
    )
    log_every: float = field(
        default=30.0, metadata={"help": "seconds between two lines of progress where there is no terminal"}
    )
