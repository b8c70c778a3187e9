"""Flags, YAML files and Python values → a configuration: flags win over later files, these over earlier ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from attnviz_video.config.coercion import Origin, coerce, did_you_mean
from attnviz_video.config.fields import Setting, assemble, settings_of, to_mapping
from attnviz_video.config.flags import read_flags
from attnviz_video.config.ranges import check_together, check_value
from attnviz_video.errors import UsageError

ConfigT = TypeVar("ConfigT")


def parse(
    config_class: type[ConfigT],
    argv: Sequence[str],
    prog: str,
    description: str,
    *,
    epilog: str = "",
    commands: Collection[str] = (),
) -> ConfigT:
    """The configuration that a command line asks for: its flags over its `--config` files over the defaults.

    Fields become flags by their names; metadata may hold `help`, `short` ("-o"), `positional` (the name shown in the
    help; such an argument must be given) and `command_line_only` (files must not hold it). `commands` are words for
    which the user is told to put the command first.

    Raises:
        UsageError: anything that cannot be obeyed, in one line.
    """
    settings = settings_of(config_class)
    given = read_flags(settings, argv, prog=prog, description=description, epilog=epilog, commands=commands)
    values: dict[str, object] = {}
    for file in given.config_files:
        from attnviz_video.config.yaml_file import read_yaml

        table = read_yaml(file)
        values |= checked(settings, table, file.parent, f"{file}: ")
        refuse_in_file(settings, table, file)
    values |= checked(settings, given.values, None, "--")
    for setting in settings:
        if setting.required and setting.name not in values:
            raise UsageError(f"{prog} needs --{setting.name}; see {prog} -h")
    return finished(assemble(config_class, values))


def from_mapping(
    config_class: type[ConfigT], mapping: Mapping[str, object], base_folder: Path | None = None, where: str = ""
) -> ConfigT:
    """The configuration with the settings in `mapping`; relative paths start from `base_folder`.

    `where` is named in errors, e.g. the file that the mapping came from.

    Raises:
        UsageError: an unknown name, or a value of the wrong type or range.
    """
    prefix = f"{where}: " if where else ""
    return finished(assemble(config_class, checked(settings_of(config_class), mapping, base_folder, prefix)))


def replace_settings(config: ConfigT, settings: Mapping[str, object]) -> ConfigT:
    """`config` with some settings replaced by name, as strictly as from flags.

    Raises:
        UsageError: an unknown name, or a value of the wrong type or range.
    """
    config_class = type(config)
    return finished(assemble(config_class, checked(settings_of(config_class), settings, None, ""), config))


def checked(
    settings: Sequence[Setting], mapping: Mapping[str, object], base_folder: Path | None, prefix: str
) -> dict[str, object]:
    """The values of `mapping` in the types of their settings, each within its range.

    Raises:
        UsageError: see `from_mapping`.
    """
    known = {setting.name: setting for setting in settings}
    values: dict[str, object] = {}
    for name, value in mapping.items():
        if name not in known:
            hint = did_you_mean(name, list(known)) or f"; known are {', '.join(known)}"
            raise UsageError(f"{prefix}unknown setting {name!r}{hint}")
        setting = known[name]
        origin = Origin(f"{prefix}{name}", base_folder)
        # A template text is no path, whatever it begins with.
        is_text = any(mark in str(value) for mark in setting.metadata.get("no_path_if_it_holds", ()))
        path_or_id = bool(setting.metadata.get("path_or_id")) and not is_text
        values[name] = coerce(setting.annotation, value, origin, path_or_id=path_or_id)
        check_value(name, values[name], origin)
    return values


def refuse_in_file(settings: Sequence[Setting], table: Mapping[str, object], file: Path) -> None:
    """Refuse settings that are meant for one run: a file would ask for them in every one.

    Raises:
        UsageError: `table`, which `file` holds, has such a setting.
    """
    for setting in settings:
        if setting.name in table and setting.metadata.get("command_line_only"):
            raise UsageError(
                f"{file}: {setting.name} is for one run, and a file would ask for it in every run; "
                f"take it out of the file and give --{setting.name} on the command line"
            )


def finished(config: ConfigT) -> ConfigT:
    """`config`, checked as a whole.

    Raises:
        UsageError: two settings contradict each other.
    """
    check_together(to_mapping(config))
    return config
