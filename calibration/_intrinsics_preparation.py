"""From all views of a board to those that a lens is fitted to: start, choice, wrong corners and wrong views."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from calibration._intrinsics_models import ModelFit, Views, fit_model, fit_poses, residuals_of, robust_noise
from calibration._intrinsics_settings import IntrinsicsSettings
from calibration._intrinsics_start import (
    Start,
    StartingLens,
    fitting_corners,
    lens_for_model,
    masked_median,
    misfits,
    starting_values,
)
from calibration._intrinsics_views import choose_views, image_reach, view_features
from calibration._planar_pose import PlanarPoses, planar_poses
from calibration.errors import CalibrationError
from calibration.lens import Fisheye, Lens
from calibration.lens_models import LENS_MODELS, LensModel
from calibration.transforms import RigidTransform

__all__ = ["Prepared", "believed_corners", "prepare"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# More views than this are thinned out evenly before anything else: neighbors in a video show the same.
_MOST_VIEWS = 600
# A view in which fewer of the corners fit a plane was detected wrongly as a whole.
_SMALLEST_SHARE = 0.6
# A lens that bends more than this (see `StartingLens.bending`) is first taken for a fisheye: polynomials fit it poorly.
_WIDE = -0.3
# A view whose corners are off their homography by so many times the median of all views was detected wrongly, too; the
# distortion, known roughly yet, makes a factor of 3 to 5.
_UNEVEN = 12.0
# Poses that leave more than so many times the error of homographies need another focal length; errors below so many
# pixels do not matter yet.
_STRETCHED, _NEGLIGIBLE = 3.0, 0.3
_FEW = 20
# With an error ratio below it, either planar solution may be the right one: both are fitted by the better lens. (Not
# fitted yet, the mirrored one of an ambiguous pair has up to four times the error.)
_AMBIGUOUS = 5.0
# After the first fit: both poses are as good as each other.
_UNDECIDED = 1.1
_FOCAL_SCAN = np.geomspace(0.25, 8.0, 11)  # half diagonals
_POLISH = 4


@dataclass(frozen=True, eq=False)
class Prepared:
    """Views that a lens can be fitted to.

    Attributes:
        frames: (view,) their indices among all.
        raw: (view, corner, 2) px, all corners that were seen.
        views: the same with the corners that are believed.
        fit: the first, robust adjustment, or the poses with a fixed lens.
        ambiguous: (view,) whether the mirrored pose fits nearly as well.
        mirrored: whether the boards are seen as in a mirror.
        rejected: reasons by frame.
    """

    frames: NDArray[np.intp]
    raw: Array
    views: Views
    fit: ModelFit
    ambiguous: Mask
    mirrored: bool
    rejected: dict[int, str] = field(default_factory=dict)


def prepare(views: Views, lens: Lens | None, models: tuple[LensModel, ...], settings: IntrinsicsSettings) -> Prepared:
    """Choose views and corners, and make a first fit.

    Args:
        views: everything that was detected.
        lens: starting lens, if one is given.
        models: those that will be tried; none where the lens is fixed.
        settings: thresholds.

    Raises:
        CalibrationError: too few views are left.
    """
    rejected: dict[int, str] = {}
    frames = _usable_frames(views.position, settings, rejected)
    _require_views(views.name, frames, rejected, settings)
    if lens is not None and models and not _leads(lens, views, frames, settings):
        lens = None
    if lens is None:
        start = starting_values(views.size, views.points, views.position[frames], seed=settings.seed)
    else:
        start = _start_with(lens, views, frames, settings)
    good, mirrored = _flat_views(start, views.position[frames], frames, rejected)
    _require_views(views.name, frames[good], rejected, settings)
    chosen = good[choose_views(_features(views, frames[good], start, good), settings.maximum_views)]
    frames, fitting = frames[chosen], start.fitting[chosen]
    raw = views.position[frames]
    kept = replace(views, position=np.where(fitting[..., None], raw, np.nan))
    poses, first = _first_poses(kept, start, lens)
    fit = _first_fit(kept, poses, first, models)
    fit, ambiguous = _settle_poses(kept, fit, poses.error[:, 1] < _AMBIGUOUS * poses.error[:, 0], settings)
    return _without_outliers(Prepared(frames, raw, kept, fit, ambiguous, mirrored, rejected), settings)


def believed_corners(raw: Array, residual: Array, noise: float, threshold: float) -> Array:
    """(view, corner, 2) the corners whose error (view, corner, 2) is below the threshold, in standard deviations."""
    error = np.hypot(residual[..., 0], residual[..., 1])
    return np.where((error <= threshold * noise)[..., None], raw, np.nan)


def _usable_frames(position: Array, settings: IntrinsicsSettings, rejected: dict[int, str]) -> NDArray[np.intp]:
    counts = (np.isfinite(position[..., 0]) & np.isfinite(position[..., 1])).sum(axis=-1)
    for frame in np.flatnonzero((counts > 0) & (counts < settings.minimum_corners)):
        rejected[int(frame)] = f"only {counts[frame]} corners"
    frames = np.flatnonzero(counts >= settings.minimum_corners)
    if len(frames) > _MOST_VIEWS:
        frames = frames[np.linspace(0, len(frames) - 1, _MOST_VIEWS).astype(np.intp)]
    return frames


def _require_views(name: str, frames: NDArray[np.intp], rejected: dict[int, str], settings: IntrinsicsSettings) -> None:
    if len(frames) < settings.minimum_views:
        reasons = f"; left out: {_reasons(rejected)}" if rejected else ""
        raise CalibrationError(
            f"camera '{name}', lens",
            expected=f"at least {settings.minimum_views} views of the board with {settings.minimum_corners} corners",
            got=f"{len(frames)}{reasons}",
            remedy="Film the board closer, well lit and at rest, tilted differently each time: 20 views or more.",
        )


def _reasons(rejected: dict[int, str]) -> str:
    """The reasons, each with its first frames."""
    frames: dict[str, list[int]] = {}
    for frame, reason in rejected.items():
        frames.setdefault(reason, []).append(frame)
    parts = []
    for reason, those in list(frames.items())[:3]:
        shown = ", ".join(map(str, those[:3])) + (f" and {len(those) - 3} more" if len(those) > 3 else "")
        parts.append(f"frame {shown} ({reason})")
    return "; ".join(parts)


def _start_with(lens: Lens, views: Views, frames: NDArray[np.intp], settings: IntrinsicsSettings) -> Start:
    """The start that a given lens makes."""
    position = views.position[frames]
    straight = lens.undistort(position)
    fitting, homography = fitting_corners(views.points, straight, seed=settings.seed)
    focal_length = float(lens.camera_matrix[0, 0])
    misfit = misfits(homography, views.points, straight, fitting)
    return Start(StartingLens(views.size, focal_length, 0.0), fitting, homography, misfit)


def _leads(lens: Lens, views: Views, frames: NDArray[np.intp], settings: IntrinsicsSettings) -> bool:
    """Whether a given lens is a start as good as the one that the views give."""
    few = views.position[frames[np.linspace(0, len(frames) - 1, min(len(frames), _FEW)).astype(np.intp)]]
    own = starting_values(views.size, views.points, few, seed=settings.seed)
    fitting = own.fitting[..., None]
    given = np.where(fitting, lens.undistort(few), np.nan)
    if np.isfinite(given[..., 0]).sum() < _SMALLEST_SHARE * own.fitting.sum():
        return False
    errors = [
        float(np.median(planar_poses(views.points, normalized).error[:, 0])) * focal_length
        for normalized, focal_length in (
            (given, float(lens.camera_matrix[0, 0])),
            (np.where(fitting, own.lens.undistort(few), np.nan), own.lens.focal_length),
        )
    ]
    return errors[0] < 1.5 * errors[1] + _NEGLIGIBLE


def _rigid(poses: PlanarPoses, start: Start) -> bool:
    """Whether the poses of a board explain its corners nearly as well as homographies, which are free to stretch it."""
    typical = float(np.median(start.misfit)) + _NEGLIGIBLE / start.lens.focal_length
    return float(np.median(poses.error[:, 0])) < _STRETCHED * typical


def _flat_views(
    start: Start, position: Array, frames: NDArray[np.intp], rejected: dict[int, str]
) -> tuple[NDArray[np.intp], bool]:
    """Indices of views whose corners lie on a plane and are counted the right way round; whether all are mirrored."""
    seen = np.isfinite(position[..., 0]).sum(axis=-1)
    known = np.isfinite(start.homography[:, 0, 0])
    flat = known & (start.fitting.sum(axis=-1) >= _SMALLEST_SHARE * seen)
    if flat.any():
        typical = float(np.median(start.misfit[flat])) + _NEGLIGIBLE / start.lens.focal_length
        flat &= start.misfit < _UNEVEN * typical
    h = np.where(known[:, None, None], start.homography, np.eye(3))
    # of the derivative of the image by the board, the sign of the determinant times w^3 is that of the determinant
    depth = h[:, 2, 2]
    handed = np.linalg.det(h) * np.sign(depth) > 0
    mirrored = bool(flat.any()) and float(handed[flat].mean()) < 0.5
    turned = flat & (handed == mirrored)
    for view in np.flatnonzero(~flat):
        rejected[int(frames[view])] = "the corners do not lie on a flat board"
    for view in np.flatnonzero(turned):
        rejected[int(frames[view])] = "the corners are counted as in a mirror"
    return np.flatnonzero(flat & ~turned), mirrored


def _features(views: Views, frames: NDArray[np.intp], start: Start, good: NDArray[np.intp]) -> Array:
    """See `view_features`; tilt and distance follow from the homography."""
    columns = start.homography[good][..., :2]
    normal = np.cross(columns[..., 0], columns[..., 1])
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    tilt = np.arccos(np.clip(np.abs(normal[:, 2]), 0.0, 1.0))
    direction = np.arctan2(normal[:, 1] * np.sign(normal[:, 2]), normal[:, 0] * np.sign(normal[:, 2]))
    middle = start.homography[good] @ np.append(views.points[:, :2].mean(axis=0), 1.0)
    depth = np.abs(middle[:, 2]) / np.linalg.norm(columns, axis=(1, 2))
    return view_features(views.size, views.position[frames], tilt, direction, depth)


def _first_poses(views: Views, start: Start, lens: Lens | None) -> tuple[PlanarPoses, Lens | Start]:
    """Poses by the starting lens; where they are much worse than the homographies, by the best of a scan."""
    if lens is not None:
        return planar_poses(views.points, lens.undistort(views.position)), lens
    normalized = start.lens.undistort(views.position)
    poses = planar_poses(views.points, normalized)
    if _rigid(poses, start):
        return poses, start
    radius = float(np.hypot(*views.size)) / 2
    tried = [start.lens.focal_length, *(radius * _FOCAL_SCAN)]
    few = np.linspace(0, len(normalized) - 1, min(len(normalized), _FEW)).astype(np.intp)
    errors = []
    for focal_length in tried:
        scaled = normalized[few] * (start.lens.focal_length / focal_length)
        errors.append(float(np.median(planar_poses(views.points, scaled).error[:, 0])) * focal_length)
    best = tried[int(np.argmin(errors))]
    better = replace(start, lens=replace(start.lens, focal_length=best))
    return planar_poses(views.points, better.lens.undistort(views.position)), better


def _first_fit(views: Views, poses: PlanarPoses, start: Lens | Start, models: tuple[LensModel, ...]) -> ModelFit:
    """The robust adjustment, by a model that is neither stiff nor loose."""
    reach = image_reach(views.size, views.position)
    if isinstance(start, Start):
        source: Lens | StartingLens = start.lens
        wide = start.lens.bending < _WIDE
    else:
        wide, source = isinstance(start, Fisheye), start
    if not models and not isinstance(start, Start):
        return fit_poses(views, start, poses.best, loss="cauchy")
    kinds = {model.fisheye for model in models}
    fisheye = kinds.pop() if len(kinds) == 1 else wide
    model = LENS_MODELS["fisheye" if fisheye else "radial2"]
    lens = lens_for_model(source, model, views.size, reach)
    return fit_model(views, model, lens, poses.best, loss="cauchy")


def _settle_poses(views: Views, fit: ModelFit, ambiguous: Mask, settings: IntrinsicsSettings) -> tuple[ModelFit, Mask]:
    """The better of both poses by the fitted lens, where there was doubt; which views are ambiguous still."""
    error = np.hypot(fit.residuals[..., 0], fit.residuals[..., 1])
    middle = masked_median(error, np.isfinite(error))
    # a view that fits badly may have begun at the wrong one
    chosen = np.flatnonzero(ambiguous | (middle > settings.view_threshold * np.median(middle)))
    if not len(chosen):
        return fit, ambiguous
    poses = planar_poses(views.points, fit.lens.undistort(views.position[chosen]), steps=_POLISH)
    rotation, translation = fit.cam_from_board.rotation.copy(), fit.cam_from_board.translation.copy()
    ambiguous = np.zeros(len(ambiguous), dtype=np.bool_)
    ambiguous[chosen] = ~(poses.error[:, 1] > _UNDECIDED * poses.error[:, 0])
    # the cosine of the angle between the normals of the pose so far and of the better one
    agreement = (rotation[chosen, :, 2] * poses.best.rotation[:, :, 2]).sum(axis=-1)
    other = np.isfinite(poses.error[:, 0]) & (agreement < np.cos(np.deg2rad(2.0)))
    if not other.any():
        return fit, ambiguous
    rotation[chosen[other]] = poses.best.rotation[other]
    translation[chosen[other]] = poses.best.translation[other]
    return fit_model(views, fit.model, fit.lens, RigidTransform(rotation, translation), loss="cauchy"), ambiguous


def _without_outliers(prepared: Prepared, settings: IntrinsicsSettings) -> Prepared:
    """Leave out corners and views that disagree with the first fit."""
    fit, raw = prepared.fit, prepared.raw
    residual = residuals_of(fit.lens, fit.cam_from_board, prepared.views.points, raw)
    error = np.hypot(residual[..., 0], residual[..., 1])
    seen = np.isfinite(raw[..., 0])
    error = np.where(seen & np.isnan(error), np.inf, error)
    middle = masked_median(error, seen)
    typical = float(np.median(middle))
    noise = robust_noise(error[np.isfinite(prepared.views.position[..., 0])])
    position = believed_corners(raw, residual, noise, settings.outlier_threshold)
    share = np.isfinite(position[..., 0]).sum(axis=-1) / seen.sum(axis=-1)
    blurred = middle > settings.view_threshold * typical
    torn = ~blurred & (share < _SMALLEST_SHARE)
    rejected = dict(prepared.rejected)
    for view in np.flatnonzero(blurred):
        rejected[int(prepared.frames[view])] = f"median error {middle[view]:.2g} px, that of all views {typical:.2g} px"
    for view in np.flatnonzero(torn):
        rejected[int(prepared.frames[view])] = f"{1 - share[view]:.0%} of the corners disagree with the rest"
    enough = np.isfinite(position[..., 0]).sum(axis=-1) >= settings.minimum_corners
    good = ~blurred & ~torn & enough
    _require_views(prepared.views.name, prepared.frames[good], rejected, settings)
    poses = fit.cam_from_board
    return replace(
        prepared,
        frames=prepared.frames[good],
        raw=raw[good],
        views=replace(prepared.views, position=position[good]),
        fit=replace(fit, cam_from_board=RigidTransform(poses.rotation[good], poses.translation[good])),
        ambiguous=prepared.ambiguous[good],
        rejected=rejected,
    )
