"""docs/live-page.md: its flags are flags, its addresses are addresses, its requests are answered."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.applications import Starlette

from attnviz_video.commands.run import RunArguments
from attnviz_video.commands.serve import ServeArguments
from attnviz_video.config.fields import settings_of
from attnviz_video.serve.app import application
from attnviz_video.serve.asked import KNOWN
from attnviz_video.serve.guard import Guard
from attnviz_video.serve.settings import ServeSettings
from attnviz_video.shipped import shipped
from tests.serve.made import ADDRESS, FakeRecorder, Served, live_page

PAGE = (Path(__file__).resolve().parents[2] / "docs/live-page.md").read_text("utf-8")
COMMANDS = [line.strip() for line in PAGE.splitlines() if line.startswith("    ")]


def names(of: type) -> set[str]:
    return {setting.name for setting in settings_of(of)}


def test_its_flags_are_flags_and_all_of_the_server_are_there() -> None:
    named = set(re.findall(r"--(\w+)", PAGE))
    assert names(ServeSettings) <= named
    assert named <= names(ServeArguments) | names(RunArguments)


def test_its_commands_are_understood() -> None:
    commands = [shlex.split(line)[2:] for line in COMMANDS if line.startswith("python visualize_heatmap.py")]
    assert [words[0] for words in commands] == ["serve", "run"]
    assert {word[2:] for word in commands[0] if word.startswith("--")} <= names(ServeArguments)
    assert {word[2:] for word in commands[1] if word.startswith("--")} <= names(RunArguments)


def test_its_addresses_are_those_of_the_server(tmp_path: Path, recorder: FakeRecorder) -> None:
    guard = application(live_page(tmp_path, recorder), ADDRESS)
    assert isinstance(guard, Guard)
    assert isinstance(guard._app, Starlette)
    known = {route.path.replace("{id}", "ID").replace("{number:int}", "N") for route in guard._app.routes}
    rows = "\n".join(line.partition(" | ")[0] for line in PAGE.splitlines() if line.startswith("| `"))
    told = set()
    for path in re.findall(r"`(?:(?:GET|POST|DELETE) )?(…?/[\w./]+)`", rows):
        base = "" if path.startswith("/api") else "/api/runs/ID/video" if path.startswith("…") else "/api/runs/ID"
        told.add(base + path.removeprefix("…"))
    told = {path.replace("video/video.mp4", "video.mp4").replace("video/video/", "video/") for path in told}
    assert told == known - {"/", "/favicon.ico"}


def test_its_fields_are_those_of_a_question() -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| `POST /api/runs` |")]
    told = set(re.findall(r"`(\w+)`", row)) - {"image"}
    assert told == set(KNOWN)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_its_requests_are_answered(serve: Callable[..., Served]) -> None:
    served = serve()
    ask, follow = [line for line in COMMANDS if line.startswith("curl ")]
    ask = ask.replace(":8765", f":{served.port}").replace("scene.png", str(shipped("samples/images/scene_00.png")))
    told = subprocess.run(shlex.split(ask), capture_output=True, text=True, check=True)
    name = json.loads(told.stdout)["id"]
    follow = follow.replace(":8765", f":{served.port}").replace("/ID/", f"/{name}/")
    heard = ""
    while "event: done" not in heard:  # as long as the run waits, the stream ends and is to be opened again
        heard = subprocess.run(shlex.split(follow), capture_output=True, text=True, check=True).stdout
    assert heard.count("event: step") == 5
