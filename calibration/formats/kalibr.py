"""Kalibr's `camchain.yaml` (and `camchain-imucam.yaml`): cameras in a chain, meters.

[cam0], [cam1], ... with `camera_model: pinhole`, `intrinsics: [fu, fv, pu, pv]`, `distortion_model` radtan (OpenCV's
k1, k2, p1, p2), equidistant (OpenCV's fisheye) or none, `resolution: [width, height]` and `T_cn_cnm1`, which takes
points of the previous camera to this one. Where every camera has a `T_cam_imu`, the IMU is the world, else cam0.
Source: Kalibr's wiki, pages "YAML formats" and "Supported models". Other camera models (omni, ds, eucm) and the FOV
distortion are none of this package's lenses and are refused.

Kalibr calls cameras by their place. The name is taken from `rostopic` where that is /NAME/image_raw, else it is cam0,
...
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.errors import FileFormatError, InvalidValueError
from calibration.files import write_text
from calibration.formats._camera_tables import opencv_lens_values, shortened
from calibration.formats._folder_writing import check_sizes
from calibration.formats._opencv_writing import quoted
from calibration.formats._reading import (
    RawCamera,
    build_camera,
    build_pose,
    build_rig,
    numbers,
    read_text,
    required,
    try_text,
)
from calibration.formats._yaml_kinds import yaml_kind
from calibration.formats._yaml_subset import parse_yaml
from calibration.formats.rig_format import RigFormat
from calibration.formats.units import in_unit
from calibration.rig import Rig
from calibration.transforms import RigidTransform

__all__ = ["FORMAT", "read_kalibr", "write_kalibr"]

_FISHEYE = {"radtan": False, "plumb_bob": False, "none": False, "equidistant": True, "equi": True}
_TOPIC = re.compile(r"/([^/]+)/image_raw")


def read_kalibr(path: Path) -> Rig:
    """The rig of a camera chain, in meters.

    Raises:
        FileFormatError: the file is missing or broken, a value is missing or wrong, or a lens is of another model.
    """
    content = parse_yaml(read_text(path), str(path))
    tables = _tables(content)
    if not tables:
        raise FileFormatError(
            path,
            expected="cam0, cam1, ... with camera_model, intrinsics, distortion_coeffs and resolution",
            got=f"only {', '.join(map(repr, content))}"[:100] if isinstance(content, dict) else "no named values",
            remedy="Give the camchain.yaml that Kalibr wrote, or name the file's format.",
        )
    names = _names(tables)
    from_body = all("T_cam_imu" in table for table in tables.values())
    cameras: list[Camera] = []
    previous = RigidTransform.identity()
    for index, (key, table) in enumerate(tables.items()):
        subject = f"{path}, camera '{key}'"
        if from_body:
            pose = _pose(table, "T_cam_imu", subject)
        elif index == 0:
            pose = previous
        else:
            pose = _pose(table, "T_cn_cnm1", subject) @ previous
        previous = pose
        cameras.append(_camera(path, key, names[key], table, pose))
    return build_rig(path, cameras, "m")


def write_kalibr(rig: Rig, path: Path) -> None:
    """Write a rig as a camera chain, in meters.

    Kalibr's world is its first camera. Where the rig's is another one, it is kept as `T_cam_imu`, the pose of a body
    that the cameras are fixed to; programs that need no IMU pass over it.

    Raises:
        InvalidValueError: a lens has a skew or more than 4 coefficients, a name has a slash, or the unit is unknown.
        OutputError: the file cannot be written.
    """
    check_sizes(rig, path)
    cameras = in_unit(rig, "m", "Kalibr's file").cameras
    own_world = cameras[0].cam_from_world == RigidTransform.identity()
    lines = []
    for index, camera in enumerate(cameras):
        previous = cameras[index - 1].cam_from_world if index else None
        lines += _lines(index, camera, previous, body=not own_world)
    write_text(path, "\n".join([*lines, ""]))


def _tables(content: Any) -> dict[str, Mapping[str, Any]]:
    """The cameras, cam2 before cam10."""
    found = content.items() if isinstance(content, dict) else ()
    keys = [key for key, value in found if re.fullmatch(r"cam\d+", key) and isinstance(value, dict)]
    return {key: content[key] for key in sorted(keys, key=lambda key: int(key[3:]))}


def _names(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    topics = {key: _TOPIC.fullmatch(str(table.get("rostopic", ""))) for key, table in tables.items()}
    names = {key: key if topic is None else topic[1] for key, topic in topics.items()}
    return names if len(set(names.values())) == len(names) else {key: key for key in tables}


def _pose(table: Mapping[str, Any], key: str, subject: str) -> RigidTransform:
    matrix = numbers(required(table, key, subject), f"{subject}, {key}", [(4, 4)])
    if not np.allclose(matrix[3], [0.0, 0.0, 0.0, 1.0]):
        raise FileFormatError(
            f"{subject}, {key}", expected="0, 0, 0, 1 in the last row", got=str(matrix[3]), remedy="Correct the file."
        )
    return build_pose(matrix[:3, :3], matrix[:3, 3], f"{subject}, {key}")


def _camera(path: Path, key: str, name: str, table: Mapping[str, Any], pose: RigidTransform) -> Camera:
    subject = f"{path}, camera '{key}'"
    model = required(table, "camera_model", subject)
    if model != "pinhole":
        raise FileFormatError(
            f"{subject}, camera_model",
            expected="pinhole",
            got=repr(model),
            remedy="Calibrate this camera in Kalibr as pinhole-radtan, or pinhole-equi for a wide lens.",
        )
    distortion = table.get("distortion_model", "none")
    if distortion not in _FISHEYE:
        raise FileFormatError(
            f"{subject}, distortion_model",
            expected="radtan, equidistant or none",
            got=repr(distortion),
            remedy="Calibrate this camera in Kalibr as pinhole-radtan, or pinhole-equi for a wide lens.",
        )
    fu, fv, pu, pv = numbers(required(table, "intrinsics", subject), f"{subject}, intrinsics", [(4,)])
    coefficients = () if distortion == "none" else required(table, "distortion_coeffs", subject)
    return build_camera(
        path,
        RawCamera(
            name=name,
            size=required(table, "resolution", subject),
            camera_matrix=np.array([[fu, 0.0, pu], [0.0, fv, pv], [0.0, 0.0, 1.0]]),
            coefficients=np.zeros(0) if distortion == "none" else coefficients,
            rotation=pose.rotation,
            translation=pose.translation,
            fisheye=_FISHEYE[distortion],
        ),
    )


def _lines(index: int, camera: Camera, previous: RigidTransform | None, *, body: bool) -> list[str]:
    if "/" in camera.name:
        raise InvalidValueError(
            f"camera '{camera.name}'",
            expected="a name without a slash, since Kalibr keeps it in the name of a ROS topic",
            got=f"'{camera.name}'",
            remedy="Rename the camera, or save as rig.toml.",
        )
    matrix, coefficients = opencv_lens_values(camera, "Kalibr's file")
    fisheye = camera.lens.model == "fisheye"
    if not fisheye:
        coefficients = shortened(coefficients, (4,), camera.name, "Kalibr's file")
    pose = camera.cam_from_world
    lines = [f"cam{index}:"]
    if body:
        lines += _matrix("T_cam_imu", pose.matrix)
    if previous is not None:
        lines += _matrix("T_cn_cnm1", (pose @ previous.inverse()).matrix)
    return [
        *lines,
        "  camera_model: pinhole",
        f"  intrinsics: {[*np.diag(matrix)[:2].tolist(), *matrix[:2, 2].tolist()]}",
        f"  distortion_model: {'equidistant' if fisheye else 'radtan'}",
        f"  distortion_coeffs: {coefficients.tolist()}",
        f"  resolution: {list(camera.size)}",
        f"  rostopic: {quoted(f'/{camera.name}/image_raw')}",
    ]


def _matrix(key: str, matrix: NDArray[np.float64]) -> list[str]:
    return [f"  {key}:", *(f"  - {row}" for row in matrix.tolist())]


def _sniff(path: Path) -> bool:
    text = try_text(path) if path.suffix.lower() in (".yaml", ".yml") else None
    return text is not None and yaml_kind(text) == "kalibr"


FORMAT = RigFormat(
    name="kalibr",
    description="camchain.yaml of Kalibr, with or without IMU; meters.",
    suffixes=(".yaml", ".yml"),
    sniff=_sniff,
    read=read_kalibr,
    write=write_kalibr,
)
