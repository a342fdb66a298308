"""What all ways from 2D poses to 3D poses check before they begin, and count while they go."""

from __future__ import annotations

import warnings

import numpy as np
import xarray as xr

from calibration.errors import InvalidValueError, SuiteWarning
from calibration.findings import Level
from calibration.rig import Rig
from calibration.schema import check
from pose3d.datasets import POSES2D
from pose3d.metrics import ResidualHistogram

__all__ = ["add_residuals", "check_recording"]


def check_recording(poses2d: xr.Dataset, rig: Rig) -> None:
    """See that there is something to make 3D poses of. To be called by what the user calls.

    Raises:
        InvalidValueError: the poses do not follow the schema, or have no frame, keypoint or individual.

    Warns:
        SuiteWarning: the calibration says of itself that it is broken, or that it has lenses only.
    """
    check(poses2d, POSES2D, values=False)
    _warn_of_calibration(rig)
    if not poses2d.sizes["time"] or not poses2d.sizes["keypoint"] or not poses2d.sizes["individual"]:
        raise InvalidValueError(
            poses2d.attrs.get("source_file") or "2D poses",
            expected="at least one frame, keypoint and individual",
            got=", ".join(f"{poses2d.sizes[dim]} x {dim}" for dim in ("time", "keypoint", "individual")),
            remedy="Check that these are the files of the recording.",
        )


def _warn_of_calibration(rig: Rig) -> None:
    """Say what a calibration says of itself, where nobody reads its report."""
    if rig.metadata.get("verdict") == Level.BROKEN.words:
        warnings.warn(
            "the calibration is broken by its own verdict (rig.toml, [metadata]): 3D positions made with it may be "
            "wrong although they look smooth. Read the report.html beside it, which says what to film again, "
            "and calibrate anew",
            SuiteWarning,
            stacklevel=4,
        )
    if rig.metadata.get("lenses_only") is True:
        warnings.warn(
            "the calibration has lenses only, its cameras all stand at one place: 3D positions made with it mean "
            "nothing. Calibrate the cameras together, starting from it: `pose3d calibrate FOLDER --lenses RIG.toml`",
            SuiteWarning,
            stacklevel=4,
        )


def add_residuals(histogram: ResidualHistogram, poses2d: xr.Dataset, solid: xr.Dataset) -> ResidualHistogram:
    """The histogram with the residuals of more frames, whose 2D and 3D poses these are."""
    order = ("time", "individual", "keypoint", "camera")
    return histogram.add(
        solid["residual"].transpose(*order).values,
        solid["inlier"].transpose(*order).values,
        np.isfinite(poses2d["position"].transpose(*order, "space").values).all(-1),
    )
