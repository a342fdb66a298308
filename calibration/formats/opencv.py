"""Camera files of OpenCV's FileStorage (YAML, XML) and of ROS.

OpenCV fixes how a matrix is stored but not what it is called, so the usual names are understood, in any case and with
or without underscores. The layouts:

- one camera per file: camera_matrix (K, M, ...), distortion_coefficients (D, dist_coeffs, ...), image_width and
  image_height (or image_size), and its pose as R or rvec with T or tvec, `x_cam = R x_world + T`;
- a folder of such files: the rig, with cameras called as their files, unless a file has a `name`;
- several cameras in one file, one mapping for each;
- a stereo pair M1 D1 M2 D2 R T (or cameraMatrix1, ...; 1 and 2, or left and right), in one file or in the two that
  OpenCV's stereo sample writes (intrinsics.yml, extrinsics.yml) in one folder. Camera 1 is the world.

Nothing says the length unit (files of this package add `unit`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from calibration.camera import Camera
from calibration.errors import FileFormatError, SuiteWarning
from calibration.formats._opencv_storage import read_storage
from calibration.formats._opencv_writing import write_opencv
from calibration.formats._reading import (
    RawCamera,
    assumed_sizes,
    build_camera,
    build_rig,
    natural_key,
    numbers,
    smallest_size,
    try_text,
)
from calibration.formats._yaml_kinds import yaml_kind
from calibration.formats.rig_format import UNKNOWN_UNIT, RigFormat
from calibration.rig import Rig

__all__ = ["FORMAT", "read_opencv", "write_opencv"]

_SUFFIXES = (".yml", ".yaml", ".xml")

# Without underscores, lower case, in the order in which they are looked for.
_MATRIX = ("cameramatrix", "intrinsicmatrix", "intrinsics", "intrinsic", "k", "m", "mtx", "cammatrix")
_COEFFICIENTS = ("distortioncoefficients", "distcoeffs", "distcoefs", "distortion", "distortions", "d", "dist")
_ROTATION = ("r", "rotationmatrix", "rotation", "rmat", "rvec", "rotationvector")
_TRANSLATION = ("t", "tvec", "translation", "translationvector")
_SIZE = ("imagesize", "imgsize", "size", "resolution")
_WIDTH = ("imagewidth", "width")
_HEIGHT = ("imageheight", "height")
_FISHEYE_NAMES = ("fisheye", "equidistant", "kannala_brandt")
_PAIRS = {"cam_1": "1", "cam_2": "2"}, {"left": "left", "right": "right"}


def read_opencv(path: Path) -> Rig:
    """The rig of a file or of a folder of files.

    A camera without a pose is left out of a rig of several with a SuiteWarning; alone, it is its own world, with a
    SuiteWarning. Where the image size is missing, the smallest one around the principal point is assumed, with a
    SuiteWarning, and the cameras are named in the metadata as `assumed_image_size`.

    Raises:
        FileFormatError: a file is missing or broken, a value is missing or wrong, or no camera is left.
    """
    if path.is_dir():
        return _read_folder(path)
    content = _normalized(read_storage(path))
    pair = _stereo_names(content)
    if pair is not None:
        return _read_stereo(path, content, pair)
    if _find(content, _MATRIX) is not None:
        return _assemble(path, {_own_name(content, path): (path, content)})
    shared = {key: value for key, value in content.items() if not isinstance(value, dict)}
    several = {key: _normalized(value) for key, value in content.items() if isinstance(value, dict)}
    cameras = {key: (path, {**shared, **inner}) for key, inner in several.items() if _find(inner, _MATRIX) is not None}
    if not cameras:
        raise FileFormatError(
            path,
            expected="a camera matrix (camera_matrix, K, M1 and M2, ...)",
            got=f"only {', '.join(map(repr, content))}",
            remedy="Check that this is the calibration of a camera, or rename its camera matrix to camera_matrix.",
        )
    return _assemble(path, cameras)


def _read_folder(path: Path) -> Rig:
    contents = {file: _normalized(read_storage(file)) for file in _files(path)}
    merged = {key: value for content in contents.values() for key, value in content.items()}
    pair = _stereo_names(merged)
    if pair is not None:
        return _read_stereo(path, merged, pair)
    cameras: dict[str, tuple[Path, dict[str, Any]]] = {}
    others = []
    for file, content in contents.items():
        if _find(content, _MATRIX) is None:
            others.append(file.name)
            continue
        name = _own_name(content, file)
        if name in cameras:
            raise FileFormatError(
                f"{path}, camera '{name}'",
                expected="every camera in one file",
                got=f"two files of it: {cameras[name][0].name}, {file.name}",
                remedy="Move one of them elsewhere, or correct the name in it.",
            )
        cameras[name] = (file, content)
    if others and cameras:
        warnings.warn(f"{path}: no camera matrix in {', '.join(others)}: left out", SuiteWarning, stacklevel=2)
    if not cameras:
        raise FileFormatError(
            path,
            expected="at least one .yml, .yaml or .xml file with a camera matrix",
            got="none" if not others else f"only {', '.join(others)}",
            remedy="Give the folder with the calibrations of the cameras.",
        )
    return _assemble(path, cameras)


def _files(folder: Path) -> list[Path]:
    found = [file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES and file.is_file()]
    return sorted(found, key=lambda file: natural_key(file.name))


def _normalized(content: Mapping[str, Any]) -> dict[str, Any]:
    """The values by their keys in lower case and without underscores; keys of mappings, which are names, stay."""
    return {
        key if isinstance(value, dict) else key.lower().replace("_", "").replace("-", ""): value
        for key, value in content.items()
    }


def _find(content: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        value = content.get(name)
        if value is not None and not isinstance(value, dict):
            return value
    return None


def _own_name(content: Mapping[str, Any], file: Path) -> str:
    # ROS has a `camera_name`, but it is 'narrow_stereo' for everyone who did not set it.
    name = content.get("name")
    return name if isinstance(name, str) and name.strip() else file.stem


def _assemble(path: Path, found: Mapping[str, tuple[Path, Mapping[str, Any]]]) -> Rig:
    placed = _with_pose(path, found)
    sizes = {name: _size(content) for name, (_, content) in placed.items()}
    cameras = [_camera(file, name, content, sizes[name]) for name, (file, content) in placed.items()]
    units = {content["unit"] for _, content in found.values() if isinstance(content.get("unit"), str)}
    if len(units) > 1:
        raise FileFormatError(
            path, expected="one length unit", got=", ".join(sorted(units)), remedy="Convert the cameras to one unit."
        )
    metadata = assumed_sizes(path, [camera for camera in cameras if sizes[camera.name] is None])
    return build_rig(path, cameras, units.pop() if units else UNKNOWN_UNIT, metadata)


def _with_pose(
    path: Path, found: Mapping[str, tuple[Path, Mapping[str, Any]]]
) -> Mapping[str, tuple[Path, Mapping[str, Any]]]:
    """The cameras that have a pose; a single camera without one gets that of the world."""
    placed = {name: entry for name, entry in found.items() if _has_pose(entry[1])}
    without = ", ".join(name for name in found if name not in placed)
    if not without:
        return placed
    if len(found) == 1:
        warnings.warn(
            f"{path}: camera '{without}' has no pose (R and T); its own frame is taken as the world",
            SuiteWarning,
            stacklevel=2,
        )
        return {name: (file, {**content, "r": np.eye(3), "t": np.zeros(3)}) for name, (file, content) in found.items()}
    if not placed:
        raise FileFormatError(
            path,
            expected="at least one camera with a pose (R and T)",
            got=f"none in {without}",
            remedy="Calibrate the cameras together and write R and T of each into its file.",
        )
    warnings.warn(f"{path}: cameras without a pose (R and T) left out: {without}", SuiteWarning, stacklevel=2)
    return placed


def _has_pose(content: Mapping[str, Any]) -> bool:
    # A rotation alone is not a pose: in ROS files R is the rectification.
    return _find(content, _TRANSLATION) is not None


def _camera(file: Path, name: str, content: Mapping[str, Any], size: object) -> Camera:
    subject = f"{file}, camera '{name}'"
    matrix = numbers(_find(content, _MATRIX), f"{subject}, camera matrix", [(3, 3), (9,)]).reshape(3, 3)
    values = {"distortion coefficients": _COEFFICIENTS, "rotation": _ROTATION, "translation": _TRANSLATION}
    raw = {}
    for what, names in values.items():
        raw[what] = _find(content, names)
        if raw[what] is None:
            raise FileFormatError(
                subject,
                expected=f"{what}, called {' or '.join(names)}",
                got=f"only {', '.join(content)}",
                remedy="Add them under one of these names.",
            )
    return build_camera(
        file,
        RawCamera(
            name=name,
            size=smallest_size(subject, matrix) if size is None else size,
            camera_matrix=matrix,
            coefficients=raw["distortion coefficients"],
            rotation=raw["rotation"],
            translation=raw["translation"],
            fisheye=_is_fisheye(content),
        ),
    )


def _size(content: Mapping[str, Any]) -> object:
    width, height = _find(content, _WIDTH), _find(content, _HEIGHT)
    if width is not None and height is not None:
        return [width, height]
    return _find(content, _SIZE)


def _is_fisheye(content: Mapping[str, Any]) -> bool:
    model = content.get("distortionmodel", content.get("cameramodel"))
    if isinstance(model, str):
        return model.lower() in _FISHEYE_NAMES
    return content.get("fisheyemodel", content.get("fisheye")) in (1, True)


def _stereo_names(content: Mapping[str, Any]) -> dict[str, str] | None:
    """Camera name -> suffix of its keys, None if this is not a stereo pair."""
    for pair in _PAIRS:
        # k1 and k2 may be coefficients of one lens, so only matrices count.
        matrices = [_find(content, _with_suffix(_MATRIX, suffix)) for suffix in pair.values()]
        if all(isinstance(matrix, np.ndarray | list) for matrix in matrices):
            return pair
    return None


def _with_suffix(names: tuple[str, ...], suffix: str) -> tuple[str, ...]:
    return tuple(f"{name}{suffix}" for name in names)


def _read_stereo(path: Path, content: Mapping[str, Any], pair: Mapping[str, str]) -> Rig:
    if not _has_pose(content) or _find(content, _ROTATION) is None:
        raise FileFormatError(
            path,
            expected="R and T, from camera 1 to camera 2, beside the two camera matrices",
            got=f"only {', '.join(content)}",
            remedy="Give the folder that has OpenCV's intrinsics.yml and extrinsics.yml, or one file with all of it.",
        )
    first, second = pair
    shared = {key: value for key, value in content.items() if not isinstance(value, dict)}
    found: dict[str, tuple[Path, Mapping[str, Any]]] = {}
    for name, suffix in pair.items():
        own = {
            names[0]: value
            for names in (_MATRIX, _COEFFICIENTS, _SIZE, _WIDTH, _HEIGHT)
            if (value := _find(content, _with_suffix(names, suffix))) is not None
        }
        # Distortion of one camera must not stand in for the other's.
        common = {key: value for key, value in shared.items() if key not in (*_MATRIX, *_COEFFICIENTS)}
        found[name] = (path, {**common, **own})
    found[first] = (path, {**found[first][1], "r": np.eye(3), "t": np.zeros(3)})
    rotation, translation = _find(content, _ROTATION), _find(content, _TRANSLATION)
    found[second] = (path, {**found[second][1], "r": rotation, "t": translation})
    return _assemble(path, found)


def _sniff(path: Path) -> bool:
    if path.is_dir():
        try:
            return any(_sniff(file) for file in _files(path))
        except OSError:
            return False
    text = try_text(path) if path.suffix.lower() in _SUFFIXES else None
    if text is None or yaml_kind(text) is not None:
        return False
    names = [name for suffix in ("", "1", "left") for name in _with_suffix(_MATRIX, suffix)]
    keys = {word.lower().replace("_", "").replace("-", "") for word in _keys(text)}
    return bool(keys & set(names))


def _keys(text: str) -> list[str]:
    """What looks like a key of YAML or a tag of XML; also in files that break off, whose error the reader then says."""
    return re.findall(r"^\s*(?:- )?[\"']?([A-Za-z_][\w-]*)[\"']?\s*:", text, re.MULTILINE) + re.findall(r"<(\w+)", text)


def _stated_unit(path: Path) -> str | None:
    with warnings.catch_warnings():
        # They were given when the rig was read.
        warnings.simplefilter("ignore", SuiteWarning)
        unit = read_opencv(path).unit
    return None if unit == UNKNOWN_UNIT else unit


FORMAT = RigFormat(
    name="opencv",
    description="YAML or XML of OpenCV's FileStorage and ROS, a folder with a file per camera, or a stereo pair.",
    suffixes=_SUFFIXES,
    sniff=_sniff,
    read=read_opencv,
    write=write_opencv,
    stated_unit=_stated_unit,
)
