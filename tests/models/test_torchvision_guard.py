"""A torchvision that does not fit torch must not take transformers down with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from attnviz_video.models.torchvision_guard import torchvision_works

ROOT = Path(__file__).resolve().parents[2]


def _fake_torchvision(folder: Path, body: str) -> None:
    (folder / "torchvision").mkdir()
    (folder / "torchvision" / "__init__.py").write_text(body, encoding="utf-8")
    (folder / "torchvision" / "part.py").write_text("", encoding="utf-8")


@pytest.fixture
def only_fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in front of the import path, and no torchvision imported yet."""
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.delitem(sys.modules, "torchvision")
    return tmp_path


@pytest.mark.parametrize("error", ["RuntimeError('operator torchvision::nms does not exist')", "OSError('libcudart')"])
def test_a_broken_torchvision_is_hidden(only_fake: Path, error: str) -> None:
    _fake_torchvision(only_fake, f"import torchvision.part\nraise {error}")
    assert not torchvision_works()
    assert "torchvision.part" not in sys.modules
    with pytest.raises(ImportError):
        __import__("torchvision")


def test_a_working_torchvision_is_left_alone(only_fake: Path) -> None:
    _fake_torchvision(only_fake, "")
    assert torchvision_works()
    __import__("torchvision.part")


def test_no_torchvision_is_no_trouble(only_fake: Path) -> None:
    _fake_torchvision(only_fake, "raise ImportError('no torchvision')")
    assert not torchvision_works()


def test_transformers_loads_beside_a_broken_torchvision(tmp_path: Path) -> None:
    """In a fresh interpreter: transformers sees that the package is installed and would fail on it."""
    _fake_torchvision(tmp_path, "raise RuntimeError('operator torchvision::nms does not exist')")
    code = (
        "from attnviz_video.models.hub_library import HAS_TORCHVISION, transformers\n"
        "transformers.AutoProcessor, transformers.Qwen2VLForConditionalGeneration\n"
        "assert not transformers.utils.is_torchvision_available()\n"
        "print(HAS_TORCHVISION)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "False"
