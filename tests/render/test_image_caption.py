from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz_video.analysis.scores import score
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.layout import TokenLayout
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.image_caption import UNSEEN, ImageCaption, Labels, Share, caption_width, image_captions
from attnviz_video.render.letters import Letters
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.typefaces import Typeface
from attnviz_video.theme import theme
from tests.render.made import Made, make_trace

LOOK = theme("light", 1280, 720)
LETTERS = Letters(Typeface(16), LOOK.color("frame.background"))
LONG = "image 3: a photograph with a name that goes on and on.jpeg"


NAMES = (LONG, "image 3", "3")


def captions(labels: Sequence[Labels], rooms: Sequence[int]) -> list[ImageCaption]:
    """Captions of pictures as wide as their cells, `rooms` pixels each."""
    boxes = [(0, 0, room, 50) for room in rooms]
    return image_captions(labels, boxes, boxes, "row", LOOK, LETTERS)


def wording(labels: Labels, room: int, share: Share) -> tuple[str, str]:
    (found,) = captions([labels], [room])
    return found.label, found.words(share)


def room_for(label: str, words: str) -> int:
    return LETTERS.width(f"{label}  {words}" if label else words)


@settings(max_examples=60)
@given(
    st.text(max_size=80),
    st.integers(0, 900),
    st.floats(0, 1) | st.just(float("nan")),
    st.floats(0, 1),
    st.booleans(),
    st.sampled_from(["", "thumbnail"]),
)
def test_words_never_need_more_room_than_there_is(
    name: str, room: int, share: float, unpainted: float, has_unseen: bool, aside: str
) -> None:
    label, words = wording(Labels((name, "image 3", "3"), has_unseen, aside), room, Share(share, unpainted))
    assert LETTERS.width(label) + LETTERS.width(words) <= room


def test_the_share_outlives_the_name() -> None:
    for label, after in [(LONG, " of the row"), (LONG, ""), ("image 3", " of the row"), ("image 3", ""), ("3", "")]:
        room = room_for(label, f"100.0 %{after}")
        assert wording(Labels(NAMES), room, Share(0.432)) == (label, f"43.2 %{after}")
        assert wording(Labels(NAMES), room - 1, Share(0.432)) != (label, f"43.2 %{after}")
    assert wording(Labels(NAMES), LETTERS.width("100.0 %"), Share(0.432)) == ("", "43.2 %")
    assert wording(Labels((LONG,)), LETTERS.width("image…  100.0 %"), Share(0.432)) == ("image…", "43.2 %")


def test_what_is_shaded_is_told_before_the_name() -> None:
    shaded = Labels(("a picture of the sea.png",), has_unseen=True)
    assert wording(shaded, 1000, Share(0.5))[0] == f"a picture of the sea.png ({UNSEEN[0]})"
    assert wording(shaded, room_for(UNSEEN[1], "100.0 %"), Share(0.5)) == (UNSEEN[1], "50.0 %")
    several = Labels(("tiles: sea.png", "tiles"), has_unseen=True)
    assert wording(several, room_for("tiles", "100.0 %"), Share(0.5)) == ("tiles", "50.0 %")


@pytest.mark.parametrize("aside", ["", "thumbnail"])
@pytest.mark.parametrize("room", range(LETTERS.width("100.0 %"), 900, 9))
def test_from_frame_to_frame_only_the_numbers_change(room: int, aside: str) -> None:
    """With any room: what is not a number is the same with all shares, the widest and the narrowest."""
    (found,) = captions([Labels(NAMES, aside=aside)], [room])
    shares = [Share(1.0, 1.0), Share(0.432, 0.1), Share(0.0001, 0.0), Share(0.0, 0.0), Share(0.05, 0.0001)]
    assert len({re.sub(r"(< )?\d+\.\d", "#", found.words(share)) for share in shares}) == 1


def test_all_pictures_have_one_form() -> None:
    """The narrowest decides; a picture alone would have had more words."""
    labels = [Labels((f"image {number}: a.png", f"image {number}", str(number))) for number in (5, 6)]
    rooms = [room_for("image 5: a.png", "100.0 % of the row"), room_for("6", "100.0 %")]
    assert [one.label for one in captions(labels[:1], rooms[:1])] == ["image 5: a.png"]
    assert [(one.label, one.words(Share(0.5))) for one in captions(labels, rooms)] == [("5", "50.0 %"), ("6", "50.0 %")]
    # Where one name would be a letter and an ellipsis, no picture has one.
    long = [Labels(("a.png",)), Labels((LONG,))]
    rooms = [LETTERS.width("a.png  100.0 %") + 2, LETTERS.width("i…  100.0 %")]
    assert [one.label for one in captions(long, rooms)] == ["", ""]


def test_an_aside_without_room_is_left_out_on_all_frames_rather_than_cut() -> None:
    room = LETTERS.width("100.0 % (100.0 % thumbnail)")
    labels = Labels(("3",), aside="thumbnail")
    (narrow,) = captions([labels], [room - 20])
    assert [narrow.words(Share(0.4, one)) for one in (0.0, 0.2)] == ["40.0 %", "40.0 %"]
    (found,) = captions([labels], [room_for("3", "100.0 % (100.0 % thumbnail)")])
    assert [found.words(Share(0.4, one)) for one in (0.0, 0.2)] == [
        "40.0 % (0.0 % thumbnail)",
        "40.0 % (20.0 % thumbnail)",
    ]


@pytest.mark.parametrize("size", [(1280, 720), (640, 360)])
def test_captions_of_many_images_have_one_form_on_all_frames(tmp_path: Path, size: tuple[int, int]) -> None:
    """Eight images, of which the row has all, hardly anything, or something in between."""

    def row(step: int, layout: TokenLayout) -> np.ndarray:
        weights = np.full(layout.n_prompt + step, 1e-7, dtype=np.float32)
        weights[layout.patch_positions(step % 8)] = 1.0
        weights[layout.patch_positions((step + 1) % 8)] = 0.1 * (step % 3)
        return weights

    trace = make_trace(tmp_path, Made(image_sizes=((640, 480), (300, 400)) * 4, grids=((2, 2),) * 8, row=row))
    scores = score(trace, 0, AnalysisSettings())
    panel = FramePainter(scores, RenderSettings(width=size[0], height=size[1])).images
    forms = set()
    for number in range(scores.n_frames):
        shares = scores.shares(number)
        for place, one in enumerate(panel._captions):
            words = f"{one.label.replace(str(place + 1), 'N', 1)} {one.words(panel._share(place, shares))}"
            forms.add(re.sub(r"(< )?\d+\.\d %", "#", words).replace(f"image{place}", "imageN"))
    assert len(forms) == 1


def test_a_narrow_picture_has_its_caption_in_its_cell() -> None:
    assert caption_width(LETTERS.face) == LETTERS.face.width("image 8  100.0 %")
    (found,) = image_captions([Labels(("x",))], [(190, 0, 210, 50)], [(100, 0, 300, 90)], "row", LOOK, LETTERS)
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
