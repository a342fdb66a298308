"""Camera parameters of Label3D and DANNCE (.mat).

Three layouts: `*_dannce.mat`, exported by Label3D (a cell `params` and `camnames`); a Label3D session (`camParams`,
`imageSize`); a folder of `hires_cam1_params.mat`, ... with K, r, t, RDistort, TDistort in each.

MATLAB's conventions are converted: vectors are rows there (x_cam = x_world r + t, K lower triangular), so matrices are
transposed; the center of the first pixel is (1, 1), so 1 is subtracted from the principal point, as MATLAB's
own cameraIntrinsicsToOpenCV does. The 2D labels of these files (`data_2d`) need the same shift by -1, which DANNCE
gives them when it loads them; then projections agree with the labels of Label3D exactly. (DANNCE does not shift K.)
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from calibration.camera import Camera
from calibration.errors import FileFormatError, SuiteWarning
from calibration.formats._label3d_writing import write_label3d
from calibration.formats._reading import (
    RawCamera,
    assumed_sizes,
    build_camera,
    build_rig,
    natural_key,
    numbers,
    required,
    smallest_size,
)
from calibration.formats.matlab import matlab_variables, read_matlab
from calibration.formats.rig_format import RigFormat
from calibration.rig import Rig

__all__ = ["FORMAT", "read_label3d", "write_label3d"]

_PARAMETERS = ("K", "r", "R", "t", "RDistort", "TDistort", "m")


def read_label3d(path: Path, *, size: tuple[int, int] | None = None) -> Rig:
    """The rig of a .mat file of Label3D or DANNCE, or of a folder of `hires_cam*_params.mat`; in millimeters.

    Cameras are called as in `camnames`; without it, Camera1, Camera2, ..., as DANNCE's folders, with a SuiteWarning
    (`hires_cam1_params.mat` is Camera1).

    Args:
        path: the file or folder.
        size: width and height of the images of all cameras. Only Label3D's sessions, and files written here, hold the
            size; else, without `size`, the smallest image around the principal point is assumed, with a SuiteWarning,
            and the cameras are named in the metadata as `assumed_image_size`.

    Raises:
        FileFormatError: a file is missing or damaged, or a value is missing or wrong.
    """
    found = _read_folder(path) if path.is_dir() else _read_file(path)
    sizes = {name: size if size is not None else parameters.get("size") for name, parameters in found.items()}
    cameras = [_camera(path, name, parameters, sizes[name]) for name, parameters in found.items()]
    metadata = assumed_sizes(path, [camera for camera in cameras if sizes[camera.name] is None])
    return build_rig(path, cameras, "mm", metadata)


def _read_folder(path: Path) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for file in _camera_files(path):
        name = _name_of_file(file)
        if name in found:
            raise FileFormatError(
                f"{path}, camera '{name}'",
                expected="one file per camera",
                got=f"a second one: {file.name}",
                remedy="Move one of them elsewhere.",
            )
        found[name] = _with_size(read_matlab(file, (*_PARAMETERS, "imageSize")))
    if not found:
        raise FileFormatError(
            path,
            expected="files such as hires_cam1_params.mat with K, r and t in them",
            got="none",
            remedy="Give the folder that DANNCE calls 'calibration'.",
        )
    return found


def _camera_files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.mat"), key=lambda file: natural_key(file.name))
    return [file for file in files if _has_camera(matlab_variables(file))]


def _has_camera(names: frozenset[str]) -> bool:
    return {"K", "t"} <= names and bool({"r", "R"} & names)


def _name_of_file(file: Path) -> str:
    numbered = re.fullmatch(r"hires_cam(\d+)_params", file.stem)
    return f"Camera{numbered[1]}" if numbered else file.stem.removesuffix("_params")


def _read_file(path: Path) -> dict[str, Mapping[str, Any]]:
    content = read_matlab(path, ("params", "camParams", "camnames", "imageSize", *_PARAMETERS))
    if _has_camera(frozenset(content)):
        return {_name_of_file(path): _with_size(content)}
    found = content.get("params", content.get("camParams"))
    structs = [found] if isinstance(found, dict) else found
    if not isinstance(structs, list) or not structs or not all(isinstance(struct, dict) for struct in structs):
        raise FileFormatError(
            path,
            expected="a cell 'params' (or 'camParams') with one struct of K, r, t, RDistort, TDistort per camera",
            got="no such variable" if found is None else "a variable of another kind",
            remedy="Export from Label3D with exportDannce, or give the folder of hires_cam*_params.mat.",
        )
    names = _names(path, content.get("camnames"), len(structs))
    sizes = content.get("imageSize")
    if isinstance(sizes, np.ndarray) and sizes.shape == (len(structs), 2):
        structs = [{**struct, "size": size[::-1]} for struct, size in zip(structs, sizes, strict=True)]
    return dict(zip(names, structs, strict=True))


def _with_size(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values of one camera with the size of its images, where the file has it (those written here do)."""
    size = content.get("imageSize")
    return {**content, "size": size.ravel()[::-1]} if isinstance(size, np.ndarray) and size.size == 2 else content


def _names(path: Path, stored: Any, count: int) -> Sequence[str]:
    if stored is None:
        names = [f"Camera{index + 1}" for index in range(count)]
        warnings.warn(
            f"{path}: no 'camnames' in it; the cameras are called {', '.join(names)}", SuiteWarning, stacklevel=2
        )
        return names
    names = [stored] if isinstance(stored, str) else stored
    # Cells of cells, as nested lists of Python become when scipy saves them
    names = [name[0] if isinstance(name, list) and len(name) == 1 else name for name in names]
    if not all(isinstance(name, str) for name in names) or len(names) != count or len(set(names)) < count:
        raise FileFormatError(
            f"{path}, camnames",
            expected=f"{count} different names, one for each camera in params",
            got=str(names)[:100],
            remedy="Correct camnames in MATLAB and save the file again.",
        )
    return names


def _camera(path: Path, name: str, parameters: Mapping[str, Any], size: Any) -> Camera:
    subject = f"{path}, camera '{name}'"
    matrix = numbers(required(parameters, "K", subject), f"{subject}, K", [(3, 3)]).T.copy()
    if matrix[2, :2].any() and not matrix[:2, 2].any():
        raise FileFormatError(
            f"{subject}, K",
            expected="the row-vector convention of Label3D, with the principal point in the last row",
            got="the column-vector convention of OpenCV",
            remedy="Transpose K and r and add 1 to the principal point, as Label3D has them, or save as OpenCV YAML.",
        )
    matrix[:2, 2] -= 1.0
    if np.any(parameters.get("m", 0.0)):
        raise FileFormatError(
            f"{subject}, m",
            expected="a camera that sees the animal directly",
            got="a mirrored view",
            remedy="Mirror its video and labels and calibrate the mirrored images.",
        )
    radial = numbers(required(parameters, "RDistort", subject), f"{subject}, RDistort", [(2,), (3,)])
    tangential = numbers(required(parameters, "TDistort", subject), f"{subject}, TDistort", [(2,)])
    rotation = required(parameters, "R" if "R" in parameters else "r", subject)
    return build_camera(
        path,
        RawCamera(
            name=name,
            size=smallest_size(subject, matrix) if size is None else size,
            camera_matrix=matrix,
            coefficients=np.concatenate([radial[:2], tangential, radial[2:]]),
            rotation=numbers(rotation, f"{subject}, r", [(3, 3)]).T,
            translation=required(parameters, "t", subject),
        ),
    )


def _sniff(path: Path) -> bool:
    if path.is_dir():
        try:
            return bool(_camera_files(path))
        except OSError:
            return False
    names = matlab_variables(path)
    return bool({"params", "camParams"} & names) or _has_camera(names)


FORMAT = RigFormat(
    name="label3d",
    description="Label3D's and DANNCE's .mat (params, or a folder of hires_cam*_params.mat); millimeters.",
    suffixes=(".mat",),
    sniff=_sniff,
    read=read_label3d,
    write=write_label3d,
)
