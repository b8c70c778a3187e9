"""`Scores`: one layer of a trace, ready to be painted frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float

from attnviz_video.analysis.checks import RowReport, check_rows, refuse_unclean
from attnviz_video.analysis.convention import row_of_frame
from attnviz_video.analysis.heads import (
    HeadReduction,
    parse_head,
    reduce_heads,
    reduce_rows,
    resolve_layer,
    source_rows,
)
from attnviz_video.analysis.regions import Regions, regions_of, split_row
from attnviz_video.analysis.scale import COVERED, ScaleTally, ShownPositions, frame_scale
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.analysis.shares import RowShares, row_shares
from attnviz_video.analysis.sinks import SinkTally, masked, relative
from attnviz_video.core.scores import ColorScale, FrameWeights, Sink
from attnviz_video.core.shown import ShowPrompt, shown_units
from attnviz_video.core.trace import TraceData
from attnviz_video.core.units import unit_edges
from attnviz_video.errors import TraceError, UsageError


@dataclass(frozen=True, eq=False)
class Scores:
    """What every frame of one layer shows; made by `score`. Rows are read again on demand, none is kept."""

    trace: TraceData
    layer: int
    head: HeadReduction
    settings: AnalysisSettings
    #: The answer token that each frame shows as current.
    steps: tuple[int, ...]
    #: Heaviest first.
    sinks: tuple[Sink, ...]
    report: RowReport
    regions: Regions = field(repr=False)
    shown: ShownPositions = field(repr=False)
    #: Mean weight of every position over the rows that see it.
    position_mean: Float[np.ndarray, "positions"] = field(repr=False)
    #: The scale of all frames; None where each frame has its own.
    shared_scale: ColorScale | None = None
    #: How much of the prompt is shown; text that is not shown sets no scale.
    show_prompt: ShowPrompt = "phrase"

    @property
    def n_frames(self) -> int:
        return len(self.steps)

    @property
    def unit(self) -> str:
        """What the numbers are, for the legend."""
        return "attention / its mean over the video" if self.settings.sinks == "relative" else "attention weight"

    def row(self, number: int) -> Float[np.ndarray, "keys"] | None:
        """The recorded row behind frame `number`, reduced over heads; None where the convention has none."""
        step = row_of_frame(self.steps[number], frozenset(self.steps), self.settings.convention)
        return None if step is None else reduce_heads(self.trace, step, self.layer, self.head)

    def frame(self, number: int) -> FrameWeights:
        """The weights that frame `number` shows, sinks treated as the settings say."""
        row = self.row(number)
        if row is not None and self.settings.sinks == "mask":
            row = masked(row, self.sinks)
        elif row is not None and self.settings.sinks == "relative":
            row = relative(row, self.position_mean)
        return split_row(row, self.regions, self.steps[number])

    def scale(self, number: int) -> ColorScale:
        """The scale of frame `number`; the same object for all frames of a shared scale."""
        if self.shared_scale is not None:
            return self.shared_scale
        joint = self.settings.scale_scope == "joint"
        return frame_scale(self.frame(number), self.shown, joint=joint, gamma=self.settings.gamma)

    @property
    def is_shown(self) -> Bool[np.ndarray, "positions"]:
        """True for the positions that the text panel shows."""
        ends = np.zeros(self.regions.n_positions + 1, dtype=np.int64)
        np.add.at(ends, self.shown.units.ravel(), np.tile([1, -1], len(self.shown.units)))
        is_shown: Bool[np.ndarray, "positions"] = np.cumsum(ends[:-1]) > 0
        return is_shown

    @property
    def has_hidden_text(self) -> bool:
        """Whether there is text that the panel does not show, such as the prompt before a start phrase."""
        return bool((self.regions.is_text & ~self.is_shown).any())

    @property
    def hidden_sinks(self) -> tuple[Sink, ...]:
        """The sinks that carry no mark because their text is not shown."""
        is_shown = self.is_shown
        return tuple(sink for sink in self.sinks if sink.image < 0 and not is_shown[sink.position])

    def shares(self, number: int) -> RowShares:
        """Where the weight of frame `number`'s row lies, sinks included; NaN without a row.

        A maximum over heads adds up to more than 1 and has no shares: those of the mean over the heads are given.
        """
        step = row_of_frame(self.steps[number], frozenset(self.steps), self.settings.convention)
        head = HeadReduction("mean") if self.head.kind == "max" else self.head
        row = None if step is None else reduce_heads(self.trace, step, self.layer, head)
        return row_shares(row, self.regions, self.is_shown)

    def image_share(self, number: int) -> Float[np.ndarray, "images"]:
        """Share of frame `number`'s row that falls on each image, as in `shares`."""
        return self.shares(number).images


def score(trace: TraceData, layer: int, settings: AnalysisSettings, *, show_prompt: ShowPrompt = "phrase") -> Scores:
    """Prepare layer number `layer` of `trace` for painting; `show_prompt` says which text will be shown.

    Reads the shown rows once for sinks and checks and, for a shared scale, once more for the scale, which
    leaves the sinks out and so has to know them. Memory does not grow with the number of steps.

    Raises:
        UsageError: a setting, layer or head that cannot be.
        TraceError: not recorded; nothing to render; or, with `strict`, rows that are not distributions.
    """
    if not (np.isfinite(settings.gamma) and settings.gamma > 0):
        raise UsageError(f"--gamma: expected a number above 0, got {settings.gamma}")
    head = parse_head(settings.head)
    layer = resolve_layer(trace.header, layer)
    steps = shown_steps(trace)
    regions = regions_of(trace.layout, len(trace.tokens), settings.areas)
    report, tally = RowReport(), SinkTally(regions)
    for step in _row_steps(steps, settings):
        rows = source_rows(trace, step, layer, head)
        report += check_rows(rows)
        tally.add(reduce_rows(rows, head))
    if settings.strict:
        refuse_unclean(report, layer)
    sinks = tally.sinks()
    shown = _shown_positions(trace, regions, sinks, show_prompt)
    mean = tally.position_mean()
    unscaled = Scores(trace, layer, head, settings, steps, sinks, report, regions, shown, mean, show_prompt=show_prompt)
    return unscaled if settings.scale == "per_frame" else _with_shared_scale(unscaled)


def showing(scores: Scores, show_prompt: ShowPrompt) -> Scores:
    """`scores` for a picture that shows more or less of the prompt: the scale of its text is that of the text shown.

    The same frames; the rows are read once more where they have one scale. Nothing is done where `scores` are for
    such a picture already.
    """
    if scores.show_prompt == show_prompt:
        return scores
    shown = _shown_positions(scores.trace, scores.regions, scores.sinks, show_prompt)
    unscaled = replace(scores, shown=shown, show_prompt=show_prompt, shared_scale=None)
    return unscaled if scores.settings.scale == "per_frame" else _with_shared_scale(unscaled)


def shown_steps(trace: TraceData) -> tuple[int, ...]:
    """The answer tokens that get a frame: those that were recorded, from the start phrase on.

    Raises:
        TraceError: there is none.
    """
    if trace.is_encoding and not trace.steps:
        raise TraceError(
            "nothing to render: the trace is one pass of an encoder over a text, in which no token was generated; "
            "see it with report, plot or table"
        )
    # The built-in phrase may turn up within an answer that was recorded whole: a blue token is never off the panel.
    first = max(trace.header.start.first_step, trace.header.start.first_shown - trace.n_prompt)
    steps = tuple(info.index for info in trace.steps if info.recorded and info.index >= first)
    if not steps:
        raise TraceError(
            f"nothing to render: {_why_nothing(trace, first)}; "
            'generate more (--max_new_tokens) or start earlier (--start_phrase "")'
        )
    return steps


def _why_nothing(trace: TraceData, first: int) -> str:
    start, n_tokens = trace.header.start, len(trace.steps)
    if not n_tokens:
        return "no token was generated"
    if start.phrase and start.found_in == "none":
        return f"no row was recorded, because the start phrase {start.phrase!r} is not in the {n_tokens} tokens written"
    return f"{n_tokens} tokens were generated, but recording starts with token {first}"


def _row_steps(steps: tuple[int, ...], settings: AnalysisSettings) -> Iterator[int]:
    recorded = frozenset(steps)
    for step in steps:
        row_step = row_of_frame(step, recorded, settings.convention)
        if row_step is not None:
            yield row_step


def _shown_positions(
    trace: TraceData, regions: Regions, sinks: tuple[Sink, ...], show_prompt: ShowPrompt
) -> ShownPositions:
    is_sink = np.zeros(regions.n_positions, dtype=bool)
    is_sink[[sink.position for sink in sinks]] = True
    units = unit_edges([unit for unit in shown_units(trace, show_prompt) if unit.image < 0])
    n_sinks = np.concatenate([[0], np.cumsum(is_sink)])
    unit_sinks = n_sinks[units[:, 1]] > n_sinks[units[:, 0]]
    image_sinks = tuple(is_sink[positions] for positions in regions.patches)
    painted = () if all(own.all() for own in regions.painted) else regions.painted
    return ShownPositions(units, unit_sinks, image_sinks, trace.n_prompt, painted, whole=trace.is_encoding)


def _with_shared_scale(scores: Scores) -> Scores:
    tally = ScaleTally(scores.shown)
    for number in range(scores.n_frames):
        tally.add(scores.frame(number))
    joint = scores.settings.scale_scope == "joint"
    return replace(scores, shared_scale=tally.scale(covered=COVERED, joint=joint, gamma=scores.settings.gamma))
