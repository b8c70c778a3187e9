"""Tiny checkpoints of all families, one at a time, and the table of what was proven for each.

Every test that takes `family` runs once per line of `TINY_FAMILIES`. A test marked `claim("…")` fills a column of the
table that `pytest tests/families --families_table docs/families.md` writes.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from attnviz_video.testing.families.table import TINY_FAMILIES, TinyFamily
from tests.families.claims import CLAIMS, ClaimTable


@pytest.fixture(scope="session", params=list(TINY_FAMILIES))
def family(request: pytest.FixtureRequest) -> TinyFamily:
    """One line of the table; a family whose package is missing here is skipped."""
    from attnviz_video.models.hub_library import HAS_TORCHVISION

    found = TINY_FAMILIES[request.param]
    # A torchvision that does not fit torch is found by its name, and counts as none.
    has_it = HAS_TORCHVISION if found.needs == "torchvision" else importlib.util.find_spec(found.needs or "torch")
    if not has_it:
        pytest.skip(f"{found.name} needs {found.needs}")
    return found


@pytest.fixture(scope="session")
def family_folder(family: TinyFamily, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the family's tiny checkpoint."""
    return family.write(tmp_path_factory.mktemp("families") / family.name)


@pytest.fixture(scope="session")
def family_model(family_folder: Path) -> Any:
    """The family's `LoadedModel` on the CPU, with sdpa attention (shared: leave it as it is)."""
    from attnviz_video.models.load import load_model
    from attnviz_video.models.settings import ModelSettings

    return load_model(ModelSettings(model_path=str(family_folder), device="cpu"))


@pytest.fixture(scope="session")
def family_eager(family_folder: Path, family_model: Any) -> Any:
    """The same weights with the library's own eager attention: the reference for rows."""
    from attnviz_video.models.hub_library import quiet_transformers

    with quiet_transformers():
        model = type(family_model.model).from_pretrained(
            family_folder, attn_implementation="eager", dtype=family_model.model.dtype
        )
    return model.eval().requires_grad_(False)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--families_table", metavar="FILE", help="write the table of families, from the tests that passed")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"claim(name): fills a column of the table of families: {', '.join(CLAIMS)}")
    target = config.getoption("families_table", default=None)
    # Workers report to the process that started them; that one writes.
    if target and not hasattr(config, "workerinput"):
        config.pluginmanager.register(ClaimTable(Path(target)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What the table needs travels with the test's report."""
    callspec = getattr(item, "callspec", None)
    if callspec is not None and "family" in callspec.params:
        for mark in item.iter_markers("claim"):
            item.user_properties.append(("claim", (callspec.params["family"], mark.args[0])))
