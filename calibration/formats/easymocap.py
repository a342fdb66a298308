"""EasyMocap's `intri.yml` and `extri.yml`, also of EasyVolcap and its descendants; meters.

`names` lists the cameras in both; `K_<name>`, `dist_<name>` (older: `D_<name>`) and, in newer files, `H_<name>` and
`W_<name>` in the first; the rotation vector `R_<name>` and `T_<name>` (`x_cam = R x_world + T`) in the second, and
`Rot_<name>`, the same rotation as a matrix, which EasyMocap writes and does not read. Source: its documentation and
`camera_utils.py`. Lengths must be meters there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from calibration.camera import Camera
from calibration.errors import FileFormatError, InvalidValueError, OutputError
from calibration.files import write_text
from calibration.formats._camera_tables import opencv_lens_values, shortened
from calibration.formats._folder_writing import assumed_names
from calibration.formats._opencv_storage import read_storage
from calibration.formats._opencv_writing import quoted, storage_matrix
from calibration.formats._reading import (
    RawCamera,
    assumed_sizes,
    build_camera,
    build_rig,
    numbers,
    required,
    smallest_size,
    try_text,
)
from calibration.formats._yaml_kinds import yaml_kind
from calibration.formats.rig_format import RigFormat
from calibration.formats.units import in_unit
from calibration.rig import Rig

__all__ = ["FORMAT", "read_easymocap", "write_easymocap"]

_INTRINSICS, _EXTRINSICS = "intri.yml", "extri.yml"


def read_easymocap(path: Path) -> Rig:
    """The rig of the folder with `intri.yml` and `extri.yml` (or of one of the two files, beside the other), in meters.

    Where the image size is missing, the smallest one around the principal point is assumed, with a SuiteWarning, and
    the cameras are named in the metadata as `assumed_image_size`.

    Raises:
        FileFormatError: a file is missing or broken, or a value is missing or wrong.
    """
    folder = path.parent if path.name in (_INTRINSICS, _EXTRINSICS) else path
    if not folder.is_dir() or not (folder / _INTRINSICS).is_file() or not (folder / _EXTRINSICS).is_file():
        raise FileFormatError(
            path,
            expected=f"a folder with {_INTRINSICS} and {_EXTRINSICS}",
            got="a folder without them" if folder.is_dir() and folder == path else "no such pair of files",
            remedy="Give the folder that has both files.",
        )
    intrinsics, extrinsics = read_storage(folder / _INTRINSICS), read_storage(folder / _EXTRINSICS)
    names = _names(folder / _INTRINSICS, intrinsics)
    sizes = {name: _size(intrinsics, name) for name in names}
    cameras = [_camera(folder, name, intrinsics, extrinsics, sizes[name]) for name in names]
    metadata = assumed_sizes(path, [camera for camera in cameras if sizes[camera.name] is None])
    return build_rig(path, cameras, "m", metadata)


def write_easymocap(rig: Rig, path: Path) -> None:
    """Write `intri.yml` and `extri.yml` into a folder, in meters; other files in it stay, these two are replaced.

    Raises:
        InvalidValueError: a lens is a fisheye or has a skew or more than 5 coefficients, a name cannot be part of a
        key,
            or the unit is unknown.
        OutputError: `path` is a file, or a file cannot be written.
    """
    if path.is_file() or path.suffix.lower() in (".yml", ".yaml"):
        raise OutputError(
            path,
            expected=f"a folder for {_INTRINSICS} and {_EXTRINSICS}",
            got="the name of a file",
            remedy="Name the folder.",
        )
    assumed = assumed_names(rig)
    names = ["%YAML:1.0", "---", "names:", *(f"  - {quoted(name)}" for name in rig.names)]
    intrinsics, extrinsics = list(names), list(names)
    for camera in in_unit(rig, "m", "EasyMocap's file"):
        intrinsics += _intrinsics(camera, with_size=camera.name not in assumed)
        pose = camera.cam_from_world
        extrinsics += [
            storage_matrix(f"R_{camera.name}", pose.rotation_vector[:, None]),
            storage_matrix(f"Rot_{camera.name}", pose.rotation),
            storage_matrix(f"T_{camera.name}", pose.translation[:, None]),
        ]
    write_text(path / _INTRINSICS, "\n".join([*intrinsics, ""]))
    write_text(path / _EXTRINSICS, "\n".join([*extrinsics, ""]))


def _names(file: Path, content: Mapping[str, Any]) -> list[str]:
    names = required(content, "names", str(file))
    if not isinstance(names, list) or not all(isinstance(name, str | int) for name in names):
        raise FileFormatError(
            f"{file}, names",
            expected="the list of the cameras",
            got=repr(names)[:80],
            remedy="Correct it, or save the calibration again with EasyMocap.",
        )
    return [str(name) for name in names if name != "none"]


def _size(intrinsics: Mapping[str, Any], name: str) -> object:
    sides = [intrinsics.get(f"W_{name}"), intrinsics.get(f"H_{name}")]
    # EasyMocap keeps -1, and writes 0, where it does not know them.
    return sides if all(isinstance(side, int | float) and side > 0 for side in sides) else None


def _camera(
    folder: Path, name: str, intrinsics: Mapping[str, Any], extrinsics: Mapping[str, Any], size: object
) -> Camera:
    within, around = f"{folder / _INTRINSICS}, camera '{name}'", f"{folder / _EXTRINSICS}, camera '{name}'"
    matrix = numbers(required(intrinsics, f"K_{name}", within), f"{within}, K", [(3, 3)])
    distortion = f"D_{name}" if f"dist_{name}" not in intrinsics and f"D_{name}" in intrinsics else f"dist_{name}"
    rotation = f"Rot_{name}" if f"R_{name}" not in extrinsics and f"Rot_{name}" in extrinsics else f"R_{name}"
    return build_camera(
        folder,
        RawCamera(
            name=name,
            size=smallest_size(within, matrix) if size is None else size,
            camera_matrix=matrix,
            coefficients=required(intrinsics, distortion, within),
            rotation=required(extrinsics, rotation, around),
            translation=required(extrinsics, f"T_{name}", around),
        ),
    )


def _intrinsics(camera: Camera, *, with_size: bool) -> list[str]:
    if re.fullmatch(r"[\w-]+( +[\w-]+)*", camera.name) is None:
        raise InvalidValueError(
            f"camera '{camera.name}'",
            expected="a name of letters, digits, _ and -, since EasyMocap makes it part of the keys of its files",
            got=f"'{camera.name}'",
            remedy="Rename the camera, or save as rig.toml.",
        )
    if camera.lens.model == "fisheye":
        raise InvalidValueError(
            f"camera '{camera.name}', lens",
            expected="no fisheye, which EasyMocap's files cannot say",
            got="a fisheye",
            remedy="Save as rig.toml or in Anipose's format.",
        )
    matrix, coefficients = opencv_lens_values(camera, "EasyMocap's file")
    coefficients = shortened(coefficients, (5,), camera.name, "EasyMocap's file")
    size = [f"H_{camera.name}: {camera.size[1]}", f"W_{camera.name}: {camera.size[0]}"] if with_size else []
    return [
        storage_matrix(f"K_{camera.name}", matrix),
        storage_matrix(f"dist_{camera.name}", coefficients[None]),
        *size,
    ]


def _sniff(path: Path) -> bool:
    folder = path.parent if path.name in (_INTRINSICS, _EXTRINSICS) else path
    try:
        texts = [try_text(folder / name) for name in (_INTRINSICS, _EXTRINSICS)] if folder.is_dir() else [None]
    except OSError:
        return False
    return all(text is not None for text in texts) and any(yaml_kind(text or "") == "easymocap" for text in texts)


FORMAT = RigFormat(
    name="easymocap",
    description="Folder of EasyMocap or EasyVolcap with intri.yml and extri.yml; meters.",
    suffixes=(),
    sniff=_sniff,
    read=read_easymocap,
    write=write_easymocap,
)
