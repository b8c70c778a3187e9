"""The shipped demo: what stands in for a model or data that the user did not name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from attnviz_video.config import RunConfig
from attnviz_video.models.settings import ModelSettings
from attnviz_video.shipped import shipped


def demo_config() -> Path:
    """The configuration file of the demo, which is what no arguments at all mean."""
    return shipped("configs/demo.yaml")


def with_demo(config: RunConfig) -> tuple[RunConfig, tuple[str, ...]]:
    """`config` with the demo's model and data where none was named, and a notice for each."""
    notices = []
    source = config.source
    if source.benchmark_json is None and not source.image and source.question is None:
        source = replace(source, benchmark_json=shipped("samples/demo.json"), image_dir=shipped("samples/images"))
        notices.append("no --benchmark_json and no --image: asking about the demo data that ships with this program")
    model, told = with_demo_model(config.model)
    return replace(config, source=source, model=model), (*notices, *told)


def with_demo_model(model: ModelSettings) -> tuple[ModelSettings, tuple[str, ...]]:
    """`model` with the demo's where none was named, and a notice of that."""
    if model.model_path is not None:
        return model, ()
    notice = "no --model_path: using the demo model that ships with this program"
    return replace(model, model_path=str(shipped("samples/demo_model"))), (notice,)
