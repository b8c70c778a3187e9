"""Recording and rendering as passes of their own: `--trace_only`, then `render` of the folder of a run."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path

import pytest

from attnviz_video.batch.run import BatchReport, render_run
from attnviz_video.batch.sentences import PROGRAM
from attnviz_video.config import RenderConfig
from attnviz_video.config.compose import replace_settings
from attnviz_video.errors import UsageError
from attnviz_video.progress import Silent
from attnviz_video.testing.fake_work import BUILDER
from tests.batch.running import done_in, rows_of, run, statuses, write_dataset

TWICE = ["record", "render"]
AGAIN = "python visualize_heatmap.py batch --benchmark_json data.json"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path, [{}, {}, {}])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


def render(out: Path, **settings: object) -> BatchReport:
    given = replace_settings(RenderConfig(), settings)
    return render_run(out, given, Silent(), argv=("render", str(out)), builder=BUILDER)


def test_a_run_is_recorded_first_and_rendered_later(dataset: Path, out: Path) -> None:
    first = run(dataset, out, trace_only=True)
    videos = f"make the videos with: python visualize_heatmap.py render {out}"
    assert first.sentence.startswith("3 samples: 3 recorded, in ")
    assert first.sentence.endswith(f" s; {videos}")
    assert statuses(out) == [(0, "recorded"), (1, "recorded"), (2, "recorded")]
    again = run(dataset, out, trace_only=True)
    assert again.sentence == f"3 samples: 3 recorded (3 of them by earlier runs); nothing to do; {videos}"
    report = render(out)
    assert report.counts.done == 3
    assert report.sentence.startswith("3 samples: 3 done, in ")
    assert [done_in(out, index) for index in range(3)] == [TWICE] * 3
    assert run(dataset, out).counts.before == 3
    row = rows_of(out)[-1]
    assert (row["status"], row["question"], row["seconds"].keys()) == ("done", "question 2", {"record", "render"})


def test_recorded_samples_are_told_apart_from_those_with_a_video(tmp_path: Path, out: Path) -> None:
    dataset = write_dataset(tmp_path, [{}, {}, {"fail": "record"}])
    run(dataset, out, samples="0")
    report = run(dataset, out, trace_only=True)
    assert report.sentence.startswith("3 samples: 1 done (1 of them by earlier runs), 1 recorded, 1 failed (why: ")
    assert (report.counts.before, report.counts.recorded, report.counts.done, report.counts.open) == (1, 1, 0, 0)
    assert f"; make the videos with: {PROGRAM} render {out}; try the failed ones again with: {AGAIN}" in report.sentence


def test_what_was_only_recorded_is_rendered_by_the_batch_command_too(dataset: Path, out: Path) -> None:
    run(dataset, out, trace_only=True)
    run(dataset, out)
    assert [done_in(out, index) for index in range(3)] == [TWICE] * 3


def test_rendering_a_run_keeps_to_its_look(dataset: Path, out: Path) -> None:
    run(dataset, out, trace_only=True, settings={"colormap": "cividis"})
    with pytest.raises(
        UsageError, match=r"--colormap: the videos of .* are made with the settings of the run \(\"civi"
    ):
        render(out, colormap="greys")
    assert render(out, colormap="cividis", render_workers=2).counts.done == 3


@pytest.mark.parametrize(("name", "flag"), [("output", "-o"), ("output_dir", "--output_dir")])
def test_rendering_a_run_keeps_to_its_place(dataset: Path, out: Path, name: str, flag: str) -> None:
    run(dataset, out, trace_only=True)
    with pytest.raises(UsageError) as caught:
        render(out, **{name: "elsewhere.mp4"})
    assert str(caught.value) == (
        f"{flag} elsewhere.mp4: the videos of {out} go into the folders of its samples, where its page looks for them; "
        f"leave {flag} out, or render one trace folder elsewhere"
    )
    assert not list(out.glob("*.lock"))


def test_a_folder_that_is_no_run_is_not_rendered(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not the folder of a batch run: it holds no run.json"):
        render(tmp_path)


# --- samples without a whole trace -----------------------------------------------------------------------------------


def test_samples_without_a_trace_are_told_each_time(tmp_path: Path, out: Path) -> None:
    dataset = write_dataset(tmp_path, [{}, {"fail": "record"}, {}])
    run(dataset, out, trace_only=True)
    (out / "000002-item_2/trace.txt").unlink()
    report = render(out)
    assert (report.counts.total, report.counts.done, report.n_failed) == (3, 1, 2)
    advice = f"record 2 samples again with: {AGAIN} --samples 1:3 --retry_failed"
    assert report.sentence.startswith(f"3 samples: 1 done, 2 failed (why: {out}/summary.csv), in ")
    assert report.sentence.endswith(f" s; {advice}")
    lost = rows_of(out)[-2]
    assert (lost["index"], lost["status"], lost["stage"], lost["question"]) == (2, "failed", "render", "question 2")
    assert lost["error"] == {
        "kind": "TraceError",
        "sentence": "000002-item_2 holds no whole trace (trace.txt missing or changed); record it again with the batch "
        "command and --retry_failed",
    }
    n_rows = len(rows_of(out))
    again = render(out)
    assert again.n_failed == 2
    assert again.sentence == (
        f"3 samples: 1 done (1 of them by earlier runs), 2 failed (why: {out}/summary.csv); {advice}"
    )
    assert len(rows_of(out)) == n_rows, "what the books say already is not said again"


def test_a_damaged_trace_is_told_each_time_until_it_is_recorded_again(tmp_path: Path, out: Path) -> None:
    dataset = write_dataset(tmp_path, [{}, {"damaged": "render"}])
    run(dataset, out, trace_only=True)
    for _ in range(2):
        report = render(out)
        assert (report.counts.total, report.n_failed) == (2, 1)
        assert report.sentence.endswith(f"record 1 sample again with: {AGAIN} --samples 1 --retry_failed")
    assert rows_of(out)[-1]["error"]["sentence"].endswith("trace.txt: shard 3 is damaged (CRC), as was asked for")
    text = (out / "index.html").read_text()
    assert '"outcome":"failed"' in text
    assert "shard 3 is damaged" in text
    report = run(dataset, out, samples="1", retry_failed=True, trace_only=True)
    assert (report.counts.recorded, done_in(out, 1)) == (1, ["record", "record"])


def test_a_sample_that_was_interrupted_is_no_failure_and_no_success(tmp_path: Path, out: Path) -> None:
    dataset = write_dataset(tmp_path, [{}, {}])
    run(dataset, out, trace_only=True)
    shutil.rmtree(out / "000001-item_1")
    lines = (out / "results.jsonl").read_text().splitlines(keepends=True)
    cut = {**json.loads(lines[1]), "status": "interrupted"}
    (out / "results.jsonl").write_text(lines[0] + json.dumps(cut) + "\n")
    report = render(out)
    assert report.sentence.startswith("2 samples: 1 done, 1 not recorded, in ")
    assert report.n_failed == 1
    assert statuses(out)[-1] == (1, "interrupted")


def test_what_failed_with_a_trace_is_rendered_again(tmp_path: Path, out: Path) -> None:
    run(write_dataset(tmp_path, [{"fail": "render"}]), out, trace_only=True)
    assert render(out).sentence.endswith(f"try to render 1 sample again with: {PROGRAM} render {out}")


def test_the_command_that_records_again_can_be_pasted(
    dataset: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts where the run was started, chooses the samples anew, and finds a run that was moved."""
    run(dataset, out, trace_only=True)
    words = ["batch", "--samples", "0:9", "--shard=1/1", "--force_new", "--seed", "3"]
    table = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**table, "argv": words}))
    (out / "000001-item_1/trace.txt").unlink()
    moved = tmp_path / "moved here"
    out.rename(moved)
    began_in = os.getcwd()
    monkeypatch.chdir(tmp_path)
    sentence = render(moved).sentence
    assert sentence.endswith(
        f"record 1 sample again with: cd {shlex.quote(began_in)} && {PROGRAM} batch --seed 3 --output_dir '{moved}' "
        "--samples 1 --retry_failed"
    )


def test_a_run_that_was_not_started_from_a_command_line(dataset: Path, out: Path) -> None:
    run(dataset, out, trace_only=True)
    table = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**table, "argv": []}))
    (out / "000001-item_1/trace.txt").unlink()
    assert render(out).sentence.endswith("record 1 sample again with the batch command of this run and --retry_failed")
