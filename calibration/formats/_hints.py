"""What to give instead of a path that is no calibration: the mistakes that are made most."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from calibration.formats._reading import natural_key, try_text, try_toml
from calibration.formats.rig_format import RigFormat

__all__ = ["hint"]

_VIDEOS = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".mts", ".webm", ".wmv"})
_IMAGES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"})
_CALIBRATE = "Calibrate the cameras first: pose3d calibrate makes a rig.toml of board videos or images."
# Enough to find a calibration in a folder of a project, not in one of ten thousand images.
_LARGEST_FOLDER = 200
_PLACES = ("", "calibration", "sparse", "sparse/0", "camera_matrix")

# The end of a name: what to do. The first that fits counts.
_NAMES: tuple[tuple[str, str], ...] = (
    ("_intrinsic_params.pickle", "It has the lens of one camera; give DeepLabCut's stereo_params.pickle beside it."),
    ("detections.pickle", "It has the corners that Anipose found; give the calibration.toml beside it."),
    ("results-cam.txt", "It is Kalibr's summary for people; give the camchain.yaml beside it."),
    (".qca.txt", "Convert Qualisys' calibration with Pose2Sim first, and give the Calib_qualisys.toml that it makes."),
    (".xcp", "Convert Vicon's calibration with Pose2Sim first, and give the Calib_vicon.toml that it makes."),
    (".nc", "It is a result file: pose3d convert takes the calibration out of it."),
    (".bin", "Convert COLMAP's binary model: colmap model_converter --output_type TXT, and give its folder."),
    ("intri.yml", "EasyMocap keeps the poses in extri.yml, which is not beside it."),
    ("extri.yml", "EasyMocap keeps the lenses in intri.yml, which is not beside it."),
    ("cameras.txt", "COLMAP keeps the poses in images.txt, which is not beside it."),
    ("images.txt", "COLMAP keeps the lenses in cameras.txt, which is not beside it."),
)
# A table of a TOML file: whose settings it has, and where the calibration is.
_SETTINGS: tuple[tuple[str, str], ...] = (
    ("markerAugmentation", "It has the settings of Pose2Sim; give the .toml in the folder 'calibration' beside it."),
    ("manual_verification", "It has the settings of Anipose; give calibration.toml in the folder 'calibration'."),
    ("triangulation", "It has the settings of a program; give the .toml in the folder 'calibration' beside it."),
    ("square_size_overide_cm", "It describes the board; give caliscope's camera_array.toml."),
    ("board_type", "It describes the board; give the calibration.toml beside it."),
)


def hint(path: Path, formats: Mapping[str, RigFormat]) -> str | None:
    """One sentence on what to do with a file or folder that fits no format, None where nothing is known of it."""
    try:
        if path.is_dir():
            return _of_folder(path, formats)
    except OSError:
        return None
    if path.suffix.lower() in _VIDEOS | _IMAGES:
        return _CALIBRATE
    for ending, text in _NAMES:
        if path.name.lower().endswith(ending):
            return text
    if path.suffix.lower() == ".toml":
        settings = try_toml(path) or {}
        return next((text for table, text in _SETTINGS if table in settings), None)
    if path.suffix.lower() in (".yaml", ".yml") and "target_type" in (try_text(path) or ""):
        return "It describes the target; give the camchain.yaml that Kalibr made with it."
    return None


def _of_folder(folder: Path, formats: Mapping[str, RigFormat]) -> str | None:
    for place in _PLACES:
        inner = folder / place
        if not inner.is_dir():
            continue
        if place and any(known.sniff(inner) for known in formats.values()):
            return f"Give {inner}, which is one."
        files = sorted(inner.iterdir(), key=lambda file: natural_key(file.name))[:_LARGEST_FOLDER]
        found = [file for file in files if file.suffix.lower() not in _VIDEOS | _IMAGES and _fits(file, formats)]
        if found:
            return f"Give {' or '.join(map(str, found[:3]))}, which is one."
        if (inner / "cameras.bin").is_file():
            return f"Convert COLMAP's binary model in {inner}: colmap model_converter --output_type TXT"
    suffixes = {file.suffix.lower() for file in folder.iterdir() if file.is_file()}
    return _CALIBRATE if suffixes & (_VIDEOS | _IMAGES) else None


def _fits(file: Path, formats: Mapping[str, RigFormat]) -> bool:
    return file.is_file() and any(known.sniff(file) for known in formats.values())
