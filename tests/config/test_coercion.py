"""One strict coercion: what each type takes, what it refuses, and the sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.config.coercion import Origin, coerce, did_you_mean, shown
from attnviz_video.errors import UsageError

Numbers = tuple[int, ...]
Colours = Literal["red_green", "viridis"]
HERE = Origin("--x")


@pytest.mark.parametrize(
    ("annotation", "value", "wanted"),
    [
        (int, 3, 3),
        (int, "-3", -3),
        (int, " 3 ", 3),
        (int, np.int64(3), 3),
        (float, 3, 3.0),
        (float, "1e-3", 0.001),
        (float, np.float32(0.5), 0.5),
        (bool, True, True),
        (str, "", ""),
        (str, 3, "3"),
        (str | None, None, None),
        (Path, "a/b", Path("a/b")),
        (Path, Path("a"), Path("a")),
        (Colours, "viridis", "viridis"),
        (Numbers, "10,20, -1", (10, 20, -1)),
        (Numbers, "10 20 30", (10, 20, 30)),
        (Numbers, 7, (7,)),
        (Numbers, [1, "2"], (1, 2)),
        (Numbers, [], ()),
        (Numbers | None, None, None),
        (Numbers | Literal["all"], "all", "all"),
        (Numbers | Literal["all"], "1", (1,)),
        (tuple[Path, ...], "a b,c.png", (Path("a b,c.png"),)),
        (tuple[Path, ...], ["a", "b"], (Path("a"), Path("b"))),
    ],
)
def test_accepted(annotation: Any, value: object, wanted: object) -> None:
    found = coerce(annotation, value, HERE)
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("annotation", "value", "sentence"),
    [
        (int, "3.0", "--x: expected a whole number, got '3.0'"),
        (int, 3.0, "--x: expected a whole number, got 3.0"),
        (int, True, "--x: expected a whole number, got true"),
        (int, "²", "--x: expected a whole number, got '²'"),
        (int, "+-3", "--x: expected a whole number, got '+-3'"),
        (int, "", "--x: expected a whole number, got ''"),
        (int, None, "--x: expected a whole number, got nothing"),
        (float, "abc", "--x: expected a number, got 'abc'"),
        (float, "nan", "--x: expected a number, got 'nan'"),
        (float, float("inf"), "--x: expected a number, got inf"),
        (float, 10**400, None),
        (float, "1_0", "--x: expected a number, got '1_0'"),
        (float, False, "--x: expected a number, got false"),
        (bool, "true", "--x: expected true or false, got 'true'"),
        (bool, 1, "--x: expected true or false, got 1"),
        (str, 3.5, "--x: expected text, got 3.5"),
        (str, ["a"], "--x: expected text, got ['a']"),
        (Path, "", "--x: expected a path, got ''"),
        (Path, "a\0b", "--x: expected a path, got 'a\\x00b'"),
        (Path | None, 3, "--x: expected a path, got 3"),
        (Colours, "virdis", "--x: expected one of red_green, viridis, got 'virdis'; did you mean 'viridis'?"),
        (Colours, 3, "--x: expected one of red_green, viridis, got 3"),
        (Numbers, "1,,2", "--x: expected whole numbers such as 20 or 10,20,30, got '1,,2'"),
        (Numbers, "1,2,", "--x: expected whole numbers such as 20 or 10,20,30, got '1,2,'"),
        (Numbers, "", "--x: expected whole numbers such as 20 or 10,20,30, got ''"),
        (Numbers, [1, True], "--x: expected whole numbers such as 20 or 10,20,30, got [1, True]"),
        (Numbers, {"a": 1}, "--x: expected whole numbers such as 20 or 10,20,30, got {'a': 1}"),
        (
            Numbers | Literal["all"],
            "al",
            "--x: expected whole numbers such as 20 or 10,20,30 or all, got 'al'; did you mean 'all'?",
        ),
        (tuple[Path, ...], [], None),
    ],
)
def test_refused(annotation: Any, value: object, sentence: str | None) -> None:
    if value == []:
        assert coerce(annotation, value, HERE) == ()
        return
    with pytest.raises(UsageError) as caught:
        coerce(annotation, value, HERE)
    assert sentence is None or str(caught.value) == sentence


def test_relative_paths_start_from_the_base_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    origin = Origin("x", tmp_path)
    assert coerce(Path, "a", origin) == tmp_path / "a"
    assert coerce(tuple[Path, ...], ["a", "/b"], origin) == (tmp_path / "a", Path("/b"))
    assert coerce(Path, "~/a", origin) == Path("/home/somebody/a")
    assert coerce(Path, "~/a", HERE) == Path("~/a")


def test_a_model_is_a_path_only_where_it_looks_like_one(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "mine").mkdir(parents=True)
    origin = Origin("model_path", tmp_path)
    names = {
        "Qwen/Qwen2-VL-7B-Instruct": "Qwen/Qwen2-VL-7B-Instruct",
        "../mine": str(tmp_path / "../mine"),
        "checkpoints/mine": str(tmp_path / "checkpoints/mine"),
        "/abs": "/abs",
    }
    for given_name, wanted in names.items():
        assert coerce(str | None, given_name, origin, path_or_id=True) == wanted
    assert coerce(str | None, "../mine", HERE, path_or_id=True) == "../mine"


def test_what_is_quoted_stays_short_and_on_one_line() -> None:
    nested: list[object] = ["x" * 50]
    for _ in range(40):
        nested = [nested] * 9  # written out, this would be 9 ** 40 strings
    for value in (nested, "line\nline" * 500, "9" * 5000, 10**400):
        assert len(shown(value)) < 900
        assert "\n" not in shown(value)


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers())))
def test_any_value_is_converted_or_refused_with_a_sentence(value: object) -> None:
    for annotation in (int, float, bool, str, Path, Colours, Numbers, Numbers | Literal["all"] | None):
        sentence = ""
        try:
            coerce(annotation, value, HERE)
        except UsageError as error:
            sentence = str(error)
        assert sentence == "" or sentence.startswith("--x: expected ")
        assert "\n" not in sentence


@given(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
def test_text_and_value_mean_the_same(whole: int, real: float) -> None:
    if len(str(whole)) <= 30:
        assert coerce(int, str(whole), HERE) == coerce(int, whole, HERE)
    assert coerce(float, repr(real), HERE) == coerce(float, real, HERE)


def test_did_you_mean() -> None:
    known = ["--layer_idx", "--gamma"]
    assert did_you_mean("--layer-idx", known) == "; did you mean '--layer_idx'?"
    assert did_you_mean("--LAYER_IDX", known) == "; did you mean '--layer_idx'?"
    assert did_you_mean("--gama", known) == "; did you mean '--gamma'?"
    assert did_you_mean("--zzz", known) == ""
