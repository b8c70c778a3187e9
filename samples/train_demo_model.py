"""Train the demo model from nothing: vision, language, growth. Seeds are fixed and schedules count steps.

    python samples/train_demo_model.py --work_dir work                 # everything, about an hour and a half on 2 cores
    python samples/train_demo_model.py --work_dir work --quick         # about a minute: only shows that it learns

Every stage keeps its state in the work folder and goes on from there when it is started again. The full run writes
``early`` (6 layers) and ``final`` (22 layers) as Hugging Face checkpoints into the work folder.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from demo_training.architecture import EARLY_LAYERS, load_checkpoint, new_model, save_checkpoint
from demo_training.batches import GROWTH_BATCH, POLISH_BATCH
from demo_training.growth import grow
from demo_training.stages import Process, Trainer
from demo_training.tokenizer import load_tokenizer, save_tokenizer
from transformers import Qwen2VLForConditionalGeneration

STAGES = ("vision", "language", "polish", "growth")


@dataclass(frozen=True)
class Plan:
    """How long each stage runs; all in optimiser steps."""

    stages: tuple[str, ...]
    vision_steps: int
    language_steps: int
    polish_steps: int
    growth_steps: int
    processes: int
    compiled: bool
    quick: bool
    start_from: Path | None = None


def run_quick(work_dir: Path, plan: Plan) -> None:
    """A short single-process run of the first two stages; writes what it reached to quick.json."""
    trainer = Trainer(new_model(EARLY_LAYERS), load_tokenizer(work_dir), Process(), work_dir, compiled=False)
    cells = trainer.train_vision(plan.vision_steps)
    tokens = trainer.train_language("language", plan.language_steps, scenes=4, pairs=0)
    report = {"color_cells": cells[0], "shape_cells": cells[1], "response_tokens": tokens}
    (work_dir / "quick.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def first_model(plan: Plan) -> Qwen2VLForConditionalGeneration:
    """The model the first of the wanted stages starts with, unless the work folder holds the state before it."""
    return new_model(EARLY_LAYERS) if plan.start_from is None else load_checkpoint(plan.start_from)


def run_process(rank: int, work_dir: Path, plan: Plan) -> None:
    """All stages in one of the processes."""
    torch.set_num_threads(1)
    if plan.quick:
        run_quick(work_dir, plan)
        return
    if plan.processes > 1:
        store = f"file://{(work_dir / 'rendezvous').resolve()}"
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=plan.processes)
    process = Process(rank, plan.processes)
    tokenizer = load_tokenizer(work_dir)
    trainer = Trainer(first_model(plan), tokenizer, process, work_dir, plan.compiled)
    if "vision" in plan.stages:
        trainer.train_vision(plan.vision_steps)
    else:
        trainer.load("vision")
    if "language" in plan.stages:
        trainer.train_language("language", plan.language_steps)
    else:
        trainer.load("language")
    if "polish" in plan.stages:
        trainer.train_language(
            "polish",
            plan.polish_steps,
            muon_rate=0.012,
            adam_rate=1.5e-3,
            decay_share=0.6,
            first_batch=POLISH_BATCH,
        )
        if rank == 0:
            save_checkpoint(trainer.model, work_dir / "early")
    else:
        trainer.load("polish")
    if "growth" in plan.stages:
        heads = trainer.cell_heads.state_dict()
        trainer = Trainer(grow(trainer.model), tokenizer, process, work_dir, plan.compiled)
        trainer.cell_heads.load_state_dict(heads)
        trainer.train_language(
            "growth", plan.growth_steps, muon_rate=None, adam_rate=1e-4, decay_share=0.7, first_batch=GROWTH_BATCH
        )
        if rank == 0:
            save_checkpoint(trainer.model, work_dir / "final")
    if plan.processes > 1:
        dist.barrier()
        dist.destroy_process_group()


def main() -> None:
    """Parse the command line and start the processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work_dir", type=Path, required=True, help="states, logs and checkpoints go here")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="default: all")
    parser.add_argument("--vision_steps", type=int, default=1200)
    parser.add_argument("--language_steps", type=int, default=2650)
    parser.add_argument("--polish_steps", type=int, default=1000)
    parser.add_argument("--growth_steps", type=int, default=80)
    parser.add_argument("--processes", type=int, default=2, help="one-thread processes (default 2)")
    parser.add_argument("--no_compile", action="store_true", help="do not use torch.compile")
    parser.add_argument(
        "--start_from", type=Path, help="go on from this 6-layer checkpoint, e.g. samples/demo_model_early"
    )
    parser.add_argument("--quick", action="store_true", help="about a minute; only shows that it learns")
    args = parser.parse_args()
    steps = (60, 40, 0, 0)
    if not args.quick:
        steps = (args.vision_steps, args.language_steps, args.polish_steps, args.growth_steps)
    processes = 1 if args.quick else args.processes
    plan = Plan(tuple(args.stages), *steps, processes, not args.no_compile, args.quick, args.start_from)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    save_tokenizer(args.work_dir)
    (args.work_dir / "rendezvous").unlink(missing_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"
    if processes == 1:
        run_process(0, args.work_dir, plan)
    else:
        mp.spawn(run_process, (args.work_dir, plan), nprocs=processes)


if __name__ == "__main__":
    main()
