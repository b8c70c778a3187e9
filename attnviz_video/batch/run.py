"""A whole run in order: what is to be done, by whom, and what is said at the end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from attnviz_video.batch import names
from attnviz_video.batch.console import Bars, Console, Lines, Nothing
from attnviz_video.batch.engine import Engine
from attnviz_video.batch.fingerprint import SCHEDULING, inputs_that_count, settings_that_count, shown
from attnviz_video.batch.in_process import InProcess
from attnviz_video.batch.jobs import SampleTask, WorkPlan
from attnviz_video.batch.ledger import Ledger, RunIdentity, read_run_file
from attnviz_video.batch.local_pool import LocalPool
from attnviz_video.batch.lost_traces import note_lost, samples_in
from attnviz_video.batch.presence import Badge
from attnviz_video.batch.run_page import RunPage
from attnviz_video.batch.schedule import Counts, Schedule
from attnviz_video.batch.sentences import (
    ONCE,
    NextCommands,
    command,
    end_line,
    record_again,
    samples_in_words,
    stopped_line,
    told_how_to_go_on,
    try_again,
)
from attnviz_video.batch.settings import BatchSettings
from attnviz_video.config import RenderConfig, RunConfig, from_mapping, to_mapping
from attnviz_video.errors import DatasetError, Interrupted, UsageError
from attnviz_video.models.prompt_templates import check_template, refuse_missing_templates
from attnviz_video.progress import Progress, Silent
from attnviz_video.sources.dataset import Dataset, open_dataset
from attnviz_video.sources.selection import chosen
from attnviz_video.stopping import StopRequest

#: Where runs go when nothing is said, from the working folder.
DEFAULT_FOLDER = Path("runs")
#: Recorded samples that may wait for each renderer.
WAITING_EACH = 3
#: Renderers where nothing is said; each holds some hundred megabytes. They start one by one, as there is work for them.
MOST_RENDERERS = 16
REAL_WORK = "attnviz_video.batch.work:build"


@dataclass(frozen=True)
class BatchReport:
    """How a run ended."""

    folder: Path
    counts: Counts
    #: The last line for the user.
    sentence: str

    @property
    def n_failed(self) -> int:
        """Samples that have no result, by this run or an earlier one."""
        return self.counts.failed + self.counts.failed_before + self.counts.unrecorded


def run_batch(
    config: RunConfig,
    batch: BatchSettings,
    progress: Progress,
    stop: StopRequest | None = None,
    argv: Sequence[str] = (),
    builder: str = REAL_WORK,
) -> BatchReport:
    """Record and render the samples of a dataset; a run that was there before is gone on with.

    `argv` are the words after the program, which the last line repeats for going on. `builder` makes the work of a
    worker (see `jobs.WorkPlan`).

    Raises:
        UsageError: settings that make no batch, or a folder of another run (see `Ledger.open`).
        InputError, EnvironmentFault: what no sample can go on with.
        Interrupted: a signal came; the sentence holds the command that goes on.
    """
    config = batch_config(config)
    dataset = open_dataset(config.source)
    if not len(dataset):
        raise DatasetError(f"{dataset.file} has 0 samples")
    indices = chosen(dataset, batch.samples, batch.shard)
    # Of which those of a shard are a part; the page counts what all shards of the run are to do.
    asked = indices if batch.shard is None else chosen(dataset, batch.samples)
    for notice in dataset.notices:
        progress.notice(notice)
    check_template(config.model)
    refuse_missing_templates(config.model, str(dataset.file), map(dataset.answer_of, indices))
    identity = RunIdentity(to_mapping(config), settings_that_count(config), inputs_that_count(config), tuple(argv))
    folder = config.export.folder
    ledger = Ledger.open(
        folder,
        identity,
        shard=batch.shard,
        selection=asked,
        force_new=batch.force_new,
        overwrite=config.export.overwrite,
        tell=progress.notice,
    )
    go_on = [word for word in argv if word not in ONCE]
    next_commands = NextCommands(go_on, lambda: try_again(go_on))
    with told_how_to_go_on(next_commands), closing(ledger):
        plan = what_to_do(ledger, [(index, dataset.ids[index]) for index in indices], batch)
        return carry_on(
            ledger, plan, config, batch, progress, stop or StopRequest(), next_commands, builder, dataset, asked
        )  # fmt: skip


def render_run(
    folder: Path,
    given: RenderConfig,
    progress: Progress,
    stop: StopRequest | None = None,
    argv: Sequence[str] = (),
    builder: str = REAL_WORK,
) -> BatchReport:
    """Make the videos of all samples of a run that have a trace and no video, with the settings of the run.

    Raises:
        UsageError: no run, settings that are not those of the run, or another place for its videos.
        EnvironmentFault, Interrupted: as `run_batch`.
    """
    ledger, table = Ledger.open_existing(folder)
    with closing(ledger):
        known = set(to_mapping(RunConfig()))
        settings_then = {name: value for name, value in table.items() if name in known}
        config = from_mapping(RunConfig, settings_then, where="run.json")
        refuse_other_place(given, folder)
        refuse_other_look(given, config, folder)
        config = replace(config, export=replace(config.export, render_workers=given.export.render_workers))
        samples = samples_in(ledger)
        settings = BatchSettings(retry_failed=True)
        plan = what_to_do(ledger, samples, settings, images_count=False)  # the trace holds its own
        n_unrecorded = note_lost(ledger, [task for task, _ in plan.to_record])
        n_failed = len(plan.to_record) - n_unrecorded
        counts = replace(plan.counts, failed_before=n_failed, unrecorded=n_unrecorded)
        plan = replace(plan, to_record=[], counts=counts)

        def about_failures() -> str:
            """What has no trace is recorded again, the rest rendered again."""
            left = what_to_do(ledger, samples, settings, images_count=False)
            words = []
            if left.to_record:
                run_file = read_run_file(names.all_run_files(ledger.folder)[0])
                words.append(record_again(run_file, ledger.folder, [task.index for task, _ in left.to_record]))
            if left.to_render:
                words.append(f"try to render {samples_in_words(len(left.to_render))} again with: {command(argv)}")
            return "; ".join(words)

        next_commands = NextCommands(list(argv), about_failures)
        asked = [index for index, _ in samples]
        with told_how_to_go_on(next_commands):
            return carry_on(
                ledger, plan, config, settings, progress, stop or StopRequest(), next_commands, builder, None, asked
            )


@dataclass(frozen=True)
class ToDo:
    """What is left of a run: tasks, each with the number of workers it has killed."""

    to_record: Sequence[tuple[SampleTask, int]]
    to_render: Sequence[tuple[SampleTask, int]]
    counts: Counts


def what_to_do(
    ledger: Ledger, samples: Sequence[tuple[int, str]], batch: BatchSettings, *, images_count: bool = True
) -> ToDo:
    """Look at every sample (index and id) and find what it needs.

    Raises:
        UsageError: images are not what they were when they were recorded (where `images_count`).
    """
    counts = Counts(total=len(samples))
    to_record: list[tuple[SampleTask, int]] = []
    to_render: list[tuple[SampleTask, int]] = []
    changed: list[str] = []
    for index, sample_id in samples:
        known = ledger.known(index, sample_id, retry_failed=batch.retry_failed, verify=batch.verify)
        home = ledger.folder / names.sample_folder_name(index, sample_id)
        if known.changed_images and images_count:
            changed.append(f"{known.changed_images[0]} (sample {index})")
        elif known.standing == "done":
            counts.before += 1
        elif known.standing == "recorded" and batch.trace_only:
            counts.recorded_before += 1
        elif known.standing == "failed":
            counts.failed_before += 1
        else:
            task = SampleTask(index, sample_id, home, None, ledger.hash, known.attempts + 1)
            if known.standing == "recorded":
                to_render.append((replace(task, facts=ledger.facts(index, sample_id)), known.kills))
            else:
                to_record.append((task, known.kills))
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise UsageError(
            f"input of this run has changed: {changed[0]}{more}; put the former images back, choose another "
            "--output_dir, or start anew with --force_new (the former run is moved aside)"
        )
    return ToDo(to_record, to_render, counts)


def carry_on(
    ledger: Ledger,
    plan: ToDo,
    config: RunConfig,
    batch: BatchSettings,
    progress: Progress,
    stop: StopRequest,
    next_commands: NextCommands,
    builder: str,
    dataset: Dataset | None,
    asked: Collection[int],
) -> BatchReport:
    """Do what is left, write the page of the run, and say how it ended; `asked` are the samples that the page counts.

    Raises:
        AttnVizError, Interrupted: see `run_batch`.
    """
    counts = plan.counts
    page = RunPage(ledger, asked)
    if not plan.to_record and not plan.to_render:
        page.write()
        sentence = end_line(counts, ledger.folder, next_commands, trace_only=batch.trace_only)
        return BatchReport(ledger.folder, counts, sentence)
    if not batch.trace_only and builder == REAL_WORK:
        from attnviz_video.export.ffmpeg import ffmpeg_exe

        ffmpeg_exe()  # better now than after the first recording
    begin = time.monotonic()
    try:
        with stop.finish_step():
            engine, n_record, n_render = make_engine(config, batch, stop, builder, ledger.badge)
            console = make_console(counts, batch, progress)
            try:
                schedule = Schedule(
                    engine, ledger, page.kept_by(console), counts,
                    batch_size=batch.batch_size, trace_only=batch.trace_only,
                    most_waiting=WAITING_EACH * n_render + 2 * n_record * batch.batch_size, dataset=dataset,
                    should_stop=stop,
                )  # fmt: skip
                if isinstance(engine, InProcess):
                    engine.hear = schedule.hear
                whole = schedule.run(plan.to_record, plan.to_render)
            finally:
                engine.close()
                console.close(counts)
    except KeyboardInterrupt as error:
        page.write_if_possible()
        raise Interrupted(stopped_line(counts, next_commands)) from error
    except BaseException:
        page.write_if_possible()
        raise
    page.write()
    if not whole:
        raise Interrupted(stopped_line(counts, next_commands))
    seconds = time.monotonic() - begin
    sentence = end_line(counts, ledger.folder, next_commands, trace_only=batch.trace_only, seconds=seconds)
    return BatchReport(ledger.folder, counts, sentence)


def batch_config(config: RunConfig) -> RunConfig:
    """The settings of a batch: a stored response is taken where there is one, and results go into a folder of the run.

    Raises:
        UsageError: settings that name one sample or one file.
    """
    source, capture, export = config.source, config.capture, config.export
    if source.image or source.question is not None:
        raise UsageError("batch takes its samples from --benchmark_json; --image and --question are for a single run")
    if source.benchmark_json is None:
        raise UsageError("batch needs --benchmark_json: the dataset whose samples are to be done")
    if source.sample_idx != 0:
        raise UsageError(f"--sample_idx {source.sample_idx} is for a single run; of a batch, choose with --samples")
    if export.output is not None:
        raise UsageError("-o names one file, but a batch makes many; give a folder with --output_dir")
    if capture.response is not None or capture.response_ids is not None:
        raise UsageError(
            "--response and --response_ids are for a single run; a batch replays what stands in the dataset "
            "(--response_field)"
        )
    if capture.answer is None and source.response_field is None:
        capture = replace(capture, answer="auto")
    if export.poster == "none":
        export = replace(export, poster="auto")  # the page of the run shows it
    if export.output_dir is None:
        export = replace(export, output_dir=DEFAULT_FOLDER / source.benchmark_json.stem)
    return replace(config, capture=capture, export=export)


def make_engine(
    config: RunConfig, batch: BatchSettings, stop: StopRequest, builder: str, badge: Badge
) -> tuple[Engine, int, int]:
    """The engine that was asked for, and how many workers it has for recording and for rendering.

    Raises:
        UsageError: Ray is asked for and not installed, or more workers than devices.
    """
    if any(number < 0 for number in batch.devices or ()):
        raise UsageError(f"--devices: expected numbers of GPUs from 0, got {min(batch.devices or ())}")
    devices = [f"cuda:{number}" for number in batch.devices or ()]
    n_record = batch.num_workers or len(devices) or 1
    if devices and n_record > len(devices):
        raise UsageError(f"--num_workers {n_record} is more than the {len(devices)} --devices: each takes one model")
    n_render = n_renderers(config, batch, n_record)
    arguments = {"config": config, "devices": devices}
    if batch.engine == "in_process":
        return InProcess(WorkPlan(builder, arguments), stop), 1, 1
    if batch.engine == "ray":
        from attnviz_video.batch.ray import RayEngine

        # Ray gives every worker a GPU of its own, which that worker sees as the only one.
        plan = WorkPlan(builder, {**arguments, "devices": []}, badge)
        on_gpu = config.model.device not in ("cpu", "mps") and config.model.device_map is None
        return (
            RayEngine(plan, batch.ray_address, n_record=n_record, n_render=n_render, on_gpu=on_gpu),
            n_record,
            n_render,
        )
    return LocalPool(WorkPlan(builder, arguments, badge), n_record=n_record, n_render=n_render), n_record, n_render


def n_renderers(config: RunConfig, batch: BatchSettings, n_record: int) -> int:
    """How many processes render: as many as were asked for, else the cores that recording leaves.

    Rendering takes several times as long as recording does on a GPU. The cores of a cluster are not counted: actors it
    has no room for would hold their samples up.
    """
    asked = config.export.render_workers
    if asked is None and batch.ray_address is not None:
        return 1
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_RENDERERS, n_cores - n_record)) if asked is None else asked or n_cores


def make_console(counts: Counts, batch: BatchSettings, progress: Progress) -> Console:
    """Bars on a terminal, lines in a log, nothing where nothing is to be said."""
    if isinstance(progress, Silent) or sys.stderr is None:
        return Nothing()
    return Bars(counts) if sys.stderr.isatty() else Lines(counts, progress.notice, batch.log_every)


def refuse_other_place(given: RenderConfig, folder: Path) -> None:
    """Refuse to write the videos of a run elsewhere: its books and its page look for them beside the traces.

    Raises:
        UsageError: a place is named.
    """
    for flag, value in (("-o", given.export.output), ("--output_dir", given.export.output_dir)):
        if value is not None:
            raise UsageError(
                f"{flag} {value}: the videos of {folder} go into the folders of its samples, where its page looks for "
                f"them; leave {flag} out, or render one trace folder elsewhere"
            )


def refuse_other_look(given: RenderConfig, config: RunConfig, folder: Path) -> None:
    """Refuse settings of the picture that are not those of the run: its videos shall look alike.

    Raises:
        UsageError: such a setting.
    """
    standard, run = to_mapping(RenderConfig()), to_mapping(config)
    for name, value in to_mapping(given).items():
        if name not in SCHEDULING and value != standard[name] and value != run.get(name):
            raise UsageError(
                f"--{name}: the videos of {folder} are made with the settings of the run ({shown(run.get(name))}); "
                "render one trace folder to make a picture of your own"
            )
