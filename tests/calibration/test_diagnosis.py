"""The numbers of a calibration are those of its known truth: noise, outliers, coverage, trends, lengths, overlap."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.boards.geometry import Charuco
from calibration.diagnosis import PARTS, CameraDiagnosis, Diagnosis, diagnose, lens_values
from calibration.errors import SuiteWarning
from calibration.lens import BrownConrady, Fisheye
from calibration.lens_models import LENS_MODELS
from calibration.rig import Rig
from calibration.rig_calibration import Calibration, calibrate
from calibration.synthetic import BoardScene, make_board_scene, make_rig

Array = NDArray[np.float64]

NOISE = 0.3  # of the scene


@pytest.fixture(scope="module")
def diagnosis(good_calibration: Calibration) -> Diagnosis:
    return diagnose(good_calibration)


def with_residuals(calibration: Calibration, residuals: Array) -> Calibration:
    """The calibration as if these residuals were left."""
    return replace(calibration, adjustment=replace(calibration.adjustment, residuals=residuals))


def seen_where(calibration: Calibration, wanted: Callable[[Array, Array], NDArray[np.bool_]]) -> Calibration:
    """The calibration as if the first camera had seen corners only where `wanted(x, y)` is true."""
    position = calibration.corners["position"].values.copy()
    residuals = calibration.adjustment.residuals.copy()
    lost = ~wanted(position[0, ..., 0], position[0, ..., 1])
    position[0, lost], residuals[0, lost] = np.nan, np.nan
    corners = calibration.corners.copy()
    corners["position"] = corners["position"].copy(data=position)
    return with_residuals(replace(calibration, corners=corners), residuals)


def of_frames(calibration: Calibration) -> NDArray[np.intp]:
    return np.asarray(calibration.corners["frame"].values, dtype=np.intp)


# --- errors ---


def test_errors_are_those_of_the_noise(diagnosis: Diagnosis) -> None:
    """Distances of Gaussian noise in two axes: RMS 1.414, median 1.177, 95th percentile 2.448 standard deviations."""
    for errors in (diagnosis.used, diagnosis.held_out, *(camera.used for camera in diagnosis.cameras)):
        assert errors is not None
        assert errors.rms == pytest.approx(np.sqrt(2) * NOISE, rel=0.08)
        assert errors.median == pytest.approx(np.sqrt(2 * np.log(2)) * NOISE, rel=0.08)
        assert errors.p95 == pytest.approx(np.sqrt(2 * np.log(20)) * NOISE, rel=0.08)
    np.testing.assert_allclose(diagnosis.noise, NOISE, rtol=0.08)


def test_frames_that_were_left_out_are_predicted_almost_as_well(diagnosis: Diagnosis) -> None:
    assert diagnosis.held_out is not None
    assert 1.0 < diagnosis.held_out.rms / diagnosis.used.rms < 1.06
    assert diagnosis.held_out.count <= diagnosis.used.count


def test_outliers_are_counted_and_not_averaged(
    diagnosis: Diagnosis, good_calibration: Calibration, board_scene: BoardScene
) -> None:
    frames = of_frames(good_calibration)
    seen = np.isfinite(good_calibration.corners["position"].values[..., 0])
    reported = board_scene.corners["position"].values[:, frames]
    far = np.hypot(*np.moveaxis(reported - board_scene.truth[:, frames], -1, 0)) > 6 * NOISE
    wrong = board_scene.outlier[:, frames] & far & seen
    for camera, row, mask in zip(diagnosis.cameras, wrong, seen, strict=True):
        assert camera.used.count == mask.sum()
        assert camera.used.outliers * camera.used.count == pytest.approx(row.sum(), abs=1)
    assert diagnosis.used.outliers == pytest.approx(wrong.sum() / seen.sum(), abs=0.002)


def test_errors_of_nothing_are_unknown(good_calibration: Calibration) -> None:
    camera = diagnose(seen_where(good_calibration, lambda x, y: x + y < -1e9)).cameras[0]
    assert camera.used.count == camera.boards == camera.corners == 0
    assert np.isnan([camera.used.rms, camera.used.median, camera.used.p95, camera.used.outliers]).all()
    assert camera.covered == 0.0
    assert camera.bare == PARTS
    assert camera.trend.advice == ""


# --- coverage and overlap ---


def test_coverage_counts_the_corners_in_each_cell(diagnosis: Diagnosis, good_calibration: Calibration) -> None:
    residuals = good_calibration.adjustment.residuals
    for index, (camera, found) in enumerate(zip(good_calibration.rig, diagnosis.cameras, strict=True)):
        counts = np.zeros((8, 12), dtype=int)
        limit = 6 * good_calibration.adjustment.noise[index]
        for place, residual in zip(
            good_calibration.corners["position"].values[index].reshape(-1, 2),
            residuals[index].reshape(-1, 2),
            strict=True,
        ):
            if np.isfinite(place).all() and np.hypot(*residual) <= limit:
                column, row = ((place + 0.5) / camera.size * (12, 8)).astype(int)
                counts[row, column] += 1
        np.testing.assert_array_equal(found.coverage, counts)
        assert found.covered == (counts > 0).mean()


def test_upright_images_have_upright_cells(good_calibration: Calibration) -> None:
    cameras = tuple(replace(camera, size=camera.size[::-1]) for camera in good_calibration.rig)
    upright = replace(good_calibration, rig=Rig(cameras, unit="mm"))
    assert diagnose(upright).cameras[0].coverage.shape == (12, 8)


@pytest.mark.parametrize(
    ("wanted", "bare"),
    [
        (lambda x, y: (x < 420) & (y > 0), {"upper", "middle", "lower", "upper right", "right", "lower right"}),
        (lambda x, y: (y > 770) & (x > 0), set(PARTS[:6])),
    ],
)
def test_parts_without_corners_are_named(
    wanted: Callable[[Array, Array], NDArray[np.bool_]],
    bare: set[str],
    good_calibration: Calibration,
    diagnosis: Diagnosis,
) -> None:
    camera = diagnose(seen_where(good_calibration, wanted)).cameras[0]
    assert set(camera.bare) == bare | set(diagnosis.cameras[0].bare)
    assert list(camera.bare) == [part for part in PARTS if part in camera.bare]


def test_reach_is_that_of_the_outermost_corner(good_calibration: Calibration) -> None:
    width, height = good_calibration.rig.cameras[0].size
    middle = ((width - 1) / 2, (height - 1) / 2)
    limit = 0.4 * np.hypot(width, height) / 2
    near = seen_where(good_calibration, lambda x, y: np.hypot(x - middle[0], y - middle[1]) < limit)
    assert 0.38 < diagnose(near).cameras[0].reach < 0.4


def test_overlap_counts_frames_that_two_cameras_saw(diagnosis: Diagnosis, good_calibration: Calibration) -> None:
    position = good_calibration.corners["position"].values
    for one in range(3):
        for other in range(3):
            count = sum(
                bool(np.isfinite(position[one, frame]).any() and np.isfinite(position[other, frame]).any())
                for frame in range(position.shape[1])
            )
            assert diagnosis.overlap[one, other] == count
    assert [camera.boards for camera in diagnosis.cameras] == np.diag(diagnosis.overlap).tolist()


# --- radial trend ---


def trend_of(calibration: Calibration, amount: float, model: str | None = "radial1") -> CameraDiagnosis:
    """The first camera, as if its lens left over so many px at the corners of the image, and noise."""
    camera = calibration.rig.cameras[0]
    offset = calibration.corners["position"].values[0] - camera.lens.camera_matrix[:2, 2]
    radius = np.hypot(*np.moveaxis(offset, -1, 0))[..., None]
    noise = np.random.default_rng(0).normal(0.0, NOISE, offset.shape)
    residuals = calibration.adjustment.residuals.copy()
    residuals[0] = noise + amount * (radius / 820.0) ** 2 * offset / radius
    models = {} if model is None else {camera.name: LENS_MODELS[model]}
    return diagnose(replace(with_residuals(calibration, residuals), models=models)).cameras[0]


def test_the_trend_is_what_the_lens_leaves_over(good_calibration: Calibration) -> None:
    trend = trend_of(good_calibration, 1.0).trend
    known = np.isfinite(trend.mean)
    assert known.sum() >= 6
    expected = (trend.radius[known] / 820.0) ** 2
    assert (np.abs(trend.mean[known] - expected) < 4 * trend.error[known] + 0.01).all()
    assert (np.diff(trend.radius[known]) > 0).all()


@pytest.mark.parametrize(
    ("model", "advice"),
    [
        ("f", "add k1"),
        ("radial1", "add k2"),
        ("brown4", "add k3"),
        ("brown5", "add k4 to k6"),
        ("brown8", "try the fisheye"),
        ("fisheye", "film the border"),
        (None, "free the lens"),
    ],
)
def test_a_trend_asks_for_the_next_richer_model(model: str | None, advice: str, good_calibration: Calibration) -> None:
    assert trend_of(good_calibration, 1.0, model).trend.advice == advice
    assert trend_of(good_calibration, -1.0, model).trend.advice == advice
    assert trend_of(good_calibration, 0.0, model).trend.advice == ""


def test_a_lens_of_too_few_terms_is_told_and_the_right_one_is_not(diagnosis: Diagnosis) -> None:
    assert all(camera.trend.advice == "" for camera in diagnosis.cameras)
    rig = make_rig(3, focal_length=700, elevation=(1.0, 1.2))
    strong = [
        replace(camera, lens=BrownConrady(camera.lens.camera_matrix, [-0.28, 0.12, 0.0, 0.0, -0.03])) for camera in rig
    ]
    scene = make_board_scene(
        Rig(tuple(strong), unit="mm"), Charuco(7, 5, 80.0), frames=40, noise=0.15, radius=500.0, seed=1
    )
    advices = {}
    for model in ("radial1", "brown5"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SuiteWarning)
            found = calibrate(scene.corners, models=dict.fromkeys(rig.names, LENS_MODELS[model]))
        advices[model] = [camera.trend.advice for camera in diagnose(found).cameras]
    assert advices == {"radial1": ["add k2"] * 3, "brown5": [""] * 3}


# --- lengths ---


def test_lengths_of_a_good_calibration_are_right_everywhere(diagnosis: Diagnosis) -> None:
    lengths = diagnosis.lengths
    assert lengths is not None
    assert abs(lengths.mean) < 0.02
    assert lengths.mean_length == pytest.approx(50.0 + lengths.mean)
    assert lengths.count == sum(region.count for region in diagnosis.regions) or len(diagnosis.regions) < 27
    assert all(abs(region.mean) < 6 * region.error for region in diagnosis.regions)


def test_a_region_that_is_too_large_is_told_by_its_size_and_place(good_calibration: Calibration) -> None:
    """The half of the world that the first camera has on its right is 1 % too large."""
    held_out = good_calibration.held_out
    assert held_out is not None
    points = held_out.points
    seen = good_calibration.rig.cameras[0].cam_from_world(points)
    middle = float(np.nanmedian(seen[..., 0]))
    larger = 1.01 * seen - 0.01 * np.array([middle, 0.0, 0.0])
    grown = good_calibration.rig.cameras[0].cam_from_world.inverse()(np.where(seen[..., :1] > middle, larger, seen))
    changed = diagnose(replace(good_calibration, held_out=replace(held_out, points=grown)))
    right = [region for region in changed.regions if region.region.endswith("right")]
    left = [region for region in changed.regions if region.region.endswith("left")]
    assert right
    assert left
    for region in right:
        assert region.mean == pytest.approx(0.5, abs=max(0.1, 5 * region.error))
        assert good_calibration.rig.cameras[0].cam_from_world(np.array(region.center))[0] > middle
    for region in left:
        assert abs(region.mean) < 6 * region.error


def test_without_left_out_frames_there_are_no_lengths(good_calibration: Calibration) -> None:
    found = diagnose(replace(good_calibration, held_out=None))
    assert found.held_out is None
    assert found.lengths is None
    assert found.regions == ()
    assert all(camera.held_out is None for camera in found.cameras)


# --- worst views, points, lens values ---


def test_the_worst_views_are_named_with_their_pictures(good_calibration: Calibration) -> None:
    residuals = good_calibration.adjustment.residuals.copy()
    seen = np.flatnonzero(np.isfinite(residuals[1, ..., 0]).any(axis=-1))
    first, second = seen[3], seen[7]
    residuals[1, first] = np.where(np.isfinite(residuals[1, first]), [1.2, 1.6], np.nan)
    residuals[1, second] = np.where(np.isfinite(residuals[1, second]), [1.28, 0.96], np.nan)
    calibration = with_residuals(good_calibration, residuals)
    worst = diagnose(calibration).worst
    frames = of_frames(calibration)
    pictures = calibration.corners["source_frame"].values
    assert [(view.camera, view.frame) for view in worst[:2]] == [("cam_2", frames[first]), ("cam_2", frames[second])]
    assert [view.median for view in worst[:2]] == pytest.approx([2.0, 1.6])
    assert worst[0].picture == pictures[1, first]


def test_a_single_mistaken_corner_does_not_make_a_worst_view(good_calibration: Calibration) -> None:
    residuals = np.where(np.isfinite(good_calibration.adjustment.residuals), 0.1, np.nan)
    seen = np.flatnonzero(np.isfinite(residuals[0, ..., 0]).all(axis=-1))
    residuals[0, seen[0], 0] = [900.0, 0.0]
    residuals[0, seen[1], :5] = [20.0, 0.0]
    residuals[0, seen[2]] = [1.5, 0.0]
    worst = diagnose(with_residuals(good_calibration, residuals)).worst
    frames = of_frames(good_calibration)
    assert [(view.frame, view.outliers) for view in worst[:3]] == [
        (frames[seen[2]], 0),
        (frames[seen[1]], 5),
        (frames[seen[0]], 1),
    ]
    assert worst[2].median == pytest.approx(np.hypot(0.1, 0.1))


def test_views_of_other_videos_have_no_picture(good_calibration: Calibration) -> None:
    alone = replace(good_calibration, shared=np.zeros_like(good_calibration.shared))
    assert all(view.picture is None for view in diagnose(alone).worst)


def test_points_are_the_corners_of_the_boards_in_the_world(diagnosis: Diagnosis, good_calibration: Calibration) -> None:
    points = diagnosis.points.reshape(len(of_frames(good_calibration)), -1, 3)
    edges = good_calibration.board.edges
    lengths = np.linalg.norm(points[:, edges[:, 0]] - points[:, edges[:, 1]], axis=-1)
    np.testing.assert_allclose(lengths, 50.0, rtol=1e-9)
    frame, camera = 0, 0
    pixels = good_calibration.rig.cameras[camera].project(points[frame])
    measured = good_calibration.corners["position"].values[camera, frame]
    residuals = good_calibration.adjustment.residuals[camera, frame]
    np.testing.assert_allclose(
        (measured - residuals)[np.isfinite(residuals)], pixels[np.isfinite(residuals)], atol=1e-6
    )


def test_lens_values_have_the_names_of_opencv() -> None:
    matrix = np.array([[900.0, 0.0, 320.0], [0.0, 901.0, 240.0], [0.0, 0.0, 1.0]])
    numbers = [900.0, 901.0, 320.0, 240.0, -0.1, 0.01, 0.001, 0.002, 0.003]
    names = ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3")
    assert lens_values(BrownConrady(matrix, numbers[4:])) == dict(zip(names, numbers, strict=True))
    assert list(lens_values(Fisheye(matrix, [0.1, 0.2, 0.3, 0.4]))) == ["fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4"]


def test_deviations_are_those_of_the_covariance(diagnosis: Diagnosis, good_calibration: Calibration) -> None:
    first, second, _ = diagnosis.cameras
    assert set(first.deviations) == {"fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3"}
    assert {"rx", "ry", "rz", "tx", "ty", "tz"} < set(second.deviations)
    assert first.model == LENS_MODELS["brown5"]
    assert first.focal_length == good_calibration.rig.cameras[0].lens.camera_matrix[0, 0]
