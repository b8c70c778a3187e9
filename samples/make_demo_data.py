"""Write the demo data: samples/demo.json, samples/demo_pairs.json and their pictures, held out from training.

The files follow the Reason-RFT schema (an array of ``id``, ``image``, ``problem``, ``answer``) with one extra field,
``boxes``: every phrase of the true chain of thought with its image and its box in pixels. Scenes come from the test
split, from seeds that the evaluation does not use. Item 0 is the demo video's: the first scene of four different
objects, one of them a red circle that is neither first nor last, so that a viewer sees the eye travel.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from demo_questions import PAIR_KINDS, Question, ask_pair, ask_single, question_generator
from demo_scenes import Scene, render_scene, sample_pair, sample_scene
from PIL import Image

FIRST_SEED = 1_000_000
SINGLE_ITEMS = (
    ("describe", "en"),
    ("count_color", "en"),
    ("where", "en"),
    ("describe", "zh"),
    ("what_at", "en"),
    ("color_of", "en"),
    ("shape_of", "en"),
    ("relation", "en"),
    ("count_shape", "en"),
    ("total", "en"),
    ("where", "zh"),
    ("count_color", "zh"),
    ("what_at", "zh"),
    ("count_color", "en"),
    ("where", "en"),
    ("color_of", "en"),
    ("shape_of", "en"),
    ("relation", "en"),
    ("describe", "en"),
    ("count_shape", "en"),
    ("what_at", "en"),
    ("color_of", "zh"),
    ("total", "en"),
    ("count_color", "en"),
    ("relation", "en"),
    ("describe", "en"),
    ("count_shape", "en"),
    ("where", "en"),
)
PAIR_ITEMS = (
    *((kind, "en") for kind in PAIR_KINDS * 2),
    ("moved", "zh"),
    ("moved_to", "zh"),
    ("moved", "en"),
    ("recolored", "en"),
)


def boxes_field(question: Question) -> list[dict[str, object]]:
    """The ``boxes`` of an item: object phrases and their places, each with the object's box, without repetitions."""
    rows = []
    for mention in question.mentions:
        for phrase in (mention.phrase, mention.place):
            row: dict[str, object] = {"phrase": phrase, "image": mention.image, "box": list(mention.box)}
            if row not in rows:
                rows.append(row)
    return rows


def _suits_video(scene: Scene) -> bool:
    """Four objects of four colours and at least three shapes, with a red circle neither first nor last."""
    inner = scene.objects[1:-1]
    return (
        len(scene.objects) == 4
        and len({o.color for o in scene.objects}) == 4
        and len({o.shape for o in scene.objects}) >= 3
        and any((o.color, o.shape) == ("red", "circle") for o in inner)
    )


def _single_questions() -> Iterator[tuple[Scene, Question]]:
    """One held-out scene per wanted item; scenes that do not allow the question are passed over."""
    seed = FIRST_SEED
    for index, (kind, language) in enumerate(SINGLE_ITEMS):
        while True:
            scene = sample_scene("test", seed, distinct=True)
            question = ask_single(scene, kind, question_generator("test", seed), language)
            seed += 1
            if question is not None and (index > 0 or _suits_video(scene)):
                break
        yield scene, question


def write_demo_data(folder: Path) -> tuple[int, int]:
    """Write both files and all pictures under ``folder``; the number of single and paired items."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    singles: list[dict[str, object]] = []
    for index, (scene, question) in enumerate(_single_questions()):
        name = f"scene_{index:02d}.png"
        Image.fromarray(render_scene(scene)).save(images / name, optimize=True)
        singles.append(_item(f"demo-{index:02d}", name, question))
    pairs: list[dict[str, object]] = []
    for index, (kind, language) in enumerate(PAIR_ITEMS):
        seed = FIRST_SEED + index
        pair = sample_pair("test", seed, "moved" if kind == "moved_to" else kind)
        names = [f"pair_{index:02d}_initial.png", f"pair_{index:02d}_final.png"]
        for name, scene in zip(names, (pair.before, pair.after), strict=True):
            Image.fromarray(render_scene(scene)).save(images / name, optimize=True)
        pairs.append(
            _item(f"pair-{index:02d}", names, ask_pair(pair, kind, question_generator("test", seed), language))
        )
    for name, rows in (("demo.json", singles), ("demo_pairs.json", pairs)):
        (folder / name).write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return len(singles), len(pairs)


def _item(name: str, image: str | list[str], question: Question) -> dict[str, object]:
    return {
        "id": name,
        "image": image,
        "problem": question.problem,
        "answer": question.answer,
        "kind": question.kind,
        "boxes": boxes_field(question),
    }


def main() -> None:
    """Parse the command line and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, default=Path(__file__).parent, help="default: this folder")
    singles, pairs = write_demo_data(parser.parse_args().output_dir)
    print(f"{singles} single-image items, {pairs} two-image items")


if __name__ == "__main__":
    main()
