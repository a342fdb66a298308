"""What a result was made from: hashes of the inputs, settings, versions, seed. Nothing of when or where."""

from __future__ import annotations

import hashlib
import math
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from calibration.errors import FileFormatError, InvalidValueError

__all__ = ["plain_values", "provenance_of"]

# What the numbers of a result can depend on.
_PACKAGES = (
    "pose3d-suite",
    "numpy",
    "scipy",
    "numba",
    "opencv-contrib-python-headless",
    "xarray",
    "netcdf4",
    "pandas",
)


def provenance_of(
    inputs: Iterable[str | os.PathLike[str]], settings: object = None, seed: int | None = None
) -> dict[str, object]:
    """What a result is made from, as plain values for the attribute `provenance` of a result file.

    The same inputs, settings and versions give the same dictionary: there is no date, user or machine in it.

    Args:
        inputs: files, named as the user named them; a folder counts with every file in it, by name and content.
        settings: a mapping or dataclass, nested at will.
        seed: the seed of random steps, if there were any.

    Returns:
        `inputs` (a list of path, sha256, bytes), `settings`, `seed` and `versions`.

    Raises:
        FileFormatError: an input cannot be read.
        InvalidValueError: a setting is neither text, number, bool, None, nor a mapping or list of them.
    """
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "inputs": [_describe(Path(path)) for path in inputs],
        "settings": plain_values(settings),
        "seed": seed,
        "versions": versions,
    }


def _describe(path: Path) -> dict[str, object]:
    try:
        if not path.is_dir():
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return {"path": path.as_posix(), "sha256": digest, "bytes": path.stat().st_size}
        total = hashlib.sha256()
        size = 0
        for file in sorted(item for item in path.rglob("*") if item.is_file()):
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            # The layout of the command sha256sum, so that anyone can check it.
            total.update(f"{digest}  {file.relative_to(path).as_posix()}\n".encode())
            size += file.stat().st_size
    except OSError as error:
        raise FileFormatError(
            path,
            expected="an input file or folder that can be read",
            got=error.strerror or str(error),
            remedy="Check the path and its permissions.",
        ) from error
    return {"path": path.as_posix(), "sha256": total.hexdigest(), "bytes": size}


def plain_values(settings: object) -> object:
    """Settings as JSON can hold them.

    Args:
        settings: a mapping or dataclass, nested at will.

    Raises:
        InvalidValueError: see `provenance_of`.
    """
    return _plain(settings, "settings")


def _plain(value: object, name: str) -> object:
    """The value as JSON can hold it."""
    if isinstance(value, Enum):
        return value.name
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist(), name)
    if isinstance(value, os.PathLike):
        return Path(value).as_posix()
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value), name)
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, name) for item in value]
    raise InvalidValueError(
        name,
        expected="text, a number, bool, None, or a mapping or list of them",
        got=type(value).__name__,
        remedy="Convert it to plain values before.",
    )
