"""The probability of each produced token, and the tokens the model would rather have written."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from attnviz_video.core.step import Candidate
from attnviz_video.errors import ModelError
from attnviz_video.models.token_text import TokenText

#: Candidates kept of every step.
TOP = 10


class CandidateReader:
    """Reads raw logits, before temperature and filters; the text of each token is looked up once."""

    def __init__(self, text: TokenText) -> None:
        self._text = text
        self._pieces: dict[int, str] = {}

    def read(
        self, logits: Float[Tensor, "steps vocabulary"], token_ids: Sequence[int]
    ) -> Iterator[tuple[float, tuple[Candidate, ...]]]:
        """Log-probability of the token each step produced, and the step's likeliest tokens, best first.

        One transfer for all steps; an error comes with the step it is about, after those before it.

        Raises:
            ModelError: the logits are not numbers.
        """
        logs = torch.log_softmax(logits.float(), dim=-1)
        produced = logs.gather(1, torch.tensor(token_ids, device=logs.device)[:, None])
        top = torch.topk(logs, min(TOP, logs.shape[-1]), dim=-1)
        # Ids are exact in float32 up to 2**24, so that everything travels to the host in one transfer.
        numbers = torch.cat([produced, top.values, top.indices.float()], dim=1).tolist()
        return map(self._step, numbers)

    def _step(self, numbers: Sequence[float]) -> tuple[float, tuple[Candidate, ...]]:
        if math.isnan(numbers[0]):
            raise ModelError("the model's output is not a number; load it with --dtype bfloat16 or float32")
        count = (len(numbers) - 1) // 2
        pairs = zip(numbers[1 : 1 + count], numbers[1 + count :], strict=True)
        return numbers[0], tuple(self._candidate(int(number), log) for log, number in pairs)

    def _candidate(self, token_id: int, log: float) -> Candidate:
        if token_id not in self._pieces:
            self._pieces[token_id] = self._text.describe([token_id])[0].piece
        return Candidate(token_id, self._pieces[token_id], math.exp(log))
