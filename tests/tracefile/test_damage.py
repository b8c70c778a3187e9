"""FAULTS 26: a damaged trace is refused with a reason; wrong data is never shown."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from attnviz_video.errors import TraceError
from attnviz_video.files import crc32
from attnviz_video.tracefile import format as fmt
from attnviz_video.tracefile.disk_rows import DiskRows
from attnviz_video.tracefile.manifest import crc_text, decode_manifest, load_manifest, save_manifest
from attnviz_video.tracefile.read import open_trace, verify_trace
from tests.tracefile.made import made


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete trace with a file of every kind and two shards; 22 tokens of prompt."""
    return made(20, query_rows="all").write(tmp_path_factory.mktemp("whole") / "trace")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "trace"))


def forge(folder: Path, name: str, data: bytes) -> None:
    """Replace a file and its checksum, so that only what it says can be wrong."""
    (folder / name).write_bytes(data)
    manifest = load_manifest(folder)
    entry = fmt.FileEntry(name, len(data), crc_text(crc32(data)))
    for key, known in (("tokens", fmt.TOKENS), ("steps", fmt.STEPS), ("scalars", fmt.SCALARS)):
        if name == known:
            manifest = replace(manifest, **{key: entry})
    shards = tuple(replace(shard, file=entry) if shard.file.name == name else shard for shard in manifest.shards)
    parts = tuple(replace(part, file=entry) if part.file.name == name else part for part in manifest.prompt_rows)
    save_manifest(folder, replace(manifest, shards=shards, prompt_rows=parts))


@pytest.mark.parametrize("flips", [12, pytest.param(120, marks=pytest.mark.slow)])
def test_every_flipped_bit_is_found(folder: Path, flips: int) -> None:
    rng = random.Random(0)
    for file in sorted(folder.iterdir()):
        data = file.read_bytes()
        places = rng.sample(range(len(data)), min(flips, len(data)))
        for place in {*places, 0, len(data) - 1}:
            flipped = data[place] ^ (1 << rng.randrange(8))
            file.write_bytes(data[:place] + bytes([flipped]) + data[place + 1 :])
            with pytest.raises(TraceError):
                verify_trace(folder)
        file.write_bytes(data)
    verify_trace(folder)


def test_every_flipped_bit_of_the_manifest_is_found(folder: Path) -> None:
    data = (folder / "manifest.json").read_bytes()
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :]
        with pytest.raises(TraceError):
            decode_manifest(changed, "manifest.json")


def test_every_cut_and_every_addition_is_found(folder: Path) -> None:
    for file in sorted(folder.iterdir()):
        data = file.read_bytes()
        for changed in (b"", data[:1], data[: len(data) // 2], data[:-1], data + b"\n", data + data):
            file.write_bytes(changed)
            with pytest.raises(TraceError):
                open_trace(folder)
        file.write_bytes(data)


def test_a_damaged_shard_is_named_when_it_is_first_used(folder: Path) -> None:
    shard = folder / "attn-00001.safetensors"
    data = shard.read_bytes()
    shard.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    trace = open_trace(folder)
    trace.rows.head_rows(0, 1)
    with pytest.raises(TraceError, match=r"shard 1 \(attn-00001.safetensors\) damaged \(CRC\).*copy it again"):
        trace.rows.head_rows(16, 1)
    open_trace(folder, verify=False).rows.head_rows(16, 1)


def test_a_shard_that_changes_after_it_was_closed_is_checked_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attnviz_video.tracefile.checked.OPEN_SHARDS", 1)
    trace = open_trace(folder)
    trace.rows.head_rows(0, 1)
    trace.rows.head_rows(16, 1)
    shard = folder / "attn-00000.safetensors"
    shard.with_suffix(".new").write_bytes(shard.read_bytes()[:-1] + b"\x7f")
    shard.with_suffix(".new").replace(shard)
    with pytest.raises(TraceError, match="shard 0 .* damaged"):
        trace.rows.head_rows(0, 1)


def test_a_damaged_manifest_is_named(folder: Path) -> None:
    manifest = folder / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"n_steps": 20', b'"n_steps": 19'))
    with pytest.raises(TraceError, match=r"manifest.json damaged \(CRC\)"):
        open_trace(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "attn-00001.safetensors").unlink()
    with pytest.raises(TraceError, match=r"shard 1 \(attn-00001.safetensors\) is missing"):
        open_trace(folder)


@pytest.mark.parametrize("name", ["attn-00002.safetensors", "prompt-00000.safetensors", "image-1.png"])
def test_an_extra_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"from elsewhere")
    with pytest.raises(TraceError, match=f"{name} is not in the manifest; the trace was mixed with another one"):
        open_trace(folder)


def test_files_of_others_beside_the_trace_do_no_harm(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    (folder / "video.mp4").write_text("mine too")
    verify_trace(folder)


def test_a_newer_version_is_refused_before_its_checksum_is_looked_at(folder: Path) -> None:
    table = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**table, "schema_version": 3}))
    with pytest.raises(
        TraceError, match=r"written by a newer version of this program \(trace version 3.*up to 2\); update"
    ):
        open_trace(folder)


def test_what_is_not_a_trace_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"is not a trace: manifest.json cannot be read \(No such file"):
        open_trace(tmp_path / "nowhere")
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(TraceError, match="is not the manifest of a trace"):
        open_trace(tmp_path)
    (tmp_path / "manifest.json").write_text("[" * 200_000)
    with pytest.raises(TraceError, match="is not JSON"):
        open_trace(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": "attnviz-trace", "schema_version": "1"}')
    with pytest.raises(TraceError, match="schema_version is '1', expected a whole number"):
        open_trace(tmp_path)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a\\b", "attn-00001.safetensors", "", "nul\x00"])
def test_only_the_names_of_the_format_are_opened(folder: Path, name: str) -> None:
    manifest = load_manifest(folder)
    shard = replace(manifest.shards[0], file=replace(manifest.shards[0].file, name=name))
    save_manifest(folder, replace(manifest, shards=(shard, *manifest.shards[1:])))
    with pytest.raises(TraceError, match=re.escape(f"names the file {name!r} where 'attn-00000.safetensors' belongs")):
        open_trace(folder)


Change = Callable[[fmt.Manifest], fmt.Manifest]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda m: replace(m, n_steps=19), "the shards end at step 20, the manifest counts 19 steps"),
        (lambda m: replace(m, shards=m.shards[:1], n_steps=16), "attn-00001.safetensors is not in the manifest"),
        (
            lambda m: replace(m, shards=(m.shards[0], replace(m.shards[1], first_step=15))),
            "the steps of its shards do not follow each other",
        ),
        (lambda m: replace(m, images=()), "0 image files for 1 images"),
        (lambda m: replace(m, layout=replace(m.layout, grids=())), "its grids have 0 patches, the prompt holds 12"),
        (
            lambda m: replace(m, layout=replace(m.layout, grids=(replace(m.layout.grids[0], rows=10**9),))),
            "20 prompt tokens and 4000000000 patches for a prompt of 20",
        ),
        (lambda m: replace(m, layout=replace(m.layout, n_prompt=21)), "19 answer tokens for 20 steps"),
        (
            lambda m: replace(m, header=replace(m.header, scalar_layers=(0,))),
            r"bytes of scalars for 20 recorded steps of shape \(1, 2, 4\)",
        ),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(folder: Path, change: Change, sentence: str) -> None:
    save_manifest(folder, change(load_manifest(folder)))
    with pytest.raises(TraceError, match=sentence):
        open_trace(folder)


def test_unknown_and_missing_keys_are_named(folder: Path) -> None:
    body = (folder / "manifest.json").read_bytes().split(b",\n", 1)[1].replace(b'"reason"', b'"raison"')
    data = b'{"crc32": "%s",\n' % crc_text(crc32(body)).encode() + body
    with pytest.raises(
        TraceError, match="unknown keys: raison; missing keys: reason; this is not a trace of version 1"
    ):
        decode_manifest(data, "manifest.json")


def test_a_row_of_wrong_length_is_refused_by_name(folder: Path) -> None:
    tensors = load((folder / "attn-00001.safetensors").read_bytes())
    tensors["head_rows.16"] = np.ascontiguousarray(tensors["head_rows.16"][:, :, :-3])
    forge(folder, "attn-00001.safetensors", save(tensors))
    rows = open_trace(folder).rows
    with pytest.raises(
        TraceError, match=r"step 16, layer 1: row has 33 keys, layout says 36 \(prompt 20 \+ 16 generated\)"
    ):
        rows.head_rows(16, 1)
    rows.head_rows(17, 1)


def test_a_tensor_of_wrong_heads_or_type_or_none_is_refused(folder: Path) -> None:
    tensors = load((folder / "attn-00000.safetensors").read_bytes())
    tensors["head_rows.0"] = np.ascontiguousarray(tensors["head_rows.0"][:, :1])
    tensors["head_rows.1"] = tensors["head_rows.1"].astype(np.float32)
    del tensors["head_rows.2"]
    forge(folder, "attn-00000.safetensors", save(tensors))
    rows = open_trace(folder).rows
    with pytest.raises(TraceError, match=r"'head_rows.0' of shard 0 .* is F16 \(1, 1, 20\), expected F16 \(1, 2, 20\)"):
        rows.head_rows(0, 1)
    with pytest.raises(TraceError, match=r"'head_rows.1' of shard 0 .* is F32"):
        rows.head_rows(1, 1)
    with pytest.raises(TraceError, match="shard 0 .* damaged: it holds no tensor 'head_rows.2'"):
        rows.head_rows(2, 1)


def test_a_shard_that_is_no_safetensors_file_is_refused(folder: Path) -> None:
    forge(folder, "attn-00000.safetensors", b"not one")
    with pytest.raises(TraceError, match="shard 0 .* damaged: no safetensors file"):
        open_trace(folder).rows.mean_row(0, 0)


@pytest.mark.parametrize(
    ("name", "old", "new", "sentence"),
    [
        ("tokens.jsonl", b'"position":3', b'"position":4', "tokens.jsonl, line 4: position 4, expected 3"),
        ("tokens.jsonl", b'"box":null', b'"bax":null', "line 1: expected a token with its box"),
        ("tokens.jsonl", b'"role":"template"', b'"role":"robot"', r"line 1.role: expected one of .*, found 'robot'"),
        ("tokens.jsonl", b'"raw":"3c', b'"raw":"zz', "line 1.raw: expected hexadecimal bytes"),
        ("tokens.jsonl", b'"id":1003', b'"id":1004', "answer token 3 has id 1004, its step 1003"),
        ("tokens.jsonl", b'{"position":0', b'{"position"', "line 1 is not JSON"),
        ("steps.jsonl", b'{"index":3', b'{"index":5', "the steps do not follow each other"),
        ("steps.jsonl", b'"recorded":true', b'"recorded":1', "line 1.recorded: expected bool, found 1"),
        ("steps.jsonl", b'"recorded":true', b'"recorded":false', "bytes of scalars for 19 recorded steps"),
        ("steps.jsonl", b'"probability":0.75', b'"probability":"much"', "expected float, found 'much'"),
        ("steps.jsonl", b'"candidates":[', b'"candidates":["x",', r"candidates\[0\]: expected a mapping, found 'x'"),
    ],
)
def test_a_line_that_says_something_else_is_refused(
    folder: Path, name: str, old: bytes, new: bytes, sentence: str
) -> None:
    data = (folder / name).read_bytes()
    assert old in data
    forge(folder, name, data.replace(old, new, 1))
    with pytest.raises(TraceError, match=sentence):
        open_trace(folder)


def test_fewer_steps_than_the_manifest_counts_are_refused(folder: Path) -> None:
    lines = (folder / "steps.jsonl").read_bytes().splitlines(keepends=True)
    scalars = (folder / "scalars.f32").read_bytes()
    forge(folder, "steps.jsonl", b"".join(lines[:-1]))
    forge(folder, "scalars.f32", scalars[: len(scalars) // 20 * 19])
    with pytest.raises(TraceError, match="19 steps, the manifest counts 20"):
        open_trace(folder)


def test_what_was_not_recorded_is_named_with_the_flag_that_records_it(tmp_path: Path) -> None:
    recording = made(4, head_layers=(1,), n_heads=4, heads=(0, 2), first_step=2)
    rows = open_trace(recording.write(tmp_path / "trace")).rows
    assert isinstance(rows, DiskRows)
    with pytest.raises(
        TraceError, match=r"layer 2 was not recorded head by head \(recorded: 1\); record it with --layers 2"
    ):
        rows.head_rows(2, 2)
    with pytest.raises(TraceError, match=r"layer 9 was not recorded as head mean \(recorded: 0, 1, 2\)"):
        rows.mean_row(2, 9)
    with pytest.raises(TraceError, match=r"head 3 was not recorded \(recorded: 0, 2\); record it with --heads 3"):
        rows.head_row(2, 1, 3)
    with pytest.raises(
        TraceError, match=r"no prompt rows of layer 1 \(prompt rows of layers: none\).*--record_rows all"
    ):
        rows.prompt_rows(1)
    with pytest.raises(
        TraceError, match=r"step 1 has no rows: it comes before the start phrase \(rows from step 2 on\)"
    ):
        rows.head_rows(1, 1)
    for step in (-1, 4):
        with pytest.raises(TraceError, match=f"no step {step}: the trace holds 4 steps, counted from 0 "):
            rows.mean_row(step, 0)
