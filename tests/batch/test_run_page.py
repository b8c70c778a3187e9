"""The page of a run: its cards say what the books say, and it is there whenever the run ends."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from attnviz_video.batch.ledger import Ledger, RunIdentity
from attnviz_video.batch.run import render_run
from attnviz_video.batch.run_page import EVERY, RESTS, RunPage, card_of, outcome_of_row, settings_told, video_words
from attnviz_video.config import RenderConfig
from attnviz_video.errors import DiskFullError, EnvironmentFault
from attnviz_video.export.report.settings import ReportSettings
from attnviz_video.export.report.write import report_path
from attnviz_video.progress import Silent
from attnviz_video.testing.fake_work import BUILDER
from tests.batch.running import ARGV, rows_of, run, write_dataset

ROW: dict[str, object] = {
    "index": 3, "id": "a", "folder": "000003-a", "status": "done", "question": "How many?",
    "answer": "<answer>4</answer>", "response": "<think>5</think>\n<answer> 4 </answer>", "correct": True,
    "correct_by": "compared", "kind": "replay", "image_share": 0.25, "n_tokens": 9,
    "seconds": {"record": 1.25, "render": 2.5}, "error": None, "trace": "trace_sample3", "thumbnail": "small.webp",
    "poster": "x_poster.png", "videos": ["combined_layer4.mp4", "combined_layer20.mp4", "combined_layer20.gif"],
    "outputs": [{"path": "trace_sample3/manifest.json"}, {"path": "report.html"}],
    "input_notices": ["/some/data, v2.json, item 3: 3 images, the first 2 used"], "notices": ["recording: 3 tokens"],
}  # fmt: skip


def page_of(out: Path) -> dict[str, Any]:
    text = (out / "index.html").read_text(encoding="utf-8")
    (found,) = re.findall(r'<script id="run-data" type="application/json">(.*?)</script>', text, re.DOTALL)
    return dict(json.loads(found))


def outcomes(out: Path) -> list[tuple[int, str]]:
    return [(card["index"], card["outcome"]) for card in page_of(out)["cards"]]


# --- what a card says ------------------------------------------------------------------------------------------------


def test_a_card_says_what_its_row_says() -> None:
    card = card_of(ROW)
    assert (card.index, card.id, card.outcome, card.question) == (3, "a", "correct", "How many?")
    assert (card.answer, card.reference, card.judged_by) == ("4", "4", "comparing it with the answer in the dataset")
    assert (card.share, card.tokens, card.seconds, card.kind) == (0.25, 9, 3.8, "replayed")
    assert (card.cautions, card.notices) == (("3 images, the first 2 used",), ("recording: 3 tokens",))
    assert (card.thumbnail, card.poster) == ("000003-a/small.webp", "000003-a/x_poster.png")
    assert card.videos == (
        ("Layer 4", "000003-a/combined_layer4.mp4"),
        ("Layer 20", "000003-a/combined_layer20.mp4"),
        ("Layer 20 GIF", "000003-a/combined_layer20.gif"),
    )
    assert (card.trace, card.report) == ("000003-a/trace_sample3/", "000003-a/report.html")


def test_a_row_that_says_little() -> None:
    card = card_of(
        {"index": 1, "status": "failed", "error": {"kind": "ImageError", "sentence": "d.json, item 1: no such file"}}
    )
    assert (card.outcome, card.error, card.answer, card.videos) == ("failed", "no such file", "", ())
    assert (card.share, card.tokens, card.seconds, card.trace, card.report, card.thumbnail) == (
        None, None, None, "", "", "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "correct", "outcome"),
    [
        ("done", True, "correct"), ("done", False, "wrong"), ("done", None, "unjudged"), ("failed", True, "failed"),
        ("recorded", True, "unfinished"), ("interrupted", None, "unfinished"), ("killed", None, "unfinished"),
    ],
)  # fmt: skip
def test_outcomes(status: str, correct: bool | None, outcome: str) -> None:
    assert outcome_of_row({"index": 0, "status": status, "correct": correct}) == outcome


@pytest.mark.parametrize("status", ["done", "recorded", "failed"])
def test_a_verdict_is_known_without_a_video(status: str) -> None:
    row = {"index": 0, "status": status}
    assert card_of({**row, "correct": True}).verdict == "correct"
    assert card_of({**row, "correct": False, "score": 0}).verdict == "wrong"
    partly = card_of({**row, "correct": None, "score": 0.75, "correct_by": "field score"})
    assert (partly.verdict, partly.score, partly.judged_by) == ("partial", 0.75, "field score")
    assert partly.outcome == {"done": "partial", "recorded": "unfinished", "failed": "failed"}[status]
    assert (card_of(row).verdict, card_of(row).score) == ("", None)


@pytest.mark.parametrize(
    ("name", "n_videos", "words"),
    [
        ("v_layer7.mp4", 1, "Video"), ("v_layer7.mp4", 2, "Layer 7"), ("v_layer7.webp", 2, "Layer 7 WEBP"),
        ("v_layer7_frames", 2, "Layer 7 PNG frames"), ("other.txt", 3, "Video"),
    ],
)  # fmt: skip
def test_words_of_a_link(name: str, n_videos: int, words: str) -> None:
    assert video_words(name, n_videos) == words


def test_settings_in_words() -> None:
    table = {
        "versions": {"torch": "2.9"},
        "argv": ["batch", "a b"],
        "device": "cpu",
        "host": "h",
        "created": "2025-01-02T05:04:03.100+02:00",
    }
    config = {"model_path": "m", "head": "mean", "do_sample": True, "temperature": 0.5, "seed": 3, "answer": "auto"}
    told = dict(settings_told(table, config, [4, 20]))
    assert told["Layers shown"] == "4, 20"
    assert told["Decoding"] == "sampled, temperature 0.5, seed 3"
    assert told["Answers"] == "stored ones where there are, else generated"
    assert told["Prompt strategy"] == "default (cot, or the demo model's own)"
    assert (told["Device"], told["Versions"], told["Command"]) == ("cpu on h", "torch 2.9", "batch 'a b'")
    assert told["Begun"] == "2025-01-02 03:04 UTC"
    assert "Adapter" not in told


# --- when it is written ----------------------------------------------------------------------------------------------


def test_a_run_ends_with_a_page(tmp_path: Path) -> None:
    dataset, out = write_dataset(tmp_path, [{}, {"fail": "record"}, {"fail": "render"}]), tmp_path / "run"
    run(dataset, out)
    page = page_of(out)
    assert (page["left"], page["recorded"], page["working"]) == (0, 0, False)
    assert outcomes(out) == [(0, "unjudged"), (1, "failed"), (2, "failed")]
    card = page["cards"][1]
    assert (card["question"], card["error"]) == ("question 1", "sample 1 fails while it is recorded, as was asked for")
    assert page["cards"][0]["videos"] == [["Video", "./000000-item_0/video.txt"]]
    assert dict(page["settings"])["Command"] == " ".join(ARGV)
    assert ["--seed", "0"] in page["all_settings"]
    assert page["subtitle"] == "data.json" or page["subtitle"].endswith(" on data.json")


def test_a_part_of_a_run_counts_what_the_other_parts_are_to_do(tmp_path: Path) -> None:
    dataset, out = write_dataset(tmp_path, [{}, {}, {}, {}, {}]), tmp_path / "run"
    run(dataset, out, samples="0:4", shard="1/2")
    assert page_of(out)["left"] == 2
    run(dataset, out, samples="0:4", shard="2/2")
    assert page_of(out)["left"] == 0
    assert [index for index, _ in outcomes(out)] == [0, 1, 2, 3]


def test_recording_alone_leaves_work_for_render(tmp_path: Path) -> None:
    dataset, out = write_dataset(tmp_path, [{}, {}]), tmp_path / "run"
    run(dataset, out, trace_only=True)
    page = page_of(out)
    assert (page["left"], page["recorded"], outcomes(out)) == (0, 2, [(0, "unfinished"), (1, "unfinished")])
    render_run(out, RenderConfig(), Silent(), builder=BUILDER)
    page = page_of(out)
    assert (page["left"], page["recorded"], outcomes(out)) == (0, 0, [(0, "unjudged"), (1, "unjudged")])


def test_a_run_that_breaks_off_leaves_a_page(tmp_path: Path) -> None:
    dataset, out = write_dataset(tmp_path, [{}, {"disk_full": "record"}, {}]), tmp_path / "run"
    with pytest.raises(DiskFullError, match="disk full"):
        run(dataset, out)
    assert page_of(out)["left"] == 2
    assert outcomes(out) == [(0, "unjudged"), (1, "unfinished")]


def test_a_run_that_has_nothing_to_do_writes_a_lost_page_again(tmp_path: Path) -> None:
    dataset, out = write_dataset(tmp_path, [{}]), tmp_path / "run"
    run(dataset, out)
    (out / "index.html").unlink()
    assert run(dataset, out).sentence.endswith("nothing to do")
    assert outcomes(out) == [(0, "unjudged")]


def test_the_page_is_kept_fresh_while_the_run_goes(tmp_path: Path) -> None:
    now = 0.0
    slow = 0.0

    def clock() -> float:
        nonlocal now
        now += slow
        return now

    ledger = Ledger.open(tmp_path / "run", RunIdentity({}, {}, {}))
    page = RunPage(ledger, range(3), clock)
    page.tick()
    assert (page_of(ledger.folder)["left"], page_of(ledger.folder)["working"]) == (3, True)
    ledger.append({**ROW, "index": 0})
    now += EVERY - 1
    page.tick()
    assert page_of(ledger.folder)["left"] == 3
    now, slow = now + 1, 2.0  # from here on, writing takes at least two seconds
    page.tick()
    assert page_of(ledger.folder)["left"] == 2
    ledger.append({**ROW, "index": 1})
    now, slow = now + EVERY, 0.0
    page.tick()
    assert page_of(ledger.folder)["left"] == 2
    now += 2 * RESTS
    page.tick()
    assert page_of(ledger.folder)["left"] == 1
    ledger.close()


def test_a_page_that_cannot_be_written_stops_no_run(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "run", RunIdentity({}, {}, {}))
    (ledger.folder / "index.html").mkdir()
    (ledger.folder / "index.html" / "somebody's").touch()
    page = RunPage(ledger, range(3))
    page.tick()
    with pytest.raises(EnvironmentFault, match=r"cannot write .*index\.html"):
        page.write()
    ledger.close()


def test_a_report_that_was_made_later_is_linked(tmp_path: Path) -> None:
    dataset, out = write_dataset(tmp_path, [{}, {}]), tmp_path / "run"
    run(dataset, out)
    trace = Path(rows_of(out)[1]["trace"])
    report = report_path(ReportSettings(), out / "000001-item_1" / trace)
    report.write_text("a report")
    run(dataset, out)
    reports = [card["report"] for card in page_of(out)["cards"]]
    assert reports == ["", f"./000001-item_1/{report.name}"]


# --- what is said about how a sample was read ------------------------------------------------------------------------


def test_notices_of_the_dataset_reach_the_row_the_table_and_the_card(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    items = [
        {"id": "three", "image": ["a.png", "b.png", "c.png"], "problem": "?", "answer": "4"},
        {
            "id": "fails",
            "image": ["a.png", "b.png", "c.png"],
            "problem": "?",
            "answer": "4",
            "fake": {"fail": "record"},
        },
    ]
    dataset, out = tmp_path / "data.json", tmp_path / "run"
    dataset.write_text(json.dumps(items), encoding="utf-8")
    run(dataset, out, settings={"image_dir": str(tmp_path)})
    short = "3 images, the first 2 used; --max_image_num 3 uses all"
    for number, row in enumerate(rows_of(out)):
        assert row["input_notices"] == [f"{dataset}, item {number}: {short}"]
    with (out / "summary.csv").open(encoding="utf-8", newline="") as file:
        assert [line["notices"] for line in csv.DictReader(file)] == [f"{dataset}, item {n}: {short}" for n in (0, 1)]
    assert [card["cautions"] for card in page_of(out)["cards"]] == [[short], [short]]
