"""A report opened in a browser, and what a reader would see and read there."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any


class OpenedReport:
    """One report; `opened` has its page, what it asked for and what it complained of."""

    def __init__(self, opened: Any) -> None:
        self.page = opened.page
        self.requests: list[str] = opened.requests
        self.problems: list[str] = opened.problems
        self.url: str = opened.page.url.partition("#")[0]
        self.painted()

    def painted(self, frame: int | None = None) -> None:
        """Wait until the rows are there and the page is painted (with `frame` as the current one)."""
        wanted = "ready" if frame is None else f" {frame} ready"
        self.page.wait_for_function("end => document.documentElement.dataset.painted?.endsWith(end)", arg=wanted)

    def go_to(self, frame: int) -> None:
        self.page.evaluate("frame => attnviz.goTo(frame)", frame)
        self.painted(frame)

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate("attnviz.state()")
        return found

    def box_of(self, text: str, occurrence: int = 0) -> Any:
        """The box of a display unit by its text."""
        return self.page.locator("#text .u").filter(has_text=text).nth(occurrence)

    def tooltip(self) -> dict[str, str]:
        """Names and values in the tooltip."""
        tip = self.page.locator("#tooltip")
        tip.wait_for(state="visible")
        names, values = tip.locator("dt").all_text_contents(), tip.locator("dd").all_text_contents()
        return dict(zip(names, values, strict=True))

    def facts(self, selector: str) -> dict[str, str]:
        """Names and values in a card."""
        card = self.page.locator(selector)
        names, values = card.locator("dt").all_text_contents(), card.locator("dd").all_text_contents()
        return dict(zip(names, values, strict=True))

    def hover_position(self, position: int) -> dict[str, str]:
        """The tooltip of the box of one position of the text."""
        index = self.page.evaluate(
            "position => JSON.parse(document.getElementById('data').textContent).units.phrase"
            ".findIndex((unit) => position >= unit[0] && position < unit[1])",
            position,
        )
        self.page.locator(f'#text .u[data-unit="{index}"]').first.hover()
        return self.tooltip()

    def hover_patch(self, row: int, column: int, rows: int, columns: int) -> dict[str, str]:
        """The tooltip of one patch of the first picture."""
        self._at_patch(row, column, rows, columns, click=False)
        return self.tooltip()

    def click_patch(self, row: int, column: int, rows: int, columns: int) -> None:
        self._at_patch(row, column, rows, columns, click=True)

    def _at_patch(self, row: int, column: int, rows: int, columns: int, *, click: bool) -> None:
        canvas = self.page.locator("#pictures canvas").first
        box = canvas.bounding_box()
        at = {"x": (column + 0.5) * box["width"] / columns, "y": (row + 0.5) * box["height"] / rows}
        canvas.click(position=at) if click else canvas.hover(position=at)


def four_digits(weight: float) -> str:
    """A recorded weight as the page prints it: 4 significant digits, halves away from zero."""
    if weight == 0:
        return "0"
    exact = Decimal(weight)
    rounded = exact.quantize(Decimal(1).scaleb(exact.adjusted() - 3), ROUND_HALF_UP)
    if rounded.adjusted() < -6:  # JavaScript's `toPrecision` turns to exponents there
        digits = "".join(map(str, rounded.as_tuple().digits))
        return f"{digits[0]}.{digits[1:4]}e{rounded.adjusted()}"
    return f"{rounded:f}"
