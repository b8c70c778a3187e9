"""The facts panel of a report: who wrote the answer, from what, and how it was recorded."""

from __future__ import annotations

from collections import Counter

from attnviz_video.core.tokens import SEGMENT_NAMES
from attnviz_video.core.trace import ModelIdentity, TraceData
from attnviz_video.export.report.text import plain_text

#: What the traces of each kind are.
_KINDS = {
    "generation": "generated and recorded at once",
    "replay": "recorded from a stored answer, in one forward pass",
    "encoding": "one pass over a text",
}


def trace_facts(trace: TraceData) -> list[list[object]]:
    """Groups of facts as [title, [[name, value], …]]; what a trace does not know is left out."""
    header = trace.header
    model = header.model
    kinds = Counter(model.layer_kinds)
    special = sum(token.special and token.patch < 0 for token in trace.tokens)
    groups: list[tuple[str, list[tuple[str, str]]]] = [
        (
            "Model",
            [
                ("name", model.short_name),
                ("type", model.model_type),
                ("layers", f"{model.n_layers} ({', '.join(f'{n} {kind}' for kind, n in kinds.items())})"),
                ("query heads", f"{model.n_heads}, {model.n_kv_heads} key-value"),
                ("vocabulary", _vocabulary(model)),
                ("tokenizer", model.tokenizer_class),
                ("ran in", ", ".join(part for part in (model.dtype, model.device, model.attention) if part)),
                ("revision", model.revision),
            ],
        ),
        (
            "Text",
            [
                *_lengths(trace),
                ("special tokens", str(special)),
                ("distinct token ids", str(len({token.id for token in trace.tokens}))),
                *([] if trace.is_encoding else [("start phrase", _start(trace))]),
            ],
        ),
        ("Recording", _recording(trace)),
        ("Versions", sorted(header.versions.items())),
    ]
    return [[title, [[name, plain_text(str(value))] for name, value in facts if str(value)]] for title, facts in groups]


def _lengths(trace: TraceData) -> list[tuple[str, str]]:
    """How long prompt and answer are, or the parts of an encoder's text."""
    if trace.is_encoding:
        parts = Counter(SEGMENT_NAMES[token.segment] for token in trace.tokens)
        masks = [("mask tokens", f"{len(trace.masked)} with candidates")] if trace.masked else []
        return [*((name, f"{count} tokens") for name, count in parts.items()), *masks]
    n_patches = int((trace.layout.patch_of >= 0).sum())
    return [
        ("prompt", f"{trace.n_prompt} tokens, of which {n_patches} are image patches"),
        ("answer", f"{len(trace.steps)} tokens"),
    ]


def _vocabulary(model: ModelIdentity) -> str:
    """How many tokens there are to choose from; models are often built for more than their tokenizer knows."""
    if not model.vocab_size:
        return ""
    known = f", of which the tokenizer knows {model.tokenizer_size:,}" if model.tokenizer_size else ""
    return f"{model.vocab_size:,} tokens{known if model.tokenizer_size != model.vocab_size else ''}"


def _start(trace: TraceData) -> str:
    start = trace.header.start
    if not start.phrase:
        return "none: everything is shown"
    where = "found nowhere" if start.found_in == "none" else f"in the {start.found_in}"
    return f"“{start.phrase}”, {where}"


def _recording(trace: TraceData) -> list[tuple[str, str]]:
    header = trace.header
    ended = {"complete": "to its end", "failed": "failed; what was finished is here", "running": "not finished"}
    asked = [(name, value) for name, value in header.generation.items() if isinstance(value, bool | int | float | str)]
    return [
        ("kind", _KINDS[header.kind]),
        ("recorded", ended[trace.status]),
        ("heads one by one", ranges(header.head_layers, "layer") or "none"),
        ("mean over heads", ranges(header.mean_layers, "layer") or "none"),
        *_prompt_rows(trace),
        ("sample", header.sample.id),
        ("created", header.created),
        *[(name.replace("_", " "), _worded(value)) for name, value in asked],
    ]


def _prompt_rows(trace: TraceData) -> list[tuple[str, str]]:
    if trace.is_encoding:
        return [("rows", "of every query, each over all tokens")]
    known = trace.header.query_rows == "all"
    return [("prompt's own rows", "recorded" if known else "not recorded (--record_rows all)")]


def _worded(value: bool | int | float | str) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def ranges(numbers: tuple[int, ...], noun: str) -> str:
    """`layers 0–21`, `layers 3, 7–9`; empty for none."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    words = ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in found)
    return f"{noun}{'s' if len(numbers) > 1 else ''} {words}" if words else ""
