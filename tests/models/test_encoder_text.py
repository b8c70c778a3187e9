"""Encoders: which they are, how they load, and what every position of their text is."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from attnviz_video.core.sample import PAIR_FIELD, Sample
from attnviz_video.errors import DatasetError, ModelError
from attnviz_video.models.checkpoint import find_checkpoint
from attnviz_video.models.decoder import attention_modules
from attnviz_video.models.empty import identity_without_weights
from attnviz_video.models.encoder_text import prepare_text, sentence_segments
from attnviz_video.models.hub_library import transformers
from attnviz_video.models.load import load_model
from attnviz_video.models.settings import ModelSettings
from attnviz_video.models.text_encoders import encoder_class, is_encoder, longest_text, without_late_parts
from attnviz_video.testing.families import encoders


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_model(ModelSettings(str(encoders.build_bert(tmp_path_factory.mktemp("e") / "bert")), device="cpu"))


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_model(
        ModelSettings(str(encoders.build_roberta(tmp_path_factory.mktemp("e") / "roberta")), device="cpu")
    )


def asked(first: str, second: str | None = None) -> Sample:
    return Sample(0, "s", first, (), extra={} if second is None else {PAIR_FIELD: second})


def shown(loaded: Any, first: str, second: str | None = None) -> list[tuple[str, str]]:
    return [(token.piece, token.segment) for token in prepare_text(loaded, asked(first, second))[0].tokens]


def test_which_model_types_are_encoders() -> None:
    assert all(is_encoder(kind) for kind in ("bert", "roberta", "distilbert", "modernbert", "electra", "xlm-roberta"))
    assert not any(is_encoder(kind) for kind in ("gpt2", "llama", "bart", "mbart", "t5", "qwen2_vl", "whisper", "?"))


@pytest.mark.parametrize(
    ("architecture", "auto"),
    [
        ("BertForMaskedLM", "AutoModelForMaskedLM"),
        ("BertForPreTraining", "AutoModelForMaskedLM"),
        ("BertModel", "AutoModel"),
        ("RobertaForSequenceClassification", "AutoModel"),
        ("ElectraForPreTraining", "AutoModel"),
    ],
)
def test_a_head_is_loaded_where_the_checkpoint_has_one(architecture: str, auto: str) -> None:
    assert encoder_class({"architectures": [architecture]}) is getattr(transformers, auto)
    assert encoder_class({}) is transformers.AutoModelForMaskedLM


def test_a_pooler_that_is_missing_changes_no_attention() -> None:
    missing = ["bert.pooler.dense.weight", "bert.encoder.layer.0.output.dense.weight"]
    assert without_late_parts(missing) == ["bert.encoder.layer.0.output.dense.weight"]


def test_fault18_a_missing_layer_is_an_error(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = encoders.build_bert(tmp_path / "bert")
    weights = load_file(folder / "model.safetensors")
    del weights["bert.encoder.layer.0.attention.self.key.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ModelError, match="are incomplete: 1 tensors are missing, such as bert.encoder.layer.0.attention"
    ):
        load_model(ModelSettings(str(folder), device="cpu"))


def test_an_encoder_says_who_it_is_with_and_without_its_weights(bert: Any) -> None:
    identity = bert.identity()
    assert (identity.model_type, identity.n_layers, identity.n_heads) == ("bert", 3, 4)
    assert identity.layer_kinds == ("full",) * 3
    without = identity_without_weights(find_checkpoint(ModelSettings(bert.id)))
    assert without is not None
    assert (without.layer_kinds, without.n_heads) == (identity.layer_kinds, identity.n_heads)


def test_layers_that_do_not_know_their_number_are_counted(tmp_path: Path) -> None:
    loaded = load_model(ModelSettings(str(encoders.build_distilbert(tmp_path / "d")), device="cpu"))
    names = {id(module): name for name, module in loaded.model.named_modules()}
    found = [names[id(module)] for module in attention_modules(loaded.model).values()]
    assert found == [f"distilbert.transformer.layer.{layer}.attention" for layer in range(3)]


def test_a_number_that_a_layer_was_not_given_counts_as_none(bert: Any) -> None:
    """ESM's attention has a `layer_idx` that is None."""
    modules = attention_modules(bert.model)
    for module in modules.values():
        module.layer_idx = None  # type: ignore[assignment]
    try:
        assert attention_modules(bert.model) == modules
    finally:
        for layer, module in modules.items():
            module.layer_idx = layer  # type: ignore[assignment]


def test_windows_of_an_encoder_are_named(tmp_path: Path) -> None:
    loaded = load_model(ModelSettings(str(encoders.build_modernbert(tmp_path / "m")), device="cpu"))
    assert loaded.identity().layer_kinds == ("full", "window 5", "window 5")


def test_a_text_is_whole_words_with_the_spaces_it_has(bert: Any) -> None:
    found = shown(bert, "The mats, they chased it-and slept.")
    assert "".join(piece for piece, _ in found) == "[CLS]the mats, they chased it-and slept.[SEP]"
    assert ("s", "text") in found
    assert {segment for _, segment in found} == {"text"}


def test_a_pair_keeps_its_sentences(bert: Any, roberta: Any) -> None:
    found = shown(bert, "The cat sat.", "It slept.")
    assert [segment for _, segment in found] == ["first"] * 6 + ["second"] * 4
    assert found[5] == ("[SEP]", "first")
    assert found[6] == ("it", "second")
    found = shown(roberta, "The cat", "It")
    assert [piece for piece, segment in found if segment == "first"][-2:] == ["</s>", "</s>"]
    assert "".join(piece for piece, segment in found if segment == "second") == "It</s>"


def test_the_inputs_are_those_of_the_tokenizer(bert: Any) -> None:
    prepared, _ = prepare_text(bert, asked("The cat sat.", "It slept."))
    own = bert.tokenizer("The cat sat.", "It slept.", return_tensors="pt")
    assert prepared.inputs.keys() == own.keys()
    assert all(torch.equal(prepared.inputs[name], own[name]) for name in own)
    assert prepared.rendered_prompt == "[CLS]the cat sat.[SEP]it slept.[SEP]"


def test_without_a_fast_tokenizer_the_sentence_kinds_or_the_separators_tell() -> None:
    names = SimpleNamespace(sep_token_id=3, eos_token_id=9)
    ids = [2, 7, 8, 3, 7, 3]
    kinds = {"token_type_ids": [0, 0, 0, 0, 1, 1]}
    wanted = ["first"] * 4 + ["second"] * 2
    assert sentence_segments(ids, kinds, names, pair=True) == wanted
    assert sentence_segments(ids, {}, names, pair=True) == wanted
    assert sentence_segments([2, 7, 3, 3, 7, 3], {}, names, pair=True) == wanted
    assert sentence_segments(ids, kinds, names, pair=False) == ["text"] * 6


def test_a_mask_may_be_written_as_another_model_writes_it(bert: Any, roberta: Any) -> None:
    prepared, notices = prepare_text(roberta, asked("The [MASK] sat"))
    assert notices == ("[MASK] was read as <mask>, the mask of this model",)
    assert [token.piece for token in prepared.tokens if token.id == roberta.tokenizer.mask_token_id] == [" <mask>"]
    assert prepare_text(bert, asked("The [MASK] sat"))[1] == ()
    assert prepare_text(bert, asked("The <mask> sat"))[1] == ("<mask> was read as [MASK], the mask of this model",)


def test_a_tokenizer_without_a_mask_says_so(tmp_path: Path) -> None:
    folder = encoders.build_bert(tmp_path / "bert")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["mask_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    loaded = load_model(ModelSettings(str(folder), device="cpu"))
    told = prepare_text(loaded, asked("The [MASK] sat"))[1]
    assert told == ("[MASK] is ordinary text for this model: its tokenizer has no mask token",)


def test_a_text_that_is_too_long_or_empty_is_refused(bert: Any) -> None:
    prepare_text(bert, asked("cat " * 126))
    with pytest.raises(ModelError, match="sample s: the text has 129 tokens, the model reads 128; shorten it"):
        prepare_text(bert, asked("cat " * 127))
    with pytest.raises(DatasetError, match="sample s: a text is empty; an encoder needs words to read"):
        prepare_text(bert, asked("The cat", "  "))


def test_the_positions_of_a_padding_are_none_of_the_text(roberta: Any) -> None:
    """130 rows of the table, of which those up to the padding's own are not used: 128 tokens run, 129 do not."""
    assert longest_text(roberta.model, roberta.tokenizer) == 128
    with torch.no_grad():
        roberta.model(input_ids=torch.full((1, 128), 7))
        with pytest.raises((IndexError, RuntimeError)):
            roberta.model(input_ids=torch.full((1, 129), 7))


def test_positions_without_an_end() -> None:
    endless = nn.Module()
    endless.config = SimpleNamespace()  # type: ignore[assignment]
    assert longest_text(endless, SimpleNamespace(model_max_length=int(1e30))) is None


def test_a_japanese_text_is_whole_characters(tmp_path: Path) -> None:
    loaded = load_model(ModelSettings(str(encoders.build_japanese_bert(tmp_path / "j")), device="cpu"))
    prepared, _ = prepare_text(loaded, asked("今日は東京の天気[MASK]いいです", "猫を見"))
    pieces = [token.piece for token in prepared.tokens]
    assert "".join(pieces) == "[CLS]今日は東京の天気[MASK]いいです[SEP]猫を見[SEP]"
    names = loaded.tokenizer.convert_ids_to_tokens([token.id for token in prepared.tokens])
    assert names[3:5] == ["東", "##京"]
    assert pieces[3:5] == ["東", "京"]
    assert [token.raw.decode() for token in prepared.tokens[3:5]] == ["東", "京"]
