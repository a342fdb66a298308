"""TOML with one line per value, as Anipose, Pose2Sim and their readers expect it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time

import numpy as np
import tomli_w

from calibration.errors import InvalidValueError

__all__ = ["to_toml"]

_Scalar = bool | int | float | str | date | datetime | time


def to_toml(sections: Mapping[str, Mapping[str, object]], metadata: Mapping[str, object]) -> str:
    """The text of the tables `sections`, whose values are numbers, text and lists of these, and of [metadata].

    Floats are written with all their digits. The `toml` package, with which aniposelib reads, refuses lists of mixed
    types: integers beside floats are written as floats.

    Raises:
        InvalidValueError: a value of the metadata is not plain.
    """
    tables = []
    for name, values in sections.items():
        lines = [f"{key} = {_text(value)}" for key, value in values.items()]
        tables.append("\n".join([f"[{_key(name)}]", *lines]))
    plain = {key: _plain(value, key) for key, value in metadata.items()}
    return "\n\n".join([*tables, tomli_w.dumps({"metadata": plain})])


def _key(name: str) -> str:
    return tomli_w.dumps({name: 0}).removesuffix(" = 0\n")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, str):
        return tomli_w.dumps({"x": value}).removeprefix("x = ").removesuffix("\n")
    return repr(value)


def _plain(value: object, key: str) -> object:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, _Scalar):
        return value
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: _plain(item, f"{key}.{name}") for name, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_plain(item, key) for item in value]
        kinds = {type(item) for item in items}
        if kinds == {int, float}:
            return [float(item) for item in value]
        if len(kinds) <= 1:
            return items
    raise InvalidValueError(
        f"metadata '{key}'",
        expected="text, a number, a date, a list of one of these, or a table of them",
        got=repr(value)[:80],
        remedy="Leave it out of the rig's metadata, or turn it into text.",
    )
