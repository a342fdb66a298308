"""The uncertainty of a rig in a netCDF file beside `rig.toml`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import xarray as xr

from calibration.errors import FileFormatError, OutputError
from calibration.files import atomic_path
from calibration.rig_uncertainty import RigUncertainty

__all__ = ["UNCERTAINTY_FILE", "load_rig_uncertainty", "save_rig_uncertainty"]

UNCERTAINTY_FILE = "rig_uncertainty.nc"


def save_rig_uncertainty(uncertainty: RigUncertainty, path: str | os.PathLike[str]) -> None:
    """Write the uncertainty of a rig, completely or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    dataset = xr.Dataset(
        {
            "covariance": (("parameter", "parameter_"), uncertainty.covariance),
            "center": (("camera", "space"), np.stack(list(uncertainty.centers.values())), {"units": uncertainty.unit}),
        },
        coords={
            "owner": ("parameter", [camera for camera, _ in uncertainty.labels]),
            "name": ("parameter", [name for _, name in uncertainty.labels]),
            "camera": list(uncertainty.centers),
        },
        attrs={"unit": uncertainty.unit},
    )
    with atomic_path(path) as partial:
        try:
            dataset.to_netcdf(partial, engine="netcdf4")
        except (RuntimeError, ValueError) as error:
            raise OutputError(
                path, expected="to write the uncertainty of the rig", got=str(error), remedy="Check free space."
            ) from error


def load_rig_uncertainty(path: str | os.PathLike[str]) -> RigUncertainty:
    """The uncertainty of a rig that `pose3d calibrate` wrote.

    Args:
        path: rig_uncertainty.nc, or the rig.toml beside it, or their folder.

    Raises:
        FileFormatError: there is no such file, or it holds something else.
    """
    given = Path(path)
    folder = given if given.is_dir() else given.parent
    file = given if given.suffix == ".nc" else folder / UNCERTAINTY_FILE
    if not file.is_file():
        raise FileFormatError(
            file,
            expected="the uncertainty of the rig, which `pose3d calibrate` writes beside rig.toml",
            got="no such file",
            remedy="Calibrate with this program, or leave out the uncertainty of the rig.",
        )
    try:
        with xr.open_dataset(file, engine="netcdf4") as opened:
            data = opened.load()
        owners, names = (data[name].values for name in ("owner", "name"))
        labels = tuple((str(owner), str(name)) for owner, name in zip(owners, names, strict=True))
        centers = dict(zip(map(str, data["camera"].values), data["center"].values, strict=True))
        return RigUncertainty(labels, data["covariance"].values, str(data.attrs["unit"]), centers)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise FileFormatError(
            file, expected="the uncertainty of a rig", got=str(error)[:120], remedy="Calibrate again."
        ) from error
