"""`AnswerReplay`: one finished answer, from its token ids to the steps that generating it would have handed over."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

from attnviz_video.capture.blocks import AnswerBlocks
from attnviz_video.capture.candidates import CandidateReader
from attnviz_video.capture.columns import TraceColumns
from attnviz_video.capture.decoding import end_tokens
from attnviz_video.capture.generate import Generated
from attnviz_video.capture.intercept import AttentionCall
from attnviz_video.capture.output_head import OutputHead
from attnviz_video.capture.plan import RecordingPlan
from attnviz_video.capture.recorder import prompt_rows
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.capture.start_phrase import final_start, resolve_start
from attnviz_video.capture.teacher_forced import Layers, Span
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.step import Candidate, PromptRows, Step, StepInfo
from attnviz_video.core.trace import StartPoint
from attnviz_video.errors import UsageError
from attnviz_video.models.load import LoadedModel
from attnviz_video.models.teacher_forcing import check_answer
from attnviz_video.models.token_text import TokenText

#: Stands where nothing is known: steps of a replay take no time of their own.
UNKNOWN = math.nan


def check_replay(
    loaded: LoadedModel, prepared: Prepared, settings: CaptureSettings, token_ids: Sequence[int]
) -> tuple[StartPoint, tuple[str, ...]]:
    """Where showing and recording of an answer start, and notices for the user; nothing is run.

    Raises:
        UsageError: there are no tokens.
        StartPhraseError: the user's phrase is nowhere.
        ModelError: the model cannot read the answer.
    """
    if not token_ids:
        raise UsageError("the response has no tokens: there is nothing to replay")
    check_answer(loaded.model, token_ids, prepared.n_model_prompt)
    pieces = [token.piece for token in TokenText(loaded.tokenizer).describe(token_ids)]
    return final_start(resolve_start(settings, prepared.tokens), pieces, prepared.n_prompt)


class AnswerReplay:
    """What is known of one answer before the model runs, and its steps afterwards."""

    def __init__(
        self,
        loaded: LoadedModel,
        prepared: Prepared,
        plan: RecordingPlan,
        settings: CaptureSettings,
        token_ids: Sequence[int],
        *,
        on_step: Callable[[Step], None],
        on_prompt_rows: Callable[[PromptRows], None] | None = None,
    ) -> None:
        """Check the answer and find where showing and recording start.

        Raises:
            UsageError, StartPhraseError, ModelError: as `replay`.
        """
        self.token_ids = tuple(int(token) for token in token_ids)
        self._start, self._notices = check_replay(loaded, prepared, settings, self.token_ids)
        n_cross_keys = 0 if prepared.columns is None else int(prepared.columns.cross.size)
        self.span = Span(prepared.n_model_prompt, len(self.token_ids), n_cross_keys)
        text, identity = TokenText(loaded.tokenizer), loaded.identity()
        self.columns = TraceColumns(prepared.n_prompt, identity.layer_kinds, prepared.columns)
        self._plan = plan
        self._blocks = AnswerBlocks(plan, prepared.layout, self.columns, identity.n_heads)
        self._reader = CandidateReader(text)
        self._ends = end_tokens(loaded.model.generation_config)
        self._record = {"replay_depth": settings.replay_depth}
        self._on_step = on_step
        self._on_prompt_rows = on_prompt_rows if plan.query_rows == "all" else None

    def take_prompt(self, call: AttentionCall) -> None:
        """Hand over the prompt's own rows of one layer, where they are wanted."""
        if self._on_prompt_rows is not None and call.layer in self._plan.head_layers:
            self._on_prompt_rows(prompt_rows(call, self._plan, self.columns))

    def hand_over(
        self, layers: Layers, head: OutputHead | None, sequence: int, should_stop: Callable[[], bool]
    ) -> Generated:
        """Hand over all steps; `sequence` is this answer's number in the pass that `layers` and `head` come from.

        Raises:
            ModelError: rows or logits are not what they should be.
        """
        n_steps, done = len(self.token_ids), 0
        for block in self._blocks.blocks(n_steps):
            for step in self._steps(block, layers, head, sequence):
                self._on_step(step)
            done = block.stop
            if done < n_steps and should_stop():
                break
        stopped_by: Literal["eos", "stop", "interrupted"] = "interrupted"
        if done == n_steps:
            stopped_by = "eos" if self.token_ids[-1] in self._ends else "stop"
        return Generated(self.token_ids[:done], stopped_by, self._start, self._notices, self._record)

    def _steps(self, block: range, layers: Layers, head: OutputHead | None, sequence: int) -> Iterator[Step]:
        ids = self.token_ids[block.start : block.stop]
        said: Iterable[tuple[float, tuple[Candidate, ...]]] = [(UNKNOWN, ())] * len(ids)
        if head is not None:
            positions = self.span.queries[block.start : block.stop]
            said = self._reader.read(head.logits(sequence, positions), ids)
        recorded = range(max(block.start, min(self._start.first_step, block.stop)), block.stop)
        reduced = self._blocks.reduce(layers, recorded, len(self.token_ids)) if recorded else []
        kept = dict(zip(recorded, reduced, strict=True))
        for index, token_id, (log_probability, candidates) in zip(block, ids, said, strict=True):
            rows, scalars = kept.get(index, (None, None))
            yield Step(StepInfo(index, token_id, log_probability, candidates, UNKNOWN, rows is not None, scalars), rows)
