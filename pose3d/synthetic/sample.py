"""Where the embedded sample is: a simulated recording that `pose3d demo` and the examples run on."""

from __future__ import annotations

from pathlib import Path

from calibration.errors import FileFormatError

__all__ = ["SAMPLE_FILES", "sample_folder"]

SAMPLE_FILES = ("rig.toml", "skeleton.toml", "poses2d.nc", "truth.nc")

_PACKAGE = Path(__file__).parents[1]
# In an installed package, and in a checkout.
_PLACES = (_PACKAGE / "_data", _PACKAGE.parent / "data")


def sample_folder(name: str = "demo") -> Path:
    """The folder with the files `SAMPLE_FILES` of an embedded sample.

    Raises:
        FileFormatError: the sample, or one of its files, is not there.
    """
    for place in _PLACES:
        folder = place / name
        if all((folder / file).is_file() for file in SAMPLE_FILES):
            return folder
    raise FileFormatError(
        f"sample '{name}'",
        expected=f"the files {', '.join(SAMPLE_FILES)} in one of: {', '.join(str(place / name) for place in _PLACES)}",
        got="not all of them",
        remedy="Install the package again, or make a sample with `pose3d simulate`.",
    )
