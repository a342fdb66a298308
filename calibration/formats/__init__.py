"""Files of calibrations: `load_rig` reads every known format, `save_rig` writes those that can be written.

Packages add formats through the entry-point group `pose3d.rig_formats`, whose entries are `RigFormat`s.
"""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from warnings import warn

import numpy as np

from calibration.errors import FileFormatError, InvalidValueError, MismatchError, SuiteWarning
from calibration.extensions import named
from calibration.formats._hints import hint
from calibration.formats._registry import FORMATS, describe
from calibration.formats.corners_file import load_corners, save_corners
from calibration.formats.rig_format import UNKNOWN_UNIT, RigFormat
from calibration.formats.uncertainty_file import UNCERTAINTY_FILE, load_rig_uncertainty, save_rig_uncertainty
from calibration.rig import Rig

__all__ = [
    "FORMATS",
    "UNCERTAINTY_FILE",
    "RigFormat",
    "detect_format",
    "load_corners",
    "load_rig",
    "load_rig_uncertainty",
    "save_corners",
    "save_rig",
    "save_rig_uncertainty",
]

_DEFAULT_UNIT = "mm"
_UNITS = ("um", "µm", "mm", "cm", "dm", "m", "km", "in", "inch", "ft")


def detect_format(path: str | os.PathLike[str]) -> str:
    """The key of `FORMATS` that the content of a calibration file or folder fits.

    Raises:
        FileFormatError: no format fits, or the file is missing.
    """
    return _detect(Path(path)).name


def load_rig(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002 - the name users know from other libraries
    unit: str | None = None,
) -> Rig:
    """The rig of a calibration file or folder.

    Args:
        path: the file; a folder for formats with one file per camera.
        format: a key of `FORMATS`; detected from the content if left out.
        unit: what the lengths in the file are in, for files that do not say it: um, mm, cm, dm, m, km, in or ft. Wins
            over the format's convention; numbers are not converted.

    Returns:
        The rig, in the conventions of this package.

    Raises:
        InvalidValueError: `format` is not known, or `unit`, or the unit in the file, is no length unit.
        MismatchError: the file says another unit than `unit`.
        FileFormatError: no format fits, the file is missing or broken, or a value in it is missing or wrong.

    Warns:
        SuiteWarning: something was left out or assumed (a camera without a pose, an image size, the unit), or two
            cameras have the same pose.
    """
    source = Path(path)
    chosen = None if format is None else named(FORMATS, format, "format")
    if unit is not None:
        _check_unit(unit, "unit")
    known = chosen or _detect(source)
    rig = known.read(source)
    if rig.unit != UNKNOWN_UNIT:
        _check_unit(rig.unit, f"{source}, unit")
    if unit is not None:
        _check_stated_unit(source, known, unit)
    for pair in [] if rig.metadata.get("lenses_only") is True else _at_one_place(rig):
        warn(
            f"{source}: the cameras {pair} have the same pose; one is probably a copy of the other, and what only "
            "these two see cannot be triangulated",
            SuiteWarning,
            stacklevel=2,
        )
    if unit is None and rig.unit == UNKNOWN_UNIT:
        unit = _DEFAULT_UNIT
        message = (
            f"{source}: neither the file nor its format says the length unit; {unit} is assumed (say it with unit=)"
        )
        warn(message, SuiteWarning, stacklevel=2)
    return rig if unit is None else replace(rig, unit=unit)


def save_rig(
    rig: Rig,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002 - the name users know from other libraries
) -> None:
    """Write a rig to a file, completely or not at all.

    Args:
        rig: the rig.
        path: the file, or the folder for formats with one file per camera.
        format: a key of `FORMATS`; by default the first one that writes files of this ending, `rig-toml` for .toml.

    Raises:
        InvalidValueError: the format is not known or is only read, or cannot hold this rig without loss; the unit of
            the rig is no length unit.
        OutputError: the file cannot be written.
    """
    target = Path(path)
    writers = {name: known.write for name, known in FORMATS.items() if known.write is not None}
    if format is None:
        suffix = target.suffix.lower()
        fitting = [name for name in writers if suffix in FORMATS[name].suffixes]
        if not fitting:
            raise InvalidValueError(
                target,
                expected="a name that ends with .toml (rig.toml of this package), or a format",
                got=f"the ending '{target.suffix}'",
                remedy=f"Add .toml, or name one of the formats {', '.join(writers)}.",
            )
        format = fitting[0]  # noqa: A001 - the argument, now chosen
    if format not in writers:
        raise InvalidValueError(
            "format",
            expected=f"one of {', '.join(writers)}",
            got=f"'{format}'" + (", which is only read" if format in FORMATS else ""),
            remedy="Use one of these names.",
        )
    _check_unit(rig.unit, f"{target}, unit of the rig")
    writers[format](rig, target)


def _check_unit(unit: str, subject: str) -> None:
    if unit not in _UNITS:
        raise InvalidValueError(
            subject,
            expected=f"a length unit: {', '.join(_UNITS)}",
            got=repr(unit),
            remedy="Use one of these names, and convert the lengths if they are in another unit.",
        )


def _check_stated_unit(path: Path, known: RigFormat, unit: str) -> None:
    """A unit that is given does not overrule the one that a file says: one of them is wrong by orders of magnitude."""
    stated = None if known.stated_unit is None else known.stated_unit(path)
    if stated is not None and stated != unit:
        raise MismatchError(
            f"{path}, unit",
            expected=f"'{unit}', the unit that was given",
            got=f"'{stated}' in the file",
            remedy="Leave the unit out, or correct the file if it is wrong; numbers are not converted.",
        )


def _at_one_place(rig: Rig) -> list[str]:
    return [
        f"'{first.name}' and '{second.name}'"
        for first, second in combinations(rig, 2)
        if np.array_equal(first.cam_from_world.matrix, second.cam_from_world.matrix)
    ]


def _detect(path: Path) -> RigFormat:
    for known in FORMATS.values():
        if known.sniff(path):
            return known
    raise FileFormatError(
        path,
        expected=f"a calibration in one of the formats {', '.join(FORMATS)}",
        got=describe(path),
        remedy="Check the path for spelling."
        if not path.exists()
        else hint(path, FORMATS)
        or "Check the path; if the file is right, name its format, and the error will say what is missing in it.",
    )
