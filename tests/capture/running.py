"""Recording a model in memory, and the same answer without recording."""

from __future__ import annotations

from typing import Any

from attnviz_video.capture.generate import Generated, generate
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.step import Step
from attnviz_video.models.token_text import TokenText
from tests.capture import in_memory

EVERYTHING = CaptureSettings(start_phrase="", max_new_tokens=8)


def record(
    model: Any, prepared: Prepared, settings: CaptureSettings = EVERYTHING, **more: Any
) -> tuple[Generated, list[Step]]:
    steps: list[Step] = []
    plan = more.pop("plan", in_memory.EVERYTHING)
    more.setdefault("on_step", steps.append)
    return generate(in_memory.loaded(model), prepared, plan, settings, **more), steps


def plain_ids(model: Any, prepared: Prepared, n_new: int) -> tuple[int, ...]:
    output = model.generate(**prepared.inputs, max_new_tokens=n_new, do_sample=False)
    return tuple(output[0, prepared.n_prompt :].tolist())


def answer_text(steps: list[Step]) -> str:
    return TokenText(in_memory.tokenizer()).text([step.info.token_id for step in steps])


def model_that_writes() -> tuple[Any, Prepared, list[Step]]:
    """A model that writes ASCII only, so that every token is a character."""
    model, prepared = in_memory.model(), in_memory.prepared()
    letters = {in_memory.tokenizer().convert_tokens_to_ids(chr(code)) for code in range(ord("a"), ord("z") + 1)}
    model.generation_config.suppress_tokens = [index for index in range(in_memory.VOCABULARY) if index not in letters]
    model.generation_config.no_repeat_ngram_size = 1
    _, steps = record(model, prepared)
    return model, prepared, steps
