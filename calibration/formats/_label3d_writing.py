"""Cameras as Label3D and DANNCE have them: one .mat file with all of them, or a folder of hires_cam<n>_params.mat."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from calibration.camera import Camera
from calibration.errors import InvalidValueError
from calibration.files import atomic_path
from calibration.formats._camera_tables import shortened
from calibration.formats._folder_writing import assumed_names, check_new_folder, write_folder
from calibration.formats.units import in_unit
from calibration.rig import Rig

__all__ = ["write_label3d"]


def write_label3d(rig: Rig, path: Path) -> None:
    """Write a rig as a .mat file with `params`, `camnames` and `imageSize`, or as DANNCE's folder; in millimeters.

    A path that ends with .mat is a file. Anything else is a new folder of `hires_cam1_params.mat`, ..., which have no
    names: the cameras must be called Camera1, Camera2, ... The size of images that is only assumed is left out.

    Raises:
        InvalidValueError: a lens is a fisheye or has more than 5 coefficients, the unit is unknown, or the names do not
            fit a folder.
        OutputError: the file or folder cannot be written.
    """
    cameras = in_unit(rig, "mm", "Label3D's file").cameras
    structs = [_struct(camera) for camera in cameras]
    assumed = assumed_names(rig)
    # Rows and columns, as MATLAB's size()
    sizes = np.array([camera.size[::-1] for camera in cameras], dtype=np.float64)
    if path.suffix.lower() == ".mat":
        content: dict[str, Any] = {"params": _cells(structs), "camnames": _cells(list(rig.names))}
        if not set(rig.names) & set(assumed):
            content["imageSize"] = sizes
        _save(path, content)
        return
    check_new_folder(path)
    files: dict[str, Callable[[Path], None]] = {}
    for camera, struct, size in zip(cameras, structs, sizes, strict=True):
        content = struct if camera.name in assumed else {**struct, "imageSize": size[None]}
        files[_file_name(camera.name)] = _saver(content)
    write_folder(path, files)


def _file_name(name: str) -> str:
    numbered = re.fullmatch(r"Camera(\d+)", name)
    if numbered is None:
        raise InvalidValueError(
            f"camera '{name}'",
            expected="the names Camera1, Camera2, ... for DANNCE's folder, whose files are hires_cam1_params.mat, ...",
            got=f"'{name}'",
            remedy="Let the name of the output end with .mat: that file keeps the names. Or rename the cameras.",
        )
    return f"hires_cam{numbered[1]}_params.mat"


def _struct(camera: Camera) -> dict[str, Any]:
    """A camera with rows for columns and the first pixel at (1, 1), see `label3d`."""
    if camera.lens.model == "fisheye":
        raise InvalidValueError(
            f"camera '{camera.name}', lens",
            expected="no fisheye, which Label3D and DANNCE do not know",
            got="a fisheye",
            remedy="Save as rig.toml or in Anipose's format.",
        )
    matrix = camera.lens.camera_matrix.T.copy()
    matrix[2, :2] += 1.0
    coefficients = shortened(camera.lens.coefficients, (4, 5), camera.name, "Label3D's file")
    return {
        "K": matrix,
        "r": camera.cam_from_world.rotation.T.copy(),
        "t": camera.cam_from_world.translation[None].copy(),
        "RDistort": np.concatenate([coefficients[:2], coefficients[4:]])[None],
        "TDistort": coefficients[None, 2:4].copy(),
    }


def _cells(items: list[Any]) -> np.ndarray[Any, np.dtype[np.object_]]:
    """A cell column of MATLAB."""
    cells = np.empty((len(items), 1), dtype=object)
    cells[:, 0] = items
    return cells


def _saver(content: Mapping[str, Any]) -> Callable[[Path], None]:
    return lambda path: _save(path, content)


def _save(path: Path, content: Mapping[str, Any]) -> None:
    from scipy.io import savemat

    with atomic_path(path) as partial:
        savemat(partial, dict(content), appendmat=False)
