"""Raw probabilities of produced tokens and of those that were not produced."""

from __future__ import annotations

import math

import pytest
import torch

from attnviz_video.capture.candidates import TOP, CandidateReader
from attnviz_video.errors import ModelError
from attnviz_video.models.token_text import TokenText
from tests.capture import in_memory


def test_every_step_has_its_own_numbers() -> None:
    logits = torch.randn(3, in_memory.VOCABULARY, generator=torch.Generator().manual_seed(0))
    found = list(CandidateReader(TokenText(in_memory.tokenizer())).read(logits.half(), [4, 5, 6]))
    for row, (log_probability, candidates), token in zip(logits.half().double(), found, [4, 5, 6], strict=True):
        want = torch.softmax(row, -1)
        assert log_probability == pytest.approx(math.log(want[token]), abs=1e-5)
        assert [candidate.id for candidate in candidates] == torch.topk(want, TOP).indices.tolist()
        assert [candidate.probability for candidate in candidates] == pytest.approx(
            torch.topk(want, TOP).values.tolist()
        )
        text = TokenText(in_memory.tokenizer())
        assert [item.piece for item in candidates] == [text.describe([item.id])[0].piece for item in candidates]


def test_a_small_vocabulary_has_fewer_candidates() -> None:
    ((_, candidates),) = CandidateReader(TokenText(in_memory.tokenizer())).read(torch.zeros(1, 3), [0])
    assert len(candidates) == 3


def test_what_is_not_a_number_is_refused() -> None:
    with pytest.raises(
        ModelError, match="the model's output is not a number; load it with --dtype bfloat16 or float32"
    ):
        list(CandidateReader(TokenText(in_memory.tokenizer())).read(torch.full((1, 20), torch.nan), [0]))


def test_steps_before_one_that_is_not_a_number_are_told() -> None:
    logits = torch.zeros(3, 20)
    logits[1] = torch.nan
    told = CandidateReader(TokenText(in_memory.tokenizer())).read(logits, [0, 1, 2])
    assert next(told)[0] == pytest.approx(-math.log(20))
    with pytest.raises(ModelError, match="the model's output is not a number"):
        next(told)
