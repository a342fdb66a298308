"""JARVIS: a folder with one YAML file per camera, called as the camera; millimeters.

`intrinsicMatrix`, `distortionCoefficients` (k1, k2, p1, p2, k3), `R` and `T`. JARVIS multiplies rows from the left,
x_cam = x_world R + T^t and pixel = x_cam intrinsicMatrix (its `ReprojectionTool`), so `R` and `intrinsicMatrix` are the
transposes of this package's and `T` is the same. The unit is the one in which the board was measured; JARVIS asks for
millimeters. JARVIS itself uses k1 and k2 only.

The files have no image size. Those written here say it in `image_width` and `image_height`, which JARVIS passes over.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from calibration.camera import Camera
from calibration.errors import FileFormatError, InvalidValueError, SuiteWarning
from calibration.files import write_text
from calibration.formats._camera_tables import opencv_lens_values, shortened
from calibration.formats._folder_writing import assumed_names, check_file_name, check_new_folder, write_folder
from calibration.formats._opencv_storage import read_storage
from calibration.formats._opencv_writing import storage_matrix
from calibration.formats._reading import (
    RawCamera,
    assumed_sizes,
    build_camera,
    build_rig,
    natural_key,
    numbers,
    required,
    smallest_size,
    try_text,
)
from calibration.formats._yaml_kinds import yaml_kind
from calibration.formats.rig_format import RigFormat
from calibration.formats.units import in_unit
from calibration.rig import Rig

__all__ = ["FORMAT", "read_jarvis", "write_jarvis"]

_SUFFIXES = (".yaml", ".yml")


def read_jarvis(path: Path) -> Rig:
    """The rig of a folder, or of the file of one camera, in millimeters.

    Where the image size is missing, the smallest one around the principal point is assumed, with a SuiteWarning, and
    the cameras are named in the metadata as `assumed_image_size`.

    Raises:
        FileFormatError: a file is missing or broken, or a value is missing or wrong.
    """
    files = _files(path) if path.is_dir() else [path]
    if not files:
        raise FileFormatError(
            path,
            expected="one .yaml file per camera, with intrinsicMatrix, distortionCoefficients, R and T",
            got="none",
            remedy="Give the folder of a calibration set of JARVIS.",
        )
    contents = {file: read_storage(file) for file in files}
    sizes = {file: _size(content) for file, content in contents.items()}
    cameras = {file: _camera(file, content, sizes[file]) for file, content in contents.items()}
    metadata = assumed_sizes(path, [camera for file, camera in cameras.items() if sizes[file] is None])
    return build_rig(path, list(cameras.values()), "mm", metadata)


def write_jarvis(rig: Rig, path: Path) -> None:
    """Write a rig as a new folder of one file per camera, or a rig of one camera as a .yaml file; in millimeters.

    Raises:
        InvalidValueError: a lens is a fisheye or has a skew or more than 5 coefficients, a camera's name cannot be that
            of a file, the unit is unknown, or a file is named for several cameras.
        OutputError: the folder exists and is not empty, or cannot be written.

    Warns:
        SuiteWarning: a lens has p1, p2 or k3, which JARVIS does not use.
    """
    is_file = path.suffix.lower() in _SUFFIXES
    if is_file and len(rig) > 1:
        raise InvalidValueError(
            path, expected="a folder for several cameras", got=f"{len(rig)} cameras", remedy="Name a folder."
        )
    assumed = assumed_names(rig)
    texts = {
        camera.name: _text(camera, with_size=camera.name not in assumed)
        for camera in in_unit(rig, "mm", "JARVIS's file")
    }
    unused = [camera.name for camera in rig if np.any(camera.lens.coefficients[2:5])]
    if unused:
        warnings.warn(
            f"{path}: JARVIS uses k1 and k2 of a lens only; the other coefficients of {', '.join(unused)} are written "
            "but have no effect there",
            SuiteWarning,
            stacklevel=3,
        )
    if is_file:
        write_text(path, texts[rig.names[0]])
        return
    for name in texts:
        check_file_name(name)
    check_new_folder(path)
    write_folder(path, {f"{name}.yaml": text for name, text in texts.items()})


def _files(folder: Path) -> list[Path]:
    found = [file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES and _sniff_file(file)]
    return sorted(found, key=lambda file: natural_key(file.name))


def _size(content: Mapping[str, Any]) -> object:
    if "image_width" in content and "image_height" in content:
        return [content["image_width"], content["image_height"]]
    return None


def _camera(file: Path, content: Mapping[str, Any], size: object) -> Camera:
    subject = f"{file}, camera '{file.stem}'"
    matrix = numbers(required(content, "intrinsicMatrix", subject), f"{subject}, intrinsicMatrix", [(3, 3)]).T
    if matrix[2, :2].any() and not matrix[:2, 2].any():
        raise FileFormatError(
            f"{subject}, intrinsicMatrix",
            expected="the transposed matrix of JARVIS, with the principal point in the last row",
            got="the usual one, with the principal point in the last column",
            remedy="Read it as OpenCV YAML (format opencv).",
        )
    return build_camera(
        file,
        RawCamera(
            name=file.stem,
            size=smallest_size(subject, matrix) if size is None else size,
            camera_matrix=matrix,
            coefficients=required(content, "distortionCoefficients", subject),
            rotation=numbers(required(content, "R", subject), f"{subject}, R", [(3, 3)]).T,
            translation=required(content, "T", subject),
        ),
    )


def _text(camera: Camera, *, with_size: bool) -> str:
    if camera.lens.model == "fisheye":
        raise InvalidValueError(
            f"camera '{camera.name}', lens",
            expected="no fisheye, which JARVIS does not know",
            got="a fisheye",
            remedy="Save as rig.toml or in Anipose's format.",
        )
    matrix, coefficients = opencv_lens_values(camera, "JARVIS's file")
    coefficients = shortened(coefficients, (5,), camera.name, "JARVIS's file")
    pose = camera.cam_from_world
    size = [f"image_width: {camera.size[0]}", f"image_height: {camera.size[1]}"] if with_size else []
    return "\n".join(
        [
            "%YAML:1.0",
            "---",
            storage_matrix("intrinsicMatrix", matrix.T),
            storage_matrix("distortionCoefficients", coefficients[None]),
            storage_matrix("R", pose.rotation.T),
            storage_matrix("T", pose.translation[:, None]),
            *size,
            "",
        ]
    )


def _sniff_file(file: Path) -> bool:
    text = try_text(file) if file.suffix.lower() in _SUFFIXES else None
    return text is not None and yaml_kind(text) == "jarvis"


def _sniff(path: Path) -> bool:
    if not path.is_dir():
        return _sniff_file(path)
    try:
        return bool(_files(path))
    except OSError:
        return False


FORMAT = RigFormat(
    name="jarvis",
    description="Folder of JARVIS with one .yaml per camera (intrinsicMatrix, ...); millimeters.",
    suffixes=_SUFFIXES,
    sniff=_sniff,
    read=read_jarvis,
    write=write_jarvis,
)
