"""Videos of runs: made by a process of its own, told frame by frame, ended with the server."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from attnviz_video.serve import videos
from attnviz_video.serve.runs import Asked, Run
from attnviz_video.shipped import shipped
from attnviz_video.testing.video import probe
from tests.serve.made import FakeRecorder, Served, wait_until


@pytest.fixture
def run(served: Served) -> Run:
    """A run that ended, with the shipped trace."""
    made = served.live.store.create(Asked("What?"), [])
    shutil.copytree(shipped("samples/demo_trace"), made.folder / "trace_sample0")
    made.update(n_tokens=53)
    made.end("done")
    return made


def order(served: Served, run: Run, **choices: object) -> tuple[int, str]:
    status, told = served.call("POST", f"/api/runs/{run.id}/video", choices)
    return status, told.get("error", "")


def test_a_video_is_made_while_the_page_is_told_how_far_it_is(served: Served, recorder: FakeRecorder, run: Run) -> None:
    assert order(served, run, colormap="cividis", size="720p", tokens_per_second=24) == (202, "")
    told = list(served.follow(run.id, what="video/events"))
    assert told[-1][1:] == ("done", {"src": f"/api/runs/{run.id}/video.mp4"})
    progress = [data for _, name, data in told if name == "progress"]
    assert progress[-1]["done"] == progress[-1]["total"] == 53
    assert [one["done"] for one in progress] == sorted(one["done"] for one in progress)
    assert probe(run.video).size == (1280, 720)
    connection = served.connect()
    connection.request("GET", f"/api/runs/{run.id}/video.mp4", headers={"Range": "bytes=0-99"})
    response = connection.getresponse()
    assert (response.status, len(response.read())) == (206, 100)
    connection.close()
    assert served.call("GET", f"/api/runs/{run.id}")[1]["has_video"] is True
    name = served.ask()
    assert served.follow(name).until("done")["n_tokens"] == 5


def test_what_cannot_be_ordered(served: Served, run: Run) -> None:
    status, error = order(served, run, output="/etc/passwd")
    assert (status, error.partition(";")[0]) == (422, "unknown field 'output'")
    status, error = order(served, run, colormap="rainbow")
    assert (status, error.partition(", got")[0][:28]) == (422, "colormap: expected one of re")
    assert order(served, run, layer_idx=99)[0] == 202
    told = served.follow(run.id, what="video/events").until("failed")
    assert told["error"].startswith("layer 99 is out of range: the model has layers 0 to 21")


def test_one_video_of_a_run_at_a_time_and_none_after_the_end(
    served: Served, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(videos, "_PROGRAM", "import sys, time; sys.stdin.read(); time.sleep(60)")
    assert order(served, run)[0] == 202
    assert order(served, run) == (409, "the video of this run is being made already")
    wait_until(lambda: served.live.videos._process is not None)
    process = served.live.videos._process
    assert process is not None
    page = served.follow(run.id, what="video/events")
    served.end()
    assert page.until("failed")["error"].startswith("the video's process ended with code ")
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_removing_a_run_ends_its_video(served: Served, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(videos, "_PROGRAM", "import sys, time; sys.stdin.read(); time.sleep(60)")
    assert order(served, run)[0] == 202
    wait_until(lambda: served.live.videos._making is run)
    assert served.call("DELETE", f"/api/runs/{run.id}")[0] == 200
    wait_until(lambda: served.live.videos._making is None)
    assert not Path(run.folder).exists()
