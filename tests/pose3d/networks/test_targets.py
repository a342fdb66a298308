"""Keypoints to maps and back: what the network is taught is what decoding finds."""

import numpy as np
import pytest

from pose3d.networks.decoding import decode
from pose3d.networks.settings import NetworkSettings
from pose3d.networks.targets import ABSENT, OCCLUDED, UNKNOWN, VISIBLE, losses, make_targets

pytest.importorskip("keras")

SHAPE = (24, 32)


def logits(values: np.ndarray) -> np.ndarray:
    clipped = np.clip(values, 1e-6, 1 - 1e-6)
    return np.log(clipped / (1 - clipped)).astype(np.float32)


def drawn(stride: int, seed: int, individuals: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    points = np.empty((2, individuals, 3, 3), dtype=np.float32)
    points[..., 0] = rng.uniform(0, stride * SHAPE[1] - 1, points.shape[:-1])
    points[..., 1] = rng.uniform(0, stride * SHAPE[0] - 1, points.shape[:-1])
    points[..., 2] = VISIBLE
    return points


@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("seed", range(5))
def test_the_targets_decode_to_the_keypoints(stride: int, seed: int) -> None:
    points = drawn(stride, seed)
    settings = NetworkSettings(("a", "b", "c"), stride=stride)
    made = make_targets(points, SHAPE, settings)
    offset = np.concatenate([np.asarray(made.offset_x), np.asarray(made.offset_y)], axis=-1)
    found = decode(logits(np.asarray(made.heatmap)), offset, np.asarray(made.visible), stride=stride, sigma=1.0)
    np.testing.assert_allclose(found.position[:, 0], points[:, 0, :, :2], atol=1e-3)


def test_the_heatmap_alone_peaks_within_a_tenth_of_a_pixel() -> None:
    """The center of mass of the log of the peak, without the offsets: half a cell of stride 8 would be 4 px."""
    points = drawn(8, 1)
    points[..., :2] = np.clip(points[..., :2], 24, 160)
    heatmap = np.asarray(make_targets(points, SHAPE, NetworkSettings(("a", "b", "c"))).heatmap)
    for image in range(2):
        for keypoint in range(3):
            row, column = np.unravel_index(heatmap[image, :, :, keypoint].argmax(), SHAPE)
            value = np.log(np.maximum(heatmap[image, :, :, keypoint], 1e-30))
            # a Gaussian is a parabola in its logarithm
            dx = 0.5 * (value[row, column + 1] - value[row, column - 1])
            dy = 0.5 * (value[row + 1, column] - value[row - 1, column])
            position = 8 * np.array([column + dx, row + dy]) + 3.5
            np.testing.assert_allclose(position, points[image, 0, keypoint, :2], atol=0.1)


def test_of_several_animals_every_one_has_its_peak() -> None:
    points = drawn(8, 2)[:1].repeat(1, axis=0)
    points = np.concatenate([points, points], axis=1)
    points[0, 0, :, :2], points[0, 1, :, :2] = (40, 50), (200, 120)
    settings = NetworkSettings(("a", "b", "c"))
    made = make_targets(points, SHAPE, settings)
    offset = np.concatenate([np.asarray(made.offset_x), np.asarray(made.offset_y)], axis=-1)
    heatmap = logits(np.asarray(made.heatmap))
    found = decode(heatmap, offset, np.asarray(made.visible), stride=8, sigma=1.0, candidates=4)
    order = np.argsort(found.position[0, :2, 0, 0])
    np.testing.assert_allclose(found.position[0, order, 0], [(40, 50), (200, 120)], atol=1e-3)
    assert np.isnan(found.position[0, 2:]).all()
    assert np.isneginf(found.logit[0, 2:]).all()


def test_visibility_is_that_of_the_nearest_animal() -> None:
    points = np.zeros((1, 2, 1, 3), dtype=np.float32)
    points[0, 0, 0] = 40, 50, VISIBLE
    points[0, 1, 0] = 200, 120, OCCLUDED
    made = make_targets(points, SHAPE, NetworkSettings(("a",)))
    visible = np.asarray(made.visible)[0, ..., 0]
    assert visible[6, 5] == 1
    assert visible[15, 25] == 0


def test_what_is_not_known_does_not_count_and_what_is_absent_does() -> None:
    points = np.zeros((3, 1, 1, 3), dtype=np.float32)
    points[:, 0, 0, 2] = UNKNOWN, ABSENT, VISIBLE
    made = make_targets(points, SHAPE, NetworkSettings(("a",)))
    known, heatmap, near = (np.asarray(one)[..., 0] for one in (made.known, made.heatmap, made.near))
    assert known[0].sum() == 0
    assert known[1].min() == known[2].min() == 1
    assert heatmap[:2].max() == 0
    assert near[:2].max() == 0


def test_losses_are_least_at_the_targets_and_ignore_what_is_unknown() -> None:
    settings = NetworkSettings(("a", "b", "c"))
    points = drawn(8, 4)
    made = make_targets(points, SHAPE, settings)
    offset = np.concatenate([np.asarray(made.offset_x), np.asarray(made.offset_y)], axis=-1)
    right = {"heatmap": logits(np.asarray(made.heatmap)), "offset": offset, "visible": 20 * np.asarray(made.visible)}
    rng = np.random.default_rng(0)
    for name, loss in losses(settings).items():
        at_target = float(loss(points, right[name]))
        for _ in range(3):
            noise = rng.normal(0, 0.5, right[name].shape).astype(np.float32)
            assert float(loss(points, right[name] + noise)) > at_target
        unknown = points.copy()
        unknown[..., 2] = UNKNOWN
        assert float(loss(unknown, right[name] + 1)) == 0


def test_a_drawn_out_peak_has_a_drawn_out_covariance() -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    heatmap = np.exp(-0.5 * (((x - 15) / 2.0) ** 2 + ((y - 10) / 1.0) ** 2))[None, ..., None]
    zeros = np.zeros((1, *SHAPE, 2), dtype=np.float32)
    offset = np.stack([15 - x, 10 - y], axis=-1)[None].astype(np.float32)
    found = decode(logits(heatmap), offset, zeros[..., :1], stride=8, sigma=1.0)
    covariance = found.covariance[0, 0, 0]
    assert covariance[0, 0] > 5 * covariance[1, 1]
    np.testing.assert_allclose(found.position[0, 0, 0], (15 * 8 + 3.5, 10 * 8 + 3.5), atol=1e-3)
