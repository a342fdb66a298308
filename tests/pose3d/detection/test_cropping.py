"""Following the animal: small windows, the same positions, and the whole image again when it is lost."""

import numpy as np
import pytest
from discs import DiscDetector

from pose3d.detection import CroppingDetector

SIZE = (640, 480)


def images(centers: list[tuple[float, float]]) -> np.ndarray:
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    made = [np.clip(20.5 - np.hypot(x - u, y - v), 0, 1) for u, v in centers]
    return np.repeat((255 * np.array(made)).astype(np.uint8)[..., None], 3, axis=3)


@pytest.mark.parametrize("parallel", [1, 2])
def test_positions_are_those_of_the_whole_image(parallel: int) -> None:
    centers = [(100.0 + 4 * step, 200.0 + 2 * step) for step in range(12)]
    inner = DiscDetector(parallel)
    detector = CroppingDetector(inner, margin=8.0)
    found = np.concatenate([detector.detect(images(centers[start : start + 4])).position for start in (0, 4, 8)])
    np.testing.assert_allclose(found[:, 0, 0], centers, atol=0.1)
    sizes = {shape[1:3] for shape in inner.shapes}
    assert (480, 640) in sizes  # where it was first looked for
    assert sizes - {(480, 640)} == {(128, 128)}


def test_a_lost_animal_is_looked_for_in_the_whole_image() -> None:
    inner = DiscDetector()
    detector = CroppingDetector(inner, margin=8.0)
    detector.detect(images([(100, 200)]))
    found = detector.detect(images([(104, 200), (500, 300)]))  # it jumps
    np.testing.assert_allclose(found.position[:, 0, 0], [(104, 200), (500, 300)], atol=0.1)
    assert [shape[1:3] for shape in inner.shapes] == [(480, 640), (128, 128), (480, 640)]


def test_it_forgets_when_it_starts_anew() -> None:
    inner = DiscDetector()
    detector = CroppingDetector(inner, margin=8.0)
    detector.detect(images([(100, 200)]))
    detector.restart()
    detector.detect(images([(100, 200)]))
    assert {shape[1:3] for shape in inner.shapes} == {(480, 640)}


def test_an_animal_at_the_edge_is_in_a_window_inside_the_image() -> None:
    detector = CroppingDetector(DiscDetector(), margin=8.0)
    for _ in range(2):
        found = detector.detect(images([(12, 15)]))
    assert np.isfinite(found.position[0, 0, 0]).all()
