"""The page of a run as text: what it embeds cannot leave its place, and its policy fits what it holds."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from attnviz_video.errors import EnvironmentFault
from attnviz_video.export.index_page import (
    Card,
    RunNotes,
    address,
    embedded_json,
    index_page,
    visible,
    write_index_page,
)
from attnviz_video.export.thumbnail import SIZE, write_thumbnail

NOTES = RunNotes("run", "model on data.json", "2025-01-02 03:04 UTC", 0, 0, False)
CARD = Card(0, "a", "correct", "How many?", "3", share=0.25, tokens=3, seconds=1.5, kind="generated")


def data_of(page: str) -> dict[str, Any]:
    (found,) = re.findall(r'<script id="run-data" type="application/json">(.*?)</script>', page, re.DOTALL)
    return dict(json.loads(found))


def test_the_data_is_that_of_the_cards() -> None:
    data = data_of(index_page(replace(NOTES, settings=[("Model", "m")]), [CARD, replace(CARD, index=7, share=None)]))
    assert (data["name"], data["left"], data["settings"]) == ("run", 0, [["Model", "m"]])
    assert [card["index"] for card in data["cards"]] == [0, 7]
    assert data["cards"][0] | {"share": None, "index": 7} == data["cards"][1]
    assert (data["cards"][0]["question"], data["cards"][0]["tokens"]) == ("How many?", 3)


@pytest.mark.parametrize("text", ["</script><b>", "<!--<script>", "]]>", "&lt;", "\u2028\u2029", "a\ud83d"])
def test_no_text_ends_its_element(text: str) -> None:
    embedded = embedded_json({"text": text})
    assert re.search(r"[<>&\u2028\u2029]", embedded) is None
    assert embedded.isascii()
    assert json.loads(embedded) == {"text": text}


def test_what_looks_like_a_placeholder_is_left_alone() -> None:
    page = index_page(replace(NOTES, name="{{script}}"), [replace(CARD, question="{{data}} {{style}}")])
    assert data_of(page)["cards"][0]["question"] == "{{data}} {{style}}"
    assert "<title>{{script}}</title>" in page


def test_the_title_is_escaped() -> None:
    assert "<title>&lt;/title&gt;&lt;b&gt;</title>" in index_page(replace(NOTES, name="</title><b>"), [])


def test_the_policy_allows_this_style_and_this_script_alone() -> None:
    page = index_page(NOTES, [CARD])
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', page)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert rules == {
        "default-src": "'none'", "script-src": digest(script), "style-src": digest(style),
        "img-src": "'self' file:", "media-src": "'self' file:", "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip
    # No other machine is named, no attribute holds a style or a script.
    assert re.search(r"https?:|//[a-z]|\bstyle=|\bon\w+=", page.replace(policy, "")) is None


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\r\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\u202eback", "⟨U+202E⟩back"),
        ("\u2066in\u2069 \u200e\u200f\u061c", "⟨U+2066⟩in⟨U+2069⟩ ⟨U+200E⟩⟨U+200F⟩⟨U+061C⟩"),
        ("\x1b[31m\x00\x7f\x9b", "⟨U+001B⟩[31m⟨U+0000⟩⟨U+007F⟩⟨U+009B⟩"),
        ("half \ud83d", "half ⟨U+D83D⟩"),
        ("a\u2028b\ufeff\u200b\u00ad", "a⟨U+2028⟩b⟨U+FEFF⟩⟨U+200B⟩⟨U+00AD⟩"),
        ("中文, עברית, 👩\u200d👧, नि\u200dनि", "中文, עברית, 👩\u200d👧, नि\u200dनि"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("000001-a/video.mp4", "./000001-a/video.mp4"),
        ("a b/c#d?e%f.png", "./a%20b/c%23d%3Fe%25f.png"),
        ("trace_sample0/", "./trace_sample0/"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("中", "./%E4%B8%AD"),
        ("", ""),
        ("/etc/passwd", ""),
        ("//host/a", ""),
        ("a/../../b", ""),
        ("a\nb", ""),
        ("a\ud83d", ""),
    ],
)
def test_links_stay_below_the_page(place: str, found: str) -> None:
    assert address(place) == found


def test_the_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    write_index_page(file, NOTES, [replace(CARD, question="half \ud83d")])
    assert "⟨U+D83D⟩" in data_of(file.read_text(encoding="utf-8"))["cards"][0]["question"]
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_index_page(file, NOTES, [replace(CARD, share=float("nan"))])
    assert data_of(file.read_text(encoding="utf-8"))["cards"][0]["share"] == 0.25
    assert os.listdir(tmp_path) == ["index.html"]


@pytest.mark.parametrize(
    ("size", "small"), [((1920, 1080), (SIZE, 315)), ((1080, 1920), (315, SIZE)), ((64, 32), (64, 32))]
)
def test_a_thumbnail_keeps_the_shape_of_its_poster(
    tmp_path: Path, size: tuple[int, int], small: tuple[int, int]
) -> None:
    Image.new("RGB", size, (200, 30, 30)).save(tmp_path / "poster.png")
    with Image.open(write_thumbnail(tmp_path / "poster.png", tmp_path / "small.webp")) as picture:
        assert (picture.format, picture.size) == ("WEBP", small)
        red, green, blue = picture.convert("RGB").getpixel((10, 10))  # type: ignore[misc]
    assert abs(red - 200) < 6
    assert abs(green - 30) < 6
    assert abs(blue - 30) < 6


def test_a_thumbnail_of_no_picture(tmp_path: Path) -> None:
    (tmp_path / "poster.png").write_bytes(b"no picture")
    with pytest.raises(EnvironmentFault, match=r"cannot read the poster .*poster\.png"):
        write_thumbnail(tmp_path / "poster.png", tmp_path / "small.webp")
    assert os.listdir(tmp_path) == ["poster.png"]
