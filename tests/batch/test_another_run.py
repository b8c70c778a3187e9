"""Another run in the folder of a run: what is not the same is refused, by name."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from attnviz_video.batch import names
from attnviz_video.batch.markers import read_marker
from attnviz_video.batch.run import render_run
from attnviz_video.config import RenderConfig
from attnviz_video.errors import ModelError, UsageError
from attnviz_video.progress import Silent
from attnviz_video.testing.fake_work import BUILDER
from attnviz_video.tracefile.lock import FolderLock
from tests.batch.running import Heard, rows_of, run, write_dataset

TWICE = ["record", "render"]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path, [{}, {}, {}])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


# --- another run -----------------------------------------------------------------------------------------------------


def test_changed_settings_are_refused_by_name(dataset: Path, out: Path) -> None:
    run(dataset, out, settings={"max_new_tokens": 9})
    with pytest.raises(UsageError) as caught:
        run(dataset, out, settings={"max_new_tokens": 10, "colormap": "cividis"})
    assert str(caught.value) == (
        f'{out}/run.json is of a run with other settings or input: colormap (was "red_green", now "cividis"), '
        "max_new_tokens (was 9, now 10); give the former ones to go on with it, choose another --output_dir, or start "
        "anew with --force_new (the former run is moved aside)"
    )
    assert not list(out.glob("*.lock"))


def test_changed_input_is_refused_by_name(dataset: Path, out: Path) -> None:
    run(dataset, out)
    dataset.write_text(dataset.read_text().replace("question 2", "question two"))
    with pytest.raises(UsageError, match=r"other settings or input: content of benchmark_json \(changed\); give the"):
        run(dataset, out)


def test_a_changed_checkpoint_is_refused(dataset: Path, out: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    run(dataset, out, settings={"model_path": str(model)})
    (model / "config.json").write_text('{"a": 1}')
    with pytest.raises(UsageError, match=r"files of model_path \(changed\)"):
        run(dataset, out, settings={"model_path": str(model)})


def test_a_changed_image_is_refused(tmp_path: Path, out: Path) -> None:
    image = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(image)
    dataset = tmp_path / "data.json"
    dataset.write_text(json.dumps([{"problem": "?", "image": "a.png"}, {"problem": "?", "image": "a.png"}]))
    run(dataset, out)
    os.utime(image, (1, 1))
    assert run(dataset, out).counts.before == 2, "another date alone is no other image"
    Image.new("RGB", (4, 4), (9, 0, 0)).save(image)
    with pytest.raises(UsageError, match=rf"input of this run has changed: {image} \(sample 0\) and 1 more; put the"):
        run(dataset, out)


def test_images_are_found_again_from_any_folder(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "here/a.png")
    (tmp_path / "here/data.json").write_text(json.dumps([{"problem": "?", "image": "a.png"}] * 2))
    monkeypatch.chdir(tmp_path / "here")
    run(Path("data.json"), out, trace_only=True)
    monkeypatch.chdir(tmp_path)
    assert run(Path("here/data.json"), out, samples="0").counts.done == 1
    (tmp_path / "here/a.png").unlink()
    assert render_run(out, RenderConfig(), Silent(), builder=BUILDER).counts.done == 1, "the trace holds the images"
    assert run(Path("here/data.json"), out).counts.before == 2


def test_how_and_by_whom_it_is_done_may_change(dataset: Path, out: Path) -> None:
    run(dataset, out, samples="0:2", settings={"device": "cpu"})
    report = run(dataset, out, num_workers=2, batch_size=3, settings={"device": "auto", "render_workers": 2})
    assert (report.counts.before, report.counts.done) == (2, 1)


def test_a_setting_that_the_former_program_did_not_have_counts_as_its_default(dataset: Path, out: Path) -> None:
    run(dataset, out, samples="0")
    table = json.loads((out / "run.json").read_text())
    del table["settings"]["gamma"]
    table["config_hash"] = "0123456789abcdef"
    (out / "run.json").write_text(json.dumps(table))
    marker = out / "000000-item_0/done.json"
    marker.write_text(marker.read_text().replace(read_marker(marker).config, "0123456789abcdef"))  # type: ignore[union-attr]
    assert run(dataset, out).counts.before == 1
    with pytest.raises(UsageError, match=r"gamma \(was 1.0, now 0.5\)"):
        run(dataset, out, settings={"gamma": 0.5})


def test_force_new_moves_the_former_run_aside(dataset: Path, out: Path) -> None:
    run(dataset, out)
    heard = Heard()
    report = run(dataset, out, heard, force_new=True, settings={"seed": 5})
    assert report.counts.done == 3
    aside = out.with_name("run.former-1")
    assert heard.notices[0] == f"the former run of {out} is kept in {aside}"
    assert len(rows_of(aside)) == 3
    run(dataset, out, force_new=True, settings={"seed": 6})
    assert out.with_name("run.former-2").is_dir()


def test_force_new_takes_no_folder_from_a_shard_that_works(dataset: Path, out: Path) -> None:
    run(dataset, out, shard="1/2")
    lock = FolderLock(names.lock_file(out, names.shard_suffix("1/2"), (0, 1, 2)))
    try:
        with pytest.raises(UsageError, match="another run works in"):
            run(dataset, out, shard="2/2", force_new=True)
        assert run(dataset, out, shard="2/2").counts.done == 1, "without it both may work"
    finally:
        lock.release()
    assert not list(out.parent.glob("*.former-*"))


def test_two_runs_in_one_folder_are_refused(dataset: Path, out: Path) -> None:
    out.mkdir()
    lock = FolderLock(out / "run.lock")
    with pytest.raises(UsageError, match=f"another run works in {out} .*process {os.getpid()} on .* holds run.lock"):
        run(dataset, out)
    with pytest.raises(UsageError, match="another run works in"):
        run(dataset, out, shard="1/2")
    lock.release()
    shard = FolderLock(names.lock_file(out, "-1-of-2", (0, 1, 2)))
    for other in (None, "1/2", "2/3"):
        with pytest.raises(UsageError, match="another run works in"):
            run(dataset, out, shard=other)
    assert run(dataset, out, shard="2/2").counts.done == 1, "another shard of the same cutting is welcome"
    shard.release()


def test_a_folder_of_something_else_is_refused(dataset: Path, out: Path) -> None:
    out.mkdir()
    (out / "thesis.tex").write_text("precious")
    with pytest.raises(UsageError, match=f"{out} holds 'thesis.tex', which no batch run wrote; choose another"):
        run(dataset, out)
    run(dataset, out, settings={"overwrite": True})
    assert (out / "thesis.tex").read_text() == "precious"
    assert run(dataset, out).counts.before == 3, "from then on it is the folder of a run"
    file = out.with_name("file")
    file.write_text("")
    with pytest.raises(UsageError, match=f"{file} is a file; name a folder for the run with --output_dir"):
        run(dataset, file)


def test_a_damaged_run_json_is_refused(dataset: Path, out: Path) -> None:
    run(dataset, out)
    (out / "run.json").write_text('{"format": "attn')
    with pytest.raises(UsageError, match=r"run.json was not written by a batch run, or is damaged; choose another"):
        run(dataset, out)
    assert run(dataset, out, force_new=True).counts.done == 3


# --- a run that came to no sample claims no folder -------------------------------------------------------------------

MISTYPED = {"prompt_template": "no model {problem}"}


@pytest.mark.parametrize("shard", [None, "1/2"])
def test_a_mistyped_setting_claims_no_folder(dataset: Path, out: Path, shard: str | None) -> None:
    for _ in range(2):
        with pytest.raises(ModelError, match="this model cannot be loaded"):
            run(dataset, out, shard=shard, settings=MISTYPED)
    assert not names.all_run_files(out)
    heard = Heard()
    assert run(dataset, out, heard, shard=shard).counts.done == (3 if shard is None else 2)
    assert heard.notices == []


def test_a_run_that_was_killed_before_its_first_sample_claims_no_folder(dataset: Path, out: Path) -> None:
    run(dataset, out, samples="0")
    begun = {name: (out / name).read_bytes() for name in ("run.json", "results.jsonl")}
    row = {"index": 2, "id": "item 2", "status": "interrupted", "attempt": 1}
    for content in (b"", json.dumps(row).encode() + b"\n"):
        left = out.with_name(f"left {len(content)}")
        left.mkdir()
        (left / "run.json").write_bytes(begun["run.json"])
        (left / "results.jsonl").write_bytes(content)
        (left / "index.html").touch()
        assert run(dataset, left, samples="0", settings={"seed": 4}).counts.done == 1
        assert [row["index"] for row in rows_of(left)] == [0], "rows of a run that is forgotten are none of this one"


@pytest.mark.parametrize("left", ["row", "folder"])
def test_a_run_that_came_to_a_sample_keeps_its_folder(dataset: Path, out: Path, left: str) -> None:
    run(dataset, out, samples="0")
    if left == "row":
        shutil.rmtree(out / "000000-item_0")
    else:
        (out / "results.jsonl").write_bytes(b"")
    with pytest.raises(UsageError, match=r"is of a run with other settings or input: seed \(was 0, now 4\)"):
        run(dataset, out, settings={"seed": 4})


def test_a_shard_forgets_no_shard_that_has_only_begun(dataset: Path, out: Path) -> None:
    run(dataset, out, shard="1/2")
    for path in (*out.glob("0*"), *out.glob("results*")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    lock = FolderLock(names.lock_file(out, names.shard_suffix("1/2"), (0, 1, 2)))
    with pytest.raises(UsageError, match=r"run-1-of-2.json is of a run with other settings"):
        run(dataset, out, shard="2/2", settings={"seed": 4})
    lock.release()
