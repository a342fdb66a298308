"""How far off positions in the volume are that an estimated rig makes: the figure that a calibration is for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.rig import Rig
from calibration.synthetic.rigs import make_points, observe
from calibration.triangulation import triangulate

__all__ = ["volume_errors"]

# Fewer points say nothing of a rigid transform.
_FEWEST = 10


def volume_errors(
    true: Rig, estimated: Rig, *, radius: float = 250.0, count: int = 1000, seed: int = 0
) -> NDArray[np.float64]:
    """Distances between points of the volume and where an estimated rig sees them, in the unit of the rig.

    Random points in a ball about the origin are projected by the true rig, without noise, and triangulated by the
    estimated one. Of the difference only where the world is, and how it is turned, is taken out: by the rigid transform
    that fits best (Kabsch 1976). Scale and bending of the world stay in.

    Args:
        true, estimated: cameras of the same names.
        radius: of the ball.
        count: number of points.
        seed: of the points.

    Returns:
        (point,) distances; of the points that two or more cameras see.

    Raises:
        CalibrationError: hardly any point is seen by two cameras.
    """
    points = make_points(count, radius=radius, seed=seed)
    pixels = observe(true, points).pixels
    seen = triangulate(estimated.select(true.names), pixels, method="linear", noise=1.0, covariance=False).points
    known = np.isfinite(seen).all(axis=-1)
    if known.sum() < _FEWEST:
        raise CalibrationError(
            "volume",
            expected=f"{_FEWEST} points or more that two cameras see",
            got=f"{int(known.sum())} of {count} within {radius:g} of the origin",
            remedy="Choose a volume that the cameras look at.",
        )
    seen, points = seen[known], points[known]
    middle, target = seen.mean(axis=0), points.mean(axis=0)
    left, _, right = np.linalg.svd((seen - middle).T @ (points - target))
    handed = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    return np.asarray(np.linalg.norm((seen - middle) @ (left @ handed @ right) - (points - target), axis=-1))
