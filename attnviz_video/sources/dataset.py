"""Items of the Reason-RFT schema to `Sample`s: `{"id", "image", "problem", "answer"}` and what else an item holds.

`image` is a path, a list of paths, or missing (a text-only question). `pred` or `response`, or the field that
`--response_field` names, is an existing answer of a model; `boxes` (`[{"phrase", "image", "box": [left, top, right,
bottom]}]`) is known truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from attnviz_video.core.sample import RESPONSE_FIELDS, Sample, TruthBox, is_token_ids
from attnviz_video.errors import DatasetError, ImageError, UsageError
from attnviz_video.sources.image_paths import image_roots, refuse_address, resolve_image
from attnviz_video.sources.json_items import checked_item, read_items
from attnviz_video.sources.settings import SourceSettings

WANTED_KEYS = ("id", "image", "problem", "answer")


@dataclass(frozen=True)
class LoadedSample:
    """A sample, and what the user should be told about how it was read."""

    sample: Sample
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class ItemRules:
    """How the items of one dataset file are read."""

    json_file: Path
    #: Folders that image paths may be relative to, in the order they are tried.
    roots: tuple[Path, ...]
    allow_outside_images: bool = False
    max_image_num: int = 2
    #: Where the existing answer stands; None looks under the usual names.
    response_field: str | None = None


def load_sample(settings: SourceSettings) -> LoadedSample:
    """The sample that the settings name: an item of a dataset, or images and a question.

    Raises:
        UsageError: the flags name no sample, or two.
        DatasetError, ImageError: the dataset, the item or an image path is not usable.
    """
    _check_max_images(settings.max_image_num)
    if settings.image or settings.question is not None:
        return _asked_directly(settings)
    if settings.benchmark_json is None:
        raise UsageError("nothing to ask: give --benchmark_json, or --question with or without --image")
    items = read_items(settings.benchmark_json)
    _check_index(settings.sample_idx, len(items), settings.benchmark_json)
    rules = ItemRules(
        settings.benchmark_json,
        image_roots(settings.benchmark_json, settings.image_dir),
        settings.allow_outside_images,
        settings.max_image_num,
        settings.response_field,
    )
    asked = checked_item(items[settings.sample_idx], settings.sample_idx, settings.benchmark_json)
    return sample_of_item(asked, settings.sample_idx, rules)


def load_samples(
    json_file: Path, image_dir: Path | None, *, allow_outside_images: bool = False, max_image_num: int = 2
) -> list[Sample]:
    """All samples of a dataset; the first faulty one raises. `sample_of_item` reads them one by one.

    Raises:
        UsageError, DatasetError, ImageError: as `load_sample`.
    """
    _check_max_images(max_image_num)
    rules = ItemRules(json_file, image_roots(json_file, image_dir), allow_outside_images, max_image_num)
    items = [checked_item(item, index, json_file) for index, item in enumerate(read_items(json_file))]
    return [sample_of_item(item, index, rules).sample for index, item in enumerate(items)]


def sample_of_item(item: Mapping[str, object], index: int, rules: ItemRules) -> LoadedSample:
    """Item number `index` of the file as a `Sample`; of more images than the rules allow, the first are used.

    Raises:
        DatasetError: no problem, or a field of another kind than expected.
        ImageError: an image path that is missing or forbidden.
    """
    where = f"{rules.json_file}, item {index}"
    problem = item.get("problem")
    if not isinstance(problem, str) or not problem.strip():
        raise DatasetError(
            f'{where}: no text under "problem" (keys found: {", ".join(item) or "none"}; '
            f"wanted: {', '.join(WANTED_KEYS)})"
        )
    names = _image_names(item.get("image"), where)
    used = names[: rules.max_image_num]
    notices = [_too_many(where, len(names), rules.max_image_num)] if len(names) > len(used) else []
    boxes = _truth_boxes(item.get("boxes"), len(names))
    if boxes is None:
        notices.append(f'{where}: "boxes" is not a list of {{phrase, image, box}} and is not used')
    try:
        paths = tuple(resolve_image(name, rules.roots, allow_outside=rules.allow_outside_images) for name in used)
    except ImageError as error:
        raise ImageError(f"{where}: {error}") from error
    keys = RESPONSE_FIELDS if rules.response_field is None else (rules.response_field,)
    response = next((item[key] for key in keys if isinstance(item.get(key), str) or is_token_ids(item.get(key))), None)
    sample = Sample(
        index=index,
        id=str(index if item.get("id") is None else item["id"]),
        problem=problem,
        image_paths=paths,
        answer=None if item.get("answer") is None else str(item["answer"]),
        response=response if isinstance(response, str) else None,
        boxes=tuple(box for box in boxes or () if box.image < len(used)),
        extra=_extra(item, {"boxes"} if boxes is None else set(), rules.response_field),
        source=str(rules.json_file),
    )
    return LoadedSample(sample, tuple(notices))


def _asked_directly(settings: SourceSettings) -> LoadedSample:
    """`--image` and `--question`: the user's own choice of files, wherever they are."""
    if settings.benchmark_json is not None:
        raise UsageError("--image and --question replace a dataset; give either these or --benchmark_json")
    if settings.question is None:
        raise UsageError("--image needs --question: what shall the model be asked?")
    if not settings.question.strip():
        raise UsageError("--question is empty: what shall the model be asked?")
    if not settings.image:
        # A model of text alone, or a question that needs no picture; said, since the flag may have been forgotten.
        notice = "--question without --image: the model is asked about no picture"
        return LoadedSample(Sample(0, "question", settings.question, ()), (notice,))
    used = settings.image[: settings.max_image_num]
    for path in used:
        refuse_address(str(path))
        if path.is_dir():
            raise ImageError(f"--image {path} is a folder; name the image files in it")
        if not path.is_file():
            raise ImageError(f"--image {path}: no such file")
    found = len(settings.image)
    notices = (_too_many("--image", found, settings.max_image_num),) if found > len(used) else ()
    return LoadedSample(Sample(0, used[0].stem, settings.question, used), notices)


def _check_index(index: int, count: int, json_file: Path) -> None:
    if count == 0:
        raise DatasetError(f"{json_file} has 0 samples")
    if not 0 <= index < count:
        raise DatasetError(f"--sample_idx {index} is out of range: {json_file} has samples 0 to {count - 1}")


def _check_max_images(max_image_num: int) -> None:
    if max_image_num < 1:
        raise UsageError(f"--max_image_num: expected 1 or more, got {max_image_num}")


def _image_names(value: object, where: str) -> list[str]:
    if value is None or value == "":
        return []
    values = value if isinstance(value, list) else [value]
    names = [name for name in values if isinstance(name, str)]
    if len(names) < len(values):
        raise DatasetError(f'{where}: "image" must be a path or a list of paths')
    return names


def _truth_boxes(value: object, n_images: int) -> tuple[TruthBox, ...] | None:
    """The boxes of an item; None where the field is there but of another form."""
    if value is None:
        return ()
    if not isinstance(value, list):
        return None
    boxes = [_truth_box(entry, n_images) for entry in value]
    known = tuple(box for box in boxes if box is not None)
    return known if len(known) == len(boxes) else None


def _truth_box(entry: object, n_images: int) -> TruthBox | None:
    if not isinstance(entry, dict):
        return None
    phrase, image, box = entry.get("phrase"), entry.get("image", 0), entry.get("box")
    if not isinstance(phrase, str) or type(image) is not int or not 0 <= image < n_images:
        return None
    if not isinstance(box, list) or len(box) != 4 or any(type(edge) not in (int, float) for edge in box):
        return None
    left, top, right, bottom = map(float, box)
    return TruthBox(phrase, image, (left, top, right, bottom)) if left < right and top < bottom else None


def _extra(item: Mapping[str, object], unread: set[str], response_field: str | None) -> dict[str, object]:
    """What stands in no field of the sample; a response that is not text stays: token ids, or what is refused later."""
    responses = {key for key in RESPONSE_FIELDS if item.get(key) is None or isinstance(item[key], str)}
    read = {*WANTED_KEYS, *responses, "boxes"} - unread
    if response_field is not None:
        read = read | {response_field} if isinstance(item.get(response_field), str) else read - {response_field}
    return {key: value for key, value in item.items() if key not in read}


def _too_many(where: str, found: int, used: int) -> str:
    return f"{where}: {found} images, the first {used} used; --max_image_num {found} uses all"
