"""What the readers of all formats share: text and numbers of untrusted files, and cameras made of them."""

from __future__ import annotations

import re
import tomllib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.errors import FileFormatError, InvalidValueError, SuiteWarning
from calibration.lens import BrownConrady, Fisheye
from calibration.rig import Rig
from calibration.transforms import RigidTransform

__all__ = [
    "RawCamera",
    "assumed_sizes",
    "build_camera",
    "build_pose",
    "build_rig",
    "natural_key",
    "numbers",
    "read_bytes",
    "read_text",
    "read_toml",
    "required",
    "smallest_size",
    "try_text",
    "try_toml",
]

# The largest calibration seen, with all board corners in it, has 3 MB. Larger files are videos given by mistake.
_LARGEST_FILE = 64 * 2**20
# Long lenses have had coefficients up to 1e4; the products of larger ones overflow.
_LARGEST_COEFFICIENT = 1e12
# No sensor has a longer side; keeps a wrong principal point from becoming an absurd size.
_LARGEST_SIDE = 100_000


@dataclass(frozen=True)
class RawCamera:
    """The values of one camera as a file has them, in this package's conventions, not yet checked.

    Attributes:
        name: its name.
        size: width and height, px.
        camera_matrix: 3 x 3, px.
        coefficients: distortion coefficients in OpenCV's order.
        rotation: of cam_from_world, as a 3 x 3 matrix or a rotation vector.
        translation: of cam_from_world.
        fisheye: True for the fisheye model.
    """

    name: str
    size: object
    camera_matrix: object
    coefficients: object
    rotation: object
    translation: object
    fisheye: bool = False


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        FileFormatError: it is missing, unreadable, a folder, empty, or too large.
    """
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= _LARGEST_FILE else b""
    except OSError as error:
        raise FileFormatError(
            path,
            expected="a calibration file that can be read",
            got=error.strerror or str(error),
            remedy="Check the path and its permissions.",
        ) from error
    if size > _LARGEST_FILE:
        raise FileFormatError(
            path,
            expected="a calibration file",
            got=f"a file of {size / 2**20:.0f} MB",
            remedy="Give the calibration, not a video or a recording.",
        )
    if not data.strip():
        raise FileFormatError(
            path, expected="a calibration", got="an empty file", remedy="Save or copy the calibration again."
        )
    return data


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        FileFormatError: see `read_bytes`; or it is not UTF-8 text.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(
            path,
            expected="text in UTF-8",
            got=f"binary data (byte {error.start} is none of a text)",
            remedy="Check that this is the calibration file; if it is text, save it as UTF-8.",
        ) from error


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        FileFormatError: see `read_text`; or it is not TOML.
    """
    text = read_text(path)
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise FileFormatError(
            path,
            expected="a TOML file",
            got=f"text that is not TOML ({error})",
            remedy="Correct that place, or save or copy the calibration again if it was cut off.",
        ) from error


def try_text(path: Path) -> str | None:
    """The text of a file, None where it has none."""
    try:
        return read_text(path)
    except FileFormatError:
        return None


def try_toml(path: Path) -> dict[str, Any] | None:
    """The content of a TOML file, None where it is none."""
    try:
        return read_toml(path)
    except FileFormatError:
        return None


def required(table: Mapping[str, Any], key: str, subject: str) -> Any:
    """`table[key]`.

    Raises:
        FileFormatError: there is no such key.
    """
    if key not in table:
        raise FileFormatError(
            subject,
            expected=f"a value '{key}'",
            got=f"only {', '.join(map(repr, table)) or 'nothing'}",
            remedy=f"Add '{key}', or save the calibration again with the tool that made it.",
        )
    return table[key]


def numbers(value: object, subject: str, shapes: Sequence[tuple[int, ...]] | None = None) -> NDArray[np.float64]:
    """`value` as float64, in the first of `shapes` that holds as many numbers; row and column vectors count as vectors.

    Raises:
        FileFormatError: it is not made of numbers, or has another shape.
    """
    expected = "numbers" if shapes is None else f"numbers of shape {' or '.join(map(str, shapes))}"
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        array = np.asarray(None)
    if array.dtype.kind not in "iuf":
        text = repr(value)
        raise FileFormatError(
            subject,
            expected=expected,
            got=text if len(text) <= 80 else f"{text[:77]}...",
            remedy="Correct the value in the file.",
        )
    array = array.astype(np.float64)
    if shapes is None:
        return array
    for shape in shapes:
        if array.shape == shape or (len(shape) == 1 and array.shape in ((1, *shape), (*shape, 1))):
            return array.reshape(shape)
    raise FileFormatError(
        subject, expected=expected, got=f"shape {array.shape}", remedy="Correct the value in the file."
    )


def build_camera(path: Path, raw: RawCamera) -> Camera:
    """The camera of these values.

    Raises:
        FileFormatError: a value is wrong; the file, the camera and the value are named.
    """
    subject = f"{path}, camera '{raw.name}'"
    matrix = numbers(raw.camera_matrix, f"{subject}, camera matrix", [(3, 3)])
    coefficients = numbers(raw.coefficients, f"{subject}, distortion coefficients").ravel()
    if np.abs(coefficients).max(initial=0.0) > _LARGEST_COEFFICIENT:
        raise FileFormatError(
            f"{subject}, distortion coefficients",
            expected=f"numbers up to {_LARGEST_COEFFICIENT:g}",
            got=str(coefficients),
            remedy="Correct the file, or calibrate this camera again: no lens has such coefficients.",
        )
    rotation = numbers(raw.rotation, f"{subject}, rotation", [(3, 3), (3,)])
    translation = numbers(raw.translation, f"{subject}, translation", [(3,)])
    size = numbers(raw.size, f"{subject}, size", [(2,)])
    try:
        lens = (Fisheye if raw.fisheye else BrownConrady)(matrix, coefficients)
        if rotation.shape == (3,):
            pose = RigidTransform.from_rotation_vector(rotation, translation)
        else:
            pose = RigidTransform(rotation, translation)
        # Pose2Sim writes sizes as floats; Camera checks that they are whole.
        return Camera(raw.name, cast("tuple[int, int]", tuple(size.tolist())), lens, pose)
    except InvalidValueError as error:
        raise FileFormatError(
            f"{subject}, {error.subject.removeprefix(f'camera {raw.name!r}, ')}",
            expected=error.expected,
            got=error.got,
            remedy=error.remedy,
        ) from error


def build_pose(rotation: NDArray[np.float64], translation: NDArray[np.float64], subject: str) -> RigidTransform:
    """The rigid transform of a rotation matrix (3, 3) and a translation (3,) of a file.

    Raises:
        FileFormatError: the matrix is no rotation, or a number is not finite.
    """
    try:
        return RigidTransform(rotation, translation)
    except InvalidValueError as error:
        raise FileFormatError(
            f"{subject}, {error.subject}", expected=error.expected, got=error.got, remedy=error.remedy
        ) from error


def build_rig(path: Path, cameras: Sequence[Camera], unit: str, metadata: Mapping[str, object] | None = None) -> Rig:
    """The rig of these cameras.

    Raises:
        FileFormatError: there is no camera, or a name is repeated.
    """
    try:
        return Rig(tuple(cameras), unit=unit, metadata=metadata or {})
    except InvalidValueError as error:
        raise FileFormatError(
            f"{path}, {error.subject}", expected=error.expected, got=error.got, remedy=error.remedy
        ) from error


def smallest_size(subject: str, camera_matrix: NDArray[np.float64]) -> tuple[int, int]:
    """The smallest image with the principal point in its middle, for files without a size; see `assumed_sizes`.

    Raises:
        FileFormatError: the principal point is not inside any image.
    """
    center = camera_matrix[:2, 2]
    if not np.isfinite(center).all() or (center <= 0).any() or (center > _LARGEST_SIDE).any():
        raise FileFormatError(
            subject,
            expected="an image size, or a principal point to estimate it from",
            got=f"no size, and the principal point {center}",
            remedy="Write the size of the images into the file, or correct the camera matrix.",
        )
    # Pixel centers run from 0 to n - 1, so an image whose middle is c has 2 c + 1 pixels.
    width, height = np.ceil(2 * center + 1).astype(int)
    return int(width), int(height)


def assumed_sizes(path: Path, cameras: Sequence[Camera]) -> dict[str, object]:
    """Warn that the sizes of these cameras are assumed; the metadata that keep their names."""
    if not cameras:
        return {}
    sizes = ", ".join(f"{camera.name} {camera.size[0]} x {camera.size[1]}" for camera in cameras)
    warnings.warn(
        f"{path}: no image size in it; the smallest with the principal point in its middle is assumed: {sizes}",
        SuiteWarning,
        stacklevel=2,
    )
    return {"assumed_image_size": [camera.name for camera in cameras]}


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Sorts 'cam_2' before 'cam_10'."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text.casefold())]
