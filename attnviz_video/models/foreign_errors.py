"""Errors of other packages, cut down to what fits in one line of ours."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """The kind of a foreign error and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__
