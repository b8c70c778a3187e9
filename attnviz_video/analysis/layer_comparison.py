"""One query in all layers: from which layer does *chased* look at *cat*?

The query is a word, or the token of a step; its row is the mean over the rows of its tokens. A key is a text, an image
or one patch; its weight is the sum over its tokens (see `analysis.words`). Weights are those of the trace, reduced over
the heads; nothing is renormalised, so every key can be compared from layer to layer.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from attnviz_video.analysis.convention import Convention
from attnviz_video.analysis.heads import HeadReduction, check_recorded, reduce_heads, reduce_rows
from attnviz_video.analysis.tables import position_names
from attnviz_video.analysis.words import Word, find_text, merge_words
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import TraceError, UsageError

#: A key that is not among the words.
FIRST_TOKEN = "first token"
_IMAGE = re.compile(r"image (\d+)", re.IGNORECASE)
#: The name of an image or of something on it.
_IMAGE_PART = re.compile(r"image (\d+)(?: (?:(?:tile|thumbnail|row|col|column|patch)\b.*))?", re.IGNORECASE)
_NUMBERED = re.compile(r"(.+)#(\d+)", re.DOTALL)


@dataclass(frozen=True)
class QueryRows:
    """The query that is compared."""

    #: Its text as one word.
    text: str
    #: Positions of its tokens.
    tokens: tuple[int, ...]
    #: Positions of the queries whose rows are taken, in order.
    queries: tuple[int, ...]
    #: Which of the occurrences of the text it is, and of how many; 1 of 1 for a step.
    occurrence: int = 1
    n_occurrences: int = 1


@dataclass(frozen=True, eq=False)
class KeySet:
    """What is looked at: one or more positions whose weights are summed."""

    label: str
    positions: Int[np.ndarray, "positions"]
    #: How many occurrences of the text are in it.
    n_occurrences: int = 1


@dataclass(frozen=True, eq=False)
class LayerComparison:
    """Weight of every key in every layer."""

    query: QueryRows
    layers: tuple[int, ...]
    keys: tuple[KeySet, ...]
    #: float64; NaN where a weight of the trace is none.
    weights: Float[np.ndarray, "layers keys"] = field(repr=False)

    def first_above(self, threshold: float) -> tuple[int | None, ...]:
        """For each key the first of the layers whose weight is at least `threshold`; None where none is."""
        reached = self.weights >= threshold
        return tuple(self.layers[int(own.argmax())] if own.any() else None for own in reached.T)


def compare_layers(
    trace: TraceData,
    query: QueryRows,
    layers: Sequence[int],
    head: HeadReduction,
    *,
    keys: Sequence[str] = (),
    top_keys: int = 5,
    on_layer: Callable[[int], None] = lambda layer: None,
) -> LayerComparison:
    """The weights of `keys` in `layers`; without keys, of the `top_keys` heaviest in any of these layers.

    A key is a text (all occurrences that the query sees, summed; `cat#2` is the second of them), `image 1` (all of its
    patches), one patch as tables name it (`image 1 row 3 col 4`), or `first token`. Chosen by weight are words and
    whole images; the first token, where attention rests that goes nowhere, is passed over.

    Raises:
        UsageError: a key that the query does not see.
        TraceError: rows were not recorded.
    """
    last = trace.seen_keys(max(query.queries)) - 1
    words = [word for word in merge_words(trace.tokens) if word.first <= last]
    named = [named_key(trace, words, key, last) for key in keys]
    rows = np.zeros((len(layers), last + 1))
    for place, layer in enumerate(layers):
        check_recorded(trace.header, layer, head)
        rows[place] = mean_row(trace, layer, head, query.queries)
        on_layer(layer)
    found = named or heaviest_keys(trace, words, rows, top_keys, last)
    weights = np.stack([rows[:, key.positions].sum(axis=1) for key in found], axis=1)
    return LayerComparison(query, tuple(layers), tuple(found), weights)


def recorded_layers(trace: TraceData, head: HeadReduction) -> tuple[int, ...]:
    """All layers that hold what `head` needs.

    Raises:
        UsageError: the model has no head of that number.
        TraceError: there is none.
    """
    header = trace.header
    layers = sorted({*header.head_layers, *header.mean_layers})
    found = tuple(layer for layer in layers if _is_recorded(trace, layer, head))
    if not found:
        check_recorded(header, layers[0] if layers else 0, head)
        raise TraceError(f"{head} was recorded in no layer of this trace; record again with --layers all")
    return found


def query_of_step(trace: TraceData, step: int, convention: Convention) -> QueryRows:
    """The token of answer step `step` (see `StepInfo.index`) as a query.

    Raises:
        TraceError: the row was not recorded, or there is none.
    """
    query = trace.query_of(step) + (convention == "reading" and not trace.is_encoding)
    position = step if trace.is_encoding else trace.n_prompt + step
    if not _has_row(trace, query):
        why = "it was not recorded" if query < len(trace.tokens) - 1 else "nothing was written after this token"
        raise TraceError(f"token {step + 1} of the answer has no row under --convention {convention}: {why}")
    text = text_label(trace.tokens[position].piece) or position_names(trace)[position]
    return QueryRows(text, (position,), (query,))


def query_of_text(trace: TraceData, text: str, convention: Convention, occurrence: int | None = None) -> QueryRows:
    """The words `text` as a query: its first occurrence in the answer, or in the prompt where it is only there.

    Only occurrences whose rows are in the trace count; `occurrence` picks one of them, numbered from 1.

    Raises:
        UsageError: the text, or that occurrence, is not there.
        TraceError: it is there, and its rows were not recorded.
    """
    words = merge_words(trace.tokens)
    shift = 1 if convention == "predicting" and not trace.is_encoding else 0
    places = find_text(words, text) or _pieces(trace, text)
    if not places:
        raise UsageError(f"--token {text!r}: no such word in this trace{_closest(text, words)}")
    pairs = [(place, tuple(range(place[0] - shift, place[1] - shift))) for place in places]
    found = [(place, queries) for place, queries in pairs if all(_has_row(trace, query) for query in queries)]
    if not found:
        raise TraceError(
            f"--token {text!r} stands only where rows were not recorded (position {places[0][0]}); "
            "record again with --record_rows all"
        )
    if occurrence is not None and not 1 <= occurrence <= len(found):
        raise UsageError(f"--occurrence {occurrence}: {text!r} has {len(found)} with rows; choose 1 to {len(found)}")
    in_answer = next((number for number, (place, _) in enumerate(found) if place[0] >= trace.n_prompt), 0)
    number = in_answer if occurrence is None else occurrence - 1
    (first, stop), queries = found[number]
    return QueryRows(" ".join(text.split()), tuple(range(first, stop)), queries, number + 1, len(found))


def mean_row(trace: TraceData, layer: int, head: HeadReduction, queries: Sequence[int]) -> Float[np.ndarray, "keys"]:
    """Mean over the rows of `queries` at `layer`, as long as the last of them sees; float64.

    Raises:
        TraceError: a row was not recorded.
    """
    size = trace.seen_keys(max(queries))
    rows = [_row(trace, layer, head, query) for query in queries]
    padded = [np.pad(row.astype(np.float64), (0, size - len(row))) for row in rows]
    mean: Float[np.ndarray, "keys"] = np.mean(padded, axis=0)
    return mean


def named_key(trace: TraceData, words: Sequence[Word], key: str, last: int) -> KeySet:
    """The key that a user names; `last` is the last position that the query sees.

    Raises:
        UsageError: the query sees nothing of that name.
    """
    name = " ".join(key.split())
    if name.lower() == FIRST_TOKEN:
        return KeySet(FIRST_TOKEN, np.zeros(1, dtype=np.int64))
    image = _IMAGE.fullmatch(name)
    n_images = len(trace.layout.images)
    if image and 1 <= int(image[1]) <= n_images:
        return _seen(KeySet(name.lower(), trace.layout.patch_positions(int(image[1]) - 1)), last)
    names = position_names(trace)
    patches = [position for position in _patch_positions(trace) if names[position] == name.lower()]
    if patches:
        return _seen(KeySet(name.lower(), np.array(patches)), last)
    places = find_text(words, name)
    numbered = _NUMBERED.fullmatch(name)
    if not places and numbered:
        places = find_text(words, numbered[1])
        if 0 < int(numbered[2]) <= len(places):
            places = places[int(numbered[2]) - 1 : int(numbered[2])]
        elif places:
            more = f" to #{len(places)}" if len(places) > 1 else ""
            raise UsageError(f"--keys {key!r}: the query sees {len(places)} of {numbered[1]!r}; choose #1{more}")
    if not places:
        _refuse_missing_image(trace, key)
        raise UsageError(f"--keys {key!r}: the query sees no such word{_closest(name, words)}")
    positions = np.concatenate([np.arange(first, min(stop, last + 1)) for first, stop in places])
    return KeySet(name, positions, len(places))


def heaviest_keys(
    trace: TraceData, words: Sequence[Word], rows: Float[np.ndarray, "layers keys"], top_keys: int, last: int
) -> list[KeySet]:
    """The `top_keys` words and whole images with the largest weight in any layer, heaviest first."""
    names = position_names(trace)
    found = [
        _seen(KeySet(f"image {image + 1}", trace.layout.patch_positions(image)), last)
        for image in range(len(trace.layout.images))
        if trace.layout.patch_positions(image).min(initial=last + 1) <= last
    ]
    patches = set(_patch_positions(trace).tolist())
    texts = [word for word in words if word.first > 0 and word.first not in patches]
    labels = [text_label(word.text) or names[word.first] for word in texts]
    total, count = Counter(labels), Counter[str]()
    for word, label in zip(texts, labels, strict=True):
        count[label] += 1
        number = f"#{count[label]}" if total[label] > 1 else ""
        found.append(KeySet(label + number, np.arange(word.first, min(word.stop, last + 1))))
    largest = [float(np.nan_to_num(rows[:, key.positions].sum(axis=1)).max()) for key in found]
    return [found[place] for place in np.argsort(-np.array(largest), kind="stable")[:top_keys].tolist()]


def text_label(text: str) -> str:
    """A piece of text for a label: without spaces around it; where it is nothing else, they are written out."""
    return text.strip() or text.replace("\n", "\\n").replace("\t", "\\t").replace(" ", "␣")


def _seen(key: KeySet, last: int) -> KeySet:
    """`key` as far as the query sees it.

    Raises:
        UsageError: it sees none of it.
    """
    positions = key.positions[key.positions <= last]
    if not positions.size:
        raise UsageError(f"--keys {key.label!r}: it stands behind the query, which cannot see it")
    return KeySet(key.label, positions, key.n_occurrences)


def _patch_positions(trace: TraceData) -> Int[np.ndarray, "patches"]:
    parts = [trace.layout.patch_positions(image) for image in range(len(trace.layout.images))]
    return np.concatenate([*parts, np.zeros(0, dtype=np.int64)]).astype(np.int64)


def _pieces(trace: TraceData, text: str) -> list[tuple[int, int]]:
    """Tokens whose own piece is `text`: for parts of words."""
    return [(token.position, token.position + 1) for token in trace.tokens if token.piece.strip() == text.strip() != ""]


def _refuse_missing_image(trace: TraceData, key: str) -> None:
    """Refuse a name such as `image 3` or `image 1 row 9 col 1` of what there is not, with what there is.

    Raises:
        UsageError: it is such a name.
    """
    named = _IMAGE_PART.fullmatch(" ".join(key.split()))
    if not named:
        return
    n_images, number = len(trace.layout.images), int(named[1])
    if not 1 <= number <= n_images:
        there = {0: "no image", 1: "one image, image 1"}.get(n_images, f"images 1 to {n_images}")
        raise UsageError(f"--keys {key!r}: this trace has {there}")
    grids = trace.layout.grids_of(number - 1)
    if len(grids) == 1:
        has = f"{grids[0].rows} rows and {grids[0].columns} columns of patches, both counted from 1"
        example = f"image {number} row {grids[0].rows} col {grids[0].columns}"
    else:
        names = position_names(trace)
        patches = trace.layout.patch_positions(number - 1).tolist()
        has, example = f"patches in {len(grids)} parts, tiles or a thumbnail", names[patches[-1]]
    raise UsageError(f"--keys {key!r}: image {number} has {has}; the last is {example!r}")


def _closest(text: str, words: Sequence[Word]) -> str:
    known = {text_label(word.text).lower(): text_label(word.text) for word in words if word.image < 0}
    close = difflib.get_close_matches(text.strip().lower()[:60], known, n=1)
    return f"; did you mean {known[close[0]]!r}?" if close else ""


def _is_recorded(trace: TraceData, layer: int, head: HeadReduction) -> bool:
    try:
        check_recorded(trace.header, layer, head)
    except TraceError:
        return False
    return True


def _has_row(trace: TraceData, query: int) -> bool:
    if trace.is_encoding:
        return 0 <= query < trace.n_queries
    step = query - (trace.n_prompt - 1)
    if step < 0:
        return query >= 0 and trace.header.query_rows == "all"
    return step < len(trace.steps) and trace.steps[step].recorded


def _row(trace: TraceData, layer: int, head: HeadReduction, query: int) -> Float[np.ndarray, "keys"]:
    step = query - (trace.n_prompt - 1)
    if step >= 0 and not trace.is_encoding:
        return reduce_heads(trace, step, layer, head)
    header = trace.header
    if layer not in header.head_layers or (head.kind != "one" and len(header.heads) < header.model.n_heads):
        raise TraceError(
            f"{head} of layer {layer} was not recorded for the prompt's rows in this trace; record again with "
            "--record_rows all --layers all --heads all"
        )
    rows = trace.rows.prompt_rows(layer)[:, query, : trace.seen_keys(query)]
    return reduce_rows(rows[[header.heads.index(head.number)]] if head.kind == "one" else rows, head)
