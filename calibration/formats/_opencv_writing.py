"""Cameras as OpenCV's YAML: one file per camera."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.errors import InvalidValueError, OutputError
from calibration.files import write_text
from calibration.formats._camera_tables import opencv_lens_values, shortened
from calibration.rig import Rig

__all__ = ["write_opencv"]

_COUNTS = (5, 8, 12, 14)


def write_opencv(rig: Rig, path: Path) -> None:
    """Write a rig of one camera as a file (.yml or .yaml), a rig of several as a new folder of one file per camera.

    Missing coefficients up to the next count that OpenCV writes (5, 8, 12, 14) are zeros. The metadata of the rig are
    not written.

    Raises:
        InvalidValueError: a lens has a skew; a camera's name cannot be the name of a file; `path` does not fit the
            number of cameras.
        OutputError: the folder exists and is not empty, or cannot be written.
    """
    is_file = path.suffix.lower() in (".yml", ".yaml")
    if is_file != (len(rig) == 1):
        raise InvalidValueError(
            path,
            expected="a .yml file for one camera" if is_file else "a folder for several cameras, a .yml file for one",
            got=f"{len(rig)} cameras" if is_file else f"'{path.name}' for one camera",
            remedy="Name a folder." if is_file else "Let the name end with .yml.",
        )
    texts = {camera.name: _text(camera, rig.unit) for camera in rig}
    if is_file:
        write_text(path, texts[rig.names[0]])
        return
    for name in texts:
        _check_file_name(name)
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise OutputError(
            path,
            expected="a new or empty folder, since every file in it would count as a camera",
            got="a file" if path.is_file() else "a folder with files in it",
            remedy="Name another folder.",
        )
    _write_folder(path, texts)


def _write_folder(path: Path, texts: dict[str, str]) -> None:
    """All files or none: the folder is filled beside its place and renamed."""
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
        for name, text in texts.items():
            write_text(partial / f"{name}.yml", text)
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


def _check_file_name(name: str) -> None:
    if name.startswith(".") or name != name.strip() or any(sign in name for sign in '/\\:*?"<>|'):
        raise InvalidValueError(
            f"camera '{name}'",
            expected="a name that can be the name of a file on every system",
            got=f"'{name}'",
            remedy="Rename the camera, or save as rig.toml.",
        )


def _text(camera: Camera, unit: str) -> str:
    matrix, coefficients = opencv_lens_values(camera, "OpenCV's file")
    fisheye = camera.lens.model == "fisheye"
    if not fisheye:
        coefficients = shortened(coefficients, _COUNTS, camera.name, "OpenCV's file")
    pose = camera.cam_from_world
    return "\n".join(
        [
            "%YAML:1.0",
            "---",
            f"name: {_quoted(camera.name)}",
            f"image_width: {camera.size[0]}",
            f"image_height: {camera.size[1]}",
            f"fisheye_model: {int(fisheye)}",
            _matrix("camera_matrix", matrix),
            _matrix("distortion_coefficients", coefficients[:, None]),
            _matrix("R", pose.rotation),
            _matrix("T", pose.translation[:, None]),
            f"unit: {_quoted(unit)}",
            "",
        ]
    )


def _quoted(text: str) -> str:
    if not text.isprintable():
        raise InvalidValueError(
            f"text {text!r}",
            expected="printable characters in the name of a camera and in the unit",
            got=repr(text),
            remedy="Rename it, or save as rig.toml.",
        )
    return json.dumps(text, ensure_ascii=False)


def _matrix(key: str, values: NDArray[np.float64]) -> str:
    rows, columns = values.shape
    numbers = ", ".join(map(repr, values.ravel().tolist()))
    return f"{key}: !!opencv-matrix\n   rows: {rows}\n   cols: {columns}\n   dt: d\n   data: [ {numbers} ]"
