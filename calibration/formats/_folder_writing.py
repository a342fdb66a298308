"""Folders of one file per camera: all files or none, names that every system takes, sizes that are only assumed."""

from __future__ import annotations

import os
import shutil
import uuid
import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from calibration.errors import InvalidValueError, OutputError, SuiteWarning
from calibration.files import write_text
from calibration.rig import Rig

__all__ = ["assumed_names", "check_file_name", "check_new_folder", "check_sizes", "write_folder"]


def check_file_name(name: str) -> None:
    """Refuse the name of a camera that cannot be the name of a file.

    Raises:
        InvalidValueError: it cannot.
    """
    if name.startswith(".") or name != name.strip() or any(sign in name for sign in '/\\:*?"<>|'):
        raise InvalidValueError(
            f"camera '{name}'",
            expected="a name that can be the name of a file on every system",
            got=f"'{name}'",
            remedy="Rename the camera, or save as rig.toml.",
        )


def check_new_folder(path: Path, reason: str = "every file in it would count as a camera") -> None:
    """Refuse a folder with files in it.

    Raises:
        OutputError: there is a file of this name, or the folder is not empty.
    """
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise OutputError(
            path,
            expected=f"a new or empty folder, since {reason}",
            got="a file" if path.is_file() else "a folder with files in it",
            remedy="Name another folder.",
        )


def write_folder(path: Path, files: Mapping[str, str | Callable[[Path], None]]) -> None:
    """All files or none: the folder is filled beside its place and renamed.

    Args:
        path: a new or empty folder.
        files: the text of each file, or what writes it, by its name.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    partial = path.with_name(f".part-{uuid.uuid4().hex}-{path.name}")
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise OutputError(
            path,
            expected="a folder that can be written",
            got=error.strerror or str(error),
            remedy="Choose another output folder, or free space and permissions there.",
        ) from error
    try:
        for name, content in files.items():
            if isinstance(content, str):
                write_text(partial / name, content)
            else:
                content(partial / name)
        if path.is_dir():
            path.rmdir()
        os.replace(partial, path)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            path,
            expected="to write the folder completely",
            got=error.strerror or str(error),
            remedy="Check free space and permissions; nothing was changed under the final name.",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def assumed_names(rig: Rig) -> Collection[str]:
    """The cameras whose image size is only assumed; see `assumed_sizes` of the readers."""
    assumed = rig.metadata.get("assumed_image_size", ())
    return assumed if isinstance(assumed, list | tuple) else ()


def check_sizes(rig: Rig, path: Path) -> None:
    """Warn where a file will say an image size as if it were known."""
    names = [name for name in rig.names if name in assumed_names(rig)]
    if names:
        warnings.warn(
            f"{path}: the image size of {', '.join(names)} was assumed when the rig was read; the file written now "
            "says it like any other",
            SuiteWarning,
            stacklevel=3,
        )
