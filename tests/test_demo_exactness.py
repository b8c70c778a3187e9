"""The shipped model: its text is the same with and without recording, and its rows are those of eager attention."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from attnviz_video.api import load, pictures_from
from attnviz_video.capture.generate import generate
from attnviz_video.capture.plan import plan_recording
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.config import RunConfig
from attnviz_video.core.prepared import Prepared
from attnviz_video.models.decoder import attention_modules
from attnviz_video.models.load import LoadedModel
from attnviz_video.models.prompt import prepare
from attnviz_video.models.prompt_templates import prompt_of
from attnviz_video.models.settings import ModelSettings
from attnviz_video.sources.dataset import load_samples
from tests.capture.in_memory import EAGER_CAN_BE_WATCHED
from tests.capture.test_recorder import all_rows, eager_attentions

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
SETTINGS = CaptureSettings(layers="all", start_phrase="", max_new_tokens=96)


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return load(str(SAMPLES / "demo_model"), RunConfig())


@pytest.fixture(params=["demo", "demo_pairs"], ids=["one image", "two images"])
def prepared(request: pytest.FixtureRequest, loaded: LoadedModel) -> Prepared:
    sample = load_samples(SAMPLES / f"{request.param}.json", SAMPLES / "images")[0]
    return prepare(loaded, sample, pictures_from((), sample), prompt_of(sample, ModelSettings()).template)


def plain_ids(loaded: LoadedModel, prepared: Prepared) -> list[int]:
    inputs: dict[str, Any] = {name: value for name, value in prepared.inputs.items() if torch.is_tensor(value)}
    output = loaded.model.generate(**inputs, do_sample=False, max_new_tokens=SETTINGS.max_new_tokens)
    ids: list[int] = output[0, prepared.n_prompt :].tolist()
    return ids


def test_t14_text_is_the_same_with_and_without_recording(loaded: LoadedModel, prepared: Prepared) -> None:
    plan, _ = plan_recording(SETTINGS, loaded.identity())
    recorded = generate(loaded, prepared, plan, SETTINGS, on_step=lambda step: None)
    assert list(recorded.token_ids) == plain_ids(loaded, prepared)


def with_answer(loaded: LoadedModel, prepared: Prepared) -> dict[str, Any]:
    """Inputs of the prompt followed by the answer that the model writes."""
    answer = torch.tensor([plain_ids(loaded, prepared)])
    inputs = dict(prepared.inputs)
    for name, filler in (("input_ids", answer), ("attention_mask", answer * 0 + 1), ("mm_token_type_ids", answer * 0)):
        if name in inputs:
            inputs[name] = torch.cat([inputs[name], filler.to(inputs[name].dtype)], dim=1)
    return inputs


def test_t15_rows_of_prompt_and_answer_equal_eager_to_1e_5(loaded: LoadedModel, prepared: Prepared) -> None:
    """All layers, heads and rows, recorded beside SDPA in one run and given by eager attention in another.

    In double precision: in float32 the two runs' hidden states drift apart by rounding (rows by up to 1.5e-5 after 22
    layers), which has nothing to do with recording. Recorded rows are float32 in any case.
    """
    inputs = with_answer(loaded, prepared)
    inputs["pixel_values"] = inputs["pixel_values"].double()
    model = copy.deepcopy(loaded.model).double()
    with torch.no_grad():
        rows = all_rows(model, inputs)
        wanted = eager_attentions(model, inputs)
    assert len(wanted) == len(attention_modules(model)) == 22
    for layer, want in enumerate(wanted):
        torch.testing.assert_close(rows[layer].double(), want.double(), rtol=0, atol=1e-5)


@pytest.mark.skipif(not EAGER_CAN_BE_WATCHED, reason="transformers 5.1 or later")
def test_t15_rows_recorded_beside_eager_equal_its_weights_in_float32(loaded: LoadedModel, prepared: Prepared) -> None:
    """One run in float32: what is recorded beside eager attention is what that attention returns."""
    inputs = with_answer(loaded, prepared)
    model = copy.deepcopy(loaded.model)
    model.set_attn_implementation({"text_config": "eager"})
    with torch.no_grad():
        rows = all_rows(model, inputs)
        wanted = eager_attentions(model, inputs)
    for layer, want in enumerate(wanted):
        torch.testing.assert_close(rows[layer], want, rtol=0, atol=1e-5)
