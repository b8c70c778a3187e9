"""Which items of a dataset are done: `--samples 0:200,450,id:CLEVR_000123`, and of these `--shard 3/16`."""

from __future__ import annotations

import difflib
import itertools
import re

from attnviz_video.errors import DatasetError, UsageError
from attnviz_video.sources.dataset import Dataset

_RANGE = re.compile(r"(\d+)?:(\d+)?(?::(\d+))?")
_NUMBER = re.compile(r"-?\d+")
_SHARD = re.compile(r"(\d+)/(\d+)")
_ID = "id:"
_FORMS = "expected numbers, ranges and ids such as 0:200,450,id:CLEVR_000123"
#: Numbers of more digits are no numbers of items.
_LONGEST = 18
#: At most so many commas are looked for inside one id.
_COMMAS = 8


def chosen(dataset: Dataset, samples: str | None = None, shard: str | None = None) -> tuple[int, ...]:
    """The indices of the items to do, in the order they were asked for, each once.

    `samples` is a list of numbers from 0, of ranges `first:stop` or `first:stop:step` (without `stop` itself; one that
    reaches over the end stops there), and of ids of the file after `id:`; None is all items. `shard` is `i/n` with i
    from 1 to n: every n-th of these, beginning with the i-th, so that the n parts hold each item once and differ in
    length by at most one. A part may be empty, a selection may not.

    Raises:
        UsageError: not of this form.
        DatasetError: an item or id that the dataset does not have, or an id that several items share.
    """
    indices = range(len(dataset)) if samples is None else _selected(dataset, samples)
    if shard is None:
        return tuple(indices)
    number, count = parse_shard(shard)
    return tuple(indices)[number - 1 :: count]


def parse_shard(shard: str) -> tuple[int, int]:
    """`3/16` as (3, 16).

    Raises:
        UsageError: no such part, or not of this form.
    """
    found = _SHARD.fullmatch(shard.strip()) if len(shard) <= 2 * _LONGEST else None
    if found is None:
        raise UsageError(f"--shard: expected i/n such as 3/16, the third of sixteen parts, got {shard[:60]!r}")
    number, count = int(found[1]), int(found[2])
    if not 1 <= number <= count:
        named = f"parts are counted from 1, so 1/{count} to {count}/{count}" if count else "there must be a part"
        raise UsageError(f"--shard {shard.strip()}: {named} (a SLURM array from 1: --array=1-{max(count, 1)})")
    return number, count


def _selected(dataset: Dataset, samples: str) -> list[int]:
    pieces = samples.split(",")
    if not samples.strip():
        raise UsageError(f"--samples is empty: {_FORMS}")
    found: dict[int, None] = {}
    while pieces:
        indices, used = _piece(dataset, pieces)
        found |= dict.fromkeys(indices)
        del pieces[:used]
    return list(found)


def _piece(dataset: Dataset, pieces: list[str]) -> tuple[range | list[int], int]:
    """The items that the first of `pieces` names, and how many pieces that took: an id may hold commas."""
    piece = pieces[0].strip()
    if piece.startswith(_ID):
        return _by_id(dataset, pieces)
    if _NUMBER.fullmatch(piece) and len(piece) <= _LONGEST:
        return [_by_number(dataset, int(piece))], 1
    bounds = _RANGE.fullmatch(piece) if len(piece) <= 3 * _LONGEST else None
    if bounds is None:
        raise UsageError(f"--samples: {_FORMS}, got {piece[:60]!r}")
    return _by_range(dataset, piece, *(None if bound is None else int(bound) for bound in bounds.groups())), 1


def _by_number(dataset: Dataset, number: int) -> int:
    if not 0 <= number < len(dataset):
        raise DatasetError(f"--samples {number} is out of range: {dataset.file} has {dataset.range()}")
    return number


def _by_range(dataset: Dataset, piece: str, first: int | None, stop: int | None, step: int | None) -> range:
    if step == 0:
        raise UsageError(f"--samples {piece}: a step of 0 goes nowhere")
    indices = range(len(dataset))[slice(first, stop, step)]
    if not indices:
        raise DatasetError(f"--samples {piece} names no item: {dataset.file} has {dataset.range()}")
    return indices


def _by_id(dataset: Dataset, pieces: list[str]) -> tuple[list[int], int]:
    """The item of an id; the longest run of pieces that is an id of the file, joined by the commas between them."""
    others = itertools.takewhile(lambda piece: not piece.strip().startswith(_ID), pieces[1 : _COMMAS + 1])
    for used in range(1 + len(list(others)), 0, -1):
        wanted = ",".join(pieces[:used]).strip().removeprefix(_ID).strip()
        count = dataset.owners.get(wanted, 0)
        if count > 1:
            several = ", ".join(map(str, dataset.indices_of(wanted)[:5])) + (" …" if count > 5 else "")
            raise DatasetError(f"--samples id:{wanted}: {count} items have this id ({several}); choose by number")
        if count:
            return dataset.indices_of(wanted), used
    wanted = pieces[0].strip().removeprefix(_ID).strip()
    # Each comparison takes a few microseconds, so the closest is sought among the first ids only.
    close = difflib.get_close_matches(wanted[:100], list(dataset.owners)[:20_000], n=1)
    hint = f"did you mean id:{close[0]}?" if close else "its items have no such id; choose by number"
    raise DatasetError(f"--samples id:{wanted[:100]}: not in {dataset.file}; {hint}")
