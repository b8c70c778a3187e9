"""The table of families: what stands in a cell, and that the one in the documentation is of these families."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnviz_video.testing.families.table import TINY_FAMILIES, TinyFamily
from tests.families.claims import CLAIMS, ClaimTable, cell, families_in, table_of, with_table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "families.md"
FAMILY = TinyFamily("Some-VL", "module:function", 2)


def test_the_page_lists_exactly_the_families_that_are_tested() -> None:
    assert families_in(PAGE.read_text(encoding="utf-8")) == list(TINY_FAMILIES), (
        "write the table again: python -m pytest tests/families --families_table docs/families.md"
    )


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"passed"}, "yes"),
        ({"passed", "skipped"}, "yes"),
        ({"passed", "failed"}, "**no**"),
        ({"skipped"}, "untested"),
        (set(), "untested"),
    ],
)
def test_only_what_passed_is_claimed(found: set[str], words: str) -> None:
    assert cell(FAMILY, "loads", found) == words


def test_cells_of_families_that_differ() -> None:
    assert cell(TinyFamily("a", "", 1), "2 images", {"skipped"}) == "–"
    assert cell(TinyFamily("a", "", 0), "1 image", {"skipped"}) == "–"
    assert cell(TinyFamily("a", "", 0), "layout proven", {"skipped"}) == "–"
    assert cell(TinyFamily("a", "", 2, has_rule=False), "layout proven", {"skipped"}) == "guessed"
    assert cell(TinyFamily("a", "", 2, needs="torchvision"), "loads", {"skipped"}) == "untested: needs torchvision"


def test_a_table_is_read_back_as_it_was_written() -> None:
    page = with_table("before\n<!-- table of families -->\nold\n<!-- end of the table -->\nafter\n", table_of({}))
    assert families_in(page) == list(TINY_FAMILIES)
    assert page.startswith("before\n")
    assert page.endswith("-->\nafter\n")
    assert f"| family | {' | '.join(CLAIMS)} |" in page
    with pytest.raises(ValueError, match="the page has no place for the table"):
        with_table("nothing", table_of({}))


def report(when: str, outcome: str) -> pytest.TestReport:
    properties = [("claim", ("Qwen2-VL", "loads")), ("other", 1)]
    return pytest.TestReport("x", ("x", 1, "x"), {}, outcome, None, when, user_properties=properties)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reports", "words"),
    [
        ([report("setup", "passed"), report("call", "passed"), report("teardown", "passed")], "yes"),
        ([report("setup", "failed"), report("teardown", "passed")], "**no**"),
        ([report("setup", "passed"), report("call", "passed"), report("teardown", "failed")], "**no**"),
        ([report("setup", "passed"), report("call", "failed")], "**no**"),
    ],
)
def test_the_table_is_written_from_the_reports(tmp_path: Path, reports: list[pytest.TestReport], words: str) -> None:
    page = tmp_path / "families.md"
    page.write_text("<!-- table of families --><!-- end of the table -->", encoding="utf-8")
    table = ClaimTable(page)
    for one in reports:
        table.pytest_runtest_logreport(one)
    table.pytest_sessionfinish()
    line = next(line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| Qwen2-VL |"))
    assert line.split(" | ")[1] == words
