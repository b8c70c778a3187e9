"""The table of families in the documentation, written from the tests that passed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from attnviz_video.testing.families.table import TINY_FAMILIES, TinyFamily

#: Columns of the table, in order; a test names the one it proves with the mark `claim`.
CLAIMS = (
    "loads",
    "1 image",
    "2 images",
    "rows = eager",
    "text unchanged",
    "layout proven",
    "replay = generate",
    "batch = single",
)
#: Results of the tests of one claim.
Outcomes = Mapping[tuple[str, str], set[str]]

_START, _STOP = "<!-- table of families -->", "<!-- end of the table -->"


class ClaimTable:
    """Collects the outcomes of all tests that carry a claim and writes the table when the run ends."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._outcomes: dict[tuple[str, str], set[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            for name, value in report.user_properties:
                if name == "claim":
                    self._outcomes.setdefault((value[0], value[1]), set()).add(report.outcome)

    def pytest_sessionfinish(self) -> None:
        text = self._target.read_text(encoding="utf-8")
        self._target.write_text(with_table(text, table_of(self._outcomes)), encoding="utf-8")


def with_table(page: str, table: str) -> str:
    """`page` with the table between its two marks replaced."""
    before, mark, rest = page.partition(_START)
    _, end, after = rest.partition(_STOP)
    if not mark or not end:
        raise ValueError(f"the page has no place for the table: expected {_START} and {_STOP}")
    return f"{before}{_START}\n{table}{_STOP}{after}"


def table_of(outcomes: Outcomes) -> str:
    """The table in Markdown: one line per family, one column per claim."""
    lines = [f"| family | {' | '.join(CLAIMS)} |", "|---" * (len(CLAIMS) + 1) + "|"]
    for family in TINY_FAMILIES.values():
        cells = [cell(family, claim, outcomes.get((family.name, claim), set())) for claim in CLAIMS]
        lines.append(f"| {family.name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(family: TinyFamily, claim: str, found: set[str]) -> str:
    """`yes` only where every test of the claim passed."""
    if (claim == "2 images" and family.max_images < 2) or (claim == "1 image" and family.max_images < 1):
        return "–"
    if claim == "layout proven" and not (family.has_rule and family.max_images):
        return "–" if family.has_rule else "guessed"
    if "failed" in found:
        return "**no**"
    if "passed" in found:
        return "yes"
    return f"untested: needs {family.needs}" if "skipped" in found and family.needs else "untested"


def families_in(page: str) -> list[str]:
    """Names in the first column of the table on `page`."""
    table = page.partition(_START)[2].partition(_STOP)[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")]
    return rows[2:]
