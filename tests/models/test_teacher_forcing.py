"""What the inputs of a model say about an answer that is read together with its prompt."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from attnviz_video.errors import ModelError
from attnviz_video.models.teacher_forcing import check_answer, positions_computed_anew, with_answer


def inputs(**more: Any) -> dict[str, Any]:
    return {"input_ids": torch.tensor([[5, 6, 7]]), "attention_mask": torch.ones(1, 3, dtype=torch.long), **more}


def test_an_answer_is_attended_to_and_is_text() -> None:
    kinds = torch.tensor([[0, 1, 0]])
    pixels = torch.zeros(3, 4)
    found = with_answer(inputs(mm_token_type_ids=kinds, pixel_values=pixels), [8, 9], "qwen2_vl")
    assert found["input_ids"].tolist() == [[5, 6, 7, 8, 9]]
    assert found["attention_mask"].tolist() == [[1, 1, 1, 1, 1]]
    assert found["mm_token_type_ids"].tolist() == [[0, 1, 0, 0, 0]]
    assert found["pixel_values"] is pixels
    assert {name: value.dtype for name, value in found.items()} == {
        "input_ids": torch.int64, "attention_mask": torch.int64, "mm_token_type_ids": torch.int64,
        "pixel_values": torch.float32,
    }  # fmt: skip


@pytest.mark.parametrize(("model_type", "entry"), [("gemma3", 0), ("paligemma", 1)])
def test_token_types_are_those_of_the_family(model_type: str, entry: int) -> None:
    """Gemma 3: 1 is an image. PaliGemma: 0 is the prefix, which attends both ways, 1 the causal suffix."""
    found = with_answer(inputs(token_type_ids=torch.tensor([[1, 1, 0]])), [8, 9], model_type)
    assert found["token_type_ids"].tolist() == [[1, 1, 0, entry, entry]]


def test_an_answer_attends_to_the_pictures_that_the_prompts_last_token_attends_to() -> None:
    seen = torch.tensor([[[[0, 0]], [[1, 0]], [[1, 1]]]])
    found = with_answer(inputs(cross_attention_mask=seen), [8, 9], "mllama")
    assert found["cross_attention_mask"].tolist() == [[[[0, 0]], [[1, 0]], [[1, 1]], [[1, 1]], [[1, 1]]]]


def test_nothing_is_added_for_an_answer_of_one_token() -> None:
    """The last token is no input, so that of a single token nothing is left."""
    found = with_answer(inputs(mm_token_type_ids=torch.zeros(1, 3)), [], "qwen2_vl")
    assert {name: value.shape for name, value in found.items()} == {
        "input_ids": (1, 3), "attention_mask": (1, 3), "mm_token_type_ids": (1, 3),
    }  # fmt: skip


def test_an_input_of_unknown_meaning_is_refused() -> None:
    with pytest.raises(
        ModelError, match="returned shoe_sizes with one entry for each of the 3 prompt tokens; .* gener"
    ):
        with_answer(inputs(shoe_sizes=torch.zeros(1, 3)), [8], "qwen2_vl")
    with_answer(inputs(image_sizes=torch.zeros(3, 2), words=["a", "b", "c"]), [8], "qwen2_vl")


def model() -> Any:
    made: Any = nn.Module()
    made.config = SimpleNamespace(max_position_embeddings=6, image_token_id=4)
    made.config.get_text_config = lambda: made.config
    made.get_input_embeddings = lambda: nn.Embedding(10, 2)
    return made


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (
            [1] * 4,
            "the prompt has 3 tokens and the response 4, together more than the 6 the model reads; lower --max_pi",
        ),
        ([1, 10], "the response holds token 10, the model knows 0 to 9; was it written by another model?"),
        ([1, -1], "the response holds token -1, the model knows 0 to 9"),
        (
            [1, 4],
            "the response holds token 4, the model's image placeholder: it stands for features of a picture, and ",
        ),
    ],
)
def test_answers_that_the_model_cannot_read_are_refused(ids: list[int], message: str) -> None:
    with pytest.raises(ModelError) as caught:
        check_answer(model(), ids, 3)
    assert message in str(caught.value)


def test_an_answer_that_just_fits() -> None:
    check_answer(model(), [1, 2, 9], 3)


def test_position_offsets_are_put_back_also_after_an_error() -> None:
    made = model()
    made.body = nn.Module()
    made.body.rope_deltas = kept = torch.tensor([[3]])

    def fail() -> None:
        with positions_computed_anew(made):
            assert made.body.rope_deltas is None
            made.body.rope_deltas = torch.tensor([[9]])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert made.body.rope_deltas is kept
