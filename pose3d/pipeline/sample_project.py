"""The embedded project that `pose3d demo` runs: videos of a simulated mouse, its rig, and a trained network."""

from __future__ import annotations

import os
import secrets
import shutil
from importlib.util import find_spec
from pathlib import Path

from calibration.errors import InvalidValueError, OutputError
from pose3d.project import Project, load_project
from pose3d.synthetic import PROJECT_SAMPLE_FILES, sample_folder

__all__ = ["SESSION", "TRUTH_FILE", "sample_project"]

SESSION = "walk"
"""The one session of the project."""
TRUTH_FILE = "truth.nc"
"""Inside the project: the true 3D poses."""


def sample_project(folder: str | os.PathLike[str]) -> Project:
    """A copy of the embedded project.

    Args:
        folder: a new folder, or that of an earlier copy, which is taken as it is.

    Raises:
        FileFormatError: the sample is not there.
        InvalidValueError: ONNX Runtime is not installed, in which the network of the sample is computed.
        OutputError: there is something else in the folder, or it cannot be written.
    """
    place = Path(folder).absolute()
    source = sample_folder("walk", PROJECT_SAMPLE_FILES)
    if find_spec("onnxruntime") is None:
        raise InvalidValueError(
            "demo",
            expected="ONNX Runtime, in which its network is computed",
            got="not installed",
            remedy='Install it: pip install onnxruntime, or pip install "pose3d-suite[demo]".',
        )
    if all((place / name).is_file() for name in PROJECT_SAMPLE_FILES):
        return load_project(place)
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise OutputError(
            folder,
            expected="a new or empty folder, or that of an earlier demo",
            got="other files",
            remedy="Choose another folder: -o FOLDER.",
        )
    partial = place.with_name(f".part-{secrets.token_hex(8)}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, partial, copy_function=shutil.copyfile)
        if place.is_dir():
            place.rmdir()
        partial.rename(place)
    except OSError as error:
        raise OutputError(
            folder,
            expected="a folder that can be written",
            got=error.strerror or str(error),
            remedy="Check free space and permissions, or choose another folder: -o FOLDER.",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return load_project(place)
