"""Following the animal: small windows, the same positions, and the whole image again when it is lost."""

import numpy as np
import pytest
from discs import DiscDetector

from calibration.errors import InvalidValueError
from pose3d.detection import CroppingDetector, RawDetections

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


class PairDetector(DiscDetector):
    """Finds the two discs of a picture, the larger one first: each is a white island of its own columns."""

    def __init__(self) -> None:
        super().__init__(candidates=2)

    def detect(self, images: np.ndarray) -> RawDetections:
        self.shapes.append(images.shape)
        found = RawDetections.missing(len(images), 2, 2, covariance=True)
        found.confidence[:] = 0
        for number, image in enumerate(images):
            bright = image[..., 0] > 60
            columns = np.flatnonzero(bright.any(axis=0))
            islands = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1) if len(columns) else []
            for candidate, island in enumerate(sorted(islands, key=len, reverse=True)[:2]):
                rows = np.flatnonzero(bright[:, island].any(axis=1))
                found.position[number, candidate] = island.mean(), rows.mean()
                found.confidence[number, candidate] = 0.9
        return found


def pair(one: tuple[float, float], two: tuple[float, float]) -> np.ndarray:
    return np.maximum(images([one]), images([two]))


def test_a_window_holds_all_animals() -> None:
    inner = PairDetector()
    detector = CroppingDetector(inner, margin=0.8, individuals=2)
    for step in range(4):
        centers = [(100.0 + 4 * step, 200.0), (200.0, 220.0 - step)]
        found = detector.detect(pair(*centers)).position[0, :, 0]
        np.testing.assert_allclose(found[np.argsort(found[:, 0])], centers, atol=0.5)
    assert inner.shapes[0][1:3] == (480, 640)
    assert all(np.prod(shape[1:3]) < 480 * 640 / 2 for shape in inner.shapes[1:])


def test_where_one_of_two_is_lost_both_are_looked_for_in_the_whole_image() -> None:
    inner = PairDetector()
    detector = CroppingDetector(inner, margin=0.8, individuals=2)
    detector.detect(pair((100, 200), (200, 220)))
    found = detector.detect(pair((100, 200), (560, 400))).position[0, :, 0]  # the second one jumps out of the window
    np.testing.assert_allclose(found[np.argsort(found[:, 0])], [(100, 200), (560, 400)], atol=0.5)
    assert [shape[1:3] == (480, 640) for shape in inner.shapes] == [True, False, True]


def test_so_many_animals_need_as_many_candidates() -> None:
    with pytest.raises(InvalidValueError, match="individuals: expected 1 to 1"):
        CroppingDetector(DiscDetector(), individuals=2)
