"""What every family must do, on a tiny random checkpoint of each: load, take images, be recorded exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnviz_video.capture.generate import generate
from attnviz_video.capture.plan import is_attention, plan_recording
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.step import Step
from attnviz_video.models.decoder import layer_kinds
from attnviz_video.models.layouts.adapter import image_token_id, prompt_ids
from attnviz_video.models.layouts.guessed import GuessedLayout
from attnviz_video.testing.families.table import TinyFamily
from tests.families.asking import TALL, WIDE, ask, pictures, sizes_of

N_NEW = 6
#: What a value may lose when it is stored as float16: half a unit in the last place.
HALF_UNIT = 2.0**-11
EXACT = 1e-5


def recorded(loaded: Any, prepared: Prepared) -> tuple[tuple[int, ...], list[Step]]:
    """Ids and steps of an answer, with every head of every layer recorded."""
    settings = CaptureSettings(start_phrase="", max_new_tokens=N_NEW, layers="all")
    plan, _ = plan_recording(settings, loaded.identity())
    steps: list[Step] = []
    made = generate(loaded, prepared, plan, settings, on_step=steps.append)
    return made.token_ids, steps


def plain_ids(model: Any, prepared: Prepared) -> tuple[int, ...]:
    output = model.generate(**prepared.inputs, max_new_tokens=N_NEW, do_sample=False)
    return tuple(output[0, prepared.n_model_prompt :].tolist())


@pytest.mark.claim("loads")
def test_loads_through_the_products_own_code(family: TinyFamily, family_model: Any) -> None:
    assert not family_model.model.training
    assert family_model.processor.tokenizer is family_model.tokenizer
    assert isinstance(family_model.adapter, GuessedLayout) != family.has_rule


@pytest.mark.claim("1 image")
def test_one_image(family: TinyFamily, family_model: Any) -> None:
    if family.max_images < 1:
        pytest.skip("takes no images")
    for size in (WIDE, TALL):
        check_image_tokens(family_model, ask(family_model, pictures([size])), 1)


@pytest.mark.claim("2 images")
def test_two_images_of_different_size_and_aspect(family: TinyFamily, family_model: Any) -> None:
    if family.max_images < 2:
        pytest.skip("takes one image at most")
    check_image_tokens(family_model, ask(family_model, pictures([WIDE, TALL])), 2)


def check_image_tokens(loaded: Any, prepared: Prepared, n_images: int) -> None:
    """Every image token has a rectangle inside its image, or is one of the few that stand for none."""
    layout = prepared.layout
    if prepared.columns is None:
        is_image = prompt_ids(prepared.inputs) == image_token_id(loaded.model.config)
        np.testing.assert_array_equal(layout.image_of >= 0, is_image)
    else:
        used = np.sort(prepared.columns.cross[prepared.columns.cross >= 0])
        np.testing.assert_array_equal(np.flatnonzero(layout.image_of >= 0), used)
        np.testing.assert_array_equal(np.flatnonzero(layout.image_of < 0), prepared.columns.text)
    assert len(layout.images) == n_images
    for image, info in enumerate(layout.images):
        boxes = layout.patch_boxes(image)
        assert boxes.shape == (layout.patch_positions(image).size, 4)
        assert boxes.min() >= 0
        assert boxes[:, 2].max() <= info.width
        assert boxes[:, 3].max() <= info.height
        assert (boxes[:, 2] > boxes[:, 0]).all()
        assert (boxes[:, 3] > boxes[:, 1]).all()
        assert boxes.size
    assert layout.guessed == isinstance(loaded.adapter, GuessedLayout)


@pytest.mark.claim("text unchanged")
def test_t14_text_is_the_same_with_and_without_recording(family: TinyFamily, family_model: Any) -> None:
    prepared = ask(family_model, pictures(sizes_of(family)))
    ids, _ = recorded(family_model, prepared)
    assert ids == plain_ids(family_model.model, prepared)


@pytest.mark.claim("rows = eager")
def test_t15_recorded_rows_equal_those_of_eager_attention(
    family: TinyFamily, family_model: Any, family_eager: Any, family_folder: Path
) -> None:
    prepared = ask(family_model, pictures(sizes_of(family)))
    ids, steps = recorded(family_model, prepared)
    assert len(steps) >= 3, "the tiny model ends its answer too early for this test; give its files another seed"
    positions = [prepared.layout.patch_positions(image) for image in range(len(prepared.layout.images))]
    peak = 0.0
    for step, layers in zip(steps, eager_rows(family_eager, prepared, ids), strict=True):
        assert step.rows is not None
        assert step.info.scalars is not None
        assert list(step.rows.heads) == list(layers)
        for number, (layer, want) in enumerate(layers.items()):
            peak = max(peak, float(want.max()))
            got = step.rows.heads[layer].astype(np.float64)
            assert got.shape == want.shape
            assert (np.abs(got - want) <= EXACT + HALF_UNIT * want).all(), (step.info.index, layer)
            scalars = step.info.scalars
            # Kept in float32, and so a closer look at the rows than the rows themselves, which are stored in float16.
            np.testing.assert_allclose(scalars.maximum[number], want.max(-1), rtol=0, atol=EXACT)
            np.testing.assert_allclose(scalars.first_token[number], want[:, 0], rtol=0, atol=EXACT)
            shares = np.stack([want[:, own].sum(-1) for own in positions], axis=-1) if positions else want[:, :0]
            np.testing.assert_allclose(scalars.image_share[number], shares, rtol=0, atol=EXACT)
    assert peak > 0.4, "attention must be peaked for this test to mean something"


def eager_rows(model: Any, prepared: Prepared, ids: tuple[int, ...]) -> list[dict[int, np.ndarray]]:
    """Per step, layer to rows [heads, keys] over all positions before the token, from the library's own output."""
    output = model.generate(
        **prepared.inputs,
        max_new_tokens=N_NEW,
        do_sample=False,
        output_attentions=True,
        return_dict_in_generate=True,
    )
    assert tuple(output.sequences[0, prepared.n_model_prompt :].tolist()) == ids
    kinds = layer_kinds(model)
    layers = [layer for layer, kind in enumerate(kinds) if is_attention(kind)]
    return [
        {
            layer: on_trace(attention[0, :, -1].numpy(), prepared, step, kinds[layer])
            for layer, attention in zip(layers, attentions, strict=True)
        }
        for step, attentions in enumerate(output.attentions)
    ]


def on_trace(rows: np.ndarray, prepared: Prepared, step: int, kind: str) -> np.ndarray:
    """The library's rows [heads, keys of the layer] of one step over all positions before the token."""
    columns = prepared.columns
    if columns is None:
        return over_all_positions(rows, prepared.n_prompt + step)
    full = np.zeros((rows.shape[0], prepared.n_prompt + step), dtype=np.float64)
    answer = range(prepared.n_prompt, prepared.n_prompt + step)
    own = columns.cross if kind == "cross" else np.concatenate([columns.text, np.array(answer, dtype=np.int64)])
    for key, position in enumerate(own.tolist()):
        if position >= 0:
            full[:, position] = rows[:, key]
        else:
            assert not rows[:, key].any(), "padding that is left out must have no weight"
    return full


def over_all_positions(rows: np.ndarray, n_keys: int) -> np.ndarray:
    """Rows of a sliding window hold the last positions only; those before have no weight."""
    full = np.zeros((rows.shape[0], n_keys), dtype=np.float64)
    full[:, n_keys - rows.shape[1] :] = rows
    return full
