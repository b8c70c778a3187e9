"""Rows of models as people run them: with a LoRA adapter, spread by accelerate, with quantised weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attnviz_video.capture import reduce
from attnviz_video.capture.holder import StepHolder
from attnviz_video.capture.intercept import AttentionCall
from attnviz_video.capture.recorder import AttentionRecorder
from attnviz_video.core.step import Step
from tests.capture import in_memory
from tests.capture.running import EVERYTHING, plain_ids, record
from tests.capture.test_exactness import assert_all_rows, attentions

PREPARED = in_memory.prepared(((2, 3), (4, 2)))
MANY = replace(EVERYTHING, max_new_tokens=20)


def assert_recorded_exactly(model: Any) -> list[Step]:
    """Text as without recording, rows as of eager attention."""
    result, steps = record(model, PREPARED, MANY)
    assert result.token_ids == plain_ids(model, PREPARED, 20)
    assert result.notices == ()
    model.set_attn_implementation({"text_config": "eager"})
    assert_all_rows(steps, attentions(model, PREPARED.inputs, 20), PREPARED.n_prompt)
    return steps


def test_a_model_with_a_lora_adapter(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    from attnviz_video.models.lora import add_adapter

    torch.manual_seed(5)
    targets = ["q_proj", "k_proj", "v_proj", "gate_proj"]
    trained = peft.get_peft_model(in_memory.model(), peft.LoraConfig(r=4, target_modules=targets))
    with torch.no_grad():
        for name, weight in trained.named_parameters():
            if "lora_" in name:
                weight.normal_(0, 0.3)
    trained.save_pretrained(tmp_path)
    model = in_memory.model()
    bare = plain_ids(model, PREPARED, 20)
    add_adapter(model, str(tmp_path))
    model.eval().requires_grad_(False)
    assert_recorded_exactly(model)
    assert plain_ids(model, PREPARED, 20) != bare, "the adapter must change something for this test to mean anything"


def test_a_model_that_accelerate_spreads(tmp_path: Path) -> None:
    """One layer and the vision tower lie on disk and are read when they run, the others are on the CPU."""
    accelerate = pytest.importorskip("accelerate")
    model = in_memory.model()
    names = [name for name, _ in model.named_modules()]
    layers = [name for name in names if name.endswith(("layers.0", "layers.1", "layers.2")) and "visual" not in name]
    others = ["model.visual", "model.language_model.embed_tokens", "model.language_model.norm", "lm_head"]
    rotary = [name for name in names if name.endswith("language_model.rotary_emb")]
    places = dict.fromkeys([*layers, *others, *rotary], "cpu") | {layers[1]: "disk", "model.visual": "disk"}
    accelerate.dispatch_model(model, places, main_device="cpu", offload_dir=tmp_path, force_hooks=True)
    assert next(model.get_submodule(layers[1]).parameters()).device.type == "meta"
    result, steps = record(model, PREPARED, MANY)
    want, whole = record(in_memory.model(), PREPARED, MANY)
    assert result.token_ids == want.token_ids
    for one, other in zip(steps, whole, strict=True):
        assert one.rows is not None
        assert other.rows is not None
        for layer in in_memory.ALL_LAYERS:
            np.testing.assert_array_equal(one.rows.heads[layer], other.rows.heads[layer])


class EightBit(nn.Module):
    """A linear layer whose weights are whole numbers with one scale per row, as quantisation leaves them."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        scale = linear.weight.abs().amax(1, keepdim=True) / 127
        self.weight = nn.Parameter((linear.weight / scale).round().to(torch.int8), requires_grad=False)
        self.register_buffer("scale", scale)
        self.bias = linear.bias

    def forward(self, hidden: Tensor) -> Tensor:
        return nn.functional.linear(hidden, self.weight.to(hidden.dtype) * self.scale, self.bias)


def test_a_model_with_quantised_weights() -> None:
    model = in_memory.model()
    for name, part in list(model.named_modules()):
        if isinstance(part, nn.Linear) and "language_model" in name:
            model.set_submodule(name, EightBit(part))
    assert {weight.dtype for weight in model.parameters()} == {torch.int8, torch.float32}
    assert_recorded_exactly(model)


def test_rows_of_layers_on_several_devices_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one device here: each layer's blocks are moved as if its device were another one."""
    moved: list[int] = []
    real = reduce.to_host

    def in_parts(tensors: list[Tensor]) -> list[np.ndarray]:
        found = []
        for tensor in tensors:
            flat = tensor.contiguous().view(-1).view(torch.uint8).numpy()
            found.append(reduce._cut(flat, [(0, tensor)])[0])
        moved.append(len(tensors))
        for mine, theirs in zip(found, real(tensors), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        return found

    _, want = record(in_memory.model(), PREPARED, MANY)
    monkeypatch.setattr(reduce, "to_host", in_parts)
    _, got = record(in_memory.model(), PREPARED, MANY)
    assert len(moved) == 3, "the first step alone, then 16, then the rest: not once per layer and step"
    for one, other in zip(got, want, strict=True):
        assert one.rows is not None
        assert other.rows is not None
        np.testing.assert_array_equal(one.rows.heads[1], other.rows.heads[1])


def test_nothing_is_read_from_the_device_between_two_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a value makes a device wait: a decode step may only look at shapes."""
    reads: list[str] = []
    inside: list[str] = []

    def noted(kind: type, name: str) -> None:
        real = getattr(kind, name)

        def run(*some: Any, **named: Any) -> Any:
            inside.append(name)
            try:
                return real(*some, **named)
            finally:
                inside.pop()

        monkeypatch.setattr(kind, name, run)

    noted(AttentionRecorder, "watch")
    noted(StepHolder, "hold")
    for name in ("__bool__", "item", "tolist", "numpy", "cpu", "__int__", "__float__"):
        real = getattr(Tensor, name)

        def read(self: Tensor, *some: Any, _real: Any = real, _name: str = name, **named: Any) -> Any:
            if inside:
                reads.append(_name)
            return _real(self, *some, **named)

        monkeypatch.setattr(Tensor, name, read)
    checks: list[int] = []

    def checked(call: AttentionCall, row: Tensor, n_heads: int) -> None:
        checks.append(call.layer)

    monkeypatch.setattr("attnviz_video.capture.recorder.check_row", checked)
    record(in_memory.model(), PREPARED, MANY)
    assert checks == [0, 1, 2], "each layer is checked once"
    assert reads == []
