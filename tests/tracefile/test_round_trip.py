"""What is written is what is read: tokens, layout, steps, rows."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz_video.core.step import PromptRows, StepScalars
from attnviz_video.core.trace import RowStore
from attnviz_video.files import crc32
from attnviz_video.tracefile.place import is_trace
from attnviz_video.tracefile.read import incomplete_notice, open_trace, verify_trace
from tests.tracefile.made import Made, made, with_row

#: Of rounding to float16: relative for normal numbers, absolute for the smallest.
RELATIVE, ABSOLUTE = 2.0**-11, 2.0**-25


def assert_equal_scalars(found: StepScalars | None, wanted: StepScalars | None) -> None:
    assert (found is None) == (wanted is None)
    if found is not None and wanted is not None:
        for name in ("image_share", "first_token", "entropy", "maximum"):
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))


def assert_same(recording: Made, folder: Path) -> None:
    trace = open_trace(folder)
    assert trace.status == "complete"
    assert incomplete_notice(trace) is None
    assert trace.header == recording.header
    assert trace.tokens == recording.tokens
    assert (trace.layout.images, trace.layout.grids) == (recording.layout.images, recording.layout.grids)
    np.testing.assert_array_equal(trace.layout.image_of, recording.layout.image_of)
    np.testing.assert_array_equal(trace.layout.patch_of, recording.layout.patch_of)
    assert tuple(file.read_bytes() for file in trace.image_files) == recording.images
    assert len(trace.steps) == len(recording.steps)
    for found, wanted in zip(trace.steps, recording.steps, strict=True):
        assert_equal_scalars(found.scalars, wanted.info.scalars)
        assert replace(found, scalars=None).__dict__ == replace(wanted.info, scalars=None).__dict__
        if wanted.rows is not None:
            for layer, rows in wanted.rows.heads.items():
                np.testing.assert_array_equal(trace.rows.head_rows(found.index, layer), rows.astype(np.float16))
            for layer, row in wanted.rows.mean.items():
                np.testing.assert_array_equal(trace.rows.mean_row(found.index, layer), row.astype(np.float16))
    for part in recording.prompt_rows:
        np.testing.assert_array_equal(trace.rows.prompt_rows(part.layer), part.heads.astype(np.float16))


@given(
    n_steps=st.integers(0, 40),
    grids=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), max_size=2),
    n_heads=st.integers(1, 3),
    n_layers=st.integers(1, 3),
    first=st.integers(0, 40),
    data=st.data(),
)
@settings(max_examples=25)
def test_every_shape_comes_back(
    n_steps: int, grids: list[tuple[int, int]], n_heads: int, n_layers: int, first: int, data: st.DataObject
) -> None:
    head_layers = tuple(data.draw(st.sets(st.integers(0, n_layers - 1))))
    heads = tuple(sorted(data.draw(st.sets(st.integers(0, n_heads - 1), min_size=1))))
    recording = made(
        n_steps, grids=tuple(grids), n_heads=n_heads, n_layers=n_layers, head_layers=head_layers, heads=heads,
        first_step=first, query_rows=data.draw(st.sampled_from(["answer", "all"])),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        assert_same(recording, recording.write(Path(folder) / "trace"))


def test_disk_rows_are_a_row_store_of_float32(tmp_path: Path) -> None:
    trace = open_trace(made(head_layers=(0, 2), heads=(1,)).write(tmp_path / "trace"))
    assert isinstance(trace.rows, RowStore)
    assert trace.rows.head_rows(3, 2).dtype == trace.rows.mean_row(3, 2).dtype == np.float32
    assert trace.rows.head_rows(3, 2).shape == (1, trace.n_prompt + 3)


def test_one_head_is_its_line_of_the_stored_heads(tmp_path: Path) -> None:
    from attnviz_video.tracefile.disk_rows import DiskRows

    rows = open_trace(made(n_heads=5, heads=(1, 4)).write(tmp_path / "trace")).rows
    assert isinstance(rows, DiskRows)
    np.testing.assert_array_equal(rows.head_row(2, 1, 4), rows.head_rows(2, 1)[1])


def test_t13_float16_error_is_bounded_and_row_sums_are_kept(tmp_path: Path) -> None:
    recording = made(1, grids=((40, 50),), n_heads=4)
    n_keys = recording.layout.n_prompt
    sink = np.full((4, n_keys), 0.15 / (n_keys - 1), dtype=np.float32)
    sink[:, 0] = 0.85
    tail = np.geomspace(1e-9, 1.0, n_keys, dtype=np.float32)
    sink[3] = tail / tail.sum()
    recording = with_row(recording, 0, 1, sink)
    found = open_trace(recording.write(tmp_path / "trace")).rows.head_rows(0, 1)
    assert np.all(np.abs(found - sink) <= RELATIVE * sink + ABSOLUTE)
    np.testing.assert_allclose(found.sum(-1), 1.0, atol=RELATIVE + n_keys * ABSOLUTE)
    assert np.count_nonzero(found[:3]) == 3 * n_keys


def test_rows_that_are_not_numbers_are_kept_as_they_are(tmp_path: Path) -> None:
    recording = made(2)
    rows = np.zeros((2, recording.layout.n_prompt + 1), dtype=np.float32)
    rows[0, :4] = [np.nan, np.inf, -np.inf, -0.5]
    rows[1, 0] = 1e9
    folder = with_row(recording, 1, 1, rows).write(tmp_path / "trace")
    found = open_trace(folder).rows.head_rows(1, 1)
    np.testing.assert_array_equal(found[0], rows[0])
    assert found[1, 0] == np.inf
    assert verify_trace(folder).n_recorded == 2


def test_prompt_rows_that_look_ahead_are_kept_whole(tmp_path: Path) -> None:
    recording = made(1, query_rows="all")
    rows = np.random.default_rng(1).random(recording.prompt_rows[0].heads.shape).astype(np.float32)
    recording = replace(recording, prompt_rows=(PromptRows(1, rows),))
    found = open_trace(recording.write(tmp_path / "trace")).rows.prompt_rows(1)
    np.testing.assert_array_equal(found, rows.astype(np.float16))


def test_causal_prompt_rows_take_half_the_room(tmp_path: Path) -> None:
    recording = made(1, grids=((12, 12),), query_rows="all")
    folder = recording.write(tmp_path / "trace")
    assert (folder / "prompt-00001.safetensors").stat().st_size < 0.6 * recording.prompt_rows[0].heads.size * 2


def test_start_point_found_in_the_answer_is_the_one_read_back(tmp_path: Path) -> None:
    from attnviz_video.core.trace import StartPoint

    recording = made(5, first_step=3)
    final = replace(recording.header, start=StartPoint("red", "answer", recording.layout.n_prompt + 3, 3))
    with recording.writer(tmp_path / "trace") as writer:
        for step in recording.steps:
            writer.add(step)
        writer.complete(recording.answer, final)
    assert open_trace(tmp_path / "trace").header.start == final.start


def test_only_a_folder_with_our_manifest_is_a_trace(tmp_path: Path) -> None:
    folder = made(1).write(tmp_path / "trace")
    other = tmp_path / "other"
    other.mkdir()
    (other / "manifest.json").write_text('{"name": "a web page"}')
    assert [is_trace(path) for path in (folder, other, tmp_path, tmp_path / "nowhere")] == [True, False, False, False]


def test_verify_trace_reads_everything_and_counts_it(tmp_path: Path) -> None:
    summary = verify_trace(made(20, first_step=2, query_rows="all").write(tmp_path / "trace"))
    assert (summary.status, summary.n_steps, summary.n_recorded, summary.n_shards) == ("complete", 20, 18, 2)
    sizes = [file.stat().st_size for file in summary.folder.iterdir() if file.name != "manifest.json"]
    assert summary.n_bytes == sum(sizes)


def test_reading_a_trace_imports_neither_torch_nor_pillow(tmp_path: Path) -> None:
    folder = made(3).write(tmp_path / "trace")
    code = (
        "import sys; from pathlib import Path; from attnviz_video.tracefile.read import open_trace, verify_trace\n"
        f"folder = Path({str(folder)!r}); verify_trace(folder); open_trace(folder).rows.head_rows(2, 1)\n"
        "print(sorted({'torch', 'transformers', 'PIL', 'matplotlib'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_files_stay_within_15_percent_of_the_raw_rows(tmp_path: Path) -> None:
    """As a 7B model with 28 layers and heads and 2 000 positions is recorded by default."""
    recording = made(32, grids=((44, 44),), n_heads=28, n_layers=28, head_layers=(20,))
    folder = recording.write(tmp_path / "trace")
    n_prompt = recording.layout.n_prompt
    raw = sum(2 * (n_prompt + step) * (28 + 28) for step in range(32))
    written = sum(file.stat().st_size for file in folder.iterdir())
    assert raw < written < 1.15 * raw


@pytest.mark.slow
def test_a_random_row_takes_less_than_a_millisecond(tmp_path: Path) -> None:
    trace = open_trace(
        made(64, grids=((40, 50),), n_heads=8, n_layers=4, head_layers=(0, 1, 2, 3)).write(tmp_path / "t")
    )
    rng = np.random.default_rng(0)
    for step in range(64):
        trace.rows.head_rows(step, 0)
    times = []
    for step, layer in zip(rng.integers(0, 64, 200), rng.integers(0, 4, 200), strict=True):
        begin = time.perf_counter()
        trace.rows.mean_row(int(step), int(layer))
        times.append(time.perf_counter() - begin)
    assert np.median(times) < 1e-3


def test_the_layers_to_show_are_kept_in_their_order(tmp_path: Path) -> None:
    folder = made(2, head_layers=(0, 1, 2), shown_layers=(2, 0)).write(tmp_path / "trace")
    assert open_trace(folder).header.shown_layers == (2, 0)


@pytest.mark.parametrize(
    "later",
    [b',"shown_layers":[]', b',"vocab_size":0,"tokenizer_class":"","tokenizer_size":0'],
    ids=["layers", "words"],
)
def test_a_manifest_from_before_a_key_was_added_is_read(tmp_path: Path, later: bytes) -> None:
    file = made(2).write(tmp_path / "trace") / "manifest.json"
    before = open_trace(file.parent).header
    whole = file.read_bytes()[22:]
    body = whole.replace(later, b"")
    assert len(body) == len(whole) - len(later)
    file.write_bytes(b'{"crc32": "%08x",\n' % crc32(body) + body)
    assert open_trace(file.parent).header == before
