"""The rows of an answer from its queries, some consecutive steps of all layers at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from attnviz_video.capture.columns import TraceColumns
from attnviz_video.capture.plan import RecordingPlan
from attnviz_video.capture.reduce import StepReducer
from attnviz_video.capture.rows import CHUNK_ELEMENTS
from attnviz_video.capture.teacher_forced import Layers
from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.step import StepRows, StepScalars
from attnviz_video.errors import ModelError

#: Steps that are computed at once, at most …
STEPS_AT_ONCE = 128
#: … and the bytes of what is kept of them.
BLOCK_BYTES = 2**26


class AnswerBlocks:
    """Computes what the plan keeps of an answer, so that memory does not grow with the answer's length."""

    def __init__(self, plan: RecordingPlan, layout: TokenLayout, columns: TraceColumns, n_heads: int) -> None:
        self._plan = plan
        self._columns = columns
        self._n_heads = n_heads
        self._wanted = sorted({*plan.head_layers, *plan.mean_layers, *plan.scalar_layers})
        self._reducer = StepReducer(plan, layout, n_heads)

    def blocks(self, n_steps: int) -> Iterator[range]:
        """The steps of an answer in parts that are small enough to be held at once."""
        plan, n_keys = self._plan, self._columns.n_prompt + n_steps
        kept = 2 * n_keys * (len(plan.head_layers) * len(plan.heads) + len(plan.mean_layers))
        length = min(STEPS_AT_ONCE, CHUNK_ELEMENTS // (self._n_heads * n_keys), BLOCK_BYTES // max(1, kept))
        for start in range(0, n_steps, max(1, length)):
            yield range(start, min(start + max(1, length), n_steps))

    def reduce(self, layers: Layers, steps: range, n_steps: int) -> list[tuple[StepRows, StepScalars]]:
        """What is kept of `steps` of an answer of `n_steps` tokens.

        A layer of the plan that is not in `layers` did not run (see `TraceColumns.idle_layers`): its rows are 0.

        Raises:
            ModelError: a layer's keys are not the positions of the text, or a row sees what comes after it.
        """
        parts = ((layer, self._rows(layers, layer, steps, n_steps)) for layer in self._wanted)
        return self._reducer.reduce(parts, [self._columns.n_prompt + step for step in steps])

    def _rows(self, layers: Layers, layer: int, steps: range, n_steps: int) -> Float[Tensor, "heads steps keys"]:
        """Rows of one layer on the positions of the trace, as wide as the row of the last of `steps`."""
        n_prompt = self._columns.n_prompt
        if layer not in layers:
            device = next((queries.query.device for queries in layers.values()), torch.device("cpu"))
            return self._columns.idle_row(self._n_heads, steps.stop - 1, device)[:, None].expand(-1, len(steps), -1)
        own = layers[layer].rows(steps)
        flat = self._columns.row(own.reshape(-1, own.shape[-1]), layer, n_steps - 1)
        rows = flat.reshape(*own.shape[:2], -1)
        check_causal(rows, layer, steps, n_prompt)
        return rows[..., : n_prompt + steps.stop - 1]


def check_causal(rows: Float[Tensor, "heads steps keys"], layer: int, steps: range, n_prompt: int) -> None:
    """No row gives weight to its own token or to one after it.

    Raises:
        ModelError: one does, so that the pass is not what the generation was.
    """
    first = n_prompt + steps.start
    keys = torch.arange(first, rows.shape[-1], device=rows.device)
    own = torch.arange(first, first + len(steps), device=rows.device)
    # A row that is not a number gives weight to nothing: it is kept, and marked in the picture.
    if bool(((rows[..., first:] > 0) & (keys >= own[:, None])).any()):
        raise ModelError(
            f"layer {layer}: in one pass the response would attend to what comes after it, which it did not when it "
            "was written; this model's responses cannot be replayed, use --answer generate"
        )
