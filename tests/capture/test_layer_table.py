"""The table of layers: the same kinds as the loaded model's, and what it says about them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import transformers

from attnviz_video.capture import layer_table as module
from attnviz_video.capture.layer_table import LayerLine, layer_table, table_of
from attnviz_video.errors import ModelError
from attnviz_video.models import empty
from attnviz_video.models.load import load_model
from attnviz_video.models.settings import ModelSettings
from attnviz_video.testing.families.table import TINY_FAMILIES
from tests.capture.test_plan import DEEP, identity

KINDS = ("Qwen2-VL", "Qwen3.5", "Gemma 3", "Gemma 4", "Mllama", "Qwen2 (text)")

#: Model types that the lowest supported version does not know.
NEWEST = {"Qwen3.5": "qwen3_5", "Gemma 4": "gemma4"}


@pytest.mark.parametrize("family", KINDS)
def test_the_configuration_alone_tells_what_the_loaded_model_has(family: str, tmp_path: Path) -> None:
    if NEWEST.get(family, "qwen2") not in transformers.CONFIG_MAPPING:
        pytest.skip(f"transformers {transformers.__version__} does not know {family}")
    settings = ModelSettings(model_path=str(TINY_FAMILIES[family].write(tmp_path / "model")), device="cpu")
    loaded = load_model(settings).identity()
    for file in (tmp_path / "model").glob("*.safetensors"):
        file.unlink()
    table = layer_table(settings)
    assert table == table_of(loaded)
    assert [line.kind for line in table.layers] == list(loaded.layer_kinds)
    assert (len({line.kind for line in table.layers}) > 1) == (not family.startswith("Qwen2"))


def test_where_the_configuration_does_not_tell_the_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(checkpoint: object) -> None:
        raise OSError("its code reads the weights")

    monkeypatch.setattr(empty, "_empty_model", fail)
    settings = ModelSettings(model_path=str(TINY_FAMILIES["Qwen2-VL"].write(tmp_path / "model")), device="cpu")
    assert layer_table(settings) == table_of(load_model(settings).identity())


def test_what_weights_cannot_mend_is_told_without_loading_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_model", lambda settings: pytest.fail("the model was loaded"))
    folder = TINY_FAMILIES["Qwen2-VL"].write(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for change, sentence in (
        ({"num_attention_heads": 0}, "model_type 'qwen2_vl_text' has no attention heads, so there is nothing to rec"),
        ({"num_hidden_layers": "many"}, f"the configuration of {folder} cannot be read: "),
    ):
        (folder / "config.json").write_text(json.dumps({**config, **change}), encoding="utf-8")
        with pytest.raises(ModelError, match=re.escape(sentence)):
            layer_table(ModelSettings(model_path=str(folder), device="cpu"))


def test_the_text_names_kinds_both_indices_and_the_default() -> None:
    mixed = replace(identity(("full", "linear", "window 64", "cross")), id="some/model")
    assert table_of(mixed).text().splitlines() == [
        "some/model: 4 layers, 4 query heads, 2 key-value heads",
        "layer  kind       --layer_idx",
        "    0  full       0 or -4  (default)",
        "    1  linear     -  has no attention rows",
        "    2  window 64  2 or -2  sees a part of the text",
        "    3  cross      3 or -1  attends to images only",
    ]
    assert table_of(DEEP).default_layer == 20
    assert table_of(DEEP).layers[3] == LayerLine(3, "full", True)


def test_a_model_without_attention_has_no_default() -> None:
    table = table_of(identity(("linear", "linear")))
    assert table.default_layer is None
    assert not any(line.legal for line in table.layers)
