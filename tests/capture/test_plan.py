"""Which layers and heads are recorded, what is refused, and how large it becomes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from attnviz_video.capture.plan import RecordingPlan, forecast_bytes, is_attention, plan_recording, row_bytes
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.core.trace import ModelIdentity
from attnviz_video.errors import ModelError, UsageError


def identity(kinds: tuple[str, ...], n_heads: int = 4) -> ModelIdentity:
    return ModelIdentity(
        id="some/model", revision="", model_type="qwen2_vl", config_hash="", processor_hash="", template_hash="",
        n_layers=len(kinds), n_heads=n_heads, n_kv_heads=2, layer_kinds=kinds,
        dtype="float32", device="cpu", attention="sdpa",
    )  # fmt: skip


DEEP = identity(("full",) * 28)
SHALLOW = identity(("full",) * 6)
HYBRID = identity(("linear", "linear", "linear", "full") * 2 + ("window 64",))


def test_default_is_layer_20_with_all_heads_and_means_of_all_layers() -> None:
    plan, notices = plan_recording(CaptureSettings(), DEEP)
    assert notices == ()
    assert plan == RecordingPlan((20,), (20,), (0, 1, 2, 3), tuple(range(28)), tuple(range(28)), "answer")


def test_shallow_model_shows_its_last_layer_with_a_notice() -> None:
    plan, notices = plan_recording(CaptureSettings(), SHALLOW)
    assert plan.shown_layers == plan.head_layers == (5,)
    assert notices == ("layer 5 is shown: the model has 6 layers (choose another with --layer_idx)",)


def test_default_takes_the_last_full_layer_of_a_hybrid() -> None:
    plan, notices = plan_recording(CaptureSettings(), HYBRID)
    assert plan.shown_layers == (7,)
    assert plan.mean_layers == plan.scalar_layers == (3, 7, 8)
    assert notices == ("layer 7 is shown: the model has 9 layers (choose another with --layer_idx)",)


def test_default_layer_that_is_linear_gives_way_with_a_notice() -> None:
    plan, notices = plan_recording(CaptureSettings(), identity(("linear", "full") * 14))
    assert plan.shown_layers == (19,)
    assert notices == ("layer 19 is shown: layer 20 has no full attention (choose another with --layer_idx)",)


def test_windows_only_model_shows_a_windowed_layer() -> None:
    plan, _ = plan_recording(CaptureSettings(), identity(("window 8", "window 8")))
    assert plan.shown_layers == (0,)


def test_negative_layers_count_from_the_end_and_repeats_are_shown_once() -> None:
    plan, _ = plan_recording(CaptureSettings(layer_idx=(-1, 2, 27), layers=(3, -2)), DEEP)
    assert plan.shown_layers == (27, 2)
    assert plan.head_layers == (2, 3, 26, 27)


def test_all_layers_and_chosen_heads() -> None:
    plan, _ = plan_recording(CaptureSettings(layers="all", heads=(3, 0, -1), record_rows="all"), HYBRID)
    assert plan.head_layers == (3, 7, 8)
    assert plan.heads == (0, 3)
    assert plan.query_rows == "all"


@pytest.mark.parametrize("asked", [6, 28, -7])
def test_layer_out_of_range_names_the_range(asked: int) -> None:
    with pytest.raises(UsageError, match=f"--layer_idx {asked}: some/model has 6 layers; give 0 to 5, or -1 to -6"):
        plan_recording(CaptureSettings(layer_idx=(asked,)), SHALLOW)
    with pytest.raises(UsageError, match=f"--layers {asked}: some/model has 6 layers"):
        plan_recording(CaptureSettings(layers=(asked,)), SHALLOW)


def test_t16_layer_without_attention_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"--layer_idx -8: layer 1 of some/model is 'linear' .* that have: 3, 7, 8"):
        plan_recording(CaptureSettings(layer_idx=(-8,)), HYBRID)
    plan, _ = plan_recording(CaptureSettings(layer_idx=(8,)), HYBRID)
    assert plan.shown_layers == (8,)


def test_head_out_of_range_names_the_range() -> None:
    with pytest.raises(UsageError, match="--heads 4: some/model has 4 query heads; give 0 to 3"):
        plan_recording(CaptureSettings(heads=(4,)), SHALLOW)


def test_model_without_attention_is_refused() -> None:
    with pytest.raises(ModelError, match=r"no layer of some/model has attention rows \(kinds: conv, linear\)"):
        plan_recording(CaptureSettings(), identity(("conv", "linear")))


def test_kinds_with_rows() -> None:
    assert [is_attention(kind) for kind in ("full", "window 8", "chunk 8", "linear", "none", "cross")] == [
        True, True, True, False, False, True,
    ]  # fmt: skip


def test_row_bytes_count_every_row() -> None:
    plan = RecordingPlan((0,), (0, 1), (0, 1, 2), (0, 1, 2, 3), (0,))
    per_key = 2 * (2 * 3 + 4)
    assert row_bytes(plan, 10, 3) == (10 + 11 + 12) * per_key
    assert row_bytes(replace(plan, query_rows="all"), 10, 3) == (10 + 11 + 12) * per_key + 2 * 2 * 3 * 9 * 10
    assert forecast_bytes(plan, SHALLOW, 10, 3, 2) > row_bytes(plan, 10, 3)


def test_cross_attention_layers_are_legal_and_the_user_is_told_what_a_layer_cannot_see() -> None:
    kinds = ("full", "cross", "full", "cross", "full")
    plan, notices = plan_recording(CaptureSettings(layer_idx=(1, -1)), identity(kinds))
    assert plan.shown_layers == (1, 4)
    assert plan.mean_layers == (0, 1, 2, 3, 4)
    assert notices == (
        "layer 1 attends to images only (cross-attention); the text is read by the other layers",
        "layer 4 attends to text only; images are read by cross-attention layers: 1, 3 (--layer_idx)",
    )
