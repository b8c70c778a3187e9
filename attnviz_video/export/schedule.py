"""`Schedule`: which frames of a video are shown, and from when to when."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

from attnviz_video.core.tokens import SEGMENT_NAMES, Token
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import UsageError
from attnviz_video.export.settings import ExportSettings
from attnviz_video.export.words import keyword_ends, keyword_list, segment_starts, word_ends

#: More holds than anybody can watch: the encoder is told of each on its command line.
MOST_HOLDS = 400


@dataclass(frozen=True)
class Chapter:
    """A stretch of the video: the shown frame it begins with, counted among those shown, and its name."""

    first: int
    title: str


@dataclass(frozen=True)
class Schedule:
    """Time of a video. Every shown frame has 1 / `rate` seconds, and `holds` ticks of 1 / `fps` seconds more."""

    #: Number of each shown frame, as `FramePainter.frame` counts; increasing.
    frames: tuple[int, ...]
    rate: Fraction
    fps: int
    #: Ticks added to each shown frame.
    holds: tuple[int, ...]
    chapters: tuple[Chapter, ...] = ()
    #: What the user should know: keywords that occur nowhere.
    notices: tuple[str, ...] = ()

    def starts(self, unit: int) -> tuple[int, ...]:
        """When each shown frame begins and, as the last entry, when the video ends, in 1 / `unit` seconds.

        Exact times are rounded to whole units (halves up), so that errors never add up.
        """
        held = [0, *accumulate(self.holds)]
        times = (Fraction(number) / self.rate + Fraction(ticks, self.fps) for number, ticks in enumerate(held))
        return tuple(round_half_up(time * unit) for time in times)

    @property
    def n_ticks(self) -> int:
        """Frames of the container: 1 / `fps` seconds each."""
        return self.starts(self.fps)[-1]

    @property
    def seconds(self) -> float:
        return float(len(self.frames) / self.rate + Fraction(sum(self.holds), self.fps))


def round_half_up(number: Fraction) -> int:
    """The nearest whole number, the upper one of two."""
    return (2 * number.numerator + number.denominator) // (2 * number.denominator)


def even_schedule(n_frames: int, settings: ExportSettings) -> Schedule:
    """All frames, each as long as the next, without holds."""
    return Schedule(tuple(range(n_frames)), settings.rate, settings.fps, (0,) * n_frames)


def plan_schedule(trace: TraceData, steps: Sequence[int], settings: ExportSettings) -> Schedule:
    """The schedule of a video whose frame n shows answer token `steps[n]` of `trace` as the current one.

    With `--pace word` only the frame of the last recorded piece of every word is shown. Its row is that piece's own:
    rows of different tokens are never mixed. A hold at a keyword lies on the frame that completes it, a hold at a new
    segment on the segment's first frame; a frame with two reasons to be held is held once.

    Raises:
        UsageError: more than `MOST_HOLDS` holds.
    """
    answer = trace.tokens[trace.n_prompt :]
    frames = _word_frames(answer, steps) if settings.pace == "word" else tuple(range(len(steps)))
    shown = [steps[frame] for frame in frames]
    segments = [(bisect_left(shown, index), kind) for index, kind in segment_starts(answer)]
    # A segment that ends before the first shown token, or has no shown token at all, is none for the viewer.
    begun = {first: kind for first, kind in segments if first < len(shown)}
    chapters = tuple(Chapter(first, SEGMENT_NAMES[kind]) for first, kind in begun.items())
    pauses = {chapter.first for chapter in chapters if chapter.first > 0} if settings.hold_segments else set()
    notices = []
    for keyword in keyword_list(settings.hold_keywords):
        found = {bisect_left(shown, index) for index in keyword_ends(answer, keyword) if index >= steps[0]}
        found = {place for place in found if place < len(shown)}
        if not found:
            notices.append(f"--hold_keywords: {keyword!r} is not in the shown answer, nothing is held for it")
        pauses |= found
    if len(pauses) > MOST_HOLDS:
        raise UsageError(
            f"--hold_keywords: the video would be held {len(pauses)} times, more than {MOST_HOLDS}; name rarer words"
        )
    holds = [_ticks(settings.hold_seconds, settings) if place in pauses else 0 for place in range(len(shown))]
    holds[0] += _ticks(settings.hold_start, settings)
    holds[-1] += _ticks(settings.hold_end, settings)
    shown_chapters = chapters if len(chapters) > 1 else ()
    return Schedule(frames, settings.rate, settings.fps, tuple(holds), shown_chapters, tuple(notices))


def _word_frames(answer: Sequence[Token], steps: Sequence[int]) -> tuple[int, ...]:
    """The last frame of each word that has one."""
    ends = word_ends(answer)
    last_of_word = {bisect_left(ends, step): frame for frame, step in enumerate(steps)}
    return tuple(last_of_word.values())


def _ticks(seconds: float, settings: ExportSettings) -> int:
    return round_half_up(Fraction(seconds).limit_denominator(1000) * settings.fps)
