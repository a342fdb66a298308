"""COLMAP's text model: a folder with `cameras.txt` and `images.txt`.

`images.txt` has cam_from_world as a quaternion (w, x, y, z) and a translation, `cameras.txt` the lens. The center of
the top-left pixel is (0.5, 0.5) in COLMAP, so 0.5 is subtracted from the principal point when a model is read and added
when one is written. The unit is nowhere; the files written here say it in a comment, which COLMAP passes over. Source:
COLMAP's documentation, "Output Format" and "Camera Models".

An image is a camera here: of a rig that does not move, every image of one moment, or several images of one camera at
the same pose. Names are those of the images without ending, or of their folders where these tell them apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from scipy.spatial.transform import Rotation

from calibration.camera import Camera
from calibration.errors import FileFormatError, InvalidValueError
from calibration.formats._camera_tables import opencv_lens_values, shortened
from calibration.formats._folder_writing import check_new_folder, check_sizes, write_folder
from calibration.formats._reading import RawCamera, build_camera, build_rig, read_text, try_text
from calibration.formats.rig_format import UNKNOWN_UNIT, RigFormat
from calibration.rig import Rig

__all__ = ["FORMAT", "read_colmap", "write_colmap"]

_CAMERAS, _IMAGES, _POINTS = "cameras.txt", "images.txt", "points3D.txt"
_HALF_PIXEL = 0.5

# Model: names of its parameters in the order of the file. One `f` stands for both focal lengths; the coefficients that
# a model lacks are 0. The models of fisheye lenses are OpenCV's, with fewer coefficients.
_MODELS: Mapping[str, tuple[str, ...]] = {
    "SIMPLE_PINHOLE": ("f", "cx", "cy"),
    "PINHOLE": ("fx", "fy", "cx", "cy"),
    "SIMPLE_RADIAL": ("f", "cx", "cy", "k1"),
    "RADIAL": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2"),
    "FULL_OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "SIMPLE_FISHEYE": ("f", "cx", "cy"),
    "FISHEYE": ("fx", "fy", "cx", "cy"),
    "SIMPLE_RADIAL_FISHEYE": ("f", "cx", "cy", "k1"),
    "RADIAL_FISHEYE": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV_FISHEYE": ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4"),
}
_COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
_FISHEYE_COEFFICIENTS = ("k1", "k2", "k3", "k4")
_IDENTIFIER = re.compile(r"\d{1,18}")


@dataclass(frozen=True)
class _Lens:
    size: tuple[int, int]
    matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]]
    coefficients: list[float]
    fisheye: bool


@dataclass(frozen=True)
class _Image:
    name: PurePosixPath
    camera: str
    pose: tuple[float, ...]


def read_colmap(path: Path) -> Rig:
    """The rig of a text model (its folder, or `cameras.txt` or `images.txt` in it).

    Raises:
        FileFormatError: a file is missing or broken, a lens is of another model, or two images have the same name.
    """
    folder = path.parent if path.name in (_CAMERAS, _IMAGES) else path
    if not folder.is_dir() or not (folder / _CAMERAS).is_file() or not (folder / _IMAGES).is_file():
        binary = folder.is_dir() and (folder / "cameras.bin").is_file()
        raise FileFormatError(
            path,
            expected=f"a folder with {_CAMERAS} and {_IMAGES}",
            got="a binary model (cameras.bin)" if binary else "no such pair of files",
            remedy="Convert it with: colmap model_converter --output_type TXT"
            if binary
            else "Give the folder of the sparse model that COLMAP exported as text.",
        )
    lenses = _read_lenses(folder / _CAMERAS)
    images = _read_images(folder / _IMAGES)
    cameras = []
    for name, image in zip(_names(images), images, strict=True):
        lens = lenses.get(image.camera)
        if lens is None:
            raise FileFormatError(
                f"{folder / _IMAGES}, image '{image.name}'",
                expected=f"a CAMERA_ID that is in {_CAMERAS}",
                got=image.camera,
                remedy="Export the model again, both files at once.",
            )
        cameras.append(_camera(folder, name, lens, image))
    return build_rig(path, cameras, _stated_unit(path) or UNKNOWN_UNIT)


def write_colmap(rig: Rig, path: Path) -> None:
    """Write a rig as a new folder with a text model that has an image `<camera>.png` per camera and no points.

    Lenses become PINHOLE, OPENCV, FULL_OPENCV or OPENCV_FISHEYE, the first that holds them.

    Raises:
        InvalidValueError: a lens has a skew or more than 8 coefficients, or a name has a space or a slash.
        OutputError: the folder exists and is not empty, or cannot be written.
    """
    check_new_folder(path, "COLMAP would mix them with the new model")
    check_sizes(rig, path)
    cameras, images = [], []
    for number, camera in enumerate(rig, start=1):
        if re.search(r"[\s/\\]", camera.name):
            raise InvalidValueError(
                f"camera '{camera.name}'",
                expected="a name without spaces and slashes, where COLMAP ends the name of an image",
                got=f"'{camera.name}'",
                remedy="Rename the camera, or save as rig.toml.",
            )
        cameras.append(f"{number} {_lens_line(camera)}")
        x, y, z, w = Rotation.from_matrix(camera.cam_from_world.rotation).as_quat().tolist()
        pose = " ".join(map(repr, (w, x, y, z, *camera.cam_from_world.translation.tolist())))
        # COLMAP drops an image whose line of points is missing, also where there are none.
        images += [f"{number} {pose} {number} {camera.name}.png", ""]
    unit = f"# unit: {rig.unit}"
    write_folder(
        path,
        {
            _CAMERAS: "\n".join(["# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]", unit, *cameras, ""]),
            _IMAGES: "\n".join(
                [
                    "# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME",
                    "# POINTS2D[] as (X, Y, POINT3D_ID)",
                    unit,
                    *images,
                    "",
                ]
            ),
            _POINTS: "# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[] as (IMAGE_ID, POINT2D_IDX)\n",
        },
    )


def _broken(file: Path, number: int, expected: str, line: str) -> FileFormatError:
    return FileFormatError(
        f"{file}, line {number}",
        expected=expected,
        got=repr(line if len(line) <= 80 else f"{line[:77]}..."),
        remedy="Correct this line, or export the model again if the file was cut off.",
    )


def _read_lenses(file: Path) -> dict[str, _Lens]:
    lenses: dict[str, _Lens] = {}
    for number, raw in enumerate(read_text(file).splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        words = line.split()
        if len(words) < 4 or not all(_IDENTIFIER.fullmatch(words[place]) for place in (0, 2, 3)):
            raise _broken(file, number, "CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]", line)
        parameters = _MODELS.get(words[1])
        if parameters is None:
            raise _broken(file, number, f"one of the models {', '.join(_MODELS)}, which this package has", line)
        values = _floats(words[4:])
        if values is None or len(values) != len(parameters):
            raise _broken(file, number, f"{len(parameters)} numbers {', '.join(parameters)} for {words[1]}", line)
        if words[0] in lenses:
            raise _broken(file, number, f"the CAMERA_ID {words[0]} only once", line)
        lenses[words[0]] = _lens(words[1], (int(words[2]), int(words[3])), dict(zip(parameters, values, strict=True)))
    if not lenses:
        raise FileFormatError(
            file, expected="at least one camera", got="none", remedy="Export the model again from COLMAP."
        )
    return lenses


def _lens(model: str, size: tuple[int, int], values: Mapping[str, float]) -> _Lens:
    fx, fy = values.get("fx", values.get("f", 0.0)), values.get("fy", values.get("f", 0.0))
    cx, cy = values["cx"] - _HALF_PIXEL, values["cy"] - _HALF_PIXEL
    fisheye = model.endswith("FISHEYE")
    names = _FISHEYE_COEFFICIENTS if fisheye else _COEFFICIENTS
    used = [name for name in names if name in values]
    # OpenCV's counts: 4 for fisheye lenses, else 0, 4 or 8.
    count = 4 if fisheye or 0 < len(used) <= 4 else len(used)
    matrix = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    return _Lens(size, matrix, [values.get(name, 0.0) for name in names[:count]], fisheye)


def _read_images(file: Path) -> list[_Image]:
    """The images, each of which is followed by a line with its points, which may be empty."""
    images: list[_Image] = []
    lines = enumerate(read_text(file).splitlines(), start=1)
    for number, raw in lines:
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        words = line.split()
        pose = _floats(words[1:8])
        if len(words) < 10 or pose is None or not all(_IDENTIFIER.fullmatch(words[place]) for place in (0, 8)):
            raise _broken(file, number, "IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME", line)
        if not np.isfinite(pose).all() or not 0.5 < np.linalg.norm(pose[:4]) < 2.0:
            raise _broken(file, number, "a quaternion QW, QX, QY, QZ of length 1, and finite numbers", line)
        images.append(_Image(PurePosixPath(" ".join(words[9:])), words[8], tuple(pose)))
        next(lines, None)  # the points of this image
    if not images:
        raise FileFormatError(
            file, expected="at least one image", got="none", remedy="Export the model again from COLMAP."
        )
    # Several images of a camera that does not move are one.
    return list({(image.camera, image.pose): image for image in reversed(images)}.values())[::-1]


def _names(images: Sequence[_Image]) -> list[str]:
    folders = [image.name.parent.as_posix() for image in images]
    if len(images) > 1 and "." not in folders and len(set(folders)) == len(folders):
        return folders
    stems = [image.name.stem for image in images]
    return stems if len(set(stems)) == len(stems) else [image.name.with_suffix("").as_posix() for image in images]


def _camera(folder: Path, name: str, lens: _Lens, image: _Image) -> Camera:
    w, x, y, z, *translation = image.pose
    return build_camera(
        folder,
        RawCamera(
            name=name,
            size=list(lens.size),
            camera_matrix=lens.matrix,
            coefficients=np.array(lens.coefficients),
            rotation=Rotation.from_quat([x, y, z, w]).as_matrix(),
            translation=translation,
            fisheye=lens.fisheye,
        ),
    )


def _lens_line(camera: Camera) -> str:
    matrix, coefficients = opencv_lens_values(camera, "COLMAP's file")
    if camera.lens.model == "fisheye":
        model = "OPENCV_FISHEYE"
    else:
        coefficients = shortened(coefficients, (0, 4, 8), camera.name, "COLMAP's file")
        model = {0: "PINHOLE", 4: "OPENCV", 8: "FULL_OPENCV"}[len(coefficients)]
    center = matrix[:2, 2] + _HALF_PIXEL
    values = [matrix[0, 0], matrix[1, 1], *center, *coefficients]
    return " ".join([model, *map(str, camera.size), *(repr(float(value)) for value in values)])


def _floats(words: Sequence[str]) -> list[float] | None:
    try:
        return [float(word) for word in words]
    except ValueError:
        return None


def _stated_unit(path: Path) -> str | None:
    folder = path if path.is_dir() else path.parent
    found = re.search(r"^# unit: (\S+)$", try_text(folder / _CAMERAS) or "", re.MULTILINE)
    return None if found is None else found[1]


def _sniff(path: Path) -> bool:
    folder = path.parent if path.name in (_CAMERAS, _IMAGES) else path
    try:
        return folder.is_dir() and (folder / _CAMERAS).is_file() and (folder / _IMAGES).is_file()
    except OSError:
        return False


FORMAT = RigFormat(
    name="colmap",
    description="Folder of a COLMAP model as text (cameras.txt and images.txt); in an unknown unit.",
    suffixes=(),
    sniff=_sniff,
    read=read_colmap,
    write=write_colmap,
    stated_unit=_stated_unit,
)
