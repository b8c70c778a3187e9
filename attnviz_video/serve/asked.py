"""From the fields of a request to a run in the line: checked as strictly as flags are, before anything waits."""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from attnviz_video.config import RunConfig, replace_settings, to_mapping
from attnviz_video.config.coercion import did_you_mean
from attnviz_video.errors import ImageError, UsageError
from attnviz_video.serve.form import Fields, Upload
from attnviz_video.serve.line import Line, LineFullError
from attnviz_video.serve.live_recording import Recorder
from attnviz_video.serve.runs import Asked, Mode, Run, RunStore
from attnviz_video.sources.images import open_image, png_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

#: Settings of generating and recording that a question may bring.
SETTINGS = ("layer_idx", "max_new_tokens", "do_sample", "temperature", "top_p", "top_k", "seed")
_TEXTS = ("prompt", "system", "mode", "answer_prefix", "continue_from")
KNOWN = (*_TEXTS, *SETTINGS, "answer_ids", "images")
#: More characters than that to a token have only texts that are nothing but spaces; what is longer is not even counted
#: in tokens, which takes seconds.
_MOST_TO_A_TOKEN = 16
#: Of a model that does not say how many tokens it reads.
_MOST_CHARACTERS = 2_000_000
_EARLIER = re.compile(r"([0-9a-f-]{1,40})/(\d{1,3})")


class Desk:
    """Where questions come in; one is looked at at a time, since large pictures take much memory."""

    def __init__(self, recorder: Recorder, store: RunStore, line: Line) -> None:
        self._recorder = recorder
        self._store = store
        self._line = line
        self._one = threading.Lock()

    def accept(self, fields: Fields, tab: str = "") -> Run:
        """Check a question and put it in the line.

        Raises:
            LineFullError: as many wait as may.
            UsageError, InputError: a sentence for whoever asked.
            EnvironmentFault: the disk.
        """
        with self._one:
            if self._line.full:
                raise LineFullError
            earlier = self._earlier(fields.values)
            self._refuse_long(fields.values)
            files = self._images(fields, earlier)
            names = [file.name for file in files]
            asked = asked_of(fields.values, None if earlier is None else earlier.asked, names)
            run = self._store.create(asked, [file.png for file in files], tab[:100])
            try:
                checked = self._recorder.check(
                    asked, run.folder, [file.image for file in files], [file.png for file in files]
                )
                run.max_new_tokens = checked.max_new_tokens
                run.update(n_prefix=checked.n_prefix)
                run.save()
                self._line.submit(run)
            except BaseException:
                self._store.forget(run)
                raise
            return run

    def _earlier(self, values: Mapping[str, Any]) -> Run | None:
        """The run that a question goes on from."""
        name = values.get("continue_from")
        if name is None or name == "":
            return None
        run = self._store.get(str(name))
        if run is None:
            raise UsageError("the run that this goes on from is not here any more; ask the question anew")
        return run

    def _refuse_long(self, values: Mapping[str, Any]) -> None:
        """Refuse texts that no model can read, before they are turned into tokens."""
        context = self._recorder.describe().get("context")
        most = most_characters(context)
        for name, words in (("prompt", "the prompt"), ("system", "the system prompt"), ("answer_prefix", "the answer")):
            text = values.get(name)
            if isinstance(text, str) and len(text) > most:
                reads = f"the model reads {context} tokens" if context else f"at most {most} are taken"
                raise UsageError(f"{words} has {len(text)} characters; {reads}: shorten it")

    def _images(self, fields: Fields, earlier: Run | None) -> list[_Picture]:
        """The pictures that came or are named, each with its PNG file; else those of the earlier run."""
        named = fields.values.get("images", ())
        if not isinstance(named, list | tuple):
            raise UsageError("images: expected a list of RUN/NUMBER, such as 20261121-184512-3fa9c1/0")
        places = [self._named(str(name)) for name in named]
        if earlier is not None and "images" not in fields.values and not fields.uploads:
            places = [(earlier, number) for number in range(earlier.asked.n_images)]
        most = int(self._recorder.describe()["max_images"])
        count = len(places) + len(fields.uploads)
        if most and count > most:
            raise UsageError(
                f"{count} images came, and this server takes at most {most} "
                f"(it was started with --max_image_num {most})"
            )
        kept = [_kept(run, number) for run, number in places]
        return [*kept, *(_decoded(upload) for upload in fields.uploads)]

    def _named(self, name: str) -> tuple[Run, int]:
        """A picture of an earlier run, as `RUN/NUMBER`."""
        found = _EARLIER.fullmatch(name)
        run = self._store.get(found[1]) if found else None
        if found is None or run is None or int(found[2]) >= run.asked.n_images:
            raise UsageError(f"an image of an earlier run ({name[:60]!r}) is not here any more; send it again")
        return run, int(found[2])


class _Picture(NamedTuple):
    """A picture to ask about."""

    name: str
    image: Image
    #: Its PNG file.
    png: bytes


def _kept(run: Run, number: int) -> _Picture:
    """A picture of an earlier run."""
    path = run.image(number)
    return _Picture(run.asked.names[number], open_image(path), path.read_bytes())


def _decoded(upload: Upload) -> _Picture:
    """A picture that came with a request.

    Raises:
        ImageError: it cannot be read, or is too large.
    """
    # Decoders read a file by seeking; its name is ours, and only a message may show the sender's.
    with tempfile.TemporaryDirectory(prefix="attnviz-") as folder:
        file = Path(folder) / "upload"
        file.write_bytes(upload.data)
        try:
            image = open_image(file)
        except ImageError as error:
            raise ImageError(str(error).replace(str(file), upload.name)) from error
    return _Picture(upload.name, image, png_bytes(image))


def most_characters(context: int | None) -> int:
    """Characters of the longest text that is looked at, for a model that reads `context` tokens."""
    return _MOST_CHARACTERS if context is None else min(_MOST_CHARACTERS, _MOST_TO_A_TOKEN * context)


def asked_of(values: Mapping[str, Any], earlier: Asked | None, names: Sequence[str]) -> Asked:
    """What is asked; what is missing is taken from the run it goes on from. Settings are checked where they are used.

    Raises:
        UsageError: an unknown field, a value of the wrong kind, or no prompt.
    """
    for name in values:
        if name not in KNOWN:
            raise UsageError(f"unknown field {name[:60]!r}{did_you_mean(name, KNOWN)}")
    for name in _TEXTS:
        if not isinstance(values.get(name, ""), str):
            raise UsageError(f"{name}: expected text, got {type(values[name]).__name__}")
    mode = values.get("mode", "generate")
    if mode not in get_args(Mode):
        raise UsageError(f"mode: expected one of {', '.join(get_args(Mode))}, got {mode[:40]!r}")
    prompt = values.get("prompt", earlier.prompt if earlier is not None else "")
    if not prompt.strip():
        raise UsageError("the prompt is empty: what shall the model be asked?")
    system = values.get("system", earlier.system if earlier is not None else None)
    ids = _ids(values.get("answer_ids", ()))
    prefix = values.get("answer_prefix") or None
    if mode == "generate" and (ids or prefix):
        raise UsageError('the beginning of an answer is given with mode "continue" or "next"')
    if mode == "continue" and not (ids or prefix):
        raise UsageError("continue: the beginning of the answer is empty; write at least one word of it")
    settings = coerced({name: values[name] for name in SETTINGS if name in values and values[name] != ""})
    return Asked(
        prompt=clean_text(prompt),
        mode=mode,
        system=clean_text(system) if system else None,
        n_images=len(names),
        image_names=tuple(names),
        settings=settings,
        answer_prefix=None if ids or prefix is None else clean_text(prefix),
        answer_ids=ids or None,
        continue_from=values.get("continue_from") or None,
    )


def coerced(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in their own types, as strictly as flags are read; a form brings numbers as text.

    Raises:
        UsageError: of another type, or out of range.
    """
    table = to_mapping(replace_settings(RunConfig(), settings))
    layers = table["layer_idx"]
    if isinstance(layers, list) and len(layers) > 1:
        raise UsageError(f"layer_idx: expected one layer, got {len(layers)}; the report shows the others")
    return {name: table[name][0] if name == "layer_idx" else table[name] for name in settings}  # type: ignore[index]


def _ids(values: object) -> tuple[int, ...]:
    """Token ids, as numbers or as text.

    Raises:
        UsageError: they are none.
    """
    parts: Sequence[object] = values if isinstance(values, list | tuple) else (values,)
    ids = []
    for part in parts:
        text = str(part).strip()
        if isinstance(part, bool) or not (text.isascii() and text.isdigit() and len(text) < 10):
            raise UsageError(f"answer_ids: expected token ids such as 12, 345, got {str(part)[:40]!r}")
        ids.append(int(text))
    return tuple(ids)


def clean_text(text: str) -> str:
    """`text` with halves of characters, which JSON may hold and no file can, replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
