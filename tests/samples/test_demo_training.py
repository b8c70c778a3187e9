"""The training forward is transformers' forward, growth changes nothing, and training learns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from demo_training.architecture import EARLY_LAYERS, FINAL_LAYERS, load_checkpoint, new_model, save_checkpoint, token_id
from demo_training.batches import Batch, BatchMaker
from demo_training.forward import BatchedForward
from demo_training.growth import GROWTH, grow
from demo_training.optimizer import Schedule, orthogonalise
from demo_training.tokenizer import SPECIAL_TOKENS, load_tokenizer, save_tokenizer, task_words
from PIL import Image
from transformers import AutoImageProcessor, PreTrainedTokenizerBase, Qwen2VLForConditionalGeneration

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random early model in which every part has an effect."""
    folder: Path = tmp_path_factory.mktemp("random")
    model = new_model(EARLY_LAYERS)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 1:
                weight.add_(torch.randn_like(weight) * 0.1)
            elif float(weight.abs().sum()) == 0 or "lm_head" in name:
                weight.normal_(std=0.5 * weight[0].numel() ** -0.5)
    save_checkpoint(model, folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(checkpoint: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(checkpoint)


def batched_logits(model: Qwen2VLForConditionalGeneration, batch: Batch) -> torch.Tensor:
    forward = BatchedForward(model)
    with torch.no_grad():
        hidden, _ = forward.hidden_states(batch.group, batch.ids, batch.positions, batch.images, batch.image_at)
        return forward.logits(hidden)[batch.group.prefix_tokens :]


@pytest.mark.parametrize("images", [1, 2])
def test_batched_forward_equals_transformers(checkpoint: Path, tokenizer: PreTrainedTokenizerBase, images: int) -> None:
    model = load_checkpoint(checkpoint).eval()
    maker = BatchMaker(tokenizer)
    batch = maker.singles(5, 2) if images == 1 else maker.pairs(5, 2)
    logits = batched_logits(model, batch)
    processor = AutoImageProcessor.from_pretrained(checkpoint)
    prefix, start = batch.group.prefix, 0
    for number, length in batch.group.slots:
        for slot in range(2 * number):
            scene = slot // number
            ids = batch.ids[scene * prefix : (scene + 1) * prefix]
            offset = batch.group.prefix_tokens + start
            ids = torch.cat([ids, batch.ids[offset : offset + length]])[None]
            pictures = [Image.fromarray(x.numpy()) for x in batch.images[scene * images : (scene + 1) * images]]
            with torch.no_grad():
                expected = model(
                    input_ids=ids,
                    mm_token_type_ids=(ids == model.config.image_token_id).int(),
                    **processor(images=pictures, return_tensors="pt"),
                ).logits[0, prefix:]
            assert (logits[start : start + length] - expected).abs().max() < 1e-4
            start += length


def test_growth_preserves_logits(checkpoint: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    model = load_checkpoint(checkpoint).eval()
    grown = grow(model).eval()
    assert len(GROWTH) == FINAL_LAYERS == grown.config.text_config.num_hidden_layers
    batch = BatchMaker(tokenizer).pairs(1, 2)
    assert (batched_logits(model, batch) - batched_logits(grown, batch)).abs().max() < 1e-5
    with pytest.raises(ValueError, match="every one of"):
        grow(model, (0, 0, 1))


def test_task_words_are_single_tokens_and_any_text_survives(tokenizer: PreTrainedTokenizerBase) -> None:
    assert [word for word in task_words() if len(tokenizer(word)["input_ids"]) != 1] == []
    for text in ("Describe a café 🙂 in 東京.", "Based on the following requirements", "红色的圆在左上角"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert [tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS] == [token_id(t) for t in SPECIAL_TOKENS]


def test_only_responses_are_learned_and_rows_fit(tokenizer: PreTrainedTokenizerBase) -> None:
    maker = BatchMaker(tokenizer)
    for step in range(10):
        batch = maker.singles(step, 4)
        slot_ids = batch.ids[batch.group.prefix_tokens :]
        learned = batch.targets >= 0
        assert learned.any(), "some rows teach"
        next_ids = torch.cat([slot_ids[1:], slot_ids[-1:]])
        assert (batch.targets[learned] == next_ids[learned]).all()
        assert (batch.targets != maker.image_token).all()


def test_batches_and_schedule_are_the_same_every_time(tokenizer: PreTrainedTokenizerBase) -> None:
    one, two = BatchMaker(tokenizer, 1, 2).singles(7, 2), BatchMaker(tokenizer, 1, 2).singles(7, 2)
    assert torch.equal(one.ids, two.ids)
    assert torch.equal(one.images, two.images)
    schedule = Schedule(100, warmup=10, decay_share=0.3)
    assert schedule.factor(0) == 0.1
    assert schedule.factor(50) == 1.0
    assert schedule.factor(99) < 0.05


def test_muon_makes_singular_values_nearly_equal() -> None:
    values = torch.linalg.svdvals(orthogonalise(torch.randn(2, 32, 96, generator=torch.Generator().manual_seed(0))))
    assert values.min() > 0.4
    assert values.max() < 1.6


@pytest.mark.slow
def test_quick_training_learns(tmp_path: Path) -> None:
    command = [sys.executable, str(SAMPLES / "train_demo_model.py"), "--work_dir", str(tmp_path), "--quick"]
    subprocess.run(command, check=True, capture_output=True)
    report = json.loads((tmp_path / "quick.json").read_text(encoding="utf-8"))
    assert report["color_cells"] > 0.6, "chance is a sixth"
    assert report["response_tokens"] > 0.5, "an untrained model gets none"


def test_a_saved_tokenizer_has_all_its_files(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json"} <= names
