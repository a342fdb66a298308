"""Animals of cameras that were not triggered together: told apart at common instants, placed in their own frames.

Who is who is found at the instants of the reference camera's frames, from the frame of every camera that is nearest to
each: slots of instances mean nothing from frame to frame, so that nothing can be interpolated yet. What was found then
holds for those very frames, and the 2D poses, whose names hold from frame to frame, are interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.nearest import nearest_index
from calibration.synchronization import Synchronization
from pose3d.identity import poses2d_of_instances
from pose3d.reconstruction import apply_synchronization

__all__ = ["CommonInstants", "common_instants", "rows_at"]

# Frames are taken in turn as long as they are within this part of the time between two of them; otherwise, where all
# are half a frame away, a breath of jitter would take some twice and others never.
_NEAR, _STILL_NEAR = 0.5, 0.75
_FIRST_LOOK = 64
# What stands at places without a frame; NaN where nothing is said.
_EMPTY = {"confidence": 0.0, "track": -1, "fragment": 0}


@dataclass(frozen=True, eq=False)
class CommonInstants:
    """Instances at the instants of the reference camera's frames.

    Attributes:
        source: the Instances, with a row for every frame number of the cameras' own files; loaded.
        instances: the same at the instants.
        rows: (instant, camera) row of the source that was taken, -1 for none.
        synchronization: the clocks.
    """

    source: xr.Dataset
    instances: xr.Dataset
    rows: NDArray[np.int64]
    synchronization: Synchronization

    def with_frames(self, identity: xr.Dataset) -> xr.Dataset:
        """An Identity of the instances with `camera_frame` (time, camera): the frame of the file; -1 for none."""
        rows = self._rows_of(identity)
        numbers = self.source["frame"].values.astype(np.int64)
        told = {
            "units": "1",
            "long_name": "number, in the camera's own file, of the frame that was looked at; -1: none",
        }
        return identity.assign(camera_frame=(("time", "camera"), np.where(rows >= 0, numbers[rows], -1), told))

    def poses2d(self, identity: xr.Dataset) -> xr.Dataset:
        """Poses2D at the instants, interpolated between the frames of every camera's own file.

        Args:
            identity: of the instances.
        """
        cameras = identity["camera"].values
        rows = self._rows_of(identity)
        shape = (self.source.sizes["time"], len(cameras), identity.sizes["individual"])
        own = xr.Dataset(coords={name: identity[name].values for name in ("camera", "individual")})
        for name in ("instance", "further"):
            if name in identity:
                values = np.full(shape, -1, np.int64)
                found = identity[name].transpose("time", "camera", "individual").values
                for camera in range(len(cameras)):
                    seen = rows[:, camera] >= 0
                    values[rows[seen, camera], camera] = found[seen, camera]
                own = own.assign({name: (("time", "camera", "individual"), values)})
        poses2d = poses2d_of_instances(self.source.sel(camera=cameras), own)
        return apply_synchronization(poses2d, self.synchronization)

    def _rows_of(self, identity: xr.Dataset) -> NDArray[np.int64]:
        names = [str(name) for name in self.source["camera"].values]
        return self.rows[:, [names.index(str(name)) for name in identity["camera"].values]]


def common_instants(instances: xr.Dataset, synchronization: Synchronization) -> CommonInstants:
    """Instances of every camera's frame that is nearest to each frame of the reference camera.

    `frame` stays the frame number of the reference camera's file, `time` becomes seconds of its clock.

    Args:
        instances: Instances Dataset, whose frame numbers are those of each camera's own file; it is loaded.
        synchronization: clocks of all its cameras.

    Raises:
        MismatchError: a camera has no clock.
    """
    source = instances.load()
    frames = source["frame"].values.astype(np.int64)
    base = synchronization[synchronization.reference]
    instants = base.reference_time(frames)
    clocks = [synchronization[str(name)] for name in source["camera"].values]
    columns = [rows_at(clock.timing.at(frames), clock.camera_time(instants), clock.timing.interval) for clock in clocks]
    rows = np.stack(columns, axis=1)
    taken = {
        str(name): (array.dims, _taken(array, rows), array.attrs) if "time" in array.dims else array.variable
        for name, array in source.data_vars.items()
    }
    result = xr.Dataset(taken, coords=source.coords, attrs=source.attrs)
    result = result.assign_coords(time=("time", instants, {"units": "s"}))
    result = result.assign_attrs(time_unit="seconds", fps=float(base.timing.frame_rate))
    return CommonInstants(source, result, rows, synchronization)


def rows_at(own: NDArray[np.float64], wanted: NDArray[np.float64], interval: float) -> NDArray[np.int64]:
    """(instant,) row of the frame at each instant, in turn as long as that is near; -1 where there is none.

    Args:
        own: (row,) times of the camera's frames, increasing.
        wanted: (instant,) the instants by the camera's clock, increasing.
        interval: seconds between two frames.
    """
    result = np.full(len(wanted), -1, np.int64)
    if not len(own):
        return result
    nearest = nearest_index(wanted, own)
    instant = 0
    while instant < len(wanted):
        row, length = int(nearest[instant]), _FIRST_LOOK
        if abs(own[row] - wanted[instant]) > (_NEAR + 1e-6) * interval:
            instant += 1
            continue
        while True:  # take rows in turn, in ever longer steps, until one is too far away
            count = min(length, len(own) - row, len(wanted) - instant)
            away = np.abs(own[row : row + count] - wanted[instant : instant + count]) > _STILL_NEAR * interval
            good = int(away.argmax()) if away.any() else count
            result[instant : instant + good] = np.arange(row, row + good)
            row, instant = row + good, instant + good
            if not count or good < count:
                break
            length *= 2
    return result


def _taken(array: xr.DataArray, rows: NDArray[np.int64]) -> NDArray[np.generic]:
    """The values (time, camera, ...) at rows (instant, camera)."""
    values = array.values
    camera = array.dims.index("camera")
    result = np.moveaxis(values, (array.dims.index("time"), camera), (0, 1))[
        np.maximum(rows, 0), np.arange(rows.shape[1])
    ]
    result[rows < 0] = _EMPTY.get(str(array.name), np.nan)
    return np.moveaxis(result, (0, 1), (array.dims.index("time"), camera))
