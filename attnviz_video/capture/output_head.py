"""Logits of chosen positions only, by the model's own output head.

At 12,000 positions and a vocabulary of 152,000 the logits of one forward pass take 3.7 GB. So the pass is ended before
the head, and the head is run later on a few positions at a time. What a family does to its logits (soft cap, scale)
stays its own business: its forward pass is run with the decoder's finished output in place of the decoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attnviz_video.errors import ModelError


class FinishedError(Exception):
    """Ends a forward pass from inside, once everything that was wanted of it is there."""


class OutputHead:
    """The part of a model from its decoder's last hidden state to logits."""

    def __init__(self, model: Any) -> None:
        """Find the head and the decoder before it.

        Raises:
            ModelError: the model is not built of a decoder and a head.
        """
        head = model.get_output_embeddings()
        owner = next((module for module in model.modules() if head in module.children()), None)
        # Older versions do not name the decoder of every family as its `base_model`, but call it `model` all the same.
        named = [getattr(owner, name, None) for name in ("base_model", "model")]
        body = next((module for module in named if isinstance(module, nn.Module) and module is not owner), None)
        if head is None or owner is None or body is None:
            raise ModelError(
                f"{type(model).__name__} does not keep its decoder and its output head apart, so the probabilities of "
                "a stored response cannot be computed; leave them out with --replay_depth shown"
            )
        self._owner, self._body = owner, body
        self._output: Any = None

    @contextmanager
    def ending_before(self) -> Iterator[None]:
        """A forward pass inside the block raises `FinishedError` where its head would begin; its hidden states stay."""

        def finish(module: object, arguments: object, output: Any) -> None:
            self._output = output
            raise FinishedError

        hook = self._body.register_forward_hook(finish)
        try:
            yield
        finally:
            hook.remove()

    def logits(self, sequence: int, positions: range) -> Float[Tensor, "positions vocabulary"]:
        """Logits at some consecutive positions of one sequence of the last pass, float32."""
        hidden = self._output.last_hidden_state[sequence : sequence + 1, positions.start : positions.stop]
        output = type(self._output)(last_hidden_state=hidden)
        own = vars(self._body).get("forward")
        self._body.forward = lambda *arguments, **options: output
        try:
            placeholders = torch.zeros(hidden.shape[:2], dtype=torch.long, device=hidden.device)
            with torch.no_grad():
                logits: Tensor = self._owner(input_ids=placeholders, use_cache=False).logits
        finally:
            # An accelerate hook is a `forward` of the instance; elsewhere the class's own shows again.
            del self._body.forward
            if own is not None:
                self._body.forward = own
        return logits[0].float()
