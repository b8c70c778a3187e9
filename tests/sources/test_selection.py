"""`--samples` and `--shard`: which items of a dataset are done, in which order, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.errors import DatasetError, UsageError
from attnviz_video.sources.dataset import Dataset, ItemRules, open_dataset
from attnviz_video.sources.selection import chosen, parse_shard
from attnviz_video.sources.settings import SourceSettings

IDS = ["CLEVR_000000", "CLEVR_000123", "same", "same", "a,b", "a", "5", "x:y"]


def dataset(n: int = 0) -> Dataset:
    items = [{"id": id, "problem": "?"} for id in IDS] if n == 0 else [{"problem": "?"}] * n
    return Dataset(items, ItemRules(Path("data.json"), ()))


@pytest.mark.parametrize(
    ("samples", "indices"),
    [
        (None, [0, 1, 2, 3, 4, 5, 6, 7]),
        ("0", [0]),
        ("0:3", [0, 1, 2]),
        (":2", [0, 1]),
        ("6:", [6, 7]),
        (":", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("::3", [0, 3, 6]),
        ("1:7:2", [1, 3, 5]),
        ("6:200", [6, 7]),
        ("3,1,2", [3, 1, 2]),
        ("2:5,1,0:4", [2, 3, 4, 1, 0]),
        (" 1 , id: CLEVR_000123 , 0:2 ", [1, 0]),
        ("id:CLEVR_000123,0", [1, 0]),
        ("id:a,b", [4]),
        ("id:a,id:a,b", [5, 4]),
        ("id:a,5", [5]),
        ("id:5,id:x:y", [6, 7]),
    ],
)
def test_items_are_chosen_in_the_order_they_are_named_each_once(samples: str | None, indices: list[int]) -> None:
    assert chosen(dataset(), samples) == tuple(indices)


@pytest.mark.parametrize("samples", ["x", "1;2", "1-3", "1,,2", ",1", "1,", "0:x", "::0:", "CLEVR_000123", "1" * 40])
def test_another_form_is_refused(samples: str) -> None:
    forms = "--samples: expected numbers, ranges and ids such as 0:200,450,id:CLEVR_000123, got '"
    with pytest.raises(UsageError) as caught:
        chosen(dataset(), samples)
    assert str(caught.value).startswith(forms)


def test_what_names_nothing_is_refused() -> None:
    for samples in ("", "  "):
        with pytest.raises(UsageError, match="--samples is empty: expected numbers, ranges and ids such as"):
            chosen(dataset(), samples)
    for samples in ("8:", "5:5", "5:2", "100:200"):
        with pytest.raises(DatasetError, match=rf"--samples {samples} names no item: data\.json has samples 0 to 7$"):
            chosen(dataset(), samples)
    for number in ("8", "-1", "99"):
        with pytest.raises(DatasetError, match=rf"--samples {number} is out of range: data\.json has samples 0 to 7$"):
            chosen(dataset(), f"0,{number}")
    with pytest.raises(UsageError, match="--samples ::0: a step of 0 goes nowhere"):
        chosen(dataset(), "::0")


def test_an_unknown_id_suggests_the_closest() -> None:
    with pytest.raises(DatasetError) as caught:
        chosen(dataset(), "id:CLEVR_00123")
    assert str(caught.value) == "--samples id:CLEVR_00123: not in data.json; did you mean id:CLEVR_000123?"
    with pytest.raises(DatasetError, match=r"id:zzz: not in data\.json; its items have no such id; choose by number$"):
        chosen(dataset(), "id:zzz")


def test_an_id_that_several_items_share_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"--samples id:same: 2 items have this id \(2, 3\); choose by number"):
        chosen(dataset(), "id:same")


def test_faulty_items_may_be_chosen_since_they_fail_by_themselves() -> None:
    broken = Dataset([7, {"id": "x"}], ItemRules(Path("data.json"), ()))
    assert chosen(broken, "0,id:x") == (0, 1)


# --- shards ----------------------------------------------------------------------------------------------------------


def test_a_shard_is_every_nth_item_counted_from_one() -> None:
    assert parse_shard("3/16") == (3, 16)
    assert [chosen(dataset(), None, f"{number}/3") for number in (1, 2, 3)] == [(0, 3, 6), (1, 4, 7), (2, 5)]
    assert chosen(dataset(), "7,6,5", "2/2") == (6,), "of what was chosen, in its order"
    assert chosen(dataset(), "0:2", "3/3") == (), "more parts than items"


@given(st.integers(1, 200), st.integers(1, 40))
def test_shards_hold_every_item_once_and_are_equally_long(n_items: int, count: int) -> None:
    parts = [chosen(dataset(n_items), None, f"{number}/{count}") for number in range(1, count + 1)]
    assert sorted(index for part in parts for index in part) == list(range(n_items))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("shard", ["", "3", "3/", "/16", "a/b", "-1/4", "1/2/3", "1.5/2", "1/4 of", "9" * 50 + "/2"])
def test_a_shard_of_another_form_is_refused(shard: str) -> None:
    with pytest.raises(UsageError, match="--shard: expected i/n such as 3/16, the third of sixteen parts, got '"):
        chosen(dataset(), None, shard)


def test_a_shard_that_does_not_exist_is_refused() -> None:
    counted = r"parts are counted from 1, so 1/16 to 16/16 \(a SLURM array from 1: --array=1-16\)"
    for shard in ("0/16", "17/16"):
        with pytest.raises(UsageError, match=f"--shard {shard}: {counted}"):
            chosen(dataset(), None, shard)
    with pytest.raises(UsageError, match="--shard 0/0: there must be a part"):
        parse_shard("0/0")


def test_an_empty_dataset_has_nothing_to_choose(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text(json.dumps([]), encoding="utf-8")
    empty = open_dataset(SourceSettings(benchmark_json=file))
    assert chosen(empty) == chosen(empty, None, "1/4") == ()
    with pytest.raises(DatasetError, match=r"--samples 0 is out of range: .*data\.json has 0 samples$"):
        chosen(empty, "0")
