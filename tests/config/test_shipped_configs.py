"""Every file under configs/ loads, and says what it promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnviz_video.config import RunConfig, parse
from attnviz_video.shipped import shipped

FILES = sorted(path for path in shipped("configs").iterdir() if path.is_file())


def loaded(*arguments: str) -> RunConfig:
    return parse(RunConfig, arguments, prog="prog", description="A description.")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_shipped_configuration_loads(file: Path) -> None:
    assert file.suffix == ".yaml"
    assert loaded("--config", str(file)) != RunConfig()


def test_reason_rft_has_the_published_settings() -> None:
    config = loaded("--config", str(shipped("configs/reason_rft.yaml")))
    assert (config.model.min_pixels, config.model.max_pixels, config.source.max_image_num) == (3136, 480000, 2)
    assert config.model.strategy == "cot-sft"
    assert config.capture.layer_idx == (20,)
    assert config.capture.start_phrase is None, "the built-in phrase may be absent, a given one may not"
    assert (config.capture.do_sample, config.capture.seed, config.capture.max_new_tokens) == (False, 0, 768)


def test_reason_rft_samples_as_published_with_one_flag() -> None:
    config = loaded("--config", str(shipped("configs/reason_rft.yaml")), "--do_sample")
    assert config.capture.do_sample
    assert (config.capture.temperature, config.capture.top_p, config.capture.top_k) == (0.1, 0.9, 50)
