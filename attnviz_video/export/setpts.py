"""The moment of every frame as ffmpeg's `setpts` filter computes it: each painted frame is then piped only once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from attnviz_video.export.schedule import Schedule


def tick_expression(schedule: Schedule) -> str:
    """The tick at which frame number `N` (from 0) begins, for a stream whose time base is one tick.

    Only whole numbers below 2^53 occur before the division, so that its floor is exact. `N` = number of frames
    gives the end of the video.
    """
    rate = schedule.rate
    # round_half_up(N · fps / rate), as `Schedule.starts` has it.
    numerator, denominator = schedule.fps * rate.denominator, rate.numerator
    base = f"floor((2*N*{numerator}+{denominator})/{2 * denominator})"
    held = [0, *accumulate(schedule.holds)]
    steps = [(number, ticks) for number, ticks in enumerate(held) if number == 0 or ticks != held[number - 1]]
    return f"{base}+{_choice(steps)}" if len(steps) > 1 else base


def _choice(steps: Sequence[tuple[int, int]]) -> str:
    """A step function of N as nested halves: `steps` are (first N, value); few levels, since ffmpeg nests only 100."""
    if len(steps) == 1:
        return str(steps[0][1])
    middle = len(steps) // 2
    return f"if(lt(N,{steps[middle][0]}),{_choice(steps[:middle])},{_choice(steps[middle:])})"
