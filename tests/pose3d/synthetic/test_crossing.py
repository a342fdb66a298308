"""Animals that meet, and instances of them: what is true of paths, sizes and identities."""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
import pytest

from calibration.schema import check
from pose3d.datasets import INSTANCES
from pose3d.synthetic import QUADRUPED, Scene, SimulationSettings, simulate
from pose3d.synthetic._crossing import StopAndGo
from pose3d.synthetic.pixel_truth import poses_of, true_visibility
from pose3d.synthetic.rendering import PictureSettings

SPINE = QUADRUPED.keypoints.index("spine")


@cache
def scene(**changes: object) -> Scene:
    return simulate(
        SimulationSettings(**{"individuals": 4, "duration": 60.0, "frame_rate": 20.0, "cameras": 3, **changes})
    )


def floor(result: Scene) -> np.ndarray:
    """(time, individual, 2) where the spine keypoints are."""
    return poses_of(result)[:, :, SPINE, :2]


def distances(result: Scene) -> np.ndarray:
    """(time, pair) between the spine keypoints of two animals."""
    place = floor(result)
    first, second = np.triu_indices(place.shape[1], 1)
    return np.linalg.norm(place[:, first] - place[:, second], axis=-1)


def projected(result: Scene) -> np.ndarray:
    """(time, camera, individual, keypoint, 2) true pixels."""
    return np.moveaxis(result.rig.project(poses_of(result)), 3, 1)


# Made before there were crossing animals.
@pytest.mark.parametrize(
    ("changes", "digest"),
    [
        ({}, "7b4b5b7ec4eca461"),
        ({"individuals": 3, "paths": "shared"}, "48b8ef9cac9a9d62"),
        ({"body_length": 200.0, "seed": 3}, "62b4b2f99a36ff0f"),
    ],
)
def test_animals_that_follow_each_other_are_those_of_earlier_versions(changes: dict[str, object], digest: str) -> None:
    result = simulate(SimulationSettings(**{"duration": 6.0, "frame_rate": 50.0, "cameras": 4, **changes}))
    content = hashlib.sha256()
    for data in (result.poses2d, result.poses3d, result.labels2d, result.gait, result.rig.to_dataset()):
        for name in sorted(data.data_vars):
            content.update(data[name].values.tobytes())
    assert content.hexdigest().startswith(digest)


class TestPaths:
    @pytest.mark.parametrize("individuals", [2, 3, 10])
    @pytest.mark.parametrize("seed", [0, 1])
    def test_every_animal_comes_close_to_others(self, individuals: int, seed: int) -> None:
        result = scene(individuals=individuals, seed=seed, duration=40.0, frame_rate=10.0, cameras=1)
        near = distances(result) < result.settings.body_length
        assert near.any(axis=1).mean() > 0.15
        first, second = np.triu_indices(individuals, 1)
        for animal in range(individuals):
            assert near[:, (first == animal) | (second == animal)].any()

    def test_they_stand_together_for_the_asked_share_of_the_time(self) -> None:
        for share in (0.0, 0.15, 0.5):
            result = scene(huddles=share, cameras=1)
            still = np.linalg.norm(np.diff(floor(result), axis=0), axis=-1) < 1e-9
            together = still.all(axis=1)
            assert together.mean() == pytest.approx(share, abs=0.02)
            spread = np.linalg.norm(floor(result)[1:][together], axis=-1)
            if share:
                assert spread.max() < 1.2 * result.settings.body_length

    def test_bodies_of_a_huddle_do_not_overlap(self) -> None:
        result = scene()
        still = (np.linalg.norm(np.diff(floor(result), axis=0), axis=-1) < 1e-9).all(axis=1)
        trunk = [QUADRUPED.keypoints.index(name) for name in ("neck", "spine", "tail_base")]
        pose = poses_of(result)[1:][still][:, :, trunk]
        first, second = np.triu_indices(4, 1)
        gap = np.linalg.norm(pose[:, first, :, None] - pose[:, second, None], axis=-1).min()
        assert gap > 2 * 8.0  # twice the radius of a trunk

    def test_they_go_at_speeds_of_their_own_about_the_asked_one(self) -> None:
        result = scene(huddles=0.0, individuals=10, frame_rate=10.0, cameras=1)
        speed = np.linalg.norm(np.diff(floor(result), axis=0), axis=-1).mean(axis=0) * 10.0
        assert ((speed > 0.7 * 150.0) & (speed < 1.3 * 150.0)).all()
        assert np.ptp(speed) > 0.1 * 150.0

    def test_feet_are_on_the_floor_or_hardly_above_it_in_a_huddle(self) -> None:
        result = scene()
        pose = poses_of(result)
        still = np.linalg.norm(np.diff(floor(result), axis=0), axis=-1) < 1e-9
        paws = [index for index, name in enumerate(QUADRUPED.keypoints) if name.endswith("paw")]
        height = pose[1:, :, paws, 2][still]
        assert height.max() < 2.0
        step = np.linalg.norm(np.diff(pose[:, :, paws], axis=0), axis=-1)[still]
        assert step.max() < 1e-9


class TestCourse:
    def test_time_undoes_distance_where_the_animal_walks(self) -> None:
        course = StopAndGo(np.array([0.0, 1.0, 2.0, 5.0, 7.0]), np.array([0.0, 80.0, 150.0, 150.0, 400.0]))
        time = np.concatenate([np.linspace(0.01, 1.95, 50), np.linspace(5.05, 6.99, 50)])
        np.testing.assert_allclose(course.time(course.distance(time)), time, atol=1e-9)
        np.testing.assert_array_equal(course.distance(np.linspace(2, 5, 20)), 150.0)
        assert (np.diff(course.distance(np.linspace(0, 7, 1000))) >= 0).all()


class TestSizes:
    def test_animals_differ_by_the_asked_share(self) -> None:
        lengths = np.concatenate(
            [scene(individuals=10, seed=seed, duration=0.1, cameras=1).body_length for seed in range(12)]
        )
        assert lengths.std() / 80.0 == pytest.approx(0.06, rel=0.25)
        assert lengths.mean() == pytest.approx(80.0, rel=0.02)
        same = scene(individuals=3, size_spread=0.0, duration=1.0)
        np.testing.assert_array_equal(same.body_length, 80.0)

    def test_proportions_differ_too(self) -> None:
        pose = poses_of(scene())[0] / scene().body_length[:, None, None]
        index = QUADRUPED.keypoints.index
        for a, b in (("neck", "spine"), ("spine", "tail_base"), ("tail_mid", "tail_tip"), ("left_hip", "right_hip")):
            assert np.ptp(np.linalg.norm(pose[:, index(a)] - pose[:, index(b)], axis=-1)) > 0.002

    def test_what_can_be_seen_of_them_agrees_with_the_simple_bodies(self) -> None:
        """The bodies of the videos fit the keypoints of every animal, be it large or small."""
        result = scene(duration=1.0, cameras=4, size_spread=0.1)
        seen = true_visibility(result, PictureSettings(clutter=0)).to_numpy()
        back = QUADRUPED.keypoints.index("spine")
        assert (seen[..., back] == 1).mean(axis=(0, 1)).min() > 0.5
        hidden = (seen == 2).mean(axis=(0, 1, 3))
        np.testing.assert_allclose(hidden, hidden.mean(), atol=0.2)


class TestInstances:
    def test_they_follow_the_schema(self) -> None:
        check(scene(false_rate=0.2).instances, INSTANCES)

    def test_those_of_animals_are_what_the_detector_reports_of_them(self) -> None:
        result = scene(false_rate=0.2, missed_rate=0.2, duration=5.0)
        found, whose = result.instances, result.instance_truth["individual"].values
        reported = result.poses2d["position"].values
        given = np.isfinite(reported[..., 0]).any(-1)
        at = np.nonzero(whose >= 0)
        np.testing.assert_array_equal(found["position"].values[at], reported[at[0], at[1], whose[at]])
        np.testing.assert_array_equal(
            found["confidence"].values[at], result.poses2d["confidence"].values[at[0], at[1], whose[at]]
        )
        for animal in range(4):
            np.testing.assert_array_equal((whose == animal).sum(axis=2), given[:, :, animal])

    def test_their_positions_are_near_the_true_ones_but_for_outliers(self) -> None:
        result = scene(false_rate=0.2, duration=5.0, occlusion="none", noise=1.0)
        found, whose = result.instances["position"].values, result.instance_truth["individual"].values
        time, camera, slot = np.nonzero(whose >= 0)
        animal = whose[time, camera, slot]
        error = found[time, camera, slot] - projected(result)[time, camera, animal]
        outlier = result.labels2d["outlier"].values[time, camera, animal]
        good = np.isfinite(error).all(-1) & ~outlier
        assert np.sqrt((error[good] ** 2).mean()) == pytest.approx(1.0, rel=0.05)
        assert np.median(np.linalg.norm(error[outlier], axis=-1)) > 50.0

    def test_rates_are_as_asked(self) -> None:
        result = scene(false_rate=0.2, missed_rate=0.25)
        whose = result.instance_truth["individual"].values
        there = np.isfinite(result.instances["position"].values[..., 0]).any(-1)
        count = whose[:, :, 0].size * 4
        for number, rate in (((whose >= 0).sum(), 0.75), ((there & (whose < 0)).sum(), 0.2)):
            # few more than the expected number of false ones have a place
            assert abs(number / count - rate) < 5 * np.sqrt(rate * (1 - rate) / count) + 0.005

    def test_false_ones_are_no_animal(self) -> None:
        result = scene(false_rate=0.3, duration=10.0, occlusion="none", outlier_rate=0.0, dropout_rate=0.0)
        found, whose = result.instances["position"].values, result.instance_truth["individual"].values
        truth = projected(result)
        there = np.isfinite(found[..., 0]).any(-1)
        time, camera, slot = np.nonzero(there & (whose < 0))
        error = np.linalg.norm(
            found[time, camera, slot][:, None] - truth[time, camera], axis=-1
        )  # (n, animal, keypoint)
        near = error < 6.0
        # a mixture has keypoints of two animals, all others have none of any
        of_one = near.mean(axis=2)
        mixture = (near.any(axis=1) | np.isnan(error).all(axis=1)).mean(axis=1) > 0.95
        assert 0.3 < mixture.mean() < 0.7
        assert (of_one[mixture] > 0).sum(axis=1).min() >= 2
        assert np.median(of_one[~mixture].max(axis=1)) < 0.1

    def test_their_order_tells_nothing(self) -> None:
        whose = scene(duration=20.0, dropout_rate=0.0).instance_truth["individual"].values
        for slot in range(4):
            share = [(whose[:, :, slot] == animal).mean() for animal in range(4)]
            np.testing.assert_allclose(share, 0.25, atol=0.06)
