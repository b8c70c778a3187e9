"""`serve` as it is typed: what is printed, how it ends, what it says when it cannot begin."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from attnviz_video import cli
from attnviz_video.testing.families.encoders import build_bert
from tests.batch.running import is_gone

ROOT = Path(__file__).resolve().parent.parent
SERVE = [sys.executable, str(ROOT / "visualize_heatmap.py"), "serve", "--port", "0", "--device", "cpu"]


@contextmanager
def running(*flags: str, cwd: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its address."""
    process = subprocess.Popen(
        [*SERVE, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, stdin=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def call(url: str, path: str, data: Any = None) -> Any:
    body = None if data is None else json.dumps(data).encode()
    headers = {"X-Attnviz": "1", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url + path, body, headers), timeout=20) as response:
        return json.load(response)


def test_ctrl_c_ends_a_server_in_order(tmp_path: Path) -> None:
    """The first signal is how a server is ended: the step is finished, the run is kept, 0."""
    with running(cwd=tmp_path) as (process, url):
        assert url.startswith("http://127.0.0.1:")
        name = call(url, "api/runs", {"prompt": "Hello", "max_new_tokens": 3000})["id"]
        with urllib.request.urlopen(f"{url}api/runs/{name}/events", timeout=20) as page:
            while page.readline() != b"event: step\n":
                pass
            process.send_signal(signal.SIGINT)
            rest = page.read().decode()
        assert '"stopped_by":"interrupted"' in rest
        stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (0, "")
    assert "Traceback" not in stderr
    assert f"open {url} in a browser; Ctrl-C ends the server" in stderr
    assert is_gone(process.pid)


@pytest.mark.slow
def test_a_restart_knows_the_runs_and_sigterm_ends_it_too(tmp_path: Path) -> None:
    names: list[str] = []
    for _ in range(2):
        with running("--json", "--runs_dir", "kept", cwd=tmp_path) as (process, line):
            url = json.loads(line)["url"]
            assert [run["id"] for run in call(url, "api/state")["runs"]] == names
            if not names:
                names.append(call(url, "api/runs", {"prompt": "Hello", "max_new_tokens": 1})["id"])
                with urllib.request.urlopen(f"{url}api/runs/{names[0]}/events", timeout=20) as page:
                    assert b"event: done" in page.read()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
        assert process.returncode == 0


def test_fault30_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert cli.main(["serve", "--port", str(port)]) == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1] == (
        f"error: port {port} of 127.0.0.1 is taken by another program; choose another with --port (0 is any free one)"
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--port", "70000"], "error: --port: expected a whole number from 0 to 65535, got 70000"),
        (["--keep", "0"], "error: --keep: expected a whole number of at least 1"),
        (["--layer_idx", "99"], "error: --layer_idx 99: "),
        (["--head", "9"], "error: --head 9 is out of range: the model has query heads 0 to 3"),
        (["--model_path", "/no/such/model"], "error: "),
        (["--start_phrase", "x"], "error: unknown flag --start_phrase"),
        (["--host", "no.such.host.invalid"], "error: --host 'no.such.host.invalid' is no address of this machine"),
    ],
)
def test_what_cannot_begin(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", *flags]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith(message)


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("attnviz_video.serve.")]:
        if name != "attnviz_video.serve.settings":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert cli.main(["serve"]) == 4
    told = "error: the live page needs uvicorn, which is not installed: pip install 'attnviz-video[web]'"
    assert capsys.readouterr().err.splitlines()[-1] == told


def test_a_model_that_writes_no_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = build_bert(tmp_path / "bert")
    assert cli.main(["serve", "--port", "0", "--model_path", str(folder)]) == 2
    assert "writes no answers (model_type 'bert')" in capsys.readouterr().err.splitlines()[-1]


def test_its_help_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["serve", "-h"])
    told = capsys.readouterr().out
    for flag in ("--host", "--port", "--token", "--max_upload_mb", "--runs_dir", "--keep", "--model_path", "--seed"):
        assert flag in told
    assert "--benchmark_json" not in told
