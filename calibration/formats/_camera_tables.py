"""TOML files with one table per camera: what the own format, Anipose's and Pose2Sim's share."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.errors import FileFormatError, InvalidValueError, SuiteWarning
from calibration.formats._reading import RawCamera, build_camera, numbers, required
from calibration.transforms import matrix_from_rotation_vector

__all__ = [
    "OWN_FORMAT",
    "camera_tables",
    "is_own",
    "is_pose2sim",
    "opencv_lens_values",
    "read_cameras",
    "read_metadata",
    "shortened",
    "stated_unit",
]

OWN_FORMAT = "pose3d-rig"

_POSE_KEYS = frozenset({"distortions", "rotation", "translation"})


def camera_tables(data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The tables of cameras, by the names of their sections and in the order of the file.

    caliscope's tables look alike but have a 'cam_id' (before 2024: 'port') instead of a name.
    """
    return {
        section: table
        for section, table in data.items()
        if isinstance(table, dict)
        and section != "metadata"
        and ("matrix" in table or len(_POSE_KEYS & set(table)) > 1)
        and not ({"cam_id", "port"} & set(table) and "name" not in table)
    }


def is_own(data: Mapping[str, Any]) -> bool:
    """True for `rig.toml` of this package, which says so in its [metadata]."""
    metadata = data.get("metadata")
    return isinstance(metadata, dict) and metadata.get("format") == OWN_FORMAT


def is_pose2sim(data: Mapping[str, Any]) -> bool:
    """True for Pose2Sim's and Qualisys' file, False for Anipose's.

    Both have the same keys; what tells them apart matters, since one is in meters and the other in millimeters.
    Anipose numbers its sections cam_0, cam_1, ... and keeps the camera's name in `name`. Pose2Sim repeats the name as
    the section: [cam_01] name = "cam_01". Anipose cameras that are themselves called cam_0, cam_1 look the same in
    this, so one of three further signs of Pose2Sim is asked for: a section that is not called cam_<number without
    leading zeros>, an image size written as floats, or `fisheye = false`, which Anipose never writes (only true). The
    last one is in caliscope's `camera_array_aniposelib.toml`, which is in meters too.
    """
    tables = camera_tables(data)
    if not tables or is_own(data) or any(table.get("name") != section for section, table in tables.items()):
        return False
    numbered = all(re.fullmatch(r"cam_(0|[1-9]\d*)", section) for section in tables)
    float_sizes = any(
        isinstance(table.get("size"), list) and any(isinstance(side, float) for side in table["size"])
        for table in tables.values()
    )
    says_no_fisheye = any(table.get("fisheye") is False for table in tables.values())
    return not numbered or float_sizes or says_no_fisheye


def read_cameras(path: Path, data: Mapping[str, Any]) -> list[Camera]:
    """The cameras of all tables, in the order of the file.

    Raises:
        FileFormatError: there are none, or a value is missing or wrong.
    """
    tables = camera_tables(data)
    if not tables:
        raise FileFormatError(
            path,
            expected="sections such as [cam_0] with name, size, matrix, distortions, rotation and translation",
            got=f"only {', '.join(map(repr, data)) or 'nothing'}",
            remedy="Check that this is a calibration, or name its format.",
        )
    others = [key for key in data if key not in tables and key != "metadata"]
    if others:
        warnings.warn(
            f"{path}: {', '.join(map(repr, others))} left out: not a camera, since there is no matrix in it",
            SuiteWarning,
            stacklevel=2,
        )
    return [_read_camera(path, section, table) for section, table in tables.items()]


def _read_camera(path: Path, section: str, table: Mapping[str, Any]) -> Camera:
    subject = f"{path}, section [{section}]"
    name = required(table, "name", subject)
    if not isinstance(name, str | int) or isinstance(name, bool):
        raise FileFormatError(
            f"{subject}, name", expected="text", got=repr(name), remedy="Put the name of the camera in quotes."
        )
    subject = f"{path}, camera '{name}'"
    fisheye = table.get("fisheye", False)
    if not isinstance(fisheye, bool):
        raise FileFormatError(
            f"{subject}, fisheye", expected="true or false", got=repr(fisheye), remedy="Write fisheye = true or false."
        )
    return build_camera(
        path,
        RawCamera(
            name=str(name),
            size=required(table, "size", subject),
            camera_matrix=required(table, "matrix", subject),
            coefficients=required(table, "distortions", subject),
            rotation=_rotation(table, subject),
            translation=required(table, "translation", subject),
            fisheye=fisheye,
        ),
    )


def _rotation(table: Mapping[str, Any], subject: str) -> object:
    """The rotation vector, or the matrix that the own format keeps beside it because only that is exact."""
    vector = required(table, "rotation", subject)
    if "rotation_matrix" not in table:
        return vector
    matrix = numbers(table["rotation_matrix"], f"{subject}, rotation_matrix", [(3, 3)])
    values = numbers(vector, f"{subject}, rotation", [(3,), (3, 3)])
    if not np.isfinite(values).all():
        raise FileFormatError(
            f"{subject}, rotation", expected="finite numbers", got=str(values.tolist()), remedy="Correct or delete it."
        )
    if values.shape == (3,):
        values = matrix_from_rotation_vector(values)
    if not np.allclose(values, matrix, rtol=0.0, atol=1e-6):
        raise FileFormatError(
            f"{subject}, rotation",
            expected="the same rotation in 'rotation' and 'rotation_matrix'",
            got="two different ones",
            remedy="Delete the one that is out of date.",
        )
    return matrix


def stated_unit(data: Mapping[str, Any]) -> str | None:
    """The length unit that [metadata] says, None if it says none."""
    metadata = data.get("metadata")
    unit = metadata.get("unit") if isinstance(metadata, dict) else None
    return unit if isinstance(unit, str) and unit.strip() else None


def read_metadata(data: Mapping[str, Any], *, without: tuple[str, ...] = ("unit",)) -> dict[str, object]:
    """The [metadata] of the file but for keys that have their own place in a Rig."""
    metadata = data.get("metadata")
    if not isinstance(metadata, dict):
        return {}
    return {key: value for key, value in metadata.items() if key not in without}


def opencv_lens_values(camera: Camera, format_name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Camera matrix (3, 3) and coefficients of a camera, for tools that compute with OpenCV.

    Raises:
        InvalidValueError: the matrix has a skew, which OpenCV ignores.
    """
    matrix = camera.lens.camera_matrix
    if matrix[0, 1] != 0.0:
        raise InvalidValueError(
            f"camera '{camera.name}', camera matrix",
            expected=f"no skew, since what reads {format_name} computes with OpenCV, which ignores it",
            got=f"the skew {matrix[0, 1]:g} px",
            remedy="Save as rig.toml, or calibrate this camera without skew.",
        )
    return matrix, camera.lens.coefficients


def shortened(
    coefficients: NDArray[np.float64], counts: tuple[int, ...], camera: str, format_name: str
) -> NDArray[np.float64]:
    """The coefficients in the first of `counts` (ascending) that loses nothing, filled with zeros.

    Raises:
        InvalidValueError: more coefficients than the largest count are not zero.
    """
    needed = len(np.trim_zeros(coefficients, "b"))
    for count in counts:
        if needed <= count:
            result = np.zeros(count)
            result[:needed] = coefficients[:needed]
            return result
    raise InvalidValueError(
        f"camera '{camera}', distortion coefficients",
        expected=f"at most {counts[-1]}, which is what {format_name} can hold",
        got=f"{needed}",
        remedy="Save as rig.toml, which keeps them all, or calibrate with fewer coefficients.",
    )
