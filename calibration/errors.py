"""The error tree shared by `calibration` and `pose3d`.

Every message says four things: the subject (which file, camera, argument), what was expected, what was found, and
what to do next.
"""

from __future__ import annotations

__all__ = [
    "CalibrationError",
    "FileFormatError",
    "InvalidValueError",
    "MismatchError",
    "OutOfMemoryError",
    "OutputError",
    "SuiteError",
    "SuiteWarning",
]


class SuiteError(Exception):
    """An error a user can act on.

    Args:
        subject: what the error is about: a file, a camera, an argument.
        expected: what would have been right.
        got: what was found instead.
        remedy: the next step.
    """

    def __init__(self, subject: object, *, expected: str, got: str, remedy: str) -> None:
        self.subject = str(subject)
        self.expected = expected
        self.got = got
        self.remedy = remedy
        super().__init__(f"{self.subject}: expected {expected}, got {got}. {remedy}")

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders when boards are detected in parallel; keyword-only arguments need this.
        return _rebuild, (type(self), self.subject, self.expected, self.got, self.remedy)


def _rebuild(cls: type[SuiteError], subject: str, expected: str, got: str, remedy: str) -> SuiteError:
    return cls(subject, expected=expected, got=got, remedy=remedy)


class FileFormatError(SuiteError, ValueError):
    """A file is missing, truncated, empty, or not in the format it should be in."""


class InvalidValueError(SuiteError, ValueError):
    """A value, array or setting breaks its contract: shape, range, finiteness."""


class MismatchError(SuiteError, ValueError):
    """Two inputs that must belong together do not: cameras of a rig and of poses, image sizes, frame rates."""


class OutputError(SuiteError, OSError):
    """A result could not be written."""


class OutOfMemoryError(SuiteError, MemoryError):
    """The work needs more memory than there is."""


class CalibrationError(SuiteError, ValueError):
    """The pictures do not determine the calibration that was asked for: no board, no overlap, no agreement."""


class SuiteWarning(UserWarning):
    """Something was left out or assumed; the work went on without it."""
