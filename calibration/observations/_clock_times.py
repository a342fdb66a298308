"""When the pictures of all cameras were taken on one clock, by the clocks that a synchronization found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calibration.errors import MismatchError
from calibration.observations._inventory import Inventory
from calibration.observations._naming import match_names

if TYPE_CHECKING:
    from calibration.synchronization.clocks import Synchronization

__all__ = ["times_by_clocks"]


def times_by_clocks(cameras: Mapping[str, Inventory], clocks: Synchronization) -> list[NDArray[np.float64]]:
    """Of each camera (n,) seconds of the reference clock: offset, drift and dropped frames are all in them.

    Args:
        cameras: the pictures of each.
        clocks: of all of them; names are matched as those of a table of frame times are.

    Raises:
        MismatchError: a camera has no clock, or its clock is of a recording with another number of frames.
    """
    match = match_names(list(cameras), list(clocks.cameras))
    times = []
    for name, camera in cameras.items():
        if name not in match:
            raise MismatchError(
                f"clock of camera '{name}'",
                expected=f"one for each of the cameras {', '.join(cameras)}",
                got=f"clocks of {', '.join(clocks.cameras)}",
                remedy="Run `pose3d sync` on the folder of these videos, or name the cameras alike (CAMERA=PATH).",
            )
        clock = clocks[match[name]]
        if clock.timing.count != len(camera):
            raise MismatchError(
                f"clock of camera '{name}'",
                expected=f"a clock of {len(camera)} frames, as many as its video has",
                got=f"one of {clock.timing.count} frames, which is another recording's",
                remedy="Run `pose3d sync` on the folder of these videos: every recording starts and drops frames anew.",
            )
        times.append(clock.reference_time())
    return times
