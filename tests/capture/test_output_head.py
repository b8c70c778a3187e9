"""Logits of a few positions: those of the model's own forward pass, whatever it does to them at the end."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from attnviz_video.capture.output_head import FinishedError, OutputHead
from attnviz_video.errors import ModelError
from tests.capture import in_memory


def finished(model: Any, inputs: Any) -> OutputHead:
    head = OutputHead(model)
    with torch.no_grad(), head.ending_before(), pytest.raises(FinishedError):
        model(**inputs, use_cache=False)
    return head


@pytest.mark.parametrize("kind", ["qwen2_vl", "qwen3_vl"])
def test_logits_are_those_of_the_whole_pass(kind: str) -> None:
    model, inputs = in_memory.model(kind), in_memory.prepared().inputs
    want = model(**inputs).logits[0]
    head = finished(model, inputs)
    torch.testing.assert_close(head.logits(0, range(5, 9)), want[5:9], rtol=0, atol=1e-5)
    torch.testing.assert_close(head.logits(0, range(20, 21)), want[20:21], rtol=0, atol=1e-5)
    torch.testing.assert_close(model(**inputs).logits[0], want)


def test_what_a_family_does_to_its_logits_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gemma caps them, Cohere scales them: after the head, inside the model's forward pass."""
    model, inputs = in_memory.model(), in_memory.prepared().inputs
    own = type(model).forward

    def capped(self: Any, *arguments: Any, **named: Any) -> Any:
        output = own(self, *arguments, **named)
        output.logits = torch.tanh(output.logits / 3) * 3
        return output

    monkeypatch.setattr(type(model), "forward", capped)
    want = model(**inputs).logits[0, 4:7]
    torch.testing.assert_close(finished(model, inputs).logits(0, range(4, 7)), want, rtol=0, atol=1e-5)


def test_a_forward_pass_of_the_instance_is_put_back() -> None:
    """Libraries that spread a model over devices put one there."""
    model, inputs = in_memory.model(), in_memory.prepared().inputs
    own = model.model.forward
    calls: list[int] = []

    def moved(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        return own(*arguments, **named)

    model.model.forward = moved
    head = finished(model, inputs)
    head.logits(0, range(2))
    assert model.model.forward is moved
    assert calls == [1]


def test_a_model_without_head_or_decoder_is_refused() -> None:
    model = in_memory.model()
    model.get_output_embeddings = lambda: None
    with pytest.raises(
        ModelError, match="Qwen2VLForConditionalGeneration does not keep its decoder and its output head"
    ):
        OutputHead(model)
    alone = torch.nn.Module()
    alone.head = torch.nn.Linear(2, 2)
    alone.get_output_embeddings = lambda: alone.head  # type: ignore[assignment]
    with pytest.raises(ModelError, match="leave them out with --replay_depth shown"):
        OutputHead(alone)


def test_a_decoder_that_is_not_named_as_the_base_model_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in older versions of transformers, for families built like LLaVA."""
    model, inputs = in_memory.model(), in_memory.prepared().inputs
    want = model(**inputs).logits[0, 4:7]
    monkeypatch.setattr(type(model), "base_model", property(lambda self: self))
    model.get_output_embeddings = lambda: model.lm_head
    torch.testing.assert_close(finished(model, inputs).logits(0, range(4, 7)), want, rtol=0, atol=1e-5)
