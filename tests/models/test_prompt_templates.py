"""Which words go around a problem: strategy, task, the user's own template, and what the trace keeps of it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from PIL import Image

from attnviz_video import open_trace
from attnviz_video.api import record
from attnviz_video.cli import main
from attnviz_video.core.sample import Sample
from attnviz_video.errors import UsageError
from attnviz_video.models.prompt import user_text
from attnviz_video.models.prompt_templates import (
    FOLDER,
    Prompt,
    check_template,
    prompt_of,
    read_template,
    refuse_missing_templates,
    task_named,
    template_name,
)
from attnviz_video.models.settings import ModelSettings, Strategy, Task
from attnviz_video.progress import Silent
from attnviz_video.shipped import shipped

PLAIN = ModelSettings()
TASKS: tuple[Task, ...] = get_args(Task)
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
THINK = "Output the thinking process in <think> </think> and final answer"


def sample(file: str = "data.json", answer: str | None = None, **extra: object) -> Sample:
    return Sample(3, "x", "How many?", (), answer=answer, extra=extra, source=file)


def text_of(prompt: Prompt) -> str:
    return user_text("How many?", prompt.template)


# --- shipped templates -----------------------------------------------------------------------------------------------


def test_every_shipped_template_is_loaded_and_taken_by_something() -> None:
    files = {path.name for path in shipped(FOLDER).iterdir()}
    taken = {
        template_name(strategy, task, answer)
        for strategy in STRATEGIES
        for task in (None, *TASKS)
        for answer in (None, "A", "3")
    }
    assert files == taken
    for name in files:
        template = read_template(shipped(f"{FOLDER}/{name}"))
        assert template.count("{Question}") == 1
        assert template == template.strip()


def test_the_general_wording_is_the_one_the_demo_model_was_trained_with() -> None:
    prompt = prompt_of(sample("demo.json"), PLAIN)
    assert text_of(prompt) == f"How many? {THINK} in <answer> </answer> tags."
    assert (prompt.strategy, prompt.task, prompt.system, prompt.notices) == ("cot", None, None, ())


def test_the_shipped_trace_was_asked_in_the_general_wording() -> None:
    """The demo's frames are those of this prompt."""
    header = open_trace(shipped("samples/demo_trace")).data.header
    asked = user_text(header.sample.problem, prompt_of(header.sample, PLAIN).template)
    assert f"<|vision_end|>{asked}<|im_end|>" in header.rendered_prompt


@pytest.mark.parametrize(
    ("strategy", "task", "answer", "name"),
    [
        ("cot", None, "3", "cot.txt"),
        ("cot", "clevr-math", "3", "cot-number.txt"),
        ("cot-sft", "super-clevr", None, "cot-number.txt"),
        ("cot-sft", "geomath", "B", "cot-letter.txt"),
        ("cot-sft", "geomath", "2.5", "cot-number.txt"),
        ("cot-sft", "geomath", None, "cot-number-or-letter.txt"),
        ("cot", "geometry3k", "B", "cot-number-or-letter.txt"),
        ("cot", "trance-left", None, "cot-trance.txt"),
        ("sft", "clevr-math", None, "sft.txt"),
        ("sft", "geomath", "B", "sft.txt"),
        ("sft", "trance", None, "sft-trance.txt"),
        ("zero-shot", None, None, "zero-shot.txt"),
        ("zero-shot", "clevr-math", None, "zero-shot-number.txt"),
        ("zero-shot", "geomath", "B", "zero-shot-number-or-letter.txt"),
        ("zero-shot", "trance-right", None, "zero-shot-trance.txt"),
    ],
)
def test_strategy_task_and_answer_choose_the_template(
    strategy: Strategy, task: Task | None, answer: str | None, name: str
) -> None:
    assert template_name(strategy, task, answer) == name
    prompt = prompt_of(sample(answer=answer), replace(PLAIN, strategy=strategy, task=task or "none"))
    assert (prompt.strategy, prompt.task, prompt.origin) == (strategy, task, name)
    assert prompt.template == read_template(shipped(f"{FOLDER}/{name}"))


def test_the_bare_problem_is_bare() -> None:
    assert text_of(prompt_of(sample("clevr-math.json"), replace(PLAIN, strategy="sft"))) == "How many?"


def test_rules_of_two_images_go_before_the_problem() -> None:
    text = text_of(prompt_of(sample("trance.json"), PLAIN))
    assert text.index("change_position(object_id, value)") < text.index("How many?") < text.index(THINK)


# --- tasks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("clevr-math.json", "clevr-math"),
        ("ckpt/vision-r1-result/clevr_math_with_score.json", "clevr-math"),
        ("super_clevr.jsonl", "super-clevr"),
        ("my-GeoMath-results.json", "geomath"),
        ("geometry3k.json", "geometry3k"),
        ("trance.json", "trance"),
        ("trance-left.json", "trance-left"),
        ("trance_right_with_score.json", "trance-right"),
        ("Visual-Counting-id-test-1k.json", "clevr-math"),
        ("Visual-Counting-ood-test-1k.json", "super-clevr"),
        ("A3-Visual-Counting-train-35k-cot.json", "clevr-math"),
        ("Structure-Perception-id-test-820.json", "geomath"),
        ("Structure-Perception-ood-test-800.json", "geometry3k"),
        ("Spatial-Transformation-id-test-1k.json", "trance"),
        ("Spatial-Transformation-ood-left-test-1k.json", "trance-left"),
        ("Spatial-Transformation-ood-right-test-1k.json", "trance-right"),
        ("demo.json", None),
        ("demo_pairs.json", None),
        ("entrance.json", None),
        ("geomathematics.json", None),
        ("trance/data.json", None),
        ("", None),
    ],
)
def test_a_file_name_names_the_task(name: str, task: Task | None) -> None:
    assert task_named(Path(name)) == task
    assert prompt_of(sample(name), PLAIN).task == task


def test_a_task_may_be_named_or_left_out() -> None:
    assert prompt_of(sample("results.json"), replace(PLAIN, task="clevr-math")).origin == "cot-number.txt"
    assert prompt_of(sample("clevr-math.json"), replace(PLAIN, task="none")).origin == "cot.txt"


def test_a_strategy_of_reason_rft_without_a_task_is_told() -> None:
    asked = replace(PLAIN, strategy="cot-sft")
    told = "names no task of Reason-RFT, so the general wording is used; --task names one"
    assert prompt_of(sample("results.json"), asked).notices == (f"results.json {told}",)
    assert prompt_of(sample(""), asked).notices == (f"a question of its own {told}",)
    assert prompt_of(sample("geomath.json"), asked).notices == ()


# --- the user's own --------------------------------------------------------------------------------------------------


def test_a_template_is_text_a_file_or_a_folder(tmp_path: Path) -> None:
    for text in ("Q: {Question}", "Q: {problem}", "./{Question}", "a {b} " + "long " * 2000 + "{Question}"):
        prompt = prompt_of(sample("clevr-math.json"), replace(PLAIN, strategy="sft", prompt_template=text))
        assert (prompt.template, prompt.origin) == (text, "--prompt_template")
        assert (prompt.strategy, prompt.task) == (None, "clevr-math"), "the user's words go before the strategy's"
    file = tmp_path / "own.txt"
    file.write_bytes(b"\xef\xbb\xbfRules.\r\n\r\n{Question} 100 %\r\n")
    prompt = prompt_of(sample(), replace(PLAIN, prompt_template=str(file)))
    assert (prompt.template, prompt.origin) == ("Rules.\n\n{Question} 100 %", str(file))
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "cot-letter.txt").write_text("Letter! {Question}\n", encoding="utf-8")
    asked = replace(PLAIN, prompt_template=str(folder), strategy="cot-sft", task="geomath")
    assert prompt_of(sample(answer="C"), asked).template == "Letter! {Question}"
    with pytest.raises(UsageError, match=r"--prompt_template: cannot read .*own/cot-number\.txt: No such file"):
        prompt_of(sample(answer="3"), asked)


def test_a_folder_without_the_files_that_samples_need_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cot-number.txt").write_text("{Question}", encoding="utf-8")
    asked = replace(PLAIN, prompt_template=str(tmp_path))
    refuse_missing_templates(asked, "geomath.json", ["3", "4"])
    with pytest.raises(UsageError) as caught:
        refuse_missing_templates(asked, "in/geomath.json", ["3", "B", None])
    assert str(caught.value) == (
        f"--prompt_template {tmp_path}: this folder has no cot-letter.txt and no cot-number-or-letter.txt, which the "
        "samples of geomath.json need (strategy cot, task geomath); it has cot-number.txt; put the file there "
        "(configs/prompts has one to start from), or name a single file"
    )
    with pytest.raises(UsageError, match=r"no sft\.txt, which .* data\.json need \(strategy sft, task none\)"):
        refuse_missing_templates(replace(asked, strategy="sft"), "data.json", [None])
    for given in (None, "{Question}", str(tmp_path / "cot-number.txt")):
        refuse_missing_templates(replace(asked, prompt_template=given, strategy="sft"), "data.json", [None])


def test_a_template_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        prompt_of(sample(), replace(PLAIN, prompt_template="Describe."))
    assert str(caught.value) == (
        "--prompt_template 'Describe.' has no {problem} or {Question} where the item's problem goes, and is no file or "
        "folder"
    )
    with pytest.raises(UsageError, match="has no {problem} or {Question} where"):
        prompt_of(sample(), replace(PLAIN, prompt_template="long " * 3000))
    file = tmp_path / "own.txt"
    file.write_text("Describe.", encoding="utf-8")
    with pytest.raises(UsageError, match=r"own\.txt has no {problem} or {Question} where the item's problem goes$"):
        prompt_of(sample(), replace(PLAIN, prompt_template=str(file)))
    file.write_bytes(b"{Question} \xff")
    with pytest.raises(UsageError, match=r"--prompt_template: .*own\.txt is not UTF-8 text \(byte 11\)"):
        prompt_of(sample(), replace(PLAIN, prompt_template=str(file)))


def test_a_template_can_be_checked_without_a_sample(tmp_path: Path) -> None:
    for given in (None, "{Question}", str(shipped(FOLDER)), str(shipped(FOLDER) / "cot.txt")):
        check_template(replace(PLAIN, prompt_template=given))
    (tmp_path / "cot.txt").write_text("no place", encoding="utf-8")
    for given in (str(tmp_path), str(tmp_path / "cot.txt")):
        with pytest.raises(UsageError, match=r"--prompt_template: .*cot\.txt has no {problem} or {Question} where"):
            check_template(replace(PLAIN, prompt_template=given))
    with pytest.raises(UsageError, match="--prompt_template 'Describe.' has no {problem} or {Question} where"):
        check_template(replace(PLAIN, prompt_template="Describe."))


# --- conversations ---------------------------------------------------------------------------------------------------

TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "<image>How many?"},
    {"role": "assistant", "content": "3"},
]


def test_a_turn_of_a_conversation_is_asked_as_it_stands() -> None:
    prompt = prompt_of(sample("clevr-math.json", messages=TURNS), PLAIN)
    assert (prompt.origin, prompt.system, prompt.strategy) == ("messages", "Be brief.", None)
    assert text_of(prompt) == "How many?"
    assert prompt_of(sample(messages=TURNS[1:]), PLAIN).system is None


def test_a_turn_of_a_conversation_gets_the_words_that_are_asked_for() -> None:
    one = sample("clevr-math.json", messages=TURNS)
    assert prompt_of(one, replace(PLAIN, strategy="cot")).origin == "cot-number.txt"
    assert text_of(prompt_of(one, replace(PLAIN, prompt_template="Q: {Question}"))) == "Q: How many?"
    assert prompt_of(one, replace(PLAIN, system_prompt="")).system == ""


def test_a_conversation_that_is_not_where_the_problem_is_from_says_nothing() -> None:
    for messages in ([{"role": "user", "content": "Another."}], "hi", [3]):
        assert prompt_of(sample(messages=messages), PLAIN).origin == "cot.txt"


# --- settings, traces ------------------------------------------------------------------------------------------------


def test_a_template_file_in_a_configuration_is_relative_to_it(tmp_path: Path) -> None:
    from attnviz_video.config import RunConfig, from_mapping

    (tmp_path / "own.txt").write_text("{Question}", encoding="utf-8")

    def given(value: str) -> str | None:
        return from_mapping(RunConfig, {"prompt_template": value}, base_folder=tmp_path).model.prompt_template

    assert given("own.txt") == str(tmp_path / "own.txt")
    assert given("./own.txt") == str(tmp_path / "own.txt")
    for text in ("./ {Question}", "~ {problem}", "/think {Question}", "Describe. " * 2000, "~nobody-of-this-name"):
        assert given(text) == text


def test_choosing_a_template_loads_nothing_heavy() -> None:
    code = (
        "import sys, attnviz_video.models.prompt_templates; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    Image.new("RGB", (120, 60), (200, 30, 30)).save(tmp_path / "a.png")
    items = [
        {"id": "x", "image": "a.png", "problem": "How many?", "answer": "3", "score": 0.25, "level": 2},
        {"id": "y", "image": "a.png", "messages": TURNS},
    ]
    file = tmp_path / "clevr-math.json"
    file.write_text(json.dumps(items), encoding="utf-8")
    return file


@pytest.mark.parametrize("strategy", [None, *STRATEGIES])
def test_the_rendered_prompt_is_in_the_trace(
    tiny_checkpoint: Any, dataset: Path, tmp_path: Path, strategy: Strategy | None
) -> None:
    item = json.loads(dataset.read_text(encoding="utf-8"))[0]
    trace = record(
        tiny_checkpoint("qwen2_vl"), sample=item, benchmark_json=str(dataset), layer_idx=2, start_phrase="",
        max_new_tokens=2, output_dir=str(tmp_path / "out"), device="cpu", strategy=strategy, system_prompt="Be brief.",
        min_pixels=3136, max_pixels=480000, max_image_num=3, do_sample=True, temperature=0.1, top_p=0.9, top_k=50,
        seed=7, progress=Silent(),
    )  # fmt: skip
    header = open_trace(trace.folder).data.header
    prompt = prompt_of(header.sample, replace(PLAIN, strategy=strategy))
    around = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>"
    assert header.rendered_prompt == f"{around}{text_of(prompt)}<|im_end|>\n<|im_start|>assistant\n"
    made = header.generation
    assert made["prompt"] == {
        "strategy": strategy or "cot",
        "task": "clevr-math",
        "template": prompt.template,
        "template_from": prompt.origin,
        "system": "Be brief.",
    }
    assert made["images"] == {"max_image_num": 3, "min_pixels": 3136, "max_pixels": 480000}
    sampling = {name: made[name] for name in ("do_sample", "temperature", "top_p", "top_k", "seed", "max_new_tokens")}
    assert sampling == {
        "do_sample": True, "temperature": 0.1, "top_p": 0.9, "top_k": 50, "seed": 7, "max_new_tokens": 2
    }  # fmt: skip
    assert header.sample.answer == "3"
    assert header.sample.extra == {"score": 0.25, "level": 2}, "views find them in the trace"


def test_a_conversation_is_recorded_as_it_stands(tiny_model: Any, dataset: Path, tmp_path: Path) -> None:
    item = json.loads(dataset.read_text(encoding="utf-8"))[1]
    trace = record(
        tiny_model("qwen2_vl"), sample=item, benchmark_json=str(dataset), layer_idx=2, start_phrase="",
        max_new_tokens=2, output_dir=str(tmp_path / "out"), progress=Silent(),
    )  # fmt: skip
    header = trace.data.header
    assert "system\nBe brief.<|im_end|>" in header.rendered_prompt
    assert header.rendered_prompt.count("How many?") == 1
    assert "<think>" not in header.rendered_prompt
    assert header.sample.extra == {"messages": TURNS}


def test_a_wrong_template_is_refused_before_a_model_is_loaded(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--benchmark_json",
        str(dataset),
        "--prompt_template",
        "Describe.",
        "--output_dir",
        str(tmp_path / "o"),
    ]
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert "error: --prompt_template 'Describe.' has no {problem} or {Question} where" in printed
    assert "loading" not in printed
