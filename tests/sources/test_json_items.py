"""FAULTS 1, 2, 3, 5: dataset files that are cut off, oddly encoded or not quite JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attnviz_video.errors import DatasetError
from attnviz_video.sources.json_items import checked_item, read_items

ITEM = {"id": "a", "image": "a.png", "problem": "What?", "answer": "1"}


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "data.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_an_array_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    text = json.dumps([ITEM, ITEM])
    assert read_items(written(tmp_path, text)) == [ITEM, ITEM]
    assert read_items(written(tmp_path, b"\xef\xbb\xbf" + text.encode())) == [ITEM, ITEM]


def test_json_lines_with_blank_lines_and_line_separators_inside_strings(tmp_path: Path) -> None:
    odd = {**ITEM, "problem": "one\u2028two"}
    lines = "\n\n".join(json.dumps(item, ensure_ascii=False) for item in (ITEM, odd, ITEM)) + "\n"
    assert read_items(written(tmp_path, lines)) == [ITEM, odd, ITEM]
    assert read_items(written(tmp_path, json.dumps(ITEM))) == [ITEM]


@pytest.mark.parametrize("content", ["", " \n", "[]", b"\xef\xbb\xbf"])
def test_an_empty_file_has_no_items(tmp_path: Path, content: str | bytes) -> None:
    assert read_items(written(tmp_path, content)) == []


def test_a_cut_off_file_names_file_line_and_column(tmp_path: Path) -> None:
    whole = json.dumps([ITEM, ITEM], indent=1)
    with pytest.raises(
        DatasetError, match=r"data\.json, line 5, column 14: not valid JSON \(.*\); the file may be cut"
    ):
        read_items(written(tmp_path, whole[: whole.index("What?")]))


def test_every_cut_is_a_dataset_error(tmp_path: Path) -> None:
    whole = json.dumps([ITEM, {**ITEM, "n": 1.5}])
    for stop in range(1, len(whole) - 1):
        with pytest.raises(DatasetError, match="not valid JSON"):
            read_items(written(tmp_path, whole[:stop]))


def test_a_faulty_line_of_json_lines_names_its_line(tmp_path: Path) -> None:
    file = written(tmp_path, '{"a": 1}\n\n{"a": 2}\n{"a": 3,\n{"a": 4}\n')
    items = read_items(file)
    assert [checked_item(items[index], index, file)["a"] for index in (0, 1, 3)] == [1, 2, 4]
    with pytest.raises(
        DatasetError, match=r"data\.json, item 2, line 4, column 9: not valid JSON \(.*\); the line may be cut off or"
    ):
        checked_item(items[2], 2, file)


def test_a_faulty_first_line_of_a_jsonl_file_blocks_no_other(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text('{"a": 1,\n{"a": 2}\n' + '{"b": ' * 200_000 + "\n", encoding="utf-8")
    items = read_items(file)
    assert checked_item(items[1], 1, file) == {"a": 2}
    with pytest.raises(DatasetError, match="item 0, line 1, column 9: not valid JSON"):
        checked_item(items[0], 0, file)
    with pytest.raises(DatasetError, match="item 2, line 3: nested too deeply; expected a flat object"):
        checked_item(items[2], 2, file)


def test_a_jsonl_file_may_hold_an_array_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text(json.dumps([ITEM, ITEM], indent=1), encoding="utf-8")
    assert read_items(file) == [ITEM, ITEM]


def test_nesting_without_end(tmp_path: Path) -> None:
    deep = '[{"problem": ' + "[" * 200_000 + "]" * 200_000 + "}]"
    with pytest.raises(DatasetError, match="nested too deeply; expected a list of flat objects"):
        read_items(written(tmp_path, deep))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("1" * 5000, r"a number of 5000 digits; expected numbers of at most 4300$"),
        ("NaN", "NaN is not a JSON number; expected strict JSON$"),
        ("-Infinity", "-Infinity is not a JSON number; expected strict JSON$"),
        ('1, "id": 2', "the key 'id' occurs twice in one object; expected strict JSON$"),
        ('{"a": [{"x": 1, "x": 1}]}', "the key 'x' occurs twice in one object; expected strict JSON$"),
        ("[" * 70 + "]" * 70, "nested more than 60 levels deep; expected a flat object$"),
        ('{"a": ' * 900 + "1" + "}" * 900, "nested more than 60 levels deep; expected a flat object$"),
    ],
)
def test_what_json_does_not_allow(tmp_path: Path, value: str, message: str) -> None:
    file = written(tmp_path, f'[{{"id": {value}}}, {json.dumps(ITEM)}]')
    items = read_items(file)
    with pytest.raises(DatasetError, match=rf"data\.json, item 0: {message}"):
        checked_item(items[0], 0, file)
    assert checked_item(items[1], 1, file) == ITEM, "a faulty item blocks no other"


@pytest.mark.parametrize(
    ("content", "kind"),
    [("[1]", "a number"), ("[[]]", "a list"), ('["x"]', "a string"), ("[null]", "null"), ("true", "true or false")],
)
def test_items_must_be_objects(tmp_path: Path, content: str, kind: str) -> None:
    wanted = f"item 0: expected an object with the keys id, image, problem, answer, got {kind}$"
    file = written(tmp_path, content)
    with pytest.raises(DatasetError, match=wanted):
        checked_item(read_items(file)[0], 0, file)


def test_lone_surrogates_are_replaced_visibly(tmp_path: Path) -> None:
    content = r'[{"problem": "cut \ud83d here", "whole": "\ud83d\ude00", "list": ["\udc00", {"\ud83d": 1}]}]'
    file = written(tmp_path, content)
    item = checked_item(read_items(file)[0], 0, file)
    assert item == {"problem": "cut \ufffd here", "whole": "😀", "list": ["\ufffd", {"\ufffd": 1}]}
    json.dumps(item, ensure_ascii=False).encode("utf-8")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"cannot read .*absent\.json: No such file.*; check --benchmark_json"):
        read_items(tmp_path / "absent.json")
    with pytest.raises(DatasetError, match="cannot read .*: Is a directory; check --benchmark_json"):
        read_items(tmp_path)
    with pytest.raises(DatasetError, match=r"data\.json: not UTF-8 text \(byte 3\); save the file as UTF-8"):
        read_items(written(tmp_path, b'["\xc3\xa9'[:2] + b"a\xff"))
