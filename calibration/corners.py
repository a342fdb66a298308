"""Corners: where the corners of a board were seen by each camera, frame by frame; the schema and the constructor.

A frame is one instant. Which picture of which video it is stands beside it, because cameras start and drop at
different times.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from calibration.boards.geometry import AprilGrid, Board, Charuco, Chessboard
from calibration.errors import InvalidValueError, MismatchError
from calibration.schema import Schema, Variable, as_floats, check

__all__ = ["CORNERS", "board_of", "corners", "join_corners"]

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
    pixels = as_floats(position, CORNERS.name, ends=(len(board.points), 2), copy=True)
    if pixels.ndim != 4 or len(pixels) != len(cameras):
        raise InvalidValueError(
            CORNERS.name,
            expected=f"positions (camera, frame, corner, 2) of {len(cameras)} cameras",
            got=f"shape {pixels.shape}",
            remedy="Check the order of the axes.",
        )
    shape = pixels.shape[:2]
    numbers = np.arange(shape[1]) if frames is None else np.asarray(frames)
    _check_shape("frames", numbers, shape[1:])
    if source_frame is None:
        pictures = np.tile(as_floats(numbers, "frames"), (shape[0], 1))
    else:
        pictures = as_floats(source_frame, "source_frame", copy=True)
    times = pictures.copy() if time is None else as_floats(time, "time", copy=True)
    size = np.array(image_size)
    for name, values, wanted in (
        ("source_frame", pictures, shape),
        ("time", times, shape),
        ("image_size", size, (shape[0], 2)),
    ):
        _check_shape(name, values, wanted)
    dataset = xr.Dataset(
        {
            "position": (CORNERS.variables["position"].dims, pixels, {"units": "px"}),
            "board_position": (("corner", "axis"), board.points, {"units": board.unit}),
            "image_size": (("camera", "space"), size, {"units": "px"}),
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


def _check_shape(name: str, values: NDArray[Any], wanted: tuple[int, ...]) -> None:
    if values.shape != wanted:
        raise InvalidValueError(
            f"{CORNERS.name}, {name}",
            expected=f"shape {wanted}",
            got=f"shape {values.shape}",
            remedy="Check the order of the axes, and that nothing is left out.",
        )


def board_of(dataset: xr.Dataset) -> Board:
    """The board of a Corners Dataset.

    Raises:
        InvalidValueError: its attribute `board` is missing or describes no board.
    """
    try:
        values = json.loads(str(dataset.attrs["board"]))
        if not isinstance(values, dict):
            raise TypeError(f"{values!r} instead of a table")
        return _BOARDS[values.pop("type")](**values)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidValueError(
            f"{CORNERS.name}, attribute 'board'",
            expected="the board, as `corners` writes it",
            got=str(error),
            remedy="Detect the corners again.",
        ) from error


def join_corners(first: xr.Dataset, second: xr.Dataset) -> xr.Dataset:
    """Two Corners Datasets along the frames; the frames of the second are counted on behind those of the first.

    Args:
        first: Corners; its cameras are those of the result.
        second: Corners of the same board, of all these cameras or some of them.

    Raises:
        InvalidValueError: a Dataset breaks its schema.
        MismatchError: the boards differ, or a camera is unknown or has images of another size.
    """
    check(first, CORNERS)
    check(second, CORNERS)
    if board_of(first) != board_of(second):
        _differ("board", str(board_of(first)), str(board_of(second)), "Join corners of one board only.")
    sizes, others = (
        dict(zip(map(str, each["camera"].values), map(tuple, each["image_size"].values.tolist()), strict=True))
        for each in (first, second)
    )
    for camera, size in others.items():
        if sizes.get(camera) != size:
            known = f"images of {sizes[camera]} px" if camera in sizes else f"one of {', '.join(sizes)}"
            _differ(f"camera '{camera}'", known, f"images of {size} px", "Record both with the same settings.")
    start = int(first["frame"].max()) + 1 if first.sizes["frame"] else 0
    moved = second.assign_coords(frame=second["frame"] + start).reindex(camera=first["camera"])
    framed = [str(name) for name, variable in CORNERS.variables.items() if "frame" in variable.dims]
    joined = xr.concat([first[framed], moved[framed]], dim="frame", join="exact", combine_attrs="override")
    return check(joined.assign({name: first[name] for name in CORNERS.variables if name not in framed}), CORNERS)


def _differ(subject: str, expected: str, got: str, remedy: str) -> None:
    raise MismatchError(f"{CORNERS.name}, {subject}", expected=expected, got=got, remedy=remedy)
