"""FAULTS 20, 21 and 24: whatever happens to ffmpeg, no file under the final name, no orphan, one clear sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import UInt8

from attnviz_video.errors import DiskFullError, EncoderError, EnvironmentFault
from attnviz_video.export.ffmpeg import FfmpegProcess, count_frames, ffmpeg_exe
from attnviz_video.export.mp4 import VideoMetadata, check_count, write_mp4
from attnviz_video.export.schedule import even_schedule
from attnviz_video.export.settings import ExportSettings

ROOT = Path(__file__).resolve().parents[2]
REAL = ffmpeg_exe()
#: Runs the real ffmpeg; `target` is the file it writes (its last argument), unless it only reads.
WRAPPER = """
import os, signal, subprocess, sys
writing = "libx264" in sys.argv
target = sys.argv[-1]
"""
RUN_REAL = f"code = subprocess.run([{REAL!r}, *sys.argv[1:]]).returncode\n"


def noise(n_frames: int, size: tuple[int, int] = (320, 240)) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Frames that compress badly."""
    generator = np.random.default_rng(0)
    for _ in range(n_frames):
        yield generator.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


def write(folder: Path, n_frames: int = 8) -> Path:
    return write_mp4(
        noise(n_frames), folder / "out.mp4", size=(320, 240), n_frames=n_frames, settings=ExportSettings(),
        metadata=VideoMetadata("title", "comment"),
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An output folder that holds nothing but outputs."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Puts a Python program in ffmpeg's place."""

    def install(program: str) -> None:
        path = tmp_path / "fake_ffmpeg"
        path.write_text(f"#!{sys.executable}\n{WRAPPER}\n{textwrap.dedent(program)}", encoding="utf-8")
        path.chmod(0o755)
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(path))

    return install


def test_the_wrapper_alone_breaks_nothing(folder: Path, fake) -> None:  # type: ignore[no-untyped-def]
    fake(RUN_REAL + "sys.exit(code)")
    assert count_frames(write(folder)) == 64


def test_f21_encoder_missing_in_ffmpeg(folder: Path, fake) -> None:  # type: ignore[no-untyped-def]
    fake("""
        sys.stdin.buffer.read(1000)
        print("[vost#0:0] Unknown encoder 'libx264'", file=sys.stderr)
        print("Error opening output files: Encoder not found", file=sys.stderr)
        sys.exit(8)
    """)
    sentence = (
        r"ffmpeg failed with exit code 8 while writing .*out\.mp4, nothing was kept; its last words: "
        r".*Unknown encoder 'libx264' \| Error opening output files: Encoder not found; "
        r"if it is not the one of imageio-ffmpeg, unset IMAGEIO_FFMPEG_EXE"
    )
    with pytest.raises(EncoderError, match=sentence):
        write(folder)
    assert list(folder.iterdir()) == []


def test_f21_killed_midway(folder: Path, fake) -> None:  # type: ignore[no-untyped-def]
    fake("""
        open(target, "wb").write(b"half")
        sys.stdin.buffer.read(400_000)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    sentence = (
        r"ffmpeg was killed by SIGKILL while writing .*last words: \(none\); lack of memory is the likely cause: "
        r"try a smaller --size; if it is not the one of imageio-ffmpeg, unset IMAGEIO_FFMPEG_EXE$"
    )
    with pytest.raises(EncoderError, match=sentence):
        write(folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "end"),
    [("SIGKILL", "; lack of memory is the likely cause: try a smaller --size"), ("SIGTERM", "")],
)
def test_no_other_ffmpeg_is_suspected_where_none_was_chosen(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: str, end: str
) -> None:
    monkeypatch.delenv("IMAGEIO_FFMPEG_EXE", raising=False)

    def frames() -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        ffmpeg = set(children()) - before
        assert len(ffmpeg) == 1
        os.kill(ffmpeg.pop(), signal.Signals[number])
        yield from noise(50)

    before = set(children())
    with pytest.raises(EncoderError) as caught:
        write_mp4(
            frames(), folder / "out.mp4", size=(320, 240), n_frames=50, settings=ExportSettings(),
            metadata=VideoMetadata("title", "comment"),
        )  # fmt: skip
    said = f"writing {folder}/out.mp4, nothing was kept; its last words: (none){end}"
    assert said in str(caught.value)
    assert str(caught.value).endswith(f"(none){end}")
    assert "IMAGEIO_FFMPEG_EXE" not in str(caught.value)


def test_a_wrong_count_suspects_another_ffmpeg_only_where_one_was_chosen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMAGEIO_FFMPEG_EXE", raising=False)
    path = write(folder)
    sentence = r"has 64 video frames instead of 72; nothing was kept"
    with pytest.raises(EncoderError, match=f"{sentence}$"):
        check_count(path, path, even_schedule(9, ExportSettings()))
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", REAL)
    with pytest.raises(EncoderError, match=f"{sentence}; if it is not the one of imageio-ffmpeg, unset IMAGEIO_"):
        check_count(path, path, even_schedule(9, ExportSettings()))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that holds no files")
def test_a_folder_that_holds_no_files_is_named_before_a_frame_is_painted() -> None:
    def frames() -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        raise AssertionError("a frame was painted")
        yield

    sentence = (
        r"^cannot write /proc/x\.mp4: no file can be made in /proc; choose another place with --output_dir or -o$"
    )
    with pytest.raises(EnvironmentFault, match=sentence):
        write_mp4(
            frames(), Path("/proc/x.mp4"), size=(320, 240), n_frames=5, settings=ExportSettings(),
            metadata=VideoMetadata("title", "comment"),
        )  # fmt: skip


@pytest.mark.parametrize("code", [1, 0])
def test_f21_dies_at_the_trailer(folder: Path, fake, code: int) -> None:  # type: ignore[no-untyped-def]
    """The second case is the one that imageio takes for success: a damaged file, and exit code 0."""
    fake(f"""
        {RUN_REAL.strip()}
        if writing:
            os.truncate(target, os.path.getsize(target) // 2)
            print("Error writing trailer", file=sys.stderr)
            sys.exit({code})
        sys.exit(code)
    """)
    sentence = "failed with exit code 1 .* Error writing trailer" if code else "a video that it cannot read again"
    with pytest.raises(EncoderError, match=sentence):
        write(folder)
    assert list(folder.iterdir()) == []


def test_f21_success_without_a_file(folder: Path, fake) -> None:  # type: ignore[no-untyped-def]
    fake(f"""
        if writing:
            sys.stdin.buffer.read()
            sys.exit(0)
        {RUN_REAL.strip()}
        sys.exit(code)
    """)
    with pytest.raises(EncoderError, match="a video that it cannot read again: .*No such file"):
        write(folder)
    assert list(folder.iterdir()) == []


def test_f21_success_with_frames_missing(folder: Path, fake) -> None:  # type: ignore[no-untyped-def]
    fake(f"""
        if writing:
            sys.argv[1:1] = ["-t", "0.125"]  # of the input, where a frame has one tick: 3 of the 9 frames piped
        {RUN_REAL.strip()}
        sys.stdin.buffer.read()
        sys.exit(code)
    """)
    sentence = r"ffmpeg reported success but .*out\.mp4 has 24 video frames instead of 64; nothing was kept"
    with pytest.raises(EncoderError, match=sentence):
        write(folder)
    assert list(folder.iterdir()) == []


def test_f21_success_without_reading_everything(folder: Path, fake) -> None:  # type: ignore[no-untyped-def]
    fake("sys.stdin.buffer.read(1000); sys.exit(0)")
    with pytest.raises(EncoderError, match="ffmpeg ended early while writing"):
        write(folder, n_frames=50)
    assert list(folder.iterdir()) == []


def test_f21_no_such_program(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(folder.parent / "nowhere"))
    sentence = r"cannot start ffmpeg \(.*nowhere\): No such file or directory; install imageio-ffmpeg again"
    with pytest.raises(EncoderError, match=sentence):
        write(folder)
    assert list(folder.iterdir()) == []


def test_f21_no_ffmpeg_at_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_found() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", none_found)
    with pytest.raises(
        EncoderError, match="no ffmpeg found: install imageio-ffmpeg again, or point IMAGEIO_FFMPEG_EXE"
    ):
        write(folder)


def test_a_talkative_ffmpeg_does_not_block(folder: Path, fake) -> None:  # type: ignore[no-untyped-def]
    """Megabytes on its standard error, before it reads anything: a pipe nobody reads would stop both sides."""
    fake("""
        for _ in range(40_000):
            print("warning " * 10, file=sys.stderr)
        print("the last word", file=sys.stderr)
        sys.stdin.buffer.read()
        sys.exit(1)
    """)
    with pytest.raises(EncoderError, match="the last word; if it is not") as caught:
        write(folder)
    assert len(str(caught.value)) < 1200
    assert "\n" not in str(caught.value)


def test_f20_disk_full_as_ffmpeg_says_it(folder: Path, fake) -> None:  # type: ignore[no-untyped-def]
    fake("""
        sys.stdin.buffer.read(1000)
        print("av_interleaved_write_frame(): No space left on device", file=sys.stderr)
        sys.exit(228)
    """)
    with pytest.raises(DiskFullError, match=r"disk full while writing .*out\.mp4: needs about 24\.6 kB, free "):
        write(folder)
    assert list(folder.iterdir()) == []


def test_f20_file_size_limit(folder: Path) -> None:
    """A real limit (RLIMIT_FSIZE), a real ffmpeg, in a process of its own."""
    program = f"""
        import resource, sys
        from pathlib import Path
        sys.path.insert(0, {str(ROOT)!r})
        from attnviz_video.errors import DiskFullError
        from tests.export.test_encoder_faults import write
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            write(Path({str(folder)!r}), n_frames=30)
        except DiskFullError as error:
            print(error)
    """
    result = run_program(program)
    assert result.stdout.startswith(f"file size limit while writing {folder}/out.mp4: needs about"), result.stderr
    assert result.stdout.endswith("a file may have 100.0 kB (ulimit -f); raise the limit\n")
    assert list(folder.iterdir()) == []


def test_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises((EnvironmentFault, OSError)):
        write(tmp_path / "file")


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, GeneratorExit])
def test_f24_error_in_the_producer_leaves_nothing(folder: Path, error: type[BaseException]) -> None:
    before = set(children())
    during: set[int] = set()

    def frames() -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        yield from noise(2)
        during.update(set(children()) - before)
        raise error

    with pytest.raises((error, RuntimeError)):
        write_mp4(
            iter(frames()), folder / "out.mp4", size=(320, 240), n_frames=5, settings=ExportSettings(),
            metadata=VideoMetadata("title", "comment"),
        )  # fmt: skip
    assert len(during) == 1
    assert set(children()) <= before
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_f24_signal_to_the_whole_group_leaves_no_ffmpeg(folder: Path, number: signal.Signals) -> None:
    """What a terminal does on Ctrl-C: the signal goes to the process group, ffmpeg must not finish the file."""
    program = f"""
        import sys, time
        from pathlib import Path
        sys.path.insert(0, {str(ROOT)!r})
        from attnviz_video.export.mp4 import VideoMetadata, write_mp4
        from attnviz_video.export.settings import ExportSettings
        from attnviz_video.stopping import stop_on_signals
        from tests.export.test_encoder_faults import children, noise

        def frames():
            for frame in noise(1000):
                print(*children(), flush=True)
                yield frame
                time.sleep(0.05)

        with stop_on_signals():
            write_mp4(
                frames(), Path({str(folder)!r}) / "out.mp4", size=(320, 240), n_frames=1000,
                settings=ExportSettings(), metadata=VideoMetadata("title", "comment"),
            )
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True, cwd=ROOT
    )
    assert process.stdout is not None
    ffmpeg = int(process.stdout.readline().split()[-1])
    process.stdout.readline()
    os.killpg(process.pid, number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not alive(ffmpeg)
    assert list(folder.iterdir()) == []


def test_f24_killed_outright_leaves_no_ffmpeg_and_no_result(folder: Path) -> None:
    """After kill -9 ffmpeg sees the end of its input and ends by itself; the final name stays free."""
    program = f"""
        import os, signal, sys
        from pathlib import Path
        sys.path.insert(0, {str(ROOT)!r})
        from attnviz_video.export.ffmpeg import FfmpegProcess
        from tests.export.test_encoder_faults import write
        start = FfmpegProcess.finish
        def finish(self):
            print(self.pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        FfmpegProcess.finish = finish
        write(Path({str(folder)!r}))
    """
    ffmpeg = int(run_program(program).stdout)
    for _ in range(100):
        if not alive(ffmpeg):
            break
        time.sleep(0.1)
    assert not alive(ffmpeg)
    assert not (folder / "out.mp4").exists()


def test_earlier_output_stays_when_the_new_one_fails(folder: Path, fake) -> None:  # type: ignore[no-untyped-def]
    earlier = write(folder).read_bytes()
    fake("sys.stdin.buffer.read(1000); sys.exit(1)")
    with pytest.raises(EncoderError):
        write(folder)
    assert (folder / "out.mp4").read_bytes() == earlier


def test_leaving_the_block_ends_the_process(tmp_path: Path) -> None:
    with FfmpegProcess(["-f", "rawvideo", "-video_size", "2x2", "-i", "-", "-f", "null", "-"], tmp_path, 0) as ffmpeg:
        pid = ffmpeg.pid
        assert alive(pid)
    assert not alive(pid)


def run_program(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def children() -> list[int]:
    """Process ids of this process's children."""
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(word) for word in path.read_text().split()]


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
