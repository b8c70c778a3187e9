"""FAULTS 4 and 6: items of the Reason-RFT schema, good and bad."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from attnviz_video.core.sample import TruthBox
from attnviz_video.errors import DatasetError, ImageError, UsageError
from attnviz_video.sources.dataset import LoadedSample, load_sample, load_samples
from attnviz_video.sources.settings import SourceSettings


def dataset(folder: Path, *items: dict[str, object]) -> Path:
    for name in ("a.png", "b.png", "c.png"):
        (folder / name).write_bytes(b"any bytes: images are decoded later")
    path = folder / "data.json"
    path.write_text(json.dumps(items), encoding="utf-8")
    return path


def loaded(folder: Path, item: dict[str, object], **settings: object) -> LoadedSample:
    return load_sample(SourceSettings(benchmark_json=dataset(folder, item), **settings))  # type: ignore[arg-type]


def test_a_whole_item(tmp_path: Path) -> None:
    item = {
        "id": "clevr-7", "image": "a.png", "problem": "How many?", "answer": "3", "pred": "<think>…</think>",
        "boxes": [{"phrase": "red circle", "image": 0, "box": [1, 2, 30, 40]}], "kind": "count",
    }  # fmt: skip
    found = loaded(tmp_path, item)
    sample = found.sample
    assert (sample.index, sample.id, sample.problem, sample.answer) == (0, "clevr-7", "How many?", "3")
    assert sample.image_paths == (tmp_path / "a.png",)
    assert sample.response == "<think>…</think>"
    assert sample.boxes == (TruthBox("red circle", 0, (1.0, 2.0, 30.0, 40.0)),)
    assert sample.extra == {"kind": "count"}
    assert sample.source == str(tmp_path / "data.json")
    assert found.notices == ()


def test_what_an_item_may_lack(tmp_path: Path) -> None:
    sample = loaded(tmp_path, {"problem": "Why?", "id": None, "answer": None, "pred": None, "response": "so"}).sample
    assert (sample.id, sample.answer, sample.response, sample.image_paths) == ("0", None, "so", ())
    assert loaded(tmp_path, {"problem": "Why?", "image": [], "id": 12, "answer": 3.5}).sample.answer == "3.5"
    assert loaded(tmp_path, {"problem": "Why?", "image": "", "id": 12}).sample.id == "12"


def test_a_response_that_is_no_text_stays_where_it_is(tmp_path: Path) -> None:
    for value in ([4, 5], 3, {"text": "so"}):
        sample = loaded(tmp_path, {"problem": "Why?", "pred": value}).sample
        assert (sample.response, sample.extra) == (None, {"pred": value})
    both = loaded(tmp_path, {"problem": "Why?", "pred": [4, 5], "response": "so"}).sample
    assert (both.response, both.extra) == (None, {"pred": [4, 5], "response": "so"}), "the first of the names counts"


def test_a_named_field_holds_the_response(tmp_path: Path) -> None:
    item = {"problem": "Why?", "pred": "because", "vllm": "so", "ids": [4, 5], "nothing": None}
    by_field = {
        name: loaded(tmp_path, item, response_field=name).sample for name in ("vllm", "pred", "ids", "nothing", "x")
    }
    assert {name: sample.response for name, sample in by_field.items()} == {
        "vllm": "so", "pred": "because", "ids": None, "nothing": None, "x": None
    }  # fmt: skip
    assert by_field["vllm"].extra == {"pred": "because", "ids": [4, 5], "nothing": None}, "what is not read is kept"
    assert by_field["ids"].extra == {"pred": "because", "vllm": "so", "ids": [4, 5], "nothing": None}, "ids stay"
    assert loaded(tmp_path, {**item, "pred": [4, 5]}, response_field="pred").sample.extra["pred"] == [4, 5]
    assert loaded(tmp_path, {**item, "answer": "42"}, response_field="answer").sample.response == "42"


def test_the_first_images_are_used_with_a_notice(tmp_path: Path) -> None:
    boxes = [{"phrase": "cube", "image": index, "box": [0, 0, 5, 5]} for index in range(3)]
    found = loaded(tmp_path, {"problem": "?", "image": ["b.png", "a.png", "c.png"], "boxes": boxes})
    assert [path.name for path in found.sample.image_paths] == ["b.png", "a.png"]
    assert [box.image for box in found.sample.boxes] == [0, 1]
    assert found.notices == (
        f"{tmp_path / 'data.json'}, item 0: 3 images, the first 2 used; --max_image_num 3 uses all",
    )
    whole = loaded(tmp_path, {"problem": "?", "image": ["b.png", "a.png", "c.png"]}, max_image_num=3)
    assert (len(whole.sample.image_paths), whole.notices) == (3, ())


@pytest.mark.parametrize(
    "boxes",
    [
        "none", [[1, 2, 3, 4]], [{"phrase": "x", "box": [1, 2, 3]}], [{"phrase": "x", "box": [5, 2, 3, 4]}],
        [{"phrase": "x", "image": 1, "box": [1, 2, 3, 4]}], [{"phrase": 1, "box": [1, 2, 3, 4]}],
        [{"phrase": "x", "box": [1, True, 3, 4]}],
    ],
)  # fmt: skip
def test_boxes_of_another_form_stay_extra_with_a_notice(tmp_path: Path, boxes: object) -> None:
    found = loaded(tmp_path, {"problem": "?", "image": "a.png", "boxes": boxes})
    assert found.sample.boxes == ()
    assert found.sample.extra == {"boxes": boxes}
    assert found.notices[0].endswith('"boxes" is not a list of {phrase, image, box} and is not used')


def test_a_wrong_schema_names_keys_found_and_wanted(tmp_path: Path) -> None:
    nothing = r'item 0: no text under "problem", "question" or "messages"'
    with pytest.raises(DatasetError, match=nothing + r" \(keys found: id, text; wanted: id, image, problem, answer\)"):
        loaded(tmp_path, {"id": 1, "text": "What?"})
    with pytest.raises(DatasetError, match=nothing + r" \(keys found: none;"):
        loaded(tmp_path, {})
    for problem in (3, "", "  ", "<image>\n<image>", None, ["What?"]):
        with pytest.raises(DatasetError, match=nothing):
            loaded(tmp_path, {"problem": problem})
    wanted = r'item 0: "image" must be a path, an object \{"path": …\}, or a list of these'
    for image in (3, True, {"bytes": "aGk="}, {"path": None}, {"path": ["a.png"]}, ["a.png", None], [["a.png"]]):
        with pytest.raises(DatasetError, match=wanted):
            loaded(tmp_path, {"problem": "?", "image": image})
    with pytest.raises(DatasetError, match='item 0: "image_path" must be a path'):
        loaded(tmp_path, {"problem": "?", "image_path": 3})


@pytest.mark.parametrize("index", [-1, 2, 99])
def test_a_sample_index_out_of_range_names_the_range(tmp_path: Path, index: int) -> None:
    path = dataset(tmp_path, {"problem": "one"}, {"problem": "two"})
    assert load_sample(SourceSettings(benchmark_json=path, sample_idx=1)).sample.problem == "two"
    with pytest.raises(DatasetError, match=rf"--sample_idx {index} is out of range: .*data\.json has samples 0 to 1$"):
        load_sample(SourceSettings(benchmark_json=path, sample_idx=index))


def test_an_empty_dataset(tmp_path: Path) -> None:
    path = tmp_path / "empty.json"
    path.write_text("")
    with pytest.raises(DatasetError, match=r"empty\.json has 0 samples"):
        load_sample(SourceSettings(benchmark_json=path))
    assert load_samples(path, None) == []


def test_a_missing_image_names_item_path_and_folder(tmp_path: Path) -> None:
    with pytest.raises(
        ImageError, match=r"data\.json, item 0: image .*/z\.png not found \(looked in .*\); check --image"
    ):
        loaded(tmp_path, {"problem": "?", "image": "z.png"})
    path = dataset(tmp_path, {"problem": "good"}, {"problem": "bad", "image": "z.png"})
    assert load_sample(SourceSettings(benchmark_json=path)).sample.problem == "good"
    with pytest.raises(ImageError, match="item 1"):
        load_samples(path, None)


def test_only_the_asked_item_has_to_be_good(tmp_path: Path) -> None:
    path = dataset(tmp_path, {"no": "problem"}, {"problem": "good", "image": "a.png"})
    assert load_sample(SourceSettings(benchmark_json=path, sample_idx=1)).sample.index == 1


def test_images_outside_are_refused_unless_allowed(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    path = dataset(tmp_path / "inner", {"problem": "?", "image": "../out.png"})
    (tmp_path / "out.png").write_bytes(b"x")
    with pytest.raises(ImageError, match="item 0: image '../out.png' points outside"):
        load_samples(path, None)
    assert load_samples(path, None, allow_outside_images=True)[0].image_paths[0].samefile(tmp_path / "out.png")


def test_images_and_a_question_need_no_dataset(tmp_path: Path) -> None:
    dataset(tmp_path)
    images = (tmp_path / "a.png", tmp_path / "b.png", tmp_path / "c.png")
    found = load_sample(SourceSettings(image=images, question="What moved?"))
    assert (found.sample.id, found.sample.problem, found.sample.image_paths) == ("a", "What moved?", images[:2])
    assert found.notices == ("--image: 3 images, the first 2 used; --max_image_num 3 uses all",)


def test_a_question_may_stand_alone() -> None:
    found = load_sample(SourceSettings(question="What is one and one?"))
    assert (found.sample.id, found.sample.problem, found.sample.image_paths) == ("question", "What is one and one?", ())
    assert found.notices == ("--question without --image: the model is asked about no picture",)


def test_flags_that_name_no_sample_or_two(tmp_path: Path) -> None:
    image, data = (tmp_path / "a.png",), dataset(tmp_path, {"problem": "?"})
    cases: list[tuple[dict[str, object], str]] = [
        ({}, "nothing to ask: give --benchmark_json, or --question with or without --image"),
        ({"image": image}, "--image needs --question: what shall the model be asked"),
        ({"image": image, "question": " "}, "--question is empty: what shall the model be asked"),
        ({"question": ""}, "--question is empty"),
        ({"image": image, "question": "?", "benchmark_json": data}, "--image and --question replace a dataset; give"),
        ({"benchmark_json": data, "max_image_num": 0}, "--max_image_num: expected 1 or more, got 0"),
    ]
    for flags, message in cases:
        with pytest.raises(UsageError, match=message):
            load_sample(SourceSettings(**flags))  # type: ignore[arg-type]
    with pytest.raises(ImageError, match=r"--image .*absent\.png: no such file"):
        load_sample(SourceSettings(image=(tmp_path / "absent.png",), question="?"))
    with pytest.raises(ImageError, match="is an address, not a file"):
        load_sample(SourceSettings(image=(Path("https://host/a.png"),), question="?"))


def test_the_shipped_data_loads() -> None:
    samples = Path(__file__).parents[2] / "samples"
    single, pairs = load_samples(samples / "demo.json", None), load_samples(samples / "demo_pairs.json", None)
    assert len(single) >= 24
    assert len(pairs) >= 8
    assert {len(sample.image_paths) for sample in pairs} == {2}
    assert all(sample.boxes for sample in (*single, *pairs) if sample.extra["kind"] == "describe")


def test_reading_a_dataset_does_not_load_pillow() -> None:
    code = "import sys, attnviz_video.sources.dataset; sys.exit('PIL' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0


def test_f4_a_faulty_item_blocks_no_other(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text('[{"problem": "Why?"}, 7, {"problem": "How?"}]', encoding="utf-8")
    for index, problem in ((0, "Why?"), (2, "How?")):
        assert load_sample(SourceSettings(benchmark_json=file, sample_idx=index)).sample.problem == problem
    with pytest.raises(DatasetError, match="item 1: expected an object with the keys .*, got a number"):
        load_sample(SourceSettings(benchmark_json=file, sample_idx=1))
    with pytest.raises(DatasetError, match="item 1: expected an object"):
        load_samples(file, None)


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="--image .* is a folder; name the image files in it"):
        load_sample(SourceSettings(image=(tmp_path,), question="What?"))
