"""The live page opened in a browser, and what a reader would do and see there."""

from __future__ import annotations

import base64
from typing import Any

#: A PNG of 2 × 2 pixels.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR4nGP8z8Dwn4GBgYGJAQoAHQYCAtZzQ0sAAAAASUVORK5CYII="
)
#: What a browser's console says of an answer that is no success, whatever the page makes of it.
NETWORK = "Failed to load resource"


class OpenedLive:
    """One window; `opened` has its page, what it asked for and what it complained of."""

    def __init__(self, opened: Any, url: str) -> None:
        self.page = opened.page
        self.requests: list[str] = opened.requests
        self.problems: list[str] = opened.problems
        self.url = url
        self.page.set_default_timeout(10_000)
        self.page.wait_for_function("() => document.getElementById('title').textContent !== ''")

    def ask(self, prompt: str, *, images: tuple[str, ...] = (), keys: str = "Control+Enter") -> None:
        self.page.fill("#prompt", prompt)
        if images:
            self.attach(*images)
        self.page.focus("#prompt")
        self.page.keyboard.press(keys)

    def attach(self, *names: str) -> None:
        self.page.set_input_files("#files", [{"name": n, "mimeType": "image/png", "buffer": PNG} for n in names])

    def offer(self, kind: str, name: str, mime: str) -> None:
        """Drop (`drop`) or paste (`paste`) a file onto the page."""
        self.page.evaluate(
            """([kind, name, mime, data]) => {
                const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
                const carried = new DataTransfer();
                carried.items.add(new File([bytes], name, { type: mime }));
                const settings = { bubbles: true, cancelable: true };
                const event = kind === 'drop' ? new DragEvent('drop', { ...settings, dataTransfer: carried })
                    : new ClipboardEvent('paste', { ...settings, clipboardData: carried });
                document.body.dispatchEvent(event);
            }""",
            [kind, name, mime, base64.b64encode(PNG).decode()],
        )

    def painted(self, status: str, step: int | None = None) -> str:
        """Wait until the run on the stage has this status (and at least this step), and return its id."""
        found = self.page.wait_for_function(
            """([status, step]) => {
                const [id, now, shown] = (document.documentElement.dataset.painted ?? '').split(' ');
                return now === status && (step === null || Number(shown) >= step) ? id : '';
            }""",
            arg=[status, step],
        )
        return str(found.json_value())

    def another(self, earlier: str) -> None:
        """Wait until another run than `earlier` is on the stage."""
        self.page.wait_for_function("old => location.hash.split(/[=&]/)[1] !== old", arg=earlier)

    def report(self) -> str:
        """The title of the report, once it has come."""
        self.show("report")
        return str(self.page.frame_locator("#report").locator("h1").text_content())

    def show(self, view: str) -> None:
        self.page.click(f"#tabs [data-view={view}]")
        self.page.wait_for_function("view => !document.getElementById(view).hidden", arg=view)

    def text(self, section: str) -> list[str]:
        """The boxes of the prompt or the answer."""
        return list(self.boxes(section).all_text_contents())

    def boxes(self, section: str) -> Any:
        """The boxes of the prompt, or of the answer with all its sections."""
        own = ".section-prompt" if section == "prompt" else ".section:not(.section-prompt)"
        return self.page.locator(f"#text {own} .u")

    def box(self, text: str, section: str = "answer", occurrence: int = 0) -> Any:
        return self.boxes(section).get_by_text(text, exact=True).nth(occurrence)

    def current(self) -> list[str]:
        """The blue boxes of the text."""
        return list(self.page.locator("#text .u[data-look=current]").all_text_contents())

    def tooltip(self) -> dict[str, str]:
        tip = self.page.locator("#tooltip")
        tip.wait_for(state="visible")
        return facts(tip)

    def step_card(self) -> dict[str, str]:
        return facts(self.page.locator("#step-card"))

    def numbers(self) -> dict[str, str]:
        return facts(self.page.locator("#numbers"))

    def candidates(self) -> list[tuple[str, str]]:
        rows = self.page.locator("#step-card .candidates li")
        pieces, shares = rows.locator(".piece").all_text_contents(), rows.locator(".number").all_text_contents()
        return list(zip(pieces, shares, strict=True))

    def runs(self) -> list[str]:
        """Label and state of every run of the list."""
        entries = self.page.locator("#runs li .words")
        labels, states = (entries.locator(part).all_text_contents() for part in (".label-line", ".second-line .soft"))
        return [f"{label} | {state}" for label, state in zip(labels, states, strict=True)]

    def trouble(self, place: str = "composer") -> str:
        own = self.page.locator(f"#{place}-trouble")
        own.wait_for(state="visible")
        return str(own.text_content())


def facts(place: Any) -> dict[str, str]:
    """Names and values in a list of facts."""
    names, values = place.locator("dt").all_text_contents(), place.locator("dd").all_text_contents()
    return dict(zip(names, values, strict=True))
