"""Models that read text only: which they are, and their prompts."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from attnviz_video.core.sample import Sample
from attnviz_video.errors import ModelError
from attnviz_video.models.checkpoint import find_checkpoint
from attnviz_video.models.decoder import head_counts, text_value
from attnviz_video.models.identity import expected_identity
from attnviz_video.models.load import load_model
from attnviz_video.models.processor import load_processor
from attnviz_video.models.prompt import prepare, render, user_turn
from attnviz_video.models.settings import ModelSettings
from attnviz_video.models.text_decoders import TextProcessor, reads_text_only
from attnviz_video.testing.families.text_only import build_llama, build_qwen2


@pytest.fixture(scope="module")
def qwen2(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_model(ModelSettings(str(build_qwen2(tmp_path_factory.mktemp("text") / "qwen2")), device="cpu"))


@pytest.fixture(scope="module")
def llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_llama(tmp_path_factory.mktemp("text") / "llama")


def texts(prepared: Any, role: str) -> str:
    return "".join(token.piece for token in prepared.tokens if token.role == role)


def test_which_model_types_read_text_only() -> None:
    assert all(reads_text_only(kind) for kind in ("llama", "qwen2", "qwen3", "gemma3_text", "gpt2", "mistral"))
    assert not any(reads_text_only(kind) for kind in ("qwen2_vl", "gemma3", "mllama", "bert", "bart", "whisper", "?"))


def test_a_chat_template_takes_plain_strings(qwen2: Any) -> None:
    prepared = prepare(qwen2, Sample(0, "s", "How many?", ()), [], "{problem} Think.")
    assert prepared.rendered_prompt == "<|im_start|>user\nHow many? Think.<|im_end|>\n<|im_start|>assistant\n"
    assert texts(prepared, "user") == "How many? Think."
    assert texts(prepared, "system") == ""
    assert (prepared.layout.images, prepared.columns) == ((), None)
    assert prepared.n_prompt == prepared.n_model_prompt == prepared.inputs["input_ids"].shape[1]


def test_a_base_model_is_given_the_bare_text(llama_folder: Path) -> None:
    loaded = load_model(ModelSettings(str(llama_folder), device="cpu"))
    prepared = prepare(loaded, Sample(0, "s", "How many", ()), [], "{problem}")
    assert prepared.rendered_prompt == "How many"
    assert {token.role for token in prepared.tokens} == {"user"}
    system = [{"role": "system", "content": "Be brief."}, *user_turn([], "How many")]
    with pytest.raises(ModelError, match="the model's chat template fails: ValueError: a base model is given one text"):
        render(loaded.processor, system)


def test_images_are_refused_before_the_prompt_is_written(qwen2: Any) -> None:
    message = (
        "model_type 'qwen2' reads text only, and 2 images were given; ask without images, or take a vision-language "
        r"model \(--model_path\)"
    )
    with pytest.raises(ModelError, match=message):
        prepare(qwen2, Sample(0, "s", "How many?", ()), [Image.new("RGB", (9, 9))] * 2, "{problem}")


def test_pixel_limits_do_not_apply(llama_folder: Path) -> None:
    checkpoint = find_checkpoint(ModelSettings(str(llama_folder)))
    assert isinstance(load_processor(checkpoint), TextProcessor)
    with pytest.raises(ModelError, match="--min_pixels and --max_pixels do not apply: .*llama reads text only"):
        load_processor(checkpoint, max_pixels=1000)


def test_a_text_model_says_who_it_is(qwen2: Any) -> None:
    identity = qwen2.identity()
    assert (identity.model_type, identity.n_layers, identity.layer_kinds) == ("qwen2", 3, ("full",) * 3)
    assert len(identity.processor_hash) == len(identity.template_hash) == 64


def checkpoint_of(folder: Path, config: dict[str, Any]) -> Any:
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return find_checkpoint(ModelSettings(str(folder)))


def test_fault16_a_decoder_without_attention_is_refused_by_its_configuration(tmp_path: Path) -> None:
    message = "model_type 'mamba' has no attention heads, so there is nothing to record; take another model"
    with pytest.raises(ModelError, match=message):
        expected_identity(checkpoint_of(tmp_path, {"model_type": "mamba", "num_hidden_layers": 2}))


def test_fault18_a_configuration_that_contradicts_itself(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"the configuration of {tmp_path} cannot be read: ") as caught:
        expected_identity(checkpoint_of(tmp_path, {"model_type": "llama", "num_hidden_layers": "many"}))
    assert "\n" not in str(caught.value)


def test_values_that_differ_between_layers_are_the_largest() -> None:
    class Uneven:
        model_type = "uneven"
        num_attention_heads = 4
        per_layer_config = (SimpleNamespace(num_key_value_heads=1), SimpleNamespace(num_key_value_heads=2))

        @property
        def num_key_value_heads(self) -> int:
            raise RuntimeError("differs")

    assert head_counts(Uneven()) == (4, 2)
    assert text_value(Uneven(), "head_dim") is None
