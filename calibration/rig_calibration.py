"""From corners to a calibrated rig: lenses one by one, then where the cameras stand, then everything at once.

The last step is maximum likelihood over all cameras, lenses and boards (`calibration.bundle`). How good the result is,
frames tell that it was fitted without: they are cut into blocks of neighbors in time, each block is left out once, and
what it shows is compared with the rig of the others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.boards.geometry import Board
from calibration.bundle import BundleAdjustment, BundleSettings, adjust_boards, fit_board_poses
from calibration.camera import Camera
from calibration.corners import CORNERS, board_of, join_corners
from calibration.errors import InvalidValueError
from calibration.extrinsics import Extrinsics, ExtrinsicsSettings, estimate_extrinsics
from calibration.intrinsics import IntrinsicsSettings, LensCalibration, calibrate_lens
from calibration.lens import Lens
from calibration.lens_models import LensModel
from calibration.rig import Rig
from calibration.schema import check
from calibration.transforms import RigidTransform
from calibration.triangulation import triangulate

__all__ = ["Calibration", "CalibrationSettings", "HeldOut", "calibrate"]

Array = NDArray[np.float64]

# Corners that the robust loss gives less weight than this, in left-out frames, are outliers: of two cameras nobody else
# could tell.
_BELIEVED = 0.2
# A board of which fewer corners are seen says little of its pose, and a wrong one of them spoils it.
_FEWEST_CORNERS = 6


@dataclass(frozen=True)
class CalibrationSettings:
    """How to calibrate a rig.

    Attributes:
        intrinsics, extrinsics, bundle: settings of the three steps.
        maximum_frames: at most so many frames seen by two or more cameras enter the last step, spread evenly. Beyond
            some hundreds the uncertainty is that of the board, not of the number of frames.
        folds: number of blocks that are left out in turn.
    """

    intrinsics: IntrinsicsSettings = field(default_factory=IntrinsicsSettings)
    extrinsics: ExtrinsicsSettings = field(default_factory=ExtrinsicsSettings)
    bundle: BundleSettings = field(default_factory=BundleSettings)
    maximum_frames: int = 400
    folds: int = 5

    def __post_init__(self) -> None:
        for name, lowest in (("maximum_frames", 3), ("folds", 2)):
            if not getattr(self, name) >= lowest:
                raise InvalidValueError(
                    name, expected=f"at least {lowest}", got=str(getattr(self, name)), remedy="Change the setting."
                )


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What frames show of a rig that was fitted without them.

    Attributes:
        residuals: (camera, frame, corner, 2) px, observed minus projected; only the pose of the board was fitted.
        points: (frame, corner, 3) corners triangulated by that rig, without outliers; the triangulation knows nothing of
            the board. NaN where fewer than two cameras see them.
    """

    residuals: Array
    points: Array


@dataclass(frozen=True, eq=False)
class Calibration:
    """A calibrated rig and what is known of it.

    Attributes:
        rig: the cameras; the first one's frame is the world, until it is aligned.
        board: the board.
        board_points: (corner, 3) its corners, bent where that was estimated.
        corners: Corners Dataset of the frames that were used, with turned boards put right. Frames that only one camera
            sees serve its lens.
        shared: (frame,) bool, False for frames of `own_corners`, whose pictures are not those of the shared videos.
        world_from_board: (frame,) poses of the board.
        lenses: what is known of each lens by itself.
        extrinsics: how the cameras were joined; None for a single camera.
        adjustment: the last step: residuals, weights, status, cost, noise, covariance.
        held_out: what left-out frames show; None where there are too few frames to leave any out.
        warnings: what was assumed or looks wrong, for people.
    """

    rig: Rig
    board: Board
    board_points: Array
    corners: xr.Dataset
    shared: NDArray[np.bool_]
    world_from_board: RigidTransform
    lenses: Mapping[str, LensCalibration]
    extrinsics: Extrinsics | None
    adjustment: BundleAdjustment
    held_out: HeldOut | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Start:
    """Where the last step begins: a rig, and the frames it uses with the poses of their boards."""

    rig: Rig
    frames: NDArray[np.intp]
    position: Array
    world_from_board: RigidTransform
    extrinsics: Extrinsics | None


def calibrate(
    corners: xr.Dataset,
    *,
    own_corners: xr.Dataset | None = None,
    lenses: Mapping[str, Lens] | None = None,
    fixed_lenses: Collection[str] = (),
    models: Mapping[str, LensModel] | None = None,
    settings: CalibrationSettings | None = None,
) -> Calibration:
    """Calibrate a rig from the corners of a board.

    Args:
        corners: Corners Dataset; what cameras see in one frame they saw at one instant.
        own_corners: Corners of the same board that only serve the lenses: videos of single cameras.
        lenses: known lenses by camera, to start from.
        fixed_lenses: cameras whose known lens is kept as it is.
        models: lens model by camera; by default the one that predicts left-out views best.
        settings: how.

    Raises:
        InvalidValueError: a Dataset breaks its schema, or a camera has no such name.
        MismatchError: the two Datasets are of different boards or image sizes.
        CalibrationError: the pictures do not determine the rig; the error names cameras, frames and what to film.
    """
    settings, known, models = settings or CalibrationSettings(), dict(lenses or {}), dict(models or {})
    check(corners, CORNERS)
    names = [str(name) for name in corners["camera"].values]
    _check_names(names, {"lenses": known, "fixed_lenses": fixed_lenses, "models": models})
    _check_names(list(known), {"fixed_lenses": fixed_lenses})
    board, together = board_of(corners), corners if own_corners is None else join_corners(corners, own_corners)
    position = _whole_enough(together["position"].values)
    found = {}
    for name, width_height, views in zip(names, together["image_size"].values, position, strict=True):
        found[name] = calibrate_lens(
            name,
            (int(width_height[0]), int(width_height[1])),
            views,
            board.points,
            models=(models[name].name,) if name in models else None,
            lens=known.get(name),
            fixed=name in fixed_lenses,
            settings=settings.intrinsics,
        )
    start = _start(found, position, board, settings)
    free = {name: found[name].model for name in names if name not in fixed_lenses}
    adjustment = adjust_boards(
        start.rig, board.points, start.world_from_board, start.position, models=free, settings=settings.bundle
    )
    held_out = _hold_out(adjustment, start.position, free, settings)
    used = together.isel(frame=start.frames).copy()
    used["position"] = used["position"].copy(data=start.position)
    noted = [] if start.extrinsics is None else start.extrinsics.warnings
    return Calibration(
        rig=adjustment.rig,
        board=board,
        board_points=adjustment.board_points,
        corners=used,
        shared=start.frames < corners.sizes["frame"],
        world_from_board=adjustment.world_from_board,
        lenses=found,
        extrinsics=start.extrinsics,
        adjustment=adjustment,
        held_out=held_out,
        warnings=(*(f"{name}: {text}" for name, lens in found.items() for text in lens.warnings), *noted),
    )


def _check_names(names: list[str], given: Mapping[str, Collection[str]]) -> None:
    for argument, wanted in given.items():
        strangers = [name for name in wanted if name not in names]
        if strangers:
            raise InvalidValueError(
                f"{argument}, camera '{strangers[0]}'",
                expected=f"one of {', '.join(names) or 'no camera'}",
                got=f"'{strangers[0]}'",
                remedy="Use the names of the cameras in the Corners; a lens that is to be kept must be given.",
            )


def _whole_enough(position: Array) -> Array:
    """The positions without boards of which too little is seen."""
    few = np.isfinite(position[..., 0]).sum(axis=-1) < _FEWEST_CORNERS
    return np.where(few[..., None, None], np.nan, position.astype(np.float64))


def _views(position: Array) -> NDArray[np.bool_]:
    """(camera, frame) True where a camera sees the board."""
    return np.asarray(np.isfinite(position[..., 0]).any(axis=-1))


def _start(
    found: Mapping[str, LensCalibration], position: Array, board: Board, settings: CalibrationSettings
) -> _Start:
    """Cameras and boards in one world, from what single views and pairs of cameras say."""
    lenses = list(found.values())
    if len(lenses) == 1:
        (lens,) = lenses
        rig = Rig((Camera(lens.name, lens.size, lens.lens, RigidTransform.identity()),), unit=board.unit)
        return _Start(rig, lens.views, position[:, lens.views], lens.cam_from_board, None)
    joined = estimate_extrinsics(
        [lens.name for lens in lenses],
        [lens.size for lens in lenses],
        [lens.lens for lens in lenses],
        position,
        board,
        settings=settings.extrinsics,
    )
    several = np.flatnonzero(_views(joined.position)[:, joined.frames].sum(axis=0) > 1)
    several = several[np.unique(np.linspace(0, len(several) - 1, settings.maximum_frames).astype(np.intp))]
    frames = [joined.frames[several]]
    poses = [joined.world_from_board.matrix[several]]
    seen = _views(position).sum(axis=0)
    for camera, lens in zip(joined.rig, lenses, strict=True):
        alone = np.flatnonzero(seen[lens.views] == 1)
        frames.append(lens.views[alone])
        poses.append(camera.cam_from_world.inverse().matrix @ lens.cam_from_board.matrix[alone])
    order = np.argsort(np.concatenate(frames), kind="stable")
    chosen, matrices = np.concatenate(frames)[order], np.concatenate(poses)[order]
    world_from_board = RigidTransform(matrices[:, :3, :3], matrices[:, :3, 3])
    return _Start(joined.rig, chosen, joined.position[:, chosen], world_from_board, joined)


def _hold_out(
    adjustment: BundleAdjustment, position: Array, models: Mapping[str, LensModel], settings: CalibrationSettings
) -> HeldOut | None:
    """Leave out each block of frames once; the fit of the others starts at that of all."""
    several = np.flatnonzero(_views(position).sum(axis=0) > (len(position) > 1))
    if len(several) < 2 * settings.folds:
        return None
    residuals = np.full(position.shape, np.nan)
    points = np.full((*position.shape[1:3], 3), np.nan)
    poses = adjustment.world_from_board
    for left_out in np.array_split(several, settings.folds):
        kept = np.setdiff1d(np.arange(position.shape[1]), left_out)
        fitted = adjust_boards(
            adjustment.rig,
            adjustment.board_points,
            RigidTransform(poses.rotation[kept], poses.translation[kept]),
            position[:, kept],
            models=models,
            settings=settings.bundle,
        )
        shown = position[:, left_out]
        start = RigidTransform(poses.rotation[left_out], poses.translation[left_out])
        shown_again = fit_board_poses(fitted.rig, fitted.board_points, shown, start=start)
        residuals[:, left_out] = shown_again.residuals
        if len(position) > 1:
            believed = np.where(shown_again.weights[..., None] > _BELIEVED, shown, np.nan)
            found = triangulate(fitted.rig, np.moveaxis(believed, 0, 2), method="linear", noise=1.0, covariance=False)
            points[left_out] = found.points
    return HeldOut(residuals, points)
