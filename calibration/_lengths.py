"""Lengths of the board between corners that were triangulated without knowing it, by region of the volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.rig_calibration import Calibration

__all__ = ["REGION_WORDS", "LengthErrors", "length_errors"]

Array = NDArray[np.float64]

# Names of the thirds of the volume along x, y and z of the first camera.
REGION_WORDS = (("left", "middle", "right"), ("upper", "middle", "lower"), ("near", "middle", "far"))
# Fewest edges in a region.
_FEWEST = 12


@dataclass(frozen=True)
class LengthErrors:
    """Lengths of the board's edges between triangulated corners of left-out frames, against the printed ones.

    Corners that are outliers in a camera are not used; else the board is not known to the triangulation.

    Attributes:
        region: where in the volume, as "near, left, low"; "everywhere" for all of it.
        center: (3,) middle of the region in the world.
        count: number of edges.
        mean: measured minus printed length, in the unit of the rig.
        error: standard error of the mean, as if edges were independent.
        rms: root of the mean squared difference.
        mean_length: mean measured length.
    """

    region: str
    center: tuple[float, float, float]
    count: int
    mean: float
    error: float
    rms: float
    mean_length: float


def length_errors(calibration: Calibration) -> tuple[LengthErrors | None, tuple[LengthErrors, ...]]:
    """Length errors everywhere, and in each region of the volume."""
    if calibration.held_out is None:
        return None, ()
    points, edges = calibration.held_out.points, calibration.board.edges
    ends = points[:, edges]
    length = np.linalg.norm(ends[..., 1, :] - ends[..., 0, :], axis=-1)
    printed = np.linalg.norm(np.diff(calibration.board.points[edges], axis=1)[:, 0], axis=-1)
    known = np.isfinite(length)
    if not known.any():
        return None, ()
    difference = (length - printed)[known]
    middle, measured = ends.mean(axis=-2)[known], length[known]
    everywhere = _length_errors("everywhere", middle, difference, measured)
    cells = _cells(calibration, middle)
    regions = [
        _length_errors(name, middle[inside], difference[inside], measured[inside])
        for name, inside in cells.items()
        if inside.sum() >= _FEWEST
    ]
    return everywhere, tuple(regions)


def _cells(calibration: Calibration, middle: Array) -> dict[str, NDArray[np.bool_]]:
    """Thirds of the volume along the axes of the first camera, named as it sees them."""
    seen = calibration.rig.cameras[0].cam_from_world(middle)
    low, high = np.percentile(seen, (2, 98), axis=0)
    third = np.clip((3 * (seen - low) / np.maximum(high - low, 1e-12)).astype(np.intp), 0, 2)
    cells = {}
    for cell in np.ndindex(3, 3, 3):
        name = ", ".join(REGION_WORDS[axis][cell[axis]] for axis in (2, 1, 0))
        cells[name] = np.asarray((third == cell).all(axis=-1))
    return cells


def _length_errors(region: str, middle: Array, difference: Array, measured: Array) -> LengthErrors:
    x, y, z = (float(value) for value in middle.mean(axis=0))
    return LengthErrors(
        region=region,
        center=(x, y, z),
        count=len(difference),
        mean=float(difference.mean()),
        error=float(difference.std() / np.sqrt(len(difference))),
        rms=float(np.sqrt((difference**2).mean())),
        mean_length=float(measured.mean()),
    )
