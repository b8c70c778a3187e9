"""What every test run starts with: shape checks on, one thread per worker, no network."""

from __future__ import annotations

import importlib.util
import os

# Before torch is imported: two workers on two cores, so one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A test that would reach for the hub fails at once instead of waiting for the network.
os.environ["HF_HUB_OFFLINE"] = "1"

from hypothesis import settings  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

import tests.shape_checks  # noqa: E402

# Every annotated function and dataclass of the package is checked by beartype, from its first import on.
_shape_checks = install_import_hook("attnviz_video", f"{tests.shape_checks.__name__}.checker")

# Examples are the same in every run; a failing one is printed so that it can be pinned.
settings.register_profile("suite", deadline=None, derandomize=True, max_examples=50, print_blob=True)
settings.load_profile("suite")

if importlib.util.find_spec("tests.fixtures_checkpoints") is not None:
    pytest_plugins = ["tests.fixtures_checkpoints"]
