"""Dataset files in the schemas of Reason-RFT, item by item: a faulty one blocks no other.

    dataset = open_dataset(settings)
    for index in chosen(dataset, samples="0:200,id:CLEVR_000123", shard="3/16"):   # sources/selection.py
        loaded = dataset.load(index)      # raises for this item alone

`fields.py` says which fields are read under which names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from attnviz_video.core.sample import PAIR_FIELD, Sample
from attnviz_video.errors import DatasetError, ImageError, UsageError
from attnviz_video.sources.fields import ItemFields, own_id, read_fields
from attnviz_video.sources.image_paths import image_roots, refuse_address, resolve_image
from attnviz_video.sources.json_items import checked_item, read_items
from attnviz_video.sources.settings import SourceSettings


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


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset file that has been read; its items are looked at when they are asked for."""

    items: Sequence[object]
    rules: ItemRules

    def __len__(self) -> int:
        return len(self.items)

    @property
    def file(self) -> Path:
        """The dataset file."""
        return self.rules.json_file

    def load(self, index: int) -> LoadedSample:
        """Item `index` (from 0) as a sample.

        Raises:
            DatasetError: there is no such item, or it is not of the schema.
            ImageError: an image path that is missing or forbidden.
        """
        if not 0 <= index < len(self):
            raise DatasetError(f"{self.file} has no item {index}; it has {self.range()}")
        item = checked_item(self.items[index], index, self.file)
        return sample_of_item(item, index, self.rules, id=self.ids[index])

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The id of every sample, of faulty items too: its own, or its index where it has none or shares it.

        An index that is the id of another item gets a `#`.
        """
        return tuple(
            self._made_up(index) if own is None or self.owners[own] > 1 else own
            for index, own in enumerate(self._own_ids)
        )

    def _made_up(self, index: int) -> str:
        name = str(index)
        while self.owners.get(name) == 1:
            name = f"#{name}"
        return name

    @cached_property
    def owners(self) -> Mapping[str, int]:
        """How many items have an id."""
        return Counter(own for own in self._own_ids if own is not None)

    def indices_of(self, id: str) -> list[int]:
        """The items whose own id is `id`."""
        return [index for index, own in enumerate(self._own_ids) if own == id]

    def answer_of(self, index: int) -> str | None:
        """The known answer of item `index`, without a look at its images; None also for an item that is faulty."""
        fields = self.fields_of(index)
        return None if fields is None else fields.answer

    def fields_of(self, index: int) -> ItemFields | None:
        """What stands in item `index`, without a look at its images; None for an item that is faulty itself."""
        try:
            return read_fields(checked_item(self.items[index], index, self.file))
        except DatasetError:
            return None

    @cached_property
    def _own_ids(self) -> list[str | None]:
        return [own_id(item) for item in self.items]

    def range(self) -> str:
        """Which items there are, in words."""
        return f"samples 0 to {len(self) - 1}" if len(self) else "0 samples"

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should be told about the file as a whole."""
        shared = sum(count for count in self.owners.values() if count > 1)
        return (f"{self.file}: {shared} items share their id with another and go by their number",) if shared else ()


def open_dataset(settings: SourceSettings) -> Dataset:
    """Read the dataset that the settings name; its items are not looked at yet.

    Raises:
        UsageError: the settings name none, or an image folder that is none.
        DatasetError: the file cannot be read, or is not JSON.
    """
    _check_max_images(settings.max_image_num)
    if settings.benchmark_json is None:
        raise UsageError("nothing to ask: give --benchmark_json, or --question with or without --image")
    rules = ItemRules(
        settings.benchmark_json,
        image_roots(settings.benchmark_json, settings.image_dir),
        settings.allow_outside_images,
        settings.max_image_num,
        settings.response_field,
    )
    return Dataset(read_items(settings.benchmark_json), rules)


def load_sample(settings: SourceSettings) -> LoadedSample:
    """The sample that the settings name: an item of a dataset, or images and a question.

    Raises:
        UsageError: the flags name no sample, or two.
        DatasetError, ImageError: the dataset, the item or an image path is not usable.
    """
    _check_max_images(settings.max_image_num)
    if settings.question_pair is not None and settings.question is None:
        raise UsageError("--question_pair is the second of two sentences; give the first with --question")
    if settings.image or settings.question is not None:
        return _asked_directly(settings)
    dataset = open_dataset(settings)
    if len(dataset) == 0:
        raise DatasetError(f"{dataset.file} has 0 samples")
    if not 0 <= settings.sample_idx < len(dataset):
        raise DatasetError(f"--sample_idx {settings.sample_idx} is out of range: {dataset.file} has {dataset.range()}")
    return dataset.load(settings.sample_idx)


def load_samples(
    json_file: Path, image_dir: Path | None, *, allow_outside_images: bool = False, max_image_num: int = 2
) -> list[Sample]:
    """All samples of a dataset; the first faulty one raises. `Dataset.load` reads them one by one.

    Raises:
        UsageError, DatasetError, ImageError: as `load_sample`.
    """
    settings = SourceSettings(
        benchmark_json=json_file,
        image_dir=image_dir,
        allow_outside_images=allow_outside_images,
        max_image_num=max_image_num,
    )
    dataset = open_dataset(settings)
    return [dataset.load(index).sample for index in range(len(dataset))]


def sample_of_item(item: Mapping[str, object], index: int, rules: ItemRules, id: str | None = None) -> LoadedSample:
    """Item number `index` of the file as a `Sample`; of more images than the rules allow, the first are used.

    `id` is what the sample is called where not by its own id.

    Raises:
        DatasetError: no problem, or a field of another kind than expected.
        ImageError: an image path that is missing or forbidden.
    """
    where = f"{rules.json_file}, item {index}"
    try:
        fields = read_fields(item, rules.response_field)
    except DatasetError as error:
        raise DatasetError(f"{where}: {error}") from error
    used = fields.image_names[: rules.max_image_num]
    try:
        paths = tuple(resolve_image(name, rules.roots, allow_outside=rules.allow_outside_images) for name in used)
    except ImageError as error:
        raise ImageError(f"{where}: {error}") from error
    found, own = len(fields.image_names), own_id(item)
    name = id or own or str(index)
    sample = Sample(
        index=index,
        id=name,
        problem=fields.problem,
        image_paths=paths,
        answer=fields.answer,
        response=fields.response,
        boxes=tuple(box for box in fields.boxes if box.image < len(used)),
        extra=fields.extra if own in (None, name) else {"id": item["id"], **fields.extra},
        source=str(rules.json_file),
    )
    too_many = (_too_many(where, found, rules.max_image_num),) if found > len(used) else ()
    return LoadedSample(sample, (*too_many, *(f"{where}: {notice}" for notice in fields.notices)))


def _asked_directly(settings: SourceSettings) -> LoadedSample:
    """`--image` and `--question`: the user's own choice of files, wherever they are."""
    if settings.benchmark_json is not None:
        raise UsageError("--image and --question replace a dataset; give either these or --benchmark_json")
    if settings.question is None:
        raise UsageError("--image needs --question: what shall the model be asked?")
    if not settings.question.strip():
        raise UsageError("--question is empty: what shall the model be asked?")
    if settings.question_pair is not None:
        return _pair(settings.question, settings.question_pair, settings)
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


def _pair(first: str, second: str, settings: SourceSettings) -> LoadedSample:
    """Two sentences for an encoder."""
    if settings.image:
        raise UsageError("--question_pair is for encoders, which read text only; leave out --image")
    if not second.strip():
        raise UsageError("--question_pair is empty: what is the second sentence?")
    return LoadedSample(Sample(0, "question", first, (), extra={PAIR_FIELD: second}))


def _check_max_images(max_image_num: int) -> None:
    if max_image_num < 1:
        raise UsageError(f"--max_image_num: expected 1 or more, got {max_image_num}")


def _too_many(where: str, found: int, used: int) -> str:
    return f"{where}: {found} images, the first {used} used; --max_image_num {found} uses all"
