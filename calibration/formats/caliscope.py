"""caliscope's `camera_array.toml`, and the `config.toml` of its first versions and of pyxy3d.

Tables [cameras.0], [cameras.1], ... (older: [cam_0], ... with a `cam_id` or `port` in them), meters,
`x_cam = R x_world + t`. The rotation is a matrix in old files and a rotation vector in new ones. A camera that was
never placed has no rotation and translation; older versions write the text "null" for what is missing.

Cameras are called cam_<id>, as caliscope calls its videos and its cameras in exports. `rotation_count` says how
frames are turned for display; calibration and 2D points belong to the frames as recorded (their points agree with the
calibration so, also for turned cameras), so it is kept in the metadata and changes nothing.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from calibration.camera import Camera
from calibration.errors import FileFormatError, SuiteWarning
from calibration.files import write_text
from calibration.formats._camera_tables import opencv_lens_values, shortened
from calibration.formats._folder_writing import check_sizes
from calibration.formats._reading import RawCamera, build_camera, build_rig, natural_key, read_toml, required, try_toml
from calibration.formats.rig_format import RigFormat
from calibration.formats.units import in_unit
from calibration.rig import Rig

__all__ = ["FORMAT", "read_caliscope", "write_caliscope"]


def read_caliscope(path: Path) -> Rig:
    """The rig of a caliscope camera array; cameras without a lens or a place are left out with a SuiteWarning.

    Metadata: `error` and `rotation_count` per camera, as far as the file has them.

    Raises:
        FileFormatError: the file is missing or broken, a value is missing or wrong, or no camera is calibrated.
    """
    data = read_toml(path)
    tables = _camera_tables(data)
    if not tables:
        raise FileFormatError(
            path,
            expected="tables such as [cameras.0] with size, matrix, distortions, rotation and translation",
            got=f"only {', '.join(map(repr, data)) or 'nothing'}",
            remedy="Give caliscope's camera_array.toml, or name the file's format.",
        )
    cameras: list[Camera] = []
    left_out: list[str] = []
    for name, table in tables:
        reason = _reason_to_leave_out(table)
        if reason is None:
            cameras.append(_read_camera(path, name, table))
        else:
            left_out.append(f"'{name}' ({reason})")
    if left_out and cameras:
        warnings.warn(f"{path}: cameras left out: {', '.join(left_out)}", SuiteWarning, stacklevel=2)
    if not cameras:
        raise FileFormatError(
            path,
            expected="at least one camera with a lens and a place",
            got=", ".join(left_out),
            remedy="Finish the calibration in caliscope.",
        )
    used = {camera.name for camera in cameras}
    metadata: dict[str, object] = {}
    for key in ("error", "rotation_count"):
        values = {
            name: table[key] for name, table in tables if name in used and isinstance(table.get(key), int | float)
        }
        if values:
            metadata[key] = values
    return build_rig(path, cameras, "m", metadata)


def write_caliscope(rig: Rig, path: Path) -> None:
    """Write a rig as caliscope's `camera_array.toml`, in meters.

    caliscope calls cameras by number: cam_3 keeps its 3. Where a name is of another kind, the cameras are numbered in
    the order of the rig, with a SuiteWarning. `error` and `rotation_count` are written where the metadata have them.

    Raises:
        InvalidValueError: a lens has more than 5 coefficients or a skew; the unit is unknown.
        OutputError: the file cannot be written.
    """
    check_sizes(rig, path)
    tables: dict[str, dict[str, object]] = {}
    numbers_of = _numbers_of(rig, path)
    for camera in in_unit(rig, "m", "caliscope's file"):
        matrix, coefficients = opencv_lens_values(camera, "caliscope's file")
        fisheye = camera.lens.model == "fisheye"
        if not fisheye:
            coefficients = shortened(coefficients, (5,), camera.name, "caliscope's file")
        tables[str(numbers_of[camera.name])] = {
            "cam_id": numbers_of[camera.name],
            "size": list(camera.size),
            "rotation_count": _kept(rig, "rotation_count", camera.name, 0),
            "error": _kept(rig, "error", camera.name, 0.0),
            "matrix": matrix.tolist(),
            "distortions": coefficients.tolist(),
            "translation": camera.cam_from_world.translation.tolist(),
            "rotation": camera.cam_from_world.rotation_vector.tolist(),
            "ignore": False,
            "fisheye": fisheye,
        }
    write_text(path, tomli_w.dumps({"cameras": tables}))


def _numbers_of(rig: Rig, path: Path) -> dict[str, int]:
    found = [re.fullmatch(r"cam_(0|[1-9]\d{0,8})", name) for name in rig.names]
    if all(found):
        return {name: int(name.removeprefix("cam_")) for name in rig.names}
    numbered = {name: number for number, name in enumerate(rig.names)}
    warnings.warn(
        f"{path}: caliscope calls cameras by number: "
        + ", ".join(f"'{name}' becomes cam_{number}" for name, number in numbered.items()),
        SuiteWarning,
        stacklevel=4,
    )
    return numbered


def _kept(rig: Rig, key: str, name: str, default: float) -> object:
    values = rig.metadata.get(key)
    value = values.get(name, default) if isinstance(values, Mapping) else default
    return value if isinstance(value, int | float) else default


def _camera_tables(data: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Names and tables of the cameras, cam_2 before cam_10."""
    nested = data.get("cameras")
    found: list[tuple[str, dict[str, Any]]] = []
    if isinstance(nested, dict):
        found = [(f"cam_{key.removeprefix('cam_')}", table) for key, table in nested.items() if isinstance(table, dict)]
    else:
        for table in data.values():
            if isinstance(table, dict) and "name" not in table:
                identifier = table.get("cam_id", table.get("port"))
                if isinstance(identifier, int):
                    found.append((f"cam_{identifier}", table))
    return sorted(found, key=lambda pair: natural_key(pair[0]))


def _reason_to_leave_out(table: Mapping[str, Any]) -> str | None:
    if table.get("ignore") is True:
        return "marked to be ignored"
    for key in ("matrix", "distortions", "rotation", "translation"):
        # "null" is what old versions wrote for what is not there.
        if table.get(key, "null") == "null":
            return f"without {key}"
    return None


def _read_camera(path: Path, name: str, table: Mapping[str, Any]) -> Camera:
    return build_camera(
        path,
        RawCamera(
            name=name,
            size=required(table, "size", f"{path}, camera '{name}'"),
            camera_matrix=table["matrix"],
            coefficients=table["distortions"],
            rotation=table["rotation"],
            translation=table["translation"],
            fisheye=table.get("fisheye") is True,
        ),
    )


def _sniff(path: Path) -> bool:
    data = try_toml(path)
    return data is not None and bool(_camera_tables(data))


FORMAT = RigFormat(
    name="caliscope",
    description="camera_array.toml of caliscope (and config.toml of its first versions and of pyxy3d); meters.",
    suffixes=(".toml",),
    sniff=_sniff,
    read=read_caliscope,
    write=write_caliscope,
)
