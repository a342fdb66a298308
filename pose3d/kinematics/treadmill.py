"""The speed of the belt of a treadmill, from the feet that stand on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from pose3d.kinematics._gait_ground import Ground, belt_of_stances, ground_of, walkers_of, with_belt
from pose3d.kinematics._gait_legs import Walker, legs_of, timing_of
from pose3d.kinematics._gait_settings import GaitSettings
from pose3d.kinematics._gait_steps import stances_of, steps_of
from pose3d.skeleton import Leg, Skeleton

__all__ = ["belt_speed", "found_ground"]


def belt_speed(
    poses: xr.Dataset,
    skeleton: Skeleton | None = None,
    settings: GaitSettings | None = None,
    *,
    legs: Sequence[str | Leg] | None = None,
) -> xr.Dataset:
    """How fast the belt runs below every individual.

    The speed at which a foot moves backward in the middle of its stances, from 25 to 65 % of them for a foot with heel
    and toe, which rolls, and from 15 to 85 % for others; the median over all stances of all legs. Where the stances are
    is told by Zeni's method, which knows nothing of the belt.

    Args:
        poses: Poses3D.
        skeleton: says what legs are.
        settings: how steps are found; a speed given there is returned.
        legs: names of legs or feet; all legs of the skeleton by default.

    Returns:
        `belt_speed` and `belt_speed_std` (individual) in the unit of the poses per second, NaN where no foot is seen to
        stand; 0 for individuals that get ahead (overground).

    Raises:
        InvalidValueError: the poses are not Poses3D or have no frame rate, or there is no such leg.
    """
    chosen = GaitSettings() if settings is None else settings
    timing, feet = timing_of(poses), legs_of(poses, skeleton, legs)
    names = [str(name) for name in poses["individual"].values]
    walkers, up = walkers_of(poses, names, skeleton, feet, timing, chosen)
    grounds = [found_ground(walker, timing.rate, up, chosen) for walker in walkers]
    units = {"units": f"{poses['position'].attrs.get('units', '')}/s"}
    return xr.Dataset(
        {
            "belt_speed": ("individual", [g.belt for g in grounds], {"long_name": "speed of the belt", **units}),
            "belt_speed_std": (
                "individual",
                [g.belt_std for g in grounds],
                {"long_name": "standard deviation of the speed of the belt", **units},
            ),
        },
        coords={"individual": names},
    )


def found_ground(walker: Walker, rate: float, up: np.ndarray, settings: GaitSettings) -> Ground:
    """The ground of an individual, with the speed of the belt where there is one; NaN where it cannot be found."""
    ground = ground_of(walker, rate, up, settings)
    if not ground.treadmill or settings.belt_speed is not None:
        return ground
    stances = [stances_of(steps) for steps in steps_of(walker, ground, rate, settings, "zeni")]
    return with_belt(ground, *belt_of_stances(walker.legs, stances, ground.direction, rate))
