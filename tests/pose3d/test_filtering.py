"""Filters along time: what they keep, what they take out, and what they say of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, make_smoothing_spline
from scipy.signal import savgol_filter
from scipy.spatial.transform import Rotation

from calibration.errors import InvalidValueError, MismatchError, SuiteWarning
from calibration.schema import check
from pose3d.datasets import POSES2D, POSES3D, poses2d, poses3d
from pose3d.filtering import (
    butterworth,
    fill_gaps,
    filter_by_confidence,
    hampel_filter,
    kalman_smoother,
    median_filter,
    savitzky_golay,
)
from pose3d.formats import open_session, save_session

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
Filter = Callable[[xr.Dataset], xr.Dataset]

RATE = 100.0

LINEAR: dict[str, Filter] = {
    "savitzky_golay": lambda poses: savitzky_golay(poses, 7, order=2),
    "butterworth": lambda poses: butterworth(poses, 10.0),
    "kalman_smoother": lambda poses: kalman_smoother(poses, acceleration=500.0, noise=1.0, maximum_gap=2),
    "fill_gaps": lambda poses: fill_gaps(poses, 2),
    "fill_gaps linear": lambda poses: fill_gaps(poses, 2, method="linear"),
}
ALL: dict[str, Filter] = LINEAR | {
    "filter_by_confidence": lambda poses: filter_by_confidence(poses, 0.5),
    "median_filter": lambda poses: median_filter(poses, 5),
    "hampel_filter": lambda poses: hampel_filter(poses, 7),
    "hampel_filter median": lambda poses: hampel_filter(poses, 7, replace="median"),
}
# These put nothing where nothing was.
WITHOUT_FILLING = sorted(set(ALL) - {"kalman_smoother", "fill_gaps", "fill_gaps linear"})

each_filter = pytest.mark.parametrize("name", sorted(ALL))
each_linear = pytest.mark.parametrize("name", sorted(LINEAR))


def track(position: Array, *, frames: Numbers | None = None, rate: float | None = RATE) -> xr.Dataset:
    """Poses3D of one keypoint of one animal from (time, 3)."""
    return poses3d(
        position[:, :, None, None], individuals=["ann"], keypoints=["nose"], unit="mm", frames=frames, frame_rate=rate
    )


def of(poses: xr.Dataset) -> Array:
    """(time, space) of the first track."""
    return poses["position"].isel(keypoint=0, individual=0).values


def wander(count: int = 60, seed: int = 0, *, gaps: bool = True) -> xr.Dataset:
    """Poses3D of two animals with three keypoints on noisy ways, with gaps, low confidences and all variables."""
    rng = np.random.default_rng(seed)
    shape = (count, 3, 3, 2)
    position = rng.normal(0, 1, shape).cumsum(axis=0) + rng.normal(0, 0.5, shape)
    if gaps:
        position = np.where(rng.random((count, 1, 3, 2)) < 0.15, np.nan, position)
        position[20:28, :, 0, 0] = np.nan
    known = ~np.isnan(position[:, 0])
    poses = poses3d(
        position,
        np.where(known, rng.uniform(0.3, 1, known.shape), 0.0),
        individuals=["ann", "bob"],
        keypoints=["nose", "tail", "paw"],
        unit="mm",
        frame_rate=RATE,
    )
    root = rng.normal(0, 1, (count, 3, 2, 3, 3))
    covariance = np.moveaxis(root @ np.swapaxes(root, -1, -2) + 0.1 * np.eye(3), (1, 2), (3, 4))
    covariance = np.where(known[:, None, None], covariance, np.nan)
    poses["covariance"] = (POSES3D.variables["covariance"].dims, covariance, {"units": "mm^2"})
    poses["reprojection_error"] = (("time", "keypoint", "individual"), np.ones(known.shape), {"units": "px"})
    poses["n_cameras"] = (("time", "keypoint", "individual"), np.full(known.shape, 2), {"units": "1"})
    poses["status"] = (("time", "keypoint", "individual"), np.where(known, 0, 1), {})
    by_camera = (("time", "camera", "keypoint", "individual"), np.ones((count, 2, 3, 2)))
    poses["inlier"] = (*by_camera[:1], by_camera[1].astype(bool), {"units": "1"})
    poses["residual"] = (*by_camera, {"units": "px"})
    return check(poses.assign_coords(camera=["left", "right"], space_=["x", "y", "z"]), POSES3D)


def flat(poses: xr.Dataset) -> xr.Dataset:
    """The x and y of Poses3D as Poses2D of two cameras, the second seeing the keypoints mirrored."""
    both = poses["position"].isel(space=slice(2)).transpose("time", "individual", "keypoint", "space").values
    return poses2d(
        np.stack([both, both * [-1, 1]], axis=1),
        np.stack([poses["confidence"].transpose("time", "individual", "keypoint").values] * 2, axis=1),
        cameras=["left", "right"],
        individuals=[str(name) for name in poses["individual"].values],
        keypoints=[str(name) for name in poses["keypoint"].values],
        frame_rate=RATE,
    )


# What holds for all


@each_filter
def test_the_result_follows_the_schema_and_the_input_stays_as_it_was(name: str) -> None:
    poses = wander()
    before = poses.copy(deep=True)
    result = check(ALL[name](poses), POSES3D)
    xr.testing.assert_identical(poses, before)
    assert result["position"].dims == poses["position"].dims
    assert result["position"].attrs["units"] == "mm"
    xr.testing.assert_identical(result["confidence"], poses["confidence"])
    xr.testing.assert_identical(result["status"], poses["status"])


@each_filter
def test_every_track_is_filtered_by_itself(name: str) -> None:
    poses = wander()
    result = ALL[name](poses)
    for keypoint in ("nose", "tail", "paw"):
        for individual in ("ann", "bob"):
            one = {"keypoint": [keypoint], "individual": [individual]}
            alone = ALL[name](poses.sel(one))
            xr.testing.assert_allclose(result["position"].sel(one), alone["position"], rtol=1e-12)


@each_filter
def test_2d_poses_are_filtered_per_camera_as_those_of_one_camera_are(name: str) -> None:
    poses = flat(wander())
    result = check(ALL[name](poses), POSES2D)
    left, right = (result["position"].sel(camera=camera) for camera in ("left", "right"))
    np.testing.assert_allclose(right.values, left.values * [-1, 1], atol=1e-12)
    np.testing.assert_allclose(ALL[name](poses.sel(camera=["right"]))["position"], result["position"][:, 1:], atol=1e-9)


@each_filter
def test_what_stands_still_stays_where_it_is(name: str) -> None:
    poses = wander()
    here = poses["position"].where(poses["position"].isnull(), 3.5)
    result = ALL[name](poses.assign(position=here))["position"].values
    np.testing.assert_allclose(result[np.isfinite(result)], 3.5, rtol=1e-12)


@pytest.mark.parametrize("name", WITHOUT_FILLING)
def test_what_is_missing_stays_missing(name: str) -> None:
    poses = wander()
    missing = poses["position"].isnull().values
    assert np.isnan(ALL[name](poses)["position"].values[missing]).all()


@each_filter
def test_a_position_that_lacks_a_coordinate_counts_as_missing(name: str) -> None:
    whole, half = wander(gaps=False), wander(gaps=False)
    whole["position"][30, :, 1, 1] = np.nan
    half["position"][30, 0, 1, 1] = np.nan
    np.testing.assert_array_equal(ALL[name](half)["position"], ALL[name](whole)["position"])


@each_filter
def test_poses_without_a_single_position_are_no_problem(name: str) -> None:
    poses = wander().drop_vars("covariance")
    poses["position"][:] = np.nan
    assert ALL[name](poses)["position"].isnull().all()
    assert ALL[name](poses.isel(time=slice(1)))["position"].isnull().all()
    assert ALL[name](poses.isel(time=slice(0))).sizes["time"] == 0


@each_filter
def test_what_was_done_is_recorded_in_order(name: str) -> None:
    poses = wander()
    first = ALL[name](poses)
    (record,) = json.loads(first.attrs["filters"])
    assert record["filter"] == name.split()[0]
    assert len(record) > 1
    both = json.loads(median_filter(first, 3).attrs["filters"])
    assert both == [record, {"filter": "median_filter", "frames": 3}]
    assert "filters" not in poses.attrs


@each_filter
def test_the_result_can_be_saved_and_read_again(name: str, tmp_path: Path) -> None:
    result = ALL[name](wander())
    save_session(tmp_path / "session.nc", poses3d=result)
    with open_session(tmp_path / "session.nc") as session:
        again = session.require("poses3d").load()
    np.testing.assert_array_equal(again["position"], result["position"])
    assert again.attrs["filters"] == result.attrs["filters"]


@pytest.mark.parametrize("name", ["filter_by_confidence", "hampel_filter", "fill_gaps"])
def test_where_positions_are_only_removed_or_added_all_variables_stay(name: str) -> None:
    poses = wander()
    poses["position"][10, :, 1, 1] = 1000.0
    result = ALL[name](poses)
    for kept in ("reprojection_error", "residual", "inlier", "n_cameras"):
        xr.testing.assert_identical(result[kept], poses[kept])
    changed = (result["position"] != poses["position"]) & ~(result["position"].isnull() & poses["position"].isnull())
    changed = changed.any("space")
    assert changed.any()
    assert result["covariance"].where(changed).isnull().all()
    xr.testing.assert_identical(result["covariance"].where(~changed), poses["covariance"].where(~changed))


@pytest.mark.parametrize("name", ["median_filter", "savitzky_golay", "butterworth", "hampel_filter median"])
def test_where_positions_are_moved_what_no_longer_describes_them_goes(name: str) -> None:
    poses = wander()
    poses["noise"] = (("keypoint", "camera"), np.ones((3, 2)), {"units": "px"})
    result = ALL[name](poses)
    assert set(result.data_vars) == {"position", "confidence", "status", "noise"}
    assert "space_" not in result.coords
    assert "camera" in result.coords
    assert "camera" not in ALL[name](poses.drop_vars("noise")).coords


@each_filter
def test_single_precision_stays_single_precision(name: str) -> None:
    poses = wander()
    poses["position"] = poses["position"].astype(np.float32)
    result = ALL[name](poses)["position"]
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, ALL[name](wander())["position"], rtol=1e-5, atol=1e-5)


@each_linear
def test_shift_rotation_and_scale_of_the_world_come_before_or_after(name: str) -> None:
    poses = wander().drop_vars("covariance")
    turn = Rotation.from_rotvec([0.3, -1.0, 0.5]).as_matrix()

    def moved(these: xr.Dataset) -> Array:
        return 2.5 * np.einsum("ij,tjkn->tikn", turn, these["position"].values) + 7.0

    # a larger world has larger noise and acceleration, which leaves the smoother alone: their ratio counts
    there = ALL[name](poses.assign(position=poses["position"].copy(data=moved(poses))))
    np.testing.assert_allclose(there["position"], moved(ALL[name](poses)), atol=1e-8)


@each_linear
def test_the_sum_of_two_motions_is_filtered_to_the_sum(name: str) -> None:
    one, two = wander(seed=0, gaps=False), wander(seed=1, gaps=False)
    two["position"][20:22] = one["position"][20:22] = np.nan
    both = one.assign(position=one["position"] + two["position"])
    sums = ALL[name](one)["position"] + ALL[name](two)["position"]
    np.testing.assert_allclose(ALL[name](both)["position"], sums, atol=1e-9)


@each_filter
def test_backward_in_time_is_the_same(name: str) -> None:
    poses = wander()
    backward = poses.isel(time=slice(None, None, -1)).assign_coords(time=poses["time"], frame=poses["frame"])
    result = ALL[name](backward).isel(time=slice(None, None, -1))["position"]
    # the Butterworth filter forgets its start at either end to 1e-8 only
    np.testing.assert_allclose(result, ALL[name](poses)["position"], atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(ALL) - {"median_filter", "hampel_filter median"}))
def test_what_moves_evenly_stays_on_its_way(name: str) -> None:
    poses = wander()
    line = poses["time"] * xr.DataArray([300.0, -20.0, 5.0], dims="space", coords={"space": poses["space"]}) + 40.0
    line = line.transpose("time", "space").broadcast_like(poses["position"]).transpose(*poses["position"].dims)
    moving = line.where(poses["position"].notnull()).assign_attrs(units="mm")
    result = ALL[name](poses.assign(position=moving))["position"]
    np.testing.assert_allclose(result.where(result.notnull()), line.where(result.notnull()), rtol=1e-6)


def test_frames_that_are_not_there_are_as_frames_without_positions() -> None:
    poses = wander(gaps=False).drop_vars("covariance")
    gone = [5, 6, 20, 33, 34, 35]
    poses["position"][gone] = np.nan
    for name in ALL:
        kept = ALL[name](poses).drop_isel(time=gone)
        np.testing.assert_allclose(
            ALL[name](poses.drop_isel(time=gone))["position"], kept["position"], atol=1e-9, err_msg=name
        )


def test_frames_that_a_camera_dropped_are_seen_in_the_times() -> None:
    # the numbers go on, the times leap
    poses = wander(gaps=False)
    leap = np.where(np.arange(60) >= 30, 2, 0)
    late = poses.assign_coords(time=("time", (np.arange(60) + leap) / RATE, {"units": "s"}))
    skipped = late.assign_coords(frame=("time", np.arange(60) + leap))
    for name in ALL:
        np.testing.assert_array_equal(ALL[name](late)["position"], ALL[name](skipped)["position"], err_msg=name)


def test_where_every_fifth_frame_has_a_row_windows_count_those() -> None:
    poses = wander().drop_vars("covariance")
    sparse = poses.assign_coords(frame=poses["frame"] * 5, time=("time", np.arange(60) * 5 / RATE, {"units": "s"}))
    for name in sorted(set(ALL) - {"butterworth", "kalman_smoother"}):
        wanted = ALL[name](poses)["position"]
        np.testing.assert_allclose(ALL[name](sparse)["position"], wanted, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(butterworth(sparse, 2.0)["position"], butterworth(poses, 10.0)["position"], atol=1e-9)


@each_filter
def test_what_is_no_poses_is_refused(name: str) -> None:
    poses = wander()
    with pytest.raises(InvalidValueError, match="position"):
        ALL[name](poses.drop_vars("position"))
    with pytest.raises(InvalidValueError, match="dimensions"):
        ALL[name](poses.transpose("individual", ...))
    with pytest.raises(InvalidValueError, match="increase"):
        ALL[name](poses.isel(time=slice(None, None, -1)))
    with pytest.raises(InvalidValueError, match="fps"):
        ALL[name](poses.assign_attrs(fps="fast"))
    with pytest.raises(InvalidValueError, match="JSON"):
        ALL[name](poses.assign_attrs(filters="median"))


# By confidence


def test_positions_of_less_confidence_than_the_minimum_go() -> None:
    poses = track(np.ones((4, 3)))
    poses["confidence"][:, 0, 0] = [0.2, 0.6, np.nan, 0.61]
    result = filter_by_confidence(poses, 0.6)
    assert np.isfinite(of(result)[:, 0]).tolist() == [False, True, False, True]


@pytest.mark.parametrize("minimum", [-0.1, 1.1, np.nan, "0.5", True])
def test_a_minimum_that_is_no_confidence_is_refused(minimum: float) -> None:
    with pytest.raises(InvalidValueError, match="minimum"):
        filter_by_confidence(wander(), minimum)


# Median and Hampel


def windows(position: Array, frames: Numbers, half: int) -> list[Array]:
    """The positions (n, space) in the window around each row."""
    return [position[(np.abs(frames - frame) <= half) & ~np.isnan(position[:, 0])] for frame in frames]


@pytest.mark.parametrize("frames", [1, 3, 9, 201])
def test_the_median_is_that_of_the_positions_in_the_window(frames: int) -> None:
    rng = np.random.default_rng(2)
    numbers = np.flatnonzero(rng.random(100) < 0.8)
    position = rng.normal(0, 1, (len(numbers), 3)).round(1)  # with ties
    position[rng.random(len(numbers)) < 0.2] = np.nan
    expected = np.array(
        [
            np.median(window, axis=0) if known else np.full(3, np.nan)
            for window, known in zip(
                windows(position, numbers, frames // 2), np.isfinite(position[:, 0]).tolist(), strict=True
            )
        ]
    )
    np.testing.assert_allclose(of(median_filter(track(position, frames=numbers), frames)), expected, atol=1e-12)


def test_the_spread_of_hampel_is_the_median_distance_as_a_standard_deviation() -> None:
    # the median length of normal vectors in three dimensions
    one = float(np.sqrt(np.median(np.random.default_rng(0).chisquare(3, 1_000_000))))
    rng = np.random.default_rng(3)
    numbers = np.flatnonzero(rng.random(200) < 0.9)
    position = rng.normal(0, 1, (len(numbers), 3))
    ratio = []
    for here, window in zip(position, windows(position, numbers, 5), strict=True):
        center = np.median(window, axis=0)
        ratio.append(np.linalg.norm(here - center) / np.median(np.linalg.norm(window - center, axis=1)) * one)
    poses = track(position, frames=numbers)
    for deviations in (1.5, 2.5, 3.5):
        removed = np.isnan(of(hampel_filter(poses, 11, deviations=deviations))[:, 0])
        sure = np.abs(np.array(ratio) - deviations) > 0.01
        np.testing.assert_array_equal(removed[sure], (np.array(ratio) > deviations)[sure])
        assert removed.any()


def test_outliers_are_found_in_any_direction_and_nothing_else() -> None:
    rng = np.random.default_rng(4)
    time = np.arange(300)[:, None]
    position = 30 * np.sin(time / 40 + [0.0, 1.0, 2.0]) + rng.normal(0, 0.5, (300, 3))
    away = rng.normal(0, 1, (3, 3))
    position[[50, 51, 200]] += 20 * away / np.linalg.norm(away, axis=1, keepdims=True)
    result = hampel_filter(track(position), 11)
    assert np.flatnonzero(np.isnan(of(result)[:, 0])).tolist() == [50, 51, 200]
    replaced = of(hampel_filter(track(position), 11, replace="median"))
    medians = of(median_filter(track(position), 11))
    np.testing.assert_array_equal(replaced[[50, 51, 200]], medians[[50, 51, 200]])
    np.testing.assert_array_equal(np.delete(replaced, [50, 51, 200], 0), np.delete(position, [50, 51, 200], 0))


def test_rounded_positions_are_no_outliers_where_the_least_distance_says_so() -> None:
    position = np.zeros((20, 3))
    position[10, 0], position[15, 0] = 1.0, 5.0
    assert np.isnan(of(hampel_filter(track(position), 7))[:, 0]).sum() == 2
    assert np.flatnonzero(np.isnan(of(hampel_filter(track(position), 7, least=1.0))[:, 0])).tolist() == [15]


def test_two_positions_cannot_say_which_of_them_is_wrong() -> None:
    position = np.full((9, 3), np.nan)
    position[[3, 5]] = [[0, 0, 0], [100, 0, 0]]
    np.testing.assert_array_equal(of(hampel_filter(track(position), 7)), position)


@pytest.mark.parametrize("frames", [0, -3, 4, 2.5, "5", True])
@pytest.mark.parametrize("filtered", [median_filter, hampel_filter, savitzky_golay])
def test_a_window_is_an_odd_number_of_frames(filtered: Callable[..., xr.Dataset], frames: int) -> None:
    with pytest.raises(InvalidValueError, match="odd"):
        filtered(wander(), frames)


@pytest.mark.parametrize(
    ("settings", "name"),
    [({"deviations": 0}, "deviations"), ({"least": -1.0}, "least"), ({"replace": "mean"}, "replace")],
)
def test_impossible_settings_of_hampel_are_refused(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidValueError, match=name):
        hampel_filter(wander(), 5, **settings)


# Savitzky-Golay


def test_savitzky_golay_is_that_of_scipy_on_every_run() -> None:
    position = wander(gaps=False)["position"].values[..., 0, 0]
    position[25] = np.nan
    result = of(savitzky_golay(track(position), 9, order=3))
    for run in (slice(0, 25), slice(26, None)):
        np.testing.assert_allclose(result[run], savgol_filter(position[run], 9, 3, axis=0), atol=1e-10)


@pytest.mark.parametrize("length", [1, 2, 4, 5, 6, 8, 9, 20])
def test_a_polynomial_of_the_order_is_unchanged_and_short_runs_are_one(length: int) -> None:
    time = np.linspace(-1, 1, length)
    cubic = np.polynomial.polynomial.polyval(time, np.array([[3.0, 1, 0], [0, -7, 2], [5, 1, 1], [1, 2, 9]])).T
    np.testing.assert_allclose(of(savitzky_golay(track(cubic), 9, order=3)), cubic, atol=1e-10)
    noisy = cubic + np.random.default_rng(0).normal(0, 1, cubic.shape)
    result = of(savitzky_golay(track(noisy), 9, order=3))
    if length < 9:
        with_all = min(3, length - 1)
        fit = np.polynomial.polynomial.polyfit(np.arange(length), noisy, with_all)
        np.testing.assert_allclose(result, np.polynomial.polynomial.polyval(np.arange(length), fit).T, atol=1e-9)


@pytest.mark.parametrize("order", [-1, 7, 1.5])
def test_an_order_that_no_window_can_have_is_refused(order: int) -> None:
    with pytest.raises(InvalidValueError, match="order"):
        savitzky_golay(wander(), 7, order=order)


# Butterworth


@pytest.mark.parametrize("order", [2, 4, 8])
@pytest.mark.parametrize("cutoff", [2.0, 10.0, 30.0, 45.0])
def test_the_amplitude_at_the_cutoff_is_one_by_root_two_after_both_passes(order: int, cutoff: float) -> None:
    time = np.arange(4000) / RATE
    phase = np.array([0.0, 1.0, 2.0])
    wave = np.sin(2 * np.pi * cutoff * time[:, None] + phase)
    result = of(butterworth(track(wave), cutoff, order=order))[1000:3000]
    # neither delayed nor changed in shape
    np.testing.assert_allclose(result, wave[1000:3000] / np.sqrt(2), atol=1e-6)


def test_slow_motion_passes_and_fast_noise_does_not() -> None:
    time = np.arange(3000)[:, None] / RATE
    slow, fast = np.sin(2 * np.pi * time) * [1, 2, 3], np.cos(2 * np.pi * 40 * time) * [1, 1, 1]
    result = of(butterworth(track(slow + fast), 6.0))[500:-500]
    np.testing.assert_allclose(result, slow[500:-500], atol=2e-3)


def test_first_and_last_position_of_a_run_stay() -> None:
    poses = wander()
    result = butterworth(poses, 5.0)
    position = poses["position"].values
    known = np.isfinite(position)
    alone = known.copy()
    alone[1:] &= ~known[:-1]
    np.testing.assert_allclose(result["position"].values[alone], position[alone], atol=1e-6)


def test_runs_are_filtered_as_if_they_were_recordings() -> None:
    position = wander(gaps=False)["position"].values[..., 0, 0]
    broken = position.copy()
    broken[[20, 25]] = np.nan
    result = of(butterworth(track(broken), 8.0))
    for run in (slice(0, 20), slice(21, 25), slice(26, None)):
        np.testing.assert_allclose(result[run], of(butterworth(track(position[run]), 8.0)), atol=1e-12)


def test_without_a_frame_rate_there_is_no_frequency() -> None:
    with pytest.raises(InvalidValueError, match="fps"):
        butterworth(track(np.zeros((10, 3)), rate=None), 5.0)
    wrong = wander().assign_attrs(fps=30.0)
    with pytest.raises(MismatchError, match=r"30 positions per second.*100 by the times"):
        butterworth(wrong, 5.0)


@pytest.mark.parametrize("cutoff", [50.0, 60.0])
def test_what_is_faster_than_half_the_frame_rate_cannot_be_asked_for(cutoff: float) -> None:
    with pytest.raises(InvalidValueError, match="less than 50 Hz"):
        butterworth(wander(), cutoff)


@pytest.mark.parametrize(
    ("settings", "name"),
    [({"cutoff_hz": 0}, "cutoff"), ({"cutoff_hz": np.inf}, "cutoff"), ({"order": 3}, "order"), ({"order": 0}, "order")],
)
def test_impossible_settings_of_butterworth_are_refused(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidValueError, match=name):
        butterworth(wander(), **({"cutoff_hz": 5.0} | settings))


# The Kalman smoother


def dense(time: Array, seen: NDArray[np.bool_], position: Array, noise: Array, density: float) -> tuple[Array, Array]:
    """The same estimate without a filter: a Gaussian process in one solve, (time, space) and (time, space, space).

    White acceleration of this density, integrated twice, has the covariance density * s^2 (3 t - s) / 6 for s <= t; on
    it lies a line of which nothing is known.
    """
    first, last = np.minimum.outer(time, time), np.maximum.outer(time, time)
    kernel = density * first**2 * (3 * last - first) / 6
    dims = position.shape[1]
    whole, line = np.kron(kernel, np.eye(dims)), np.kron(np.stack([np.ones_like(time), time], axis=1), np.eye(dims))
    pick = np.repeat(seen, dims)
    total = whole[np.ix_(pick, pick)]
    for index, one in enumerate(noise[seen]):
        own = slice(index * dims, (index + 1) * dims)
        total[own, own] += one
    inverse = np.linalg.inv(total)
    basis, values = line[pick], position[seen].ravel()
    spread_of_line = np.linalg.inv(basis.T @ inverse @ basis)
    found = spread_of_line @ basis.T @ inverse @ values
    weights = whole[:, pick] @ inverse
    rest = line - weights @ basis
    mean = line @ found + weights @ (values - basis @ found)
    spread = whole - weights @ whole[pick] + rest @ spread_of_line @ rest.T
    blocks = spread.reshape(len(time), dims, len(time), dims)
    return mean.reshape(-1, dims), np.array([blocks[index, :, index] for index in range(len(time))])


@pytest.mark.parametrize("acceleration", [20.0, 2000.0])
@pytest.mark.parametrize("given", [True, False])
def test_the_smoother_is_the_dense_gaussian_solution(acceleration: float, given: bool) -> None:
    rng = np.random.default_rng(5)
    # irregular: frames are skipped, among them some before the second position
    frames = np.flatnonzero(rng.random(50) < 0.8)
    position = rng.normal(0, 1, (len(frames), 3)).cumsum(axis=0)
    seen = rng.random(len(frames)) < 0.7
    seen[:6] = [True, False, False, True, False, True]
    seen[-1] = True
    position[~seen] = np.nan
    root = rng.normal(0, 1, (len(frames), 3, 3))
    noise = (
        np.tile(4.0 * np.eye(3), (len(frames), 1, 1)) if given else root @ np.swapaxes(root, -1, -2) + 0.01 * np.eye(3)
    )
    poses = track(position, frames=frames)
    poses["covariance"] = (POSES3D.variables["covariance"].dims, noise[..., None, None], {"units": "mm^2"})
    result = kalman_smoother(poses, acceleration=acceleration, noise=2.0 if given else None, maximum_gap=100)
    mean, spread = dense(frames / RATE, seen, position, noise, acceleration**2 / RATE)
    np.testing.assert_allclose(of(result), mean, rtol=1e-8, atol=1e-8)
    found = result["covariance"].isel(keypoint=0, individual=0).values
    np.testing.assert_allclose(found, spread, rtol=1e-8, atol=1e-8)


def test_the_smoother_is_the_smoothing_spline() -> None:
    # the positions at which the spline that bends least passes the noise: another way to the same place
    position = wander(200, gaps=False)["position"].values[..., 0, 0]
    result = of(kalman_smoother(track(position), acceleration=300.0, noise=0.7))
    time = np.arange(200) / RATE
    spline = make_smoothing_spline(time, position, lam=0.7**2 / (300.0**2 / RATE))
    np.testing.assert_allclose(result, spline(time), atol=1e-6)


def test_the_covariance_says_how_far_the_truth_is() -> None:
    rng = np.random.default_rng(6)
    count, acceleration = 4000, 800.0
    # white acceleration, exactly integrated over a frame
    step, density = 1 / RATE, acceleration**2 / RATE
    root = np.linalg.cholesky(density * np.array([[step**3 / 3, step**2 / 2], [step**2 / 2, step]]))
    state, truth = np.zeros((2, 3)), np.empty((count, 3))
    for index in range(count):
        state = np.array([[1, step], [0, 1]]) @ state + root @ rng.normal(0, 1, (2, 3))
        truth[index] = state[0]
    noise = np.diag([0.5, 1.0, 4.0]) ** 2
    poses = track(truth + rng.normal(0, 1, (count, 3)) * np.sqrt(np.diag(noise)))
    poses["covariance"] = (POSES3D.variables["covariance"].dims, np.tile(noise[..., None, None], (count, 1, 1, 1, 1)))
    result = kalman_smoother(poses, acceleration=acceleration)
    error = of(result) - truth
    spread = result["covariance"].isel(keypoint=0, individual=0).values
    assert result["covariance"].attrs["units"] == "mm^2"
    squared = np.einsum("ti,tij,tj->t", error, np.linalg.inv(spread), error)
    assert np.mean(squared) == pytest.approx(3.0, rel=0.1)
    assert (np.sqrt((error**2).mean(axis=0)) < [0.5, 1.0, 4.0]).all()


def test_gaps_are_filled_only_as_far_as_asked_for() -> None:
    position = wander(gaps=False)["position"].values[..., 0, 0]
    missing = np.array([0, 1, 10, 11, 20, 21, 22, 58, 59])
    position[missing] = np.nan
    poses = track(position)
    plain = kalman_smoother(poses, acceleration=100.0, noise=1.0)
    assert np.flatnonzero(np.isnan(of(plain)[:, 0])).tolist() == missing.tolist()
    assert "filled" not in plain
    some = kalman_smoother(poses, acceleration=100.0, noise=1.0, maximum_gap=2)
    whole = kalman_smoother(wander(gaps=False), acceleration=100.0, noise=1.0)
    assert np.flatnonzero(some["filled"].values[:, 0, 0]).tolist() == [10, 11]
    np.testing.assert_allclose(of(some)[~np.isnan(of(plain))], of(plain)[~np.isnan(of(plain))], atol=1e-9)
    # less is known in the gap
    spread, of_whole = (each["covariance"].values[:, 0, 0, 0, 0] for each in (some, whole))
    assert (spread[10:12] > 1.2 * of_whole[10:12]).all()
    assert np.isnan(spread[20:23]).all()


def test_every_keypoint_may_have_its_own_settings() -> None:
    poses = wander()
    acceleration, noise = {"tail": 50.0, "nose": 500.0, "paw": 5000.0}, {"nose": 1.0, "tail": 2.0, "paw": 0.5}
    result = kalman_smoother(poses, acceleration=acceleration, noise=noise)
    for name in acceleration:
        one = poses.sel(keypoint=[name])
        alone = kalman_smoother(one, acceleration=acceleration[name], noise=noise[name])
        np.testing.assert_allclose(result["position"].sel(keypoint=[name]), alone["position"], atol=1e-12)
    with pytest.raises(MismatchError, match="paw"):
        kalman_smoother(poses, acceleration={"nose": 1.0, "tail": 1.0}, noise=1.0)


def test_one_position_is_all_there_is_to_know() -> None:
    position = np.full((9, 3), np.nan)
    position[4] = [1.0, 2.0, 3.0]
    result = kalman_smoother(track(position), acceleration=100.0, noise=2.0, maximum_gap=9)
    np.testing.assert_array_equal(of(result), position)
    np.testing.assert_allclose(result["covariance"].values[4, :, :, 0, 0], 4 * np.eye(3))


def test_across_a_long_gap_no_digits_are_lost() -> None:
    # the prediction after it is a million times less certain than the measurement
    frames = np.concatenate([np.arange(20), 20_000 + np.arange(20)])
    position = np.random.default_rng(7).normal(0, 1, (40, 3))
    result = kalman_smoother(track(position, frames=frames), acceleration=1000.0, noise=1.0)
    for part in (slice(0, 20), slice(20, 40)):
        alone = kalman_smoother(track(position[part]), acceleration=1000.0, noise=1.0)
        np.testing.assert_allclose(of(result)[part], of(alone), atol=1e-3)
    spread = result["covariance"].values[..., 0, 0]
    assert (np.linalg.eigvalsh(spread) > 0).all()
    assert (spread[:, 0, 0] <= 1.0).all()


def test_where_nothing_says_the_noise_it_must_be_given() -> None:
    with pytest.raises(InvalidValueError, match="noise"):
        kalman_smoother(wander().drop_vars("covariance"), acceleration=1.0)


def test_positions_without_covariance_count_as_missing_and_it_is_said() -> None:
    poses = wander(gaps=False)
    poses["covariance"][10, ..., 0, 0] = np.nan
    with pytest.warns(SuiteWarning, match="1 of 360 positions have no covariance"):
        result = kalman_smoother(poses, acceleration=100.0)
    assert np.isnan(of(result)[10]).all()
    without = wander(gaps=False)
    without["position"][10, :, 0, 0] = np.nan
    np.testing.assert_array_equal(of(result), of(kalman_smoother(without, acceleration=100.0)))


def test_a_covariance_that_is_none_is_refused() -> None:
    poses = wander(gaps=False)
    poses["covariance"][10, ..., 0, 0] = -100 * np.eye(3)
    with pytest.raises(InvalidValueError, match="positive"):
        kalman_smoother(poses, acceleration=100.0)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"acceleration": 0.0}, "acceleration"),
        ({"acceleration": np.nan}, "acceleration"),
        ({"noise": -1.0}, "noise"),
        ({"maximum_gap": -1}, "maximum_gap"),
    ],
)
def test_impossible_settings_of_the_smoother_are_refused(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidValueError, match=name):
        kalman_smoother(wander(), **({"acceleration": 1.0, "noise": 1.0} | settings))


# Gaps


def test_short_gaps_are_filled_and_long_ones_and_ends_are_not() -> None:
    cubic = np.polynomial.polynomial.polyval(
        np.arange(40) / 10, np.array([[1.0, 2, 3], [1, 0, 1], [2, 1, 0], [0, 1, -1]])
    ).T
    position = cubic.copy()
    missing = [0, 5, 6, 7, 15, 16, 17, 18, 39]
    position[missing] = np.nan
    result = fill_gaps(track(position), 3)
    np.testing.assert_allclose(of(result)[[5, 6, 7]], cubic[[5, 6, 7]], atol=1e-10)
    assert np.flatnonzero(np.isnan(of(result)[:, 0])).tolist() == [0, 15, 16, 17, 18, 39]
    assert np.flatnonzero(result["filled"].values[:, 0, 0]).tolist() == [5, 6, 7]
    assert result["filled"].dtype == np.int8
    assert result["filled"].dims == ("time", "keypoint", "individual")
    known = np.isfinite(position[:, 0])
    np.testing.assert_array_equal(of(result)[known], position[known])


def test_the_spline_goes_through_all_positions_between_gaps_that_stay() -> None:
    position = wander(gaps=False)["position"].values[..., 0, 0]
    position[[10, 11, 30, 31, 32, 40]] = np.nan
    result = of(fill_gaps(track(position), 2))
    for part, gap in ((slice(0, 30), [10, 11]), (slice(33, 60), [40])):
        rows = np.arange(60)[part]
        own = rows[np.isfinite(position[rows, 0])]
        np.testing.assert_allclose(result[gap], CubicSpline(own, position[own])(gap), atol=1e-9)


def test_linear_filling_follows_the_time_not_the_rows() -> None:
    frames = np.array([0, 1, 2, 5, 6])
    position = np.array([[0.0], [1], [np.nan], [5], [6]]) * [1.0, 2.0, -1.0]
    filled = fill_gaps(track(position, frames=frames), 3, method="linear")
    np.testing.assert_allclose(of(filled), frames[:, None] * [1.0, 2.0, -1.0])
    # frames 3 and 4, which have no row, are in the gap
    assert np.isnan(of(fill_gaps(track(position, frames=frames), 2))[2]).all()


def test_filled_positions_are_remembered_until_they_are_removed() -> None:
    position = np.random.default_rng(8).normal(0, 1, (60, 3))
    position[[10, 30]] = np.nan
    filled = fill_gaps(track(position), 1)
    again = savitzky_golay(filled, 5)
    assert np.flatnonzero(again["filled"].values[:, 0, 0]).tolist() == [10, 30]
    gone = filter_by_confidence(filled, 0.5)  # what was filled has no confidence
    assert not gone["filled"].any()
    gone["position"][40] = np.nan
    kept = fill_gaps(again.assign(position=again["position"].where(again["frame"] != 40)), 1)
    assert np.flatnonzero(kept["filled"].values[:, 0, 0]).tolist() == [10, 30, 40]


@pytest.mark.parametrize(
    ("gap", "method", "name"), [(-1, "linear", "maximum_gap"), (1.5, "linear", "maximum_gap"), (3, "cubic", "method")]
)
def test_impossible_settings_of_filling_are_refused(gap: int, method: Any, name: str) -> None:
    with pytest.raises(InvalidValueError, match=name):
        fill_gaps(wander(), gap, method=method)


# The page for users


def test_the_examples_of_the_documentation_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parents[2] / "docs" / "filtering.md"
    blocks = [
        piece.partition("\n")[2]
        for piece in page.read_text(encoding="utf-8").split("```")[1::2]
        if piece.startswith("python")
    ]
    monkeypatch.chdir(tmp_path)
    save_session("session.nc", poses3d=wander(400), poses2d=flat(wander(400)))
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
    assert len(blocks) >= 7
