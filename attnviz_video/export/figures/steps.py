"""Which steps a figure shows: those asked for by number, or those with most attention on the images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from attnviz_video.analysis.scores import Scores
from attnviz_video.core.tokens import Token
from attnviz_video.core.units import display_units
from attnviz_video.errors import UsageError
from attnviz_video.render.sections import tag_parts, unit_segments


def frame_of_step(step: int, n_frames: int, flag: str = "--step") -> int:
    """The frame (counted from 0) that the video calls step `step`: counted from 1 as in its footer, or from the end.

    Raises:
        UsageError: there is no such step.
    """
    if 1 <= step <= n_frames:
        return step - 1
    if -n_frames <= step <= -1:
        return n_frames + step
    raise UsageError(
        f"{flag} {step}: this video has steps 1 to {n_frames} (or -{n_frames} to -1 from the end), "
        "numbered as in its footer"
    )


def frames_of_steps(steps: Sequence[int], n_frames: int) -> tuple[int, ...]:
    """The frames of the steps that `--steps` names, in the order given.

    Raises:
        UsageError: one of them does not exist, or is named twice.
    """
    frames = tuple(frame_of_step(step, n_frames, "--steps") for step in steps)
    for place, frame in enumerate(frames):
        if frame in frames[:place]:
            raise UsageError(f"--steps names step {frame + 1} twice; name each panel once")
    return frames


def least_distance(n_candidates: int, count: int) -> int:
    """How many steps chosen ones are apart at least, so that `count` of `n_candidates` can always be found.

    About half of an even spacing: a chosen step then rules out no more than its share of the candidates.
    """
    return max(1, (n_candidates // count + 1) // 2)


def most_attended(shares: Float[np.ndarray, "candidates"], places: Sequence[int], count: int) -> tuple[int, ...]:
    """`count` places with the largest `shares`, no two nearer than `least_distance`, in order.

    Non-maximum suppression, as for peaks: the largest is taken, its neighbours are ruled out, and so on; of equals,
    the first. `places` (ascending) are the steps that the shares belong to.
    """
    distance = least_distance(len(places), count)
    chosen: list[int] = []
    for best in np.argsort(-shares, kind="stable").tolist():
        if all(abs(places[best] - other) >= distance for other in chosen):
            chosen.append(places[best])
        if len(chosen) == count:
            break
    return tuple(sorted(chosen))


def frames_with_most_image(scores: Scores, count: int) -> tuple[tuple[int, ...], int]:
    """`count` frames whose rows lie most on the images, spread over the answer, and their least distance in steps.

    Special tokens, blanks and pieces of tags are passed over where there are enough words (see `most_attended` for the
    rule); pieces of tags are then the first to be taken.

    Raises:
        UsageError: fewer frames have a row.
    """
    tokens, n_prompt = scores.trace.tokens, scores.trace.n_prompt
    shares = np.array([float(scores.image_share(number).sum()) for number in range(scores.n_frames)])
    with_row = np.flatnonzero(np.isfinite(shares)).tolist()
    if count > len(with_row):
        raise UsageError(f"--filmstrip {count}: this video has {len(with_row)} steps with a row; ask for fewer")
    own = {number: tokens[n_prompt + scores.steps[number]] for number in with_row}
    visible = [number for number in with_row if own[number].piece.strip() and not own[number].special]
    tags = tag_positions(tokens)
    words = [number for number in visible if own[number].position not in tags]
    places = next(places for places in (words, visible, with_row) if len(places) >= count)
    return most_attended(shares[places], places, count), least_distance(len(places), count)


def tag_positions(tokens: Sequence[Token]) -> frozenset[int]:
    """Positions of the tokens that show nothing but a tag or a part of one, such as the `>` of `</think>`."""
    units = display_units(tokens)
    found: set[int] = set()
    for number, parts in tag_parts(units, unit_segments(units, tokens)).items():
        unit = units[number]
        rest, end = "", 0
        for part in parts:
            rest, end = rest + unit.text[end : part.start], part.stop
        if not (rest + unit.text[end:]).strip():
            found.update(range(unit.first, unit.stop))
    return frozenset(found)
