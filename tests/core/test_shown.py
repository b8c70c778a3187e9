from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.core.shown import ShowPrompt, first_shown, shown_units
from attnviz_video.core.tokens import Role, Token
from attnviz_video.core.trace import TraceData
from tests.render.made import Made, make_trace

PROMPT: tuple[tuple[str, Role], ...] = (
    ("<|im_start|>", "template"), ("system", "template"), ("\n", "template"), ("Be", "system"), (" kind", "system"),
    ("<|im_end|>", "template"), ("\n", "template"), ("<|im_start|>", "template"), ("user", "template"),
    ("\n", "template"), ("<|vision_start|>", "template"), ("<|pad|>", "image"), ("<|pad|>", "image"),
    ("<|vision_end|>", "template"), ("What", "user"), ("?", "user"),
)  # fmt: skip


def _trace(tmp_path: Path, start: int = 14) -> TraceData:
    base = make_trace(tmp_path, Made(answer=(" It", " is"), grids=((1, 2),), image_sizes=((40, 20),)))
    prompt = tuple(
        Token(
            number, number, piece.encode(), piece, role, "prompt",
            piece.startswith("<|"), 0 if role == "image" else -1, number - 11 if role == "image" else -1,
        )
        for number, (piece, role) in enumerate(PROMPT)
    )  # fmt: skip
    answer = tuple(replace(token, position=16 + k) for k, token in enumerate(base.tokens[base.n_prompt :]))
    image_of = np.array([token.image for token in prompt])
    patch_of = np.array([token.patch for token in prompt])
    layout = replace(base.layout, image_of=image_of, patch_of=patch_of)
    header = replace(base.header, start=replace(base.header.start, first_shown=start))
    return replace(base, header=header, tokens=prompt + answer, layout=layout)


def _texts(trace: TraceData, show_prompt: ShowPrompt) -> list[str]:
    return [unit.text for unit in shown_units(trace, show_prompt)]


def test_the_prompt_is_shown_whole_from_the_phrase_on_or_not_at_all(tmp_path: Path) -> None:
    trace = _trace(tmp_path, start=15)
    assert _texts(trace, "none") == [" It", " is"]
    assert _texts(trace, "phrase") == ["?", " It", " is"]
    assert _texts(trace, "full") == [
        "<system>", "Be", " kind", "<user>", "⟨image 1: 2 patches⟩", "<|vision_end|>", "What", "?", " It", " is",
    ]  # fmt: skip
    assert [first_shown(trace, how) for how in ("none", "phrase", "full")] == [16, 15, 0]


def test_a_whole_prompt_leaves_no_position_out_and_knows_its_images(tmp_path: Path) -> None:
    units = shown_units(_trace(tmp_path), "full")
    assert [position for unit in units for position in range(unit.first, unit.stop)] == list(range(18))
    assert [unit.image for unit in units if unit.image >= 0] == [0]
    assert all(unit.special for unit in units if unit.text[0] in "<⟨")


def test_a_phrase_in_the_answer_hides_what_stands_before_it(tmp_path: Path) -> None:
    trace = _trace(tmp_path, start=17)
    assert _texts(trace, "phrase") == _texts(trace, "none") == [" is"]
    assert _texts(trace, "full")[-2:] == [" It", " is"]


@pytest.mark.parametrize(
    ("pieces", "name"),
    [
        (("<|im_end|>", "\n"), "<|im_end|>"),
        (("<|a|>", "\n", "<|b|>"), "<|b|>"),
        (("\n",), "<1 template token>"),
        (("<|start|>", "as", "sistant", "\n"), "<assistant>"),
    ],
)
def test_names_of_collapsed_template_tokens(tmp_path: Path, pieces: tuple[str, ...], name: str) -> None:
    trace = _trace(tmp_path)
    tokens = tuple(
        Token(k, k, piece.encode(), piece, "template", "prompt", piece.startswith("<|"))
        for k, piece in enumerate(pieces)
    )
    nothing = np.full(len(tokens), -1)
    layout = replace(trace.layout, images=(), grids=(), image_of=nothing, patch_of=nothing)
    assert _texts(replace(trace, tokens=tokens, layout=layout), "full") == [name]
