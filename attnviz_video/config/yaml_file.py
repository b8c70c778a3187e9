"""YAML files of settings: flat, no duplicate keys, values as YAML 1.2 reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from attnviz_video.errors import UsageError


class PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2's plain values and without duplicate keys.

    YAML 1.1, PyYAML's own, reads `no` as false, `12:30` as 750, `0123` as 83 and `1e3` as text.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys differ.

        Raises:
            yaml.constructor.ConstructorError: a key occurs twice.
        """
        seen: set[str] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode):
                if key_node.value in seen:
                    problem = f"the key {key_node.value!r} occurs twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


#: YAML 1.2.2, 10.3.2 "core schema": tag, plain text, first characters.
for _tag, _pattern, _first in (
    ("null", r"null|Null|NULL|~|", ["n", "N", "~", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+", list("-+.0123456789")),
):
    PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def read_yaml(path: Path) -> dict[str, object]:
    """The settings in a YAML file.

    Raises:
        UsageError: no such file, not YAML, a key twice, or not a list of `key: value` lines.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        content = yaml.load(text, Loader=PlainLoader)
    except OSError as error:
        raise UsageError(f"--config {path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--config {path}: not UTF-8 text (byte {error.start})") from error
    except RecursionError as error:
        raise UsageError(f"--config {path}: nested too deeply; expected lines of the form `key: value`") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"--config {path}{position(error)}: not valid YAML: {problem_of(error)}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"--config {path}: expected lines of the form `key: value`, got {type(content).__name__}")
    return {str(key): value for key, value in content.items()}


def position(error: Exception) -> str:
    """`, line 3, column 5` where the error knows it."""
    mark = getattr(error, "problem_mark", None)
    return "" if mark is None else f", line {mark.line + 1}, column {mark.column + 1}"


def problem_of(error: Exception) -> str:
    """What is wrong, on one line."""
    return " ".join(str(getattr(error, "problem", None) or error).split())
