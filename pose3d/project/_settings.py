"""A section of project.toml as the frozen dataclass of a stage, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from calibration.errors import FileFormatError, InvalidValueError
from calibration.nearest import nearest_name
from calibration.toml_text import line_of

__all__ = ["read_settings", "table_of"]

Settings = TypeVar("Settings")


def read_settings(table: Mapping[str, object], kind: type[Settings], file: Path, section: str) -> Settings:
    """The settings in a table.

    Args:
        table: setting -> value, as TOML has it; a setting that is a dataclass is a table itself.
        kind: a frozen dataclass whose `__post_init__` raises InvalidValueError for values out of range.
        file: where the table is from, for messages.
        section: its name there.

    Raises:
        FileFormatError: a setting is unknown, of the wrong type, or out of its range.
    """
    import pydantic

    _check_known(table, kind, file, section)
    try:
        # JSON, because it has the types of TOML, and pydantic's strict mode then takes lists for tuples and nothing
        # else for anything else.
        return pydantic.TypeAdapter(kind).validate_json(json.dumps(table), strict=True)
    except TypeError as error:
        raise FileFormatError(
            _place(file, section, ""), expected="numbers, texts and lists", got=str(error), remedy="Correct this value."
        ) from error
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        cause = first.get("ctx", {}).get("error")
        keys = [str(part) for part in first["loc"]]
        if isinstance(cause, InvalidValueError):
            raise FileFormatError(
                # the settings name themselves and the value: "TrainingSettings, crop"
                _place(file, ".".join([section, *keys]), cause.subject.rpartition(", ")[2]),
                expected=cause.expected,
                got=cause.got,
                remedy="Correct this value, or remove the line to use the default.",
            ) from error
        raise FileFormatError(
            _place(file, ".".join([section, *keys[:-1]]), keys[-1] if keys else ""),
            expected=str(first["msg"]).removeprefix("Input should be ").removeprefix("Value error, "),
            got=repr(first["input"])[:80],
            remedy="Correct this value, or remove the line to use the default.",
        ) from error


def table_of(settings: object) -> dict[str, Any]:
    """The settings as a table that TOML can hold; what is None is left out."""
    assert is_dataclass(settings)
    assert not isinstance(settings, type)
    return _plain(asdict(settings))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _check_known(table: Mapping[str, object], kind: type, file: Path, section: str) -> None:
    assert is_dataclass(kind)
    known = [field.name for field in fields(kind)]
    hints = get_type_hints(kind)
    for key, value in table.items():
        if key not in known:
            raise FileFormatError(
                _place(file, section, key),
                expected=f"settings out of {', '.join(known)}",
                got=f"'{key}'",
                remedy=nearest_name(key, known) or "Remove this line.",
            )
        inner = hints[key]
        if isinstance(inner, type) and is_dataclass(inner) and isinstance(value, Mapping):
            _check_known(value, inner, file, f"{section}.{key}")


def _place(file: Path, section: str, key: str) -> str:
    line = line_of(file, section, key)
    where = f"[{section}]" + (f" {key}" if key else "")
    return f"{file}, line {line}, {where}" if line else f"{file}, {where}"
