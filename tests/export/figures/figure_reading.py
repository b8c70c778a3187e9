"""Reading figures back: SVG as XML, PDF as objects."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ElementTree
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
#: Smallest text of a figure, in points.
LEAST_TEXT = 6.0


class SvgFigure:
    """What an SVG says about its boxes, texts and pictures."""

    def __init__(self, path: Path) -> None:
        self.source = path.read_text(encoding="utf-8")
        self.root = ElementTree.fromstring(self.source)

    @property
    def texts(self) -> list[str]:
        return [element.text or "" for element in self.root.iter(f"{SVG}text")]

    @property
    def text_sizes(self) -> set[float]:
        styles = [element.get("style", "") for element in self.root.iter(f"{SVG}text")]
        return {float(size) for style in styles for size in re.findall(r"font-size: ([\d.]+)px", style)}

    def text_of(self, name: str) -> str:
        """The text in the group `name` and those that go on with it (`name.2` …)."""
        parts = [name, *(f"{name}.{number}" for number in range(2, 9) if self.has(f"{name}.{number}"))]
        return "".join(element.text or "" for part in parts for element in self._group(part).iter(f"{SVG}text"))

    @property
    def ids(self) -> list[str]:
        return [element.get("id", "") for element in self.root.iter() if element.get("id")]

    def fill_of(self, name: str) -> tuple[int, int, int]:
        """The fill of the box in the group `name`."""
        style = next(self._group(name).iter(f"{SVG}path")).get("style", "")
        digits = re.findall(r"fill: #([0-9a-f]{6})", style)[0]
        return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)

    def has(self, name: str) -> bool:
        return self.root.find(f".//*[@id='{name}']") is not None

    def height_of(self, name: str) -> float:
        """Height in points of the box in the group `name`."""
        numbers = re.findall(r"-?[\d.]+", next(self._group(name).iter(f"{SVG}path")).get("d", ""))
        ys = [float(number) for number in numbers[1::2]]
        return max(ys) - min(ys)

    def picture(self, name: str) -> np.ndarray:
        """The pixels of the picture `name`."""
        element = self._group(name)
        image = element if element.tag == f"{SVG}image" else next(element.iter(f"{SVG}image"))
        data = base64.b64decode(image.get(LINK, "").partition(",")[2])
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", image.get("transform", ""))]
        assert numbers[0] == numbers[3] > 0, "the picture is turned, mirrored or stretched"
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    def _group(self, name: str) -> ElementTree.Element:
        found = self.root.find(f".//*[@id='{name}']")
        assert found is not None, f"the SVG has nothing called {name}"
        return found


def pdf_fonts(path: Path) -> dict[str, bool]:
    """The fonts of a PDF by name, and whether the file of each is embedded as TrueType."""
    found = {}
    for body in re.findall(rb"\d+ 0 obj\n(.*?)\nendobj", path.read_bytes(), re.DOTALL):
        name = re.search(rb"/FontName /(\S+)", body)
        if b"/Type /FontDescriptor" in body and name is not None:
            found[name.group(1).decode()] = b"/FontFile2" in body
    return found


def pdf_streams(path: Path) -> bytes:
    """All streams of a PDF that are compressed by zlib, decompressed."""
    streams = []
    for data in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", path.read_bytes(), re.DOTALL):
        try:
            streams.append(zlib.decompress(data))
        except zlib.error:
            continue
    return b"\n".join(streams)
