"""Several samples recorded in one batch of the model, each into a trace of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from attnviz_video.config import RunConfig
from attnviz_video.core.sample import Sample
from attnviz_video.core.step import PromptRows, Step
from attnviz_video.errors import AttnVizError, DeviceError, ModelError, StartPhraseError, UsageError
from attnviz_video.pipeline import Announced, announce, finish, phrase_is_nowhere
from attnviz_video.progress import Progress
from attnviz_video.recording import Recording

if TYPE_CHECKING:
    from PIL.Image import Image

    from attnviz_video.models.load import LoadedModel
    from attnviz_video.tracefile.write import TraceWriter


class CannotTogetherError(Exception):
    """These samples cannot be recorded together; alone they may."""

    def __init__(self, sentence: str, *, for_good: bool) -> None:
        """`for_good`: no others can be either."""
        super().__init__(sentence)
        self.for_good = for_good


def record_together(
    parts: Sequence[tuple[Sample, list[Image], RunConfig]],
    loaded: LoadedModel,
    progress: Progress,
    should_stop: Callable[[], bool],
) -> list[Recording | BaseException]:
    """Record samples as `record_sample` does: those to generate in one batch, those to replay in another.

    The settings of the parts differ in their folders only. There is one result per sample, in order.

    Raises:
        CannotTogetherError: sampling, a model whose batches are not known to equal single runs, no memory for a batch.
    """
    results: dict[int, Recording | BaseException] = {}
    announced: dict[int, Announced] = {}
    for number, (sample, images, config) in enumerate(parts):
        try:
            announced[number] = announce(sample, images, loaded, config, progress)
        except Exception as error:
            results[number] = error
    for replayed in (False, True):
        group = {number: one for number, one in announced.items() if (one.answer is not None) == replayed}
        if group:
            results |= _record_group(group, parts[next(iter(group))][2], loaded, progress, should_stop)
    return [results[number] for number in range(len(parts))]


def _record_group(
    group: dict[int, Announced],
    config: RunConfig,
    loaded: LoadedModel,
    progress: Progress,
    should_stop: Callable[[], bool],
) -> dict[int, Recording | BaseException]:
    """All generated, or all replayed."""
    from attnviz_video.capture.batch import generate_batch, replay_batch

    results: dict[int, Recording | BaseException] = {}
    writers: dict[int, TraceWriter] = {}
    numbers: list[int] = []
    with ExitStack() as stack:
        for number, one in group.items():
            try:
                writers[number] = stack.enter_context(one.writer(overwrite=config.export.overwrite))
                numbers.append(number)
            except Exception as error:
                results[number] = error
        if not numbers:
            return results
        first = next(iter(group.values()))
        total = sum(group[number].capture.n_new for number in numbers)
        doing = f"{first.capture.doing} {len(numbers)} at once"
        advance = stack.enter_context(progress.track(doing, total, "token"))
        broken: dict[int, BaseException] = {}

        def write(place: int, add: Callable[[TraceWriter], None]) -> None:
            """A fault of one trace, such as a full disk, is none of the others'."""
            if numbers[place] in broken:
                return
            try:
                add(writers[numbers[place]])
            except Exception as error:
                broken[numbers[place]] = error

        def on_step(place: int, step: Step) -> None:
            write(place, lambda writer: writer.add(step))
            advance(1)

        def on_prompt_rows(place: int, rows: PromptRows) -> None:
            write(place, lambda writer: writer.add_prompt_rows(rows))

        prepared = [group[number].prepared for number in numbers]
        give_rows = on_prompt_rows if first.plan.query_rows == "all" else None
        try:
            if first.answer is None:
                outcomes = generate_batch(
                    loaded, prepared, first.plan, config.capture, on_step=on_step, on_prompt_rows=give_rows,
                    should_stop=should_stop,
                )  # fmt: skip
            else:
                answers = [_ids_of(group[number], loaded) for number in numbers]
                outcomes = replay_batch(
                    loaded, prepared, first.plan, config.capture, answers, on_step=on_step, on_prompt_rows=give_rows,
                    should_stop=should_stop,
                )  # fmt: skip
        except (UsageError, ModelError) as error:
            raise CannotTogetherError(str(error), for_good=True) from error
        except DeviceError as error:
            raise CannotTogetherError(str(error), for_good=False) from error
        for number, outcome in zip(numbers, outcomes, strict=True):
            try:
                if number in broken:
                    raise broken[number]
                if isinstance(outcome, StartPhraseError):
                    raise phrase_is_nowhere(outcome, writers[number])
                if isinstance(outcome, AttnVizError):
                    raise outcome
                results[number] = finish(group[number], outcome, writers[number], loaded, progress)
            except Exception as error:
                results[number] = error
                with suppress(Exception):
                    writers[number].fail(f"{type(error).__name__}: {error}")
    return results


def _ids_of(one: Announced, loaded: LoadedModel) -> Sequence[int]:
    """The tokens of an answer to replay."""
    from attnviz_video.capture.stored_answer import answer_ids

    assert one.answer is not None
    ids, _ = answer_ids(one.answer, loaded.tokenizer)
    return ids
