"""The prompt: what is asked, in which order, and what every position of it is."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from attnviz_video.core.prepared import Prepared
from attnviz_video.core.sample import Sample
from attnviz_video.core.units import display_units
from attnviz_video.errors import DatasetError, ModelError, UsageError
from attnviz_video.models.load import load_model
from attnviz_video.models.prompt import prepare, user_text, user_turn
from attnviz_video.models.settings import ModelSettings
from tests.fixtures_checkpoints import FAMILIES

PROBLEM = "What colour is 红色的圆 🎉?"
TEMPLATE = "{Question} Think first, then answer in <answer> </answer> tags."


def _prepare(
    loaded: Any, problem: str = PROBLEM, n_images: int = 1, template: str = TEMPLATE, system: str | None = None
) -> Prepared:
    images = [Image.new("RGB", (200 + 90 * number, 120), (90, 90, 90)) for number in range(n_images)]
    sample = Sample(3, "s3", problem, tuple(Path(f"folder/{number}.png") for number in range(n_images)))
    return prepare(loaded, sample, images, template, system)


def _text(prepared: Prepared, role: str) -> str:
    return "".join(token.piece for token in prepared.tokens if token.role == role)


def test_the_template_takes_the_problem() -> None:
    assert user_text("How many?", "{problem} Think.") == "How many? Think."
    assert user_text("How many?", "Q: {Question}") == "Q: How many?"
    assert user_text("a {b} {0} %s", "{problem} {other}") == "a {b} {0} %s {other}"
    assert user_text("{Question}", "{problem}!") == "{Question}!"


def test_image_markers_are_stripped() -> None:
    assert user_text("<image> What?", "{problem}") == "What?"
    assert user_text("<image>\n<image>\nWhat changed?", "{problem}") == "What changed?"
    assert user_text("In <image> what is it?", "{problem}") == "In what is it?"


def test_a_template_without_a_place_for_the_problem_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"the prompt template 'Describe.' has no \{problem\} where the item's problem"
    ):
        user_text("What?", "Describe.")


def test_video_problems_are_refused(tiny_model: Any) -> None:
    with pytest.raises(
        DatasetError, match="the problem holds a <video> marker: video inputs are not supported, give si"
    ):
        user_text("<video> What?", "{problem}")
    sample = Sample(3, "x", "<video> What?", (), source="data.json")
    with pytest.raises(DatasetError, match=r"data\.json, item 3: the problem holds a <video> marker"):
        prepare(tiny_model("qwen2_vl"), sample, [], "{problem}")


def test_images_come_first() -> None:
    (turn,) = user_turn(["a", "b"], "What?")
    assert [part["type"] for part in turn["content"]] == ["image", "image", "text"]
    assert turn["role"] == "user"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("n_images", [0, 1, 2])
def test_every_position_has_one_token(tiny_model: Any, family: str, n_images: int) -> None:
    prepared = _prepare(tiny_model(family), n_images=n_images)
    ids = prepared.inputs["input_ids"][0].tolist()
    assert [token.id for token in prepared.tokens] == ids
    assert [token.position for token in prepared.tokens] == list(range(len(ids)))
    assert {token.segment for token in prepared.tokens} == {"prompt"}
    assert [token.image for token in prepared.tokens] == prepared.layout.image_of.tolist()
    assert [token.patch for token in prepared.tokens] == prepared.layout.patch_of.tolist()
    assert all((token.role == "image") == (token.image >= 0) for token in prepared.tokens)
    assert len(prepared.layout.images) == n_images


@pytest.mark.parametrize("family", FAMILIES)
def test_roles_say_who_wrote_what(tiny_model: Any, family: str) -> None:
    prepared = _prepare(tiny_model(family), n_images=2)
    assert _text(prepared, "user") == user_text(PROBLEM, TEMPLATE)
    assert _text(prepared, "system") == "You are a helpful assistant."
    assert _text(prepared, "template").endswith("<|im_end|>\n<|im_start|>assistant\n")


@pytest.mark.parametrize(
    "problem", ["assistant", "You are a helpful assistant.", "user\n", "  spaced  ", "e\u0301 NFC"]
)
def test_the_user_text_is_not_mistaken_for_the_template(tiny_model: Any, problem: str) -> None:
    prepared = _prepare(tiny_model("qwen2_vl"), problem, template="{problem}")
    last_image = max(token.position for token in prepared.tokens if token.role == "image")
    user = [token.position for token in prepared.tokens if token.role == "user"]
    assert min(user) > last_image
    assert user == list(range(user[0], user[-1] + 1))
    assert _text(prepared, "user").strip() in (problem.strip(), "\u00e9 NFC")
    assert _text(prepared, "system") == "You are a helpful assistant."


def test_all_processor_outputs_are_kept(tiny_model: Any) -> None:
    loaded = tiny_model("qwen2_vl")
    prepared = _prepare(loaded)
    turn = user_turn([Image.new("RGB", (200, 120), (90, 90, 90))], user_text(PROBLEM, TEMPLATE))
    outputs = loaded.processor.apply_chat_template(
        turn, tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True
    )
    assert set(prepared.inputs) == set(outputs)
    assert {"pixel_values", "image_grid_thw", "attention_mask"} <= set(prepared.inputs)
    assert all(value.device.type == "cpu" for value in prepared.inputs.values())
    assert torch.equal(prepared.inputs["input_ids"], outputs["input_ids"])


def test_the_prompt_has_no_second_beginning(tiny_model: Any) -> None:
    """Rendering to text and tokenising again would write it twice where the tokenizer adds it by itself."""
    prepared = _prepare(tiny_model("qwen2_vl"))
    assert _text(prepared, "template").count("<|im_start|>") == 3
    assert prepared.rendered_prompt.startswith("<|im_start|>system")
    assert prepared.rendered_prompt.count("<|image_pad|>") == 1
    text = "".join(token.piece for token in prepared.tokens if token.role != "image")
    assert text == prepared.rendered_prompt.replace("<|image_pad|>", "")


def test_images_keep_name_and_size(tiny_model: Any) -> None:
    prepared = _prepare(tiny_model("qwen2_vl"), n_images=2)
    assert [(image.name, image.width, image.height) for image in prepared.layout.images] == [
        ("0.png", 200, 120),
        ("1.png", 290, 120),
    ]


def test_images_without_a_path_are_numbered(tiny_model: Any) -> None:
    prepared = prepare(tiny_model("qwen2_vl"), Sample(0, "s", "What?", ()), [Image.new("RGB", (60, 60))], "{problem}")
    assert prepared.layout.images[0].name == "image 0"


def test_t10_t12_prompt_units(tiny_model: Any) -> None:
    prepared = _prepare(tiny_model("qwen2_vl"), "red red red 龘", template="{problem}")
    user = [token for token in prepared.tokens if token.role == "user"]
    units = display_units(user)
    assert "".join(unit.text for unit in units) == "red red red 龘"
    assert units[-1].text == "龘"
    assert units[-1].stop - units[-1].first == 3
    assert len({unit.first for unit in units}) == len(units)


def test_a_problem_longer_than_the_context(tiny_model: Any) -> None:
    with pytest.raises(
        ModelError, match=r"sample s3: the prompt has \d+ tokens \(28 of images\), the model reads 4096; s"
    ):
        _prepare(tiny_model("qwen2_vl"), "龘" * 2000)


def test_a_placeholder_written_by_the_user_is_refused(tiny_model: Any) -> None:
    with pytest.raises(ModelError, match="sample s3: the processor of .*qwen2_vl refuses this input: "):
        _prepare(tiny_model("qwen2_vl"), "What is <|image_pad|>?")


def test_a_layout_that_does_not_fit_names_the_sample(tiny_model: Any) -> None:
    def refuse(*_: Any) -> Any:
        raise ModelError("no fit")

    loaded = dataclasses.replace(tiny_model("qwen2_vl"), adapter=SimpleNamespace(layout=refuse))
    with pytest.raises(ModelError, match="sample s3: no fit"):
        _prepare(loaded)


def test_video_outputs_are_refused(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny_model("qwen2_vl")
    monkeypatch.setattr(
        type(loaded.processor),
        "apply_chat_template",
        lambda *_, tokenize, **__: {"video_grid_thw": 1} if tokenize else "text",
    )
    with pytest.raises(ModelError, match="sample s3: video inputs are not supported, give single images"):
        _prepare(loaded)


@pytest.fixture
def copy(tiny_checkpoint: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint("qwen2_vl"), tmp_path / "model"))


def _load(folder: Path) -> Any:
    return load_model(ModelSettings(model_path=str(folder), device="cpu"))


def test_the_tokenizer_s_template_is_taken_where_there_is_no_other(copy: Path) -> None:
    file = copy / "tokenizer_config.json"
    template = (copy / "chat_template.jinja").read_text(encoding="utf-8")
    (copy / "chat_template.jinja").unlink()
    settings = json.loads(file.read_text(encoding="utf-8")) | {"chat_template": template}
    file.write_text(json.dumps(settings), encoding="utf-8")
    assert _text(_prepare(_load(copy)), "user").startswith("What colour")


def test_a_model_without_a_chat_template_is_refused(copy: Path) -> None:
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(
        ModelError, match=r"the model has no chat template \(a base model\?\), so its prompt cannot be wr"
    ):
        _prepare(_load(copy))


def test_a_chat_template_that_fails_is_named(copy: Path) -> None:
    (copy / "chat_template.jinja").write_text("{{ raise_exception('no user turns') }}", encoding="utf-8")
    with pytest.raises(ModelError, match="the model's chat template fails: TemplateError: no user turns"):
        _prepare(_load(copy))


def test_a_template_without_a_system_turn_has_no_system_tokens(copy: Path) -> None:
    (copy / "chat_template.jinja").write_text(
        "{%- for message in messages -%}{%- if message['role'] == 'system' -%}{{ raise_exception('no system') }}"
        "{%- endif -%}[INST]{%- for part in message['content'] -%}{%- if part['type'] == 'image' -%}"
        "<|vision_start|><|image_pad|><|vision_end|>{%- else -%}{{ part['text'] | trim }}{%- endif -%}{%- endfor -%}"
        "[/INST]{%- endfor -%}",
        encoding="utf-8",
    )
    prepared = _prepare(_load(copy), "  What is it?  ", template="  {problem}  ")
    assert _text(prepared, "user") == "What is it?"
    assert _text(prepared, "system") == ""
    assert _text(prepared, "template") == "[INST]<|vision_start|><|vision_end|>[/INST]"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("n_images", [0, 2])
def test_a_system_turn_takes_the_place_of_the_template_s_own(tiny_model: Any, family: str, n_images: int) -> None:
    prepared = _prepare(tiny_model(family), n_images=n_images, system="Be brief. 简短 🎉")
    assert _text(prepared, "system") == "Be brief. 简短 🎉"
    assert _text(prepared, "user") == user_text(PROBLEM, TEMPLATE)
    assert "<|im_start|>system\nBe brief. 简短 🎉<|im_end|>" in prepared.rendered_prompt
    assert "helpful" not in prepared.rendered_prompt
    assert len(prepared.layout.images) == n_images


def test_an_empty_system_turn_is_one(tiny_model: Any) -> None:
    prepared = _prepare(tiny_model("qwen2_vl"), system="")
    assert _text(prepared, "system") == ""
    assert prepared.rendered_prompt.startswith("<|im_start|>system\n<|im_end|>")


@pytest.mark.parametrize(
    "body",
    [
        "{%- if message['role'] == 'system' -%}{{ raise_exception('no system') }}{%- endif -%}",
        "{%- if message['role'] == 'system' -%}{%- continue -%}{%- endif -%}",
        "{%- if message['role'] == 'system' -%}{{ message['content'] }}{%- continue -%}{%- endif -%}",
    ],
    ids=["refuses", "leaves out", "takes strings only"],
)
def test_a_template_that_takes_no_system_turn_is_named(copy: Path, body: str) -> None:
    (copy / "chat_template.jinja").write_text(
        f"{{%- for message in messages -%}}{body}[INST]{{%- for part in message['content'] -%}}"
        "{%- if part['type'] == 'image' -%}<|vision_start|><|image_pad|><|vision_end|>{%- else -%}{{ part['text'] }}"
        "{%- endif -%}{%- endfor -%}[/INST]{%- endfor -%}",
        encoding="utf-8",
    )
    loaded = _load(copy)
    assert _text(_prepare(loaded), "user").startswith("What colour")
    with pytest.raises(
        ModelError,
        match="the chat template of .*model takes no system turn; leave out --system_prompt, or put its text into --pr",
    ):
        _prepare(loaded, system="Be brief.")


def test_patches_of_the_layout_are_image_tokens(tiny_model: Any) -> None:
    prepared = _prepare(tiny_model("qwen3_vl"), n_images=2)
    token = tiny_model("qwen3_vl").model.config.image_token_id
    ids = np.asarray(prepared.inputs["input_ids"][0])
    assert np.array_equal(ids == token, prepared.layout.image_of >= 0)
