"""DeepLabCut's `stereo_params.pickle`, read without unpickling; not written.

A dictionary with an entry "<camera 1>-<camera 2>" per pair, in which `cameraMatrix1`, `distCoeffs1`, `cameraMatrix2`,
`distCoeffs2`, `R`, `T` (x_2 = R x_1 + T) and `image_shape` (width and height of both) count. Camera 1 is the world.
DeepLabCut never asks for the size of its chessboard, so lengths are in sides of its squares (source: its
`camera_calibration.py`): multiply them by the length of a side.

Names have hyphens in DeepLabCut's own examples (camera-1-camera-2); where the key leaves it open where the first name
ends, the files `<camera>_intrinsic_params.pickle` beside it say it, else the key is cut in its middle.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from calibration.errors import FileFormatError, SuiteWarning
from calibration.formats._reading import (
    RawCamera,
    assumed_sizes,
    build_camera,
    build_pose,
    build_rig,
    numbers,
    read_bytes,
    required,
    smallest_size,
)
from calibration.formats.plain_pickle import NotPlainDataError, plain_data
from calibration.formats.rig_format import UNKNOWN_UNIT, RigFormat
from calibration.rig import Rig
from calibration.transforms import RigidTransform

__all__ = ["FORMAT", "read_deeplabcut"]

_NAME = "stereo_params.pickle"
_INTRINSICS = "_intrinsic_params.pickle"


def read_deeplabcut(path: Path) -> Rig:
    """The rig of `stereo_params.pickle`, or of the folder `camera_matrix` with it; in sides of the board's squares.

    With several pairs, cameras are placed from the first one on, each by the first pair that reaches it.

    Raises:
        FileFormatError: the file is missing, damaged or asks to run code; a value is missing or wrong; pairs do not
            connect.

    Warns:
        SuiteWarning: lengths are in squares; a pair was not needed; the image size is not in the file.
    """
    file = path / _NAME if path.is_dir() else path
    pairs = _pairs(file)
    placed = _placed(file, pairs)
    without_size = []
    cameras = []
    for name, (raw, pose) in placed.items():
        subject = f"{file}, camera '{name}'"
        matrix = numbers(raw["matrix"], f"{subject}, camera matrix", [(3, 3)])
        size = raw["size"]
        camera = build_camera(
            file,
            RawCamera(
                name=name,
                size=smallest_size(subject, matrix) if size is None else size,
                camera_matrix=matrix,
                coefficients=raw["coefficients"],
                rotation=pose.rotation,
                translation=pose.translation,
            ),
        )
        cameras.append(camera)
        if size is None:
            without_size.append(camera)
    warnings.warn(
        f"{path}: DeepLabCut measures lengths in squares of its chessboard; multiply them by the length of a side, as "
        "with pose3d convert --scale",
        SuiteWarning,
        stacklevel=2,
    )
    return build_rig(file, cameras, UNKNOWN_UNIT, assumed_sizes(file, without_size))


def _pairs(file: Path) -> dict[tuple[str, str], Mapping[str, Any]]:
    try:
        content = plain_data(read_bytes(file), arrays=True)
    except NotPlainDataError as error:
        raise FileFormatError(
            file,
            expected="a pickle of dictionaries and arrays, as DeepLabCut's stereo_params.pickle",
            got=f"something else: {error}",
            remedy="Check the path; a file that asks to run code is not opened. If it was cut off, copy it again.",
        ) from error
    entries = content.items() if isinstance(content, dict) else ()
    pairs: dict[tuple[str, str], Mapping[str, Any]] = {
        _pair_names(file, str(key)): entry
        for key, entry in entries
        if isinstance(entry, dict) and "cameraMatrix1" in entry
    }
    if not pairs:
        keys = ", ".join(map(repr, content)) if isinstance(content, dict) else type(content).__name__
        raise FileFormatError(
            file,
            expected="entries such as 'camera-1-camera-2' with cameraMatrix1, distCoeffs1, R, T, ...",
            got=f"only {keys[:100] or 'nothing'}",
            remedy=f"Give {_NAME} from the folder camera_matrix; the {_INTRINSICS} of a camera has no pose.",
        )
    return pairs


def _pair_names(file: Path, key: str) -> tuple[str, str]:
    try:
        known = {other.name.removesuffix(_INTRINSICS) for other in file.parent.glob(f"*{_INTRINSICS}")}
    except OSError:
        known = set()
    cuts = [place for place, sign in enumerate(key) if sign == "-" and 0 < place < len(key) - 1]
    names = [(key[:place], key[place + 1 :]) for place in cuts]
    fitting = [pair for pair in names if set(pair) <= known]
    if len(fitting) == 1:
        return fitting[0]
    if len(names) % 2 == 0:
        raise FileFormatError(
            f"{file}, entry '{key}'",
            expected="the names of two cameras with a hyphen between them",
            got=f"{len(names)} places where the first name may end" if names else "no hyphen",
            remedy=f"Put the files <camera>{_INTRINSICS} beside it, as DeepLabCut does.",
        )
    return names[len(names) // 2]


def _placed(
    file: Path, pairs: Mapping[tuple[str, str], Mapping[str, Any]]
) -> dict[str, tuple[dict[str, Any], RigidTransform]]:
    """Values and cam_from_world of every camera, in the order in which the pairs name them."""
    poses = {key: _second_from_first(file, key, pair) for key, pair in pairs.items()}
    names = list(dict.fromkeys(name for key in pairs for name in key))
    found = {names[0]: RigidTransform.identity()}
    used: set[tuple[str, str]] = set()
    while True:
        step = next((key for key in pairs if (key[0] in found) != (key[1] in found)), None)
        if step is None:
            break
        first, second = step
        if first in found:
            found[second] = poses[step] @ found[first]
        else:
            found[first] = poses[step].inverse() @ found[second]
        used.add(step)
    left = [name for name in names if name not in found]
    if left:
        raise FileFormatError(
            file,
            expected=f"pairs that connect every camera with '{names[0]}'",
            got=f"none that leads to {', '.join(left)}",
            remedy="Calibrate a pair that connects them in DeepLabCut.",
        )
    unused = ["-".join(key) for key in pairs if key not in used]
    if unused:
        warnings.warn(
            f"{file}: not needed to place the cameras and left out: {', '.join(unused)}", SuiteWarning, stacklevel=4
        )
    values: dict[str, dict[str, Any]] = {}
    for (first, second), pair in pairs.items():
        values.setdefault(first, _values(file, f"{first}-{second}", pair, 1))
        values.setdefault(second, _values(file, f"{first}-{second}", pair, 2))
    return {name: (values[name], found[name]) for name in names}


def _second_from_first(file: Path, key: tuple[str, str], pair: Mapping[str, Any]) -> RigidTransform:
    subject = f"{file}, entry '{'-'.join(key)}'"
    rotation = numbers(required(pair, "R", subject), f"{subject}, R", [(3, 3)])
    translation = numbers(required(pair, "T", subject), f"{subject}, T", [(3,)])
    return build_pose(rotation, translation, subject)


def _values(file: Path, key: str, pair: Mapping[str, Any], number: int) -> dict[str, Any]:
    subject = f"{file}, entry '{key}'"
    shapes = pair.get("image_shape")
    size = shapes[number - 1] if isinstance(shapes, list | tuple) and len(shapes) == 2 else None
    return {
        "matrix": required(pair, f"cameraMatrix{number}", subject),
        "coefficients": required(pair, f"distCoeffs{number}", subject),
        "size": None if size is None else list(size) if isinstance(size, tuple) else size,
    }


def _sniff(path: Path) -> bool:
    file = path / _NAME if path.is_dir() else path
    try:
        return b"cameraMatrix1" in read_bytes(file) and _is_pickle(file)
    except FileFormatError:
        return False


def _is_pickle(file: Path) -> bool:
    """By its first bytes: the protocol, or of the oldest ones a dictionary."""
    with file.open("rb") as stream:
        return stream.read(2)[:1] in (b"\x80", b"(", b"}")


FORMAT = RigFormat(
    name="deeplabcut",
    description="stereo_params.pickle of DeepLabCut, read without unpickling; in squares of the chessboard.",
    suffixes=(".pickle", ".pkl"),
    sniff=_sniff,
    read=read_deeplabcut,
)
