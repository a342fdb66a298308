"""Images and keypoints are moved by one map: a keypoint stays on what it marks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose3d.networks.augmentation import Sample, augment, center_crop
from pose3d.networks.batches import scale_image, scale_points
from pose3d.networks.settings import AugmentationSettings
from pose3d.networks.targets import ABSENT, OCCLUDED, UNKNOWN, VISIBLE

STILL = AugmentationSettings(
    rotation=0, scale=(1, 1), translation=0, flip=0, motion_blur=(0, 0), noise=0, contrast=0, occlusion=0
)


def blob(center: tuple[float, float], size: tuple[int, int] = (160, 120)) -> Sample:
    """A soft bright spot on gray, as bright beyond the image as the filling is."""
    x, y = np.arange(size[0]), np.arange(size[1])
    spot = np.exp(-0.5 * ((x - center[0]) ** 2 + (y[:, None] - center[1]) ** 2) / 3**2)
    image = np.repeat((114 + 140 * spot)[..., None], 3, axis=-1).round().astype(np.uint8)
    points = np.zeros((1, 3, 3), dtype=np.float32)
    points[0, 0] = (*center, VISIBLE)
    points[0, 1] = (*center, OCCLUDED)
    return Sample(image, points)


def center_of(image: np.ndarray) -> np.ndarray:
    weight = np.abs(image[..., 0].astype(float) - 114)
    weight[weight < 5] = 0
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


CHANGES = {
    "rotation": AugmentationSettings(**{**vars(STILL), "rotation": 180.0}),
    "scale": AugmentationSettings(**{**vars(STILL), "scale": (0.6, 1.6)}),
    "translation": AugmentationSettings(**{**vars(STILL), "translation": 0.2}),
    "flip": AugmentationSettings(**{**vars(STILL), "flip": 1.0}),
    "motion blur": AugmentationSettings(**{**vars(STILL), "motion_blur": (1.0, 9.0)}),
    "contrast": AugmentationSettings(**{**vars(STILL), "scale": (0.9, 1.1)}),
    "all geometry": AugmentationSettings(
        **{**vars(STILL), "rotation": 90.0, "scale": (0.7, 1.4), "translation": 0.1, "flip": 0.5}
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_keypoint_stays_on_its_spot_through_every_augmentation(change: str) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        sample = blob(tuple(rng.uniform((50, 40), (110, 80))))
        made = augment(sample, (160, 128), CHANGES[change], ((0, 1),) if "flip" in change else (), rng)
        expected = made.points[0, 0, :2]
        assert made.points[0, 0, 2] in (VISIBLE, OCCLUDED)
        np.testing.assert_allclose(center_of(made.image), expected, atol=0.1)


def test_mirroring_swaps_left_and_right_and_nothing_else() -> None:
    settings_ = CHANGES["flip"]
    sample = blob((50, 40))
    sample.points[0, 1, :2] = 100, 70
    sample.points[0, 2] = 30, 30, VISIBLE
    made = augment(sample, (160, 128), settings_, ((0, 1),), np.random.default_rng(0))
    np.testing.assert_allclose(made.points[0, 1, :2], (160 - 1 - 50, 44), atol=1e-4)
    np.testing.assert_allclose(made.points[0, 0, :2], (160 - 1 - 100, 74), atol=1e-4)
    np.testing.assert_allclose(made.points[0, 2, :2], (160 - 1 - 30, 34), atol=1e-4)


def test_without_mirrored_pairs_nothing_is_mirrored() -> None:
    sample = blob((50, 40))
    made = augment(sample, (160, 128), CHANGES["flip"], (), np.random.default_rng(0))
    np.testing.assert_allclose(made.points[0, 0, :2], (50, 44), atol=1e-4)


def test_what_leaves_the_image_is_absent_and_what_is_unknown_stays_so() -> None:
    sample = blob((150, 60))
    sample.points[0, 2] = 0, 0, UNKNOWN
    made = center_crop(sample, (96, 96))
    assert made.points[0, :, 2].tolist() == [ABSENT, ABSENT, UNKNOWN]


def pair(seed: int) -> tuple[Sample, np.random.Generator]:
    """Two spots beside each other, somewhere in a large image."""
    rng = np.random.default_rng(seed)
    sample = blob(tuple(rng.uniform((10, 10), (630, 470))), (640, 480))
    sample.points[0, 2] = sample.points[0, 0] + (8, 8, 0)
    return sample, rng


def test_a_crop_of_a_larger_image_keeps_the_animal_and_shows_it_anywhere() -> None:
    places = []
    for seed in range(50):
        sample, rng = pair(seed)
        made = augment(sample, (256, 256), AugmentationSettings(elsewhere=0), (), rng)
        assert (made.points[0, (0, 2), 2] != ABSENT).all()
        places.append(made.points[0, 0, :2])
    assert (np.ptp(places, axis=0) > 180).all()


def test_a_crop_of_a_larger_image_shows_little_of_what_lies_beyond_it() -> None:
    for seed in range(20):
        sample, rng = pair(seed)
        sample.image[:] = 0
        made = augment(sample, (256, 256), AugmentationSettings(**{**vars(STILL), "elsewhere": 0.5}), (), rng)
        assert (made.image == 0).all()


def test_a_share_of_the_crops_is_taken_anywhere() -> None:
    kept = 0
    for seed in range(200):
        sample, rng = pair(seed)
        kept += int((augment(sample, (128, 128), AugmentationSettings(), (), rng).points[0, 0, 2]) != ABSENT)
    assert 135 < kept < 175  # 30 % anywhere, of which 5 % hit the animal


def test_a_covered_keypoint_is_occluded() -> None:
    covered = AugmentationSettings(**{**vars(STILL), "occlusion": 1.0})
    seen = set()
    for seed in range(200):
        made = augment(blob((80, 60)), (160, 128), covered, (), np.random.default_rng(seed))
        column, row = made.points[0, 0, :2].round().astype(int)
        hidden = abs(int(made.image[row, column, 0]) - 254) > 1 or abs(int(made.image[row, column, 1]) - 254) > 1
        assert hidden == (made.points[0, 0, 2] == OCCLUDED)
        seen.add(hidden)
    assert seen == {True, False}


def test_the_same_seed_gives_the_same_image() -> None:
    first, second = (
        augment(blob((80, 60)), (160, 128), AugmentationSettings(), (), np.random.default_rng([1, 2])) for _ in range(2)
    )
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.points, second.points)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.2, 2.0), st.integers(40, 90), st.integers(30, 80))
def test_resized_images_keep_their_keypoints(scale: float, x: int, y: int) -> None:
    sample = blob((x, y))
    moved = scale_points(np.array([[x, y]], dtype=float), (160, 120), scale)[0]
    np.testing.assert_allclose(center_of(scale_image(sample.image, scale)), moved, atol=0.1)
