"""Cameras as OpenCV's YAML: one file per camera."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.errors import InvalidValueError
from calibration.files import write_text
from calibration.formats._camera_tables import opencv_lens_values, shortened
from calibration.formats._folder_writing import check_file_name, check_new_folder, write_folder
from calibration.rig import Rig

__all__ = ["quoted", "storage_matrix", "write_opencv"]

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
        check_file_name(name)
    check_new_folder(path)
    write_folder(path, {f"{name}.yml": text for name, text in texts.items()})


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
            f"name: {quoted(camera.name)}",
            f"image_width: {camera.size[0]}",
            f"image_height: {camera.size[1]}",
            f"fisheye_model: {int(fisheye)}",
            storage_matrix("camera_matrix", matrix),
            storage_matrix("distortion_coefficients", coefficients[:, None]),
            storage_matrix("R", pose.rotation),
            storage_matrix("T", pose.translation[:, None]),
            f"unit: {quoted(unit)}",
            "",
        ]
    )


def quoted(text: str) -> str:
    """The text as a scalar of YAML.

    Raises:
        InvalidValueError: it has characters that cannot be printed.
    """
    if not text.isprintable():
        raise InvalidValueError(
            f"text {text!r}",
            expected="printable characters in the name of a camera and in the unit",
            got=repr(text),
            remedy="Rename it, or save as rig.toml.",
        )
    return json.dumps(text, ensure_ascii=False)


def storage_matrix(key: str, values: NDArray[np.float64]) -> str:
    """A matrix (row, column) as OpenCV's FileStorage writes it, with all digits."""
    rows, columns = values.shape
    numbers = ", ".join(map(repr, values.ravel().tolist()))
    return f"{key}: !!opencv-matrix\n   rows: {rows}\n   cols: {columns}\n   dt: d\n   data: [ {numbers} ]"
