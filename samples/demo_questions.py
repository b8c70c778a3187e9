"""Questions about synthetic scenes: wording, the true chain of thought, the true answer, and the boxes of every phrase.

Every chain of thought is the same scan over the picture, as a person would read it: row by row, from left to right,
one object a line ("At the top left a red circle", next line "right a blue star", or "At the middle nothing"), until the
question can be answered. So all kinds of question share a few skills: find the next object in a row, read its colour,
read its shape, notice that a row holds no more. Where something is looked for or counted, what does not fit is only "an
object": the comparison is made while looking, not afterwards in the text. What counts is numbered, so no number is made
up at the end. The row's name comes first and does not depend on the picture; the column says where an object is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from demo_scenes import COLOR_NAMES, PLACES_PER_SIDE, SHAPES, Box, Scene, SceneObject, ScenePair, random_generator

ROW_NAMES = ("top", "middle", "bottom")
COL_NAMES = ("left", "center", "right")
CHINESE_COLORS = dict(zip(COLOR_NAMES, ("红色", "橙色", "黄色", "绿色", "蓝色", "紫色"), strict=True))
CHINESE_SHAPES = dict(zip(SHAPES, ("圆", "方块", "三角形", "五角星"), strict=True))
CHINESE_ROWS = ("上方", "中央", "下方")
CHINESE_COLS = ("左边", "中央", "右边")
CHINESE_PLACES = ("左上角", "上方", "右上角", "左边", "中央", "右边", "左下角", "下方", "右下角")

INSTRUCTION = "Output the thinking process in <think> </think> and final answer in <answer> </answer> tags."
OTHER_INSTRUCTIONS = (
    "",
    "Output the thinking process in <think> </think> and final answer (number) in <answer> </answer> tags.",
    f"Based on the following requirements, answer the question. {INSTRUCTION}",
    f"Based on the following requirements: {INSTRUCTION}",
)

SINGLE_KINDS = (
    "count_color",
    "count_shape",
    "total",
    "what_at",
    "where",
    "color_of",
    "shape_of",
    "relation",
    "describe",
)
PAIR_KINDS = ("moved", "recolored", "removed", "moved_to")
CHINESE_KINDS = tuple(kind for kind in SINGLE_KINDS + PAIR_KINDS if kind != "relation")


@dataclass(frozen=True)
class Mention:
    """An object that the truth names: the phrases used for it, which image, and its box in that image's pixels."""

    phrase: str
    place: str
    image: int
    box: Box


@dataclass(frozen=True)
class Question:
    """One question with its truth. ``thinking`` and ``answer`` are what goes between the tags."""

    kind: str
    language: str
    problem: str
    thinking: str
    answer: str
    mentions: tuple[Mention, ...]

    def response(self) -> str:
        """The full text the model is taught to write."""
        gap = " " if self.language == "en" else ""
        return f"<think>\n{self.thinking}\n</think>\n<answer>{gap}{self.answer}{gap}</answer>"


def place_name(row: int, col: int, language: str = "en") -> str:
    """The name of a place; all nine English names have two words."""
    if language == "zh":
        return CHINESE_PLACES[row * 3 + col]
    return f"{ROW_NAMES[row]} {COL_NAMES[col]}"


def object_name(color: str, shape: str, language: str = "en") -> str:
    """A colour and a shape as one phrase, without an article."""
    return f"{CHINESE_COLORS[color]}的{CHINESE_SHAPES[shape]}" if language == "zh" else f"{color} {shape}"


def _article(color: str) -> str:
    return "an" if color == "orange" else "a"


def _mention(item: SceneObject, language: str, image: int = 0) -> Mention:
    place = place_name(item.row, item.col, language)
    return Mention(object_name(item.color, item.shape, language), place, image, item.box)


Saying = Callable[[SceneObject], str]


def _scan(
    items: Sequence[SceneObject], language: str, say: Saying, wanted: Sequence[SceneObject] = ()
) -> tuple[str, list[SceneObject]]:
    """The lines of a scan over the image, and the objects it names.

    Row by row: a row opens with its name, every object of it is on a line of its own, where ``say`` gives what follows
    the column. The scan ends once all ``wanted`` objects are named; without any it runs over all three rows.
    """
    chinese = language == "zh"
    left, named, lines = list(wanted), [], []
    for row in range(PLACES_PER_SIDE):
        opening = CHINESE_ROWS[row] if chinese else f"At the {ROW_NAMES[row]} "
        found = [item for item in items if item.row == row]
        if not found:
            lines.append(opening + ("没有" if chinese else "nothing"))
        for item in found:
            lines.append(opening + (CHINESE_COLS if chinese else COL_NAMES)[item.col] + say(item))
            named.append(item)
            opening = ""
            if item in left:
                left.remove(item)
                if not left:
                    return _lines(lines, language), named
    return _lines(lines, language), named


def _lines(lines: list[str], language: str) -> str:
    return "\n".join(lines) if language == "zh" else "\n".join(f" {line}" for line in lines)


def _in_full(language: str, notes: dict[SceneObject, str] | None = None) -> Saying:
    """Say colour and shape of every object, and its note."""

    def say(item: SceneObject) -> str:
        name = object_name(item.color, item.shape, language)
        start = "是" if language == "zh" else f" {_article(item.color)} "
        return start + name + (notes or {}).get(item, "")

    return say


def _counted(counted: list[SceneObject], kind: str, language: str) -> Saying:
    """Say and number what counts; of everything else only that it is there."""

    def say(item: SceneObject) -> str:
        if item not in counted:
            return _other(language)
        number = counted.index(item) + 1
        color = item.color if kind == "count_color" else None
        return _name(color, item.shape, language) + (f"，{number}" if language == "zh" else f" ({number})")

    return say


def _searched(asked: Sequence[tuple[str | None, str | None]], kind: str, language: str) -> Saying:
    """Say what was asked for (colours and shapes, None where that is the question); of others only what agrees."""

    def say(item: SceneObject) -> str:
        if kind == "color_of":
            shape, color = _name(None, item.shape, language), CHINESE_COLORS[item.color]
            found = shape + (f"，{color}" if language == "zh" else f", {item.color}")
            return found if (None, item.shape) in asked else _other(language)
        if (item.color, item.shape) in asked or (item.color, None) in asked:
            return _name(item.color, item.shape, language)
        return _other(language, item.color if item.color in {color for color, _ in asked} else None)

    return say


def _name(color: str | None, shape: str, language: str) -> str:
    if language == "zh":
        return (f"{CHINESE_COLORS[color]}的" if color else "") + CHINESE_SHAPES[shape]
    return (f" {color}" if color else "") + f" {shape}"


def _other(language: str, color: str | None = None) -> str:
    """An object that is not the one asked for, with its colour where that one agrees."""
    if language == "zh":
        return (f"{CHINESE_COLORS[color]}的" if color else "") + "物体"
    return (f" {color}" if color else "") + " object"


def _choose(rng: np.random.Generator, options: list[SceneObject]) -> SceneObject | None:
    return options[int(rng.integers(len(options)))] if options else None


def _wording(rng: np.random.Generator, language: str, english: tuple[str, ...], chinese: str) -> str:
    return chinese if language == "zh" else english[int(rng.integers(len(english)))]


def _unique(items: tuple[SceneObject, ...], key: Callable[[SceneObject], object]) -> list[SceneObject]:
    keys = [key(item) for item in items]
    return [item for item in items if keys.count(key(item)) == 1]


def ask_single(scene: Scene, kind: str, rng: np.random.Generator, language: str = "en") -> Question | None:
    """A question of the given kind about one image, or None where the scene does not allow it."""
    items = scene.objects
    wanted: list[SceneObject] = []
    if kind in ("count_color", "count_shape", "total"):
        counted, problem = _counting(items, kind, rng, language)
        answer = str(len(counted))
        notes = {o: f"，{n}" if language == "zh" else f" ({n})" for n, o in enumerate(counted, 1)}
        say = _in_full(language, notes) if kind == "total" else _counted(counted, kind, language)
    elif kind == "describe":
        problem = _wording(rng, language, ("Describe the image.", "What is in the image?"), "描述这张图。")
        names = [object_name(o.color, o.shape, language) for o in items]
        answer = ("、" if language == "zh" else ", ").join(names)
        say = _in_full(language)
    else:
        asking = _relation(items, rng) if kind == "relation" else _look_up(items, kind, rng, language)
        wanted, problem, answer = asking
        asked = [(None if kind == "color_of" else o.color, None if kind == "shape_of" else o.shape) for o in wanted]
        say = _in_full(language) if kind == "what_at" else _searched(asked, kind, language)
        if not wanted:
            return None
    thinking, named = _scan(items, language, say, wanted)
    return Question(kind, language, problem, thinking, answer, tuple(_mention(o, language) for o in named))


def _counting(
    items: tuple[SceneObject, ...], kind: str, rng: np.random.Generator, language: str
) -> tuple[list[SceneObject], str]:
    """The objects to count and the wording. One in five asks for something that may be absent."""
    absent = rng.random() < 0.2
    item = items[int(rng.integers(len(items)))]
    if kind == "total":
        return list(items), _wording(
            rng, language, ("How many objects are there?", "Count the objects."), "一共有几个物体？"
        )
    if kind == "count_color":
        color = str(rng.choice(COLOR_NAMES)) if absent else item.color
        wording = (f"How many {color} objects are there?", f"Count the {color} objects.")
        found = [o for o in items if o.color == color]
        return found, _wording(rng, language, wording, f"有几个{CHINESE_COLORS[color]}的物体？")
    shape = str(rng.choice(SHAPES)) if absent else item.shape
    wording = (f"How many {shape}s are there?", f"Count the {shape}s.")
    found = [o for o in items if o.shape == shape]
    return found, _wording(rng, language, wording, f"有几个{CHINESE_SHAPES[shape]}？")


def _look_up(
    items: tuple[SceneObject, ...], kind: str, rng: np.random.Generator, language: str
) -> tuple[list[SceneObject], str, str]:
    """The object a question is about, the wording and the answer; what the question names is unique in the scene."""
    if kind == "what_at":
        target = _choose(rng, list(items))
    elif kind == "where":
        target = _choose(rng, _unique(items, lambda o: (o.color, o.shape)))
    elif kind == "color_of":
        target = _choose(rng, _unique(items, lambda o: o.shape))
    else:
        target = _choose(rng, _unique(items, lambda o: o.color))
    if target is None:
        return [], "", ""
    name = object_name(target.color, target.shape, language)
    place = place_name(target.row, target.col, language)
    color, shape = CHINESE_COLORS[target.color], CHINESE_SHAPES[target.shape]
    if kind == "what_at":
        wording = (f"What is at the {place}?", f"Which object is at the {place}?")
        return [target], _wording(rng, language, wording, f"{place}是什么？"), name
    if kind == "where":
        answer = f"{name}在{place}" if language == "zh" else place
        return [target], _wording(rng, language, (f"Where is the {name}?",), f"{name}在哪里？"), answer
    if kind == "color_of":
        problem = _wording(rng, language, (f"What color is the {target.shape}?",), f"{shape}是什么颜色？")
        return [target], problem, color if language == "zh" else target.color
    problem = _wording(rng, language, (f"What shape is the {target.color} object?",), f"{color}的物体是什么形状？")
    return [target], problem, shape if language == "zh" else target.shape


def _relation(items: tuple[SceneObject, ...], rng: np.random.Generator) -> tuple[list[SceneObject], str, str]:
    """Left or right, above or below: two distinct objects that differ along the asked axis, the wording, the answer."""
    options = _unique(items, lambda o: (o.color, o.shape))
    across = bool(rng.random() < 0.5)
    pairs = [(a, b) for a in options for b in options if (a.col != b.col if across else a.row != b.row)]
    if not pairs:
        return [], "", ""
    first, second = pairs[int(rng.integers(len(pairs)))]
    name, other = object_name(first.color, first.shape), object_name(second.color, second.shape)
    if across:
        problem = f"Is the {name} to the left or to the right of the {other}?"
        answer = "left" if first.col < second.col else "right"
    else:
        problem = f"Is the {name} above or below the {other}?"
        answer = "above" if first.row < second.row else "below"
    return [first, second], problem, answer


def ask_pair(pair: ScenePair, kind: str, rng: np.random.Generator, language: str = "en") -> Question:
    """A question about two images: which object changed, or where one moved to.

    The thought scans the first image and says of every object what the second image shows (only of the moved one, where
    the question names it), until it meets the change. The answer names the changed object as it looked at first, or its
    new place.
    """
    changed = pair.before.objects[pair.index]
    name = object_name(changed.color, changed.shape, language)
    english = {
        "moved": "Which object moved?",
        "recolored": "Which object changed color?",
        "removed": "Which object was removed?",
        "moved_to": f"Where did the {name} move?",
    }
    chinese = {
        "moved": "哪个物体移动了？",
        "recolored": "哪个物体变了颜色？",
        "removed": "哪个物体不见了？",
        "moved_to": f"{name}移到了哪里？",
    }
    before = pair.before.objects[: pair.index + 1]
    second = {item: _second_look(pair, item, kind, language) for item in ([changed] if kind == "moved_to" else before)}
    if kind == "moved_to":
        search = _searched([(changed.color, changed.shape)], kind, language)
        thinking, named = _scan(before, language, search, [changed])
        thinking += second[changed][0]
    else:
        say = _in_full(language, {item: note for item, (note, _) in second.items()})
        thinking, named = _scan(before, language, say, [changed])
    mentions = []
    answer = name
    for item in named:
        mentions.append(_mention(item, language))
        now = second[item][1] if item in second else None
        if now is not None:
            mentions.append(_mention(now, language, image=1))
            if kind == "moved_to":
                answer = place_name(now.row, now.col, language)
    problem = chinese[kind] if language == "zh" else english[kind]
    return Question(kind, language, problem, thinking, answer, tuple(mentions))


def _second_look(pair: ScenePair, item: SceneObject, kind: str, language: str) -> tuple[str, SceneObject | None]:
    """What the second image shows of ``item``: its place (for moves) or what stands at its old place (otherwise)."""
    chinese = language == "zh"
    if kind in ("moved", "moved_to"):
        now = next(o for o in pair.after.objects if (o.color, o.shape) == (item.color, item.shape))
        place = place_name(now.row, now.col, language)
        return (f"，之后在{place}" if chinese else f" then at the {place}"), now
    found = next((o for o in pair.after.objects if o.place == item.place), None)
    if found is None:
        return ("，之后没有" if chinese else " then nothing"), None
    if found.color == item.color:
        return ("，之后一样" if chinese else " then same"), found
    return (f"，之后{CHINESE_COLORS[found.color]}" if chinese else f" then {found.color}"), found


def prompt_text(problem: str, instruction: str = INSTRUCTION) -> str:
    """The user's text: problem and instruction, as the product's default prompt template joins them."""
    return f"{problem} {instruction}".strip()


def question_generator(split: str, seed: int) -> np.random.Generator:
    """The random stream for the questions about one scene or pair."""
    return random_generator(split, seed, stream=3)
