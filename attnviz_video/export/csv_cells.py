"""Cells of CSV files that spreadsheets show as they are."""

from __future__ import annotations

#: Cells that begin with one of these are formulas to a spreadsheet.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def plain_cell(value: object) -> object:
    """`value` for a CSV cell: text that a spreadsheet would run as a formula gets an apostrophe in front."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
