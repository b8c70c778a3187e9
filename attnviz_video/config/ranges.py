"""Which values of a setting make sense, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attnviz_video.config.coercion import Origin, shown
from attnviz_video.errors import UsageError
from attnviz_video.render.settings import LEAST_SIZE


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; None is no bound. `open_low` leaves `low` itself out."""

    low: float | None = None
    high: float | None = None
    open_low: bool = False

    def holds(self, number: float) -> bool:
        """Whether `number` lies in the range."""
        above = self.low is None or number > self.low or (number == self.low and not self.open_low)
        return above and (self.high is None or number <= self.high)

    def __str__(self) -> str:
        low = "" if self.low is None else f"above {self.low:g}" if self.open_low else f"from {self.low:g}"
        high = "" if self.high is None else f"up to {self.high:g}" if self.open_low else f"to {self.high:g}"
        if self.low is not None and self.high is None and not self.open_low:
            return f"of at least {self.low:g}"
        return " ".join(part for part in (low, high) if part)


#: Every setting that is a number stands here (a test compares), by its name.
RANGES: Mapping[str, Range] = {
    "sample_idx": Range(),  # the dataset knows the valid ones
    "max_image_num": Range(low=1),
    "min_pixels": Range(low=1),
    "max_pixels": Range(low=1),
    "max_new_tokens": Range(low=1),
    "temperature": Range(low=0, open_low=True),
    "top_p": Range(low=0, high=1, open_low=True),
    "top_k": Range(low=0),
    "batch_size": Range(low=1),
    "num_workers": Range(low=1),
    "log_every": Range(low=0, open_low=True),
    "seed": Range(low=0, high=2**63 - 1),
    "max_trace_gb": Range(low=0, open_low=True),
    "gamma": Range(low=0, high=10, open_low=True),
    "alpha": Range(low=0, high=1, open_low=True),
    "width": Range(low=LEAST_SIZE[0], high=8192),  # H.264 players stop at about 8192
    "height": Range(low=LEAST_SIZE[1], high=8192),
    "tokens_per_second": Range(low=0.05, high=240),
    "hold_start": Range(low=0, high=600),
    "hold_end": Range(low=0, high=600),
    "hold_seconds": Range(low=0, high=600),
    "fps": Range(low=1, high=240),
    "crf": Range(low=0, high=51),
    "max_mb": Range(low=0, open_low=True),
    "webp_quality": Range(low=0, high=100),
    "poster": Range(low=1),
    "render_workers": Range(low=0, high=256),
    "step": Range(),  # the trace knows the valid ones
    "filmstrip": Range(low=1, high=60),
    "columns": Range(low=1, high=2),
    "top_keys": Range(low=1),
    "occurrence": Range(low=1),
    "threshold": Range(low=0, high=1, open_low=True),
    "start_layer": Range(),  # the trace knows the valid ones
    "discard_ratio": Range(low=0, high=0.999),
    "residual": Range(low=0, high=0.999),
    "dpi": Range(low=72, high=1200),
    "port": Range(low=0, high=65535),
    "max_upload_mb": Range(low=0, open_low=True),
    "keep": Range(low=1),
}
#: (smaller, larger): settings that must not cross.
ORDERED = (("tokens_per_second", "fps"), ("min_pixels", "max_pixels"))
REASONS = {("tokens_per_second", "fps"): "a token would have no frame of its own"}
#: Settings that each name a response to replay.
RESPONSES = ("response", "response_field", "response_ids")


def check_value(name: str, value: object, origin: Origin) -> None:
    """Check one value by itself.

    Raises:
        UsageError: out of range.
    """
    bounds = RANGES.get(name)
    if bounds is not None and isinstance(value, int | float) and not bounds.holds(value):
        kind = "a whole number" if isinstance(value, int) else "a number"
        raise UsageError(f"{origin.place}: expected {kind} {bounds}, got {shown(value)}")
    if name == "head" and isinstance(value, str) and value not in ("mean", "max") and not is_number(value):
        raise UsageError(f"{origin.place}: expected mean, max or the number of a head, got {shown(value)}")
    if name == "layer_idx" and value == ():
        raise UsageError(f"{origin.place}: expected at least one layer, such as 20 or 10,20,30")


def is_number(text: str) -> bool:
    """Whether `text` is a head number as `--head` takes it."""
    return text.isascii() and text.isdigit() and len(text) < 6


def check_together(values: Mapping[str, object]) -> None:
    """Check settings against each other; `values` holds those of the whole configuration.

    Raises:
        UsageError: two of them contradict each other.
    """
    for smaller, larger in ORDERED:
        low, high = values.get(smaller), values.get(larger)
        if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
            reason = REASONS.get((smaller, larger))
            raise UsageError(
                f"--{smaller} {low:g} is larger than --{larger} {high:g}{f': {reason}' if reason else ''}; "
                f"lower --{smaller} or raise --{larger}"
            )
    given = [f"--{name}" for name in RESPONSES if values.get(name) is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} each name a response to replay; give one of them")
    if given and values.get("answer") == "generate":
        raise UsageError(f"--answer generate and {given[0]}, which names a response to replay; leave one of them out")
