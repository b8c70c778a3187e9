"""LoRA adapters: added whole, or refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from attnviz_video.errors import ModelError
from attnviz_video.models import lora as module
from attnviz_video.models.load import load_model
from attnviz_video.models.lora import refuse_unused
from attnviz_video.models.settings import ModelSettings

peft = pytest.importorskip("peft")


def write_adapter(model: Any, folder: Path, targets: list[str], **config: Any) -> Path:
    """An adapter with random weights for `model`, as training leaves it."""
    torch.manual_seed(3)
    trained = peft.get_peft_model(model, peft.LoraConfig(r=4, lora_alpha=16, target_modules=targets, **config))
    with torch.no_grad():
        for name, weight in trained.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                weight.normal_(0, 0.5)
    trained.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def base(tiny_checkpoint: Any) -> ModelSettings:
    return ModelSettings(model_path=str(tiny_checkpoint("qwen2_vl")), device="cpu")


@pytest.fixture(scope="module")
def adapter(base: ModelSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapter")
    return write_adapter(load_model(base).model, folder, ["q_proj", "v_proj", "down_proj"])


def with_adapter(base: ModelSettings, adapter: Path | str) -> Any:
    return load_model(ModelSettings(model_path=base.model_path, device="cpu", adapter=str(adapter)))


def test_an_adapter_changes_the_model_as_peft_does(base: ModelSettings, adapter: Path) -> None:
    loaded, plain = with_adapter(base, adapter), load_model(base).model
    ids = torch.arange(5, 25)[None]
    merged = peft.PeftModel.from_pretrained(load_model(base).model, adapter).merge_and_unload()
    torch.testing.assert_close(loaded.model(input_ids=ids).logits, merged(input_ids=ids).logits, rtol=1e-3, atol=1e-4)
    assert (loaded.model(input_ids=ids).logits - plain(input_ids=ids).logits).abs().max() > 0.1
    assert not loaded.model.training
    assert not any(weight.requires_grad for weight in loaded.model.parameters())


def test_the_model_is_the_same_but_for_the_adapter(base: ModelSettings, adapter: Path) -> None:
    loaded = with_adapter(base, adapter)
    assert loaded.lora == str(adapter)
    assert loaded.identity() == load_model(base).identity()
    assert load_model(base).lora == ""


def test_a_folder_without_an_adapter_is_named(base: ModelSettings, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"--adapter .* is not an adapter: it has no adapter_config.json"):
        with_adapter(base, tmp_path)


def test_an_adapter_without_weights_is_damaged(base: ModelSettings, adapter: Path, tmp_path: Path) -> None:
    shutil.copy(adapter / "adapter_config.json", tmp_path)
    with pytest.raises(ModelError, match=r"the adapter .* cannot be loaded; check --adapter"):
        with_adapter(base, tmp_path)


def test_a_name_that_leads_nowhere(base: ModelSettings) -> None:
    with pytest.raises(
        ModelError, match="the adapter nobody/nothing, which is no local folder, cannot be loaded; check --adapter"
    ):
        with_adapter(base, "nobody/nothing")


def test_an_adapter_of_a_larger_model_is_refused(base: ModelSettings, tmp_path: Path) -> None:
    from attnviz_video.testing.tiny_checkpoints import TinyShape, build_qwen2_vl

    deeper = build_qwen2_vl(tmp_path / "deeper", TinyShape(layers=6))
    other = write_adapter(
        load_model(ModelSettings(model_path=str(deeper), device="cpu")).model, tmp_path / "a", ["q_proj"]
    )
    with pytest.raises(ModelError, match=r"does not fit the model: 4 of its 12 weights have no place in it, such as "):
        with_adapter(base, other)


@pytest.mark.parametrize(
    "config", [{"use_dora": True}, {"modules_to_save": ["lm_head"]}, {"modules_to_save": ["merger"], "use_dora": True}]
)
def test_magnitudes_and_whole_modules_have_their_place(
    base: ModelSettings, tmp_path: Path, config: dict[str, Any]
) -> None:
    adapter = write_adapter(load_model(base).model, tmp_path / "a", ["q_proj"], **config)
    loaded, ids = with_adapter(base, adapter), torch.arange(5, 25)[None]
    merged = peft.PeftModel.from_pretrained(load_model(base).model, adapter).merge_and_unload()
    torch.testing.assert_close(loaded.model(input_ids=ids).logits, merged(input_ids=ids).logits, rtol=1e-3, atol=1e-4)
    stored = {name: weight.float() + 1 for name, weight in module._stored_weights(str(adapter)).items()}
    with pytest.raises(ModelError, match=f"{len(stored)} of its {len(stored)} weights have no place in it, such as "):
        refuse_unused(loaded.model, stored, "mine")


def test_weights_that_were_not_taken_are_noticed() -> None:
    linear = torch.nn.ModuleDict({"lora_A": torch.nn.Linear(2, 2, bias=False)})
    taken = {"lora_A.weight": linear["lora_A"].weight.detach().clone()}
    refuse_unused(linear, taken, "mine")
    with pytest.raises(ModelError, match="the adapter mine does not fit the model: 1 of its 1 weights have no place"):
        refuse_unused(linear, {"lora_A.weight": torch.ones(2, 2)}, "mine")
    with pytest.raises(ModelError, match="0 of its 0 weights have no place in it; give the model it was trained for"):
        refuse_unused(linear, {}, "mine")


def test_a_missing_package_is_named(base: ModelSettings, adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="--adapter needs peft; install it: pip install peft"):
        with_adapter(base, adapter)
