"""Loading a model, and our own sentence for everything that cannot be loaded (FAULTS 18)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from attnviz_video.errors import DeviceError, ModelError
from attnviz_video.models import load as load_module
from attnviz_video.models.load import load_model
from attnviz_video.models.settings import ModelSettings
from tests.fixtures_checkpoints import FAMILIES


def _load(path: Path | str, **settings: Any) -> Any:
    return load_model(ModelSettings(model_path=str(path), device="cpu", **settings))


@pytest.fixture
def copy(tiny_checkpoint: Any, tmp_path: Path) -> Path:
    """A copy of a checkpoint that a test may damage."""
    return Path(shutil.copytree(tiny_checkpoint("qwen2_vl"), tmp_path / "model"))


def _edit(file: Path, **changes: Any) -> None:
    config = json.loads(file.read_text(encoding="utf-8")) | changes
    file.write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_loaded_model_is_ready_to_run(tiny_model: Any, family: str) -> None:
    loaded = tiny_model(family)
    assert not loaded.model.training
    assert not any(weight.requires_grad for weight in loaded.model.parameters())
    assert loaded.model.dtype == torch.float32
    assert loaded.device == torch.device("cpu")
    assert loaded.tokenizer is loaded.processor.tokenizer


@pytest.mark.parametrize("family", FAMILIES)
def test_identity_says_who_the_model_is(tiny_model: Any, family: str) -> None:
    identity = tiny_model(family).identity()
    assert identity.model_type == family
    assert (identity.n_layers, identity.n_heads, identity.n_kv_heads) == (4, 4, 2)
    assert identity.layer_kinds == ("full",) * 4
    assert (identity.dtype, identity.device, identity.attention) == ("float32", "cpu", "sdpa")
    assert identity.id.endswith(family)
    # What the probabilities are spread over is what the model puts out, which the tokenizer need not fill.
    assert identity.vocab_size == tiny_model(family).model.get_output_embeddings().weight.shape[0]
    assert 0 < identity.tokenizer_size <= identity.vocab_size
    assert "Tokenizer" in identity.tokenizer_class
    hashes = {identity.config_hash, identity.processor_hash, identity.template_hash}
    assert len(hashes) == 3
    assert all(len(fingerprint) == 64 for fingerprint in hashes)


def test_hashes_change_with_what_they_stand_for(tiny_model: Any, copy: Path) -> None:
    before = tiny_model("qwen2_vl").identity()
    assert _load(copy).identity().config_hash == before.config_hash
    _edit(copy / "config.json", rope_theta=500.0)
    (copy / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    after = _load(copy, max_pixels=3136 * 2).identity()
    assert after.config_hash != before.config_hash
    assert after.template_hash != before.template_hash
    assert after.processor_hash != before.processor_hash


def test_dtype_can_be_chosen(copy: Path) -> None:
    assert _load(copy, dtype="bfloat16").identity().dtype == "bfloat16"


def test_nothing_is_written_to_stdout(copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _load(copy)
    assert capfd.readouterr().out == ""


def test_fault18_missing_folder() -> None:
    with pytest.raises(
        ModelError, match="model '/no/such/model' is neither a local folder nor a model that can be dow"
    ):
        _load("/no/such/model")


def test_fault18_hub_id_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    message = (
        r"model 'nobody/no-such-model' is neither a local folder nor a model that can be downloaded "
        r"\(HF_HUB_OFFLINE=1 is set, so only models already downloaded are found\); check --model_path$"
    )
    with pytest.raises(ModelError, match=message):
        _load("nobody/no-such-model")
    with pytest.raises(ModelError, match="check --model_path and --revision v2"):
        _load("nobody/no-such-model", revision="v2")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with pytest.raises(ModelError, match="can be downloaded; check --model_path"):
        _load("nobody/no-such-model")


def test_fault18_a_path_is_not_asked_for_on_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("attnviz_video.models.checkpoint.transformers.PretrainedConfig.get_config_dict", reached)
    for path in ("./gone", "../gone", "a/b/c", "/gone", "~/gone-for-good", "what is this"):
        with pytest.raises(ModelError, match="neither a local folder nor a model"):
            _load(path)


def test_fault18_no_model_given() -> None:
    with pytest.raises(ModelError, match="no model was given; name a folder or a hub id with --model_path"):
        load_model(ModelSettings(device="cpu"))
    with pytest.raises(ModelError, match="--model_path is empty; name a folder or a hub id with it"):
        load_model(ModelSettings(model_path=" ", device="cpu"))


def test_fault18_a_file_instead_of_a_folder(copy: Path) -> None:
    with pytest.raises(ModelError, match="config.json is a file; --model_path takes a model folder or a hub id"):
        _load(copy / "config.json")


def test_fault18_not_a_model_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a model folder: it has no config.json"):
        _load(tmp_path)


@pytest.mark.parametrize("text", ["{", "\x00", "[" * 200_000])
def test_fault18_damaged_config(copy: Path, text: str) -> None:
    (copy / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=r"config.json is not valid JSON \(.*\); the checkpoint is damaged"):
        _load(copy)


def test_fault18_config_that_is_no_object(copy: Path) -> None:
    (copy / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ModelError, match="config.json holds no JSON object; the checkpoint is damaged"):
        _load(copy)


@pytest.mark.parametrize("kind", ["bart", "whisper"])
def test_fault18_no_model_that_answers(copy: Path, kind: str) -> None:
    _edit(copy / "config.json", model_type=kind)
    message = f"is neither a vision-language model nor a text decoder: model_type '{kind}' writes no text after a prom"
    with pytest.raises(ModelError, match=message):
        _load(copy)


def test_fault18_no_model_type(copy: Path) -> None:
    (copy / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="is not a vision-language model: its config.json names no model_type"):
        _load(copy)


def test_fault18_unknown_model_type(copy: Path) -> None:
    _edit(copy / "config.json", model_type="qwen99_vl")
    with pytest.raises(ModelError, match=r"has model_type 'qwen99_vl', which transformers \S+ does not know; a newer"):
        _load(copy)


@pytest.mark.parametrize("damage", ["cut", "noise", "empty", "gone"])
def test_fault18_damaged_weights(copy: Path, damage: str) -> None:
    file = copy / "model.safetensors"
    whole = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes({"cut": whole[: len(whole) // 2], "noise": b"\x7f" * 1000, "empty": b""}[damage])
    with pytest.raises(ModelError, match="the weights of .*model cannot be loaded: "):
        _load(copy)


def test_fault18_incomplete_weights(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    name = next(name for name in weights if name.endswith("layers.2.self_attn.q_proj.weight"))
    del weights[name]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ModelError, match=r"are incomplete: 1 tensors are missing, such as \S*layers.2.self_attn.q_proj"
    ):
        _load(copy)


def test_fault18_weights_of_another_shape(copy: Path) -> None:
    _edit(copy / "config.json", intermediate_size=64)
    with pytest.raises(ModelError, match="the weights of .*model cannot be loaded: "):
        _load(copy)


def test_fault18_missing_image_processor(copy: Path) -> None:
    (copy / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match="the processor of .*model cannot be loaded: "):
        _load(copy)


def test_fault18_missing_tokenizer(copy: Path) -> None:
    """transformers 5 makes an empty tokenizer, 4.57 fails."""
    for name in ("tokenizer.json", "vocab.json", "merges.txt"):
        (copy / name).unlink()
    empty = r"does not know token \d+, the model's image placeholder; are tokenizer files missing\?"
    with pytest.raises(ModelError, match=f"{empty}|the processor of .*model cannot be loaded"):
        _load(copy)


def test_every_message_is_one_line(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError) as caught:
        _load(copy)
    assert "\n" not in str(caught.value)


def test_a_model_larger_than_the_device(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Any, device: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(
        DeviceError, match="does not fit on cpu: its weights need 0.0 GB; use a larger device, --dtype bf"
    ):
        _load(copy)


def test_remote_code_is_never_left_to_a_prompt(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    real = load_module.transformers.AutoModelForImageTextToText.from_pretrained

    def spy(*args: Any, **kwargs: Any) -> Any:
        seen.append(kwargs["trust_remote_code"])
        return real(*args, **kwargs)

    monkeypatch.setattr(load_module.transformers.AutoModelForImageTextToText, "from_pretrained", spy)
    _load(copy)
    assert seen == [False]


REMOTE_CODE = """
from pathlib import Path
Path({flag!r}).write_text("ran")
from transformers import Qwen2VLConfig
class OddConfig(Qwen2VLConfig):
    model_type = "odd_vl"
"""


def test_fault19_remote_code_is_refused_and_has_not_run(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = tmp_path / "ran"
    (copy / "configuration_odd.py").write_text(REMOTE_CODE.format(flag=str(flag)), encoding="utf-8")
    _edit(copy / "config.json", model_type="odd_vl", auto_map={"AutoConfig": "configuration_odd.OddConfig"})
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked at the terminal"))
    with pytest.raises(
        ModelError, match="comes with its own Python code, which was not run; read that code and, if you "
    ):
        _load(copy)
    with pytest.raises(ModelError, match="give --trust_remote_code"):
        _load(copy)
    assert not flag.exists()


def test_fault19_known_families_run_our_transformers_and_not_the_code_beside_them(copy: Path, tmp_path: Path) -> None:
    flag = tmp_path / "ran"
    (copy / "configuration_odd.py").write_text(REMOTE_CODE.format(flag=str(flag)), encoding="utf-8")
    _edit(copy / "config.json", auto_map={"AutoConfig": "configuration_odd.OddConfig"})
    assert _load(copy).identity().model_type == "qwen2_vl"
    assert not flag.exists()
