"""Where the adjustment of a rig begins: cameras and boards in one world, from single views and pairs of cameras."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.boards.geometry import Board
from calibration.camera import Camera
from calibration.errors import SuiteWarning
from calibration.extrinsics import Extrinsics, ExtrinsicsSettings, estimate_extrinsics
from calibration.intrinsics import LensCalibration
from calibration.rig import Rig
from calibration.transforms import RigidTransform

__all__ = ["Start", "board_views", "choose_start", "whole_enough"]

Array = NDArray[np.float64]

# A board of which fewer corners are seen says little of its pose, and a wrong one of them spoils it.
_FEWEST_CORNERS = 6


@dataclass(frozen=True, eq=False)
class Start:
    """A rig, and the frames that are used with the poses of their boards.

    Attributes:
        rig: the cameras.
        frames: (frame,) numbers of the frames among all.
        position: (camera, frame, corner, 2) px of those, turned boards put right.
        world_from_board: (frame,) poses.
        extrinsics: how the cameras were joined; None for a single one.
    """

    rig: Rig
    frames: NDArray[np.intp]
    position: Array
    world_from_board: RigidTransform
    extrinsics: Extrinsics | None

    def at(self, kept: NDArray[np.intp] | NDArray[np.bool_]) -> tuple[RigidTransform, Array]:
        """Poses and positions of some of the frames."""
        poses = self.world_from_board
        return RigidTransform(poses.rotation[kept], poses.translation[kept]), self.position[:, kept]


def board_views(position: Array) -> NDArray[np.bool_]:
    """(camera, frame) True where a camera sees the board."""
    return np.asarray(np.isfinite(position[..., 0]).any(axis=-1))


def whole_enough(position: Array) -> Array:
    """The positions without boards of which too little is seen."""
    few = np.isfinite(position[..., 0]).sum(axis=-1) < _FEWEST_CORNERS
    return np.where(few[..., None, None], np.nan, position.astype(np.float64))


def choose_start(
    lenses: Mapping[str, LensCalibration],
    position: Array,
    board: Board,
    *,
    maximum_frames: int,
    settings: ExtrinsicsSettings,
    frame_numbers: NDArray[np.int64] | None = None,
    times: Array | None = None,
) -> Start:
    """Join the cameras, and choose frames: those that several cameras see, and those that serve a lens.

    Args:
        lenses: of the cameras, in the order of the positions.
        position: (camera, frame, corner, 2) px.
        board: the board.
        maximum_frames: at most so many frames that several cameras see, spread evenly.
        settings: of the extrinsics.
        frame_numbers, times: what errors call the frames, see `estimate_extrinsics`.

    Raises:
        CalibrationError: the cameras cannot be joined.
    """
    known = list(lenses.values())
    if len(known) == 1:
        (lens,) = known
        rig = Rig((Camera(lens.name, lens.size, lens.lens, RigidTransform.identity()),), unit=board.unit)
        return Start(rig, lens.views, position[:, lens.views], lens.cam_from_board, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SuiteWarning)  # they are in `Extrinsics.warnings`, too
        joined = estimate_extrinsics(
            [lens.name for lens in known],
            [lens.size for lens in known],
            [lens.lens for lens in known],
            position,
            board,
            settings=settings,
            frame_numbers=frame_numbers,
            times=times,
        )
    several = np.flatnonzero(board_views(joined.position)[:, joined.frames].sum(axis=0) > 1)
    several = several[np.unique(np.linspace(0, len(several) - 1, maximum_frames).astype(np.intp))]
    frames, poses = [joined.frames[several]], [joined.world_from_board.matrix[several]]
    seen = board_views(position).sum(axis=0)
    for camera, lens in zip(joined.rig, known, strict=True):
        alone = np.flatnonzero(seen[lens.views] == 1)
        frames.append(lens.views[alone])
        poses.append(camera.cam_from_world.inverse().matrix @ lens.cam_from_board.matrix[alone])
    order = np.argsort(np.concatenate(frames), kind="stable")
    chosen, matrices = np.concatenate(frames)[order], np.concatenate(poses)[order]
    shown = np.where(board_views(joined.position)[:, chosen, None, None], joined.position[:, chosen], np.nan)
    alone = seen[chosen] == 1
    shown[:, alone] = position[:, chosen[alone]]
    return Start(joined.rig, chosen, shown, RigidTransform(matrices[:, :3, :3], matrices[:, :3, 3]), joined)
