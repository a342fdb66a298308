"""Where the embedded samples are: simulated recordings that `pose3d demo`, examples and tests run on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from calibration.errors import FileFormatError

__all__ = ["PROJECT_SAMPLE_FILES", "SAMPLE_FILES", "sample_folder"]

SAMPLE_FILES = ("rig.toml", "skeleton.toml", "poses2d.nc", "truth.nc")
PROJECT_SAMPLE_FILES = ("project.toml", "calibration/rig.toml", "truth.nc")

_PACKAGE = Path(__file__).parents[1]
# In an installed package, and in a checkout.
_PLACES = (_PACKAGE / "_data", _PACKAGE.parent / "data")


def sample_folder(name: str = "demo", files: Sequence[str] = SAMPLE_FILES) -> Path:
    """The folder of an embedded sample.

    Args:
        name: "demo" has 2D poses and truth; "walk" is a project with videos and a network (`PROJECT_SAMPLE_FILES`).
        files: that are in it.

    Raises:
        FileFormatError: the sample, or one of its files, is not there.
    """
    for place in _PLACES:
        folder = place / name
        if all((folder / file).is_file() for file in files):
            return folder
    raise FileFormatError(
        f"sample '{name}'",
        expected=f"the files {', '.join(files)} in one of: {', '.join(str(place / name) for place in _PLACES)}",
        got="not all of them",
        remedy="Install the package again, or make a sample with `pose3d simulate`.",
    )
