"""Record the shipped trace, samples/demo_trace/ (all layers, heads and rows); the README's pictures are made from it.

    python samples/make_demo_trace.py

The sample is the one of configs/demo.yaml. Run from the repository's root, so that the trace names relative paths.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from attnviz_video.api import load, pictures_from
from attnviz_video.config import RunConfig
from attnviz_video.config.compose import parse, replace_settings
from attnviz_video.config.demo import demo_config
from attnviz_video.pipeline import record_sample
from attnviz_video.progress import StandardError
from attnviz_video.sources.dataset import load_sample

TRACE = Path("samples/demo_trace")


def record_demo(config: RunConfig) -> None:
    """Record the demo sample with everything there is, and put the trace in its place."""
    sample = load_sample(config.source).sample
    loaded = load(str(config.model.model_path), config)
    with tempfile.TemporaryDirectory() as folder:
        everything = {"layers": "all", "record_rows": "all", "output_dir": folder}
        settings = replace_settings(config, everything)
        recording = record_sample(sample, pictures_from((), sample), loaded, settings, StandardError())
        shutil.rmtree(TRACE, ignore_errors=True)
        shutil.copytree(recording.trace_folder, TRACE)


def main() -> None:
    """Record."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    config = parse(RunConfig, ["--config", str(demo_config())], prog="make_demo_trace.py", description="")
    relative = {
        "model_path": "samples/demo_model",
        "benchmark_json": "samples/demo.json",
        "image_dir": "samples/images",
    }
    config = replace_settings(config, relative)
    record_demo(config)


if __name__ == "__main__":
    main()
