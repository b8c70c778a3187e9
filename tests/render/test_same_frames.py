"""Same trace and same config: the same frames, byte for byte, in another process and in any order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Paints all frames of a planted trace in the order given, and prints their digests in the order of the video.
PAINT = """
import hashlib, sys
from pathlib import Path
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.settings import RenderSettings
from tests.render.made import Made, make_scores, uneven_row

folder, style, order = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
folder.mkdir()
pieces = ("<think>", " red", " Kreis", "，", "红", "", "色", " is", "\\n", " left", ".", " 😀")
made = Made(answer=pieces * 3, image_sizes=((320, 200), (120, 160)), grids=((4, 6), (5, 4)), first_shown=0)
painter = FramePainter(make_scores(folder, made), RenderSettings(width=960, height=540, token_style=style))
numbers = list(range(painter.n_frames))
if order == "backwards":
    numbers.reverse()
digests = {number: hashlib.sha256(painter.frame(number).tobytes()).hexdigest() for number in numbers}
print(painter.n_frames, *[digests[number] for number in sorted(digests)])
"""


@pytest.mark.parametrize("style", ["box", "text"])
def test_two_processes_paint_the_same_frames(tmp_path: Path, style: str) -> None:
    said = []
    for seed, order in (("1", "forwards"), ("2", "backwards")):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", PAINT, str(tmp_path / order), style, order]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.split())
    assert said[0] == said[1]
    assert len(said[0]) == 37
    assert len(set(said[0])) == len(said[0])
