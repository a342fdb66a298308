"""Poses whose individuals have names, as instances that are still to be told apart."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.schema import check
from pose3d.datasets import INSTANCES, POSES2D

__all__ = ["PLACES", "as_lazy_instances", "instances_of_poses2d"]

PLACES = "places"
"""The attribute `individuals` of Poses2D whose individuals are only places in each frame."""

# Names of more individuals than this are usually pieces of track, of which few are there at once.
_FEW = 64


def instances_of_poses2d(poses: xr.Dataset) -> xr.Dataset:
    """Instances of the individuals of 2D poses, packed into as few places as the fullest frame of a camera needs.

    The names of the individuals become the tracks of the instances, unless the attribute `individuals` of the Dataset
    is "places", as readers say it of names that mean only an order in each frame.

    Args:
        poses: Poses2D, which is loaded.

    Returns:
        Instances: position (time, camera, instance, keypoint, space) px; an instance is where any keypoint is.

    Raises:
        InvalidValueError: the Dataset does not follow the schema.
    """
    check(poses, POSES2D, values=False)
    position = poses["position"].values
    seen = np.isfinite(position).all(axis=-1).any(axis=-1)
    count = seen.sum(axis=-1)
    # who is seen first, in their order; at least one place, since a file cannot hold none
    order = np.argsort(~seen, axis=-1, kind="stable")[..., : max(1, int(count.max(initial=0)))]
    empty = np.arange(order.shape[-1]) >= count[..., None]
    packed: dict[str, NDArray[np.generic]] = {}
    for name, missing in (("position", np.nan), ("confidence", 0.0), ("covariance", np.nan)):
        if name in poses:
            values = poses[name].values
            extra = (1,) * (values.ndim - 3)
            values = np.take_along_axis(values, order.reshape(*order.shape, *extra), axis=2)
            packed[name] = np.where(empty.reshape(*empty.shape, *extra), missing, values)
    renamed = _renamed(poses.drop_dims("individual")).assign_coords(instance=np.arange(order.shape[-1]))
    for name, array in packed.items():
        renamed[name] = (INSTANCES.variables[name].dims, array, {"units": INSTANCES.variables[name].units})
    tracks = None if _are_places(poses) else np.where(empty, -1, order)
    return _with_tracks(renamed, poses, tracks)


def as_lazy_instances(poses: xr.Dataset) -> xr.Dataset:
    """The same of 2D poses that are not loaded: with a place for every individual, unless there are many.

    Raises:
        InvalidValueError: the Dataset does not follow the schema.
    """
    if poses.sizes["individual"] > _FEW:
        return instances_of_poses2d(poses)
    check(poses, POSES2D, values=False)
    sizes = [poses.sizes[dim] for dim in ("time", "camera", "individual")]
    tracks = None if _are_places(poses) else np.broadcast_to(np.arange(sizes[2]), sizes)
    renamed = _renamed(poses.drop_vars("individual").rename(individual="instance"))
    return _with_tracks(renamed.assign_coords(instance=np.arange(sizes[2])), poses, tracks)


def _are_places(poses: xr.Dataset) -> bool:
    return bool(poses.attrs.get("individuals") == PLACES)


def _renamed(rest: xr.Dataset) -> xr.Dataset:
    renamed = rest.assign_attrs(ds_type="instances")
    renamed.attrs.pop("individuals", None)
    return renamed


def _with_tracks(instances: xr.Dataset, poses: xr.Dataset, tracks: NDArray[np.int64] | None) -> xr.Dataset:
    if tracks is not None:
        instances["track"] = (INSTANCES.variables["track"].dims, tracks, {"units": "1"})
        instances["track_name"] = (("source_track",), poses["individual"].values.astype(np.str_))
    return instances
