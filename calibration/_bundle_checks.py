"""What a bundle adjustment is given, checked before anything is computed."""

from __future__ import annotations

import warnings
from collections.abc import Collection

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration._bundle_problem import Views
from calibration._bundle_results import RigidLengths
from calibration._bundle_settings import BundleSettings, require
from calibration.errors import CalibrationError, MismatchError, SuiteWarning
from calibration.rig import Rig
from calibration.schema import as_floats
from calibration.transforms import RigidTransform

__all__ = [
    "as_lengths",
    "as_observations",
    "as_sightings",
    "check_boards",
    "check_cameras",
    "check_fixed",
    "height_basis",
    "warn_left_out",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def as_observations(
    rig: Rig, board_points: ArrayLike, world_from_board: RigidTransform, position: ArrayLike, settings: BundleSettings
) -> tuple[Floats, Floats]:
    """Board points (corner, 3) and positions (camera, frame, corner, 2), or an error."""
    shape = as_floats(board_points, "board points", ends=(3,), copy=True)
    pixels = as_floats(position, "position", ends=(2,))
    fine = shape.ndim == 2 and len(shape) >= 3 and bool(np.isfinite(shape).all())
    require("board points", fine, "finite numbers of shape (corner, 3), at least 3 corners", f"shape {shape.shape}")
    require("position", pixels.ndim == 4, "shape (camera, frame, corner, 2)", f"shape {pixels.shape}")
    _check_finite(pixels)
    poses = world_from_board.translation
    require("world_from_board", poses.ndim == 2, "one pose per frame", f"a batch of shape {poses.shape[:-1]}")
    expected = (len(rig), len(poses), len(shape), 2)
    if pixels.shape != expected:
        raise MismatchError(
            "bundle adjustment, position",
            expected=f"shape {expected}: {len(rig)} cameras, {len(poses)} poses of the board, {len(shape)} corners",
            got=f"shape {pixels.shape}",
            remedy="Give cameras, frames and corners in the same order and number everywhere.",
        )
    require("frames", len(poses) > 0, "at least one", "none")
    _check_noise(rig, settings)
    return shape, pixels


def as_sightings(rig: Rig, points: ArrayLike, position: ArrayLike, settings: BundleSettings) -> tuple[Floats, Floats]:
    """Points (point, 3) and positions (point, camera, 2), or an error."""
    start = as_floats(points, "points", ends=(3,), copy=True)
    pixels = as_floats(position, "position", ends=(2,))
    require("points", start.ndim == 2 and len(start) > 0, "shape (point, 3)", f"shape {start.shape}")
    if pixels.shape != (len(start), len(rig), 2):
        raise MismatchError(
            "bundle adjustment, position",
            expected=f"shape {(len(start), len(rig), 2)}: one pixel per point and camera",
            got=f"shape {pixels.shape}",
            remedy="Give points and cameras in the same order and number everywhere.",
        )
    _check_finite(pixels)
    _check_noise(rig, settings)
    return start, pixels


def _check_finite(pixels: Floats) -> None:
    infinite = int(np.isinf(pixels).sum())
    require("position", infinite == 0, "finite pixels, NaN where unseen", f"{infinite} infinities")


def _check_noise(rig: Rig, settings: BundleSettings) -> None:
    count = np.size(settings.noise) if settings.noise is not None else 1
    require("noise", count in (1, len(rig)), f"one number, or {len(rig)}: one per camera", f"{count} numbers")


def as_lengths(lengths: RigidLengths | None, n_points: int) -> tuple[Integers, Integers, Floats, Floats]:
    """Pairs (pair, 2), parts (pair,), values (part,) and precision (part,) of rigid lengths, or an error."""
    if lengths is None:
        return np.empty((0, 2), np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0)
    pairs, parts = np.asarray(lengths.pairs), np.asarray(lengths.parts)
    values = as_floats(lengths.values, "lengths, values", copy=True)
    deviations = np.broadcast_to(as_floats(lengths.deviations, "lengths, deviations"), values.shape)
    whole = all(array.dtype.kind in "iu" for array in (pairs, parts))
    fits = pairs.ndim == 2 and pairs.shape[1:] == (2,) and parts.shape == pairs.shape[:1] and values.ndim == 1
    require(
        "lengths", whole and fits, "pairs (pair, 2), parts (pair,), values (part,)", f"{pairs.shape}, {parts.shape}"
    )
    inside = not pairs.size or (pairs.min() >= 0 and pairs.max() < n_points)
    require("lengths, pairs", inside, f"numbers of points from 0 to {n_points - 1}", str(pairs.max(initial=0)))
    require("lengths, pairs", bool((pairs[:, 0] != pairs[:, 1]).all()), "two different points", "a point twice")
    inside = not parts.size or (parts.min() >= 0 and parts.max() < len(values))
    require("lengths, parts", inside, f"numbers of parts from 0 to {len(values) - 1}", str(parts.max(initial=0)))
    positive = bool(np.isfinite(deviations).all() and (deviations > 0).all())
    require("lengths, deviations", positive, "positive numbers", str(deviations))
    require("lengths, values", not (values <= 0).any() and not np.isinf(values).any(), "positive or NaN", str(values))
    return pairs.astype(np.int64), parts.astype(np.int64), values, 1.0 / deviations**2


def check_cameras(rig: Rig, first: Integers, seen: Integers) -> None:
    """Raise where a camera with free parameters sees nothing; `seen` (camera,) counts what each sees."""
    for index in np.flatnonzero((first >= 0) & (seen == 0)):
        raise CalibrationError(
            f"camera '{rig.names[index]}'",
            expected="a camera with free parameters that sees something",
            got="no observation",
            remedy="Leave the camera out, or name it among the fixed poses and give it no lens model.",
        )


def check_boards(views: Views, least: int) -> None:
    """Raise where no camera sees `least` corners of the board of a frame."""
    best = np.zeros(views.n_frames, dtype=np.int64)
    np.maximum.at(best, views.frame, np.diff(views.start))
    few = np.flatnonzero(best < least)
    if len(few):
        raise CalibrationError(
            f"frame {few[0]}" + (f" (and {len(few) - 1} more)" if len(few) > 1 else ""),
            expected=f"at least {least} corners of the board seen by one camera",
            got=f"{best[few[0]]} at most",
            remedy="Leave out frames in which no camera sees so many.",
        )


def check_fixed(fixed_poses: Collection[str], *, otherwise: bool) -> None:
    """Raise where nothing holds the world."""
    if not fixed_poses and not otherwise:
        raise CalibrationError(
            "bundle adjustment, fixed poses",
            expected="a camera, the boards or a prior to hold the world",
            got="none",
            remedy="Fix the pose of one camera: the world is where that camera says.",
        )


def height_basis(shape: Floats, views: Views, *, fixed_boards: bool) -> Floats:
    """(corner, free) orthonormal basis of the heights that no pose of the board explains, of the corners that are seen.

    The constant and the two slopes are left out: they would be a shift and a turn of the board.
    """
    seen = np.bincount(views.corner, minlength=len(shape)) > 0
    basis = np.eye(len(shape))[:, seen]
    if fixed_boards:
        return basis
    flat = np.column_stack([np.ones(len(shape)), shape[:, 0], shape[:, 1]])[seen]
    require("bend", int(seen.sum()) > 3, "more than three corners that are seen", f"{int(seen.sum())}")
    complement = np.linalg.svd(flat, full_matrices=True)[0][:, 3:]
    return np.ascontiguousarray(basis @ complement)


def warn_left_out(rig: Rig, cameras: Integers, what: str, stacklevel: int) -> None:
    """Warn of what the cameras (observation,) cannot see."""
    for index, count in enumerate(np.bincount(cameras, minlength=len(rig))):
        if count:
            warnings.warn(
                f"camera '{rig.names[index]}': {count} {what} left out: they lie behind the camera or beyond the reach"
                " of its lens",
                SuiteWarning,
                stacklevel=stacklevel,
            )
