"""The speed of a belt, from the feet on it."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from calibration.errors import InvalidValueError
from pose3d.kinematics.gait import GaitSettings
from pose3d.kinematics.treadmill import belt_speed
from pose3d.skeleton import Skeleton
from tests.benchmarks.accuracy_gait import HEXAPODS, hexapod, noisy


def treadmill(speed: float, seed: int = 0) -> tuple[xr.Dataset, Skeleton]:
    poses, *_, skeleton = hexapod(12, 100, HEXAPODS["tripod"], 0.6, stride=0.5 * speed)
    position = (
        poses["position"].values - np.array([speed, 0, 0])[:, None, None] * poses["time"].values[:, None, None, None]
    )
    return noisy(poses.assign(position=(poses["position"].dims, position, poses["position"].attrs)), seed), skeleton


@pytest.mark.parametrize("speed", [500.0, 900.0])
def test_the_speed_is_found_with_its_standard_deviation(speed: float) -> None:
    z = []
    for seed in range(6):
        poses, skeleton = treadmill(speed, seed)
        found = belt_speed(poses, skeleton)
        assert found["belt_speed"].attrs["units"] == "mm/s"
        assert abs(found["belt_speed"].item() / speed - 1) < 0.01
        z.append((found["belt_speed"].item() - speed) / found["belt_speed_std"].item())
    assert np.sqrt(np.mean(np.square(z))) < 2.5


def test_overground_there_is_no_belt() -> None:
    poses, *_, skeleton = hexapod(12, 100, HEXAPODS["tripod"], 0.6)
    found = belt_speed(noisy(poses), skeleton)
    assert found["belt_speed"].item() == 0
    assert found["belt_speed_std"].item() == 0


def test_a_given_speed_is_taken() -> None:
    poses, skeleton = treadmill(800)
    assert belt_speed(poses, skeleton, GaitSettings(belt_speed=790.0))["belt_speed"].item() == 790


def test_a_foot_that_never_stands_tells_nothing() -> None:
    poses, skeleton = treadmill(800)
    still = poses.assign(position=poses["position"] * np.nan)
    still["position"].attrs = poses["position"].attrs
    assert np.isnan(belt_speed(still, skeleton, GaitSettings(surface="treadmill"))["belt_speed"].item())


def test_legs_must_be_known() -> None:
    poses, skeleton = treadmill(800)
    with pytest.raises(InvalidValueError, match="left_fore"):
        belt_speed(poses, skeleton, legs=["left_fore_"])
