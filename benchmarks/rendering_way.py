"""One way of making a video, run in a process of its own: prints its CPU seconds and its peak memory as JSON."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rendering_trace import GRID, made_trace

from attnviz_video.analysis.scores import score
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.trace import TraceData
from attnviz_video.export.names import Output, video_metadata
from attnviz_video.export.outputs import Video
from attnviz_video.export.schedule import plan_schedule
from attnviz_video.export.settings import ExportSettings
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.settings import RenderSettings

#: Width and height of the older recipe's frames.
OLD_SIDE = 2500
#: Frames per second of its video.
OLD_RATE = 3


def cpu_seconds() -> float:
    """User and system seconds of this process and of the children it has waited for."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def peak_megabytes() -> float:
    """Most memory this process has had. Not `ru_maxrss`, which a child takes over from its parent."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit("this system does not tell how much memory a process takes")


def video_of(trace: TraceData, size: tuple[int, int], **export: Any) -> Video:
    """Everything that comes before the first frame: scores, layout, schedule."""
    scores = score(trace, 0, AnalysisSettings())
    render = RenderSettings(width=size[0], height=size[1])
    settings = ExportSettings(**export)
    schedule = plan_schedule(trace, scores.steps, settings)
    metadata = video_metadata(trace.header, 0)
    return Video(scores, FramePainter(scores, render), schedule, render, settings, metadata)


def write(video: Video, path: Path, kind: Any = "mp4") -> None:
    """One output of a video."""
    video.write(Output(kind, path), lambda words: None, lambda written: None)


def old_recipe(trace: TraceData, path: Path) -> None:
    """Every frame a new Pillow picture, every token drawn anew, all frames in a list, imageio at its defaults."""
    import imageio.v2 as imageio

    font = ImageFont.truetype(
        str(next((Path(__file__).parent.parent / "attnviz_video/render/fonts").glob("DejaVuSans.ttf"))), 32
    )
    picture = Image.open(trace.image_files[0]).convert("RGB").resize((OLD_SIDE // 2, OLD_SIDE // 2))
    n_prompt, patches = trace.n_prompt, trace.layout.patch_positions(0)
    cell_width, cell_height = picture.width / GRID[1], picture.height / GRID[0]
    frames = []
    for step in range(len(trace.steps)):
        row = trace.rows.head_rows(step, 0).mean(axis=0)
        levels = (row - row.min()) / (row.max() - row.min())
        frame = Image.new("RGB", (OLD_SIDE, OLD_SIDE), "white")
        draw = ImageDraw.Draw(frame)
        x, y = 20, 20
        for number in range(step + 1):
            piece = trace.tokens[n_prompt + number].piece.replace("\n", " ")
            level = levels[n_prompt + number] if number < step else 0.0
            color = (0, 0, 255) if number == step else (int(255 * (1 - level)), int(255 * level), 0)
            width = int(draw.textlength(piece, font=font))
            if x + width > OLD_SIDE // 2 - 20:
                x, y = 20, y + 40
            draw.text((x, y), piece, fill=color, font=font)
            x += width
        overlay = Image.new("RGB", picture.size)
        paint = ImageDraw.Draw(overlay)
        for patch, position in enumerate(patches.tolist()):
            left, top = patch % GRID[1] * cell_width, patch // GRID[1] * cell_height
            level = levels[position]
            color = (int(255 * (1 - level)), int(255 * level), 0)
            paint.rectangle((left, top, left + cell_width, top + cell_height), fill=color)
        frame.paste(Image.blend(picture, overlay, 0.45), (OLD_SIDE // 2, 0))
        frames.append(np.array(frame))
    imageio.mimwrite(str(path), frames, fps=OLD_RATE)  # type: ignore[arg-type]


def in_own_process(way: str, n_tokens: int, width: int, height: int) -> dict[str, float]:
    """`{"cpu": seconds, "wall": seconds, "rss": megabytes}` of one way."""
    command = [sys.executable, __file__, way, str(n_tokens), str(width), str(height)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{run.stderr}")
    found: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Run one way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=("ours", "ours_old_rate", "old"))
    parser.add_argument("n_tokens", type=int)
    parser.add_argument("width", type=int)
    parser.add_argument("height", type=int)
    asked = parser.parse_args(argv)
    with TemporaryDirectory() as name:
        folder = Path(name)
        trace = made_trace(folder, asked.n_tokens)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the kernel's peak starts anew
        start, wall = cpu_seconds(), time.perf_counter()
        if asked.way == "old":
            old_recipe(trace, folder / "x.mp4")
        else:
            # The older recipe's video holds every frame once; ours repeats them to 24 a second, unless told otherwise.
            rate = {"fps": OLD_RATE, "hold_end": 0.0} if asked.way == "ours_old_rate" else {}
            write(video_of(trace, (asked.width, asked.height), **rate), folder / "x.mp4")
        spent = {"cpu": cpu_seconds() - start, "wall": time.perf_counter() - wall}
        print(json.dumps({**spent, "rss": peak_megabytes()}))


if __name__ == "__main__":
    main()
