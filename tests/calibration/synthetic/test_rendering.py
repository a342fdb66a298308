"""Rendered pictures: pixel by pixel the mean of what the rays of a pixel hit, and the faults that were asked for."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.boards.geometry import Charuco, Chessboard
from calibration.camera import Camera
from calibration.errors import InvalidValueError
from calibration.synthetic import make_board_scene, make_rig
from calibration.synthetic._sheets import hand_at
from calibration.synthetic.rendering import BoardRenderer, RenderSettings
from calibration.transforms import RigidTransform

BOARD = Chessboard(7, 5, 50.0)
SIZE = (96, 72)
CLEAN = RenderSettings(defocus=0.0, noise=0.0, brightness=180 / 255, vignetting=0.0, shading=0.0, clutter=False)
# Gray levels: paper gives back 0.9 of the light, ink 0.06, a plain room 0.35.
PAPER, INK, ROOM = 180.0, 12.0, 70.0


def camera(lens: str = "brown5", size: tuple[int, int] = SIZE, seed: int = 1) -> Camera:
    return make_rig(1, size=size, focal_length=1.1 * size[0], lens=lens, seed=seed).cameras[0]


def pose(by: Camera, tilt: tuple[float, float, float] = (0.3, -0.4, 0.2), distance: float = 700.0) -> RigidTransform:
    """world_from_board of a board in front of a camera."""
    turn = RigidTransform.from_rotation_vector(tilt, np.zeros(3)).rotation
    middle = np.array([10.0, -15.0, distance]) - turn @ BOARD.points.mean(axis=0)
    return by.cam_from_world.inverse() @ RigidTransform(turn, middle)


def brute_force(by: Camera, at: RigidTransform, *, bend: float = 0.0, samples: int = 8) -> NDArray[np.float64]:
    """Rays of samples x samples places in every pixel, each cut with the sheet: another way to the same picture."""
    width, height = by.size
    offsets = (np.arange(samples) + 0.5) / samples - 0.5
    x = (np.arange(width)[:, None] + offsets).ravel()
    y = (np.arange(height)[:, None] + offsets).ravel()
    origin, direction = by.ray(np.stack(np.meshgrid(x, y), axis=-1))
    to_board = at.inverse()
    start, along = to_board(origin), direction @ to_board.rotation.T
    middle, half = BOARD.points[:, 0].mean(), np.ptp(BOARD.points[:, 0]) / 2
    depth = np.zeros(along.shape[:2])
    for _ in range(20):  # the bend is small: the depth of the sheet at the last place is nearly that at the next
        length = (depth - start[2]) / along[..., 2]
        there = start[0] + length * along[..., 0]
        depth = np.clip(-bend * (1 - ((there - middle) / half) ** 2), -bend, 9 * bend)  # beyond: not on the sheet
    place = start[:2] + length[..., None] * along[..., :2]
    column, row = (np.floor(place[..., axis] / BOARD.square).astype(int) + 1 for axis in (0, 1))
    pattern = (column >= 0) & (column < 7) & (row >= 0) & (row < 5)
    light = np.where(pattern & ((column + row) % 2 == 0), INK, PAPER)
    border = 1.6 * BOARD.square  # a square to the first corner, and 0.6 of empty paper
    sheet = ((place >= -border) & (place <= BOARD.square * np.array([5, 3]) + border)).all(axis=-1)
    light = np.where(sheet, light, ROOM)
    return np.asarray(light.reshape(height, samples, width, samples).mean(axis=(1, 3)))


@pytest.mark.parametrize("lens", ["pinhole", "brown5", "brown14", "fisheye"])
def test_every_pixel_is_the_mean_of_what_its_rays_hit(lens: str) -> None:
    by = camera(lens)
    image = BoardRenderer(by, BOARD, settings=CLEAN).render(pose(by))
    difference = image - brute_force(by, pose(by))
    # Measured 0.3 to 0.6, of which the 8 samples a side of the other way are a half; a shift of 0.1 px would be 2.4.
    assert np.sqrt((difference**2).mean()) < 0.9
    assert abs(difference.mean()) < 0.05
    assert np.abs(difference).max() < 20


def test_a_bent_board_is_bent() -> None:
    by = camera()
    image = BoardRenderer(by, BOARD, settings=CLEAN, bend=15.0).render(pose(by))
    right, flat = (image - brute_force(by, pose(by), bend=bend) for bend in (15.0, 0.0))
    assert np.sqrt((right**2).mean()) < 0.9
    assert np.sqrt((flat**2).mean()) > 5


def test_a_board_that_is_cut_off_or_near_is_right_too() -> None:
    by = camera()
    near = pose(by, (0.9, 0.2, -0.5), distance=260.0)
    difference = BoardRenderer(by, BOARD, settings=CLEAN).render(near) - brute_force(by, near)
    # The outermost half pixel of the image is not interpolated but held.
    assert np.sqrt((difference[1:-1, 1:-1] ** 2).mean()) < 1.5


def corner_errors(settings: RenderSettings, *, lens: str = "brown5", bend: float = 0.0) -> NDArray[np.float64]:
    """Corners found by OpenCV's saddle point search, minus true ones."""
    rig = make_rig(2, size=(640, 480), focal_length=700, lens=lens, seed=3)
    scene = make_board_scene(rig, BOARD, frames=6, noise=0.0, seed=3, bend=bend)
    found = []
    for index, by in enumerate(rig):
        renderer = BoardRenderer(by, BOARD, settings=settings, bend=bend, seed=index)
        for frame in np.flatnonzero(np.isfinite(scene.truth[index, :, 0, 0])):
            at = RigidTransform(scene.world_from_board.rotation[frame], scene.world_from_board.translation[frame])
            true = scene.truth[index, frame]
            inner = ((true > 12) & (true < np.array(by.size) - 13)).all(axis=-1)
            window = int(np.clip(0.3 * np.linalg.norm(np.diff(true[BOARD.edges], axis=1), axis=-1).min(), 3, 6))
            start = np.rint(true[inner]).astype(np.float32)[:, None].copy()
            stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 100, 1e-4)
            image = renderer.render(at, number=int(frame))
            refined = cv2.cornerSubPix(image, start, (window, window), (-1, -1), stop)[:, 0]
            found.append(refined - true[inner])
    return np.concatenate(found)


@pytest.mark.parametrize(("lens", "bend"), [("brown5", 0.0), ("fisheye", 0.0), ("brown5", 6.0)])
def test_detected_corners_are_unbiased(lens: str, bend: float) -> None:
    sharp = RenderSettings(noise=0.0, clutter=False)
    errors = corner_errors(sharp, lens=lens, bend=bend)
    assert len(errors) > 100
    # Measured: mean 0.002 px; RMS 0.024, the same with 8 x 8 samples per pixel: that is OpenCV's own error.
    assert np.abs(errors.mean(axis=0)).max() < 0.01
    assert np.sqrt((errors**2).mean()) < 0.035


def test_defocus_and_noise_do_not_move_corners() -> None:
    errors = corner_errors(RenderSettings(defocus=1.5, noise=3.0))
    assert np.abs(errors.mean(axis=0)).max() < 0.02
    assert np.sqrt((errors**2).mean()) < 0.08


def test_motion_blur_is_the_mean_over_the_exposure() -> None:
    by = camera()
    renderer = BoardRenderer(by, BOARD, settings=CLEAN)
    poses = [pose(by, distance=distance) for distance in (690.0, 700.0, 710.0)]
    together = RigidTransform(
        np.stack([each.rotation for each in poses]), np.stack([each.translation for each in poses])
    )
    mean = np.mean([renderer.render(each) for each in poses], axis=0)
    assert np.abs(renderer.render(together) - mean).max() <= 1.0
    assert np.abs(renderer.render(poses[1]) - mean).max() > 20


def test_defocus_is_a_gaussian_of_the_asked_width() -> None:
    by = camera()
    sharp = brute_force(by, pose(by))
    image = BoardRenderer(by, BOARD, settings=dataclasses.replace(CLEAN, defocus=1.5)).render(pose(by))
    expected = cv2.GaussianBlur(sharp, (0, 0), 1.5, borderType=cv2.BORDER_REPLICATE)
    assert np.sqrt(((image - expected) ** 2).mean()) < 0.5


def test_noise_has_the_asked_size_at_medium_gray_and_grows_with_light() -> None:
    by = camera(size=(320, 240))
    spreads = {}
    for brightness in (0.5, 128 / 255 / (ROOM / PAPER), 2.0):
        clean, noisy = (
            BoardRenderer(by, BOARD, settings=RenderSettings(0.0, noise, brightness, 0.0, 0.0, clutter=False), seed=4)
            for noise in (0.0, 3.0)
        )
        away = RigidTransform(np.eye(3), np.array([0.0, 0.0, 1e6]))
        difference = noisy.render(away).astype(float) - clean.render(away)
        spreads[brightness] = difference.std()
        assert abs(difference.mean()) < 0.55  # the clean picture is rounded
    dark, medium, light = spreads.values()
    assert abs(medium / 3.0 - 1) < 0.03
    assert dark < medium < light


def test_brightness_vignetting_and_shading_are_as_said() -> None:
    by = camera(size=(320, 240))
    facing = pose(by, (0.0, 0.0, 0.0), distance=900.0)
    toward_camera = by.cam_from_world.rotation.T @ [0.0, 0.0, -1.0]
    for brightness in (0.4, 0.8):
        settings = RenderSettings(0.0, 0.0, brightness, vignetting=0.3, shading=0.4, clutter=False)
        renderer = BoardRenderer(by, BOARD, settings=settings, light=tuple(toward_camera))
        image = renderer.render(facing).astype(float)
        assert abs(np.percentile(image, 99) / (255 * brightness) - 1) < 0.03
        assert abs(image[0, 0] / (image[100, 2] / 0.878) - 0.7 / 1.0) < 0.15
    lit, turned = (
        BoardRenderer(by, BOARD, settings=RenderSettings(0.0, 0.0, 0.6, 0.0, 0.4, clutter=False), light=light)
        for light in (tuple(toward_camera), tuple(-toward_camera))
    )
    assert abs(turned.render(facing).max() / lit.render(facing).max() - 0.6) < 0.02


def test_overexposed_paper_is_white() -> None:
    by = camera()
    settings = dataclasses.replace(CLEAN, brightness=1.6)
    image = BoardRenderer(by, BOARD, settings=settings).render(pose(by))
    assert (image == 255).mean() > 0.1


def test_from_behind_a_board_shows_no_corner() -> None:
    by = camera()
    image = BoardRenderer(by, BOARD, settings=CLEAN).render(pose(by, (0.0, np.pi, 0.0)))
    assert len(np.unique(np.rint(image / 8))) < 12
    assert image.min() > 2 * INK
    assert not np.array_equal(image, np.full_like(image, image[0, 0]))


@pytest.mark.parametrize("translation", [(0.0, 0.0, -500.0), (1e5, 0.0, 500.0), (0.0, 0.0, 1e-3), (0.0, 0.0, 1e9)])
def test_boards_out_of_view_or_around_the_camera_do_no_harm(translation: tuple[float, float, float]) -> None:
    by = camera()
    for tilt in ((0.0, 0.0, 0.0), (1.5, 0.0, 0.0), (0.0, np.pi / 2, 0.0)):
        at = by.cam_from_world.inverse() @ RigidTransform.from_rotation_vector(tilt, translation)
        for bend in (0.0, 5.0):
            image = BoardRenderer(by, BOARD, settings=CLEAN, bend=bend).render(at)
            assert image.shape == SIZE[::-1]


def test_a_hand_covers_what_it_says_it_covers() -> None:
    by = camera(size=(320, 240))
    renderer = BoardRenderer(by, BOARD, settings=CLEAN)
    at = pose(by)
    hand = next(
        hand
        for time in np.arange(0, 5, 0.1)
        if (hand := hand_at(renderer.sheet, time, reach=0.8, phase=0.0)) is not None
        and (hand.distance(BOARD.points[:, :2]) < -8).sum() >= 3
    )
    without, with_hand = renderer.render(at).astype(float), renderer.render(at, hand=hand).astype(float)
    changed = np.abs(with_hand - without)
    distance = hand.distance(BOARD.points[:, :2])
    pixels = np.rint(by.project(at(BOARD.points))).astype(int)
    around = [changed[y - 1 : y + 2, x - 1 : x + 2].max() for x, y in pixels]
    for gap, change in zip(distance, around, strict=True):
        assert change > 20 if gap < -8 else change == 0 if gap > 8 else True


def test_no_hand_without_reach_and_none_now_and_then() -> None:
    sheet = BoardRenderer(camera(), BOARD).sheet
    times = np.arange(0, 30, 0.1)
    assert all(hand_at(sheet, time, reach=0.0, phase=1.0) is None for time in times)
    there = [hand_at(sheet, time, reach=0.4, phase=1.0) is not None for time in times]
    assert 0.3 < np.mean(there) < 0.6


def test_color_pictures_are_gray_pictures_with_colors() -> None:
    by = camera()
    image = BoardRenderer(by, Charuco(7, 5, 50.0), settings=RenderSettings(color=True)).render(pose(by))
    assert image.shape == (*SIZE[::-1], 3)
    assert image.dtype == np.uint8
    assert np.ptp(image.astype(int).mean(axis=(0, 1))) > 0.5


def test_the_same_seed_and_number_give_the_same_bytes_and_others_other_noise() -> None:
    by = camera()
    first, again, other = (BoardRenderer(by, BOARD, seed=seed) for seed in (1, 1, 2))
    assert first.render(pose(by), number=3).tobytes() == again.render(pose(by), number=3).tobytes()
    assert first.render(pose(by), number=3).tobytes() != first.render(pose(by), number=4).tobytes()
    assert first.render(pose(by), number=3).tobytes() != other.render(pose(by), number=3).tobytes()


@pytest.mark.parametrize("name", ["defocus", "noise", "brightness", "vignetting", "shading"])
@pytest.mark.parametrize("value", [-0.1, 1e4, float("nan")])
def test_settings_out_of_range_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InvalidValueError, match=name):
        RenderSettings(**{name: value})  # type: ignore[arg-type]  # numbers only
