"""The live page with real models: the text of a plain run, its rows, and what the page is told of them."""

from __future__ import annotations

import base64
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from attnviz_video import api
from attnviz_video.config import RunConfig, replace_settings
from attnviz_video.core.sample import Sample
from attnviz_video.models.load import load_model
from attnviz_video.models.settings import ModelSettings
from attnviz_video.pipeline import record_sample
from attnviz_video.progress import Silent
from attnviz_video.serve.app import application
from attnviz_video.serve.live_recording import LiveRecorder, live_config
from attnviz_video.serve.payloads import StepTeller
from attnviz_video.shipped import shipped
from attnviz_video.testing.families import text_only
from attnviz_video.tracefile.read import open_trace, verify_trace
from tests.serve.made import ADDRESS, HOST, OWN, live_page, wait_until

SCENE = shipped("samples/images/scene_00.png")
QUESTION = "What is in the image?"


@pytest.fixture(scope="module")
def demo() -> Any:
    return load_model(ModelSettings(str(shipped("samples/demo_model")), device="cpu"))


@pytest.fixture(scope="module")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    def load(kind: str) -> Any:
        folder = getattr(text_only, f"build_{kind}")(tmp_path_factory.mktemp("text") / kind)
        return load_model(ModelSettings(str(folder), device="cpu"))

    return load


class Browser:
    """A live page of one model, and what a browser asks of it."""

    def __init__(self, loaded: Any, folder: Path, **settings: Any) -> None:
        config = replace_settings(RunConfig(), {"max_new_tokens": 12, **settings})
        self.live = live_page(folder, LiveRecorder(loaded, config), config=config)
        self.client = TestClient(application(self.live, ADDRESS), base_url=HOST, headers=OWN)

    def ask(self, prompt: str = QUESTION, *, image: Path | None = None, **fields: Any) -> dict[str, Any]:
        """What is known of a run after it has ended."""
        if image is None:
            response = self.client.post("/api/runs", json={"prompt": prompt, **fields})
        else:
            files = {"image": (image.name, image.read_bytes())}
            response = self.client.post("/api/runs", data={"prompt": prompt, **fields}, files=files)
        assert response.status_code == 202, response.text
        run = self.live.store.get(response.json()["id"])
        assert run is not None
        wait_until(lambda: run.log.closed, 60)
        told: dict[str, Any] = self.client.get(f"/api/runs/{run.id}").json()
        assert told.get("error") is None, told
        return told

    def events(self, run: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        text = self.client.get(f"/api/runs/{run['id']}/events").text
        names = [line[7:] for line in text.splitlines() if line.startswith("event: ")]
        return [
            (name, json.loads(data))
            for name, data in zip(
                names, (line[6:] for line in text.splitlines() if line.startswith("data: ")), strict=True
            )
        ]

    def trace(self, run: dict[str, Any]) -> Any:
        found = self.live.store.get(run["id"])
        assert found is not None
        return open_trace(found.trace_folder)


@pytest.fixture
def browse(tmp_path: Path) -> Iterator[Callable[..., Browser]]:
    opened: list[Browser] = []

    def open_page(loaded: Any, **settings: Any) -> Browser:
        opened.append(Browser(loaded, tmp_path / f"runs{len(opened)}", **settings))
        opened[-1].client.__enter__()
        return opened[-1]

    yield open_page
    for browser in opened:
        browser.client.__exit__()


def plain_run(loaded: Any, folder: Path, prompt: str, images: tuple[Path, ...] = (), **settings: Any) -> Any:
    """The trace of what `run` records for the same question."""
    asked = {"max_new_tokens": 12, "prompt_template": "{problem}", "start_phrase": "", "output_dir": folder, **settings}
    config = replace_settings(RunConfig(), asked)
    pictures = api.pictures_from(images, Sample(0, "x", prompt, images))
    recording = record_sample(Sample(0, "x", prompt, images), pictures, loaded, config, Silent())
    return open_trace(recording.trace_folder)


def ids(trace: Any) -> list[int]:
    return [step.token_id for step in trace.steps]


def assert_same_rows(one: Any, other: Any, layer: int) -> None:
    for step in range(len(one.steps)):
        np.testing.assert_allclose(
            one.rows.head_rows(step, layer), other.rows.head_rows(step, layer), rtol=2**-10, atol=1e-5
        )


def unpacked(told: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(told["weights"]), "<f2").astype(np.float32)


def test_the_text_and_the_rows_are_those_of_a_plain_run(browse: Any, demo: Any, tmp_path: Path) -> None:
    browser = browse(demo)
    run = browser.ask(image=SCENE)
    trace, plain = browser.trace(run), plain_run(demo, tmp_path, QUESTION, (SCENE,))
    assert ids(trace) == ids(plain)
    assert trace.header.rendered_prompt == plain.header.rendered_prompt
    assert trace.answer_text == run["answer"] == plain.answer_text
    assert_same_rows(trace, plain, 20)
    verify_trace(browser.live.store.get(run["id"]).trace_folder)
    assert trace.status == "complete"


def test_the_page_is_told_the_numbers_of_the_trace(browse: Any, demo: Any) -> None:
    browser = browse(demo, layer_idx=17)
    run = browser.ask(image=SCENE)
    trace, told = browser.trace(run), browser.events(run)
    assert [name for name, _ in told] == ["queue", "queue", "prompt", *["step"] * 12, "done"]
    prompt = told[2][1]
    assert (prompt["layer"], prompt["n_layers"], prompt["heads"], prompt["shown_from"]) == (17, 22, 4, 0)
    assert prompt["n_prompt"] == trace.n_prompt == len(prompt["tokens"]["id"])
    assert prompt["tokens"]["id"] == [token.id for token in trace.tokens[: trace.n_prompt]]
    (image,) = prompt["images"]
    assert image["positions"] == trace.layout.patch_positions(0).tolist()
    assert [prompt["tokens"]["kind"][position] for position in image["positions"]] == ["patch"] * len(
        image["positions"]
    )
    (grid,) = image["grids"]
    assert grid["rows"] * grid["columns"] == len(image["positions"])
    assert (grid["x"][-1], grid["y"][-1]) == (image["width"], image["height"]) == (224, 224)
    assert "".join(unit[2] for unit in prompt["units"]).count(QUESTION) == 1
    for number, (_, step) in enumerate(told[3:-1]):
        info = trace.steps[number]
        assert (step["step"], step["id"]) == (number, info.token_id)
        np.testing.assert_array_equal(unpacked(step), trace.rows.mean_row(number, 17))
        layer = trace.header.scalar_layers.index(17)
        assert step["image_share"] == pytest.approx(float(info.scalars.image_share[layer].mean()), abs=1e-6)
        assert step["entropy"] == pytest.approx(float(info.scalars.entropy[layer].mean()), abs=1e-6)
        assert step["logprob"] == info.log_probability
        assert [(one[0], one[2]) for one in step["top"]] == [(one.id, one.probability) for one in info.candidates]
    assert "".join(step["text"] for _, step in told[3:-1]) == trace.answer_text
    assert told[-1][1] == {
        "n_tokens": 12, "stopped_by": "length",
        "report": f"/api/runs/{run['id']}/report", "trace": f"/api/runs/{run['id']}/trace.zip",
    }  # fmt: skip


def test_what_next_and_a_clicked_candidate(browse: Any, demo: Any, tmp_path: Path) -> None:
    browser, plain = browse(demo), plain_run(demo, tmp_path, QUESTION, (SCENE,))
    first = browser.ask(image=SCENE, mode="next")
    (step,) = [told for name, told in browser.events(first) if name == "step"]
    assert (first["n_tokens"], step["id"]) == (1, ids(plain)[0])
    clicked = [step["top"][0][0]]
    second = browser.ask(mode="next", continue_from=first["id"], answer_ids=clicked)
    told = browser.events(second)
    steps = [step for name, step in told if name == "step"]
    assert told[2][1]["n_prefix"] == second["n_prefix"] == 1
    assert [step["step"] for step in steps] == [0, 1]
    assert [step["id"] for step in steps] == ids(plain)[:2]
    assert steps[0]["ms"] is None
    np.testing.assert_allclose(unpacked(steps[1]), plain.rows.mean_row(1, 20), rtol=2**-10, atol=1e-5)


def test_going_on_from_an_edited_answer_equals_its_replay(browse: Any, demo: Any, tmp_path: Path) -> None:
    browser = browse(demo)
    first = browser.ask(image=SCENE)
    run = browser.ask(mode="continue", continue_from=first["id"], answer_prefix="<think>\n At the bottom left")
    trace = browser.trace(run)
    assert run["answer"].startswith("<think>\n At the bottom left")
    assert run["n_prefix"] + 12 == run["n_tokens"] == len(trace.steps)
    assert (trace.header.kind, trace.header.generation["given_tokens"]) == ("generation", run["n_prefix"])
    replayed = plain_run(demo, tmp_path, QUESTION, (SCENE,), response_ids=tuple(ids(trace)))
    assert_same_rows(trace, replayed, 20)
    assert [name for name, _ in browser.events(run)].count("step") == run["n_tokens"]
    again = browser.ask(mode="continue", continue_from=first["id"], answer_ids=first["answer_ids"][:4])
    assert again["answer_ids"][:12] == first["answer_ids"], "its own beginning leads to its own end"


@pytest.mark.parametrize("kind", ["qwen2", "llama", "gpt2"])
def test_text_only_models_answer_chinese_questions(browse: Any, text_model: Any, tmp_path: Path, kind: str) -> None:
    loaded = text_model(kind)
    browser = browse(loaded)
    assert browser.client.get("/api/state").json()["model"]["vision"] is False
    prompt = "红色的圆在哪里？龘🎉"
    run = browser.ask(prompt)
    plain = plain_run(loaded, tmp_path, prompt)
    assert ids(browser.trace(run)) == ids(plain)
    told = dict(browser.events(run)[2:3])["prompt"]
    assert prompt in "".join(unit[2] for unit in told["units"])
    assert told["images"] == []
    response = browser.client.post("/api/runs", data={"prompt": "x"}, files={"image": ("a.png", SCENE.read_bytes())})
    assert response.status_code == 422
    assert "reads text only, and 1 image was given" in response.json()["error"]


def test_sampling_with_a_seed_is_that_of_a_plain_run(browse: Any, text_model: Any, tmp_path: Path) -> None:
    loaded = text_model("qwen2")
    sampled = {"do_sample": True, "temperature": 1.5, "seed": 3}
    run = browse(loaded).ask("How many?", **sampled)
    assert run["answer_ids"] or run["n_tokens"]
    assert run["n_tokens"] == len(plain_run(loaded, tmp_path, "How many?", **sampled).steps)


def test_fault30_a_prompt_longer_than_the_model_reads_is_refused_with_numbers(browse: Any, demo: Any) -> None:
    browser = browse(demo)
    response = browser.client.post("/api/runs", json={"prompt": "red circle " * 4000})
    assert response.status_code == 422
    told = response.json()["error"]
    assert re.fullmatch(
        r"the prompt has \d+ tokens, and the model reads 4096 with its answer; shorten the prompt", told
    )
    files = {"image": ("a.png", SCENE.read_bytes())}
    told = browser.client.post("/api/runs", data={"prompt": "red circle " * 4000}, files=files).json()["error"]
    assert re.fullmatch(
        r"the prompt has \d+ tokens \(64 of them of images\), and the model reads 4096 with its answer; shorten the "
        r"prompt, or take fewer or smaller images",
        told,
    )
    fields = {"prompt": "Which?", "mode": "continue", "answer_prefix": "red circle " * 4000}
    told = browser.client.post("/api/runs", json=fields).json()["error"]
    assert re.fullmatch(
        r"the prompt has \d+ tokens and the answer's beginning \d+, together more than the 4096 that the model reads; "
        r"shorten one of them",
        told,
    )
    assert browser.client.get("/api/state").json()["runs"] == []


def test_an_answer_ends_where_the_model_can_read_no_more(browse: Any, text_model: Any) -> None:
    loaded = text_model("gpt2")
    limit, tokenizer = loaded.model.config.max_position_embeddings, loaded.tokenizer
    browser = browse(loaded, max_new_tokens=100_000)
    prompt = tokenizer.decode(tokenizer("x" * 2 * limit)["input_ids"][: limit - 5])
    n_prompt = len(tokenizer(prompt)["input_ids"])
    run = browser.ask(prompt)
    assert browser.events(run)[2][1]["max_new_tokens"] == limit - n_prompt
    assert run["n_tokens"] <= limit - n_prompt < 100
    rest = tokenizer("x" * 2 * limit)["input_ids"][: limit - n_prompt]
    response = browser.client.post("/api/runs", json={"prompt": prompt, "mode": "next", "answer_ids": rest})
    assert response.status_code == 422
    assert response.json()["error"] == (
        f"the prompt has {n_prompt} tokens and the answer's beginning {len(rest)}, together as many as the model reads "
        f"({limit}): there is no room for another; shorten one of them"
    )


def test_report_and_trace_can_be_taken_away(browse: Any, demo: Any, tmp_path: Path) -> None:
    browser = browse(demo)
    run = browser.ask(image=SCENE)
    report = browser.client.get(f"/api/runs/{run['id']}/report")
    assert (report.status_code, report.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert 'content="attnviz_video report"' in report.text[:4096]
    assert browser.client.get(f"/api/runs/{run['id']}/report").text == report.text
    trace = browser.client.get(f"/api/runs/{run['id']}/trace.zip")
    assert trace.headers["content-disposition"] == f'attachment; filename="trace_{run["id"]}.zip"'
    with zipfile.ZipFile(BytesIO(trace.content)) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "taken")
    taken = open_trace(tmp_path / "taken" / f"trace_{run['id']}")
    assert ids(taken) == ids(browser.trace(run))
    manifest = (tmp_path / "taken" / f"trace_{run['id']}" / "manifest.json").read_text("utf-8")
    assert str(browser.live.store.folder) not in manifest, "where it was made is nobody's business"


def test_pictures_keep_the_names_they_came_with(browse: Any, demo: Any, tmp_path: Path) -> None:
    browser = browse(demo)
    hostile = "\u202e..\\..//secret/" + "<b>" * 40 + ".png"
    files = [("image", (name, SCENE.read_bytes())) for name in ("pair_00_initial.png", hostile, "..")]
    browser.live.recorder.describe()["max_images"] = 3
    response = browser.client.post("/api/runs", data={"prompt": "Which?", "max_new_tokens": "2"}, files=files)
    run = browser.live.store.get(response.json()["id"])
    wait_until(lambda: run.log.closed, 60)
    names = ["pair_00_initial.png", f"{'<b>' * 13}…{('<b>' * 40 + '.png')[-39:]}", "image"]
    told = browser.client.get(f"/api/runs/{run.id}").json()
    assert told["image_names"] == names
    assert [image["name"] for image in browser.events(told)[2][1]["images"]] == names
    trace = browser.trace(told)
    assert [image.name for image in trace.layout.images] == names
    assert '"pair_00_initial.png"' in browser.client.get(f"/api/runs/{run.id}/report").text
    assert sorted(path.name for path in run.folder.glob("*.png")) == ["image-0.png", "image-1.png", "image-2.png"]
    assert not [path for path in run.folder.rglob("*") if "pair_00" in path.name]


def test_a_stopped_run_keeps_its_steps(browse: Any, demo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = browse(demo)
    stop_at, tell = 3, StepTeller.tell

    def stopping(self: StepTeller, step: Any) -> dict[str, Any]:
        if step.info.index == stop_at - 1:
            running = browser.live.line.running
            browser.client.post(f"/api/runs/{running.id}/stop")
        return tell(self, step)

    monkeypatch.setattr(StepTeller, "tell", stopping)
    run = browser.ask(image=SCENE)
    assert (run["status"], run["has_report"]) == ("stopped", True)
    assert stop_at <= run["n_tokens"] <= stop_at + 1
    trace = browser.trace(run)
    assert (trace.status, len(trace.steps)) == ("failed", run["n_tokens"])
    assert browser.client.get(f"/api/runs/{run['id']}/report").status_code == 200
    assert browser.events(run)[-1][1]["stopped_by"] == "interrupted"


def test_the_command_line_decides_the_words_around_the_prompt(demo: Any) -> None:
    assert live_config(RunConfig()).model.prompt_template == "{problem}"
    given = replace(RunConfig(), model=ModelSettings(strategy="cot"))
    assert live_config(given).model.prompt_template is None
    assert live_config(given).capture.start_phrase == ""


def test_questions_are_checked_with_a_tokenizer_of_their_own(demo: Any) -> None:
    """Tokenizers must not be used by two threads at once ("Already borrowed"), and an answer may be generated now."""
    recorder = LiveRecorder(demo, RunConfig())
    assert recorder._to_check.tokenizer is not demo.tokenizer
    assert recorder._to_check.processor is not demo.processor
    assert recorder._to_check.tokenizer("红 a")["input_ids"] == demo.tokenizer("红 a")["input_ids"]
