"""The check of a setting."""

from __future__ import annotations

from collections.abc import Callable

from calibration.errors import InvalidValueError

__all__ = ["check_setting", "is_whole"]


def is_whole(value: float) -> bool:
    """Is it a whole number from 1 on?"""
    return value >= 1 and value == int(value)


def check_setting(name: str, value: object, expected: str, fits: Callable[..., bool]) -> None:
    """Refuse a setting.

    Args:
        name: of the setting.
        value: what was given, of any type.
        expected: what it should be, for the error.
        fits: whether the value is fine; it may raise where the type is wrong.

    Raises:
        InvalidValueError: it does not fit.
    """
    try:
        good = bool(fits(value))
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        raise InvalidValueError(name, expected=expected, got=repr(value), remedy="Change the setting.")
