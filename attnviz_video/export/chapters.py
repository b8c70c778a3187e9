"""Chapters of an MP4: the segments of the answer, so that a player can jump to the answer."""

from __future__ import annotations

import base64

from attnviz_video.export.schedule import Schedule

#: No player lists more, and they are told on a command line.
MOST_CHAPTERS = 100


def chapter_arguments(schedule: Schedule) -> list[str]:
    """ffmpeg's arguments for a second input that holds the chapters of `schedule`; none where it has none."""
    if not schedule.chapters:
        return []
    # As a data URI: nothing lies on the disk that a killed run could leave behind.
    text = base64.b64encode(chapter_text(schedule).encode()).decode("ascii")
    return ["-f", "ffmetadata", "-i", f"data:text/plain;base64,{text}", "-map_chapters", "1"]


def chapter_text(schedule: Schedule) -> str:
    """The chapters in ffmpeg's metadata format (FFMETADATA1), times in ticks."""
    starts = schedule.starts(schedule.fps)
    chapters = schedule.chapters[:MOST_CHAPTERS]
    begins = [starts[chapter.first] for chapter in chapters]
    lines = [";FFMETADATA1"]
    for chapter, begin, end in zip(chapters, begins, [*begins[1:], starts[-1]], strict=True):
        lines += ["[CHAPTER]", f"TIMEBASE=1/{schedule.fps}", f"START={begin}", f"END={end}", f"title={chapter.title}"]
    return "\n".join(lines) + "\n"
