"""Two answers are the same, or not, or cannot be compared; wrong is said only of what is plainly so."""

from __future__ import annotations

import pytest

from attnviz_video.batch.compare import compare


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("10", "10%"), ("10 percent", "10 %"), (r"10\%", "10%"), ("1,000", "1000"), ("1,000,000.5", "1000000.50"),
        ("0.5", r"$\frac{1}{2}$"), (r"-\dfrac{1}{2}", "-.5"), (r"\frac12", "1/2"), ("\N{MINUS SIGN}5", "-5"),
        ("change_color(2,red)", "change_color(2, red)"), ("( 1 , 2 )", "(1,2)"), ("45 degrees", "45"),
        (r"45^{\circ}", "45\N{DEGREE SIGN}"), ("5 cm", "5"), ("5cm", "5 centimeters"), ("3 objects", "3"), ("$5", "5"),
        (r"\boxed{\text{Red}}", "red"), (r"\(\boxed{\frac{1}{2}}\)", "0.5"), ("**5**", "5"), ("12.", "12"),
        ("(A)", "a"), ("A.", "A)"), ("the cat", "a cat"), ("A cube", "cube"), ("True", "yes"), ("1e3", "1000"),
        (r"\sqrt{2}", r"$\sqrt{2}$"), ("5 apples", "5 apples"), ("x" * 300, "X" * 300),
    ],
)  # fmt: skip
def test_the_same(given: str, wanted: str) -> None:
    assert compare(given, wanted) is True
    assert compare(wanted, given) is True


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("3", "4"), ("-5", "5"), (".5", "5"), ("50", "10%"), ("45 degrees", "50"), ("5 cm", "6 cm"), ("1/2", "1/3"),
        ("5 cats", "6 cats"), ("1,000", "1001"), ("B", "A"), ("(B)", "A."), ("left", "right"), ("no", "True"),
        ("red square", "blue square"), ("the red square", "red cube"), ("3.4", "3"), ("3.0", "4"),
    ],
)  # fmt: skip
def test_plainly_another(given: str, wanted: str) -> None:
    assert compare(given, wanted) is False
    assert compare(wanted, given) is False


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        # An option with its text, a sentence that may hold the answer, other wording
        ("A. 45 degrees", "A"), ("B. 45 degrees", "A"), ("45", "A"), ("red", "A"), ("The answer is 5", "5"),
        ("The answer is 5", "6"), ("it is red", "red"), ("red square", "square red"), ("cube", "cubes"), ("3", "three"),
        ("none", "0"), ("\u5728\u5de6\u8fb9", "\u5de6\u8fb9"), ("a very long red shape", "a very long blue shape"),
        # LaTeX that is not simple
        (r"2\sqrt{2}", "2"), (r"2\frac{1}{2}", "21/2"), (r"\frac{1}{2}3", "1/23"), (r"x\frac12", "0.5"), ("5^2", "25"),
        # Units that are not known, or not the same
        ("5 million", "5"), ("5x", "5"), ("5 cm", "50 mm"), ("5 cats", "5 dogs"), ("0.1", "10%"), ("0.2", "10 apples"),
        # Several numbers
        ("5, 6", "5"), ("5, 6", "7, 6"), ("(1,234)", "1234"), ("1, 234", "1234"), ("3-4", "3"), ("2020-01-02", "2020"),
        # The same number with fewer places; what is no number
        ("0.33", "1/3"), ("3.14", "3.1"), ("1/0", "1"), ("9" * 99, "8"), ("1e99999", "1"),
    ],
)  # fmt: skip
def test_left_open(given: str, wanted: str) -> None:
    assert compare(given, wanted) is None
    assert compare(wanted, given) is None


def test_long_answers_cost_nothing() -> None:
    """Shapes that make searches go back and forth."""
    for text in ("\\boxed{" * 50_000, "1," * 50_000, "1,000" * 50_000, "." * 100_000, "a " * 50_000, "(" * 100_000):
        assert compare(text, "5") in (None, False)
