"""From 2D poses to a result file with 3D poses, frame by frame, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.rig import Rig
from calibration.triangulation import Status, TriangulationSettings
from pose3d.formats.session import SessionWriter
from pose3d.metrics import ResidualHistogram
from pose3d.pipeline._recording_checks import add_residuals, check_recording
from pose3d.reconstruction import PixelNoise, estimate_noise, match_cameras, triangulate

__all__ = ["TriangulationSummary", "triangulate_session"]

# With 6 cameras a chunk takes 60 MB, from the pixels to the covariance. A fifth of it costs a third more time, because
# every keypoint of every chunk is one call of the kernels.
_POINTS_PER_CHUNK = 100_000


@dataclass(frozen=True)
class TriangulationSummary:
    """How a triangulation went.

    Attributes:
        frames: number of frames.
        cameras: names of the cameras that took part.
        unit: length unit of the rig.
        noise: noise of the pixels and thresholds, as used.
        histogram: reprojection errors of the used 2D positions per keypoint and camera.
        statuses: (keypoint, status) how many points ended with which `calibration.Status`.
    """

    frames: int
    cameras: tuple[str, ...]
    unit: str
    noise: PixelNoise
    histogram: ResidualHistogram
    statuses: NDArray[np.int64]

    def reasons(self) -> dict[str, int]:
        """How many points are missing for which reason, over all keypoints; only reasons that occur."""
        counts = self.statuses.sum(0)
        return {status.meaning: int(counts[status]) for status in Status if status != Status.OK and counts[status]}


def triangulate_session(
    poses2d: xr.Dataset,
    rig: Rig,
    output: str | os.PathLike[str],
    *,
    settings: TriangulationSettings | None = None,
    covariance: bool = True,
    provenance: Mapping[str, object] | None = None,
    compression: int = 0,
    progress: Callable[[int], object] | None = None,
) -> TriangulationSummary:
    """Triangulate 2D poses chunk by chunk into a result file with the groups /rig, /poses2d and /poses3d.

    Memory does not grow with the length where `poses2d` is lazily loaded, as `pose3d.load_poses2d` does with the
    project's own files. Noise and threshold that the settings leave open are learned once, from a sample of the whole
    recording, so that the result does not depend on the chunks.

    Args:
        poses2d: Poses2D Dataset.
        rig: the cameras.
        output: the netCDF file to write; it appears when it is complete.
        settings: how to triangulate.
        covariance: whether to compute and store the covariance of every position.
        provenance: what stands in the file's attribute of that name.
        compression: zlib level of the file, 0 to 9.
        progress: called with the number of frames after each chunk.

    Raises:
        InvalidValueError: the poses do not follow the schema, or have no frame.
        MismatchError: see `pose3d.reconstruction.match_cameras`.
        OutputError: the file cannot be written.

    Warns:
        SuiteWarning: the calibration says of itself that it is broken, or that it has lenses only.
    """
    check_recording(poses2d, rig)
    poses2d, rig = match_cameras(poses2d, rig)
    settings = settings or TriangulationSettings()
    noise = estimate_noise(poses2d, rig, settings=settings)
    keypoints = [str(name) for name in poses2d["keypoint"].values]
    histogram = ResidualHistogram.empty(keypoints, rig.names)
    statuses = np.zeros((len(keypoints), len(Status)), dtype=np.int64)
    with SessionWriter(output, rig=rig, provenance=provenance, compression=compression) as writer:
        for chunk in _chunks(poses2d):
            solid = triangulate(chunk, rig, settings=settings, noise=noise, covariance=covariance)
            writer.append(poses2d=chunk, poses3d=solid)
            histogram = add_residuals(histogram, chunk, solid)
            statuses += _count_statuses(solid)
            if progress is not None:
                progress(chunk.sizes["time"])
    return TriangulationSummary(poses2d.sizes["time"], rig.names, rig.unit, noise, histogram, statuses)


def _chunks(poses2d: xr.Dataset) -> Iterator[xr.Dataset]:
    """The poses in pieces along time, each loaded when its turn comes."""
    frames = max(1, _POINTS_PER_CHUNK // (poses2d.sizes["keypoint"] * poses2d.sizes["individual"]))
    for first in range(0, poses2d.sizes["time"], frames):
        yield poses2d.isel(time=slice(first, first + frames)).load()


def _count_statuses(solid: xr.Dataset) -> NDArray[np.int64]:
    """(keypoint, status) counts."""
    values = solid["status"].transpose("keypoint", "time", "individual").values.reshape(solid.sizes["keypoint"], -1)
    return np.stack([(values == status).sum(-1) for status in Status], axis=-1)
