"""One sequence of a batch, or a part of one, cut out of a call of the attention function."""

from __future__ import annotations

from dataclasses import replace

from attnviz_video.capture.intercept import AttentionCall


def part_of_call(call: AttentionCall, sequence: int, queries: range, seen: range) -> AttentionCall:
    """The call as it would be for one sequence, some consecutive queries and the consecutive keys they may see."""
    one, part, keys = (slice(each.start, each.stop) for each in (range(sequence, sequence + 1), queries, seen))
    mask = call.options.mask
    if mask is not None:
        mask = mask if mask.shape[0] == 1 else mask[one]
        mask = mask[:, :, part, keys] if mask.ndim == 4 else mask[:, keys]
    return AttentionCall(
        call.layer,
        call.query[one, :, part],
        call.key[one, :, keys],
        call.value[one, :, keys],
        call.output[one, part],
        replace(call.options, mask=mask, first_query=call.options.first_query + queries.start - seen.start),
    )
