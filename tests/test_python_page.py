"""docs/python.md: its blocks run, show what they say, and leave no public name out."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import attnviz_video
from attnviz_video.api import AttentionVisualizer, Trace
from tests.documented import blocks

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "python.md"
ARROW = "  # → "
PYTHON = [text for language, text in blocks(PAGE) if language == "python"]


def public(kind: type) -> set[str]:
    """Names of the methods, properties and fields of a class that users may use."""
    names = {*vars(kind), *getattr(kind, "__dataclass_fields__", {})}
    return {name for name in names if not name.startswith("_")}


def used_names() -> set[str]:
    """Every name and attribute that the page's code uses."""
    nodes = [node for text in PYTHON for node in ast.walk(ast.parse(text))]
    return {
        *(node.id for node in nodes if isinstance(node, ast.Name)),
        *(node.attr for node in nodes if isinstance(node, ast.Attribute)),
    }


def test_no_public_name_is_missing() -> None:
    promised = {*attnviz_video.__all__, *public(Trace), *public(AttentionVisualizer)}
    assert {"__version__", "AttnVizError", "weights", "report", "folder", "load_sample_data"} <= promised
    assert promised - used_names() == set()


@pytest.mark.parametrize("name", sorted({*attnviz_video.__all__} - {"__version__"}))
def test_every_public_name_has_a_docstring(name: str) -> None:
    documented = getattr(attnviz_video, name)
    assert inspect.getdoc(documented), name
    if documented in (Trace, AttentionVisualizer):
        for member in public(documented):
            if callable(getattr(documented, member, None)):
                assert inspect.getdoc(getattr(documented, member)), member


@pytest.mark.slow
def test_what_is_shown_is_what_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks in one session, in an empty folder that sees the samples."""
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    monkeypatch.chdir(tmp_path)
    session: dict[str, object] = {}
    compared = 0
    for text in PYTHON:
        lines = text.splitlines()
        for statement in ast.parse(text).body:
            code = "\n".join(lines[statement.lineno - 1 : statement.end_lineno])
            shown = lines[(statement.end_lineno or 0) - 1].partition(ARROW)[2]
            if not shown:
                exec(code, session)
                continue
            assert repr(eval(ast.unparse(statement), session)) == shown, code
            compared += 1
    assert compared > 25
