"""The fields of a form as browsers send it."""

from __future__ import annotations

from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from starlette.requests import Request

from attnviz_video.serve.form import Fields, clean_name, read_fields


def fields_of(*parts: tuple[str, str]) -> Fields:
    """What is read of a form with these names and values, sent as a browser does."""
    texts = (f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in parts)
    body = ("".join(texts) + "--edge--\r\n").encode()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", b"multipart/form-data; boundary=edge")]
    request = Request({"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}, receive)
    # In a thread of its own: whoever ran before may have left an event loop in this one.
    with start_blocking_portal() as portal:
        return portal.call(read_fields, request)


def test_line_breaks_are_those_that_were_typed() -> None:
    """Browsers send "\\n" in a value of a form as CR LF (WHATWG HTML, "multipart/form-data")."""
    assert fields_of(("prompt", "one\r\ntwo\r\n\r\nthree")).values == {"prompt": "one\ntwo\n\nthree"}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a b.png", "a b.png"), ("C:\\Users\\x\\scan.tiff", "scan.tiff"), ("../../etc/passwd", "passwd"),
        ("红色.png", "红色.png"), ("a\x00\n\u202eb.png", "ab.png"), ("..", "image"), ("", "image"), (None, "image"),
        ("x/", "image"), ("y" * 90 + ".png", f"{'y' * 39}…{'y' * 35}.png"),
    ],
)  # fmt: skip
def test_names_of_pictures_are_names_and_no_paths(sent: str | None, kept: str) -> None:
    assert clean_name(sent) == kept
    assert len(kept) <= 80


def test_words_for_truth_count_only_where_truth_is_asked_for() -> None:
    assert fields_of(("prompt", "true"), ("do_sample", "true")).values == {"prompt": "true", "do_sample": True}
