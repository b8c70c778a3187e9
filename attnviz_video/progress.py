"""How long work reports on itself: notices and bars, on standard error or nowhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, runtime_checkable

#: Call it with a number of finished parts.
Advance = Callable[[int], None]


@runtime_checkable
class Progress(Protocol):
    """Where notices and bars go. Standard output is never used: it carries results only."""

    def notice(self, sentence: str) -> None:
        """Say something the user should know."""
        ...

    def track(self, description: str, total: int | None, unit: str) -> AbstractContextManager[Advance]:
        """A bar over `total` parts (None: unknown), closed at the end of the block."""
        ...


class Silent:
    """No bars, no notices: for libraries, tests and `--quiet`."""

    def notice(self, sentence: str) -> None:
        del sentence

    @contextmanager
    def track(self, description: str, total: int | None, unit: str) -> Iterator[Advance]:
        del description, total, unit
        yield lambda parts: None


class StandardError:
    """tqdm bars and one-line notices on standard error."""

    def notice(self, sentence: str) -> None:
        if sys.stderr is None:  # a program without a console
            return
        from tqdm import tqdm

        # tqdm.write keeps a running bar and the sentence on lines of their own.
        tqdm.write(sentence, file=sys.stderr)

    @contextmanager
    def track(self, description: str, total: int | None, unit: str) -> Iterator[Advance]:
        from tqdm import tqdm

        with tqdm(
            disable=sys.stderr is None, desc=description, total=total, unit=unit, file=sys.stderr, dynamic_ncols=True
        ) as bar:

            def advance(parts: int) -> None:
                bar.update(parts)

            yield advance
