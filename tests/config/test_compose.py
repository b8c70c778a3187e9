"""Flags, files and Python values make one configuration; FAULTS 17."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.batch.settings import BatchSettings
from attnviz_video.config import (
    FigureConfig,
    PlotConfig,
    RenderConfig,
    ReportConfig,
    RunConfig,
    from_mapping,
    parse,
    replace_settings,
    to_mapping,
)
from attnviz_video.config.fields import settings_of
from attnviz_video.config.ranges import RANGES
from attnviz_video.errors import UsageError
from attnviz_video.export.table_settings import TableSettings
from attnviz_video.serve.settings import ServeSettings


@dataclass(frozen=True)
class RenderArguments:
    """What a command with a positional argument looks like."""

    trace: Path = field(metadata={"positional": "TRACE", "help": "folder of a trace, 100 % of it"})
    render: RenderConfig = field(default_factory=RenderConfig)


def run(*argv: str) -> RunConfig:
    return parse(RunConfig, argv, prog="prog", description="A description.", commands=("run", "render"))


def refused(*argv: str) -> str:
    with pytest.raises(UsageError) as caught:
        run(*argv)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def yaml_file(folder: Path, text: str, name: str = "x.yaml") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


# --- flags -----------------------------------------------------------------------------------------------------------


def test_no_flags_are_the_defaults() -> None:
    assert run() == RunConfig()


def test_the_mandated_command_line() -> None:
    config = run(
        "--model_path", "checkpoints/my_model", "--benchmark_json", "test.json", "--image_dir", "images",
        "--sample_idx", "0", "--layer_idx", "20", "--start_phrase", "Based on the following requirements",
    )  # fmt: skip
    assert config.model.model_path == "checkpoints/my_model"
    assert config.source.benchmark_json == Path("test.json")
    assert config.source.image_dir == Path("images")
    assert config.source.sample_idx == 0
    assert config.capture.layer_idx == (20,)
    assert config.capture.start_phrase == "Based on the following requirements"


@pytest.mark.parametrize(
    ("words", "layers"),
    [
        (["--layer_idx", "10,20,30"], (10, 20, 30)),
        (["--layer_idx", "10", "20", "30"], (10, 20, 30)),
        (["--layer_idx", "10,", "20"], (10, 20)),
        (["--layer_idx", "-1"], (-1,)),
        (["--layer_idx", "-1,-2"], (-1, -2)),
        (["--layer_idx=-1,-2"], (-1, -2)),
        (["--layer_idx", "-1", "3", "-2"], (-1, 3, -2)),
        (["--layer_idx", "1", "--layer_idx", "2"], (1, 2)),
        (["--layer_idx", "-1", "--quiet_is_not_here", "x"], None),
    ],
)
def test_layers_are_written_as_people_write_them(words: list[str], layers: tuple[int, ...] | None) -> None:
    if layers is None:
        assert refused(*words) == "unknown flag --quiet_is_not_here; -h lists the flags"
    else:
        assert run(*words, "--fps", "25").capture.layer_idx == layers


@pytest.mark.parametrize("phrase", ["-", "- first", "-x", "--so", "-1", "", "a=b", "--start phrase", "%s 100%"])
def test_start_phrase_may_start_with_a_dash(phrase: str) -> None:
    assert run("--start_phrase", phrase, "--fps", "25").capture.start_phrase == phrase
    assert run(f"--start_phrase={phrase}").capture.start_phrase == phrase


def test_truth_values_are_switches() -> None:
    assert run("--do_sample", "--no-grid_lines").capture.do_sample
    assert not run("--no-grid_lines").render.grid_lines
    assert run("--grid_lines").render.grid_lines


def test_all_is_no_list() -> None:
    assert run("--layers", "all").capture.layers == "all"
    assert run("--layers", "1", "2", "--heads", "0,3").capture.layers == (1, 2)
    assert run("--heads", "0,3").capture.heads == (0, 3)


def test_several_images() -> None:
    both = (Path("a b.png"), Path("c.png"))
    assert run("--image", "a b.png", "c.png", "--question", "What?").source.image == both
    assert run("--image", "a b.png", "--image", "c.png").source.image == both


def test_short_flag() -> None:
    assert run("-o", "a.mp4").export.output == Path("a.mp4")
    assert run("--output", "-a.mp4").export.output == Path("-a.mp4")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--layer-idx", "3"], "unknown flag --layer-idx; did you mean '--layer_idx'?"),
        (["--layer", "3"], "unknown flag --layer; did you mean '--layers'?"),
        (["--gama=2"], "unknown flag --gama; did you mean '--gamma'?"),
        (["-output", "x"], "unknown flag -output; did you mean '--output'?"),
        (["-q"], "unknown flag -q; -h lists the flags"),
        (["--gamma"], "--gamma: expected a value, got nothing"),
        (["--gamma", "--fps", "2"], "--gamma: expected a value, got nothing"),
        (["--image"], "--image: expected a value, got nothing"),
        (["-o"], "--output: expected a value, got nothing"),
        (["--do_sample=yes"], "--no-do_sample: takes no value, got 'yes'"),
        (["--fps", "2", "render"], "put the command first: prog render …"),
        (["--fps", "25", "3"], "unexpected '3': it belongs to no flag; put quotes around a value that holds spaces"),
        (["--gamma", "abc"], "--gamma: expected a number, got 'abc'"),
        (["--sample_idx", "1.5"], "--sample_idx: expected a whole number, got '1.5'"),
        (["--dtype", "fp16"], "--dtype: expected one of auto, float32, bfloat16, float16, got 'fp16'"),
        (
            ["--colormap", "viridi"],
            "--colormap: expected one of red_green, cividis, viridis, magma, greys, reds, got 'viridi'; "
            "did you mean 'viridis'?",
        ),
        (["--head", "first"], "--head: expected mean, max or the number of a head, got 'first'"),
        (["--head", "-1"], "--head: expected mean, max or the number of a head, got '-1'"),
    ],
)
def test_f17_flags_refused(words: list[str], sentence: str) -> None:
    found = refused(*words)
    assert found.startswith(sentence) if "fp16" in words else found == sentence


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--tokens_per_second", "0"], "--tokens_per_second: expected a number from 0.05 to 240, got 0.0"),
        (["--fps", "0"], "--fps: expected a whole number from 1 to 240, got 0"),
        (["--gamma", "0"], "--gamma: expected a number above 0 up to 10, got 0.0"),
        (["--crf", "52"], "--crf: expected a whole number from 0 to 51, got 52"),
        (["--width", "100"], "--width: expected a whole number from 480 to 8192, got 100"),
        (["--height", "9000"], "--height: expected a whole number from 270 to 8192, got 9000"),
        (["--max_new_tokens", "0"], "--max_new_tokens: expected a whole number of at least 1, got 0"),
        (["--temperature", "0"], "--temperature: expected a number above 0, got 0.0"),
        (["--top_p", "1.1"], "--top_p: expected a number above 0 up to 1, got 1.1"),
        (["--tokens_per_second", "25"], "--tokens_per_second 25 is larger than --fps 24: "
                           "a token would have no frame of its own; lower --tokens_per_second or raise --fps"),
        (["--min_pixels", "9", "--max_pixels", "8"], "--min_pixels 9 is larger than --max_pixels 8; "
                                                     "lower --min_pixels or raise --max_pixels"),
        (["--response", "so", "--response_field", "pred"],
         "--response and --response_field each name a response to replay; give one of them"),
        (["--answer", "generate", "--response_ids", "4,5"],
         "--answer generate and --response_ids, which names a response to replay; leave one of them out"),
    ],
)  # fmt: skip
def test_f17_ranges(words: list[str], sentence: str) -> None:
    assert refused(*words) == sentence


def test_f17_no_layer_at_all() -> None:
    with pytest.raises(UsageError, match="layer_idx: expected at least one layer, such as 20 or 10,20,30"):
        replace_settings(RunConfig(), {"layer_idx": []})


def test_positional_argument() -> None:
    def render(*argv: str) -> RenderArguments:
        return parse(RenderArguments, argv, prog="prog render", description="d")

    for words in (
        ["videos/trace_sample0", "--layer_idx", "3", "--colormap", "cividis"],
        ["--layer_idx", "3", "videos/trace_sample0", "--colormap", "cividis"],
        ["--colormap", "cividis", "--layer_idx", "3", "videos/trace_sample0"],
    ):
        found = render(*words)
        assert found.trace == Path("videos/trace_sample0")
        assert (found.render.layer_idx, found.render.render.colormap) == ((3,), "cividis")
    with pytest.raises(UsageError, match=r"prog render needs TRACE; see prog render -h"):
        render("--layer_idx", "3")
    with pytest.raises(UsageError, match="unexpected 'b': it belongs to no flag"):
        render("a", "b")


def test_help_names_every_flag_and_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("--help")
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "A description." in text
    for setting in settings_of(RunConfig):
        assert f"--{setting.name}" in text
    assert "tokens per second (default: 3.0)" in " ".join(text.split())
    assert "draw the patch grid on the images (default: yes)" in " ".join(text.split())
    assert "where the sample comes from" in text.lower()


def test_help_of_a_positional_argument(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(RenderArguments, ["-h"], prog="prog", description="d", epilog="the end")
    text = capsys.readouterr().out
    assert "TRACE" in text
    assert "100 % of it" in text
    assert "the end" in text


# --- files -----------------------------------------------------------------------------------------------------------


def test_order_flags_over_later_files_over_earlier_files_over_defaults(tmp_path: Path) -> None:
    first = yaml_file(tmp_path, "tokens_per_second: 5\nfps: 30\ngamma: 0.4\n", "first.yaml")
    second = yaml_file(tmp_path, "tokens_per_second: 6\nfps: 25\n", "second.yaml")
    config = run("--tokens_per_second", "7", "--config", first, "--config", second)
    export = config.export
    assert (export.tokens_per_second, export.fps, config.analysis.gamma, export.crf) == (7.0, 25, 0.4, 18)
    assert run("--config", second, "--config", first).export.fps == 30


def test_paths_start_from_the_file_and_flags_from_here(tmp_path: Path) -> None:
    file = yaml_file(tmp_path, "benchmark_json: ../test.json\nimage: [a.png, /b.png]\nmodel_path: ./model\n")
    config = run("--config", file, "--image_dir", "images")
    assert config.source.benchmark_json == tmp_path / "../test.json"
    assert config.source.image == (tmp_path / "a.png", Path("/b.png"))
    assert config.source.image_dir == Path("images")
    assert config.model.model_path == str(tmp_path / "model")


def test_hub_ids_stay_hub_ids(tmp_path: Path) -> None:
    file = yaml_file(tmp_path, "model_path: Qwen/Qwen2-VL-2B-Instruct\n")
    assert run("--config", file).model.model_path == "Qwen/Qwen2-VL-2B-Instruct"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("gamma: abc", "x.yaml: gamma: expected a number, got 'abc'"),
        ("gamma:", "x.yaml: gamma: expected a number, got nothing"),
        ("do_sample: 1", "x.yaml: do_sample: expected true or false, got 1"),
        ("do_sample: no", "x.yaml: do_sample: expected true or false, got 'no'"),
        ("layer-idx: 3", "x.yaml: unknown setting 'layer-idx'; did you mean 'layer_idx'?"),
        ("1: 3", "x.yaml: unknown setting '1'; known are benchmark_json, image_dir, "),
        ("crf: 99", "x.yaml: crf: expected a whole number from 0 to 51, got 99"),
        ("head: 1.5", "x.yaml: head: expected text, got 1.5"),
    ],
)
def test_f17_yaml_refused_with_file_and_key(tmp_path: Path, text: str, sentence: str) -> None:
    found = refused("--config", yaml_file(tmp_path, text))
    assert found.startswith(f"{tmp_path}/{sentence}")


def test_yaml_takes_numbers_without_quotes(tmp_path: Path) -> None:
    text = "head: 3\nlayer_idx: [10, -1]\nlayers: all\ntokens_per_second: 4\ntitle: 12:30\n"
    config = run("--config", yaml_file(tmp_path, text))
    assert config.analysis.head == "3"
    assert config.capture.layer_idx == (10, -1)
    assert config.capture.layers == "all"
    assert config.export.tokens_per_second == 4.0
    assert config.render.title == "12:30"


@pytest.mark.parametrize("name", ["force_new", "retry_failed"])
def test_what_is_meant_for_one_run_is_refused_in_files(tmp_path: Path, name: str) -> None:
    file = yaml_file(tmp_path, f"batch_size: 2\n{name}: true\n")
    with pytest.raises(UsageError) as caught:
        parse(BatchSettings, ["--config", file], prog="prog", description="")
    assert str(caught.value) == (
        f"{file}: {name} is for one run, and a file would ask for it in every run; take it out of the file and give "
        f"--{name} on the command line"
    )
    given = parse(BatchSettings, [f"--{name}"], prog="prog", description="")
    assert getattr(given, name) is True


@pytest.mark.parametrize(("name", "value"), [("gamma", "abc"), ("sample_idx", "1.5"), ("crf", "99"), ("theme", "drak")])
def test_one_sentence_for_flag_file_and_python(tmp_path: Path, name: str, value: str) -> None:
    from_flag = refused(f"--{name}", value).removeprefix("--")
    from_file = refused("--config", yaml_file(tmp_path, f"{name}: '{value}'")).removeprefix(f"{tmp_path}/x.yaml: ")
    with pytest.raises(UsageError) as caught:
        replace_settings(RunConfig(), {name: value})
    assert from_flag == from_file == str(caught.value)


# --- the whole -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config_class", [RunConfig, RenderConfig])
def test_names_do_not_clash_between_stages(config_class: type) -> None:
    names = [setting.name for setting in settings_of(config_class)]
    assert len(names) == len(set(names))


def test_a_clash_would_be_noticed() -> None:
    @dataclass(frozen=True)
    class Clash:
        pace: float = 1.0
        render: Any = None

    Clash.__annotations__["render"] = RenderConfig
    with pytest.raises(TypeError, match="Clash: two settings are named 'pace'"):
        settings_of(Clash)


def test_every_number_has_a_range() -> None:
    stages = (BatchSettings, TableSettings, ServeSettings)
    commands = (RunConfig, RenderConfig, FigureConfig, PlotConfig, ReportConfig, *stages)
    settings = [setting for command in commands for setting in settings_of(command)]
    numbers = {item.name for item in settings if {int, float} & {item.annotation, *get_args(item.annotation)}}
    assert numbers == set(RANGES)


@pytest.mark.parametrize("config_class", [RunConfig, RenderConfig, FigureConfig, PlotConfig, ReportConfig])
def test_every_setting_has_help_and_a_valid_default(config_class: type) -> None:
    assert all(setting.metadata.get("help") for setting in settings_of(config_class))
    config = config_class()
    assert replace_settings(config, to_mapping(config)) == config


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "layer_idx": st.lists(st.integers(-50, 50), min_size=1),
            "layers": st.one_of(st.just("all"), st.lists(st.integers(-9, 9))),
            "start_phrase": st.one_of(st.none(), st.text()),
            "tokens_per_second": st.floats(0.05, 24),
            "output_dir": st.text("ab/. 圆", min_size=1),
            "image": st.lists(st.text("ab/.", min_size=1)),
            "do_sample": st.booleans(),
            "max_pixels": st.one_of(st.none(), st.integers(1, 10**9)),
        },
    )
)
def test_mapping_and_back_is_the_same(mapping: dict[str, object]) -> None:
    config = from_mapping(RunConfig, mapping)
    again = from_mapping(RunConfig, json.loads(json.dumps(to_mapping(config))))
    assert again == config


def test_from_mapping_names_its_origin(tmp_path: Path) -> None:
    assert from_mapping(RunConfig, {"benchmark_json": "a.json"}, tmp_path).source.benchmark_json == tmp_path / "a.json"
    with pytest.raises(UsageError, match=r"^manifest: gamma: expected a number, got 'x'$"):
        from_mapping(RunConfig, {"gamma": "x"}, where="manifest")


def test_replace_keeps_the_rest() -> None:
    config = replace_settings(RunConfig(), {"layer_idx": 20, "tokens_per_second": 2})
    config = replace_settings(config, {"gamma": 0.4})
    assert (config.capture.layer_idx, config.export.tokens_per_second, config.analysis.gamma) == ((20,), 2.0, 0.4)
    with pytest.raises(UsageError, match=r"unknown setting 'colourmap'; did you mean 'colormap'\?"):
        replace_settings(config, {"colourmap": "viridis"})


CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_configuration_loads(path: Path) -> None:
    config = run("--config", str(path))
    # Results belong into the user's folder, not beside a file that may lie in site-packages.
    assert config.export.output_dir == RunConfig().export.output_dir


def test_the_demo_is_among_them() -> None:
    assert "demo.yaml" in [path.name for path in CONFIGS]
