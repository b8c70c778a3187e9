"""Settings → command-line flags: an argparse parser that raises sentences instead of printing usage."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin

from attnviz_video.config.coercion import did_you_mean, without_none
from attnviz_video.config.fields import Setting
from attnviz_video.errors import UsageError

#: `-1`, `-1,-2`, `20`, `10,20`: what a flag of whole numbers takes from the words after it.
NUMBERS = re.compile(r"-?\d[\d,-]*")


@dataclass(frozen=True)
class GivenFlags:
    """What stands on a command line: the raw value of each flag given, and the configuration files."""

    values: Mapping[str, object]
    config_files: tuple[Path, ...]


class SentenceParser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors are `UsageError`s of one line."""

    def error(self, message: str) -> NoReturn:
        """Turn argparse's message into ours.

        Raises:
            UsageError: always.
        """
        missing = message.removeprefix("the following arguments are required: ")
        if missing != message:
            raise UsageError(f"{self.prog} needs {missing}; see {self.prog} -h")
        flag, _, problem = message.removeprefix("argument ").partition(": ")
        flag = flag.split("/")[-1].split(", ")[-1]
        if problem.startswith("expected"):
            raise UsageError(f"{flag}: expected a value, got nothing")
        if problem.startswith("ignored explicit argument"):
            raise UsageError(f"{flag}: takes no value, got {problem.removeprefix('ignored explicit argument ')}")
        raise UsageError(" ".join(message.split()))


def read_flags(
    settings: Sequence[Setting],
    argv: Sequence[str],
    *,
    prog: str,
    description: str,
    epilog: str = "",
    commands: Collection[str] = (),
) -> GivenFlags:
    """Read a command line; `-h` prints the help and exits, as argparse does.

    Raises:
        UsageError: an unknown flag, a flag without its value, or a word that belongs to no flag.
    """
    parser = build_parser(settings, prog, description, epilog)
    words = join_values(settings, argv)
    flags = known_flags(settings)
    for word in words:
        if re.match(r"-[A-Za-z]{2}", word):  # argparse would read `-output x` as `-o utput`
            raise unknown_flag(word, flags)
    given, left_over = parser.parse_known_args(words)
    if left_over:
        word = left_over[0]
        if word.startswith("-"):
            raise unknown_flag(word, flags)
        if word in commands:
            raise UsageError(f"put the command first: {prog} {word} …")
        raise UsageError(f"unexpected {word!r}: it belongs to no flag; put quotes around a value that holds spaces")
    values = vars(given)
    config_files = tuple(Path(name) for name in values.pop("config", ()))
    numbers = {setting.name for setting in settings if takes_numbers(setting)}
    return GivenFlags({k: ",".join(v) if k in numbers else v for k, v in values.items()}, config_files)


def known_flags(settings: Sequence[Setting]) -> list[str]:
    """Every flag of a command, as it is written."""
    flags = ["--config", "-h", "--help"]
    for setting in settings:
        flags += [setting.metadata["short"]] if "short" in setting.metadata else []
        flags += [] if "positional" in setting.metadata else [f"--{setting.name}"]
        flags += [f"--no-{setting.name}"] if setting.annotation is bool else []
    return flags


def unknown_flag(word: str, flags: Sequence[str]) -> UsageError:
    """The error for a flag that does not exist."""
    name = word.partition("=")[0]
    return UsageError(f"unknown flag {name}{did_you_mean(name, flags) or '; -h lists the flags'}")


def build_parser(settings: Sequence[Setting], prog: str, description: str, epilog: str = "") -> SentenceParser:
    """The parser of these settings, grouped by stage; flags that are not given leave no trace in its result."""
    arguments = [setting.metadata["positional"] for setting in settings if "positional" in setting.metadata]
    parser = SentenceParser(
        prog=prog,
        usage=" ".join([prog, *arguments, "[flags]"]),
        description=description,
        epilog=epilog or None,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    help_text = "YAML file of settings, named like the flags; may be repeated, later files and flags win"
    parser.add_argument("--config", metavar="FILE", action="append", help=help_text)
    groups: dict[str, argparse._ArgumentGroup] = {}
    for setting in settings:
        group = groups.get(setting.group) or parser.add_argument_group(setting.group)
        groups[setting.group] = group
        add_flag(group, setting)
    return parser


def add_flag(group: argparse._ArgumentGroup, setting: Setting) -> None:
    """Add one setting to a group of the parser."""
    help_text = help_of(setting).replace("%", "%%")
    if "positional" in setting.metadata:
        group.add_argument(setting.name, metavar=setting.metadata["positional"], help=help_text)
        return
    names = [setting.metadata[key] for key in ("short",) if key in setting.metadata] + [f"--{setting.name}"]
    if setting.annotation is bool:
        group.add_argument(*names, action=argparse.BooleanOptionalAction, help=help_text)
    elif takes_paths(setting):
        group.add_argument(*names, metavar="PATH", action="extend", nargs="+", help=help_text)
    elif takes_numbers(setting):
        group.add_argument(*names, metavar=metavar_of(setting.annotation), action="append", help=help_text)
    else:
        group.add_argument(*names, metavar=metavar_of(setting.annotation), help=help_text)


def join_values(settings: Sequence[Setting], argv: Sequence[str]) -> list[str]:
    """Write `--flag value` as `--flag=value` where argparse would take the value for a flag or for a word of its own.

    A value may start with `-` unless it is itself a flag of this command; numbers may be separated by spaces
    (`--layer_idx 10 20 -1` becomes `--layer_idx=10,20,-1`).
    """
    by_flag = {f"--{setting.name}": setting for setting in settings if setting.annotation is not bool}
    by_flag |= {setting.metadata["short"]: setting for setting in settings if "short" in setting.metadata}
    known = known_flags(settings)
    words, rest = [], list(argv)
    while rest:
        word = rest.pop(0)
        setting = by_flag.get(word)
        if setting is None or not rest:
            words.append(word)
        elif takes_numbers(setting) and NUMBERS.fullmatch(rest[0]):
            parts = []
            while rest and NUMBERS.fullmatch(rest[0]):
                parts.append(rest.pop(0).strip(","))
            words.append(f"--{setting.name}={','.join(parts)}")
        elif rest[0].startswith("-") and rest[0].partition("=")[0] not in known and not takes_paths(setting):
            words.append(f"--{setting.name}={rest.pop(0)}")
        else:
            words.append(word)
    return words


def takes_numbers(setting: Setting) -> bool:
    """Whether a setting is a list of whole numbers."""
    return tuple[int, ...] in (setting.annotation, *get_args(setting.annotation))


def takes_paths(setting: Setting) -> bool:
    """Whether a setting is a list of paths."""
    return bool(setting.annotation == tuple[Path, ...])


def metavar_of(annotation: Any) -> str:
    """What stands for the value in the help."""
    names: dict[Any, str] = {int: "N", float: "X", Path: "PATH", tuple[int, ...]: "N,N…", str: "TEXT"}
    if get_origin(annotation) is Literal:
        return f"{{{','.join(get_args(annotation))}}}"
    if annotation in names:
        return names[annotation]
    if get_origin(annotation) is tuple:
        return f"{','.join(get_args(get_args(annotation)[0])[:2])}…"
    members = without_none(get_args(annotation))
    return metavar_of(members[0]) if len(members) == 1 else "|".join(metavar_of(one).strip("{}") for one in members)


def help_of(setting: Setting) -> str:
    """The help of a setting with its default, unless the text names it."""
    text = str(setting.metadata.get("help", ""))
    if "(default:" in text or setting.required or setting.default in (None, (), ""):
        return text
    words = {True: "yes", False: "no"}
    default = words[setting.default] if isinstance(setting.default, bool) else setting.default
    return f"{text} (default: {default})"
