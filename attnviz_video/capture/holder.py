"""`StepHolder`: what each step left behind, kept on the devices where the layers run until several are computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from attnviz_video.capture.columns import TraceColumns
from attnviz_video.capture.intercept import NotRoutedError
from attnviz_video.capture.plan import RecordingPlan
from attnviz_video.capture.reduce import StepReducer
from attnviz_video.capture.ring import HeldQuery, LayerRing
from attnviz_video.capture.rows import attention_rows
from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.prepared import KeyColumns
from attnviz_video.core.step import StepRows, StepScalars
from attnviz_video.core.trace import ModelIdentity
from attnviz_video.errors import ModelError

#: Steps kept on the device before they are moved to the host together: as many as a shard of a trace holds …
STEPS_HELD = 16
#: … or fewer, where their rows would take more bytes than this.
BYTES_HELD = 2**25


class StepHolder:
    """Takes rows, or queries that wait for their keys, layer by layer; gives what the plan keeps of several steps.

    While `enabled` is False nothing is to be taken (steps before the start phrase). After each forward pass `hold`
    keeps what it left behind; `drain` computes what is held and moves it to the host, at the latest when `full`.
    """

    def __init__(
        self,
        layers: Iterable[int],
        plan: RecordingPlan,
        identity: ModelIdentity,
        layout: TokenLayout,
        columns: KeyColumns | None = None,
    ) -> None:
        """`layers` are those of which anything is kept.

        Raises:
            UsageError: one of them does not run, since the prompt has no image, but was to be shown.
        """
        self.enabled = True
        self._plan = plan
        self._identity = identity
        self._columns = TraceColumns(layout.n_prompt, identity.layer_kinds, columns)
        wanted = tuple(layers)
        self._idle = self._columns.idle_layers(wanted, plan)
        self._reducer = StepReducer(plan, layout, identity.n_heads)
        self._rings = {layer: LayerRing(layer, self._columns) for layer in wanted if layer not in self._idle}
        #: What the running forward pass left behind, on each layer's own keys.
        self._rows: dict[int, HeldQuery | Tensor] = {}
        #: The newest keys of the layers whose queries wait: as long as their cache holds them, they take no memory.
        self._keys: dict[int, Tensor] = {}
        self._steps: list[int] = []
        self._n_bytes = 0
        self._started = False
        #: Whether the rows of the running step were computed at once.
        self._alone = False

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers that have to leave something behind at every step."""
        return tuple(self._rings)

    def release(self) -> None:
        """Let go of what the last forward pass left behind; the keys are as large as the model's cache."""
        self._rows.clear()
        self._keys.clear()

    def skip(self) -> None:
        """Take note of a step of which nothing is kept.

        Raises:
            NotRoutedError: a wanted layer would leave nothing behind either if it were asked.
        """

    def hold(self, step: int) -> None:
        """Keep what the last forward pass left behind for the row that produced answer token `step`.

        Raises:
            NotRoutedError: a wanted layer left nothing behind at the first step.
            ModelError: it left nothing behind later, or its keys are not the text.
        """
        missing = sorted(self._rings.keys() - self._rows.keys())
        if missing:
            # Later than at the first step there are tokens that cannot be taken back.
            raise ModelError(str(not_seen(missing))) if self._started else not_seen(missing)
        self._started = True
        n_own_keys = self._columns.n_model_prompt + step
        for layer, found in self._rows.items():
            if isinstance(found, HeldQuery):
                if self._keys[layer].shape[2] == n_own_keys:
                    self._rings[layer].hold_query(found, step)
                    continue
                found = attention_rows(found.query, self._keys[layer], found.options, range(1))[0, :, 0]
            self._rings[layer].hold_row(found, step)
            self._n_bytes += found.numel() * found.element_size()
        self._rows.clear()
        self._steps.append(step)

    @property
    def full(self) -> bool:
        """Whether what is held is to be drained now: as many steps as a shard of a trace holds, or too many bytes.

        A step whose rows were computed at once, to be compared with the model's own output, stands alone.
        """
        n_steps = len(self._steps)
        if not n_steps or self._alone or n_steps == STEPS_HELD:
            return n_steps > 0
        plan, n_keys = self._plan, self._columns.n_prompt + self._steps[-1]
        stored = 2 * (len(plan.head_layers) * len(plan.heads) + len(plan.mean_layers))
        at_once = torch.float32.itemsize * self._identity.n_heads
        return self._n_bytes + n_steps * n_keys * max(stored, at_once) >= BYTES_HELD

    def drain(self) -> list[tuple[StepRows, StepScalars]]:
        """Rows and scalars of all steps held, in order; nothing is held afterwards.

        Raises:
            ModelError: a layer's keys are not the text.
        """
        steps, self._steps, self._n_bytes, self._alone = self._steps, [], 0, False
        n_keys = [self._columns.n_prompt + step for step in steps]
        return self._reducer.reduce(self._held_rows(steps), n_keys) if steps else []

    def take(self, step: int) -> tuple[StepRows, StepScalars]:
        """`hold` and `drain` of a single step.

        Raises:
            ModelError: as `hold`.
        """
        self.hold(step)
        return self.drain()[-1]

    def _held_rows(self, steps: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
        """Every wanted layer with the rows of `steps`, computed when it is their turn."""
        for layer, ring in self._rings.items():
            yield layer, ring.take(self._keys.get(layer))
        for layer in self._idle:
            idle = self._columns.idle_row(self._identity.n_heads, steps[-1], torch.device("cpu"))
            yield layer, idle[:, None].expand(-1, len(steps), -1)


def not_seen(layers: Iterable[int]) -> NotRoutedError:
    """The error for layers that ran, or did not, without being seen."""
    return NotRoutedError(
        f"the attention of layer {', '.join(map(str, layers))} did not go through transformers' attention interface "
        "and cannot be recorded",
        "choose other layers with --layer_idx, or another model",
    )
