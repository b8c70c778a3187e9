"""One run: the model answers, the trace is written, and whoever watches is told of every token as it comes."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from attnviz_video.capture.plan import is_attention, plan_recording
from attnviz_video.capture.stored_answer import StoredAnswer
from attnviz_video.capture.way import Watched
from attnviz_video.config import RunConfig, replace_settings
from attnviz_video.core.sample import Sample
from attnviz_video.core.step import Step
from attnviz_video.errors import InputError, ModelError, TooLongError, UsageError
from attnviz_video.models.checkpoint import find_checkpoint
from attnviz_video.models.decoder import text_config, text_value
from attnviz_video.models.identity import expected_identity
from attnviz_video.models.prompt_templates import check_template
from attnviz_video.models.text_decoders import reads_text_only
from attnviz_video.models.text_encoders import is_encoder
from attnviz_video.models.token_text import TokenText
from attnviz_video.pipeline import Announced, announce, finish
from attnviz_video.progress import Advance, Progress
from attnviz_video.recording import check_head
from attnviz_video.serve.payloads import StepTeller, prompt_event
from attnviz_video.serve.runs import Asked, Run
from attnviz_video.sources.images import open_image

if TYPE_CHECKING:
    from PIL.Image import Image

    from attnviz_video.models.load import LoadedModel

Tell = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True)
class Checked:
    """What is known of a question before it waits in line."""

    n_prompt: int
    n_prefix: int
    #: Longest answer, cut to what the model can read.
    max_new_tokens: int


@runtime_checkable
class Recorder(Protocol):
    """Answers questions; tests have one that is slow on purpose."""

    def check(self, asked: Asked, folder: Path, images: Sequence[Image], png_files: Sequence[bytes]) -> Checked:
        """Refuse what cannot be answered."""
        ...

    def record(self, run: Run, tell: Tell, should_stop: Callable[[], bool]) -> bool:
        """Answer; whether it was stopped."""
        ...

    def describe(self) -> dict[str, Any]:
        """The model, as the page names it."""
        ...


class LiveRecorder:
    """A model that is loaded once and answers one question after another."""

    def __init__(self, loaded: LoadedModel, config: RunConfig) -> None:
        """`config` holds for every question that does not say otherwise."""
        self._loaded = loaded
        self._config = live_config(config)
        limit = text_value(text_config(loaded.model), "max_position_embeddings")
        #: Tokens of prompt and answer that the model reads; None where it does not say.
        self._limit = limit if isinstance(limit, int) else None
        # Said once a second to every page, and it takes hashes of the model's files to know.
        self._described = self._describe()
        # Tokenizers must not be used by two threads at once, and questions are checked while another is answered.
        processor = copy.deepcopy(loaded.processor)
        self._to_check = replace(loaded, processor=processor, tokenizer=processor.tokenizer)
        self._checking = threading.Lock()

    def describe(self) -> dict[str, Any]:
        """The model, as the page names it."""
        return self._described

    def _describe(self) -> dict[str, Any]:
        identity = self._loaded.identity()
        layer = plan_recording(self._config.capture, identity)[0].shown_layers[0]
        vision = not reads_text_only(identity.model_type)
        return {
            "name": identity.short_name,
            "type": identity.model_type,
            "layers": identity.n_layers,
            "heads": identity.n_heads,
            "layer": layer,
            "context": self._limit,
            "legal_layers": [number for number, kind in enumerate(identity.layer_kinds) if is_attention(kind)],
            "device": identity.device,
            "dtype": identity.dtype,
            "vision": vision,
            "max_images": self._config.source.max_image_num if vision else 0,
        }

    def check(self, asked: Asked, folder: Path, images: Sequence[Image], png_files: Sequence[bytes]) -> Checked:
        """Write the prompt and refuse what cannot be answered: nothing is generated, nothing is written.

        Raises:
            UsageError, InputError: a sentence for whoever asked.
        """
        try:
            with self._checking:
                announced = announce(
                    self._sample(asked, folder), images, self._to_check, self._config_of(asked, folder), _Notices(),
                    watched=_watched(asked), png_files=png_files,
                )  # fmt: skip
        except TooLongError as error:
            raise ModelError(too_long(error)) from error
        except InputError as error:
            # There is one question at the page, and nobody knows it by a number.
            raise type(error)(str(error).removeprefix(f"sample {folder.name}: ")) from error
        return self._checked(announced, asked, folder)

    def _checked(self, announced: Announced, asked: Asked, folder: Path) -> Checked:
        wanted = self._config_of(asked, folder).capture.max_new_tokens
        n_prompt, n_given = announced.prepared.n_model_prompt, announced.capture.n_given
        room = wanted if self._limit is None else self._limit - n_prompt - n_given
        if room < 1:
            raise ModelError(
                f"the prompt has {n_prompt} tokens and the answer's beginning {n_given}, together as many as the model "
                f"reads ({self._limit}): there is no room for another; shorten one of them"
            )
        return Checked(announced.prepared.n_prompt, n_given, min(wanted, room))

    def record(self, run: Run, tell: Tell, should_stop: Callable[[], bool]) -> bool:
        """Answer the question of `run` into a trace in its folder, telling of every step; whether it was stopped.

        Raises:
            AttnVizError: whatever stands in the way; the steps so far are kept.
        """
        asked, loaded = run.asked, self._loaded
        files = [run.image(number) for number in range(asked.n_images)]
        config = self._config_of(asked, run.folder)
        config = replace(config, capture=replace(config.capture, max_new_tokens=run.max_new_tokens))
        notices = _Notices()
        announced = announce(
            self._sample(asked, run.folder), [open_image(file) for file in files], loaded, config, notices,
            watched=_watched(asked), png_files=[file.read_bytes() for file in files],
        )  # fmt: skip
        told = prompt_event(announced, [f"/api/runs/{run.id}/images/{number}" for number in range(asked.n_images)])
        more = {"mode": asked.mode, "max_new_tokens": run.max_new_tokens, "notices": notices.sentences}
        tell("prompt", told | more)
        text, plan = TokenText(loaded.tokenizer), announced.plan
        teller = StepTeller(text, plan.shown_layers[0], plan.scalar_layers)
        run.update(n_prefix=announced.capture.n_given)
        try:
            with announced.writer(overwrite=False) as writer:

                def on_step(step: Step) -> None:
                    writer.add(step)
                    tell("step", teller.tell(step))
                    run.update(n_tokens=len(teller.ids))

                generated = announced.capture.run(
                    loaded,
                    announced.prepared,
                    plan,
                    config.capture,
                    on_step=on_step,
                    on_prompt_rows=writer.add_prompt_rows if plan.query_rows == "all" else None,
                    should_stop=should_stop,
                )
                finish(announced, generated, writer, loaded, notices)
        finally:
            ids = without_end(teller.ids, text)
            run.update(answer=text.text(ids), answer_ids=tuple(ids))
        tell("ending", {"stopped_by": generated.stopped_by})
        return generated.stopped_by == "interrupted"

    def _sample(self, asked: Asked, folder: Path) -> Sample:
        # Names alone: where a run lies on this machine is nobody's business who is given the trace.
        return Sample(0, folder.name, asked.prompt, tuple(Path(name) for name in asked.names))

    def _config_of(self, asked: Asked, folder: Path) -> RunConfig:
        settings = {"max_new_tokens": 1} if asked.mode == "next" else {}
        system = {} if asked.system is None else {"system_prompt": asked.system}
        config = replace_settings(self._config, {**asked.settings, **settings, **system, "output_dir": folder})
        if self._limit is None or config.capture.max_new_tokens <= self._limit:
            return config
        return replace(config, capture=replace(config.capture, max_new_tokens=self._limit))


def live_config(config: RunConfig) -> RunConfig:
    """The settings of a live page: everything is recorded and shown, and the prompt is what was typed.

    Unless the command line says otherwise, no strategy's words stand around it.
    """
    model = config.model
    if model.strategy is None and model.prompt_template is None:
        model = replace(model, prompt_template="{problem}")
    return replace(config, model=model, capture=replace(config.capture, start_phrase="", answer="generate"))


def too_long(error: TooLongError) -> str:
    """Why a question cannot be read, for somebody who types it and has no flags."""
    images = f" ({error.n_image} of them of images)" if error.n_image else ""
    if error.n_answer:
        return (
            f"the prompt has {error.n_prompt} tokens{images} and the answer's beginning {error.n_answer}, together "
            f"more than the {error.limit} that the model reads; shorten one of them"
        )
    smaller = ", or take fewer or smaller images" if error.n_image else ""
    return (
        f"the prompt has {error.n_prompt} tokens{images}, and the model reads {error.limit} with its answer; "
        f"shorten the prompt{smaller}"
    )


def _watched(asked: Asked) -> Watched:
    if asked.answer_ids:
        return Watched(StoredAnswer("the answer's beginning", token_ids=asked.answer_ids))
    if asked.answer_prefix:
        return Watched(StoredAnswer("the answer's beginning", text=asked.answer_prefix))
    return Watched()


def without_end(ids: Sequence[int], text: TokenText) -> list[int]:
    """The ids of an answer without the special tokens that end it."""
    kept = list(ids)
    while kept and text.describe(kept[-1:])[0].special:
        kept.pop()
    return kept


class _Notices(Progress):
    """Keeps what the user should know; there is no bar."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def notice(self, sentence: str) -> None:
        self.sentences.append(sentence)

    @contextmanager
    def track(self, description: str, total: int | None, unit: str) -> Iterator[Advance]:
        del description, total, unit
        yield lambda parts: None


def refuse_before_loading(config: RunConfig) -> None:
    """Refuse what can be refused before weights are read: the model itself, layers and heads.

    Raises:
        UsageError, ModelError: see `pipeline.check_before_loading`; a model that reads texts but writes none.
    """
    check_template(config.model)
    checkpoint = find_checkpoint(config.model)
    if is_encoder(checkpoint.model_type):
        raise UsageError(
            f"{config.model.model_path} writes no answers (model_type {checkpoint.model_type!r}), so there is nothing "
            "to watch; take a vision-language model or a text decoder (--model_path)"
        )
    identity = expected_identity(checkpoint)
    if identity is not None:
        plan, _ = plan_recording(config.capture, identity)
        check_head(config.analysis.head, plan, identity.n_heads)
