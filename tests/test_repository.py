"""The repository itself: lint, types, import contract, versions, the wheel, what an import costs."""

from __future__ import annotations

import ast
import itertools
import os
import re
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from jaxtyping import TypeCheckError

import attnviz_video

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
README = ROOT / "README_attention_visualization.md"
OUR_PYTHON = [
    *(ROOT / "attnviz_video").rglob("*.py"),
    *(ROOT / "samples").rglob("*.py"),
    *(ROOT / "benchmarks").rglob("*.py"),
    *(ROOT / "tests").rglob("*.py"),
    ROOT / "visualize_heatmap.py",
]
HEAVY = ("torch", "transformers", "PIL", "numpy", "tqdm", "imageio_ffmpeg", "safetensors", "jaxtyping")


def run_python(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def require_success(result: subprocess.CompletedProcess[str]) -> None:
    if result.returncode != 0:
        pytest.fail(f"{' '.join(map(str, result.args))}\n{result.stdout}\n{result.stderr}", pytrace=False)


# --- tools -----------------------------------------------------------------------------------------------------------


def test_ruff_finds_nothing() -> None:
    require_success(run_python("-m", "ruff", "check", "."))


def test_code_is_formatted() -> None:
    require_success(run_python("-m", "ruff", "format", "--check", "."))


def test_types_hold() -> None:
    require_success(run_python("-m", "mypy"))


def test_imports_point_downwards() -> None:
    # The command of import-linter, started by module so that no script has to be on the PATH.
    require_success(run_python("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"))


# --- shape checks ----------------------------------------------------------------------------------------------------


def test_shape_checks_are_on() -> None:
    """A canary: should the import hook ever stop working, every shape test would pass for nothing."""
    from attnviz_video.testing.planted import MemoryRows

    with pytest.raises(TypeCheckError):
        MemoryRows({(0, 0): np.zeros(3, dtype=np.float32)})


def test_shape_checks_accept_right_shapes() -> None:
    from attnviz_video.testing.planted import MemoryRows

    rows = MemoryRows({(0, 0): np.zeros((2, 3), dtype=np.float32)})
    assert rows.head_rows(0, 0).shape == (2, 3)


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", OUR_PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_says_what_it_is_and_can_be_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400, f"{path} is longer than 400 lines: split it by purpose"
    if text.strip() and "tests" not in path.relative_to(ROOT).parts:
        assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"


def test_one_version_everywhere() -> None:
    version = PROJECT["project"]["version"]
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert newest is not None
    assert {newest.group(1), citation["version"], attnviz_video.__version__} == {version}


def test_makefile_repeats_the_readme() -> None:
    readme = [line.strip() for line in README.read_text(encoding="utf-8").splitlines()]
    recipes = dict(re.findall(r"^([\w-]+):\n\t(.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert recipes.keys() == {"run", "test", "bench-recording", "bench-rendering", "bench-batch"}
    for target in ("run", "test"):
        assert recipes[target].strip() in readme
    for target in ("bench-recording", "bench-rendering", "bench-batch"):
        assert (ROOT / recipes[target].split()[-1]).is_file()


def test_ci_finds_one_test_line_in_the_readme() -> None:
    lines = re.findall(r"^\s*(python3 -m venv .*-m pytest)\s*$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(set(lines)) == 1


def test_constraints_pin_every_requirement_exactly() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    assert "torch==2.13.0" in pins
    names = {normal(pin.partition("==")[0]) for pin in pins}
    extras = itertools.chain.from_iterable(PROJECT["project"]["optional-dependencies"].values())
    wanted = {normal(re.split(r"[<>=!]", entry)[0]) for entry in (*PROJECT["project"]["dependencies"], *extras)}
    assert wanted <= names


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# --- what an import costs --------------------------------------------------------------------------------------------


def loaded_by(*arguments: str) -> set[str]:
    """Top-level modules that a Python process has loaded at its end, as `-X importtime` reports them."""
    result = run_python("-X", "importtime", *arguments)
    require_success(result)
    names = re.findall(r"^import time:.*\|\s*([\w.]+)\s*$", result.stderr, re.MULTILINE)
    return {name.partition(".")[0] for name in names}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("-c", "import attnviz_video").isdisjoint(HEAVY)


def test_help_loads_nothing_heavy() -> None:
    assert loaded_by("visualize_heatmap.py", "--help").isdisjoint(HEAVY)


@pytest.mark.slow
def test_help_takes_less_than_half_a_second() -> None:
    require_success(run_python("visualize_heatmap.py", "--help"))
    best = min(seconds_of("visualize_heatmap.py", "--help") for _ in range(5))
    assert best < 0.5


def seconds_of(*arguments: str) -> float:
    start = time.perf_counter()
    run_python(*arguments)
    return time.perf_counter() - start


# --- the wheel -------------------------------------------------------------------------------------------------------


def test_every_package_is_listed_for_the_wheel() -> None:
    folders = [ROOT / "attnviz_video", *(path.parent for path in (ROOT / "attnviz_video").rglob("__init__.py"))]
    found = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found | {"attnviz_video._shipped"}


@pytest.mark.slow
def test_wheel_carries_the_demo(tmp_path: Path) -> None:
    """Built, unpacked and asked from an empty folder: the demo's files are found inside the wheel."""
    build = ["-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", str(tmp_path)]
    source = tmp_path / "source"
    copy_tree(source)
    require_success(run_python(*build, str(source)))
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(installed)
        top_level = {name.split("/")[0] for name in wheel.namelist() if ".dist-info" not in name}
    assert top_level == {"attnviz_video", "visualize_heatmap.py"}
    program = (
        f"import sys; sys.path.insert(0, {str(installed)!r})\n"
        "from attnviz_video.shipped import shipped\n"
        "for name in ('configs/demo.yaml', 'configs/reason_rft.yaml', 'configs/prompts/cot-trance.txt',\n"
        "             'samples/demo.json', 'samples/demo_model/config.json', 'samples/images'):\n"
        "    print(shipped(name))\n"
    )
    result = run_python("-I", "-c", program, cwd=empty)
    require_success(result)
    assert all(line.startswith(str(installed)) for line in result.stdout.splitlines())
    assert any((installed / "attnviz_video/_shipped/samples/images").glob("*.png"))
    prompts = {file.name for file in (installed / "attnviz_video/_shipped/configs/prompts").iterdir()}
    assert prompts == {file.name for file in (ROOT / "configs/prompts").iterdir()}
    assert any((installed / "attnviz_video/render/fonts").glob("*.ttf"))
    viewer = ROOT / "attnviz_video/export/viewer"
    carried = installed / "attnviz_video/export/viewer"
    assert {path.relative_to(carried) for path in carried.rglob("*")} == {
        path.relative_to(viewer) for path in viewer.rglob("*")
    }


def copy_tree(target: Path) -> None:
    """A copy of what git would clone, so that the build leaves nothing in the working tree."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            os.link(ROOT / name, target / name)
