"""Weighted sums of keypoints, frame by frame: what points, vectors, lengths and centers are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.kinematics._poses import is_flat
from pose3d.skeleton import Point, Skeleton

__all__ = ["Floats", "axis_of", "combined", "deviation", "framewise", "labeled", "unit_of"]

Floats = NDArray[np.float64]


def combined(values: Floats, weights: Floats) -> Floats:
    """Sums over the last axis: (..., keypoint) by (n, keypoint) to (..., n).

    What has no weight does not count, so that a missing keypoint spoils only the sums that it is in.
    """
    sums = [values[..., row != 0] @ row[row != 0] for row in weights]
    return np.stack(sums, axis=-1) if sums else np.empty((*values.shape[:-1], 0))


def deviation(gradient: Floats, covariance: Floats) -> Floats:
    """Standard deviation by first order; errors of different keypoints are independent.

    Args:
        gradient: (..., space, keypoint) of a result by the keypoints; 0 where one does not count.
        covariance: (..., space, space, keypoint) of the keypoints.
    """
    counts = np.any(gradient != 0, axis=tuple(range(gradient.ndim - 1)))
    slope = gradient[..., counts]
    variance = np.einsum("...ak,...abk,...bk->...", slope, covariance[..., counts], slope)
    return np.sqrt(variance)


def framewise(
    poses: xr.Dataset,
    compute: Callable[[Floats, Floats | None], tuple[NDArray[np.generic], ...]],
    outputs: Mapping[str, Sequence[str]],
    sizes: Mapping[str, int],
    types: Mapping[str, type] | None = None,
) -> dict[str, xr.DataArray]:
    """Results that each frame gives by itself; nothing is loaded where the poses are not.

    Args:
        poses: Poses3D or Poses2D.
        compute: takes positions (..., space, keypoint) and their covariance (..., space, space, keypoint), or None
            where there is none, and gives one array (..., *dims) for each output.
        outputs: names of the results, and of the dimensions that they have instead of keypoint and space.
        sizes: of dimensions that the poses do not have.
        types: of results that are no floats.
    """
    arguments, core = [poses["position"]], [["space", "keypoint"]]
    if "covariance" in poses:
        arguments.append(poses["covariance"])
        core.append(["space", "space_", "keypoint"])

    def call(
        position: Floats, covariance: Floats | None = None
    ) -> NDArray[np.generic] | tuple[NDArray[np.generic], ...]:
        results = compute(position, covariance)
        return results if len(results) > 1 else results[0]

    found = xr.apply_ufunc(
        call,
        *arguments,
        input_core_dims=core,
        output_core_dims=[list(dims) for dims in outputs.values()],
        dask="parallelized",
        output_dtypes=[(types or {}).get(name, np.float64) for name in outputs],
        dask_gufunc_kwargs={"allow_rechunk": True, "output_sizes": dict(sizes)},
    )
    arrays = (found,) if isinstance(found, xr.DataArray) else found
    return {
        name: array.transpose(*_order(dims, flat=is_flat(poses))).drop_attrs(deep=False)
        for array, (name, dims) in zip(arrays, outputs.items(), strict=True)
    }


def _order(dims: Sequence[str], *, flat: bool) -> tuple[str, ...]:
    """The dimensions in the order of poses in space, or of those in images."""
    space = [dim for dim in dims if dim in ("space", "space_")]
    rest = [dim for dim in dims if dim not in space]
    return ("time", "camera", "individual", *rest, *space) if flat else ("time", *space, *rest, "individual")


def labeled(
    poses: xr.Dataset,
    found: dict[str, xr.DataArray],
    told: dict[str, tuple[str, str]],
    flags: dict[str, str] | None = None,
) -> xr.Dataset:
    """Results with units and names; a standard deviation that is not told has the unit of its value."""
    for name, array in found.items():
        base = name.removesuffix("_std")
        unit, text = told.get(name) or (told[base][0], f"standard deviation of the {told[base][1]}")
        array.attrs = {"units": unit, "long_name": text}
        if flags and name in flags:
            words = flags[name]
            array.attrs |= {"flag_values": np.arange(len(words.split()), dtype=np.int8), "flag_meanings": words}
    return xr.Dataset(found, attrs=dict(poses.attrs))


def unit_of(poses: xr.Dataset) -> str:
    """The unit of the positions."""
    return str(poses["position"].attrs.get("units", ""))


def axis_of(skeleton: Skeleton) -> tuple[Point, Point]:
    """The points behind and before, between which the axis of the body runs.

    Raises:
        InvalidValueError: the skeleton does not say them.
    """
    if not skeleton.anatomy.rear:
        raise InvalidValueError(
            f"skeleton '{skeleton.name}', axis",
            expected="the points between which the axis of the body runs",
            got="none",
            remedy='Write axis = ["tail_base", "neck"] in the skeleton, from the rear to the front.',
        )
    return skeleton.anatomy.rear, skeleton.anatomy.front
