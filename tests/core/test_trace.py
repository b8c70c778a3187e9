"""`ModelIdentity`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from attnviz_video.testing.planted import one_hot_row, planted_layout, planted_trace


@pytest.mark.parametrize(
    ("id_", "name"),
    [
        ("Qwen/Qwen2-VL-7B-Instruct", "Qwen/Qwen2-VL-7B-Instruct"),
        ("/home/somebody/secret/my_run/checkpoint-1200/", "my_run/checkpoint-1200"),
        ("../samples/demo_model", "samples/demo_model"),
        ("C:\\models\\mine", "models/mine"),
        ("gpt2", "gpt2"),
        ("/", "/"),
    ],
)
def test_short_name_keeps_the_users_folders_to_themselves(tmp_path: Path, id_: str, name: str) -> None:
    layout = planted_layout(((320, 200),), ((4, 6),))
    model = planted_trace(tmp_path, one_hot_row(layout)).header.model
    assert replace(model, id=id_).short_name == name
