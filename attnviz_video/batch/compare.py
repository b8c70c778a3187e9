"""Whether two short answers say the same: right or wrong only where that is plain, else neither.

Wrong is said of two numbers, two option letters, or two phrases of as many words. What differs in form as well as in
content (LaTeX, units, an option with its text, a sentence that may hold the answer) is left open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

#: Characters of an answer that is looked into; longer ones are compared as they stand.
LONGEST = 200
#: Characters of a number.
LONGEST_NUMBER = 40
#: Words of a phrase that may be called wrong; longer ones are descriptions.
MOST_WORDS = 3
#: Two ways to write one number differ by less, relative to their size.
TOLERANCE = Fraction(1, 10**6)

#: Units by all their names; with the empty one, a number is a plain count.
_UNITS = {
    name: names[0]
    for names in (
        ("", "unit", "units", "object", "objects", "item", "items", "thing", "things"),
        ("%", "percent", "per cent"), ("°", "deg", "degree", "degrees"), ("°c", "celsius"), ("°f", "fahrenheit"),
        ("mm", "millimeters", "millimetres"), ("cm", "centimeters", "centimetres"),
        ("m", "meter", "meters", "metre", "metres"), ("km", "kilometers", "kilometres"),
        ("in", "inch", "inches"), ("ft", "foot", "feet"), ("g", "gram", "grams"), ("kg", "kilograms"),
        ("s", "sec", "second", "seconds"), ("min", "minute", "minutes"), ("h", "hour", "hours"),
        ("ml", "milliliters", "millilitres"), ("l", "liter", "liters", "litre", "litres"),
    )
    for name in names
}  # fmt: skip
_SAME_WORDS = {"true": "yes", "false": "no"}

#: LaTeX and signs that stand for something simple, and for what; the rest stays, and makes no number and no phrase.
_SIMPLER = (
    (re.compile(r"\\[()\[\]$]|\$|\\(?:left|right|displaystyle)(?![a-z])|\\[,;:! ]"), " "),
    (re.compile(r"\\[dt]?frac ?\{ ?([0-9.]+) ?\} ?\{ ?([0-9.]+) ?\}"), r" \1/\2 "),
    (re.compile(r"\\[dt]?frac ?([0-9]) ?([0-9])"), r" \1/\2 "),
    (re.compile(r"\^ ?(?:\{ ?\\circ ?\}|\\circ)|\\degree|º"), "°"),
    (re.compile(r"\\%"), "%"),
    (re.compile("[\N{MINUS SIGN}\N{EN DASH}]"), "-"),
)
_WRAPPED = re.compile(r"\\(?:boxed|text|textbf|mathrm|mathbf|operatorname) ?\{([^{}]*)\}")
_TIGHT = re.compile(r" ?([,()\[\]{}=]) ?")
_OUTER = " ,;:!?\"'*`"
_BRACKETS = "()[]{}"
_OPTION = re.compile(r"\(?([a-j])\)?")
_ARTICLE = re.compile(r"(?:an?|the) (?=\S)")
_PHRASE = re.compile(r"[^\W\d_]+(?:[ '-][^\W\d_]+)*")
_NUMERAL = r"(?:(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]{1,2})?"
_QUANTITY = re.compile(rf"([+-]?) ?({_NUMERAL})(?: ?/ ?({_NUMERAL}))? ?([^0-9].*)?")


def compare(given: str, wanted: str) -> bool | None:
    """Whether `given` says what `wanted` says; None where neither that nor the contrary is plain."""
    one, other = simpler(given), simpler(wanted)
    if tight(one) == tight(other):
        return True
    one, other = bare(one), bare(other)
    numbers = quantity(one), quantity(other)
    if numbers[0] is not None and numbers[1] is not None:
        return compare_quantities(numbers[0], numbers[1])
    options = _OPTION.fullmatch(one), _OPTION.fullmatch(other)
    if options[0] or options[1]:
        return options[0][1] == options[1][1] if options[0] and options[1] else None
    return compare_phrases(one, other)


def simpler(text: str) -> str:
    """`text` in lower case, with single spaces, and without LaTeX that only dresses it."""
    text = " ".join(text.casefold().split())
    if len(text) > LONGEST:
        return text
    for pattern, replacement in _SIMPLER:
        text = pattern.sub(replacement, text)
    while (unwrapped := _WRAPPED.sub(r" \1 ", text)) != text:
        text = unwrapped
    return " ".join(text.split())


def tight(text: str) -> str:
    """`text` without spaces at commas and brackets, and without outer punctuation."""
    return without_outer(_TIGHT.sub(r"\1", text), _OUTER + _BRACKETS)


def bare(text: str) -> str:
    """`text` without outer punctuation; brackets around a list stay, since its comma separates no thousands."""
    text = without_outer(text, _OUTER)
    return text if "," in text else without_outer(text, _OUTER + _BRACKETS)


def without_outer(text: str, characters: str) -> str:
    """`text` without `characters` and full stops at its ends; the point of `.5` stays."""
    return re.sub(r"^\.+(?![0-9.])", "", text.strip(characters).rstrip(f".{characters}"))


@dataclass(frozen=True)
class Quantity:
    """A number and what stands behind it."""

    value: Fraction
    #: Places behind the point; None for a fraction, which is exact.
    places: int | None
    unit: str


def quantity(text: str) -> Quantity | None:
    """The number that `text` begins with, and its unit; None where it begins with none."""
    found = _QUANTITY.fullmatch(text)
    if found is None or any(len(part or "") > LONGEST_NUMBER for part in found.group(2, 3)):
        return None
    over, under = (None if part is None else Fraction(part.replace(",", "")) for part in found.group(2, 3))
    if over is None or under == 0:
        return None
    unit = (found[4] or "").strip()
    numeral = found[2]
    places = 0 if "." not in numeral or "e" in numeral else len(numeral.partition(".")[2])
    value = over / (under or 1)
    return Quantity(-value if found[1] == "-" else value, None if under else places, _UNITS.get(unit, unit))


def compare_quantities(one: Quantity, other: Quantity) -> bool | None:
    """Numbers of one unit by value; where one has a known unit and the other none, equal numbers are the same."""
    units = {one.unit, other.unit}
    missing = len(units) == 2 and "" in units
    if len(units) == 2 and not (missing and units <= set(_UNITS.values())):
        return None  # millimetres and centimetres, or something that is no unit: an operator, a second number
    if len(units) == 1 and not (one.unit in _UNITS or _PHRASE.fullmatch(one.unit)):
        return None  # the same second number behind two different first ones
    if near(one.value, other.value):
        return True
    if missing and "%" in units and (near(one.value, 100 * other.value) or near(100 * one.value, other.value)):
        return None  # 0.1 and 10 %
    return None if rounded(one, other) else False


def near(one: Fraction, other: Fraction) -> bool:
    """Whether two numbers are one."""
    return abs(one - other) <= TOLERANCE * max(abs(one), abs(other))


def rounded(one: Quantity, other: Quantity) -> bool:
    """Whether one number may be the other with fewer places, as 0.33 is of 1/3; whole numbers count things."""
    places = [number.places for number in (one, other) if number.places is not None]
    if not places or one.places == other.places or min(places) == 0:
        return False
    return abs(one.value - other.value) < Fraction(1, 10 ** min(places))


def compare_phrases(one: str, other: str) -> bool | None:
    """Phrases without their article: the same words, or as many others."""
    if not (_PHRASE.fullmatch(one) and _PHRASE.fullmatch(other)):
        return None
    one, other = (_SAME_WORDS.get(text, text) for text in (_ARTICLE.sub("", one, 1), _ARTICLE.sub("", other, 1)))
    if one == other:
        return True
    words, others = one.split(), other.split()
    if len(words) != len(others) or len(words) > MOST_WORDS or sorted(words) == sorted(others):
        return None
    return None if all(map(akin, words, others)) else False


def akin(one: str, other: str) -> bool:
    """Whether a word may be a form of the other: it begins with it, or, in scripts without spaces, holds it."""
    short, long = sorted((one, other), key=len)
    return long.startswith(short) or (not long.isascii() and short in long)
