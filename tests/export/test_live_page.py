"""The live page as text: whole, and allowed to do no more than it has to."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest

from attnviz_video.export.live_page import live_page
from attnviz_video.render.settings import RenderSettings


@pytest.fixture(scope="module")
def page() -> str:
    return live_page()


def between(text: str, opening: str, closing: str) -> str:
    return text.split(opening, 1)[1].split(closing, 1)[0]


def digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_the_policy_allows_the_pages_own_parts_and_its_own_server(page: str) -> None:
    policy = between(page, 'http-equiv="Content-Security-Policy" content="', '"')
    style, program = between(page, "<style>", "</style>"), page.rsplit("<script>", 1)[1].split("</script>")[0]
    assert policy.split("; ") == [
        "default-src 'none'", f"script-src '{digest(program)}'", f"style-src '{digest(style)}'",
        "img-src 'self' data: blob:", "connect-src 'self'", "frame-src 'self'", "media-src 'self'", "base-uri 'none'",
        "form-action 'none'",
    ]  # fmt: skip


def test_nothing_is_left_open_and_nothing_comes_from_elsewhere(page: str) -> None:
    assert "@@" not in page
    assert not re.search(r"\son[a-z]+\s*=\s*[\"']", page), "a handler in the markup would be refused by the policy"
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    assert "innerHTML" not in page
    assert "eval(" not in page


def test_the_page_begins_with_the_asked_look() -> None:
    text = live_page(RenderSettings(colormap="cividis", heat_alpha="flat", grid_lines=False))
    data = json.loads(between(text, '<script type="application/json" id="data">', "</script>"))
    assert data["first"] == {"colormap": "cividis", "heatAlpha": "flat", "grid": False}
    assert {"red_green", "cividis", "reds"} <= data["looks"]["maps"].keys()
    assert len(data["series"]) == 2
