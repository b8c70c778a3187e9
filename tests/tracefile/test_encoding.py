"""An encoding on disk: it comes back as it was, old programs refuse it by its version, damage is an error."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnviz_video.core.step import MaskedToken, PromptRows
from attnviz_video.errors import TraceError
from attnviz_video.testing.planted_encoding import planted_encoding, write_encoding
from attnviz_video.tracefile.format import Manifest
from attnviz_video.tracefile.manifest import decode_manifest, encode_manifest, load_manifest, save_manifest
from attnviz_video.tracefile.read import incomplete_notice, open_trace, verify_trace
from attnviz_video.tracefile.write import TraceWriter
from tests.tracefile.made import made

TRACE = planted_encoding()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_encoding(TRACE, tmp_path / "trace")


def test_it_comes_back_as_it_was(folder: Path) -> None:
    found = open_trace(folder)
    assert (found.tokens, found.masked, found.steps) == (TRACE.tokens, TRACE.masked, ())
    assert found.header == TRACE.header
    assert found.is_encoding
    assert (found.n_queries, found.seen_keys(0), found.answer_text) == (12, 12, "")
    for layer in (0, 1):
        np.testing.assert_array_equal(found.rows.prompt_rows(layer), TRACE.rows.prompt_rows(layer))
    summary = verify_trace(folder)
    assert (summary.n_prompt, summary.n_steps, summary.n_shards) == (12, 0, 0)


def test_rows_that_never_look_ahead_are_kept_whole_too(tmp_path: Path) -> None:
    """Half of them would be read as a generation's, without the last query."""
    rows = np.tril(TRACE.rows.prompt_rows(0))
    with TraceWriter.create(tmp_path / "t", TRACE.header, TRACE.layout, TRACE.tokens, ()) as writer:
        for layer in (0, 1):
            writer.add_prompt_rows(PromptRows(layer, rows))
        folder = writer.complete((), TRACE.header)
    np.testing.assert_array_equal(open_trace(folder).rows.prompt_rows(1), rows)


def test_it_alone_is_of_version_2_so_that_old_programs_refuse_it_and_read_all_else(
    folder: Path, tmp_path: Path
) -> None:
    def version(place: Path) -> Any:
        return json.loads((place / "manifest.json").read_bytes())["schema_version"]

    generation = made(2).write(tmp_path / "generation")
    assert (version(folder), version(generation)) == (2, 1)
    assert "masked" not in json.loads((generation / "manifest.json").read_bytes())


def test_the_rows_of_all_queries_have_to_come(tmp_path: Path) -> None:
    rows = TRACE.rows.prompt_rows(0)
    writer = TraceWriter.create(tmp_path / "t", TRACE.header, TRACE.layout, TRACE.tokens, ())
    with writer, pytest.raises(TraceError, match=r"have shape \(2, 11, 12\), expected \(2, 12, 12\)"):
        writer.add_prompt_rows(PromptRows(0, rows[:, :-1]))


def test_a_layer_that_was_left_out_says_which_flag_records_it(folder: Path) -> None:
    rows = open_trace(folder).rows
    with pytest.raises(TraceError, match=r"no rows of layer 7 \(rows of layers: 0, 1\); record them with --layers 7"):
        rows.prompt_rows(7)


def test_an_interrupted_one_is_said_to_be_incomplete(tmp_path: Path) -> None:
    with TraceWriter.create(tmp_path / "t", TRACE.header, TRACE.layout, TRACE.tokens, ()) as writer:
        writer.add_prompt_rows(PromptRows(0, TRACE.rows.prompt_rows(0)))
    notice = incomplete_notice(open_trace(tmp_path / "t"))
    assert notice == "the trace is incomplete: not all layers have rows (its recording failed)"


def test_masks_of_another_text_are_refused(tmp_path: Path) -> None:
    with TraceWriter.create(tmp_path / "t", TRACE.header, TRACE.layout, TRACE.tokens, ()) as writer:
        with pytest.raises(TraceError, match=r"mask tokens at \[12\] in a text of 12 tokens"):
            writer.keep_masked([MaskedToken(12, ())])
        with pytest.raises(TraceError, match=r"mask tokens at \[3, 3\]"):
            writer.keep_masked([MaskedToken(3, ()), MaskedToken(3, ())])


@pytest.mark.parametrize("name", ["manifest.json", "tokens.jsonl", "prompt-00001.safetensors"])
@pytest.mark.parametrize("place", [0.3, 0.6, 0.95])
def test_fault26_a_flipped_byte_is_damage(folder: Path, name: str, place: float) -> None:
    data = bytearray((folder / name).read_bytes())
    data[int(place * len(data))] ^= 0x10
    (folder / name).write_bytes(data)
    with pytest.raises(TraceError):
        verify_trace(folder)


def _changed(folder: Path, **changes: Any) -> Manifest:
    return replace(load_manifest(folder), **changes)


def test_fault26_what_no_encoding_can_be_is_damage(folder: Path) -> None:
    header = load_manifest(folder).header
    save_manifest(folder, _changed(folder, header=replace(header, query_rows="answer")))
    with pytest.raises(TraceError, match="an encoding with 0 steps and query_rows 'answer', expected 0 and 'all'"):
        open_trace(folder)


def test_fault26_masks_in_a_generation_are_damage(tmp_path: Path) -> None:
    folder = made(2).write(tmp_path / "generation")
    with pytest.raises(TraceError, match="mask tokens in a trace that is no encoding"):
        decode_manifest(_with_masks(encode_manifest(load_manifest(folder))), "m")


def test_fault26_an_encoding_of_version_1_is_damage(folder: Path) -> None:
    data = (folder / "manifest.json").read_bytes().replace(b'"schema_version": 2', b'"schema_version": 1')
    with pytest.raises(TraceError, match="an encoding of version 1; they came with 2"):
        decode_manifest(_signed(data[22:]), "m")


def _with_masks(data: bytes) -> bytes:
    return _signed(
        data[22:].replace(b'"prompt_rows": []', b'"prompt_rows": [],\n"masked": [{"position":1,"candidates":[]}]')
    )


def _signed(body: bytes) -> bytes:
    """A manifest with the right checksum."""
    return b'{"crc32": "%08x",\n' % zlib.crc32(body) + body


def test_the_page_tells_of_encodings() -> None:
    page = (Path(__file__).parents[2] / "docs" / "trace_format.md").read_text("utf-8")
    for words in ("## An encoding", "`masked`", "[`heads`, n, n]", "`first` and `second`", "Version 2 added encodings"):
        assert words in page
