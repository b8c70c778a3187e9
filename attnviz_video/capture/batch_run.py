"""A left-padded batch while it is generated: each sample's part of every call, as if the sample ran alone.

The part of a sample is cut out before anything is computed from it: its own queries, and its own keys without the
padding, which nobody attends to. A sample that has ended is not looked at any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from attnviz_video.capture.call_part import part_of_call
from attnviz_video.capture.decoding import end_tokens
from attnviz_video.capture.generate import Generated
from attnviz_video.capture.intercept import AttentionCall
from attnviz_video.capture.plan import CROSS, RecordingPlan
from attnviz_video.capture.recorder import AttentionRecorder
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.capture.start_phrase import final_start, resolve_start
from attnviz_video.capture.stepper import Stepper, StepSink
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.step import PromptRows, Step
from attnviz_video.models.decoder import attention_modules
from attnviz_video.models.load import LoadedModel
from attnviz_video.models.token_text import TokenText


class SampleRun:
    """One sample of the batch, with a recorder and a stepper of its own."""

    def __init__(
        self,
        loaded: LoadedModel,
        prepared: Prepared,
        plan: RecordingPlan,
        settings: CaptureSettings,
        on_step: Callable[[Step], None],
        on_prompt_rows: Callable[[PromptRows], None] | None,
        should_stop: Callable[[], bool],
    ) -> None:
        """Find where showing starts, as far as the prompt tells.

        Raises:
            StartPhraseError: the phrase was to be in the prompt and is not.
            ModelError: a layer cannot be recorded.
        """
        self.prepared = prepared
        self.recorder = AttentionRecorder(
            attention_modules(loaded.model), plan, loaded.identity(), prepared.layout, on_prompt_rows, prepared.columns
        )
        self._decision = resolve_start(settings, prepared.tokens)
        ends = end_tokens(loaded.model.generation_config)
        sink = StepSink(on_step, should_stop)
        self.stepper = Stepper(TokenText(loaded.tokenizer), self.recorder, self._decision, ends, sink)

    @property
    def running(self) -> bool:
        """Whether its answer goes on."""
        return self.stepper.stopped_by is None

    def end(self) -> None:
        """Hand over what is held, and look at this sample no more."""
        self.stepper.hand_over()
        self.recorder.enabled = False
        self.recorder.release()

    def finished(self, max_new_tokens: int, record: Mapping[str, object]) -> Generated:
        """What was generated.

        Raises:
            StartPhraseError: the user's phrase was not written.
        """
        stepper = self.stepper
        stepper.finish()
        start, notices = final_start(
            self._decision, stepper.pieces, self.prepared.n_prompt, finished=stepper.stopped_by != "interrupted"
        )
        stopped_by = stepper.stopped_by or ("length" if len(stepper.ids) >= max_new_tokens else "stop")
        return Generated(tuple(stepper.ids), stopped_by, start, notices, record)


class BatchRun:
    """A stopping criterion for all samples, and the watcher of their attention."""

    def __init__(self, runs: Sequence[SampleRun], layer_kinds: Sequence[str]) -> None:
        self._runs = runs
        self._cross_layers = frozenset(layer for layer, kind in enumerate(layer_kinds) if kind == CROSS)
        self._n_steps = 0

    @property
    def modules(self) -> dict[int, nn.Module]:
        """The attention modules that are watched."""
        return self._runs[0].recorder.modules

    def start_clock(self) -> None:
        """The first step takes its time from here."""
        for run in self._runs:
            run.stepper.start_clock()

    def watch(self, call: AttentionCall) -> None:
        """Give every running sample its part of a call.

        Raises:
            ModelError: see `AttentionRecorder.watch`.
        """
        n_queries, n_keys = call.query.shape[2], call.key.shape[2]
        for sequence, run in enumerate(self._runs):
            if not run.running:
                continue
            n_own = run.prepared.n_model_prompt + self._n_steps
            queries = range(max(0, n_queries - n_own), n_queries)
            if call.layer in self._cross_layers and run.prepared.columns is not None:
                # Pictures are padded at the end, up to those of the sample that has most.
                keys = range(run.prepared.columns.cross.size)
            else:
                # The newest keys stand last, also where a window has dropped the first.
                keys = range(max(0, n_keys - n_own), n_keys)
            run.recorder.watch(part_of_call(call, sequence, queries, keys))

    def on_forward(self, module: object, arguments: object, output: Any) -> None:
        """Keep the raw logits of the last position of every running sample."""
        for sequence, run in enumerate(self._runs):
            if run.running:
                own = SimpleNamespace(logits=output.logits[sequence : sequence + 1])
                run.stepper.on_forward(module, arguments, own)

    def __call__(self, input_ids: Tensor, scores: object = None, **_: object) -> Tensor:
        stopped = []
        for sequence, run in enumerate(self._runs):
            was_running = run.running
            stopped.append(run.stepper(input_ids[sequence : sequence + 1]))
            if was_running and not run.running:
                run.end()
        self._n_steps += 1
        return torch.cat(stopped)

    def hand_over(self) -> None:
        """Hand over the steps that samples still hold."""
        for run in self._runs:
            run.stepper.hand_over()

    def hand_over_what_is_left(self) -> None:
        """Hand over what samples still hold, after an error that matters more than that this may fail too."""
        for run in self._runs:
            with suppress(Exception):
                run.stepper.hand_over()

    def release(self) -> None:
        """Let go of the keys of the last step."""
        for run in self._runs:
            run.recorder.release()
