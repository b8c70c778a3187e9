"""What is said when a run ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnviz_video.batch.schedule import Counts
from attnviz_video.batch.sentences import (
    NextCommands,
    end_line,
    ranges_of,
    stopped_line,
    told_how_to_go_on,
    without_values,
)
from attnviz_video.config import RunConfig
from attnviz_video.errors import DeviceError, DiskFullError, EnvironmentFault, ModelError
from attnviz_video.sources.dataset import open_dataset
from attnviz_video.sources.selection import chosen
from tests.batch.running import settings_of, write_dataset

NEXT = NextCommands(["batch", "a b"], lambda: "what to do")


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (Counts(total=1, done=1), "1 sample: 1 done, in 2.0 s"),
        (Counts(total=2, done=1, failed=1), "2 samples: 1 done, 1 failed (why: r/summary.csv), in 2.0 s; what to do"),
        (Counts(total=2, before=1, unrecorded=1),
         "2 samples: 1 done (1 of them by earlier runs), 1 not recorded, in 2.0 s; what to do"),
        (Counts(total=1, failed_before=1), "1 sample: 0 done, 1 failed (why: r/summary.csv), in 2.0 s; what to do"),
    ],
)  # fmt: skip
def test_the_last_line(counts: Counts, words: str) -> None:
    assert end_line(counts, Path("r"), NEXT, seconds=2.0) == words


def test_a_run_that_recorded_nothing_names_no_videos() -> None:
    counts = Counts(total=1, failed=1)
    told = end_line(counts, Path("r"), NEXT, trace_only=True, seconds=2.0)
    assert told == "1 sample: 0 recorded, 1 failed (why: r/summary.csv), in 2.0 s; what to do"


def test_a_stopped_run_counts_everything_that_is_settled() -> None:
    counts = Counts(total=9, before=1, failed_before=1, recorded_before=1, unrecorded=1, done=1, recorded=1, failed=1)
    assert counts.open == 2
    assert stopped_line(counts, NEXT) == (
        "stopped after 7 of 9 samples; go on with: python visualize_heatmap.py batch 'a b'"
    )


@pytest.mark.parametrize("kind", [DiskFullError, DeviceError, EnvironmentFault])
def test_a_fault_of_the_machine_is_told_with_what_goes_on(kind: type[EnvironmentFault]) -> None:
    with pytest.raises(kind) as caught, told_how_to_go_on(NEXT):
        raise kind("free some space")
    assert type(caught.value) is kind
    assert str(caught.value) == "free some space; then go on with: python visualize_heatmap.py batch 'a b'"


def test_what_the_user_has_to_change_is_told_without_it() -> None:
    with pytest.raises(ModelError, match="^no model$"), told_how_to_go_on(NEXT):
        raise ModelError("no model")


def test_flags_with_values_are_left_out_in_both_forms() -> None:
    words = ["batch", "--samples", "0:3", "--seed", "--samples=4", "--samples_of", "x", "--samples"]
    assert without_values(words, ["--samples"]) == ["batch", "--seed", "--samples_of", "x"]


@pytest.mark.parametrize("indices", [[0], [0, 1, 2], [5, 3, 4, 9, 0], [1, 3, 5]])
def test_ranges_name_the_samples_they_are_made_of(indices: list[int], tmp_path: Path) -> None:
    config: RunConfig = settings_of(write_dataset(tmp_path, [{}] * 10), tmp_path)
    assert list(chosen(open_dataset(config.source), ranges_of(indices))) == sorted(indices)
