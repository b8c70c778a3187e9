"""Painting in several processes: the same bytes, in order, no process left, every death noticed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnviz_video.analysis.scores import Scores
from attnviz_video.errors import AttnVizError, EnvironmentFault, TraceError
from attnviz_video.export import paint_pool
from attnviz_video.export.coders import RawCoder, WebpCoder
from attnviz_video.export.names import Output, video_metadata
from attnviz_video.export.outputs import Video
from attnviz_video.export.paint_pool import PaintPool, runs_of, worker_count
from attnviz_video.export.paint_worker import Run, coded
from attnviz_video.export.schedule import plan_schedule
from attnviz_video.export.settings import ExportSettings
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.settings import RenderSettings
from tests.export.faulty_coder import FaultyCoder
from tests.export.test_encoder_faults import alive
from tests.render.made import Made, make_scores

ROOT = Path(__file__).resolve().parents[2]
SMALL = RenderSettings(width=480, height=270)
WORDS = (" The", " red", " cir", "cle", " is", ".", " It", " is", " left", " of", " a", " blue", " squ", "are")


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Scores:
    return make_scores(tmp_path_factory.mktemp("trace"), Made(answer=WORDS))


def test_how_many_workers() -> None:
    assert worker_count(1, 100) == 1
    assert worker_count(7, 3) == 3
    assert worker_count(5, 100) == 5
    assert worker_count(0, 10**6) == len(os.sched_getaffinity(0))


def test_runs_know_the_frame_before_them() -> None:
    assert runs_of((2, 5, 6, 9, 11), 2) == [Run((2, 5), -1), Run((6, 9), 5), Run((11,), 9)]
    assert runs_of((), 2) == []


def test_workers_give_the_bytes_of_one_process(scores: Scores) -> None:
    painter, coder = FramePainter(scores, SMALL), WebpCoder(80)
    frames = (0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 13)
    alone = [bytes(packet) for packet in coded(painter, coder, (Run(frames, -1),))]
    with PaintPool(scores, SMALL, coder, frames, 3) as pool:
        together = [bytes(packet) for packet in pool]
        pids = pool.pids
    assert together == alone
    assert not any(alive(pid) for pid in pids)


def test_a_worker_paints_the_frame_before_its_run(scores: Scores) -> None:
    """Frames of a run that begins in the middle are coded against the frame shown before, as in one process."""
    painter, coder = FramePainter(scores, SMALL), WebpCoder(80)
    whole = [bytes(packet) for packet in coded(painter, coder, (Run((0, 2, 3, 7), -1),))]
    parts = [bytes(packet) for packet in coded(painter, coder, (Run((0, 2), -1), Run((7,), 3), Run((3,), 2)))]
    assert [parts[0], parts[1], parts[3], parts[2]] == whole


@pytest.mark.parametrize(
    ("fault", "kind", "sentence"),
    [
        ("kill", EnvironmentFault, r"a render worker was killed by SIGKILL before frame \d+ was painted, nothing was "
                                   r"kept; its last words: \(none\); where memory is short, use fewer --render_w"),
        ("exit", EnvironmentFault, r"a render worker ended early before frame \d+ was painted"),
        ("known", TraceError, r"^shard 3 damaged$"),
        ("other", EnvironmentFault, r"a render worker failed with exit code 1 .*words: .*ValueError: something else"),
    ],
)  # fmt: skip
def test_a_worker_that_fails_is_an_error_and_none_is_left(
    scores: Scores, fault: str, kind: type[AttnVizError], sentence: str
) -> None:
    with PaintPool(scores, SMALL, FaultyCoder(fault), range(12), 2) as pool:
        with pytest.raises(kind, match=sentence):
            list(pool)
        pids = pool.pids
    assert not any(alive(pid) for pid in pids)


def test_leaving_the_block_ends_workers_that_hang_or_wait(scores: Scores) -> None:
    start = time.monotonic()
    with PaintPool(scores, SMALL, FaultyCoder("hang"), range(12), 2) as pool:
        next(iter(pool))
        pids = pool.pids
        assert all(alive(pid) for pid in pids)
    assert not any(alive(pid) for pid in pids)
    with PaintPool(scores, SMALL, RawCoder(), range(12), 2) as pool:
        pids = pool.pids
        next(iter(pool))  # the workers go on, until all that may wait is painted
    assert not any(alive(pid) for pid in pids)
    assert time.monotonic() - start < 30


def test_a_program_that_is_not_there(scores: Scores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    sentence = r"cannot start a render worker \(/nowhere/python\): No such file or directory; use --render_workers 1"
    with pytest.raises(EnvironmentFault, match=sentence), PaintPool(scores, SMALL, RawCoder(), range(4), 2):
        pass


def test_memory_is_bounded_by_what_may_wait(scores: Scores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paint_pool, "WAITING_RUNS", 1)
    with PaintPool(scores, SMALL, RawCoder(), range(12), 2) as pool:
        seen = []
        for _ in range(600):
            seen.append(max(worker._packets.qsize() for worker in pool._workers))
            if seen[-20:] == [1] * 20:
                break
            time.sleep(0.05)
        assert max(seen) == 1
        assert len(list(pool)) == 12


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_f24_no_worker_outlives_us(tmp_path: Path, number: signal.Signals) -> None:
    """A signal to the whole group, as a terminal or a job scheduler sends it; kill -9 to this process alone."""
    program = f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(ROOT)!r})
        from attnviz_video.export.coders import RawCoder
        from attnviz_video.export.paint_pool import PaintPool
        from attnviz_video.stopping import stop_on_signals
        from tests.export.test_paint_pool import SMALL, WORDS
        from tests.render.made import Made, make_scores
        import time
        with stop_on_signals(), PaintPool(
            make_scores(Path({str(tmp_path)!r}), Made(answer=WORDS * 6)), SMALL, RawCoder(), range(78), 2
        ) as pool:
            for packet in pool:
                print(*pool.pids, flush=True)
                time.sleep(0.05)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    pids = [int(word) for word in process.stdout.readline().split()]
    assert len(pids) == 2
    if number == signal.SIGKILL:
        process.kill()
    else:
        os.killpg(process.pid, number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    for _ in range(100):
        if not any(alive(pid) for pid in pids):
            break
        time.sleep(0.1)
    assert not any(alive(pid) for pid in pids)


def test_a_script_without_a_main_guard_works(tmp_path: Path) -> None:
    """Workers do not run the user's script again, as multiprocessing's would."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(ROOT)!r})
        print("script runs")
        from attnviz_video.export.coders import PngCoder
        from attnviz_video.export.paint_pool import PaintPool
        from tests.export.test_paint_pool import SMALL
        from tests.render.made import Made, make_scores
        with PaintPool(make_scores(Path({str(tmp_path)!r}), Made()), SMALL, PngCoder(), range(6), 2) as pool:
            print(len(list(pool)))
        """)
    )
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (run.stdout, run.stderr) == ("script runs\n6\n", "")


def video(scores: Scores, **export: Any) -> Video:
    settings = ExportSettings(**export)
    return Video(
        scores, FramePainter(scores, SMALL), plan_schedule(scores.trace, scores.steps, settings), SMALL, settings,
        video_metadata(scores.trace.header, 0),
    )  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_all(folder: Path, made: Video, kinds: Sequence[Any] = ("mp4", "webp", "gif", "png")) -> dict[str, bytes]:
    for kind in kinds:
        made.write(Output(kind, folder / ("x_frames" if kind == "png" else f"x.{kind}")), print, lambda written: None)
    return files(folder)


def test_all_outputs_are_the_same_from_one_process_and_from_several(scores: Scores, tmp_path: Path) -> None:
    alone = write_all(tmp_path / "1", video(scores, pace="word"))
    together = write_all(tmp_path / "2", video(scores, pace="word", render_workers=2))
    assert alone.keys() == together.keys()
    assert all(together[name] == content for name, content in alone.items())
    assert {"x.mp4", "x.webp", "x.gif", "x_frames/frames.json"} <= alone.keys()


def test_frames_shown_are_those_of_the_schedule(scores: Scores, tmp_path: Path) -> None:
    from PIL import Image

    made = video(scores, pace="word")
    made.write(Output("png", tmp_path / "x"), print, lambda written: None)
    for number, frame in enumerate(made.schedule.frames, start=1):
        with Image.open(tmp_path / "x" / f"frame_{number:05d}.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture), made.painter.frame(frame))
