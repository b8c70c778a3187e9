"""Every form in which Reason-RFT's files and their kin write an item: a fixture for each, as an array and as lines."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Literal

import pytest

from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.capture.stored_answer import StoredAnswer, stored_answer
from attnviz_video.core.sample import Sample
from attnviz_video.errors import DatasetError, ImageError
from attnviz_video.sources.dataset import Dataset, load_sample, open_dataset
from attnviz_video.sources.settings import SourceSettings

THOUGHTS = "<think>\nTwo and one.\n</think>\n<answer>\n3\n</answer>"
MESSAGES = [{"role": "user", "content": "<image> How many?"}, {"role": "assistant", "content": THOUGHTS}]


def images_in(folder: Path) -> None:
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(b"any bytes: images are decoded later")


def opened(folder: Path, *items: Any, name: str = "data.json", **settings: Any) -> Dataset:
    images_in(folder)
    file = folder / name
    lines = "\n".join(json.dumps(item) for item in items)
    file.write_text(lines if name.endswith("l") else json.dumps(items), encoding="utf-8")
    return open_dataset(SourceSettings(benchmark_json=file, **settings))


def only(folder: Path, item: dict[str, Any], **settings: Any) -> Sample:
    return opened(folder, item, **settings).load(0).sample


#: What an item looks like, and what it comes to: id, problem, names of images, answer, response, extra.
SCHEMAS: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {
    "test set, one image": (
        {"id": "CLEVR_1", "image": "a.png", "problem": "How many?", "answer": "3"},
        ("CLEVR_1", "How many?", ["a.png"], "3", None, {}),
    ),
    "test set, two images": (
        {"id": 7, "image": ["a.png", "b.png"], "problem": "What changed?", "answer": "change_size(o1, 'large')"},
        ("7", "What changed?", ["a.png", "b.png"], "change_size(o1, 'large')", None, {}),
    ),
    "geomath": (
        {"id": "g", "image": "a.png", "problem": "Find x. Hint: …", "problem_no_prompt": "Find x.", "answer": "B"},
        ("g", "Find x. Hint: …", ["a.png"], "B", None, {"problem_no_prompt": "Find x."}),
    ),
    "training meta": (
        {"id": "m", "image": "a.png", "problem": "How many?", "answer": 3, "cot": THOUGHTS},
        ("m", "How many?", ["a.png"], "3", None, {"cot": THOUGHTS}),
    ),
    "reinforcement learning": (
        {"id": "r", "image": {"path": "a.png"}, "problem": "How many?", "solution": "3"},
        ("r", "How many?", ["a.png"], "3", None, {}),
    ),
    "reinforcement learning, list of objects": (
        {"id": "r", "image": [{"path": "b.png"}, {"bytes": None, "path": "a.png"}], "problem": "?", "solution": 2.5},
        ("r", "?", ["b.png", "a.png"], "2.5", None, {}),
    ),
    "reinforcement learning, text only": (
        {"id": "r", "problem": "How many?", "solution": "3"},
        ("r", "How many?", [], "3", None, {}),
    ),
    "fine-tuning": (
        {"id": "s", "image": ["a.png"], "messages": MESSAGES},
        ("s", "How many?", ["a.png"], "3", None, {"messages": MESSAGES}),
    ),
    "evaluation output": (
        {"id": "e", "image": "a.png", "problem": "How many?", "answer": "3", "pred": THOUGHTS},
        ("e", "How many?", ["a.png"], "3", THOUGHTS, {}),
    ),
    "scored evaluation output": (
        {"id": "e", "image": "a.png", "problem": "?", "answer": "3", "pred": "<think>cut o", "score": 0.25, "level": 2},
        ("e", "?", ["a.png"], "3", "<think>cut o", {"score": 0.25, "level": 2}),
    ),
    "output of a closed model": (
        {"pred": None, "score": 0, "solution": "3", "problem": "<image>\n<image>How many?", "image": "a.png", "id": 2},
        ("2", "How many?", ["a.png"], "3", None, {"score": 0}),
    ),
    "other names": (
        {"images": ["a.png"], "question": "How many?", "ground_truth": True, "prediction": "two"},
        ("0", "How many?", ["a.png"], "true", "two", {}),
    ),
    "yet other names": (
        {"id": "", "image_path": "b.png", "question": "How many?", "ground_truth": ["2", "two"], "output": "two"},
        ("0", "How many?", ["b.png"], '["2", "two"]', "two", {}),
    ),
    "empty fields before full ones": (
        {"image": "", "images": [], "image_path": "a.png", "problem": " ", "question": "?", "answer": "",
         "solution": 0},
        ("0", "?", ["a.png"], "0", None, {"image": "", "images": [], "problem": " ", "answer": ""}),
    ),
    "two of everything": (
        {"image": "a.png", "images": ["b.png"], "problem": "P", "question": "Q", "answer": "1", "solution": "2",
         "pred": "x", "output": "y", "messages": MESSAGES},
        ("0", "P", ["a.png"], "1", "x",
         {"images": ["b.png"], "question": "Q", "solution": "2", "output": "y", "messages": MESSAGES}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ["data.json", "data.jsonl"])
@pytest.mark.parametrize("schema", SCHEMAS)
def test_an_item_of_every_schema(tmp_path: Path, schema: str, name: str) -> None:
    item, (id, problem, images, answer, response, extra) = SCHEMAS[schema]
    sample = only(tmp_path, item, name=name)
    assert (sample.id, sample.problem, sample.answer, sample.response) == (id, problem, answer, response)
    assert [path.name for path in sample.image_paths] == images
    assert sample.extra == extra
    assert sample.index == 0


# --- conversations ---------------------------------------------------------------------------------------------------


def test_the_assistant_s_turn_is_a_response_only_where_it_is_asked_for(tmp_path: Path) -> None:
    item = {"id": "s", "image": "a.png", "messages": MESSAGES}
    kinds: tuple[Literal["auto", "stored"], ...] = ("auto", "stored")
    auto, stored = (CaptureSettings(answer=kind) for kind in kinds)
    sample = only(tmp_path, item)
    assert stored_answer(sample, auto, None) is None
    with pytest.raises(DatasetError, match=r"no response to replay .*\(other fields: messages\); name its field with"):
        stored_answer(sample, stored, None)
    named = only(tmp_path, item, response_field="messages")
    assert stored_answer(named, auto, "messages") == StoredAnswer("field messages", THOUGHTS)
    unanswered = only(tmp_path, {"messages": MESSAGES[:1]}, response_field="messages")
    assert (unanswered.response, unanswered.answer) == (None, None)


def test_turns_in_parts_may_name_the_images(tmp_path: Path) -> None:
    parts = [{"type": "image", "image": "b.png"}, {"type": "image", "path": "a.png"}, {"type": "text", "text": "Why?"}]
    sample = only(tmp_path, {"messages": [{"role": "user", "content": parts}]})
    assert (sample.problem, [path.name for path in sample.image_paths]) == ("Why?", ["b.png", "a.png"])
    over = only(tmp_path, {"image": "a.png", "messages": [{"role": "user", "content": parts}]})
    assert [path.name for path in over.image_paths] == ["a.png"], "a field of its own goes before"


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ("hi", r'"messages" must be a list of turns \{"role", "content"\}'),
        ([1], r'"messages" must be a list of turns'),
        ([], '"messages" has no text of a user'),
        ([{"role": "user", "content": "<image>"}], '"messages" has no text of a user'),
        ([{"role": "human", "content": "?"}], "a turn of role 'human'; expected system, user or assistant"),
        ([{"role": "user", "content": 3}], "a turn whose content is neither text nor a list of parts"),
        ([{"role": "user", "content": ["?"]}], "a turn whose content is neither text nor a list of parts"),
        (
            [*MESSAGES, {"role": "user", "content": "?"}],
            "several turns of role user; expected one question and one ans",
        ),
    ],
)
def test_conversations_of_another_form_are_refused(tmp_path: Path, messages: object, message: str) -> None:
    with pytest.raises(DatasetError, match=rf"data\.json, item 0: .*{message}"):
        only(tmp_path, {"messages": messages})


# --- ids -------------------------------------------------------------------------------------------------------------


def test_ids_that_are_missing_or_shared_give_way_to_the_number(tmp_path: Path) -> None:
    values = ["x", None, "y", "x", True, 1.5, {"a": 1}, " ", "\ud83d"]
    dataset = opened(tmp_path, *({"id": value, "problem": "?"} for value in values), {"problem": "?"})
    assert dataset.ids == ("0", "1", "y", "3", "4", "1.5", "6", "7", "\ufffd", "9")
    samples = [dataset.load(index).sample for index in range(len(dataset))]
    assert tuple(sample.id for sample in samples) == dataset.ids
    assert samples[0].extra == {"id": "x"}, "the id it shares is kept"
    assert samples[2].extra == {}
    assert dataset.notices == (f"{dataset.file}: 2 items share their id with another and go by their number",)
    assert load_sample(SourceSettings(benchmark_json=dataset.file, sample_idx=3)).sample.id == "3"


def test_a_number_that_stands_for_an_id_is_nobody_elses_id(tmp_path: Path) -> None:
    values = ["1", None, None, "#4", None, "4", "x", "x", "9", 9]
    dataset = opened(tmp_path, *({"problem": "?"} | ({} if value is None else {"id": value}) for value in values))
    assert dataset.ids == ("1", "#1", "2", "#4", "##4", "4", "6", "7", "8", "9")
    assert dataset.load(1).sample.id == "#1"
    assert dataset.load(1).sample.extra == {}


def test_a_file_whose_ids_differ_has_nothing_to_tell(tmp_path: Path) -> None:
    assert opened(tmp_path, {"id": "x", "problem": "?"}, {"problem": "?"}).notices == ()


# --- faulty items ----------------------------------------------------------------------------------------------------


def test_a_faulty_item_of_any_kind_blocks_no_other(tmp_path: Path) -> None:
    faulty = [7, None, [], {}, {"problem": 3}, {"problem": "?", "image": 3}, {"problem": "?", "image": "absent.png"},
              {"problem": "?", "image": "../../etc/passwd"}, {"problem": "?", "image": "http://host/a.png"},
              {"problem": "?", "image": "a\0.png"}, {"problem": "?", "score": float("nan")},
              {"messages": 3}]  # fmt: skip
    items = [entry for item in faulty for entry in (item, {"problem": "good", "image": "a.png"})]
    dataset = opened(tmp_path, *items)
    assert len(dataset) == len(dataset.ids) == 2 * len(faulty)
    for index in range(0, len(dataset), 2):
        with pytest.raises((DatasetError, ImageError), match=rf"data\.json, item {index}: "):
            dataset.load(index)
        assert dataset.load(index + 1).sample.problem == "good"


def test_an_item_that_is_not_there(tmp_path: Path) -> None:
    for index in (-1, 1):
        with pytest.raises(DatasetError, match=rf"data\.json has no item {index}; it has samples 0 to 0$"):
            opened(tmp_path, {"problem": "?"}).load(index)
    with pytest.raises(DatasetError, match=r"has no item 0; it has 0 samples$"):
        opened(tmp_path).load(0)


@pytest.mark.slow
def test_a_hundred_thousand_items_load_in_seconds(tmp_path: Path) -> None:
    for name in ("data.json", "data.jsonl"):
        item = {"image": "a.png", "problem": "How many red cubes are there? " * 10, "answer": "3", "pred": THOUGHTS * 5}
        start = time.process_time()
        dataset = opened(tmp_path, *({"id": f"CLEVR_{index}", **item} for index in range(100_000)), name=name)
        assert dataset.load(99_999).sample.id == "CLEVR_99999"
        assert time.process_time() - start < 10
