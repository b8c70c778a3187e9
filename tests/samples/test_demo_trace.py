"""The shipped trace: whole, small, with everything in it, and free of anybody's folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from attnviz_video.tracefile.read import open_trace, verify_trace

TRACE = Path(__file__).parents[2] / "samples" / "demo_trace"


def test_every_byte_and_row_is_sound() -> None:
    verify_trace(TRACE)


def test_it_holds_all_layers_heads_and_rows_in_four_megabytes() -> None:
    trace = open_trace(TRACE)
    header = trace.header
    assert header.head_layers == header.mean_layers == tuple(range(22))
    assert header.heads == tuple(range(header.model.n_heads))
    assert header.query_rows == "all"
    assert sum(file.stat().st_size for file in TRACE.iterdir()) <= 4_000_000
    rows = trace.rows.prompt_rows(20)
    assert rows.shape == (header.model.n_heads, trace.n_prompt - 1, trace.n_prompt)
    np.testing.assert_allclose(rows.sum(-1), 1.0, atol=2e-3)


def test_it_names_no_folder_of_a_machine() -> None:
    header = open_trace(TRACE).header
    assert header.model.id == "samples/demo_model"
    assert [str(path) for path in header.sample.image_paths] == ["samples/images/scene_00.png"]


def test_the_model_wrote_what_the_readme_shows() -> None:
    assert "red circle" in open_trace(TRACE).answer_text
