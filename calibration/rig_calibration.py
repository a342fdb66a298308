"""From corners to a calibrated rig: lenses one by one, then where the cameras stand, then everything at once.

The last step is maximum likelihood over all cameras, lenses and boards (`calibration.bundle`). How good the result is,
frames tell that it was fitted without: they are cut into blocks of neighbors in time, each block is left out once, and
what it shows is compared with the rig of the others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration._board_clocks import BoardClocks, is_dense, resample_corners
from calibration._held_out import HeldOut, hold_out
from calibration._joint_fit import EXCESS, JointFit, adjust_rig, excess_of, find_bend, find_clocks, temper
from calibration._rig_messages import check_names, check_twice, what_was_noticed
from calibration._rig_start import Start, choose_start, whole_enough
from calibration.boards.geometry import Board
from calibration.bundle import BundleAdjustment, BundleSettings
from calibration.corners import CORNERS, board_of, join_corners
from calibration.errors import CalibrationError, InvalidValueError
from calibration.extrinsics import Extrinsics, ExtrinsicsSettings
from calibration.intrinsics import IntrinsicsSettings, LensCalibration, calibrate_lens
from calibration.lens import Lens
from calibration.lens_models import LensModel
from calibration.rig import Rig
from calibration.schema import check
from calibration.transforms import RigidTransform

__all__ = ["Calibration", "CalibrationSettings", "HeldOut", "calibrate"]

Array = NDArray[np.float64]

# Frames that clocks are told from must fit the first rig, which clocks that are apart make a poor one of: with better
# clocks there is a better rig, and with it there are more frames.
_CLOCK_ROUNDS = 4
# Share of the frames of a pair that have to agree where the clocks are still to be found.
_FEW_AGREE = 0.05


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
        models: what was free of each lens in the end; the cameras together may tell more than each by itself. Cameras
            whose lens was kept are not among them.
        extrinsics: how the cameras were joined; None for a single camera.
        adjustment: the last step: residuals, weights, status, cost, noise, covariance.
        held_out: what left-out frames show; None where there are too few frames to leave any out.
        clocks: how late each camera was, where pictures were not taken at the same instants and the motion of the board
            told so; the corners are then those at the instants of the first camera's clock.
        excess: noise of all cameras together over that within single views; 1 where all fits.
        bend: largest less smallest height of the corners over the plane of the board, where that explains what a flat
            board does not and was not estimated; else 0.
        warnings: what was assumed or looks wrong, for people.
    """

    rig: Rig
    board: Board
    board_points: Array
    corners: xr.Dataset
    shared: NDArray[np.bool_]
    world_from_board: RigidTransform
    lenses: Mapping[str, LensCalibration]
    models: Mapping[str, LensModel]
    extrinsics: Extrinsics | None
    adjustment: BundleAdjustment
    held_out: HeldOut | None
    clocks: BoardClocks | None
    excess: float
    bend: float
    warnings: tuple[str, ...]


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
    check_names(names, {"lenses": known, "fixed_lenses": fixed_lenses, "models": models})
    check_names(list(known), {"fixed_lenses": fixed_lenses})
    check_twice(names, corners["position"].values)
    board, together = board_of(corners), corners if own_corners is None else _with_own(corners, own_corners)
    position = whole_enough(together["position"].values)
    found = _lenses(together, position, board, known, fixed_lenses, models, settings)
    free = {name: found[name].model for name in names if name not in fixed_lenses}
    joint = JointFit(board.points, free, settings.bundle, growing=frozenset(free) - frozenset(models))
    times = corners["time"].values
    start, joint, adjustment, clocks, excess = _join(found, joint, position, times, together, settings)
    bend = find_bend(start, joint, adjustment)
    used = together.isel(frame=start.frames).copy()
    used["position"] = used["position"].copy(data=start.position)
    return Calibration(
        rig=adjustment.rig,
        board=board,
        board_points=adjustment.board_points,
        corners=used,
        shared=start.frames < corners.sizes["frame"],
        world_from_board=adjustment.world_from_board,
        lenses=found,
        models=joint.models,
        extrinsics=start.extrinsics,
        adjustment=adjustment,
        held_out=hold_out(start, joint, adjustment, settings.folds),
        clocks=clocks,
        excess=excess,
        bend=bend,
        warnings=what_was_noticed(found, start, adjustment, clocks, excess, bend),
    )


def _with_own(corners: xr.Dataset, own: xr.Dataset) -> xr.Dataset:
    """Both, with a frame of its own for every view of `own`: those of different cameras are not of one instant."""
    check(own, CORNERS)
    together = corners
    for name in own["camera"].values:
        views = own.sel(camera=[name])
        seen = np.isfinite(views["position"].values[0, ..., 0]).any(axis=-1)
        together = join_corners(together, views.isel(frame=seen))
    return together


def _lenses(
    corners: xr.Dataset,
    position: Array,
    board: Board,
    known: Mapping[str, Lens],
    fixed: Collection[str],
    models: Mapping[str, LensModel],
    settings: CalibrationSettings,
) -> dict[str, LensCalibration]:
    """What single views say of each lens."""
    found = {}
    for name, size, views in zip(
        corners["camera"].values.tolist(), corners["image_size"].values, position, strict=True
    ):
        found[str(name)] = calibrate_lens(
            str(name),
            (int(size[0]), int(size[1])),
            views,
            board.points,
            models=(models[name].name,) if name in models else None,
            lens=known.get(name),
            fixed=name in fixed,
            settings=settings.intrinsics,
        )
    return found


def _join(
    lenses: Mapping[str, LensCalibration],
    joint: JointFit,
    position: Array,
    times: Array,
    corners: xr.Dataset,
    settings: CalibrationSettings,
) -> tuple[Start, JointFit, BundleAdjustment, BoardClocks | None, float]:
    """Cameras joined and adjusted; where they do not see the same board, with clocks that make them do."""
    board = board_of(corners)

    def choose(position: Array, extrinsics: ExtrinsicsSettings = settings.extrinsics) -> Start:
        most = settings.maximum_frames
        return choose_start(
            lenses,
            position,
            board,
            maximum_frames=most,
            settings=extrinsics,
            frame_numbers=corners["frame"].values,
            times=_known_times(corners, shared=times.shape[1]),
        )

    clocks, refusal = None, None
    try:
        start = choose(position)
    except CalibrationError as error:
        # Boards that move under clocks that are apart agree in few frames; those may do to find the clocks.
        if len(lenses) == 1 or not is_dense(times):
            raise
        start, refusal = choose(position, replace(settings.extrinsics, smallest_share=_FEW_AGREE)), error
    chosen, adjustment = adjust_rig(start, joint, lenses)
    together = position[:, : times.shape[1]]
    for _ in range(_CLOCK_ROUNDS if len(lenses) > 1 else 0):
        if clocks is None and refusal is None and excess_of(adjustment, lenses) <= EXCESS:
            break
        found = find_clocks(start, joint, together, times, float(np.median(adjustment.noise)), clocks)
        if found is None or (clocks is not None and found.agrees(clocks)):
            break
        clocks = found
        moved = whole_enough(resample_corners(together, times, clocks.offsets))
        start = choose(np.concatenate([moved, position[:, times.shape[1] :]], axis=1))
        chosen, adjustment = adjust_rig(start, joint, lenses)
    if refusal is not None and clocks is None:
        raise refusal
    chosen, adjustment, excess = temper(start, chosen, adjustment, lenses)
    return start, chosen, adjustment, clocks, excess


def _known_times(corners: xr.Dataset, shared: int) -> Array | None:
    """(camera, frame) seconds of the first `shared` frames, then NaN; None where numbers of pictures stand for them."""
    times = corners["time"].values
    if np.array_equal(times, corners["source_frame"].values, equal_nan=True):
        return None
    return np.where(np.arange(times.shape[1]) < shared, times, np.nan)
