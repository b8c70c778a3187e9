"""`layers`: what it prints, and how it fails."""

from __future__ import annotations

import json
from typing import Any

import pytest

from attnviz_video import cli
from tests.test_cli import failure


def test_layers_prints_a_table(tiny_checkpoint: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["layers", "--model_path", str(tiny_checkpoint("qwen2_vl"))]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert lines[0].endswith("qwen2_vl: 4 layers, 4 query heads, 2 key-value heads")
    assert lines[-1] == "    3  full  3 or -1  (default)"


def test_layers_as_json(tiny_checkpoint: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["layers", "--model_path", str(tiny_checkpoint("qwen2_vl")), "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert (table["n_heads"], table["n_kv_heads"], table["default_layer"]) == (4, 2, 3)
    assert table["layers"][0] == {"layer": 0, "kind": "full", "legal": True}


def test_layers_of_the_demo_model_with_a_notice(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["layers"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "no --model_path: using the demo model that ships with this program\n"
    assert captured.out.count("\n") == 24
    assert "   20  full  20 or -2  (default)" in captured.out


def test_f18_a_wrong_path_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    message = failure(capsys, ["layers", "--model_path", "/nowhere/model"])
    assert "/nowhere/model" in message
    assert "--model_path" in message
