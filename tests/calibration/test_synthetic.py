"""Synthetic rigs and observations: reproducible, as asked for, and true."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.errors import InvalidValueError
from calibration.synthetic import LENSES, make_points, make_rig, observe


def within_binomial(count: int, total: int, rate: float) -> bool:
    """Five standard deviations: a right rate fails once in 1.7 million."""
    return abs(count - total * rate) <= 5 * np.sqrt(total * rate * (1 - rate)) + 1e-9


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("cameras", [1, 2, 3, 4, 6, 12])
def test_every_camera_sees_the_ball_about_the_origin(lens: str, cameras: int) -> None:
    rig = make_rig(cameras, lens=lens, seed=cameras)
    assert rig.names == tuple(f"cam_{index + 1}" for index in range(cameras))
    assert observe(rig, make_points(500)).visible.all()


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("focal_length", [700.0, 1400.0])
def test_the_lens_is_valid_in_the_whole_image(lens: str, focal_length: float) -> None:
    for camera in make_rig(5, lens=lens, focal_length=focal_length, seed=3):
        width, height = camera.size
        x, y = np.meshgrid(np.linspace(-0.5, width - 0.5, 9), np.linspace(-0.5, height - 0.5, 9))
        pixels = np.stack([x, y], axis=-1)
        normalized = camera.lens.undistort(pixels)
        np.testing.assert_allclose(camera.lens.distort(normalized), pixels, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("lens", "count"), [("pinhole", 0), ("brown4", 4), ("brown5", 5), ("brown8", 8), ("brown12", 12), ("brown14", 14)]
)
def test_the_lens_has_the_asked_number_of_coefficients_and_uses_them(lens: str, count: int) -> None:
    for camera in make_rig(3, lens=lens):
        assert len(camera.lens.coefficients) == count
        assert (camera.lens.coefficients != 0).all()


def test_cameras_stand_around_the_origin_above_the_floor_and_upright() -> None:
    rig = make_rig(8, distance=500.0)
    centers = np.stack([camera.center for camera in rig])
    assert (abs(np.linalg.norm(centers, axis=1) - 500.0) <= 25.0 + 1e-9).all()
    assert (centers[:, 2] > 0).all()
    azimuth = np.unwrap(np.arctan2(centers[:, 1], centers[:, 0]))
    assert (np.diff(azimuth) > 0.5 * 2 * np.pi / 8).all()
    bottom, top = rig.project([[0, 0, 0], [0, 0, 30.0]])
    assert (top[:, 1] < bottom[:, 1]).all()


def test_cameras_aim_near_the_origin_but_not_all_at_one_point() -> None:
    rig = make_rig(6, distance=500.0)
    passing = [np.linalg.norm(camera.cam_from_world([0.0, 0.0, 0.0])[:2]) for camera in rig]
    assert max(passing) < 0.05 * 500
    assert min(passing) > 0


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    points = make_points((7, 9), seed=4)
    assert points.shape == (7, 9, 3)
    settings = {"noise": 1.0, "outlier_rate": 0.2, "dropout_rate": 0.2}

    def run(seed: int) -> tuple[bytes, ...]:
        observation = observe(make_rig(4, seed=seed), points, seed=seed, **settings)
        return tuple(getattr(observation, name).tobytes() for name in ("pixels", "confidence", "outlier", "truth"))

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert make_points(5, seed=1).tobytes() != make_points(5, seed=2).tobytes()


def test_points_fill_the_ball_uniformly() -> None:
    radius = np.linalg.norm(make_points(20_000, radius=10.0), axis=-1)
    assert radius.max() <= 10.0
    assert within_binomial(int((radius < 5.0).sum()), 20_000, 1 / 8)


def test_without_noise_outliers_and_dropouts_the_pixels_are_the_projection() -> None:
    rig, points = make_rig(4), make_points(100)
    observation = observe(rig, points)
    np.testing.assert_array_equal(observation.pixels, rig.project(points))
    np.testing.assert_array_equal(observation.truth, rig.project(points))
    assert not observation.outlier.any()


def test_what_is_outside_the_image_or_behind_the_camera_is_not_reported() -> None:
    rig = make_rig(4, lens="pinhole")
    points = np.concatenate([make_points(3000, radius=2000.0), np.full((5, 3), np.nan)])
    observation = observe(rig, points, outlier_rate=1.0)
    width, height = rig.cameras[0].size
    inside = (
        (observation.truth[..., 0] >= -0.5)
        & (observation.truth[..., 0] < width - 0.5)
        & (observation.truth[..., 1] >= -0.5)
        & (observation.truth[..., 1] < height - 0.5)
    )
    assert 0 < inside.sum() < inside.size
    np.testing.assert_array_equal(observation.visible, inside)
    np.testing.assert_array_equal(observation.reported, inside)
    assert not observation.visible[-5:].any()


def test_rates_and_noise_are_as_asked() -> None:
    observation = observe(make_rig(6), make_points(5000), noise=0.7, outlier_rate=0.1, dropout_rate=0.25, seed=5)
    total, reported = observation.visible.sum(), observation.reported.sum()
    assert within_binomial(int(reported), int(total), 0.75)
    assert within_binomial(int(observation.outlier.sum()), int(reported), 0.1)
    error = (observation.pixels - observation.truth)[observation.inlier].ravel()
    assert abs(error.std() / 0.7 - 1) < 5 / np.sqrt(2 * error.size)
    assert abs(error.mean()) < 5 * 0.7 / np.sqrt(error.size)


def test_outliers_are_uniform_in_the_image_of_their_camera() -> None:
    rig = make_rig(2, size=(640, 480))
    observation = observe(rig, make_points(20_000, radius=1.0), outlier_rate=1.0, seed=6)
    share = (observation.pixels.reshape(-1, 2) + 0.5) / np.array([640, 480])
    assert ((share >= 0) & (share < 1)).all()
    for axis in range(2):
        for edge in (0.1, 0.5, 0.9):
            assert within_binomial(int((share[:, axis] < edge).sum()), len(share), edge)


def test_confidence_tells_outliers_on_average_but_not_perfectly() -> None:
    observation = observe(make_rig(4), make_points(5000), outlier_rate=0.3, dropout_rate=0.2)
    inlier, outlier = observation.confidence[observation.inlier], observation.confidence[observation.outlier]
    assert ((observation.confidence >= 0) & (observation.confidence <= 1)).all()
    assert abs(inlier.mean() - 5 / 6) < 0.02
    assert abs(outlier.mean() - 1 / 3) < 0.02
    assert outlier.max() > np.quantile(inlier, 0.5)
    assert (observation.confidence[~observation.reported] == 0).all()


def test_noise_may_differ_between_cameras() -> None:
    observation = observe(make_rig(3), make_points(4000), noise=[0.0, 1.0, 4.0])
    deviation = (observation.pixels - observation.truth).std(axis=(0, 2))
    np.testing.assert_allclose(deviation, [0.0, 1.0, 4.0], rtol=0.05, atol=0)


@pytest.mark.parametrize(
    "settings",
    [
        {"cameras": 0},
        {"cameras": 2.5},
        {"distance": 0.0},
        {"focal_length": np.nan},
        {"lens": "telecentric"},
        {"elevation": (0.2, 2.0)},
        {"size": (0, 100)},
    ],
)
def test_settings_of_a_rig_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InvalidValueError, match=next(iter(settings))):
        make_rig(**settings)


@pytest.mark.parametrize(
    "settings",
    [{"noise": -1.0}, {"noise": np.nan}, {"noise": [1.0, 2.0]}, {"outlier_rate": 1.1}, {"dropout_rate": -0.1}],
)
def test_settings_of_an_observation_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InvalidValueError, match=next(iter(settings))):
        observe(make_rig(3), np.zeros((4, 3)), **settings)
