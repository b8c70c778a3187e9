from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz_video.analysis.scores import score
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.image_caption import UNSEEN, ImageCaption, Labels, Share, caption_width
from attnviz_video.render.letters import Letters
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.typefaces import Typeface
from attnviz_video.theme import theme
from tests.render.made import Made, make_trace

LOOK = theme("light", 1280, 720)
LETTERS = Letters(Typeface(16), LOOK.color("frame.background"))
LONG = "image 3: a photograph with a name that goes on and on.jpeg"


def caption(names: tuple[str, ...] = (LONG, "image 3", "3"), *, has_unseen: bool = False) -> ImageCaption:
    return ImageCaption(Labels(names, has_unseen), (0, 0, 50, 50), (0, 0, 400, 90), "row", LOOK, LETTERS)


@settings(max_examples=60)
@given(st.text(max_size=80), st.integers(0, 900), st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_words_never_need_more_room_than_there_is(
    name: str, room: int, share: float, unpainted: float, has_unseen: bool
) -> None:
    label, words = caption((name, "image 3", "3"), has_unseen=has_unseen).wording(Share(share, unpainted), room)
    assert LETTERS.width(label) + LETTERS.width(words) <= room


def test_the_share_outlives_the_name() -> None:
    wordings = [(LONG, "43.2 % of the row"), (LONG, "43.2 %"), ("image 3", "43.2 % of the row"), ("image 3", "43.2 %")]
    for label, words in wordings:
        room = LETTERS.width(f"{label}   {words}")
        assert caption().wording(Share(0.432), room) == (label, words)
    assert caption().wording(Share(0.432), LETTERS.width("3   43.2 %")) == ("3", "43.2 %")
    assert caption().wording(Share(0.432), LETTERS.width("43.2 %")) == ("", "43.2 %")


def test_what_is_shaded_is_told_before_the_name() -> None:
    shaded = caption(("a picture of the sea.png",), has_unseen=True)
    assert shaded.wording(Share(0.5), 1000)[0] == f"a picture of the sea.png ({UNSEEN[0]})"
    assert shaded.wording(Share(0.5), LETTERS.width(f"{UNSEEN[1]}   50.0 %")) == (UNSEEN[1], "50.0 %")
    several = caption(("tiles: sea.png", "tiles"), has_unseen=True)
    assert several.wording(Share(0.5), LETTERS.width("tiles   50.0 %")) == ("tiles", "50.0 %")


def test_a_narrow_picture_has_its_caption_in_its_cell() -> None:
    assert caption_width(LETTERS.face) == LETTERS.face.width("image 8  100.0 %")
    found = ImageCaption(Labels(("x",)), (190, 0, 210, 50), (100, 0, 300, 90), "row", LOOK, LETTERS)
    assert 100 <= found._left < 190
    assert 210 < found._right <= 300
    assert found._right - found._left == min(200, caption_width(LETTERS.face))


@pytest.mark.parametrize("names", [("x" * 300, "图像文件名" * 30, "صورة" * 40, "a.png") * 2])
def test_captions_of_many_small_images_with_long_names_do_not_meet(tmp_path: Path, names: tuple[str, ...]) -> None:
    from dataclasses import replace

    sizes = ((640, 480), (300, 800), (2000, 100), (100, 2000)) * 2
    trace = make_trace(tmp_path, Made(image_sizes=sizes, grids=((2, 2),) * 8))
    infos = tuple(replace(info, name=name) for info, name in zip(trace.layout.images, names, strict=True))
    trace = replace(trace, layout=replace(trace.layout, images=infos))
    painter = FramePainter(score(trace, 0, AnalysisSettings()), RenderSettings(width=1280, height=720))
    frame = painter.frame(2)
    boxes = [(one._left, one._top, one._right) for one in painter.images._captions]
    for number, (left, top, right) in enumerate(boxes):
        box = painter.plan.images
        assert box[0] <= left < right <= box[2]
        for other_left, other_top, other_right in boxes[number + 1 :]:
            assert right <= other_left or other_right <= left or abs(top - other_top) > 30
    # Nothing is written in the gaps between the captions of a row.
    row = sorted({(left, right) for left, top, right in boxes if top == boxes[0][1]})
    for (_, right), (left, _) in zip(row, row[1:], strict=False):
        part = frame[boxes[0][1] : boxes[0][1] + 30, right:left]
        assert (part == np.array(LOOK.color("frame.background"))).all()
