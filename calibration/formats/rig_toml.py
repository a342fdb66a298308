"""`rig.toml`, the own format: what Anipose's calibration file has, and all that it lacks.

One section [cam_0], [cam_1], ... per camera with the keys of Anipose (name, size, matrix, distortions, rotation,
translation, fisheye = true for fisheye lenses), so that Anipose, EKS and Lightning Pose read it through aniposelib. It
adds `rotation_matrix`, since a rotation does not survive the way to a rotation vector and back to the last bit, and
in [metadata] the format, its version, the length unit and the metadata of the rig.
"""

from __future__ import annotations

from pathlib import Path

from calibration.camera import Camera
from calibration.errors import FileFormatError, InvalidValueError
from calibration.files import write_text
from calibration.formats._camera_tables import OWN_FORMAT, is_own, read_cameras, read_metadata, stated_unit
from calibration.formats._reading import build_rig, read_toml, try_toml
from calibration.formats._toml_writing import to_toml
from calibration.formats.rig_format import RigFormat
from calibration.rig import Rig

__all__ = ["FORMAT", "read_rig_toml", "write_rig_toml"]

_VERSION = 1
_HEADER_KEYS = ("format", "format_version", "unit")


def read_rig_toml(path: Path) -> Rig:
    """The rig of a `rig.toml`, equal to the last bit to the one that was written.

    Raises:
        FileFormatError: the file is missing, broken, of a newer version, or a value is missing or wrong.
    """
    data = read_toml(path)
    if not is_own(data):
        raise FileFormatError(
            path,
            expected=f"[metadata] with format = '{OWN_FORMAT}'",
            got="a TOML file without it",
            remedy="Leave out the format, so that it is detected, or name another one.",
        )
    version = data["metadata"].get("format_version")
    if version != _VERSION:
        raise FileFormatError(
            f"{path}, format_version",
            expected=f"{_VERSION}",
            got=repr(version),
            remedy="Update this package if the file was written by a newer one.",
        )
    unit = stated_unit(data)
    if unit is None:
        raise FileFormatError(
            f"{path}, [metadata]",
            expected="the length unit, as unit = 'mm'",
            got=repr(data["metadata"].get("unit")),
            remedy="Add it.",
        )
    return build_rig(path, read_cameras(path, data), unit, read_metadata(data, without=_HEADER_KEYS))


def write_rig_toml(rig: Rig, path: Path) -> None:
    """Write a rig without any loss.

    Raises:
        InvalidValueError: the metadata hold values that are not plain, or a key that the format itself uses.
        OutputError: the file cannot be written.
    """
    taken = [key for key in _HEADER_KEYS if key in rig.metadata]
    if taken:
        raise InvalidValueError(
            "rig, metadata",
            expected=f"other keys than {', '.join(_HEADER_KEYS)}, which rig.toml uses itself",
            got=", ".join(taken),
            remedy="Rename these keys.",
        )
    # aniposelib sorts the sections by name; digits are filled so that cam_10 comes after cam_02 there, too.
    digits = len(str(len(rig) - 1))
    sections = {f"cam_{index:0{digits}d}": _table(camera) for index, camera in enumerate(rig)}
    header = {"format": OWN_FORMAT, "format_version": _VERSION, "unit": rig.unit}
    write_text(path, to_toml(sections, {**header, **rig.metadata}))


def _table(camera: Camera) -> dict[str, object]:
    pose = camera.cam_from_world
    table: dict[str, object] = {
        "name": camera.name,
        "size": list(camera.size),
        "matrix": camera.lens.camera_matrix.tolist(),
        "distortions": camera.lens.coefficients.tolist(),
        "rotation": pose.rotation_vector.tolist(),
        "rotation_matrix": pose.rotation.tolist(),
        "translation": pose.translation.tolist(),
    }
    if camera.lens.model == "fisheye":
        table["fisheye"] = True
    return table


def _sniff(path: Path) -> bool:
    data = try_toml(path)
    return data is not None and is_own(data)


FORMAT = RigFormat(
    name="rig-toml",
    description="rig.toml of this package: Anipose's file plus unit, exact rotations and all lens models.",
    suffixes=(".toml",),
    sniff=_sniff,
    read=read_rig_toml,
    write=write_rig_toml,
    stated_unit=lambda path: stated_unit(read_toml(path)),
)
