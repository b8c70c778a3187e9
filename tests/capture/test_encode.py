"""One pass of an encoder over a text, beside the library's own eager weights and logits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attnviz_video.capture.encode import encode
from attnviz_video.capture.intercept import AttentionCall, watched_attention
from attnviz_video.capture.plan import forecast_encoding, plan_encoding
from attnviz_video.capture.rows import attention_rows
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.sample import PAIR_FIELD, Sample
from attnviz_video.core.step import PromptRows
from attnviz_video.errors import ModelError, UsageError
from attnviz_video.models.decoder import attention_modules
from attnviz_video.models.encoder_text import prepare_text
from attnviz_video.models.hub_library import quiet_transformers, transformers
from attnviz_video.models.load import LoadedModel, load_model
from attnviz_video.models.settings import ModelSettings
from attnviz_video.testing.families import encoders

#: The kinds whose attention goes through the library's interface, and all that are recorded.
WATCHED = ("bert", "roberta", "distilbert", "modernbert")
KINDS = (*WATCHED, "albert")
EXACT = 5e-6
#: What a value may lose when it is stored as float16.
HALF_UNIT = 2.0**-11
TEXT = "The cat [MASK] on the mat, and it slept."
PAIR = Sample(0, "pair", TEXT, (), extra={PAIR_FIELD: "Dogs like to [MASK] it."})


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], LoadedModel]:
    """From the name of a kind to its tiny checkpoint, loaded as the product loads it (shared: leave it as it is)."""
    found: dict[str, LoadedModel] = {}

    def load(kind: str) -> LoadedModel:
        if kind not in found:
            folder = getattr(encoders, f"build_{kind}")(tmp_path_factory.mktemp("encoders") / kind)
            found[kind] = load_model(ModelSettings(model_path=str(folder), device="cpu"))
        return found[kind]

    return load


def library_output(loaded: LoadedModel, prepared: Prepared) -> Any:
    """What the library's own eager model returns for the same inputs: weights of all layers, and logits."""
    with quiet_transformers(), torch.no_grad():
        model = transformers.AutoModelForMaskedLM.from_pretrained(loaded.id, attn_implementation="eager").eval()
        return model(**prepared.inputs, output_attentions=True)


def recorded(loaded: LoadedModel, prepared: Prepared, **settings: Any) -> tuple[dict[int, np.ndarray], Any]:
    """Rows by layer, and what else the pass left behind."""
    plan, _ = plan_encoding(CaptureSettings(**settings), loaded.identity())
    rows: list[PromptRows] = []
    encoded = encode(loaded, prepared, plan, on_rows=rows.append)
    return {one.layer: one.heads for one in rows}, encoded


@pytest.mark.parametrize("sample", [Sample(0, "one", TEXT, ()), PAIR], ids=["text", "pair"])
@pytest.mark.parametrize("kind", KINDS)
def test_t15_the_rows_of_all_queries_are_those_of_eager_attention(
    encoder: Callable[[str], LoadedModel], kind: str, sample: Sample
) -> None:
    loaded = encoder(kind)
    prepared, _ = prepare_text(loaded, sample)
    rows, encoded = recorded(loaded, prepared)
    wanted = library_output(loaded, prepared).attentions
    assert list(rows) == [0, 1, 2]
    n = prepared.n_prompt
    for layer, own in rows.items():
        want = wanted[layer][0].double().numpy()
        assert own.shape == want.shape == (4, n, n)
        assert (np.abs(own.astype(np.float64) - want) <= EXACT + HALF_UNIT * want).all(), layer
    ahead = np.triu(rows[0][0].astype(np.float64), 1).sum(axis=-1)
    assert ahead.max() > 0.4, "queries must look ahead for this test to mean something"
    assert max(float(one.max()) for one in wanted) > 0.4, "attention must be peaked for this test to mean something"
    assert loaded.identity().attention == "sdpa"
    assert encoded.settings == ({} if kind in WATCHED else {"attention": "eager"})


@pytest.mark.parametrize("kind", WATCHED)
def test_before_they_are_stored_rows_are_equal_to_5e_6(encoder: Callable[[str], LoadedModel], kind: str) -> None:
    loaded = encoder(kind)
    prepared, _ = prepare_text(loaded, PAIR)
    found: dict[int, np.ndarray] = {}

    def watch(call: AttentionCall) -> None:
        found[call.layer] = attention_rows(call.query, call.key, call.options, range(call.query.shape[2]))[0].numpy()

    with watched_attention(attention_modules(loaded.model), watch), torch.no_grad():
        loaded.model(**prepared.inputs)
    for layer, want in enumerate(library_output(loaded, prepared).attentions):
        np.testing.assert_allclose(found[layer], want[0].numpy(), rtol=0, atol=EXACT)


@pytest.mark.parametrize("kind", KINDS)
def test_masked_words_have_the_ten_likeliest_of_the_softmax(encoder: Callable[[str], LoadedModel], kind: str) -> None:
    loaded = encoder(kind)
    prepared, _ = prepare_text(loaded, PAIR)
    _, encoded = recorded(loaded, prepared)
    mask = loaded.tokenizer.mask_token_id
    positions = [token.position for token in prepared.tokens if token.id == mask]
    assert len(positions) == 2
    assert [one.position for one in encoded.masked] == positions
    probabilities = library_output(loaded, prepared).logits[0].double().softmax(-1)
    for one in encoded.masked:
        best = probabilities[one.position].topk(10)
        assert [candidate.id for candidate in one.candidates] == best.indices.tolist()
        np.testing.assert_allclose([c.probability for c in one.candidates], best.values, rtol=0, atol=1e-6)


def test_a_text_without_a_mask_has_no_candidates(encoder: Callable[[str], LoadedModel]) -> None:
    loaded = encoder("bert")
    prepared, _ = prepare_text(loaded, Sample(0, "s", "The cat sat.", ()))
    assert recorded(loaded, prepared)[1].masked == ()


def test_an_encoder_without_a_head_is_recorded_and_says_that_it_fills_no_masks(tmp_path: Path) -> None:
    loaded = load_model(ModelSettings(str(encoders.build_bert(tmp_path / "plain", head=False)), device="cpu"))
    assert type(loaded.model).__name__ == "BertModel"
    prepared, _ = prepare_text(loaded, PAIR)
    rows, encoded = recorded(loaded, prepared)
    assert sorted(rows) == [0, 1, 2]
    assert encoded.masked == ()
    assert encoded.notices == (
        f"{loaded.id} has no head that predicts masked words, so the 2 mask tokens have no candidates",
    )


def test_the_models_own_output_is_the_same_with_recording(encoder: Callable[[str], LoadedModel]) -> None:
    loaded = encoder("bert")
    prepared, _ = prepare_text(loaded, PAIR)
    with torch.no_grad():
        before = loaded.model(**prepared.inputs).logits
        kept = []
        handle = loaded.model.register_forward_hook(lambda module, given, output: kept.append(output.logits))
        recorded(loaded, prepared)
        handle.remove()
    assert torch.equal(before, kept[0])


@pytest.mark.parametrize("wrong", [0, -1], ids=["the first query", "the last query"])
def test_weights_that_are_not_the_models_own_are_noticed_and_its_own_taken(
    encoder: Callable[[str], LoadedModel], monkeypatch: pytest.MonkeyPatch, wrong: int
) -> None:
    """Either end tells: a query that does not see what the model sees is not the model's."""
    loaded = encoder("bert")
    prepared, _ = prepare_text(loaded, PAIR)

    def cut_off(query: Any, key: Any, options: Any, rows: range) -> Any:
        own = attention_rows(query, key, options, rows)
        return own * 0 + 1 / prepared.n_prompt if rows.start == wrong % prepared.n_prompt else own

    monkeypatch.setattr("attnviz_video.capture.encode.attention_rows", cut_off)
    rows, encoded = recorded(loaded, prepared)
    want = library_output(loaded, prepared).attentions[1][0].numpy()
    np.testing.assert_allclose(rows[1], want, rtol=0, atol=1e-3)
    assert encoded.settings == {"attention": "eager"}
    assert encoded.notices[0].startswith("recorded with eager attention, since layer 0: the recorded weights do not")


def test_some_heads_and_layers(encoder: Callable[[str], LoadedModel]) -> None:
    loaded = encoder("bert")
    prepared, _ = prepare_text(loaded, PAIR)
    every, _ = recorded(loaded, prepared)
    some, _ = recorded(loaded, prepared, layers=(0,), layer_idx=(-1,), heads=(1, 3))
    assert sorted(some) == [0, 2]
    np.testing.assert_array_equal(some[2], every[2][[1, 3]])


def test_the_plan_keeps_every_layer_and_its_mean_where_all_heads_are_kept(
    encoder: Callable[[str], LoadedModel],
) -> None:
    identity = encoder("bert").identity()
    plan, notices = plan_encoding(CaptureSettings(), identity)
    assert (plan.head_layers, plan.mean_layers, plan.scalar_layers, plan.query_rows) == (
        (0, 1, 2),
        (0, 1, 2),
        (),
        "all",
    )
    assert notices == ("layer 2 is shown: the model has 3 layers (choose another with --layer_idx)",)
    assert forecast_encoding(plan, 100) == 3 * 4 * 100**2 * 2 + 100 * 200
    assert plan_encoding(CaptureSettings(heads=(0,)), identity)[0].mean_layers == ()
    with pytest.raises(UsageError, match="--layer_idx 9: .* has 3 layers"):
        plan_encoding(CaptureSettings(layer_idx=(9,)), identity)


def test_fault14_weights_that_are_no_numbers_are_refused(
    encoder: Callable[[str], LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = encoder("distilbert")
    prepared, _ = prepare_text(loaded, PAIR)
    scale = next(iter(attention_modules(loaded.model).values()))
    monkeypatch.setattr(scale, "scaling", float("nan"))
    with pytest.raises(ModelError, match="layer 0: attention is not a number in float32"):
        recorded(loaded, prepared)
