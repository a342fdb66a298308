"""How many pictures are looked at, and which."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from calibration.boards.detection import DetectionSettings
from calibration.errors import InvalidValueError

__all__ = ["ObservationSettings"]


@dataclass(frozen=True)
class ObservationSettings:
    """Which pictures `detect_corners` looks at, and what it keeps.

    A recording of more than `coarse` instants is first looked at in that many, evenly spread. Then more instants are
    looked at between those where boards were seen and had moved, until every camera has `target` views, or `limit`
    instants were looked at.

    Attributes:
        coarse: instants of the first pass. Fewer make long recordings faster, and miss short visits of the board.
        target: views of the board per camera that are worth looking for. A lens and a pose are determined by a few
            dozen; 200 is where more no longer shows in the errors.
        limit: the most instants to look at. Images are all looked at up to this number.
        still: corners that moved by less than this share of the image's width, in every camera, show the same view
            again, which brings nothing new; of such views in a video one is kept. 0 keeps all.
        synchronized: False takes every picture for an instant of its own: for intrinsics alone.
        detection: how boards are looked for in one picture.

    Raises:
        InvalidValueError: a number is out of range.
    """

    coarse: int = 300
    target: int = 200
    limit: int = 1000
    still: float = 0.002
    synchronized: bool = True
    detection: DetectionSettings = field(default_factory=DetectionSettings)

    def __post_init__(self) -> None:
        for name in ("coarse", "target", "limit"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InvalidValueError(
                    name, expected="a whole number from 1", got=repr(value), remedy="Correct the setting."
                )
        if not (math.isfinite(self.still) and 0 <= self.still < 1):
            raise InvalidValueError(
                "still",
                expected="a share of the image's width, from 0 to below 1",
                got=repr(self.still),
                remedy="0.002 is the default; 0 keeps all views.",
            )
