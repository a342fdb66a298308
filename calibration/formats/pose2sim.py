"""Pose2Sim's calibration TOML (`Calib_qualisys.toml`, `Calib_board.toml`, ...), and caliscope's export for it.

One section per camera that repeats its name, sizes written as floats, rotation vectors, `x_cam = R x_world + t`, four
or five of OpenCV's distortion coefficients, no fisheye. Lengths are meters, since OpenSim comes next.
"""

from __future__ import annotations

from pathlib import Path

from calibration.camera import Camera
from calibration.errors import InvalidValueError
from calibration.files import write_text
from calibration.formats._camera_tables import (
    is_pose2sim,
    opencv_lens_values,
    read_cameras,
    read_metadata,
    shortened,
    stated_unit,
)
from calibration.formats._reading import build_rig, read_toml, try_toml
from calibration.formats._toml_writing import to_toml
from calibration.formats.rig_format import RigFormat
from calibration.formats.units import in_unit
from calibration.rig import Rig

__all__ = ["FORMAT", "read_pose2sim", "write_pose2sim"]


def read_pose2sim(path: Path) -> Rig:
    """The rig of a Pose2Sim calibration, in meters unless [metadata] says another unit.

    Raises:
        FileFormatError: the file is missing or broken, or a value is missing or wrong.
    """
    data = read_toml(path)
    return build_rig(path, read_cameras(path, data), stated_unit(data) or "m", read_metadata(data))


def write_pose2sim(rig: Rig, path: Path) -> None:
    """Write a rig for Pose2Sim; translations are converted to meters.

    Raises:
        InvalidValueError: a lens is a fisheye or has more than 5 coefficients or a skew; the unit cannot be converted
            to meters; a camera is called 'metadata'; metadata that are not plain values.
        OutputError: the file cannot be written.
    """
    meters = in_unit(rig, "m", "Pose2Sim's file")
    if "metadata" in rig.names:
        raise InvalidValueError(
            "camera 'metadata'",
            expected="another name, since Pose2Sim's file has a section of that name",
            got="'metadata'",
            remedy="Rename the camera.",
        )
    sections = {camera.name: _table(camera) for camera in meters}
    write_text(path, to_toml(sections, {"adjusted": False, "error": 0.0, **rig.metadata}))


def _table(camera: Camera) -> dict[str, object]:
    if camera.lens.model == "fisheye":
        raise InvalidValueError(
            f"camera '{camera.name}', lens",
            expected="no fisheye, which Pose2Sim does not know",
            got="a fisheye",
            remedy="Save as rig.toml or in Anipose's format.",
        )
    matrix, coefficients = opencv_lens_values(camera, "Pose2Sim's file")
    return {
        "name": camera.name,
        "size": [float(side) for side in camera.size],
        "matrix": matrix.tolist(),
        "distortions": shortened(coefficients, (4, 5), camera.name, "Pose2Sim's file").tolist(),
        "rotation": camera.cam_from_world.rotation_vector.tolist(),
        "translation": camera.cam_from_world.translation.tolist(),
        "fisheye": False,
    }


def _sniff(path: Path) -> bool:
    data = try_toml(path)
    return data is not None and is_pose2sim(data)


FORMAT = RigFormat(
    name="pose2sim",
    description="Calibration TOML of Pose2Sim (Qualisys, Vicon, checkerboard, ...) and caliscope's export; meters.",
    suffixes=(".toml",),
    sniff=_sniff,
    read=read_pose2sim,
    write=write_pose2sim,
    stated_unit=lambda path: stated_unit(read_toml(path)),
)
