"""Images that are keys of cross-attention layers, from the model to the picture (Mllama)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnviz_video import api
from attnviz_video.analysis.scores import score
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.config import RunConfig
from attnviz_video.core.sample import Sample
from attnviz_video.errors import ModelError, UsageError
from attnviz_video.models.load import load_model
from attnviz_video.models.settings import ModelSettings
from attnviz_video.pipeline import check_before_loading
from attnviz_video.progress import Silent
from attnviz_video.testing.families.mllama import CROSS_LAYERS, build_mllama
from tests.families.asking import TALL, WIDE, ask, pictures

TEXT_LAYER, CROSS_LAYER = 4, CROSS_LAYERS[-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_mllama(tmp_path_factory.mktemp("mllama") / "mllama")


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Any:
    return load_model(ModelSettings(model_path=str(folder), device="cpu"))


@pytest.fixture(scope="module")
def trace(loaded: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A recording of two images, read back from disk."""
    written = record(loaded, tmp_path_factory.mktemp("trace"), pictures([WIDE, TALL]))
    return api.open_trace(written.folder)


def record(loaded: Any, folder: Path, images: Any, **more: Any) -> Any:
    settings = {"layer_idx": [TEXT_LAYER, CROSS_LAYER], "start_phrase": "", "max_new_tokens": 4} | more
    return api.record(
        loaded, images=images, sample={"problem": "Which is it?"}, progress=Silent(), output_dir=str(folder), **settings
    )


def test_every_image_feature_is_a_position_of_the_trace(trace: Any) -> None:
    layout, tokens = trace.data.layout, trace.data.tokens
    # 3 tiles of 17 features for the wide image, 4 for the tall one; each starts with a class feature.
    assert np.count_nonzero(layout.image_of == 0) == 3 * 17
    assert np.count_nonzero(layout.image_of == 1) == 4 * 17
    assert all((token.role == "image") == (token.image >= 0) for token in tokens)
    marks = [token.position for token in tokens if token.role != "image" and token.piece == "<|image|>"]
    assert [layout.image_of[mark + 1] for mark in marks] == [0, 1]
    assert "".join(token.piece for token in tokens if token.role == "user").startswith("Which is it?")


def test_text_layers_see_text_and_cross_layers_see_images(trace: Any) -> None:
    is_image = np.concatenate([trace.data.layout.image_of >= 0, np.zeros(trace.n_steps, dtype=bool)])
    for step in range(trace.n_steps):
        text, cross = trace.weights(step, TEXT_LAYER), trace.weights(step, CROSS_LAYER)
        seen = is_image[: text.size]
        assert text.size == cross.size == trace.data.n_prompt + step
        assert not text[seen].any()
        assert not cross[~seen].any()
        assert text.sum() == pytest.approx(1, abs=1e-3)
        assert cross.sum() == pytest.approx(1, abs=1e-3)


def test_the_rows_of_cross_layers_are_shown_on_the_images(trace: Any) -> None:
    for layer, on_images in ((TEXT_LAYER, False), (CROSS_LAYER, True)):
        scores = score(trace.data, layer, AnalysisSettings(strict=True))
        assert scores.report.clean
        shares = scores.image_share(2)
        assert (float(shares.sum()) > 0.5) == on_images
        assert all((weights > 0).any() == on_images for weights in scores.frame(2).images)


def test_the_users_limit_counts_what_the_model_reads(folder: Path, tmp_path: Path) -> None:
    """The prompt has about 30 tokens and 119 image features; only the tokens take up the context."""
    short = tmp_path / "short"
    short.mkdir()
    for file in folder.iterdir():
        (short / file.name).symlink_to(file)
    (short / "config.json").unlink()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["text_config"]["max_position_embeddings"] = 60
    (short / "config.json").write_text(json.dumps(config), encoding="utf-8")
    small = load_model(ModelSettings(model_path=str(short), device="cpu"))
    assert ask(small, pictures([WIDE, TALL])).n_prompt > 60
    with pytest.raises(
        ModelError, match=r"the prompt has \d+ tokens \(0 of images\), the model reads 60; shorten the p"
    ):
        ask(small, pictures([WIDE, TALL]), "What colour is it? " * 20)


def test_without_an_image_the_cross_layers_are_zero(loaded: Any, tmp_path: Path) -> None:
    made = record(loaded, tmp_path, [], layer_idx=[TEXT_LAYER], layers="all")
    assert made.data.layout.images == ()
    assert not any(made.weights(step, CROSS_LAYER).any() for step in range(made.n_steps))
    assert made.weights(1, TEXT_LAYER).sum() == pytest.approx(1, abs=1e-3)


def test_without_an_image_a_cross_layer_cannot_be_shown(folder: Path, loaded: Any, tmp_path: Path) -> None:
    message = "--layer_idx 3: layer 3 attends to images only, and this prompt has none; choose a layer that attends to"
    config = api.with_settings(
        RunConfig(), {"model_path": str(folder), "layer_idx": [CROSS_LAYER], "output_dir": str(tmp_path)}
    )
    with pytest.raises(UsageError, match=message):
        check_before_loading(Sample(0, "s", "Which is it?", ()), config)
    with pytest.raises(UsageError, match=message):
        record(loaded, tmp_path, [], layer_idx=[CROSS_LAYER])


def test_images_that_a_model_does_not_take_are_refused_before_it_is_loaded(tmp_path: Path) -> None:
    from attnviz_video.testing.families.text_only import build_qwen2

    folder = build_qwen2(tmp_path / "qwen2")
    (folder / "model.safetensors").unlink()
    config = api.with_settings(RunConfig(), {"model_path": str(folder), "output_dir": str(tmp_path)})
    check_before_loading(Sample(0, "s", "How many?", ()), config)
    with pytest.raises(ModelError, match="model_type 'qwen2' reads text only, and 1 image was given; ask without imag"):
        check_before_loading(Sample(0, "s", "How many?", (Path("a.png"),)), config)
