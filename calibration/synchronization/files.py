"""`sync.toml`: the clocks of a recording, beside its videos."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from calibration.errors import FileFormatError, SuiteError
from calibration.files import write_text
from calibration.synchronization.clocks import STATUSES, Clock, Synchronization, Timing, Verification

__all__ = ["load_synchronization", "save_synchronization"]

_FORMAT = "pose3d-sync"
_VERSION = 1
_LARGEST_FILE = 256 * 2**20

# Key of a camera's table: type, and whether it must be there. What is not here is refused, so that a misspelled key
# is not silently without effect.
_KEYS: Mapping[str, tuple[type | tuple[type, ...], bool]] = {
    "name": (str, True),
    "offset_s": ((float, int), True),
    "offset_std_s": ((float, int), False),
    "rate": ((float, int), False),
    "rate_std": ((float, int), False),
    "drift_ppm": ((float, int), False),
    "frame_rate": ((float, int), True),
    "frame_count": (int, True),
    "dropped": (list, False),
    "times_s": (list, False),
    "method": (str, False),
    "quality": ((float, int), False),
    "verification": (dict, False),
}
_VERIFICATION_KEYS = ("status", "error_frames", "error_std_frames", "before_px", "after_px")


def save_synchronization(synchronization: Synchronization, path: str | os.PathLike[str]) -> None:
    """Write the clocks to a TOML file, without loss.

    Raises:
        OutputError: the file cannot be written.
    """
    content = {
        "format": _FORMAT,
        "format_version": _VERSION,
        "reference": synchronization.reference,
        "camera": [_table(clock) for clock in synchronization],
    }
    head = "# Clocks of the cameras: reference time = offset_s + rate * camera time, in seconds.\n"
    write_text(path, head + tomli_w.dumps(content))


def load_synchronization(path: str | os.PathLike[str]) -> Synchronization:
    """Read the clocks of a recording; a folder stands for the `sync.toml` in it.

    Raises:
        FileFormatError: the file is missing, is not TOML, or its content is not as `save_synchronization` writes it.
    """
    path = Path(path)
    path = path / "sync.toml" if path.is_dir() else path
    data = _read(path)
    if data.get("format") != _FORMAT or data.get("format_version") != _VERSION:
        raise _wrong(
            path,
            f"format = '{_FORMAT}', format_version = {_VERSION}",
            f"{data.get('format')!r}, {data.get('format_version')!r}",
        )
    tables, reference = data.get("camera"), data.get("reference")
    if not isinstance(reference, str) or not isinstance(tables, list) or not tables:
        raise _wrong(path, "the name of the reference camera and a [[camera]] table for each", str(sorted(data)))
    clocks = tuple(_clock(path, number, table) for number, table in enumerate(tables))
    try:
        return Synchronization(clocks, reference)
    except SuiteError as error:
        raise _wrong(path, error.expected, error.got) from error


def _table(clock: Clock) -> dict[str, object]:
    check, timing = clock.verification, clock.timing
    values: dict[str, object] = {
        "name": clock.camera,
        "offset_s": float(clock.offset),
        "offset_std_s": float(clock.offset_std),
        "rate": float(clock.rate),
        "rate_std": float(clock.rate_std),
        "drift_ppm": float(clock.drift),
        "frame_rate": float(timing.frame_rate),
        "frame_count": int(timing.count),
        "dropped": [list(pair) for pair in timing.dropped],
        "method": clock.method,
        "quality": float(clock.quality),
        "verification": {
            "status": check.status,
            "error_frames": float(check.error),
            "error_std_frames": float(check.error_std),
            "before_px": float(check.before),
            "after_px": float(check.after),
        },
    }
    if timing.times is not None:
        values["times_s"] = timing.times.tolist()
    return values


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise _wrong(path, "a synchronization", "a file too large to be one")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong(path, "a TOML file", str(error)) from error
    except OSError as error:
        raise _wrong(path, "a file that can be read", error.strerror or str(error)) from error


def _clock(path: Path, number: int, table: object) -> Clock:
    if not isinstance(table, dict):
        raise _wrong(f"{path}, camera {number}", "a table", repr(table)[:80])
    subject = f"{path}, camera {table.get('name', number)!r}"
    for key, (kind, required) in _KEYS.items():
        if key in table and (not isinstance(table[key], kind) or isinstance(table[key], bool)):
            raise _wrong(f"{subject}, {key}", "another type of value", repr(table[key])[:80])
        if required and key not in table:
            raise _wrong(subject, f"a value '{key}'", f"only {', '.join(table)}")
    unknown = sorted(set(table) - set(_KEYS))
    if unknown:
        raise _wrong(subject, f"the keys {', '.join(_KEYS)}", f"also {', '.join(unknown)}")
    try:
        return Clock(
            table["name"],
            _timing(subject, table),
            offset=float(table["offset_s"]),
            rate=float(table.get("rate", 1.0)),
            offset_std=float(table.get("offset_std_s", np.nan)),
            rate_std=float(table.get("rate_std", np.nan)),
            method=table.get("method", "given"),
            quality=float(table.get("quality", 1.0)),
            verification=_verification(subject, table.get("verification", {})),
        )
    except SuiteError as error:
        raise _wrong(f"{subject}, {error.subject}", error.expected, error.got) from error


def _timing(subject: str, table: Mapping[str, Any]) -> Timing:
    dropped = table.get("dropped", [])
    whole = [isinstance(pair, list) and [type(value) for value in pair] == [int, int] for pair in dropped]
    if not all(whole):
        raise _wrong(f"{subject}, dropped", "pairs [frame, number of frames missing before it]", str(dropped)[:80])
    return Timing(float(table["frame_rate"]), table["frame_count"], tuple(map(tuple, dropped)), table.get("times_s"))


def _verification(subject: str, table: Mapping[str, Any]) -> Verification:
    status = table.get("status", "not verified")
    numbers: Sequence[object] = [table.get(key, np.nan) for key in _VERIFICATION_KEYS[1:]]
    plain = all(isinstance(value, float | int) and not isinstance(value, bool) for value in numbers)
    if status not in STATUSES or not plain or set(table) - set(_VERIFICATION_KEYS):
        raise _wrong(
            f"{subject}, verification",
            f"a status ({', '.join(STATUSES)}) and the numbers {', '.join(_VERIFICATION_KEYS[1:])}",
            str(dict(table))[:120],
        )
    return Verification(status, *(float(str(value)) for value in numbers))


def _wrong(subject: object, expected: str, got: str) -> FileFormatError:
    return FileFormatError(
        subject, expected=expected, got=got, remedy="Write the file again with `pose3d sync`, or correct that place."
    )
