"""`Stepper`: what happens after each generated token. It sits where the library asks whether to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from attnviz_video.capture.recorder import AttentionRecorder
from attnviz_video.capture.start_phrase import PhraseDetector, StartDecision
from attnviz_video.core.step import Candidate, Step, StepInfo
from attnviz_video.errors import ModelError
from attnviz_video.models.token_text import TokenText

#: Candidates kept of every step.
TOP = 10


@dataclass(frozen=True)
class StepSink:
    """Who takes the steps, and who may end the generation."""

    on_step: Callable[[Step], None]
    should_stop: Callable[[], bool]


class Stepper:
    """A stopping criterion that reads the step's rows and logits and hands them over as a `Step`.

    The library calls `on_forward` (a forward hook) with the model's output, then this object with the ids so far.
    """

    def __init__(
        self,
        text: TokenText,
        recorder: AttentionRecorder,
        decision: StartDecision,
        end_tokens: frozenset[int],
        sink: StepSink,
    ) -> None:
        self.ids: list[int] = []
        self.pieces: list[str] = []
        self.stopped_by: Literal["eos", "interrupted"] | None = None
        self._text = text
        self._stream = text.stream()
        self._names: dict[int, str] = {}
        self._recorder = recorder
        self._detector = PhraseDetector(decision.phrase) if decision.waiting else None
        recorder.enabled = self._detector is None
        self._end_tokens = end_tokens
        self._sink = sink
        self._logits: Tensor | None = None
        self._clock = time.perf_counter()

    def start_clock(self) -> None:
        """The first step takes its time from here."""
        self._clock = time.perf_counter()

    def on_forward(self, module: object, arguments: object, output: Any) -> None:
        """Keep the raw logits of the last position, before the library works on them."""
        self._logits = output.logits[0, -1].detach().float()

    def __call__(self, input_ids: Tensor, scores: object = None, **_: object) -> Tensor:
        # Some devices learn of a stop one step late: what comes after it is not part of the answer.
        if self.stopped_by is None:
            self._step(int(input_ids[0, -1]))
        return torch.full((input_ids.shape[0],), self.stopped_by is not None, device=input_ids.device, dtype=torch.bool)

    def _step(self, token_id: int) -> None:
        index = len(self.ids)
        rows, scalars = self._recorder.take(index) if self._recorder.enabled else (None, None)
        log_probability, candidates = self._candidates(token_id)
        info = StepInfo(
            index=index,
            token_id=token_id,
            log_probability=log_probability,
            candidates=candidates,
            milliseconds=(time.perf_counter() - self._clock) * 1000,
            recorded=rows is not None,
            scalars=scalars,
        )
        self.ids.append(token_id)
        written = self._read(token_id)
        self._sink.on_step(Step(info, rows))
        if self._detector is not None and self._detector.feed(written):
            self._recorder.enabled = True
        if token_id in self._end_tokens:
            self.stopped_by = "eos"
        elif self._sink.should_stop():
            self.stopped_by = "interrupted"
        self._clock = time.perf_counter()

    def _read(self, token_id: int) -> str:
        """Append the token's piece; the text that is known now and was not before."""
        late, now = self._stream.push(token_id)
        self._late(late)
        self.pieces.append(now)
        return late + now

    def finish(self) -> None:
        """Show what is left of a character that never completed."""
        self._late(self._stream.finish())

    def _late(self, text: str) -> None:
        if text and self.pieces:
            self.pieces[-1] += text

    def _name(self, token_id: int) -> str:
        if token_id not in self._names:
            self._names[token_id] = self._text.describe([token_id])[0].piece
        return self._names[token_id]

    def _candidates(self, token_id: int) -> tuple[float, tuple[Candidate, ...]]:
        """Raw log-probability of the token, and the likeliest tokens with their raw probabilities."""
        if self._logits is None:
            raise ModelError("the model's forward pass returned no logits; its answer cannot be recorded")
        logs = torch.log_softmax(self._logits, dim=-1)
        top = torch.topk(logs, min(TOP, logs.shape[-1]))
        # Ids are exact in float32 up to 2**24, so that everything travels to the host in one transfer.
        numbers = torch.cat([logs[token_id][None], top.values, top.indices.float()]).tolist()
        self._logits = None
        if math.isnan(numbers[0]):
            raise ModelError("the model's output is not a number; load it with --dtype bfloat16 or float32")
        count = (len(numbers) - 1) // 2
        pairs = zip(numbers[1 : 1 + count], numbers[1 + count :], strict=True)
        candidates = tuple(Candidate(int(number), self._name(int(number)), math.exp(log)) for log, number in pairs)
        return numbers[0], candidates
