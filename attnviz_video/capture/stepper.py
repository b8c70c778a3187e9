"""`Stepper`: what happens after each generated token. It sits where the library asks whether to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from attnviz_video.capture.candidates import CandidateReader
from attnviz_video.capture.holder import STEPS_HELD, StepHolder
from attnviz_video.capture.start_phrase import PhraseDetector, StartDecision
from attnviz_video.core.step import Step, StepInfo
from attnviz_video.errors import ModelError
from attnviz_video.models.token_text import TokenText


@dataclass(frozen=True)
class StepSink:
    """Who takes the steps, and who may end the generation."""

    on_step: Callable[[Step], None]
    should_stop: Callable[[], bool]
    #: Each step is handed over as soon as its token is known, for someone who watches; its rows then cost more.
    one_by_one: bool = False


@dataclass(frozen=True, eq=False)
class HeldToken:
    """What is known of a step when its token is; the rest waits to be computed for several steps at once."""

    index: int
    token_id: int
    milliseconds: float
    recorded: bool
    logits: Float[Tensor, "vocabulary"]


class Stepper:
    """A stopping criterion that reads the step's rows and logits and hands them over as a `Step`.

    The library calls `on_forward` (a forward hook) with the model's output, then this object with the ids so far.
    The token's text and the decision to stop are known at once; steps are handed over some at a time, in order.
    """

    def __init__(
        self,
        text: TokenText,
        recorder: StepHolder,
        decision: StartDecision,
        end_tokens: frozenset[int],
        sink: StepSink,
    ) -> None:
        self.ids: list[int] = []
        self.pieces: list[str] = []
        self.stopped_by: Literal["eos", "interrupted"] | None = None
        self._stream = text.stream()
        self._reader = CandidateReader(text)
        self._recorder = recorder
        self._detector = PhraseDetector(decision.phrase) if decision.waiting else None
        recorder.enabled = self._detector is None
        self._end_tokens = end_tokens
        self._sink = sink
        self._logits: Tensor | None = None
        self._held: list[HeldToken] = []
        self._clock = time.perf_counter()

    def start_clock(self) -> None:
        """The first step takes its time from here."""
        self._clock = time.perf_counter()

    def on_forward(self, module: object, arguments: object, output: Any) -> None:
        """Keep the raw logits of the last position, before the library works on them."""
        # A copy: a view would keep the logits of the whole prompt.
        self._logits = output.logits[0, -1].detach().to(torch.float32, copy=True)

    def __call__(self, input_ids: Tensor, scores: object = None, **_: object) -> Tensor:
        # Some devices learn of a stop one step late: what comes after it is not part of the answer.
        if self.stopped_by is None:
            # The one point of a step where the device is waited for; the library's own loop waits here as well.
            self._step(int(input_ids[0, -1]))
        return torch.full((input_ids.shape[0],), self.stopped_by is not None, device=input_ids.device, dtype=torch.bool)

    def _step(self, token_id: int) -> None:
        index, recorded = len(self.ids), self._recorder.enabled
        if self._logits is None:
            raise ModelError("the model's forward pass returned no logits; its answer cannot be recorded")
        if recorded:
            self._recorder.hold(index)
        else:
            self._recorder.skip()
        milliseconds = (time.perf_counter() - self._clock) * 1000
        self._held.append(HeldToken(index, token_id, milliseconds, recorded, self._logits))
        self._logits = None
        self.ids.append(token_id)
        written = self._read(token_id)
        if self._detector is not None and self._detector.feed(written):
            self._recorder.enabled = True
        if token_id in self._end_tokens:
            self.stopped_by = "eos"
        elif self._sink.should_stop():
            self.stopped_by = "interrupted"
        if self._sink.one_by_one or self._recorder.full or len(self._held) == STEPS_HELD:
            self.hand_over()
        self._clock = time.perf_counter()

    def hand_over(self) -> None:
        """Hand over the steps that are held, in order.

        Raises:
            ModelError: the model's output is not a number, or its keys are not the text.
        """
        held, self._held = self._held, []
        if not held:
            return
        said = self._reader.read(torch.stack([token.logits for token in held]), [token.token_id for token in held])
        rows = iter(self._recorder.drain())
        for token, (log_probability, candidates) in zip(held, said, strict=True):
            kept, scalars = next(rows) if token.recorded else (None, None)
            info = StepInfo(
                token.index, token.token_id, log_probability, candidates, token.milliseconds, token.recorded, scalars
            )
            self._sink.on_step(Step(info, kept))

    def finish(self) -> None:
        """Show what is left of a character that never completed."""
        self._late(self._stream.finish())

    def _read(self, token_id: int) -> str:
        """Append the token's piece; the text that is known now and was not before."""
        late, now = self._stream.push(token_id)
        self._late(late)
        self.pieces.append(now)
        return late + now

    def _late(self, text: str) -> None:
        if text and self.pieces:
            self.pieces[-1] += text
