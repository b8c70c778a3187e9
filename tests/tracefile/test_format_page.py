"""docs/trace_format.md says what is written, and version 1 does not change unnoticed."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.tracefile.read import open_trace
from tests.tracefile.made import made

PAGE = (Path(__file__).parents[2] / "docs" / "trace_format.md").read_text("utf-8")

#: The keys of version 1. A change here is a new version of the format.
VERSION_1 = {
    "": "crc32 format schema_version status reason n_steps header layout tokens steps scalars images shards "
    "prompt_rows",
    "header": "model sample rendered_prompt start head_layers heads mean_layers scalar_layers kind query_rows "
    "generation versions created shown_layers",
    "header.model": "id revision model_type config_hash processor_hash template_hash n_layers n_heads n_kv_heads "
    "layer_kinds dtype device attention vocab_size tokenizer_class tokenizer_size",
    "header.sample": "index id problem image_paths answer response boxes extra source",
    "header.start": "phrase found_in first_shown first_step",
    "layout": "n_prompt images grids guessed",
    "layout.images": "name width height sha256",
    "layout.grids": "image rows columns box first_patch area",
    "shards": "file first_step stop_step",
    "shards.file": "name size crc32",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(3, first_step=1, query_rows="all").write(tmp_path_factory.mktemp("page") / "trace")


def keys_of(table: object, path: str) -> str:
    """Keys at `path`; of a list, those of its first item."""
    for part in filter(None, path.split(".")):
        table = table[0] if isinstance(table, list) else table
        assert isinstance(table, dict)
        table = table[part]
    table = table[0] if isinstance(table, list) else table
    assert isinstance(table, dict)
    return " ".join(table)


@pytest.mark.parametrize("path", VERSION_1)
def test_keys_of_the_manifest_are_those_of_version_1(folder: Path, path: str) -> None:
    assert keys_of(json.loads((folder / "manifest.json").read_bytes()), path) == VERSION_1[path]


def test_keys_of_the_tables_are_those_of_version_1(folder: Path) -> None:
    token = json.loads((folder / "tokens.jsonl").read_text().splitlines()[0])
    step = json.loads((folder / "steps.jsonl").read_text().splitlines()[0])
    assert " ".join(token) == "position id raw piece role segment special image patch box"
    assert " ".join(step) == "index token_id log_probability candidates milliseconds recorded"
    assert " ".join(step["candidates"][0]) == "id piece probability"


def test_the_page_names_every_key(folder: Path) -> None:
    for path, keys in VERSION_1.items():
        for key in keys.split():
            assert re.search(rf"[`\"(]{key}[`\"]|\b{key},|, {key}\)", PAGE), f"{path}.{key} is not on the page"


def test_a_reader_written_from_the_page_alone_finds_the_same_rows(folder: Path) -> None:
    """No code of the package, no safetensors library: bytes, JSON, CRC-32."""
    data = (folder / "manifest.json").read_bytes()
    assert data[:11] == b'{"crc32": "'
    assert data[11:19] == b"%08x" % zlib.crc32(data[22:])
    manifest = json.loads(data)
    for entry in [manifest["tokens"], manifest["steps"], manifest["scalars"], *manifest["images"]]:
        assert entry["crc32"] == f"{zlib.crc32((folder / entry['name']).read_bytes()):08x}"
    n_prompt, header = manifest["layout"]["n_prompt"], manifest["header"]

    def tensor(name: str, key: str) -> np.ndarray:
        raw = (folder / name).read_bytes()
        length = int.from_bytes(raw[:8], "little")
        about = json.loads(raw[8 : 8 + length])[key]
        begin, end = (8 + length + offset for offset in about["data_offsets"])
        assert about["dtype"] == "F16"
        return np.frombuffer(raw[begin:end], "<f2").reshape(about["shape"])

    trace = open_trace(folder)
    rows = tensor(manifest["shards"][0]["file"]["name"], "head_rows.2")
    assert rows.shape == (len(header["head_layers"]), len(header["heads"]), n_prompt + 2)
    np.testing.assert_array_equal(rows[0], trace.rows.head_rows(2, 1))
    lower, query = tensor(manifest["prompt_rows"][0]["file"]["name"], "rows_lower"), 7
    first = query * (query + 1) // 2
    np.testing.assert_array_equal(lower[:, first : first + query + 1], trace.rows.prompt_rows(1)[:, query, : query + 1])
    scalars = np.frombuffer((folder / "scalars.f32").read_bytes(), "<f4").reshape(2, 3, 2, 1 + 3)
    stored = trace.steps[2].scalars
    assert stored is not None
    for column, values in enumerate((stored.image_share[..., 0], stored.first_token, stored.entropy, stored.maximum)):
        np.testing.assert_array_equal(scalars[1, ..., column], values)
    boxed = [json.loads(line) for line in (folder / "tokens.jsonl").read_text().splitlines()]
    patches = {token["patch"]: tuple(token["box"]) for token in boxed if token["box"]}
    assert patches == {patch: trace.layout.grids[0].patch_box(patch) for patch in range(12)}
