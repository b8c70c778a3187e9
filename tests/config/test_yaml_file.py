"""YAML files: what they may hold, and what is said when they hold something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnviz_video.config.yaml_file import read_yaml
from attnviz_video.errors import UsageError


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "x.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("12:30", "12:30"),
        ("0123", "0123"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("-7", -7),
        ("1e-3", 0.001),
        ("0.5", 0.5),
        (".5", 0.5),
        ("2026-11-21", "2026-11-21"),
        ("", None),
        ("null", None),
        ("~", None),
        ("[10, 20]", [10, 20]),
        ("'3'", "3"),
        ("红色的圆", "红色的圆"),
    ],
)
def test_plain_values_are_those_of_yaml_1_2(tmp_path: Path, text: str, value: object) -> None:
    assert read_yaml(write(tmp_path, f"key: {text}\n")) == {"key": value}


def test_empty_files_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    assert read_yaml(write(tmp_path, "")) == {}
    assert read_yaml(write(tmp_path, "# only a comment\n")) == {}
    assert read_yaml(write(tmp_path, "\ufeffpace: 3\n")) == {"pace": 3}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("gamma: 1\npace: 2\ngamma: 3\n", r"x\.yaml, line 3, column 1: not valid YAML: the key 'gamma' occurs twice"),
        ("a: [1, 2\nb: 3\n", r"x\.yaml, line 2, column 2: not valid YAML: "),
        ("a: !!python/object/apply:os.system ['true']\n", "not valid YAML: could not determine a constructor"),
        ("- a\n- b\n", r"x\.yaml: expected lines of the form `key: value`, got list"),
        ("just text\n", r"x\.yaml: expected lines of the form `key: value`, got str"),
        ("a: 1\n---\nb: 2\n", "not valid YAML: but found another document"),
        ("? [a]\n: 1\n", "not valid YAML: found unhashable key"),
        (b"a: \xff\n", r"x\.yaml: not UTF-8 text \(byte 3\)"),
        ("a: " + "[" * 20_000, "nested too deeply; expected lines of the form `key: value`"),
        ("a: " + "9" * 5000, "not valid YAML: "),
        ("a: \0", "not valid YAML: "),
    ],
)
def test_refused(tmp_path: Path, content: str | bytes, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        read_yaml(write(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_file_missing_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--config .*none\.yaml: cannot be read: No such file or directory"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read_yaml(tmp_path)
