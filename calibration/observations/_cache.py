"""Detections that were made before: kept by the content of the files, the board, the settings and the code.

Files are hashed as a whole. That reads 10 GB in about 10 s, far less than decoding them takes, and no sampling of
blocks could promise that a file which was changed is noticed.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

import calibration.boards
import calibration.observations
import calibration.video
from calibration.errors import FileFormatError, OutputError, SuiteWarning
from calibration.files import atomic_path

__all__ = ["cache_folder", "content_key", "file_digests", "load_arrays", "save_arrays"]

_FORM = 1  # of the files in the cache
_MOST_FILES = 200


def cache_folder() -> Path:
    """The folder of this user for what can be made again; the environment variable POSE3D_CACHE_DIR overrules it."""
    chosen = os.environ.get("POSE3D_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser() / "corners"
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "pose3d" / "corners"


def file_digests(paths: Iterable[Path]) -> list[str]:
    """Hashes of the contents of files.

    Raises:
        FileFormatError: a file cannot be read.
    """
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return list(pool.map(_digest, paths))


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=20)).hexdigest()
    except OSError as error:
        raise FileFormatError(
            path, expected="a file to read", got=str(error.strerror or error), remedy="Check path and permissions."
        ) from error


def content_key(parts: Mapping[str, object]) -> str:
    """A name for what these parts, and the code that works on them, give."""
    versions = {
        "form": _FORM,
        "code": _digest_of_code(),
        "av": av.__version__,
        "cv2": cv2.__version__,
        "numpy": np.__version__,
    }
    text = json.dumps({**versions, **parts}, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


def _digest_of_code() -> str:
    whole = hashlib.blake2b(digest_size=20)
    for package in (calibration.boards, calibration.observations, calibration.video):
        for file in sorted(Path(str(package.__file__)).parent.glob("*.py")):
            whole.update(file.read_bytes())
    return whole.hexdigest()


def load_arrays(folder: Path, key: str) -> dict[str, NDArray[np.generic]] | None:
    """The arrays kept under a key; None where there are none, or their file is damaged."""
    file = folder / f"{key}.npz"
    try:
        # opened here, because NumPy leaves a damaged file open
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    with suppress(OSError):
        os.utime(file)  # so that what is in use is the last to be deleted
    return arrays


def save_arrays(folder: Path, key: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Keep arrays under a key, and of all files in the folder the 200 last used.

    Warns:
        SuiteWarning: the folder cannot be written; nothing is kept.
    """
    try:
        with atomic_path(folder / f"{key}.npz") as partial, partial.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)
    except OutputError as error:
        warnings.warn(f"the detected corners are not kept for the next time: {error}", SuiteWarning, stacklevel=3)
        return
    with suppress(OSError):
        files = sorted(folder.glob("*.npz"), key=lambda file: file.stat().st_mtime, reverse=True)
        for file in files[_MOST_FILES:]:
            file.unlink()
