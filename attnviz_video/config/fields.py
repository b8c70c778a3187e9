"""The settings of a configuration class as one flat list, and back: names are unique across stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from pathlib import PurePath
from typing import Any, TypeVar, cast, get_type_hints

ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True)
class Setting:
    """One setting: a field of some stage's dataclass."""

    name: str
    annotation: Any
    #: `dataclasses.MISSING` where a value must be given.
    default: object
    metadata: Mapping[str, Any]
    #: First sentence of the docstring of the dataclass it belongs to.
    group: str

    @property
    def required(self) -> bool:
        return self.default is MISSING


def settings_of(config_class: type) -> list[Setting]:
    """All settings of `config_class`, those of nested dataclasses included, in the order they are written.

    A nested dataclass may come with `only` in its field's metadata: the names of those settings that are offered.

    Raises:
        TypeError: two stages use one name.
    """
    found: dict[str, Setting] = {}
    hints = get_type_hints(config_class)
    for item in fields(config_class):
        annotation = hints[item.name]
        inner = settings_of(annotation) if is_stage(annotation) else [setting_of(config_class, item, annotation)]
        only = item.metadata.get("only")
        for setting in inner if only is None else [setting for setting in inner if setting.name in only]:
            if setting.name in found:
                raise TypeError(f"{config_class.__name__}: two settings are named {setting.name!r}")
            found[setting.name] = setting
    return list(found.values())


def is_stage(annotation: object) -> bool:
    """Whether a field holds the settings of a stage, not a value."""
    return isinstance(annotation, type) and is_dataclass(annotation)


def setting_of(owner: type, item: Field[Any], annotation: object) -> Setting:
    """One field as a `Setting`."""
    default = item.default
    if item.default_factory is not MISSING:
        default = item.default_factory()
    group = (owner.__doc__ or owner.__name__).strip().splitlines()[0].rstrip(".")
    return Setting(item.name, annotation, default, item.metadata, group)


def assemble(config_class: type[ConfigT], values: Mapping[str, object], base: ConfigT | None = None) -> ConfigT:
    """A configuration with the settings in `values` (by name), the others as in `base` or their defaults."""
    hints = get_type_hints(config_class)
    chosen: dict[str, object] = {}
    for item in fields(cast("Any", config_class)):
        annotation = hints[item.name]
        if is_stage(annotation):
            inner, only = None if base is None else getattr(base, item.name), item.metadata.get("only")
            # A setting that this stage does not offer may be another's of the same name.
            own = values if only is None else {name: value for name, value in values.items() if name in only}
            chosen[item.name] = assemble(annotation, own, inner)
        elif item.name in values:
            chosen[item.name] = values[item.name]
    return config_class(**chosen) if base is None else cast("ConfigT", replace(cast("Any", base), **chosen))


def to_mapping(config: object) -> dict[str, object]:
    """The settings of a configuration by name, as JSON can hold them; `from_mapping` reads them again."""
    table: dict[str, object] = {}
    for item in fields(cast("Any", config)):
        value = getattr(config, item.name)
        only = item.metadata.get("only")
        inner = to_mapping(value) if is_dataclass(value) else {item.name: plain(value)}
        table.update(inner if only is None else {name: inner[name] for name in only})
    return table


def plain(value: object) -> object:
    """A value as JSON can hold it."""
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    return str(value) if isinstance(value, PurePath) else value
