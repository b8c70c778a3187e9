"""Prompts put together to a batch: what is padded, with what, and which prompts do not go together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from attnviz_video.errors import ModelError
from attnviz_video.models.collation import collate

IMAGE = 99


def config(model_type: str = "qwen2_vl", image: int | None = IMAGE) -> Any:
    return SimpleNamespace(model_type=model_type, image_token_id=image)


def prompt(*ids: int, **more: Any) -> dict[str, Any]:
    row = torch.tensor([ids])
    return {"input_ids": row, "attention_mask": torch.ones_like(row), **more}


def test_text_is_padded_on_the_left_and_the_padding_is_hidden() -> None:
    batch = collate([prompt(1, 2, 3), prompt(4)], config())
    assert batch["input_ids"].tolist() == [[1, 2, 3], [4, 4, 4]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]


def test_padding_is_a_token_of_the_prompt_itself_and_no_picture() -> None:
    """Rules against repetition look at hidden ids too; a picture's id would ask for one more picture."""
    batch = collate([prompt(1, 2, 3, 5), prompt(7, IMAGE), prompt(IMAGE, 6)], config())
    assert batch["input_ids"].tolist() == [[1, 2, 3, 5], [7, 7, 7, IMAGE], [6, 6, IMAGE, 6]]


def test_kinds_of_tokens_are_text_in_the_padding() -> None:
    samples = [
        prompt(1, 2, 3, mm_token_type_ids=torch.tensor([[0, 1, 1]])), prompt(4, mm_token_type_ids=torch.tensor([[1]]))
    ]  # fmt: skip
    assert collate(samples, config())["mm_token_type_ids"].tolist() == [[0, 1, 1], [0, 0, 1]]


def test_pictures_follow_each_other_and_prompts_without_one_bring_none() -> None:
    samples = [
        prompt(1, pixel_values=torch.ones(2, 4), image_grid_thw=torch.tensor([[1, 1, 2]])),
        prompt(2),
        prompt(3, pixel_values=torch.zeros(3, 4), image_grid_thw=torch.tensor([[1, 3, 1]])),
    ]
    batch = collate(samples, config())
    assert batch["pixel_values"].sum(1).tolist() == [4, 4, 0, 0, 0]
    assert batch["image_grid_thw"].tolist() == [[1, 1, 2], [1, 3, 1]]


def test_smaller_pictures_are_padded_at_their_end() -> None:
    samples = [
        prompt(1, pixel_values=torch.ones(1, 1, 2, 2), image_position_ids=torch.zeros(1, 1, 2, dtype=torch.long)),
        prompt(2, pixel_values=torch.ones(2, 1, 1, 3), image_position_ids=torch.zeros(2, 2, 2, dtype=torch.long)),
    ]
    batch = collate(samples, config("gemma4"))
    assert batch["pixel_values"].shape == (3, 1, 2, 3)
    assert batch["pixel_values"][0, 0].tolist() == [[1, 1, 0], [1, 1, 0]]
    assert batch["pixel_values"][1, 0].tolist() == [[1, 1, 1], [0, 0, 0]]
    assert batch["image_position_ids"][0].tolist() == [[0, 0], [-1, -1]], "0 is a position, -1 is none"


def test_what_text_attends_to_is_padded_as_the_text_is() -> None:
    samples = [
        prompt(1, 2, cross_attention_mask=torch.ones(1, 2, 1, 3), pixel_values=torch.ones(1, 1, 2)),
        prompt(3, cross_attention_mask=torch.ones(1, 1, 1, 3), pixel_values=torch.ones(1, 1, 2)),
    ]
    batch = collate(samples, config("mllama", None))
    assert batch["cross_attention_mask"].shape == (2, 2, 1, 3)
    assert batch["cross_attention_mask"][1].sum((1, 2)).tolist() == [0, 3]


@pytest.mark.parametrize(
    ("model_type", "samples", "message"),
    [
        ("unheard_of", [prompt(1)], "batches of model_type 'unheard_of' are not known to equal single runs; run "),
        ("idefics3", [prompt(1), prompt(2, pixel_values=torch.ones(1, 1, 2))],
         "model_type 'idefics3' takes no batch of prompts with and without pictures; run them apart"),
        ("mllama", [prompt(1, pixel_values=torch.ones(1, 2, 2)), prompt(2, pixel_values=torch.ones(1, 1, 2))],
         "in a batch of model_type 'mllama' all prompts must have the same number of pictures, these have 1, 2; "),
        ("qwen2_vl", [prompt(1, mm_token_type_ids=torch.zeros(1, 1)), prompt(2)],
         "some prompts of the batch come with mm_token_type_ids and some without; run them one by one"),
        ("qwen2_vl", [prompt(1, pixel_values=[1, 2])], "a picture input of the processor is a list, which no "),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(model_type: str, samples: list[Any], message: str) -> None:
    with pytest.raises(ModelError) as caught:
        collate(samples, config(model_type))
    assert message in str(caught.value)


def test_models_of_text_alone_need_no_entry_in_the_list() -> None:
    assert collate([prompt(1), prompt(2, 3)], config("some_llama", None))["input_ids"].shape == (2, 2)
