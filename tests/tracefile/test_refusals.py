"""What a recorder may not hand over, and what a trace cannot keep."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.core.step import PromptRows, Step
from attnviz_video.core.trace import TraceHeader
from attnviz_video.errors import TraceError
from attnviz_video.tracefile.coding import from_json, parse, to_json, to_line
from attnviz_video.tracefile.place import is_trace, partial_of
from attnviz_video.tracefile.read import open_trace
from tests.tracefile.made import Made, made

MADE = made(3, n_heads=2, head_layers=(0, 1), query_rows="all")
ROWS = MADE.steps[0].rows
assert ROWS is not None


def changed(step: Step, **info: Any) -> Step:
    return replace(step, info=replace(step.info, **info))


def with_rows(step: Step, **rows: Any) -> Step:
    return replace(step, rows=replace(ROWS, **rows))


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (MADE.steps[1], "step 1 was added where step 0 is next"),
        (replace(MADE.steps[0], rows=None), "step 0: recorded is True, but it comes without rows"),
        (changed(MADE.steps[0], recorded=False), "step 0: recorded is False, but it comes with rows"),
        (changed(MADE.steps[0], scalars=None), "step 0 comes without the scalars that the header announces"),
        (
            changed(MADE.steps[0], scalars=replace(MADE.steps[0].info.scalars, image_share=np.zeros((3, 2, 2), "f4"))),
            r"step 0: scalars of shape \[\(3, 2\)\] and \(3, 2, 2\), expected \(3, 2\) and \(3, 2, 1\)",
        ),
        (
            with_rows(MADE.steps[0], heads={0: ROWS.heads[0]}),
            r"rows of layers \[0\] and means of layers \[0, 1, 2\], the header announces \[0, 1\] and \[0, 1, 2\]",
        ),
        (
            with_rows(MADE.steps[0], heads={0: ROWS.heads[0], 1: ROWS.heads[1][:, 3:]}),
            r"step 0, layer 1: row has 17 keys, layout says 20 \(prompt 20 \+ 0 generated\)",
        ),
        (
            with_rows(MADE.steps[0], heads={0: ROWS.heads[0], 1: ROWS.heads[1][:1]}),
            "step 0, layer 1: 1 heads, the header announces 2",
        ),
    ],
)
def test_a_step_that_was_not_announced_is_refused(tmp_path: Path, step: Step, sentence: str) -> None:
    with MADE.writer(tmp_path / "trace") as writer, pytest.raises(TraceError, match=sentence):
        writer.add(step)


@pytest.mark.parametrize(
    ("recording", "sentence"),
    [
        (replace(MADE, images=()), "0 image files for the 1 images of the layout"),
        (replace(MADE, tokens=MADE.tokens[:19]), "19 prompt tokens for the 20 prompt positions"),
        (
            replace(MADE, tokens=(MADE.tokens[1], *MADE.tokens[1:])),
            r"prompt token 0 has position, image, patch \(1, -1, -1\), the layout says \(0, -1, -1\)",
        ),
        (
            replace(MADE, header=replace(MADE.header, generation={"dtype": {"x": [np.dtype("f4")]}})),
            r"header.generation.dtype.x\[0\] is a .*DType, which a trace cannot keep; pass text, numbers",
        ),
    ],
)
def test_a_recording_that_contradicts_itself_is_refused_and_leaves_nothing(
    tmp_path: Path, recording: Made, sentence: str
) -> None:
    with pytest.raises(TraceError, match=sentence):
        recording.writer(tmp_path / "trace")
    assert list(tmp_path.iterdir()) == []


HeaderChange = Callable[[TraceHeader], TraceHeader]


@pytest.mark.parametrize(
    ("tokens", "change", "sentence"),
    [
        (MADE.answer[:2], lambda h: h, "2 answer tokens for 3 steps"),
        (MADE.answer[1:] + MADE.answer[:1], lambda h: h, "answer token 0 has position 21, expected 20"),
        (
            (replace(MADE.answer[0], id=7), *MADE.answer[1:]),
            lambda h: h,
            "answer token 0 has id 7, step 0 produced 1000",
        ),
        (
            MADE.answer,
            lambda h: replace(h, mean_layers=(0,)),
            r"final header says mean_layers \(0,\), the recording began with \(0, 1, 2\)",
        ),
    ],
)
def test_a_completion_that_contradicts_the_recording_is_refused(
    tmp_path: Path, tokens: tuple[Any, ...], change: HeaderChange, sentence: str
) -> None:
    writer = MADE.writer(tmp_path / "trace")
    for rows in MADE.prompt_rows:
        writer.add_prompt_rows(rows)
    for step in MADE.steps:
        writer.add(step)
    with writer, pytest.raises(TraceError, match=sentence):
        writer.complete(tokens, change(MADE.header))
    assert open_trace(tmp_path / "trace").status == "failed"


def test_prompt_rows_are_all_there_and_as_announced(tmp_path: Path) -> None:
    first = MADE.prompt_rows[0]
    with MADE.writer(tmp_path / "trace") as writer:
        writer.add_prompt_rows(first)
        with pytest.raises(TraceError, match="the prompt rows of layer 0 were added twice"):
            writer.add_prompt_rows(first)
        with pytest.raises(TraceError, match=r"prompt rows of layer 2 have shape .* of one of the layers \[0, 1\]"):
            writer.add_prompt_rows(replace(first, layer=2))
        with pytest.raises(TraceError, match=r"layer 1 have shape \(2, 20, 20\), expected \(2, 19, 20\)"):
            writer.add_prompt_rows(PromptRows(1, np.zeros((2, 20, 20), np.float32)))
        with pytest.raises(TraceError, match=r"the prompt rows of the layers \[1\] are missing"):
            writer.complete((), MADE.header)
    with made(1).writer(tmp_path / "other") as writer, pytest.raises(TraceError, match='says query_rows "answer"'):
        writer.add_prompt_rows(first)


def test_a_closed_trace_takes_nothing_more(tmp_path: Path) -> None:
    writer = MADE.writer(tmp_path / "trace")
    writer.fail("enough")
    with pytest.raises(TraceError, match="trace is closed: nothing can be added to it"):
        writer.add(MADE.steps[0])
    writer.fail("again")
    recording = made(0)
    with recording.writer(tmp_path / "trace") as writer:
        writer.complete((), recording.header)
        writer.fail("too late")
    assert open_trace(tmp_path / "trace").status == "complete"
    assert not is_trace(partial_of(tmp_path / "trace"))


def test_tokens_of_another_answer_do_not_spoil_a_failed_trace(tmp_path: Path) -> None:
    with MADE.writer(tmp_path / "trace") as writer:
        for step in MADE.steps:
            writer.add(step)
        writer.fail("no phrase", tuple(replace(token, id=3) for token in MADE.answer))
    trace = open_trace(tmp_path / "trace")
    assert (trace.status, trace.answer_text) == ("failed", "piece0piece1piece2")


def test_a_failed_trace_takes_a_later_header_of_the_same_rows(tmp_path: Path) -> None:
    later = replace(MADE.header, start=replace(MADE.header.start, phrase="later"), generation={"seed": 7})
    for change, taken in (({}, True), ({"mean_layers": (0,)}, False), ({"generation": {"seed": 1j}}, False)):
        with MADE.writer(tmp_path / "trace") as writer:
            for step in MADE.steps:
                writer.add(step)
            writer.fail("stopped", MADE.answer, replace(later, **change))
        trace = open_trace(tmp_path / "trace")
        assert (trace.status, trace.header) == ("failed", later if taken else MADE.header)


def test_a_step_that_cannot_be_kept_marks_the_trace_as_failed(tmp_path: Path) -> None:
    recording = made(2)
    bad = changed(recording.steps[1])
    object.__setattr__(bad.info, "milliseconds", 1j)
    writer = recording.writer(tmp_path / "trace")
    writer.add(recording.steps[0])
    writer.add(bad)
    with pytest.raises(TraceError, match="step 1.milliseconds is a complex, which a trace cannot keep"), writer:
        writer.complete(recording.answer, recording.header)
    assert open_trace(tmp_path / "trace").status == "failed"


def test_t21_memory_is_bounded_by_a_shard_not_by_the_trace(tmp_path: Path) -> None:
    recording = made(1, grids=((20, 20),), n_heads=64)
    step = recording.steps[0]
    assert step.rows is not None
    n_prompt, rows = recording.layout.n_prompt, step.rows
    per_step = 2 * n_prompt * (64 + 3)
    tracemalloc.start()
    try:
        with recording.writer(tmp_path / "trace") as writer:
            before = tracemalloc.get_traced_memory()[0]
            for number in range(128):
                padded = replace(
                    rows,
                    heads={layer: np.pad(row, ((0, 0), (0, number))) for layer, row in rows.heads.items()},
                    mean={layer: np.pad(row, (0, number)) for layer, row in rows.mean.items()},
                )
                writer.add(replace(changed(step, index=number), rows=padded))
            writing = tracemalloc.get_traced_memory()[1] - before
        trace = open_trace(tmp_path / "trace")
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(128):
            trace.rows.head_rows(number, 1)
        reading = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert len(trace.steps) == 128
    assert writing < 5 * 16 * per_step < 0.65 * 128 * per_step
    assert reading < 3 * 2**20 < 0.5 * 128 * per_step


def test_large_rows_make_shards_of_fewer_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnviz_video.tracefile.format.SHARD_BYTES", 100)
    folder = made(20).write(tmp_path / "trace")
    assert sorted(path.name for path in folder.glob("attn-*")) == [f"attn-0000{n}.safetensors" for n in range(3)]


def test_steps_without_rows_do_not_wait_for_ever(tmp_path: Path) -> None:
    recording = made(300, first_step=300)
    with recording.writer(tmp_path / "trace") as writer:
        for step in recording.steps[:260]:
            writer.add(step)
        assert len(open_trace(tmp_path / "trace").steps) == 256


@dataclass(frozen=True)
class Inner:
    """A noun of the tests."""

    pair: tuple[int, float]
    raw: bytes
    maybe: str | None


@dataclass(frozen=True)
class Outer:
    """Another."""

    inner: tuple[Inner, ...]
    table: dict[str, int]
    flag: bool
    path: Path


@given(
    st.builds(
        Outer,
        inner=st.lists(
            st.builds(
                Inner,
                pair=st.tuples(st.integers(), st.floats(allow_nan=False)),
                raw=st.binary(),
                maybe=st.none() | st.text(st.characters()),
            )
        ).map(tuple),
        table=st.dictionaries(st.text(), st.integers()),
        flag=st.booleans(),
        path=st.sampled_from([Path("a/b"), Path("/")]),
    )
)
def test_dataclasses_come_back_from_their_json(value: Outer) -> None:
    line = to_line(value, "x")
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert from_json(Outer, parse(line, "x"), "x") == value


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("inner", {}, "x.inner: expected a list, found {}"),
        ("inner", [{"pair": [1], "raw": "", "maybe": None}], r"x.inner\[0\].pair: expected a list of 2, found \[1\]"),
        ("inner", [{"pair": [1, 2]}], r"x.inner\[0\]: unknown keys: none; missing keys: maybe, raw"),
        ("inner", [{"pair": [True, 2], "raw": "", "maybe": None}], r"pair\[0\]: expected int, found True"),
        ("inner", [{"pair": [1, 2], "raw": "", "maybe": 4}], r"maybe: expected str, found 4"),
        ("table", [], r"x.table: expected a mapping, found \[\]"),
        ("flag", 0, "x.flag: expected bool, found 0"),
        ("path", "x" * 99, None),
        ("path", ["x" * 99], "x.path: expected Path, found .{40}…; the trace is damaged"),
    ],
)
def test_other_types_are_refused_with_their_place(key: str, value: object, sentence: str | None) -> None:
    table = {"inner": [], "table": {}, "flag": True, "path": "a", key: value}
    if sentence is None:
        from_json(Outer, table, "x")
        return
    with pytest.raises(TraceError, match=sentence):
        from_json(Outer, table, "x")


def test_numbers_that_json_lacks_become_text_and_numpy_numbers_plain() -> None:
    assert to_json([float("inf"), float("nan"), np.float32(0.5), np.int64(3)], "x") == ["inf", "nan", 0.5, 3]
