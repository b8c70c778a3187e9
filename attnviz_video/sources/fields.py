"""What the fields of a dataset item mean, under all the names that Reason-RFT's files and their kin use."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from attnviz_video.core.conversation import Conversation, final_answer, read_conversation, without_image_markers
from attnviz_video.core.sample import RESPONSE_FIELDS, TruthBox, is_token_ids
from attnviz_video.errors import DatasetError
from attnviz_video.sources.json_items import writable

#: The keys of a test file, named in errors.
WANTED_KEYS = ("id", "image", "problem", "answer")
IMAGE_FIELDS = ("image", "images", "image_path")
PROBLEM_FIELDS = ("problem", "question")
ANSWER_FIELDS = ("answer", "solution", "ground_truth")
#: Turns of a fine-tuning file: `--response_field messages` replays the assistant's.
MESSAGES = "messages"
#: Where a file name stands in an image that is an object, as image data sets write them.
_PATH_KEYS = ("path", "image", "image_path")
_KNOWN = frozenset((*IMAGE_FIELDS, *PROBLEM_FIELDS, *ANSWER_FIELDS, *RESPONSE_FIELDS, MESSAGES))


@dataclass(frozen=True)
class ItemFields:
    """The fields of one item by what they mean."""

    problem: str
    image_names: tuple[str, ...] = ()
    answer: str | None = None
    #: Text of an existing response; token ids stay in `extra`.
    response: str | None = None
    boxes: tuple[TruthBox, ...] = ()
    #: All other fields, as they stand there.
    extra: Mapping[str, object] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


def read_fields(item: Mapping[str, object], response_field: str | None = None) -> ItemFields:
    """The fields of `item`; those that mean nothing here, and those that another one goes before, are extra.

    Raises:
        DatasetError: no problem, or a field of another kind than expected; the caller adds where.
    """
    turns = None if item.get(MESSAGES) is None else read_conversation(item[MESSAGES])
    problem = _first(item, PROBLEM_FIELDS, _is_text)
    image = _first(item, IMAGE_FIELDS, _is_something)
    answer = _first(item, ANSWER_FIELDS, _is_something)
    response = _first(item, RESPONSE_FIELDS if response_field is None else (response_field,), _is_response)
    names = _image_names(item, image, turns)
    boxes = _truth_boxes(item.get("boxes"), len(names))
    read = {"id", problem, image, answer, "" if boxes is None else "boxes"}
    if response is not None and isinstance(item[response], str):
        read.add(response)
    told = () if boxes is not None else ('"boxes" is not a list of {phrase, image, box} and is not used',)
    return ItemFields(
        problem=_problem(item, problem, turns),
        image_names=names,
        answer=_answer(None if answer is None else item[answer], turns),
        response=_response(item, response, response_field, turns),
        boxes=boxes or (),
        extra={key: value for key, value in item.items() if key not in read and not (value is None and key in _KNOWN)},
        notices=told,
    )


def own_id(item: object) -> str | None:
    """The id that an item has, None where it has none of use."""
    value = item.get("id") if isinstance(item, dict) else None
    if isinstance(value, str):
        return writable(value).strip() or None
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _first(item: Mapping[str, object], keys: Sequence[str], fits: Callable[[object], bool]) -> str | None:
    """The first of `keys` whose value fits."""
    return next((key for key in keys if fits(item.get(key))), None)


def _is_something(value: object) -> bool:
    return value is not None and value not in ("", [], {})


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(without_image_markers(value))


def _is_response(value: object) -> bool:
    return isinstance(value, str) or is_token_ids(value)


def _problem(item: Mapping[str, object], key: str | None, turns: Conversation | None) -> str:
    if key is not None:
        return without_image_markers(str(item[key]))
    if turns is not None:
        return without_image_markers(turns.user)
    raise DatasetError(
        f'no text under "problem", "question" or "messages" (keys found: {", ".join(item) or "none"}; '
        f"wanted: {', '.join(WANTED_KEYS)})"
    )


def _image_names(item: Mapping[str, object], key: str | None, turns: Conversation | None) -> tuple[str, ...]:
    if key is None:
        return tuple(_image_name(one, MESSAGES) for one in (() if turns is None else turns.images))
    value = item[key]
    return tuple(_image_name(one, key) for one in (value if isinstance(value, list) else [value]))


def _image_name(value: object, key: str) -> str:
    """The file name in one entry: text, or an object that holds it, as image data sets write them."""
    if isinstance(value, dict):
        value = next((value[name] for name in _PATH_KEYS if isinstance(value.get(name), str)), value)
    if not isinstance(value, str):
        raise DatasetError(f'"{key}" must be a path, an object {{"path": …}}, or a list of these')
    return value


def _answer(value: object, turns: Conversation | None) -> str | None:
    """The known answer as text; of a fine-tuning file, the result in the assistant's turn."""
    if value is None:
        return final_answer(turns.assistant) if turns is not None and turns.assistant else None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _response(
    item: Mapping[str, object], key: str | None, response_field: str | None, turns: Conversation | None
) -> str | None:
    """The text of the existing response. The assistant's turn is one only where it was asked for: no model wrote it."""
    if response_field == MESSAGES:
        return None if turns is None else turns.assistant
    value = None if key is None else item[key]
    return value if isinstance(value, str) else None


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
