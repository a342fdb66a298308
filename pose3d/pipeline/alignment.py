"""The world frame of a rig by what was filmed: a board on the ground, named points, the ground, or gravity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from warnings import warn

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.alignment import frame_from_board, frame_from_ground, frame_from_points, frame_from_up, up_from_fall
from calibration.bundle import fit_board_poses
from calibration.corners import board_of
from calibration.errors import InvalidValueError, MismatchError, SuiteWarning
from calibration.rig import Rig
from calibration.transforms import RigidTransform

__all__ = ["WorldChoice", "align_rig"]

Mode = Literal["board", "points", "ground", "gravity"]
_MODES = ("board", "points", "ground", "gravity")


@dataclass(frozen=True)
class WorldChoice:
    """How the world frame is chosen.

    Attributes:
        mode: "board": the board lies on the ground in one frame; "points": three named points (origin, on the x axis,
            toward y); "ground": the board lies there in several frames, or named points touch it; "gravity": a
            direction in a camera, or the fall of a named point.
        names: frames, or names of keypoints, or a camera.
        direction: of gravity's pull in the frame of the camera (x right, y down, z forward).
    """

    mode: Mode
    names: tuple[str, ...]
    direction: tuple[float, float, float] | None = None

    @classmethod
    def parse(cls, text: str) -> WorldChoice:
        """From `MODE=NAMES`: board=12, points=nose,tail,ear, ground=paw1,paw2, ground=3,40,77, gravity=cam1:0,1,0.

        Raises:
            InvalidValueError: the text is of no such form.
        """
        mode, _, rest = text.partition("=")
        camera, colon, direction = rest.partition(":")
        names = tuple(name.strip() for name in (camera if colon else rest).split(",") if name.strip())
        fits = mode in _MODES and names and not (colon and mode != "gravity")
        if fits and mode in ("board", "gravity"):
            fits = len(names) == 1
        if fits and mode == "points":
            fits = len(names) == 3
        if not fits:
            raise _wrong(text)
        return cls(mode, names, _vector(direction, text) if colon else None)  # type: ignore[arg-type]  # one of _MODES

    def words(self, rig: Rig, *, boards: bool) -> str:
        """Where the origin is and what the axes are.

        Args:
            rig: the cameras, in any world.
            boards: whether names of a ground are frames in which the board lies on it.
        """
        level = f"x level, to the right of camera {rig.names[0]}, y to the left of x, z up"
        listed = ", ".join(self.names)
        if self.mode == "board":
            return (
                f"origin at the first corner of the board in frame {listed}; x along its rows, z up out of its face, "
                "y to the left of x"
            )
        if self.mode == "points":
            first, second, third = self.names
            return f"origin at {first}; x toward {second}, y on the side of {third}, z at a right angle to both"
        if self.mode == "ground":
            what = f"the places of the board in frames {listed}" if boards else listed
            return f"origin in the middle of {what}, on the ground; {level} from the ground"
        return f"origin where it was; {level} against gravity"


def align_rig(
    rig: Rig, choice: WorldChoice, *, corners: xr.Dataset | None = None, poses3d: xr.Dataset | None = None
) -> RigidTransform:
    """new_from_world of a rig for a choice of the world.

    Args:
        rig: the cameras.
        choice: of the world.
        corners: Corners Dataset, for boards.
        poses3d: Poses3D Dataset in the present world, for named points.

    Raises:
        InvalidValueError: what the choice needs was not given.
        MismatchError: a frame, camera or keypoint is not there.
        CalibrationError: it determines no frame.
    """
    if choice.mode == "board":
        new_from_world = frame_from_board(_board_poses(rig, choice.names, corners)[0])
        _warn_of_cameras_below(rig, new_from_world, choice.names[0])
        return new_from_world
    if choice.mode == "points":
        return frame_from_points(*(np.nanmedian(_points(poses3d, name), axis=0) for name in choice.names))
    if choice.mode == "ground":
        if poses3d is None:
            poses = _board_poses(rig, choice.names, corners)
            board = board_of(corners) if corners is not None else None
            assert board is not None  # what has poses has a board
            return frame_from_ground(rig, np.stack([pose(board.points) for pose in poses]))
        return frame_from_ground(rig, np.concatenate([_points(poses3d, name) for name in choice.names]))
    if choice.direction is not None:
        down = np.array(choice.direction) @ rig[choice.names[0]].cam_from_world.rotation
        return frame_from_up(rig, -down)
    fall = _points(poses3d, choice.names[0])
    assert poses3d is not None  # it has points
    return frame_from_up(rig, up_from_fall(fall, _seconds(poses3d)))


def _warn_of_cameras_below(rig: Rig, new_from_world: RigidTransform, frame: str) -> None:
    """A board that lies on the ground has no camera below it."""
    below = [camera.name for camera in rig if new_from_world(camera.center)[2] < 0]
    if below:
        warn(
            f"alignment by the board, frame {frame}: {', '.join(below)} would be below the ground: the board seems to "
            "be held in the air there; choose a frame in which it lies on the ground, face up",
            SuiteWarning,
            stacklevel=3,
        )


def _board_poses(rig: Rig, names: Sequence[str], corners: xr.Dataset | None) -> list[RigidTransform]:
    if corners is None:
        raise InvalidValueError(
            "alignment by the board",
            expected="the corners of the board",
            got="none",
            remedy="Give them with --corners, or calibrate from the videos and align in one go.",
        )
    known = corners["frame"].values.tolist()
    places = []
    for name in names:
        if not name.isdecimal() or int(name) not in known:
            raise MismatchError(
                f"alignment by the board, frame '{name}'",
                expected=f"a frame in which the board was seen: {_some(known)}",
                got=f"'{name}'",
                remedy="Find the frame in which the board lies on the ground; frames are counted as in corners.nc.",
            )
        places.append(known.index(int(name)))
    position = corners["position"].sel(camera=list(rig.names)).values[:, places]
    found = fit_board_poses(rig, board_of(corners).points, position).world_from_board
    return [RigidTransform(*pose) for pose in zip(found.rotation, found.translation, strict=True)]


def _points(poses3d: xr.Dataset | None, name: str) -> NDArray[np.float64]:
    """(time, 3) positions of a keypoint of the first individual."""
    if poses3d is None:
        raise InvalidValueError(
            "alignment by named points",
            expected="3D positions, or 2D poses to triangulate",
            got="none",
            remedy="Give them with --align-with.",
        )
    known = [str(each) for each in poses3d["keypoint"].values]
    if name not in known:
        raise MismatchError(
            f"alignment, keypoint '{name}'",
            expected=f"one of {_some(known)}",
            got=f"'{name}'",
            remedy="Use the names in the file.",
        )
    chosen = poses3d["position"].isel(individual=0).sel(keypoint=name)
    points = chosen.transpose("time", "space").values.astype(np.float64)
    if not np.isfinite(points).all(axis=-1).any():
        raise MismatchError(
            f"alignment, keypoint '{name}'",
            expected="at least one 3D position",
            got="none",
            remedy="Choose a keypoint that two or more cameras see.",
        )
    return points


def _seconds(poses3d: xr.Dataset) -> NDArray[np.float64]:
    if poses3d["time"].attrs.get("units") != "s" and "fps" not in poses3d.attrs:
        raise InvalidValueError(
            "alignment by a fall",
            expected="times in seconds",
            got="frame numbers without a frame rate",
            remedy="Give the frame rate of the 2D poses: --frame-rate.",
        )
    return poses3d["time"].values.astype(np.float64)


def _vector(text: str, whole: str) -> tuple[float, float, float]:
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError as error:
        raise _wrong(whole) from error
    return x, y, z


def _some(values: Sequence[object]) -> str:
    shown = ", ".join(str(value) for value in values[:12])
    return shown + (f" ... ({len(values)} in all)" if len(values) > 12 else "")


def _wrong(text: str) -> InvalidValueError:
    return InvalidValueError(
        "--align",
        expected="board=FRAME, points=ORIGIN,X,Y, ground=NAME,... or ground=FRAME,..., gravity=CAMERA:x,y,z or "
        "gravity=FALLING_KEYPOINT",
        got=f"'{text}'",
        remedy="Write it in one of these forms.",
    )
