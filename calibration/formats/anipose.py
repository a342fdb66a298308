"""Anipose's `calibration.toml`, as aniposelib's `CameraGroup.dump` writes it; also sleap-anipose and FreeMoCap.

Sections [cam_0], [cam_1], ... with the camera's name in `name`, rotation vectors, `x_cam = R x_world + t`, OpenCV's
distortion. The unit is the one in which the board was measured; Anipose's own examples and most users take
millimeters, and that is assumed where [metadata] has no `unit`.
"""

from __future__ import annotations

from pathlib import Path

from calibration.camera import Camera
from calibration.files import write_text
from calibration.formats._camera_tables import (
    camera_tables,
    is_own,
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
from calibration.rig import Rig

__all__ = ["FORMAT", "read_anipose", "write_anipose"]


def read_anipose(path: Path) -> Rig:
    """The rig of an Anipose calibration.

    Raises:
        FileFormatError: the file is missing or broken, or a value is missing or wrong.
    """
    data = read_toml(path)
    return build_rig(path, read_cameras(path, data), stated_unit(data) or "mm", read_metadata(data))


def write_anipose(rig: Rig, path: Path) -> None:
    """Write a rig as aniposelib does; the unit is added to [metadata], where aniposelib keeps and ignores it.

    Fewer than 5 coefficients are filled with zeros.

    Raises:
        InvalidValueError: a lens has more than 5 coefficients or a skew; metadata that are not plain values.
        OutputError: the file cannot be written.
    """
    sections = {f"cam_{index}": _table(camera) for index, camera in enumerate(rig)}
    write_text(path, to_toml(sections, {**rig.metadata, "unit": rig.unit}))


def _table(camera: Camera) -> dict[str, object]:
    matrix, coefficients = opencv_lens_values(camera, "Anipose's file")
    fisheye = camera.lens.model == "fisheye"
    if not fisheye:
        coefficients = shortened(coefficients, (5,), camera.name, "Anipose's file")
    table: dict[str, object] = {
        "name": camera.name,
        "size": list(camera.size),
        "matrix": matrix.tolist(),
        "distortions": coefficients.tolist(),
        "rotation": camera.cam_from_world.rotation_vector.tolist(),
        "translation": camera.cam_from_world.translation.tolist(),
    }
    if fisheye:
        table["fisheye"] = True
    return table


def _sniff(path: Path) -> bool:
    data = try_toml(path)
    return data is not None and bool(camera_tables(data)) and not is_own(data) and not is_pose2sim(data)


FORMAT = RigFormat(
    name="anipose",
    description="calibration.toml of Anipose, sleap-anipose and FreeMoCap; in the unit of the board (mm if not said).",
    suffixes=(".toml",),
    sniff=_sniff,
    read=read_anipose,
    write=write_anipose,
    stated_unit=lambda path: stated_unit(read_toml(path)),
)
