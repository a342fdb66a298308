"""What is said of a rig's calibration: input that cannot be right, and what was noticed on the way."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from calibration._board_clocks import BoardClocks
from calibration._joint_fit import EXCESS
from calibration._rig_start import Start
from calibration.bundle import BundleAdjustment
from calibration.errors import InvalidValueError, MismatchError
from calibration.intrinsics import LensCalibration
from calibration.rig import Rig

__all__ = ["check_names", "check_twice", "what_was_noticed"]

# Cameras nearer to each other than this share of their distance from the board see the same: no depth comes of them.
_NEAR = 0.01


def check_names(names: list[str], given: Mapping[str, Collection[str]]) -> None:
    """Raise where an argument names a camera that is none."""
    for argument, wanted in given.items():
        strangers = [name for name in wanted if name not in names]
        if strangers:
            raise InvalidValueError(
                f"{argument}, camera '{strangers[0]}'",
                expected=f"one of {', '.join(names) or 'no camera'}",
                got=f"'{strangers[0]}'",
                remedy="Use the names of the cameras in the Corners; a lens that is to be kept must be given.",
            )


def check_twice(names: list[str], position: NDArray[np.float64]) -> None:
    """Raise where two cameras (camera, frame, corner, 2) report the very same pixels: it is one video, twice."""
    seen = np.asarray(np.isfinite(position).all(axis=-1))
    for first, second in combinations(range(len(names)), 2):
        both = seen[first] & seen[second]
        if both.any() and (position[first][both] == position[second][both]).all():
            raise MismatchError(
                f"cameras '{names[first]}' and '{names[second]}'",
                expected="pictures of two different cameras",
                got=f"the same corners to the last digit in all {int(both.any(axis=-1).sum())} frames that both have",
                remedy="Give each camera its own videos or images.",
            )


def what_was_noticed(
    found: Mapping[str, LensCalibration],
    start: Start,
    adjustment: BundleAdjustment,
    clocks: BoardClocks | None,
    excess: float,
    bend: float,
) -> tuple[str, ...]:
    """What was assumed or looks wrong, for people.

    Args:
        found: lenses by camera.
        start: the frames in use.
        adjustment: the outcome.
        clocks: how late the cameras are, where that was found.
        excess: noise of all cameras together over that within single views.
        bend: height of the board, where it is not flat and that was not estimated.
    """
    texts = [f"{name}: {text}" for name, lens in found.items() for text in lens.warnings]
    texts += [] if start.extrinsics is None else start.extrinsics.warnings
    lost = np.isfinite(start.position[..., 0]) & ~np.isfinite(adjustment.residuals[..., 0])
    texts += [
        f"{name}: {count} corners were left out because its lens does not reach them"
        for name, count in zip(start.rig.names, lost.sum(axis=(1, 2)), strict=True)
        if count
    ]
    texts += _near_each_other(start.rig, adjustment)
    if clocks is not None:
        late = ", ".join(
            f"{name} {1000 * offset:+.0f} ms" for name, offset in zip(start.rig.names, clocks.offsets, strict=True)
        )
        texts.append(
            f"the pictures of the cameras were not taken at the same instants ({late}, found from the motion of the "
            "board and corrected here): synchronize the recordings before 3D positions are made of them"
        )
    if bend:
        texts.append(
            f"the board is not flat: its corners differ by {bend:.2g} {start.rig.unit} in height, and fit better where "
            "that is estimated; calibrate with bend (--bend), or mount the board on a stiff plate"
        )
    if excess > EXCESS:
        texts.append(
            f"cameras together {'still ' if clocks is not None else ''}miss the board by {excess:.1f} times what each "
            "does alone: pictures were not taken at the same instants, or the board bends; film the board still, or "
            "synchronize the cameras"
        )
    return tuple(texts)


def _near_each_other(rig: Rig, adjustment: BundleAdjustment) -> list[str]:
    centers = np.array([camera.center for camera in rig])
    boards = adjustment.world_from_board.translation
    found = []
    for first, second in combinations(range(len(rig)), 2):
        apart = float(np.linalg.norm(centers[first] - centers[second]))
        if apart < _NEAR * float(np.median(np.linalg.norm(boards - centers[first], axis=-1))):
            names = rig.names[first], rig.names[second]
            found.append(
                f"{names[0]} and {names[1]} stand at the same place ({apart:.2g} {rig.unit} apart): are their "
                "pictures of one camera?"
            )
    return found
