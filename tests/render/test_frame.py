from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.settings import RenderSettings
from tests.render.made import Made, long_scores, make_scores

SMALL = RenderSettings(width=640, height=360)


@pytest.mark.parametrize("size", [(480, 270), (640, 360), (1280, 720), (1081, 1921)])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_frames_of_any_size_and_theme(tmp_path: Path, size: tuple[int, int], theme: str) -> None:
    settings = RenderSettings(width=size[0], height=size[1], theme=theme)  # type: ignore[arg-type]
    painter = FramePainter(make_scores(tmp_path, Made(first_shown=0)), settings)
    frame = painter.frame(5)
    assert painter.size == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert frame.shape == (painter.size[1], painter.size[0], 3)
    assert frame.dtype == np.uint8


def test_frames_do_not_depend_on_the_order_they_are_asked_for(tmp_path: Path) -> None:
    scores = long_scores(tmp_path, [f" word{k}" for k in range(400)], every=57)
    forward, backward = FramePainter(scores, SMALL), FramePainter(scores, SMALL)
    frames = [forward.frame(number) for number in range(scores.n_frames)]
    for number in reversed(range(scores.n_frames)):
        assert np.array_equal(backward.frame(number), frames[number])


def test_a_frame_is_the_callers_own(tmp_path: Path) -> None:
    painter = FramePainter(make_scores(tmp_path, Made()), SMALL)
    first = painter.frame(0)
    kept = first.copy()
    first[:] = 0
    assert np.array_equal(painter.frame(0), kept)


def test_per_frame_scales_change_the_legend(tmp_path: Path) -> None:
    made = Made(analysis=AnalysisSettings(scale="per_frame"))
    painter = FramePainter(make_scores(tmp_path, made), SMALL)
    left, top, right, bottom = painter.plan.text_legend
    legends = [painter.frame(number)[top:bottom, left:right] for number in (0, 5)]
    assert not np.array_equal(*legends)


def test_missing_characters_are_reported(tmp_path: Path) -> None:
    painter = FramePainter(make_scores(tmp_path, Made(answer=(" न", "मस्ते", "🧠"))), SMALL)
    assert [re.findall(r"\((.*)\)", notice)[0] for notice in painter.notices] == ["DEVANAGARI", "BRAIN"]
    assert FramePainter(make_scores(tmp_path, Made()), SMALL).notices == ()


@pytest.mark.parametrize("answer", [("红", "色"), ("ひら",), ("한국",), ("😀", "👍🏽", "\u202e", "\x1b[31m"), ("",)])
def test_t12_any_script_is_painted(tmp_path: Path, answer: tuple[str, ...]) -> None:
    scores = make_scores(tmp_path, Made(answer=answer))
    painter = FramePainter(scores, SMALL)
    for number in range(scores.n_frames):
        assert painter.unit_boxes(number)
        painter.frame(number)


@pytest.mark.parametrize("number", [-1, 6])
def test_there_is_no_such_frame(tmp_path: Path, number: int) -> None:
    painter = FramePainter(make_scores(tmp_path, Made()), SMALL)
    message = f"frame {number} was asked for; this video has frames 0 to 5"
    with pytest.raises(UsageError, match=message):
        painter.frame(number)
    with pytest.raises(UsageError, match=message):
        painter.unit_boxes(number)


def test_nothing_to_render(tmp_path: Path) -> None:
    scores = replace(make_scores(tmp_path, Made()), steps=())
    message = "nothing to render: the trace has no recorded token; record it again with another --start_phrase"
    with pytest.raises(TraceError, match=message):
        FramePainter(scores, SMALL)


def test_a_title_can_be_given_or_left_out(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made())
    own, none = FramePainter(scores, replace(SMALL, title="Mine")), FramePainter(scores, replace(SMALL, title=""))
    assert none.plan.text[1] < own.plan.text[1]


def test_patch_cells_are_a_copy(tmp_path: Path) -> None:
    painter = FramePainter(make_scores(tmp_path, Made()), SMALL)
    painter.patch_cells(0)[:] = 0
    assert painter.patch_cells(0).any()


def test_painting_loads_no_model_library() -> None:
    code = (
        "import sys, attnviz_video.render.frame;"
        "print([name for name in ('torch', 'transformers', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_last_page_takes_no_longer_than_the_first(tmp_path: Path) -> None:
    scores = long_scores(tmp_path, [f" word{k % 97}" for k in range(2048)], every=4)
    painter = FramePainter(scores, RenderSettings(width=1280, height=720))

    def cpu_s(first: int) -> float:
        painter.frame(first)
        times = []
        for number in range(first, first + 8):
            start = time.process_time()
            painter.frame(number)
            times.append(time.process_time() - start)
        return sorted(times)[len(times) // 2]

    first_page = max(n for n in range(60) if painter.unit_boxes(n)[0][0].first == scores.trace.n_prompt) - 8
    assert cpu_s(scores.n_frames - 9) <= 2 * cpu_s(first_page)
