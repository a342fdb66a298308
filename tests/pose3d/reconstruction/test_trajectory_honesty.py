"""Noise that lasts, motion that is sudden, other candidates, and views of hardly any confidence."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError, MismatchError
from calibration.rig import Rig
from calibration.synthetic import make_rig
from pose3d.datasets import detections, poses2d, poses2d_of_detections
from pose3d.reconstruction import TrajectorySettings, plan, reconstruct

RATE = 100.0
ACCELERATION = TrajectorySettings(motion="acceleration")


@pytest.fixture(scope="module")
def rig() -> Rig:
    return make_rig(4)


def smooth_motion(frames: int = 400, keypoints: int = 3, seed: int = 0) -> NDArray[np.float64]:
    """(time, keypoint, 3) mm: sums of slow sines."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None, None] / RATE
    places = np.broadcast_to(rng.uniform(-40, 40, (keypoints, 3)), (frames, keypoints, 3)).copy()
    for frequency, size in ((0.4, 30.0), (0.9, 12.0)):
        places += size * np.sin(2 * np.pi * frequency * time + rng.uniform(0, 6.28, (keypoints, 3)))
    return places


def seen(
    rig: Rig, truth: NDArray[np.float64], noise: NDArray[np.float64], confidence: NDArray[np.float64] | None = None
) -> xr.Dataset:
    """Poses2D of points (time, keypoint, 3) with noise (time, keypoint, camera, 2) added."""
    pixels = np.moveaxis(rig.project(truth) + noise, 2, 1)[:, :, None]
    names = [f"k{number}" for number in range(truth.shape[1])]
    return poses2d(pixels, confidence, cameras=rig.names, individuals=["one"], keypoints=names, frame_rate=RATE)


def lasting(shape: tuple[int, ...], correlation: float, seed: int = 1) -> NDArray[np.float64]:
    """Normal noise of 1 px whose correlation with the next frame is given."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(shape)
    for frame in range(1, len(noise)):
        noise[frame] = correlation * noise[frame - 1] + np.sqrt(1 - correlation**2) * noise[frame]
    return noise


def covered(solid: xr.Dataset, truth: NDArray[np.float64]) -> float:
    """Share of true positions in the 95 % ellipsoid."""
    error = solid["position"].values[..., 0].transpose(0, 2, 1) - truth
    covariance = solid["covariance"].values[..., 0].transpose(0, 3, 1, 2)
    squared = np.einsum("tki,tkij,tkj->tk", error, np.linalg.inv(covariance), error)
    return float((squared <= 7.815).mean())


class TestNoiseThatLasts:
    def test_widens_the_covariance_as_far_as_it_does(self, rig: Rig) -> None:
        truth = smooth_motion(1500)
        poses = seen(rig, truth, lasting((1500, 3, 4, 2), 0.7))
        honest = reconstruct(poses, rig, settings=ACCELERATION)
        naive = reconstruct(poses, rig, settings=TrajectorySettings(motion="acceleration", lasting_noise=False))
        assert covered(naive, truth) < 0.85
        assert 0.88 < covered(honest, truth) < 0.99

    def test_is_learned(self, rig: Rig) -> None:
        planned = plan(seen(rig, smooth_motion(1500), lasting((1500, 3, 4, 2), 0.7)), rig, settings=ACCELERATION)
        np.testing.assert_allclose(planned.model.correlation[:, 1:4], [[0.7, 0.49, 0.343]] * 3, atol=0.1)

    def test_white_noise_changes_nothing(self, rig: Rig) -> None:
        poses = seen(rig, smooth_motion(), lasting((400, 3, 4, 2), 0.0))
        with_it = reconstruct(poses, rig, settings=ACCELERATION)
        without = reconstruct(poses, rig, settings=TrajectorySettings(motion="acceleration", lasting_noise=False))
        xr.testing.assert_identical(with_it["covariance"], without["covariance"])


class TestSuddenMotion:
    @pytest.mark.parametrize("motion", ["velocity", "acceleration"])
    def test_a_stop_within_a_frame_is_not_rounded_by_more_than_a_frame_has(self, rig: Rig, motion: str) -> None:
        """A point at 1.5 m/s stops: the largest error nearby is about that of triangulation, three times the noise."""
        truth = smooth_motion(600, 1)
        before = np.arange(600) < 300
        truth[:, :, 2] += (
            np.where(before, (np.arange(600) - 300) * 1500.0 / RATE, 0.0)[:, None]
            * (np.clip((np.arange(600) - 260) / 30, 0, 1)[:, None])
        )
        poses = seen(rig, truth, lasting((600, 1, 4, 2), 0.0))
        settings = TrajectorySettings(motion="velocity" if motion == "velocity" else "acceleration")
        error = reconstruct(poses, rig, settings=settings)["position"].values[:, :, 0, 0] - truth[:, 0]
        assert np.abs(error[290:310]).max() < 3.0
        assert np.abs(error[50:250]).std() < 0.3


def with_peaks(rig: Rig, truth: NDArray[np.float64]) -> tuple[xr.Dataset, NDArray[np.bool_]]:
    """Detections whose most probable candidate is wrong in 5 % of the views, and the second right; and where."""
    rng = np.random.default_rng(3)
    right = np.moveaxis(rig.project(truth), 2, 1) + rng.standard_normal((len(truth), len(rig), truth.shape[1], 2))
    wrong = right + rng.choice([-1, 1], right.shape) * rng.uniform(40, 90, right.shape)
    taken = rng.random(right.shape[:-1]) < 0.05
    position = np.stack([np.where(taken[..., None], wrong, right), np.where(taken[..., None], right, wrong)], axis=2)
    confidence = np.stack([np.full(taken.shape, 0.9), np.full(taken.shape, 0.6)], axis=2)
    names = [f"k{number}" for number in range(truth.shape[1])]
    return detections(position, confidence, cameras=rig.names, keypoints=names, frame_rate=RATE), taken


class TestCandidates:
    def test_the_second_peak_is_taken_where_the_first_is_wrong(self, rig: Rig) -> None:
        truth = smooth_motion()
        found, taken = with_peaks(rig, truth)
        solid = reconstruct(poses2d_of_detections(found), rig, settings=ACCELERATION, candidates=found)
        repaired = solid["repair"].values[..., 0] == 2
        assert repaired[taken].mean() > 0.98
        assert repaired[~taken].mean() < 0.001
        residual = solid["residual"].values[..., 0][taken & repaired]
        assert np.median(residual) < 2.0  # of the candidate, not of what was reported first

    def test_without_them_nothing_is_taken(self, rig: Rig) -> None:
        found, _ = with_peaks(rig, smooth_motion(100))
        assert not reconstruct(poses2d_of_detections(found), rig, settings=ACCELERATION)["repair"].any()

    def test_they_have_to_be_of_the_same_frames(self, rig: Rig) -> None:
        found, _ = with_peaks(rig, smooth_motion(100))
        with pytest.raises(MismatchError, match="candidates"):
            reconstruct(poses2d_of_detections(found).isel(time=slice(50)), rig, candidates=found)

    def test_they_do_not_go_with_a_lag(self, rig: Rig) -> None:
        found, _ = with_peaks(rig, smooth_motion(100))
        with pytest.raises(InvalidValueError, match="lag"):
            reconstruct(poses2d_of_detections(found), rig, candidates=found, settings=TrajectorySettings(lag=2))


def test_a_far_view_of_hardly_any_confidence_is_not_counted_as_used(rig: Rig) -> None:
    """A view of confidence 0.001 may be anywhere: that it is far says nothing for it."""
    truth = smooth_motion()
    noise = lasting((400, 3, 4, 2), 0.0)
    confidence = np.ones((400, 4, 1, 3))
    doubtful = np.zeros((400, 3, 4), dtype=bool)
    doubtful[::7, :, 2] = True
    noise[doubtful] += 300.0
    confidence[np.moveaxis(doubtful, 2, 1)[:, :, None]] = 0.001
    solid = reconstruct(seen(rig, truth, noise, confidence), rig, settings=ACCELERATION)
    inlier = solid["inlier"].values[..., 0].astype(bool).transpose(0, 2, 1)
    assert inlier[doubtful].mean() < 0.05
    assert inlier[~doubtful].mean() > 0.99
