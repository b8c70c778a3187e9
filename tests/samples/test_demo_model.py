"""The shipped checkpoints and demo data: format, size, and that the model answers and points on held-out scenes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from demo_questions import PAIR_KINDS, SINGLE_KINDS
from demo_scenes import IMAGE_SIZE
from evaluate_demo_model import Evaluator, Result, hit_rates, make_cases
from make_demo_data import write_demo_data
from PIL import Image
from transformers import AutoConfig, AutoModelForImageTextToText

SAMPLES = Path(__file__).parents[2] / "samples"
DEMO_LAYER = 20
FINAL, EARLY = SAMPLES / "demo_model", SAMPLES / "demo_model_early"


@pytest.mark.parametrize("folder", [FINAL, EARLY], ids=["final", "early"])
def test_checkpoint_is_complete_small_and_standard(folder: Path) -> None:
    assert (folder / "model.safetensors").stat().st_size <= 8_000_000
    for name in (
        "config.json",
        "generation_config.json",
        "preprocessor_config.json",
        "video_preprocessor_config.json",
        "chat_template.jinja",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
        "merges.txt",
    ):
        assert (folder / name).is_file(), name
    config = AutoConfig.from_pretrained(folder)
    assert config.model_type == "qwen2_vl"
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert len(raw["rope_scaling"]["mrope_section"]) == 3
    assert sum(raw["rope_scaling"]["mrope_section"]) * 2 * raw["num_attention_heads"] == raw["hidden_size"]


def test_depths() -> None:
    final = AutoConfig.from_pretrained(FINAL).get_text_config().num_hidden_layers
    early = AutoConfig.from_pretrained(EARLY).get_text_config().num_hidden_layers
    assert final >= 21 > early


@pytest.mark.parametrize("folder", [FINAL, EARLY], ids=["final", "early"])
def test_every_weight_of_the_file_is_used(folder: Path) -> None:
    _, report = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]


def test_demo_data_is_what_the_script_writes(tmp_path: Path) -> None:
    singles, pairs = write_demo_data(tmp_path)
    assert singles >= 24
    assert pairs >= 8
    for name in ("demo.json", "demo_pairs.json"):
        shipped = json.loads((SAMPLES / name).read_text(encoding="utf-8"))
        assert shipped == json.loads((tmp_path / name).read_text(encoding="utf-8"))
        for item in shipped:
            names = [item["image"]] if isinstance(item["image"], str) else item["image"]
            for image in names:
                ours, again = (np.asarray(Image.open(root / "images" / image)) for root in (SAMPLES, tmp_path))
                assert ours.shape == (IMAGE_SIZE, IMAGE_SIZE, 3)
                assert np.abs(ours.astype(int) - again).max() <= 2, "numpy and Pillow may round differently elsewhere"


def test_boxes_of_the_demo_data_lie_in_their_images() -> None:
    for name in ("demo.json", "demo_pairs.json"):
        for item in json.loads((SAMPLES / name).read_text(encoding="utf-8")):
            images = 1 if isinstance(item["image"], str) else len(item["image"])
            assert item["boxes"] or item["answer"] == "0"
            for row in item["boxes"]:
                x0, y0, x1, y1 = row["box"]
                assert 0 <= x0 < x1 <= IMAGE_SIZE
                assert 0 <= y0 < y1 <= IMAGE_SIZE
                assert 0 <= row["image"] < images


def test_the_batch_file_holds_the_demo_questions_and_half_of_the_answers() -> None:
    batch = json.loads((SAMPLES / "demo_batch.json").read_text(encoding="utf-8"))
    asked = [
        item for name in ("demo.json", "demo_pairs.json") for item in json.loads((SAMPLES / name).read_text("utf-8"))
    ]
    assert [{key: value for key, value in item.items() if key != "pred"} for item in batch] == asked
    stored = [item["pred"] for item in batch if "pred" in item]
    assert len(stored) * 2 == len(batch)
    assert all(pred.startswith("<think>") and pred.endswith("</answer>") for pred in stored)


@pytest.fixture(scope="module")
def single() -> list[Result]:
    """What the shipped model writes about held-out scenes, 24 questions of each kind about one image."""
    return Evaluator(FINAL).run_all(make_cases("test", SINGLE_KINDS, 24, first_seed=2_000_000))


@pytest.mark.slow
def test_the_model_answers_on_held_out_scenes(single: list[Result]) -> None:
    assert np.mean([r.right for r in single]) >= 0.8
    assert np.mean([r.right for r in single if r.case.question.kind == "count_color"]) >= 0.95
    pairs = Evaluator(FINAL).run_all(make_cases("test", PAIR_KINDS, 8, first_seed=2_000_000), pointing=False)
    assert np.mean([r.right for r in pairs]) >= 0.6


@pytest.mark.slow
def test_one_layer_points_at_what_the_words_name(single: list[Result]) -> None:
    """The demo's layer, on the text the model wrote, unfiltered."""
    rates = hit_rates(single)
    assert rates["color"][DEMO_LAYER] >= 0.75
    assert rates["place"][DEMO_LAYER] >= 0.8
    assert rates["shape"][DEMO_LAYER] >= 0.7
