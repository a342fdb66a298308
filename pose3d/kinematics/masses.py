"""Center of mass of bodies."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.kinematics._combinations import Floats, combined, framewise, labeled, unit_of
from pose3d.kinematics._poses import check_poses, is_flat, keypoint_names, point_weights
from pose3d.skeleton import Mass, Skeleton

__all__ = ["LEAST_MASS", "center_of_mass", "center_of_mass_poses"]

LEAST_MASS = 0.9
"""The share of the body's mass that must be seen for a center of mass.

What is not seen is left out, which moves the center by its share times its distance from the center of the body: by 1
cm for a person's forearm at 0.5 m, by 6 cm for a thigh at 0.4 m. This allows for two arms, or for one shank, and for no
thigh or trunk.
"""


def center_of_mass(poses: xr.Dataset, skeleton: Skeleton, *, least_mass: float = LEAST_MASS) -> xr.Dataset:
    """Center of mass of the body: that of the parts that are seen, weighted by their masses.

    Args:
        poses: Poses3D or Poses2D.
        skeleton: its anatomy says what the parts weigh.
        least_mass: the share of the mass that must be seen, 0 to 1.

    Returns:
        `center_of_mass`, `center_of_mass_std` (time, space, individual) in the unit of the poses, the latter along
        each axis, and `center_of_mass_covariance` (time, space, space_, individual); errors of the masses do not count
        in them. `center_of_mass_share` (time, individual): which share of the mass was seen.
        `center_of_mass_status`: 0, or 1 where that is too little and the center is missing.

    Raises:
        InvalidValueError: the Dataset is neither Poses3D nor Poses2D, the skeleton says no masses, the poses lack
            keypoints of too many, or the least share is not within 0 to 1.
    """
    check_poses(poses)
    parts, shares = _mass_weights(poses, skeleton, least_mass)

    def compute(position: Floats, covariance: Floats | None) -> tuple[NDArray[np.generic], ...]:
        seen = np.isfinite(combined(position, parts)).all(axis=-2)
        share = seen @ shares
        enough = share >= least_mass - 1e-9
        with np.errstate(divide="ignore", invalid="ignore"):
            weights = np.where(seen, shares, 0.0) @ parts / np.where(enough, share, np.nan)[..., None]
        center = _weighted(position, weights[..., None, :])
        results: list[NDArray[np.generic]] = [center, share, np.where(enough, 0, 1).astype(np.int8)]
        if covariance is not None:
            spread = _weighted(covariance, weights[..., None, None, :] ** 2)
            results += [np.sqrt(np.einsum("...aa->...a", spread)), spread]
        return tuple(results)

    outputs: dict[str, tuple[str, ...]] = {
        "center_of_mass": ("space",),
        "center_of_mass_share": (),
        "center_of_mass_status": (),
    }
    if "covariance" in poses:
        outputs |= {"center_of_mass_std": ("space",), "center_of_mass_covariance": ("space", "space_")}
    found = framewise(poses, compute, outputs, {"space": poses.sizes["space"]}, {"center_of_mass_status": np.int8})
    return labeled(poses, found, _told(unit_of(poses)), {"center_of_mass_status": "found too_little_seen"})


def _told(unit: str) -> dict[str, tuple[str, str]]:
    return {
        "center_of_mass": (unit, "center of mass of the body"),
        "center_of_mass_std": (unit, "standard deviation of the center of mass along each axis"),
        "center_of_mass_covariance": (f"{unit}^2", "covariance of the center of mass"),
        "center_of_mass_share": ("1", "share of the body's mass that was seen"),
        "center_of_mass_status": ("1", "why the center of mass is missing"),
    }


def center_of_mass_poses(poses: xr.Dataset, skeleton: Skeleton, *, least_mass: float = LEAST_MASS) -> xr.Dataset:
    """The center of mass as Poses3D with the one keypoint "center_of_mass": for velocities and whatever takes poses.

    Confidence is the share of the mass that was seen.

    Raises:
        InvalidValueError: see `center_of_mass`, or the poses are those in images.
    """
    if is_flat(poses):
        raise InvalidValueError(
            "poses", expected="Poses3D", got="Poses2D", remedy="Take center_of_mass, which gives it in the images."
        )
    found = center_of_mass(poses, skeleton, least_mass=least_mass)
    at = {"keypoint": ["center_of_mass"]}
    variables = {
        "position": found["center_of_mass"].expand_dims(at, axis=2),
        "confidence": found["center_of_mass_share"].clip(0.0, 1.0).expand_dims(at, axis=1),
    }
    if "center_of_mass_covariance" in found:
        variables["covariance"] = found["center_of_mass_covariance"].expand_dims(at, axis=3)
    return xr.Dataset(variables, attrs=poses.attrs)


def _weighted(values: Floats, weights: Floats) -> Floats:
    """Sums over the last axis; what has no weight does not count, though it is missing."""
    return np.where(weights != 0, values * weights, 0.0).sum(axis=-1)


def _mass_weights(poses: xr.Dataset, skeleton: Skeleton, least_mass: float) -> tuple[Floats, Floats]:
    """(part, keypoint) what keypoints count in the centers of the parts, and (part,) shares of the mass."""
    if not 0 <= least_mass <= 1:
        raise InvalidValueError(
            "least mass", expected="a share from 0 to 1", got=str(least_mass), remedy=f"Give {LEAST_MASS}, or less."
        )
    masses = skeleton.anatomy.masses
    known = skeleton.anatomy.select(set(keypoint_names(poses))).masses
    total = sum(mass.share for mass in masses)
    if not masses or sum(mass.share for mass in known) < least_mass * total:
        raise InvalidValueError(
            f"skeleton '{skeleton.name}', masses",
            expected=f"parts of the body that make up {least_mass:.0%} of its mass, with keypoints of the poses"
            if masses
            else "parts of the body and what they weigh",
            got=", ".join(mass.name for mass in known) or "none",
            remedy="Use the skeleton that the poses were made with, or lower least_mass."
            if masses
            else 'Add them to the skeleton: [skeleton.masses] trunk = { start = "neck", end = "tail_base", ... }.',
        )
    return _centers(poses, known), np.array([mass.share / total for mass in known])


def _centers(poses: xr.Dataset, masses: tuple[Mass, ...]) -> Floats:
    start, end = (point_weights(poses, [getattr(mass, name) for mass in masses]) for name in ("start", "end"))
    center = np.array([mass.center for mass in masses])[:, None]
    return start + center * (end - start)
