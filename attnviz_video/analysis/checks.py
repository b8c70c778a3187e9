"""What is wrong with recorded rows: values that no attention weight can have, sums that are not 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from attnviz_video.errors import TraceError

#: A sum further from 1 is reported. Rounding a row to fp16 moves its sum by at most 2^-11 of it plus 2^-25 per
#: key (0.0015 at 32 000 keys), to bf16 by 2^-9: one percent leaves room for both.
SUM_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class RowReport:
    """Counts over all rows looked at; reports add up."""

    rows: int = 0
    nan: int = 0
    infinite: int = 0
    negative: int = 0
    #: Rows of finite numbers whose sum is not 1.
    off_sum: int = 0
    #: The sum that is furthest from 1.
    worst_sum: float = 1.0

    def __add__(self, other: RowReport) -> RowReport:
        return RowReport(
            self.rows + other.rows,
            self.nan + other.nan,
            self.infinite + other.infinite,
            self.negative + other.negative,
            self.off_sum + other.off_sum,
            max(self.worst_sum, other.worst_sum, key=lambda total: abs(total - 1)),
        )

    @property
    def clean(self) -> bool:
        return not (self.nan or self.infinite or self.negative or self.off_sum)

    def sentence(self) -> str:
        """One line for the summary; empty when nothing is wrong."""
        bad = [
            f"{count} {name}"
            for count, name in ((self.nan, "NaN"), (self.infinite, "infinite"), (self.negative, "negative"))
            if count
        ]
        parts = [f"{', '.join(bad)} values (drawn hatched)"] if bad else []
        if self.off_sum:
            parts.append(f"{self.off_sum} that do not sum to 1 (furthest: {self.worst_sum:.4g})")
        return f"attention rows: {' and '.join(parts)} among {self.rows} rows" if parts else ""


def check_rows(rows: Float[np.ndarray, "rows keys"]) -> RowReport:
    """Count what is wrong in `rows`, each of which should be a distribution over its keys."""
    finite = np.isfinite(rows)
    sums = rows[finite.all(axis=1)].sum(axis=1, dtype=np.float64)
    off = sums[np.abs(sums - 1.0) > SUM_TOLERANCE]
    nan = int(np.isnan(rows).sum())
    return RowReport(
        rows=rows.shape[0],
        nan=nan,
        infinite=int(rows.size - finite.sum()) - nan,
        negative=int((finite & (rows < 0)).sum()),
        off_sum=int(off.size),
        worst_sum=float(off[np.abs(off - 1.0).argmax()]) if off.size else 1.0,
    )


def refuse_unclean(report: RowReport, layer: int) -> None:
    """What `--strict` does.

    Raises:
        TraceError: anything in `report` is wrong.
    """
    if not report.clean:
        raise TraceError(
            f"--strict: layer {layer}: {report.sentence()}; record again (float32 often helps: --dtype float32), "
            "or render without --strict"
        )
