"""Going on from the beginning of an answer: the steps of the whole, and the text the model would have written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from attnviz_video.capture.continued import continue_answer, with_beginning
from attnviz_video.capture.generate import generate
from attnviz_video.capture.plan import plan_recording
from attnviz_video.capture.replay import replay
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.sample import Sample
from attnviz_video.core.step import PromptRows, Step
from attnviz_video.errors import UsageError
from attnviz_video.models.load import load_model
from attnviz_video.models.prompt import prepare
from attnviz_video.models.settings import ModelSettings
from attnviz_video.testing.families.mllama import build_mllama
from tests.capture import in_memory
from tests.capture.comparing import assert_same_steps
from tests.capture.running import EVERYTHING, record

TWO_IMAGES = ((2, 3), (4, 2))
KINDS = pytest.mark.parametrize("kind", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])


def continued(
    model: Any, prepared: Prepared, beginning: Sequence[int], settings: CaptureSettings = EVERYTHING, **more: Any
) -> tuple[Any, list[Step]]:
    steps: list[Step] = []
    plan = more.pop("plan", in_memory.EVERYTHING)
    more.setdefault("on_step", steps.append)
    return continue_answer(in_memory.loaded(model), prepared, plan, settings, beginning, **more), steps


@KINDS
@pytest.mark.parametrize("grids", [(), TWO_IMAGES], ids=["no image", "two images"])
def test_going_on_is_as_if_the_model_had_written_all_of_it(kind: str, grids: tuple[tuple[int, int], ...]) -> None:
    model, prepared = in_memory.model(kind), in_memory.prepared(grids)
    made, generated = record(model, prepared)
    result, steps = continued(model, prepared, made.token_ids[:3], replace(EVERYTHING, max_new_tokens=5))
    assert result.token_ids == made.token_ids
    assert (result.stopped_by, result.start) == ("length", made.start)
    assert [step.info.index for step in steps] == list(range(8))
    assert_same_steps(generated, steps)


@KINDS
def test_another_beginning_equals_its_replay(kind: str) -> None:
    """The user edited the answer: what is kept is what a replay of the whole text would keep."""
    model, prepared = in_memory.model(kind), in_memory.prepared(TWO_IMAGES)
    made, _ = record(model, prepared)
    edited = (*made.token_ids[:2], (made.token_ids[2] + 1) % 300)
    result, steps = continued(model, prepared, edited)
    assert result.token_ids[:3] == edited
    assert len(result.token_ids) == 11
    again: list[Step] = []
    replay(
        in_memory.loaded(model), prepared, in_memory.EVERYTHING, EVERYTHING, result.token_ids, on_step=again.append
    )  # fmt: skip
    assert_same_steps(again, steps)


def test_windows_reach_over_the_seam() -> None:
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    model = in_memory.model(use_sliding_window=True, sliding_window=5, max_window_layers=0, layer_types=kinds)
    prepared = in_memory.prepared()
    made, generated = record(model, prepared)
    _, steps = continued(model, prepared, made.token_ids[:3], replace(EVERYTHING, max_new_tokens=5))
    assert_same_steps(generated, steps)


def test_a_model_that_keeps_images_out_of_the_prompt(tmp_path: Path) -> None:
    loaded = load_model(ModelSettings(str(build_mllama(tmp_path / "mllama")), device="cpu"))
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8))
    prepared = prepare(loaded, Sample(0, "s", "What is it?", (Path("a.png"),)), [image], "{problem}")
    longer = with_beginning(loaded, prepared, [5, 6, 7])
    assert prepared.columns is not None
    assert longer.columns is not None
    assert longer.n_prompt == prepared.n_prompt + 3
    assert longer.n_model_prompt == prepared.n_model_prompt + 3
    assert longer.columns.text[-3:].tolist() == list(range(prepared.n_prompt, longer.n_prompt))
    plan, _ = plan_recording(CaptureSettings(layers="all"), loaded.identity())
    whole: list[Step] = []
    made = generate(loaded, prepared, plan, EVERYTHING, on_step=whole.append)
    if len(made.token_ids) < 4:
        pytest.fail("the tiny model stops too early for this test")
    parts: list[Step] = []
    rest = replace(EVERYTHING, max_new_tokens=8 - 3)
    result = continue_answer(loaded, prepared, plan, rest, made.token_ids[:3], on_step=parts.append)
    assert result.token_ids == made.token_ids
    assert_same_steps(whole, parts)


def test_prompt_rows_come_once() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    got: list[PromptRows] = []
    plan = replace(in_memory.EVERYTHING, query_rows="all")
    continued(model, prepared, [5, 6], plan=plan, on_prompt_rows=got.append)
    assert [rows.layer for rows in got] == [0, 1, 2]
    assert got[0].heads.shape[1:] == (prepared.n_prompt - 1, prepared.n_prompt)


def test_stopped_before_the_model_goes_on() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    result, steps = continued(model, prepared, [5, 6, 7], should_stop=lambda: True)
    assert (result.stopped_by, result.token_ids) == ("interrupted", (5, 6, 7))
    assert [step.info.token_id for step in steps] == [5, 6, 7]


def test_a_start_phrase_is_refused() -> None:
    with pytest.raises(UsageError, match='an answer that is continued is recorded whole: give --start_phrase ""'):
        continued(in_memory.model(), in_memory.prepared(), [5], replace(EVERYTHING, start_phrase="what"))


@pytest.mark.parametrize("beginning", [(), (5, 6)], ids=["from the start", "from a beginning"])
def test_one_by_one_hands_over_each_step_before_the_next_token(beginning: tuple[int, ...]) -> None:
    """`should_stop` is asked once per token: by then the steps before it have come."""
    model, prepared = in_memory.model(), in_memory.prepared()
    usual, wanted = record(model, prepared) if not beginning else continued(model, prepared, beginning)
    steps: list[Step] = []
    came: list[int] = []

    def watch() -> bool:
        came.append(len(steps))
        return False

    more: dict[str, Any] = {"on_step": steps.append, "should_stop": watch, "one_by_one": True}
    result, _ = record(model, prepared, **more) if not beginning else continued(model, prepared, beginning, **more)
    first = len(beginning)
    assert came[-8:] == list(range(first, first + 8))
    assert result.token_ids == usual.token_ids
    assert_same_steps(wanted, steps)
