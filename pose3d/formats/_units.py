"""Units at the border: lengths of files that do not say theirs, and angles in degrees."""

from __future__ import annotations

import os
from warnings import warn

import numpy as np
import xarray as xr

from calibration.errors import InvalidValueError, MismatchError, SuiteWarning
from calibration.formats.units import METERS

__all__ = ["DEGREES", "RADIANS", "in_degrees", "length_unit", "plain_unit"]

DEGREES = frozenset({"deg", "degree", "degrees", "°"})
RADIANS = frozenset({"rad", "radian", "radians"})

_ASSUMED = "mm"
_LONG_NAMES = {
    "micrometer": "um", "micrometers": "um", "millimeter": "mm", "millimeters": "mm", "millimetre": "mm",
    "millimetres": "mm", "centimeter": "cm", "centimeters": "cm", "centimetre": "cm", "centimetres": "cm",
    "meter": "m", "meters": "m", "metre": "m", "metres": "m", "inches": "in", "foot": "ft", "feet": "ft",
}  # fmt: skip


def plain_unit(stated: str) -> str | None:
    """The short name of a length unit as a file states it; None where it states none that is known."""
    name = stated.strip().casefold()
    name = _LONG_NAMES.get(name, name)
    return name if name in METERS else None


def length_unit(path: str | os.PathLike[str], stated: str | None, given: str | None) -> str:
    """The length unit of the positions in a file.

    A unit that is given does not overrule the one that a file states: one of them is wrong by orders of magnitude.

    Args:
        path: the file.
        stated: what it states, as `plain_unit` gives it; None where it states nothing.
        given: what the caller says; None to take what the file states, or millimeters.

    Raises:
        InvalidValueError: what is given is no length unit.
        MismatchError: the file states another unit.

    Warns:
        SuiteWarning: nobody says the unit, and millimeters are assumed.
    """
    if given is not None and given not in METERS:
        raise InvalidValueError(
            "unit", expected=f"a length unit: {', '.join(METERS)}", got=repr(given), remedy="Use one of these names."
        )
    if stated is not None:
        if given not in (None, stated):
            raise MismatchError(
                f"{os.fspath(path)}, unit",
                expected=f"'{given}', the unit that was given",
                got=f"'{stated}' in the file",
                remedy="Leave the unit out, or correct the file if it is wrong; numbers are not converted.",
            )
        return stated
    if given is None:
        warn(
            f"{os.fspath(path)}: the file does not say its length unit; {_ASSUMED} is assumed (say it with unit=, "
            "--unit on the command line)",
            SuiteWarning,
            stacklevel=3,
        )
    return given or _ASSUMED


def in_degrees(angles: xr.DataArray, subject: object) -> xr.DataArray:
    """The angles in degrees; those without `units` are radians, as everywhere in this package.

    Raises:
        InvalidValueError: their units are neither radians nor degrees.
    """
    units = str(angles.attrs.get("units", "rad")).strip()
    if units in DEGREES:
        return angles
    if units not in RADIANS:
        raise InvalidValueError(
            subject,
            expected="angles in rad or deg",
            got=f"units '{units}'",
            remedy="Choose the angles, and leave speeds and lengths out.",
        )
    return (angles * (180.0 / np.pi)).assign_attrs({**angles.attrs, "units": "deg"})
