"""`index.html` of a run: what the books hold, as the cards of the page; kept fresh while the run goes."""

from __future__ import annotations

import datetime
import math
import re
import shlex
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Literal

from attnviz_video.batch import names
from attnviz_video.batch.correct import final_answer
from attnviz_video.batch.jobs import Advanced, Job, SampleTask
from attnviz_video.batch.ledger import Ledger, now, read_run_file
from attnviz_video.batch.results import Row, latest, of_all_books, read_rows, value_at
from attnviz_video.batch.schedule import Counts, Watch
from attnviz_video.errors import AttnVizError
from attnviz_video.export.index_page import Card, Outcome, RunNotes, Verdict, write_index_page

#: While a run goes, the page is written anew after so many seconds …
EVERY = 60.0
#: … and after so many times as long as writing it took: a page of 100,000 samples slows no run.
RESTS = 50.0
#: What is put behind the name of a trace to name its report (see `export.report.write.report_path`).
REPORT_ENDING = "_report.html"
#: Statuses after which nothing more happens to a sample.
ENDED = ("done", "failed")
_WHERE = re.compile(r"^.*?, item \d+: ")
_VIDEO = re.compile(r"layer(\d+)(_frames)?(?:\.(\w+))?$")


class RunPage:
    """Writes the page of a run: when it is told to, and now and then while a run goes."""

    def __init__(self, ledger: Ledger, asked: Collection[int], clock: Callable[[], float] = time.monotonic) -> None:
        """`asked` are the samples that the run is to do, those of its other shards included."""
        self._ledger = ledger
        self._asked = asked
        self._clock = clock
        self._next = clock()
        self.path = ledger.folder / names.INDEX

    def write(self, *, working: bool = False) -> None:
        """Write the page; `working`: the run goes on.

        Raises:
            DiskFullError, EnvironmentFault: it cannot be written.
        """
        start = self._clock()
        if working:
            self._write(read_rows(self._books()), working=True)
        else:
            of_all_books(self._books, lambda rows: self._write(rows, working=False))
        end = self._clock()
        self._next = end + max(EVERY, RESTS * (end - start))

    def _books(self) -> list[Path]:
        return names.all_results_files(self._ledger.folder)

    def _write(self, attempts: Sequence[Row], *, working: bool) -> None:
        rows = latest(attempts)
        cards = [card_or_note(self._with_report(row)) for _, row in sorted(rows.items())]
        ended = {index for index, row in rows.items() if row.get("status") in ENDED}
        recorded = {index for index, row in rows.items() if row.get("status") == "recorded"}
        left = len(set(self._asked) - ended - recorded)
        write_index_page(self.path, self._notes(rows, left, len(recorded), working), cards)

    def write_if_possible(self, *, working: bool = False) -> None:
        """As `write`; where that fails, something else is told already, or will be. No page is worth a run."""
        with suppress(Exception):
            self.write(working=working)

    def kept_by(self, watch: Watch) -> Watch:
        """`watch`, and beside it this page."""
        return _Beside(watch, self)

    def tick(self) -> None:
        """Write the page when its time has come."""
        if self._clock() >= self._next:
            self._next = self._clock() + EVERY
            self.write_if_possible(working=True)

    def _with_report(self, row: Row) -> Row:
        """`row`, and among its outputs the report that somebody has made beside the trace since it was written."""
        home, trace = self._ledger.folder / _text(row, "folder"), _text(row, "trace")
        report = f"{trace}{REPORT_ENDING}"
        if not trace or report_in(row) or not (home / report).is_file():
            return row
        return {**row, "outputs": [*_list(row, "outputs"), {"path": report}]}

    def _notes(self, rows: Mapping[int, Row], left: int, recorded: int, working: bool) -> RunNotes:
        table: Mapping[str, object] = {}
        with suppress(AttnVizError, IndexError):  # IndexError: somebody has deleted it
            table = read_run_file(names.all_run_files(self._ledger.folder)[0])
        layers = sorted(
            {layer for row in rows.values() for layer in _list(row, "shown_layers") if isinstance(layer, int)}
        )
        settings = table.get("config")
        config = settings if isinstance(settings, Mapping) else {}
        model, dataset = (_last_part(config.get(name)) for name in ("model_path", "benchmark_json"))
        return RunNotes(
            name=self._ledger.folder.name,
            subtitle=" on ".join(filter(None, (model, dataset))),
            written=minute_of(now()),
            left=left,
            recorded=recorded,
            working=working,
            share_words=f"attention that lies on images: mean over heads and generated tokens at layer "
            f"{', '.join(map(str, layers[:1])) or 'shown'}",
            settings=settings_told(table, config, layers),
            all_settings=[(f"--{name}", told(value)) for name, value in config.items()],
        )


class _Beside:
    """Passes everything on to a watch, and gives the page its turn."""

    def __init__(self, watch: Watch, page: RunPage) -> None:
        self._watch = watch
        self._page = page

    def settled(self, counts: Counts, task: SampleTask, status: str) -> None:
        self._watch.settled(counts, task, status)

    def advanced(self, task: SampleTask, event: Advanced) -> None:
        self._watch.advanced(task, event)

    def ended(self, job: Job) -> None:
        self._watch.ended(job)

    def tick(self, counts: Counts) -> None:
        self._watch.tick(counts)
        self._page.tick()


def card_of(row: Row) -> Card:
    """The last attempt of a sample as a card."""
    folder, response = _text(row, "folder"), _text(row, "response")
    videos = [str(name) for name in _list(row, "videos")]
    seconds = [one for one in map(_number, _mapping(row, "seconds").values()) if one is not None]
    tokens = row.get("n_tokens")
    kinds: Mapping[object, Literal["generated", "replayed"]] = {"generation": "generated", "replay": "replayed"}
    judged_by, verdict = _text(row, "correct_by"), verdict_of_row(row)
    return Card(
        index=int(str(row["index"])),
        id=_text(row, "id"),
        outcome=outcome_of_row(row),
        question=_text(row, "question"),
        answer=final_answer(response),
        response=response,
        reference=final_answer(_text(row, "answer")),
        judged_by="comparing it with the answer in the dataset" if judged_by == "compared" else judged_by,
        share=_number(row.get("image_share")),
        tokens=tokens if isinstance(tokens, int) else None,
        seconds=round(sum(seconds), 1) if seconds else None,
        kind=kinds.get(row.get("kind"), ""),
        error=_WHERE.sub("", str(value_at(row, ("error", "sentence")) or "")),
        cautions=tuple(_WHERE.sub("", str(notice)) for notice in _list(row, "input_notices")),
        notices=tuple(map(str, _list(row, "notices"))),
        thumbnail=below(folder, _text(row, "thumbnail") or _text(row, "poster")),
        poster=below(folder, _text(row, "poster")),
        videos=tuple((video_words(name, len(videos)), below(folder, name)) for name in videos),
        trace=f"{below(folder, _text(row, 'trace'))}/" if _text(row, "trace") else "",
        report=below(folder, report_in(row)),
        verdict=verdict,
        score=_number(row.get("score")),
    )


def card_or_note(row: Row) -> Card:
    """The card of a row; of one that somebody has edited until it makes none, a card that says so."""
    try:
        return card_of(row)
    except Exception as error:
        note = f"the last line of this sample in results.jsonl is damaged ({type(error).__name__})"
        return Card(index=int(str(row["index"])), id=_text(row, "id"), outcome=outcome_of_row(row), error=note)


def report_in(row: Row) -> str:
    """The report among the outputs of a row; empty where there is none."""
    paths = [str(value_at(one, ("path",))) for one in _list(row, "outputs") if isinstance(one, Mapping)]
    return next((path for path in paths if path.endswith(".html")), "")


def outcome_of_row(row: Row) -> Outcome:
    """What became of a sample, as the page sorts and filters it."""
    if row.get("status") == "failed":
        return "failed"
    if row.get("status") != "done":
        return "unfinished"
    return verdict_of_row(row) or "unjudged"


def verdict_of_row(row: Row) -> Verdict:
    """What is known about the answer of a sample, whatever became of its video."""
    correct, score = row.get("correct"), _number(row.get("score"))
    if isinstance(correct, bool):
        return "correct" if correct else "wrong"
    return "" if score is None else "partial"


def video_words(name: str, n_videos: int) -> str:
    """Words of the link to a video: its layer and form only where a sample has several."""
    found = _VIDEO.search(name)
    if n_videos == 1 or found is None:
        return "Video"
    form = "PNG frames" if found[2] else (found[3] or "").upper()
    return f"Layer {found[1]}{'' if form == 'MP4' else f' {form}'}"


def settings_told(
    table: Mapping[str, object], config: Mapping[str, object], layers: Sequence[int]
) -> list[tuple[str, str]]:
    """The settings that a reader asks for first, and what the run ran on."""
    versions, argv = table.get("versions"), table.get("argv")
    sampled = f"sampled, temperature {told(config.get('temperature'))}, seed {told(config.get('seed'))}"
    entries = {
        "Model": told(config.get("model_path")),
        "Adapter": config.get("adapter"),
        "Dataset": told(config.get("benchmark_json")),
        "Images": config.get("image_dir"),
        "Layers shown": ", ".join(map(str, layers)),
        "Heads shown": told(config.get("head")),
        "Prompt strategy": config.get("strategy") or "default (cot, or the demo model's own)",
        "Answers": {"auto": "stored ones where there are, else generated"}.get(
            str(config.get("answer")), told(config.get("answer"))
        ),
        "Decoding": sampled if config.get("do_sample") else "greedy",
        "Convention": told(config.get("convention")),
        "Device": f"{told(table.get('device'))} on {told(table.get('host'))}",
        "Begun": minute_of(table.get("created")),
        "Command": shlex.join(map(str, argv)) if isinstance(argv, list) else "",
        "Versions": ", ".join(f"{name} {version}" for name, version in versions.items())
        if isinstance(versions, Mapping)
        else "",
    }
    return [(name, str(value)) for name, value in entries.items() if value]


def minute_of(moment: object) -> str:
    """A time of the books as people read it."""
    try:
        return f"{datetime.datetime.fromisoformat(str(moment)).astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return str(moment)


def told(value: object) -> str:
    """A value of a setting in words."""
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)


def below(folder: str, name: str) -> str:
    """The place of a sample's file from the run's folder; empty where there is none."""
    return f"{folder}/{name}" if folder and name else ""


def _last_part(value: object) -> str:
    return PurePosixPath(str(value)).name if value else ""


def _number(value: object) -> float | None:
    """A number that JSON and people can read; None for everything else."""
    with suppress(OverflowError):
        if isinstance(value, int | float) and math.isfinite(value):
            return float(value)
    return None


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _list(row: Row, name: str) -> list[object]:
    value = row.get(name)
    return value if isinstance(value, list) else []


def _mapping(row: Row, name: str) -> Mapping[str, object]:
    value = row.get(name)
    return value if isinstance(value, Mapping) else {}
