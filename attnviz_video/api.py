"""What users call from code and notebooks.

from attnviz_video import record, open_trace, render_video

trace = record("checkpoints/my_model", images=["a.png"], question="How many circles are there?", layer_idx=20)
trace.weights(step=3, layer=20)          # one number per position of the prompt and the answer so far
render_video(trace, layer_idx=20, colormap="cividis")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from attnviz_video.config import FigureConfig, RenderConfig, ReportConfig, RunConfig
from attnviz_video.core.sample import PAIR_FIELD, Sample
from attnviz_video.pipeline import record_sample, render_outputs
from attnviz_video.progress import Progress, StandardError
from attnviz_video.recording import Recording
from attnviz_video.views import Trace, draw_figure, open_trace, render_video

if TYPE_CHECKING:
    from PIL.Image import Image

    from attnviz_video.models.load import LoadedModel

__all__ = [
    "AttentionVisualizer",
    "Trace",
    "check_response",
    "draw_figure",
    "load",
    "open_trace",
    "pictures_from",
    "record",
    "render_video",
    "replay",
    "sample_from",
    "videos_of",
    "with_settings",
]

Config = TypeVar("Config", RunConfig, RenderConfig, FigureConfig, ReportConfig)


def record(
    model: str | Path | LoadedModel,
    *,
    images: Sequence[str | Path | Image] = (),
    question: str | None = None,
    sample: Sample | Mapping[str, object] | None = None,
    progress: Progress | None = None,
    **settings: object,
) -> Trace:
    """Let a model answer a question about images and record where it looked.

    Give `question`, or a dataset item as `sample`. `settings` are the long flags of the command
    line by name (`layer_idx=20`, `max_new_tokens=64`, `output_dir="out"` …).

    Raises:
        UsageError: an unknown setting or a value out of range.
        InputError, EnvironmentFault: see `pipeline.record_sample`.
    """
    config = with_settings(RunConfig(), settings)
    item = sample_from(sample if sample is not None else {"problem": question, **pair_of(config)}, config)
    told = progress or StandardError()
    pictures = pictures_from(images, item, told)
    check_response(item, config)
    loaded = model if not isinstance(model, str | Path) else load(str(model), config)
    recording = record_sample(item, pictures, loaded, config, told)
    return open_trace(recording.trace_folder, told)


def replay(model: str | Path | LoadedModel, response: str | Sequence[int] | None = None, **asked: Any) -> Trace:
    """Record where a model looks while it writes an answer that is there already, in one forward pass.

    `response` is the answer's text or, better, the ids of its tokens: text is tokenised again, which the trace says.
    Without it the response of the dataset item is taken, from the field that `response_field` names. Everything else
    is given as to `record`; the prompt and the image sizes must be those of the original run.

    Raises:
        UsageError, InputError, EnvironmentFault: as `record`; DatasetError where there is no response.
    """
    if response is None:
        return record(model, **{"answer": "stored", **asked})
    name = "response" if isinstance(response, str) else "response_ids"
    return record(model, **{name: response, **asked})


class AttentionVisualizer:
    """A model that is loaded once and makes attention videos of samples."""

    def __init__(self, model_name_or_path: str, max_image_num: int = 2, **settings: object) -> None:
        """Load the model; `settings` are the long flags of the command line by name (`device="cuda:1"`).

        Raises:
            ModelError, DeviceError: see `models.load`.
        """
        self.config = with_settings(
            RunConfig(), {"model_path": str(model_name_or_path), "max_image_num": max_image_num, **settings}
        )
        self.loaded = load(str(model_name_or_path), self.config)

    def load_sample_data(
        self, benchmark_json: str | Path, image_dir: str | Path | None = None, sample_idx: int = 0
    ) -> tuple[Sample, list[Image]]:
        """One item of a dataset and its images, upright and in RGB.

        Raises:
            DatasetError, ImageError: the item or an image is not usable.
        """
        from attnviz_video.sources.dataset import load_sample

        settings = replace(
            self.config.source,
            benchmark_json=Path(benchmark_json),
            image_dir=None if image_dir is None else Path(image_dir),
            sample_idx=sample_idx,
        )
        sample = load_sample(settings).sample
        return sample, pictures_from((), sample, StandardError())

    def create_attention_visualization_for_sample(
        self,
        sample: Sample | Mapping[str, object],
        images: Sequence[str | Path | Image] | None = None,
        layer_idx: int | Sequence[int] | None = None,
        start_phrase: str | None = None,
        **settings: object,
    ) -> Path | list[Path]:
        """Record one sample and make its video; a list of layers gives a list of videos from one recording.

        Without `layer_idx`, layer 20 (the last one of a shallower model).

        Raises:
            AttnVizError: as `record` and `render_video`.
        """
        asked = {"layer_idx": layer_idx, "start_phrase": start_phrase, **settings}
        config = with_settings(self.config, {name: value for name, value in asked.items() if value is not None})
        item = sample_from(sample, config)
        progress = StandardError()
        pictures = pictures_from(images or (), item, progress)
        recording = record_sample(item, pictures, self.loaded, config, progress)
        paths = videos_of(recording, config, progress)
        return paths if isinstance(layer_idx, Sequence) else paths[0]


def videos_of(recording: Recording, config: RunConfig, progress: Progress) -> list[Path]:
    """One video for each shown layer of a recording, under the names the README promises."""
    from attnviz_video.export.names import output_paths

    trace = open_trace(recording.trace_folder, progress)
    paths = []
    for layer in recording.shown_layers:
        outputs = output_paths(config.export, layer, n_layers=len(recording.shown_layers))
        paths += render_outputs(trace.data, layer, config, outputs, progress)
    return paths


def pair_of(config: RunConfig) -> dict[str, object]:
    """The second sentence of a pair as a field of a dataset item; none where `question_pair` names none."""
    pair = config.source.question_pair
    return {} if pair is None else {PAIR_FIELD: pair}


def check_response(sample: Sample, config: RunConfig) -> None:
    """Make sure that there is a response where one is to be replayed, before a model is loaded.

    Raises:
        UsageError, DatasetError: there is none.
    """
    from attnviz_video.capture.stored_answer import stored_answer

    stored_answer(sample, config.capture, config.source.response_field)


def load(model_path: str, config: RunConfig) -> LoadedModel:
    """Load a model with the model settings of `config`."""
    from attnviz_video.models.load import load_model

    return load_model(replace(config.model, model_path=model_path))


def sample_from(item: Sample | Mapping[str, object], config: RunConfig) -> Sample:
    """A `Sample`, made from a raw dataset item where it is not one yet."""
    from attnviz_video.sources.dataset import ItemRules, sample_of_item
    from attnviz_video.sources.image_paths import image_roots

    if isinstance(item, Sample):
        return item
    source = config.source
    here = source.benchmark_json or Path("item")
    roots = image_roots(here, source.image_dir)
    rules = ItemRules(here, roots, source.allow_outside_images, source.max_image_num, source.response_field)
    return sample_of_item(item, 0, rules).sample


def pictures_from(
    images: Sequence[str | Path | Image], sample: Sample, progress: Progress | None = None
) -> list[Image]:
    """The images given, opened where they are paths; else the sample's own. `progress` hears how they were read."""
    from attnviz_video.sources.images import decode_image, upright_rgb

    pictures = []
    for given in images or sample.image_paths:
        if not isinstance(given, str | Path):
            pictures.append(upright_rgb(given))
            continue
        decoded = decode_image(Path(given))
        pictures.append(decoded.image)
        if progress is not None:
            for notice in decoded.notices:
                progress.notice(notice)
    return pictures


def with_settings(config: Config, settings: Mapping[str, object]) -> Config:
    """`config` with some settings replaced by name, through the same coercion as flags and YAML.

    Raises:
        UsageError: an unknown name or a value of the wrong type or range.
    """
    from attnviz_video.config.compose import replace_settings

    return replace_settings(config, settings)
