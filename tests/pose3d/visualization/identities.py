"""Identity Datasets made by hand, so that every number in a picture or sentence is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from calibration.schema import check
from pose3d.datasets import IDENTITY

SEEN, NOT_SEEN, ONE_CAMERA, TWO_CAMERAS = range(4)
Moment = tuple[float, int, int, str, str, str]
"""Probability, first and last frame, the two, and the reason."""

_KINDS = {"i": np.int64, "f": np.float64, "U": np.str_}


def make_identity(
    frames: int = 100,
    individuals: Sequence[str] = ("ada", "bob", "cid"),
    cameras: int = 4,
    risks: Sequence[Moment] = (),
    rate: float | None = 20.0,
) -> xr.Dataset:
    """Everybody is seen by all cameras in all frames, and surely who they are; nothing is of nobody."""
    count = len(individuals)
    shape = (frames, count)
    instance = np.broadcast_to(np.arange(count, dtype=np.int16), (frames, cameras, count)).copy()
    columns = list(zip(*risks, strict=True)) or [()] * 6
    names = ("probability", "first", "last", "individual", "other", "reason")
    variables = {
        f"risk_{name}": (("risk",), np.array(column, dtype=_KINDS[IDENTITY.variables[f"risk_{name}"].kind[0]]))
        for name, column in zip(names, columns, strict=True)
    }
    # What only the correction of names needs is empty here.
    variables |= {
        name: (variable.dims, np.zeros([0 if dim == "step" else count for dim in variable.dims], variable.kind[0]))
        for name, variable in IDENTITY.variables.items()
        if "step" in variable.dims
    }
    status = {
        "units": "1",
        "flag_values": np.arange(4, dtype=np.int8),
        "flag_meanings": "seen not_seen one_camera_only two_cameras_do_not_tell",
    }
    dataset = xr.Dataset(
        {
            **variables,
            "instance": (("time", "camera", "individual"), instance),
            "identity_confidence": (("time", "individual"), np.full(shape, 0.999)),
            "identity_status": (("time", "individual"), np.zeros(shape, np.int8), status),
            "unassigned": (("time", "camera"), np.zeros((frames, cameras), np.int16)),
            "chain": (("time", "individual"), np.broadcast_to(np.arange(count), shape).copy()),
        },
        coords={
            "time": np.arange(frames) / (rate or 1.0),
            "frame": ("time", np.arange(frames)),
            "camera": [f"cam_{number + 1}" for number in range(cameras)],
            "individual": np.array(individuals, dtype=np.str_),
        },
        attrs={"time_unit": "seconds" if rate else "frames", "individuals_declared": count}
        | ({"fps": rate} if rate else {}),
    )
    for name, variable in dataset.variables.items():
        if name not in dataset.coords and variable.dtype.kind != "U":
            variable.attrs.setdefault("units", "1")
    return check(dataset, IDENTITY)


def hide(identity: xr.Dataset, rows: slice, individual: int, status: int) -> None:
    """Let nobody see an individual in these rows, or one camera only."""
    identity["identity_status"].values[rows, individual] = status
    identity["instance"].values[rows, (0 if status == NOT_SEEN else 1) :, individual] = -1
    if status == NOT_SEEN:
        identity["identity_confidence"].values[rows, individual] = np.nan
