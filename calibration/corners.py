"""Corners: where the corners of a board were seen by each camera, frame by frame; the schema and the constructor.

A frame is one instant. Which picture of which video it is stands beside it, because cameras start and drop at
different times.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from calibration.boards.geometry import AprilGrid, Board, Charuco, Chessboard
from calibration.errors import InvalidValueError
from calibration.schema import Schema, Variable, as_floats, check

__all__ = ["CORNERS", "board_of", "corners"]

CORNERS = Schema(
    name="Corners",
    description="Corners of a calibration board in the images of every camera.",
    coordinates={
        "camera": Variable(("camera",), "U", None, "names of the cameras"),
        "frame": Variable(("frame",), "i", None, "number of the instant, starting at 0", minimum=0),
        "corner": Variable(("corner",), "i", None, "number of the corner on the board", minimum=0),
        "space": Variable(("space",), "U", None, "x, y"),
    },
    variables={
        "position": Variable(
            ("camera", "frame", "corner", "space"),
            "f",
            "px",
            "pixel coordinates; the center of the top-left pixel is (0, 0)",
        ),
        "board_position": Variable(
            ("corner", "axis"), "f", "rig", "where the corner is printed, in the frame of the board"
        ),
        "image_size": Variable(("camera", "space"), "fi", "px", "width and height of the images", minimum=1),
        "source_frame": Variable(
            ("camera", "frame"),
            "f",
            "1",
            "number of the picture in the camera's video or folder, NaN where it has none of that instant",
            minimum=0,
        ),
        "time": Variable(
            ("camera", "frame"), "f", "s", "when the picture was taken, on the clock that the frames were matched by"
        ),
    },
)

_BOARDS: dict[str, type[Board]] = {kind.kind: kind for kind in (Chessboard, Charuco, AprilGrid)}


def corners(
    position: ArrayLike,
    *,
    board: Board,
    cameras: Sequence[str],
    image_size: ArrayLike,
    frames: ArrayLike | None = None,
    source_frame: ArrayLike | None = None,
    time: ArrayLike | None = None,
    sources: Sequence[str] = (),
) -> xr.Dataset:
    """A Corners Dataset from arrays.

    Args:
        position: (camera, frame, corner, 2) pixels, NaN where not seen.
        board: the board; it says how many corners there are and where.
        cameras: names along the camera axis.
        image_size: (camera, 2) width and height.
        frames: (frame,) numbers of the instants; 0, 1, 2, ... by default.
        source_frame: (camera, frame) number of the picture of each camera; that of the frame by default.
        time: (camera, frame) seconds; the source frame by default.
        sources: where the pictures of each camera are, by camera.

    Raises:
        InvalidValueError: shapes do not fit, names are repeated or blank, or values are infinite.
    """
    pixels = as_floats(position, CORNERS.name, ends=(len(board.points), 2))
    if pixels.ndim != 4 or len(pixels) != len(cameras):
        raise InvalidValueError(
            CORNERS.name,
            expected=f"positions (camera, frame, corner, 2) of {len(cameras)} cameras",
            got=f"shape {pixels.shape}",
            remedy="Check the order of the axes.",
        )
    count = pixels.shape[1]
    numbers = np.arange(count) if frames is None else np.asarray(frames)
    shape = (len(cameras), count)
    if source_frame is None:
        pictures = np.broadcast_to(numbers.astype(np.float64), shape)
    else:
        pictures = as_floats(source_frame, "source_frame")
    times = pictures if time is None else as_floats(time, "time")
    dataset = xr.Dataset(
        {
            "position": (CORNERS.variables["position"].dims, pixels, {"units": "px"}),
            "board_position": (("corner", "axis"), board.points, {"units": board.unit}),
            "image_size": (("camera", "space"), np.asarray(image_size), {"units": "px"}),
            "source_frame": (("camera", "frame"), pictures, {"units": "1"}),
            "time": (("camera", "frame"), times, {"units": "s"}),
        },
        coords={
            "camera": np.array([str(name) for name in cameras], dtype=np.str_),
            "frame": numbers,
            "corner": np.arange(len(board.points)),
            "space": ["x", "y"],
            "axis": ["x", "y", "z"],
        },
        attrs={"board": json.dumps({"type": board.kind, **asdict(board)}), "sources": json.dumps(list(sources))},
    )
    return check(dataset, CORNERS)


def board_of(dataset: xr.Dataset) -> Board:
    """The board of a Corners Dataset.

    Raises:
        InvalidValueError: its attribute `board` is missing or describes no board.
    """
    try:
        values = json.loads(str(dataset.attrs["board"]))
        return _BOARDS[values.pop("type")](**values)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidValueError(
            f"{CORNERS.name}, attribute 'board'",
            expected="the board, as `corners` writes it",
            got=str(error),
            remedy="Detect the corners again.",
        ) from error
