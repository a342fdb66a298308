"""Lenses from views of a board: known truth, OpenCV on the same corners, and views that do not determine a lens."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.boards import Board, Charuco, Chessboard
from calibration.errors import CalibrationError, InvalidValueError
from calibration.intrinsics import IntrinsicsSettings, LensCalibration, calibrate_lens
from calibration.lens import BrownConrady, Fisheye, Lens
from calibration.synthetic import LENSES, BoardScene, make_board_scene, make_rig
from calibration.transforms import RigidTransform

SIZE = (1280, 1024)
CHARUCO = Charuco(8, 11, 20.0)
CHESSBOARD = Chessboard(10, 7, 30.0)
EVERYTHING = IntrinsicsSettings(maximum_views=1000, outlier_threshold=1e3, view_threshold=1e3)


def film(
    lens: str = "brown5",
    *,
    focal_length: float = 1280.0,
    size: tuple[int, int] = SIZE,
    board: Board = CHARUCO,
    frames: int = 40,
    seed: int = 0,
    **settings: float,
) -> BoardScene:
    """One camera and a board that fills about half of its image, moved so far that it is cut off in some views."""
    distance = 2.2 * float(board.points.max()) * focal_length / max(size)
    rig = make_rig(1, lens=lens, focal_length=focal_length, size=size, distance=distance, seed=seed)
    radius = 0.2 * distance * min(size) / focal_length
    return make_board_scene(rig, board, frames=frames, radius=radius, seed=seed, **settings)


def seen(scene: BoardScene) -> NDArray[np.float64]:
    return np.asarray(scene.corners["position"].values[0])


def calibrate(scene: BoardScene, **arguments: object) -> LensCalibration:
    camera = scene.rig.cameras[0]
    return calibrate_lens(camera.name, camera.size, seen(scene), scene.board.points, **arguments)


def lens_of(scene: BoardScene) -> Lens:
    return scene.rig.cameras[0].lens


def views_of(
    rotation: NDArray[np.float64], *, noise: float = 0.3, depth: tuple[float, float] = (500.0, 1200.0), seed: int = 0
) -> NDArray[np.float64]:
    """Views (view, corner, 2) of the chessboard turned by rotation vectors (view, 3), anywhere in the image."""
    rng, lens, found = np.random.default_rng(seed), lens_of(film()), []
    for vector in rotation:
        turned = CHESSBOARD.points @ RigidTransform.from_rotation_vector(vector, np.zeros(3)).rotation.T
        while True:
            z = rng.uniform(*depth)
            moved = turned - turned.mean(axis=0) + [rng.uniform(-0.35, 0.35) * z, rng.uniform(-0.3, 0.3) * z, z]
            pixels = lens.distort(moved[:, :2] / moved[:, 2:])
            if (pixels > 0).all() and (pixels < np.array(SIZE) - 1).all():
                break
        found.append(pixels + noise * rng.standard_normal(pixels.shape))
    return np.array(found)


def tilted(views: int, tilt: float = 0.4, seed: int = 0) -> NDArray[np.float64]:
    """Rotation vectors (view, 3)."""
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.normal(0, tilt, (views, 2)), rng.uniform(-3, 3, views)])


def pixel_errors(scene: BoardScene, found: Lens, reach: float = 0.8) -> NDArray[np.float64]:
    """How far apart both lenses project rays (n,) within a share of the image, after the best common turn of the rays.

    A small turn of the camera is no error of the lens: with a principal point that is off go poses that are.
    """
    lens, (width, height) = lens_of(scene), scene.rig.cameras[0].size
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 15), np.linspace(-1, 1, 15)), axis=-1).reshape(-1, 2)
    pixels = (np.array([width, height]) - 1) / 2 * (1 + reach * grid)
    rays = np.column_stack([lens.undistort(pixels), np.ones(len(pixels))])
    turn = np.zeros(3)
    for _ in range(5):
        turned = RigidTransform.from_rotation_vector(turn, np.zeros(3))(rays)
        off = found.distort(turned[:, :2] / turned[:, 2:]) - pixels
        jacobian = np.empty((*off.shape, 3))
        for axis, vector in enumerate(np.eye(3) * 1e-6):
            moved = RigidTransform.from_rotation_vector(turn + vector, np.zeros(3))(rays)
            jacobian[..., axis] = (found.distort(moved[:, :2] / moved[:, 2:]) - pixels - off) / 1e-6
        turn = turn - np.linalg.lstsq(jacobian.reshape(-1, 3), off.ravel(), rcond=None)[0]
    return np.linalg.norm(off, axis=-1)


# --- known truth


@pytest.mark.parametrize("share", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("lens", LENSES)
def test_every_lens_of_every_focal_length_is_found(lens: str, share: float) -> None:
    """The lens chosen projects as the true one, to a fraction of the noise of 0.3 px, where there were corners."""
    scene = film(lens, focal_length=share * SIZE[0])
    found = calibrate(scene)
    error = pixel_errors(scene, found.lens, reach=0.6)
    assert found.rms == pytest.approx(0.3 * np.sqrt(2), rel=0.05)
    # a focal length that is off goes with distances that are: at 3 image widths they are known to 0.3 %
    scale = found.lens.camera_matrix[0, 0] / lens_of(scene).camera_matrix[0, 0]
    assert abs(scale - 1) < (0.003 if share < 3 else 0.006)
    assert float(np.sqrt(np.mean(error**2))) < (0.25 if share < 3 else 1.5)


@pytest.mark.parametrize("size", [(640, 480), (720, 1280), (4000, 3000), (1000, 1000)])
def test_the_size_and_shape_of_the_image_do_not_matter(size: tuple[int, int]) -> None:
    scene = film(focal_length=1.1 * max(size), size=size)
    found = calibrate(scene)
    assert found.lens.camera_matrix[0, 0] == pytest.approx(lens_of(scene).camera_matrix[0, 0], rel=0.01)
    assert found.rms < 0.46


def test_without_noise_the_lens_is_exact() -> None:
    scene = film("brown5", noise=0.0)
    found = calibrate(scene)
    assert found.model.name == "brown5"
    np.testing.assert_allclose(found.lens.camera_matrix, lens_of(scene).camera_matrix, rtol=1e-8)
    np.testing.assert_allclose(found.lens.coefficients, lens_of(scene).coefficients, atol=1e-8)
    fisheye = film("fisheye", focal_length=640.0, noise=0.0)
    found = calibrate(fisheye)
    assert found.model.name == "fisheye"
    np.testing.assert_allclose(found.lens.camera_matrix, lens_of(fisheye).camera_matrix, rtol=1e-7)
    np.testing.assert_allclose(found.lens.coefficients, lens_of(fisheye).coefficients, atol=1e-6)


def test_a_hundred_seeds_converge() -> None:
    """5 % wrong corners; focal lengths of half to three image widths; every one within five standard deviations."""
    kinds = np.random.default_rng(0).choice(["pinhole", "brown4", "brown5", "fisheye"], 100)
    shares = np.random.default_rng(1).uniform(0.5, 3.0, 100)
    for seed, (kind, share) in enumerate(zip(kinds, shares, strict=True)):
        scene = film(kind, focal_length=share * SIZE[0], frames=12, outlier_rate=0.05, seed=seed)
        found = calibrate(scene)
        deviations = found.standard_deviations
        sigma = deviations["f"] if "f" in deviations else deviations["fx"]
        off = found.lens.camera_matrix[0, 0] - lens_of(scene).camera_matrix[0, 0]
        assert abs(off) < 5 * sigma, (seed, kind, share)
        assert found.rms < 0.47, (seed, kind, share)


@pytest.mark.parametrize(("lens", "model", "focal_length"), [("brown5", "brown5", 1280), ("fisheye", "fisheye", 700)])
def test_the_precision_is_that_of_the_cramer_rao_bound(lens: str, model: str, focal_length: float) -> None:
    """Over 30 seeds, no parameter is off by more than 1.3 standard deviations, root mean square."""
    ratios = []
    for seed in range(30):
        scene = film(lens, focal_length=focal_length, frames=15, seed=seed)
        found = calibrate(scene, models=[model], settings=EVERYTHING)
        truth, matrix = lens_of(scene), lens_of(scene).camera_matrix
        known = dict(zip(("fx", "fy", "cx", "cy"), matrix[[0, 1, 0, 1], [0, 1, 2, 2]], strict=True))
        names = ("k1", "k2", "k3", "k4") if lens == "fisheye" else ("k1", "k2", "p1", "p2", "k3")
        known |= dict(zip(names, truth.coefficients, strict=True))
        fitted = found.lens.camera_matrix[[0, 1, 0, 1], [0, 1, 2, 2]].tolist() + found.lens.coefficients.tolist()
        bound = np.array([found.standard_deviations[name] for name in known]) * 0.3 / found.noise
        ratios.append((np.array(fitted) - np.array(list(known.values()))) / bound)
    assert np.sqrt(np.mean(np.square(ratios), axis=0)).max() < 1.3


# --- the same data as OpenCV


def test_the_error_is_not_larger_than_opencvs() -> None:
    scene = film("brown5", frames=25)
    found = calibrate(scene, models=["brown5"], settings=EVERYTHING)
    places = [np.isfinite(view[:, 0]) for view in seen(scene)[found.views]]
    rms, matrix, coefficients, _, _ = cv2.calibrateCamera(
        [scene.board.points[those].astype(np.float32) for those in places],
        [view[those].astype(np.float32) for view, those in zip(seen(scene)[found.views], places, strict=True)],
        SIZE,
        None,
        None,
        criteria=(cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 200, 1e-12),
    )
    assert found.used.sum() == sum(those.sum() for those in places)
    assert found.rms <= rms + 1e-6
    np.testing.assert_allclose(found.lens.camera_matrix, matrix, rtol=0, atol=0.05)
    np.testing.assert_allclose(found.lens.coefficients, coefficients.ravel(), rtol=0, atol=2e-3)


def test_the_error_is_not_larger_than_that_of_opencvs_fisheye() -> None:
    scene = film("fisheye", focal_length=700.0, board=CHESSBOARD, frames=30)
    found = calibrate(scene, models=["fisheye"], settings=EVERYTHING)
    views = seen(scene)[found.views]
    names = cv2.fisheye if hasattr(cv2.fisheye, "CALIB_FIX_SKEW") else cv2  # moved in OpenCV 5
    flags = names.CALIB_RECOMPUTE_EXTRINSIC | names.CALIB_FIX_SKEW | cv2.CALIB_USE_INTRINSIC_GUESS
    rms, matrix, coefficients, _, _ = cv2.fisheye.calibrate(
        [scene.board.points[None].copy() for _ in views],
        [view[None].copy() for view in views],
        SIZE,
        lens_of(scene).camera_matrix.copy(),
        np.zeros((4, 1)),
        flags=flags,
        criteria=(cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 200, 1e-12),
    )
    assert found.rms <= rms + 1e-6
    np.testing.assert_allclose(found.lens.camera_matrix, matrix, rtol=0, atol=0.1)
    np.testing.assert_allclose(found.lens.coefficients, coefficients.ravel(), rtol=0, atol=2e-3)


# --- models


def test_the_model_is_the_simplest_that_predicts_as_well() -> None:
    """What there is to see decides: a perfect camera, one radial term, a fisheye."""
    exact = np.array([[1280.0, 0, 639.5], [0, 1280.0, 511.5], [0, 0, 1]])
    lenses: dict[str, Lens] = {
        "f": BrownConrady(exact),
        "f+k1": BrownConrady(exact, np.array([-0.2, 0, 0, 0])),
        "fisheye": Fisheye(np.array([[640.0, 0, 650], [0, 640.0, 500], [0, 0, 1]])),
    }
    rng = np.random.default_rng(0)
    chosen: dict[str, list[str]] = {}
    for name, seed in ((name, seed) for name in lenses for seed in range(4)):
        lens = lenses[name]
        scene = film("pinhole", focal_length=lens.camera_matrix[0, 0], noise=0.0, seed=seed)
        normalized = lens_of(scene).undistort(seen(scene))
        pixels = lens.distort(normalized)
        pixels[~((pixels > 0) & (pixels < np.array(SIZE) - 1)).all(axis=-1)] = np.nan
        pixels += 0.3 * rng.standard_normal(pixels.shape)
        found = calibrate_lens("cam", SIZE, pixels, scene.board.points)
        chosen.setdefault(name, []).append(found.model.name)
        assert found.held_out[name] < 1.02 * min(found.held_out.values())
    # one standard error is no certainty
    assert all(names.count(name) >= 3 for name, names in chosen.items()), chosen


def test_held_out_errors_are_those_of_calibrations_without_the_view() -> None:
    """Ten views, each left out in turn, and its pose fitted with the lens of the other nine."""
    scene = film("brown5", frames=10)
    arguments = {"models": ["brown4"], "settings": EVERYTHING}
    found = calibrate(scene, **arguments)
    squares, degrees = 0.0, 0
    for view in found.views:
        others, alone = seen(scene).copy(), np.full_like(seen(scene), np.nan)
        alone[view], others[view] = seen(scene)[view], np.nan
        lens = calibrate_lens("cam", SIZE, others, scene.board.points, **arguments).lens
        one = IntrinsicsSettings(minimum_views=1, outlier_threshold=1e3, view_threshold=1e3)
        fit = calibrate_lens("cam", SIZE, alone, scene.board.points, lens=lens, fixed=True, settings=one)
        count = int(fit.used.sum())
        squares, degrees = squares + fit.rms**2 * count, degrees + 2 * count - 6
    assert found.held_out["brown4"] == pytest.approx(np.sqrt(2 * squares / degrees), rel=0.005)


def test_only_models_asked_for_are_tried() -> None:
    scene = film("brown5", frames=15)
    found = calibrate(scene, models=["f", "pinhole"])
    assert set(found.held_out) == {"f", "pinhole"}
    assert found.model.name in ("f", "pinhole")
    assert found.lens.coefficients.size == 0


# --- wrong corners, wrong views


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_wrong_corners_are_left_out(rate: float) -> None:
    scene, clean = film(outlier_rate=rate), film()
    found, reference = calibrate(scene), calibrate(clean)
    outlier = scene.outlier[0, found.views]
    assert (found.used & outlier).sum() <= 2  # some fall beside the truth by chance
    kept = ~outlier & np.isfinite(seen(scene)[found.views][..., 0])
    assert found.used[kept].mean() > 0.999
    assert found.lens.camera_matrix[0, 0] == pytest.approx(
        lens_of(scene).camera_matrix[0, 0], abs=5 * reference.standard_deviations["fx"]
    )


def test_wrong_views_are_left_out_with_the_reason() -> None:
    position = views_of(tilted(30))
    rng = np.random.default_rng(1)
    position[3] = position[3, rng.permutation(54)]
    position[7] = position[7].reshape(6, 9, 2)[:, ::-1].reshape(-1, 2)
    position[11] += rng.normal(0, 5, (54, 2))
    position[12, 5:] = np.nan
    position[20] = rng.uniform(0, 1000, (54, 2))
    found = calibrate_lens("cam", SIZE, position, CHESSBOARD.points)
    assert set(found.rejected) == {3, 7, 11, 12, 20}
    assert "flat board" in found.rejected[3]
    assert "mirror" in found.rejected[7]
    assert "median error" in found.rejected[11]
    assert found.rejected[12] == "only 5 corners"
    assert not set(found.views) & set(found.rejected)
    assert found.lens.camera_matrix[0, 0] == pytest.approx(lens_of(film()).camera_matrix[0, 0], rel=0.01)


def test_a_turned_chessboard_is_no_wrong_view() -> None:
    """Half a turn of a symmetric board is a pose like any other."""
    board = Chessboard(10, 8, 30.0)
    scene, plain = film(board=board, turn_rate=0.3), film(board=board)
    assert scene.turned.sum() > 3
    found, reference = calibrate(scene), calibrate(plain)
    assert not found.rejected
    assert found.rms == pytest.approx(reference.rms, rel=0.02)


def test_mirrored_pictures_are_told() -> None:
    position = views_of(tilted(20))
    position[..., 0] = SIZE[0] - 1 - position[..., 0]
    found = calibrate_lens("cam", SIZE, position, CHESSBOARD.points)
    assert "mirror" in found.warnings[0]


def test_of_many_views_those_are_chosen_that_cover_the_image() -> None:
    """Most of 400 views are the same frontal board in the middle; the 30 others are found."""
    others = views_of(tilted(30))
    same = np.repeat(views_of(np.zeros((1, 3)), noise=0.0), 370, axis=0)
    same += np.random.default_rng(0).normal(0, 0.3, same.shape)
    found = calibrate_lens(
        "cam", SIZE, np.concatenate([same, others]), CHESSBOARD.points, settings=IntrinsicsSettings(maximum_views=40)
    )
    assert len(found.views) == 40
    assert (found.views >= 370).sum() >= 28


# --- what the views do not determine


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5])
def test_parallel_views_are_refused(noise: float) -> None:
    """Seen from the front only, every focal length fits: no seed gives a wrong one."""
    for seed in range(2):
        turns = np.column_stack([np.zeros((30, 2)), np.random.default_rng(seed).uniform(-3, 3, 30)])
        with pytest.raises(CalibrationError, match=r"camera 'cam'.*tilted by 20 to 45 degrees"):
            calibrate_lens("cam", SIZE, views_of(turns, noise=noise, seed=seed), CHESSBOARD.points)


def test_nearly_frontal_views_are_right_or_told() -> None:
    for tilt in (0.05, 0.1, 0.15):
        for seed in range(2):
            position = views_of(tilted(30, tilt, seed), depth=(1500.0, 3000.0), seed=seed)
            try:
                found = calibrate_lens("cam", SIZE, position, CHESSBOARD.points)
            except CalibrationError:
                continue
            off = abs(found.lens.camera_matrix[0, 0] / lens_of(film()).camera_matrix[0, 0] - 1)
            assert off < 0.03 or any("tilt" in text for text in found.warnings), (tilt, seed)
            assert off < 0.2


def test_one_tilt_leaves_out_what_it_does_not_determine() -> None:
    """All boards parallel to each other, but not to the image: a focal length, not two and a principal point."""
    found = calibrate_lens("cam", SIZE, views_of(np.tile([0.5, 0, 0], (30, 1))), CHESSBOARD.points)
    assert "brown4" in found.undetermined
    assert found.model.name not in found.undetermined
    assert found.lens.camera_matrix[0, 0] == pytest.approx(lens_of(film()).camera_matrix[0, 0], rel=0.03)


@pytest.mark.parametrize("views", [0, 1, 2])
def test_too_few_views_are_refused(views: int) -> None:
    position = views_of(tilted(20))
    position[views:] = np.nan
    with pytest.raises(CalibrationError, match=rf"camera 'cam'.*at least 3 views.*got {views}"):
        calibrate_lens("cam", SIZE, position, CHESSBOARD.points)


def test_few_views_make_a_simple_lens_with_a_warning() -> None:
    found = calibrate_lens("cam", SIZE, views_of(tilted(4)), CHESSBOARD.points)
    assert "only 4 views: record 20 or more" in found.warnings
    assert found.lens.camera_matrix[0, 0] == pytest.approx(lens_of(film()).camera_matrix[0, 0], rel=0.03)


def test_a_board_in_the_middle_of_the_image_is_told() -> None:
    position = 0.3 * views_of(tilted(30)) + 0.7 * np.array(SIZE) / 2
    found = calibrate_lens("cam", SIZE, position, CHESSBOARD.points)
    assert found.coverage.radius < 0.4
    assert any("extrapolated" in text for text in found.warnings)
    assert any("through all of it" in text for text in found.warnings)


# --- given lenses


def test_a_given_lens_that_fits_is_measured_and_kept() -> None:
    lens = lens_of(film())
    found = calibrate_lens("cam", SIZE, views_of(tilted(30)), CHESSBOARD.points, lens=lens, fixed=True)
    assert found.lens == lens
    assert found.model.free == ()
    assert found.rms == pytest.approx(0.3 * np.sqrt(2), rel=0.05)
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("scale", "words"), [(0.5, r"images of 64\d x 51\d, not 1280 x 1024"), (1.5, r"images of 19\d\d x 15\d\d, not")]
)
def test_a_given_lens_of_another_image_size_is_told(scale: float, words: str) -> None:
    lens = lens_of(film())
    matrix = np.diag([scale, scale, 1.0]) @ lens.camera_matrix
    given = BrownConrady(matrix, lens.coefficients)
    found = calibrate_lens("cam", SIZE, views_of(tilted(30)), CHESSBOARD.points, lens=given, fixed=True)
    np.testing.assert_array_equal(found.lens.camera_matrix, matrix)
    assert re.search(words, found.warnings[0])


def test_a_given_lens_that_does_not_fit_is_told_with_numbers() -> None:
    lens, position = lens_of(film()), views_of(tilted(30))
    longer = np.diag([1.05, 1.05, 1.0]) @ lens.camera_matrix
    longer[:2, 2] = lens.camera_matrix[:2, 2]
    found = calibrate_lens(
        "cam", SIZE, position, CHESSBOARD.points, lens=BrownConrady(longer, lens.coefficients), fixed=True
    )
    assert "the given focal length of 1351.4 px does not fit: the views say 128" in found.warnings[0]
    straight = BrownConrady(lens.camera_matrix)
    found = calibrate_lens("cam", SIZE, position, CHESSBOARD.points, lens=straight, fixed=True)
    assert "the given lens leaves an error of" in found.warnings[0]


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.0, 1.2, 4.0])
def test_any_given_start_leads_to_the_same_lens(scale: float) -> None:
    lens, position = lens_of(film()), views_of(tilted(30))
    start = BrownConrady(np.diag([scale, scale, 1.0]) @ lens.camera_matrix, lens.coefficients)
    found = calibrate_lens("cam", SIZE, position, CHESSBOARD.points, lens=start)
    reference = calibrate_lens("cam", SIZE, position, CHESSBOARD.points)
    np.testing.assert_allclose(found.lens.camera_matrix, reference.lens.camera_matrix, rtol=1e-6)


# --- results


def test_the_result_says_what_was_used() -> None:
    scene = film(outlier_rate=0.02)
    found = calibrate(scene)
    views = seen(scene)[found.views]
    moved = RigidTransform(found.cam_from_board.rotation, found.cam_from_board.translation)
    for view in range(len(views)):
        point = scene.board.points @ moved.rotation[view].T + moved.translation[view]
        projected = found.lens.distort(point[:, :2] / point[:, 2:])
        np.testing.assert_allclose(found.residuals[view], views[view] - projected, rtol=0, atol=1e-9)
    error = np.linalg.norm(found.residuals[found.used], axis=-1)
    assert found.rms == pytest.approx(np.sqrt(np.mean(error**2)))
    assert found.median == pytest.approx(np.median(error))
    assert found.p95 == pytest.approx(np.quantile(error, 0.95))
    assert found.coverage.cells.sum() == found.used.sum()
    assert set(found.standard_deviations) == set(found.model.free)
    assert found.covariance.shape == (len(found.model.free),) * 2


def test_repetition_gives_the_same_bits() -> None:
    scene = film(outlier_rate=0.1)
    one, two = calibrate(scene), calibrate(scene)
    assert one.lens == two.lens
    assert one.cam_from_board == two.cam_from_board
    assert one.held_out == two.held_out


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        ({"position": np.zeros((3, 5, 2))}, "position"),
        ({"position": np.full((3, 54, 2), np.inf)}, "position"),
        ({"size": (1280, 0)}, "size"),
        ({"board_points": CHESSBOARD.points + np.array([0, 0, 1.0])}, "board points"),
        ({"models": ["brown6"]}, "models"),
        ({"models": []}, "models"),
        ({"fixed": True}, "fixed"),
    ],
)
def test_bad_arguments_are_named(change: dict[str, object], subject: str) -> None:
    arguments = {"size": SIZE, "position": views_of(tilted(3)), "board_points": CHESSBOARD.points} | change
    with pytest.raises(InvalidValueError, match=subject):
        calibrate_lens("cam", **arguments)


@pytest.mark.parametrize("change", [{"maximum_views": 2}, {"outlier_threshold": 0.5}, {"minimum_corners": 3.5}])
def test_bad_settings_are_named(change: dict[str, float]) -> None:
    with pytest.raises(InvalidValueError, match=next(iter(change))):
        IntrinsicsSettings(**change)
