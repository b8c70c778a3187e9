"""A batch of fake work in a process of its own, which imports nothing that the command line does not: see batch.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from attnviz_video.batch.run import run_batch
from attnviz_video.batch.settings import BatchSettings
from attnviz_video.config import RunConfig
from attnviz_video.config.compose import replace_settings
from attnviz_video.progress import Silent
from attnviz_video.stopping import StopRequest
from attnviz_video.testing.fake_work import BUILDER


def fake_run(dataset: Path, out: Path, **batch: object) -> str:
    """A run of fake work in this process; returns its last line."""
    config = replace_settings(RunConfig(), {"benchmark_json": str(dataset), "output_dir": str(out), "device": "cpu"})
    settings = replace_settings(BatchSettings(), {"engine": "in_process", **batch})
    return run_batch(config, settings, Silent(), StopRequest(), ("batch",), builder=BUILDER).sentence


if __name__ == "__main__":
    fake_run(Path(sys.argv[1]), Path(sys.argv[2]), **json.loads(sys.argv[3]))
