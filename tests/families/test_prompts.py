"""Prompts that are easy to write wrongly: one beginning of the sequence, prefixes without a template, too long ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from attnviz_video.errors import ModelError
from attnviz_video.models.load import load_model
from attnviz_video.models.prompt import user_turn
from attnviz_video.models.settings import ModelSettings
from attnviz_video.testing.families.table import TINY_FAMILIES
from tests.families.asking import WIDE, ask, pictures

#: Families whose chat template writes the beginning and whose tokenizer adds one by itself, as on the hub.
WITH_BEGINNING = ("Gemma 3", "Gemma 4", "Pixtral", "Mistral 3", "Mllama")


def load(folder: Path) -> Any:
    return load_model(ModelSettings(model_path=str(folder), device="cpu"))


def let_the_tokenizer_add(folder: Path, token: str) -> None:
    """Make the tokenizer put `token` in front of every text."""
    file = folder / "tokenizer.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    number = next(added["id"] for added in settings["added_tokens"] if added["content"] == token)
    settings["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]}},
    }
    file.write_text(json.dumps(settings), encoding="utf-8")


@pytest.mark.parametrize("name", WITH_BEGINNING)
def test_the_prompt_begins_once(name: str, tmp_path: Path) -> None:
    folder = TINY_FAMILIES[name].write(tmp_path / "model")
    beginning = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))["bos_token"]
    let_the_tokenizer_add(folder, beginning)
    loaded = load(folder)
    number = loaded.tokenizer.convert_tokens_to_ids(beginning)
    images = pictures([WIDE])
    ids = ask(loaded, images).inputs["input_ids"][0].tolist()
    assert ids.index(number) == 0
    assert ids.count(number) == 1
    text = loaded.processor.apply_chat_template(user_turn(images, "What?"), tokenize=False, add_generation_prompt=True)
    again = loaded.processor(text=text, images=images, return_tensors="pt")["input_ids"][0].tolist()
    assert again.count(number) == 2, "the trap this test is about is gone"


def test_a_base_model_s_tokenizer_adds_what_it_adds(tmp_path: Path) -> None:
    folder = TINY_FAMILIES["Llama (text, base)"].write(tmp_path / "model")
    let_the_tokenizer_add(folder, "<s>")
    prepared = ask(load(folder), [], "How many")
    assert [token.piece for token in prepared.tokens][0] == "<s>"
    assert [token.role for token in prepared.tokens].count("template") == 1
    assert "".join(token.piece for token in prepared.tokens[1:]) == "How many"


@pytest.fixture(scope="module")
def paligemma(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load(TINY_FAMILIES["PaliGemma"].write(tmp_path_factory.mktemp("prefix") / "model"))


def test_paligemma_is_given_its_prefix(paligemma: Any) -> None:
    prepared = ask(paligemma, pictures([WIDE]), "answer en How many?")
    assert prepared.rendered_prompt == "<image>answer en How many?"
    assert [token.role for token in prepared.tokens[:36]] == ["image"] * 36
    assert "".join(token.piece for token in prepared.tokens[36:]) == "<bos>answer en How many?\n"
    assert "".join(token.piece for token in prepared.tokens if token.role == "user") == "answer en How many?"
    assert "labels" not in prepared.inputs
    kinds = prepared.inputs.get("token_type_ids")
    assert kinds is None or kinds.tolist() == [[0] * prepared.n_prompt]


@pytest.mark.parametrize(("n_images", "came"), [(0, "no images were given"), (2, "2 images were given")])
def test_paligemma_takes_one_image(paligemma: Any, n_images: int, came: str) -> None:
    with pytest.raises(
        ModelError, match=f"sample probe: model_type 'paligemma' takes 1 image per prompt, and {came}; a"
    ):
        ask(paligemma, [Image.new("RGB", (40, 30))] * n_images)


def test_a_template_of_the_checkpoint_s_own_goes_before_ours(tmp_path: Path) -> None:
    folder = TINY_FAMILIES["PaliGemma"].write(tmp_path / "model")
    template = (
        "{%- for part in messages[0]['content'] -%}{{ part['text'] if 'text' in part else '<image>' }}!{%- endfor -%}"
    )
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    assert ask(load(folder), pictures([WIDE]), "Who").rendered_prompt == "<image>!Who!"


def test_a_prompt_longer_than_the_context_is_refused(family: Any, family_model: Any) -> None:
    """Every family names the limit; the tiny ones read 8192 or 4096 tokens."""
    limit = family_model.model.config.get_text_config().max_position_embeddings
    question = "龘" * (limit // 3 + 10)
    with pytest.raises(
        ModelError, match=rf"sample probe: the prompt has \d+ tokens \(\d+ of images\), the model reads {limit}"
    ):
        ask(family_model, pictures([WIDE])[: family.max_images], question)
