"""Which words go around a problem: by strategy and task, from shipped templates or the user's own.

    prompt_of(sample, settings)  →  Prompt(template, system, …)

Templates are text files in `configs/prompts/`. Which one is taken follows from `--strategy` and, where the name of the
dataset file names a task of Reason-RFT (https://github.com/tanhuajie/Reason-RFT), from that task.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from attnviz_video.core.conversation import Conversation, read_conversation, without_image_markers
from attnviz_video.core.sample import Sample
from attnviz_video.errors import DatasetError, UsageError
from attnviz_video.models.settings import PLACEHOLDERS, ModelSettings, Strategy, Task
from attnviz_video.shipped import shipped

FOLDER = "configs/prompts"
#: What a file name holds, with `-` for `_` and in small letters, and the task it means; the first that fits counts.
#: The longer names are those under which the test sets were published.
_NAMES: tuple[tuple[str, Task], ...] = (
    ("trance-left", "trance-left"),
    ("trance-right", "trance-right"),
    ("trance", "trance"),
    ("clevr-math", "clevr-math"),
    ("super-clevr", "super-clevr"),
    ("geomath", "geomath"),
    ("geometry3k", "geometry3k"),
    ("spatial-transformation-ood-left", "trance-left"),
    ("spatial-transformation-ood-right", "trance-right"),
    ("spatial-transformation", "trance"),
    ("visual-counting-ood", "super-clevr"),
    ("visual-counting", "clevr-math"),
    ("structure-perception-id", "geomath"),
    ("structure-perception", "geometry3k"),
)
#: What an answer to a task is; tasks that are not here are asked for nothing in particular.
_ANSWERS: dict[Task, str] = {
    "clevr-math": "number",
    "super-clevr": "number",
    "geometry3k": "number-or-letter",
    "geomath": "number-or-letter",
    "trance": "trance",
    "trance-left": "trance",
    "trance-right": "trance",
}
#: The bare problem says what is asked, except where its rules are no part of it.
_ANSWERS_OF_SFT = {"trance"}
_OPTIONS = ("A", "B", "C", "D")


@dataclass(frozen=True)
class Prompt:
    """The words around a problem."""

    #: Holds `{problem}` or `{Question}`.
    template: str
    #: Text of a system turn; None leaves it to the chat template.
    system: str | None = None
    #: None where the user gave the template, or the item is a whole conversation.
    strategy: Strategy | None = None
    task: Task | None = None
    #: The file or field the template comes from.
    origin: str = ""
    notices: tuple[str, ...] = ()

    def record(self) -> dict[str, object]:
        """What a trace says about it, as JSON."""
        return {
            "strategy": self.strategy,
            "task": self.task,
            "template": self.template,
            "template_from": self.origin,
            "system": self.system,
        }


def prompt_of(sample: Sample, settings: ModelSettings) -> Prompt:
    """The words around the problem of `sample`, as the settings and the sample's file ask for them.

    A sample whose problem is the user's turn of a conversation (fine-tuning files) is asked as it stands there, unless
    a strategy or a template is given.

    Raises:
        UsageError: a template that is not there, cannot be read, or has no place for the problem.
    """
    turns = _conversation_of(sample)
    system = settings.system_prompt if settings.system_prompt is not None or turns is None else turns.system
    task = task_of(sample, settings)
    given = settings.prompt_template
    if given is None and settings.strategy is None and turns is not None:
        return Prompt(PLACEHOLDERS[0], system, None, task, "messages")
    strategy = settings.strategy or "cot"
    name = template_name(strategy, task, sample.answer)
    if given is None:
        notices = () if task is not None or settings.strategy != "cot-sft" else (_no_task(sample),)
        return Prompt(read_template(shipped(f"{FOLDER}/{name}")), system, strategy, task, name, notices)
    if any(placeholder in given for placeholder in PLACEHOLDERS):
        return Prompt(given, system, None, task, "--prompt_template")
    path = _existing(given)
    if path.is_dir():
        return Prompt(read_template(path / name), system, strategy, task, str(path / name))
    return Prompt(read_template(path), system, None, task, str(path))


def check_template(settings: ModelSettings) -> None:
    """Refuse a template that no sample could use; `prompt_of` asks again for each.

    Raises:
        UsageError: see `prompt_of`.
    """
    given = settings.prompt_template
    if given is not None and not any(placeholder in given for placeholder in PLACEHOLDERS):
        path = _existing(given)
        for file in sorted(path.glob("*.txt")) if path.is_dir() else [path]:
            read_template(file)


def refuse_missing_templates(settings: ModelSettings, source: str, answers: Iterable[str | None]) -> None:
    """Refuse a folder of templates that lacks a file for samples of the dataset file `source` with these answers.

    Raises:
        UsageError: the sentence names the files.
    """
    given = settings.prompt_template
    if given is None or any(placeholder in given for placeholder in PLACEHOLDERS) or not _existing(given).is_dir():
        return
    folder, strategy = Path(given), settings.strategy or "cot"
    task = task_of(Sample(0, "", "", (), source=source), settings)
    wanted = {template_name(strategy, task, answer) for answer in answers}
    missing = sorted(name for name in wanted if not (folder / name).is_file())
    if missing:
        held = ", ".join(sorted(path.name for path in folder.glob("*.txt"))) or "no .txt file"
        raise UsageError(
            f"--prompt_template {folder}: this folder has no {' and no '.join(missing)}, which the samples of "
            f"{Path(source).name} need (strategy {strategy}, task {task or 'none'}); it has {held}; put the file there "
            "(configs/prompts has one to start from), or name a single file"
        )


def task_of(sample: Sample, settings: ModelSettings) -> Task | None:
    """The task of Reason-RFT that a sample belongs to: the one that was named, else by its file's name."""
    if settings.task == "none" or (settings.task == "auto" and not sample.source):
        return None
    return task_named(Path(sample.source)) if settings.task == "auto" else settings.task


def task_named(file: Path) -> Task | None:
    """The task that a file name holds in whole words, as `clevr-math_with_score.json` does; None for other names."""
    stem = file.name.lower().replace("_", "-").partition(".")[0]
    return next((task for name, task in _NAMES if re.search(rf"(?:^|-){name}(?:-|$)", stem)), None)


def template_name(strategy: Strategy, task: Task | None, answer: str | None = None) -> str:
    """The file name of the template for a strategy and a task.

    `answer`, where it is known, tells a choice from a number. `cot-sft` is Reason-RFT's name for what is `cot` here.
    """
    first = "cot" if strategy == "cot-sft" else strategy
    kind = None if task is None else _ANSWERS[task]
    if task == "geomath" and first == "cot" and answer is not None:
        kind = "letter" if answer.strip() in _OPTIONS else "number"
    if kind is None or (first == "sft" and kind not in _ANSWERS_OF_SFT):
        return f"{first}.txt"
    return f"{first}-{kind}.txt"


def read_template(file: Path) -> str:
    """The template in `file`, without line ends at its end.

    Raises:
        UsageError: it cannot be read, or has no place for the problem.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").rstrip("\n")
    except OSError as error:
        raise UsageError(f"--prompt_template: cannot read {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--prompt_template: {file} is not UTF-8 text (byte {error.start})") from error
    if not any(placeholder in text for placeholder in PLACEHOLDERS):
        raise UsageError(f"--prompt_template: {file} has no {' or '.join(PLACEHOLDERS)} where the item's problem goes")
    return text


def _existing(given: str) -> Path:
    """The file or folder that `--prompt_template` names.

    Raises:
        UsageError: there is none; the text may have been meant for a template.
    """
    path = Path(given)
    try:
        if path.exists():
            return path
    except (OSError, ValueError):  # too long for a name, or a NUL in it
        pass
    short = given if len(given) <= 200 else f"{given[:200]} …"
    raise UsageError(
        f"--prompt_template {short!r} has no {' or '.join(PLACEHOLDERS)} where the item's problem goes, and is no file "
        "or folder"
    )


def _conversation_of(sample: Sample) -> Conversation | None:
    """The conversation that the problem of a sample was taken from."""
    messages = sample.extra.get("messages")
    if messages is None:
        return None
    try:
        turns = read_conversation(messages)
    except DatasetError:
        return None
    return turns if without_image_markers(turns.user) == sample.problem else None


def _no_task(sample: Sample) -> str:
    where = Path(sample.source).name if sample.source else "a question of its own"
    return f"{where} names no task of Reason-RFT, so the general wording is used; --task names one"
