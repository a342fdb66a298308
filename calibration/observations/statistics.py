"""What was looked at and found, camera by camera; kept in the attribute `statistics` of the Corners."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import xarray as xr

__all__ = ["CameraStatistics", "statistics_of"]


@dataclass(frozen=True)
class CameraStatistics:
    """Of one camera.

    Attributes:
        pictures: in its video or folder.
        looked_at: pictures that were looked at.
        unreadable: pictures of these that could not be decoded.
        unchanged: pictures of these that were passed over because they are the same as one without a board.
        with_board: pictures of these that show the board.
        inverted: of these, those where it is in inverted print.
        kept: pictures with a board in the Corners; the others show the view before them again.
        corners: median number of corners where the board was found; 0 where it never was.
        fewest_corners: the fewest.
        tried: what was tried where no board was found.
    """

    pictures: int
    looked_at: int
    unreadable: int
    unchanged: int
    with_board: int
    inverted: int
    kept: int
    corners: float
    fewest_corners: int
    tried: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def statistics_of(corners: xr.Dataset) -> dict[str, CameraStatistics]:
    """Camera -> statistics of a Corners Dataset; empty where it has none, as when it came from another program."""
    try:
        values = json.loads(str(corners.attrs.get("statistics", "{}")))
        return {str(name): CameraStatistics(**{**each, "tried": tuple(each["tried"])}) for name, each in values.items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}
