"""Skeleton videos: what is drawn is where the view says, and nothing that is missing is drawn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.plots import View
from calibration.video import open_video
from pose3d.datasets import poses3d as make_poses3d
from pose3d.skeleton import Skeleton
from pose3d.visualization import SkeletonVideoSettings, skeleton_frames, skeleton_video
from pose3d.visualization.coloring import LEFT, RIGHT
from pose3d.visualization.drawing import rgb

SIZE = (320, 240)
VIEW = View(np.zeros(3), np.array([0.0, 0.0, 1.0]), azimuth=-1.2, elevation=0.3, distance=100.0)
PLAIN = SkeletonVideoSettings(shadow=False)


def poses(points: NDArray[np.float64], **kwargs: object) -> xr.Dataset:
    """A Dataset of points (time, individual, keypoint, 3)."""
    _, individuals, keypoints, _ = points.shape
    return make_poses3d(
        np.moveaxis(points, (1, 2, 3), (3, 2, 1)),
        individuals=[f"animal {n}" for n in range(individuals)],
        keypoints=[f"k{n}" for n in range(keypoints)],
        unit="mm",
        **kwargs,  # type: ignore[arg-type]
    )


def distance_to(image: NDArray[np.uint8], color: str) -> NDArray[np.float64]:
    return np.asarray(np.abs(image.astype(float) - rgb(color)).max(axis=-1))


def centroid(image: NDArray[np.uint8], color: str) -> NDArray[np.float64]:
    """Of the pixels of nearly this color, below the caption and above the legend."""
    close = distance_to(image, color) < 60
    close[: SIZE[1] // 6] = close[-SIZE[1] // 8 :] = False
    rows, columns = np.nonzero(close)
    assert len(rows)
    return np.array([columns.mean(), rows.mean()])


@pytest.mark.parametrize("point", [(0.0, 0.0, 0.0), (12.0, -7.0, 5.0), (-15.0, 4.0, -9.0)])
def test_a_keypoint_is_drawn_where_the_view_projects_it(point: tuple[float, float, float]) -> None:
    dataset = poses(np.array(point).reshape(1, 1, 1, 3))
    image = next(skeleton_frames(dataset, None, view=VIEW, size=SIZE, settings=PLAIN))
    expected, _ = VIEW.project(np.array(point), SIZE)
    np.testing.assert_allclose(centroid(image, RIGHT), expected, atol=0.3)


def test_an_edge_is_drawn_between_its_keypoints_and_not_where_one_is_missing() -> None:
    points = np.array([[-20.0, 0, 0], [20.0, 0, 0]])
    skeleton = Skeleton("bone", ("k0", "k1"), (("k0", "k1"),))
    whole, broken = points[None, None], points[None, None].copy()
    broken[0, 0, 1] = np.nan
    middle, _ = VIEW.project(np.zeros(3), SIZE)
    column, row = np.round(middle).astype(int)
    images = [next(skeleton_frames(poses(p), skeleton, view=VIEW, size=SIZE, settings=PLAIN)) for p in (whole, broken)]
    assert distance_to(images[0], RIGHT)[row, column] < 90  # a far end is paler
    assert distance_to(images[1], RIGHT)[row, column] > 100


def test_nothing_is_drawn_of_animals_that_are_missing() -> None:
    here, gone = np.zeros((1, 1, 3, 3)), np.full((1, 1, 3, 3), np.nan)
    images = [next(skeleton_frames(poses(p), None, view=VIEW, size=SIZE, settings=PLAIN)) for p in (here, gone)]
    assert (distance_to(images[0], RIGHT) < 60).any()
    assert not (distance_to(images[1], RIGHT) < 60).any()


def test_left_and_right_have_their_colors() -> None:
    points = np.array([[-15.0, 0, 0], [15.0, 0, 0]])[None, None]
    skeleton = Skeleton("sides", ("k0", "k1"), (), (("k0", "k1"),))
    image = next(skeleton_frames(poses(points), skeleton, view=VIEW, size=SIZE, settings=PLAIN))
    for color, point in ((LEFT, points[0, 0, 0]), (RIGHT, points[0, 0, 1])):
        expected, _ = VIEW.project(point, SIZE)
        column, row = np.round(expected).astype(int)
        away = {other: distance_to(image, other)[row, column] for other in (LEFT, RIGHT)}
        assert away[color] == min(away.values()) < 160


def test_each_of_several_animals_has_a_color_of_its_own() -> None:
    points = np.array([[[-15.0, 0, 0]], [[15.0, 0, 0]]])[None]
    image = next(skeleton_frames(poses(points), None, view=VIEW, size=SIZE, settings=PLAIN))
    for color, point in ((RIGHT, points[0, 0, 0]), (LEFT, points[0, 1, 0])):  # the first two colors of the palette
        expected, _ = VIEW.project(point, SIZE)
        column, row = np.round(expected).astype(int)
        away = {other: distance_to(image, other)[row, column] for other in (LEFT, RIGHT)}
        assert away[color] == min(away.values()) < 60


def test_of_several_animals_each_has_its_name_above_it_in_its_color() -> None:
    points = np.array([[[-15.0, 0, 0]], [[15.0, 0, 0]]])[None]
    image = next(skeleton_frames(poses(points), None, view=VIEW, size=SIZE, settings=PLAIN))
    for color, point in ((RIGHT, points[0, 0, 0]), (LEFT, points[0, 1, 0])):
        x, y = np.round(VIEW.project(point, SIZE)[0]).astype(int)
        above = distance_to(image, color)[y - 25 : y - 6, x - 25 : x + 25]
        assert (above < 90).sum() > 15
    alone = next(skeleton_frames(poses(points[:, :1]), None, view=VIEW, size=SIZE, settings=PLAIN))
    x, y = np.round(VIEW.project(points[0, 0, 0], SIZE)[0]).astype(int)
    assert not (distance_to(alone, RIGHT)[y - 25 : y - 8, x - 25 : x + 25] < 90).any()


def test_a_video_has_a_picture_per_row_and_the_size_asked_for(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(0, 10, (7, 1, 4, 3))
    done = []
    path = tmp_path / "a.mp4"
    skeleton_video(
        poses(points, frame_rate=50.0), None, path, size=(321, 241), on_progress=lambda *counts: done.append(counts)
    )
    with open_video(path) as video:
        assert (len(video), video.size, video.frame_rate) == (7, (322, 242), 50.0)
    assert done == [(n, 7) for n in range(1, 8)]


@pytest.mark.parametrize(
    "settings", [SkeletonVideoSettings(), SkeletonVideoSettings(theme="dark", orbit=0.5, trail="k1")]
)
def test_a_single_frame_and_empty_poses_make_a_video_too(tmp_path: Path, settings: SkeletonVideoSettings) -> None:
    for name, points in (("one", np.zeros((1, 1, 2, 3))), ("none", np.full((3, 2, 2, 3), np.nan))):
        skeleton_video(poses(points), None, tmp_path / f"{name}.mp4", size=SIZE, settings=settings)
        with open_video(tmp_path / f"{name}.mp4") as video:
            assert len(video) == len(points)
            assert video.frame_rate == 30.0


def test_the_eye_follows_an_animal_that_roams() -> None:
    body = np.random.default_rng(0).normal(0, 5, (1, 1, 6, 3))
    path = np.linspace(0, 500, 60)[:, None, None, None] * np.array([1.0, 0.3, 0])
    dataset = poses(body + path, frame_rate=30.0)
    for follow, inside in ((None, True), (True, True), (False, False)):
        settings = replace(PLAIN, follow=follow)
        images = list(skeleton_frames(dataset, None, size=SIZE, frame_rate=30.0, settings=settings))
        places = np.array([centroid(images[row], RIGHT) for row in (5, 30, 55)])
        assert (np.ptp(places[:, 0]) < SIZE[0] / 6) == inside


def test_an_orbit_turns_the_scene_and_a_still_eye_does_not() -> None:
    points = np.repeat(np.array([[20.0, 0, 0], [-20.0, 0, 0]])[None, None], 31, axis=0)
    for orbit, moves in ((0.0, False), (np.pi / 2, True)):
        settings = replace(PLAIN, orbit=orbit)
        images = list(skeleton_frames(poses(points), None, size=SIZE, frame_rate=30.0, settings=settings))
        legend_free = [image[SIZE[1] // 6 :] for image in images]
        assert (not np.array_equal(legend_free[0], legend_free[-1])) == moves


def test_a_trail_shows_where_a_keypoint_was() -> None:
    points = np.zeros((30, 1, 1, 3))
    points[:, 0, 0, 0] = np.linspace(-30, 30, 30)
    with_trail = replace(PLAIN, trail="k0")
    plain, trail = (
        list(skeleton_frames(poses(points), None, view=VIEW, size=SIZE, settings=settings))[-1]
        for settings in (PLAIN, with_trail)
    )
    past, _ = VIEW.project(points[20, 0, 0], SIZE)
    column, row = np.round(past).astype(int)
    assert trail[row, column].mean() < plain[row, column].mean() - 30


def test_the_same_poses_give_the_same_bytes(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(0, 10, (5, 1, 4, 3))
    for name in ("a", "b"):
        skeleton_video(poses(points), None, tmp_path / f"{name}.mp4", size=SIZE)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(
    ("settings", "size", "named"),
    [(SkeletonVideoSettings(trail="tail"), SIZE, "trail"), (SkeletonVideoSettings(), (8, 8), "size")],
)
def test_what_cannot_be_drawn_is_refused(settings: SkeletonVideoSettings, size: tuple[int, int], named: str) -> None:
    with pytest.raises(InvalidValueError, match=named):
        skeleton_frames(poses(np.zeros((1, 1, 1, 3))), None, size=size, settings=settings)


def test_no_frame_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="at least one frame"):
        skeleton_video(poses(np.zeros((0, 1, 1, 3))), None, tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [{"theme": "pink"}, {"color_by": "mood"}, {"orbit": np.nan}, {"trail_seconds": 0.0}])
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidValueError, match="expected"):
        SkeletonVideoSettings(**wrong)  # type: ignore[arg-type]  # what is tested
