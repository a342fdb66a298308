"""Scores of identity: laws, scenes counted by hand, and the numbers of independent implementations."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.errors import InvalidValueError, MismatchError
from calibration.synthetic import make_rig
from pose3d.datasets import IDENTITY, poses2d, poses3d, time_coordinates
from pose3d.formats import open_session, save_session
from pose3d.metrics import (
    HOTA_LEVELS,
    IdentityScores,
    instance_groups,
    projected_truth,
    score_association,
    score_identity,
)
from pose3d.skeleton import Skeleton

KEYPOINTS = ("nose", "neck", "hip", "tail")
# one animal: a body of 60 mm along x
BODY = np.array([[0.0, 0.0, 0.0], [10.0, 0.0, 0.0], [40.0, 0.0, 0.0], [60.0, 0.0, 0.0]])
THRESHOLD = 30.0  # of the scenes that are compared with other programs
SKELETON = Skeleton("mouse", KEYPOINTS, edges=(("nose", "neck"), ("neck", "hip"), ("hip", "tail")))


def world(position: np.ndarray, prefix: str = "animal", **names: object) -> xr.Dataset:
    """Poses3D of (time, individual, keypoint, 3)."""
    individuals = [f"{prefix}_{number}" for number in range(position.shape[1])]
    chosen = {"keypoints": KEYPOINTS[: position.shape[2]], "individuals": individuals, "unit": "mm"} | names
    return poses3d(np.moveaxis(position, (1, 3), (3, 1)), **chosen)  # type: ignore[arg-type]


def standing(frames: int = 10, animals: int = 2) -> np.ndarray:
    """(time, individual, keypoint, 3) animals that stand 1 m apart."""
    places = np.arange(animals)[:, None, None] * np.array([0.0, 1000.0, 0.0])
    return np.broadcast_to(places + BODY, (frames, animals, 4, 3)).copy()


def scene(seed: int, animals: int = 4, found: int = 5, frames: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Truth and result, (time, individual, keypoint, 3), in a crowd: names change, poses and keypoints are missing."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 4, (frames, animals, 3)), axis=0) + rng.uniform(0, 60, (1, animals, 3))
    truth = walk[:, :, None] + rng.normal(0, 20, (1, animals, 3, 3))
    result = np.full((frames, found, 3, 3), np.nan)
    result[:, :animals] = truth + rng.normal(0, 8, truth.shape)
    result[:, animals:] = rng.uniform(0, 100, (frames, found - animals, 3, 3))
    result[rng.random((frames, found)) < 0.15] = np.nan
    truth[rng.random((frames, animals)) < 0.1] = np.nan
    result[frames // 3 :] = result[frames // 3 :][:, [1, 0, *range(2, found)]]
    result[frames // 2 :] = result[frames // 2 :][:, [*range(1, found), 0]]
    result[rng.random((frames, found, 3)) < 0.1] = np.nan
    return truth, result


def numbers(scores: IdentityScores) -> dict[str, float]:
    """The scores that do not depend on names."""
    own = vars(scores.overall)
    plain = {name: value for name, value in own.items() if not isinstance(value, np.ndarray)}
    return plain | {"mpjpe": scores.mpjpe, "pcp": scores.pcp}


class TestLaws:
    @given(seed=st.integers(0, 1000), animals=st.integers(2, 4))
    @settings(max_examples=10, deadline=None)
    def test_a_perfect_result_scores_one_everywhere(self, seed: int, animals: int) -> None:
        truth, _ = scene(seed, animals, animals, frames=30)
        scores = score_identity(world(truth, "track"), world(truth))
        for name in ("idf1", "idp", "idr", "mota", "hota", "deta", "assa", "loca"):
            assert getattr(scores.overall, name) == 1, name
        for name in ("misses", "false_positives", "switches", "fragmentations", "motp"):
            assert getattr(scores.overall, name) == 0, name
        assert [one.matched for one in scores.individuals] == [f"track_{number}" for number in range(animals)]

    @given(seed=st.integers(0, 1000), order=st.permutations(range(5)))
    @settings(max_examples=10, deadline=None)
    def test_names_and_their_order_change_nothing(self, seed: int, order: list[int]) -> None:
        truth, result = scene(seed, frames=60)
        whole = numbers(score_identity(world(result, "a"), world(truth)))
        other = numbers(score_identity(world(result[:, order], "b"), world(truth)))
        # who is whom may be a tie, which the errors of positions depend on
        for name in set(whole) - {"mpjpe"}:
            np.testing.assert_allclose(other[name], whole[name], rtol=1e-6, err_msg=name)

    @pytest.mark.parametrize("seed", range(5))
    def test_hota_is_the_geometric_mean_of_its_parts_at_every_level(self, seed: int) -> None:
        truth, result = scene(seed)
        overall = score_identity(world(result), world(truth)).overall
        assert len(HOTA_LEVELS) == 19
        np.testing.assert_allclose(overall.hota_levels, np.sqrt(overall.deta_levels * overall.assa_levels))
        np.testing.assert_allclose(overall.hota, overall.hota_levels.mean())

    def test_an_animal_that_is_nowhere_lowers_precision_only(self) -> None:
        truth = standing()
        added = np.concatenate([truth, truth[:, :1] + 1e5], axis=1)
        overall = score_identity(world(added), world(truth)).overall
        assert overall.idr == 1
        assert overall.idp == pytest.approx(2 / 3)
        assert overall.idf1 == pytest.approx(0.8)
        assert overall.assa == 1
        assert overall.deta == pytest.approx(2 / 3)
        assert (overall.misses, overall.false_positives, overall.switches) == (0, 10, 0)
        assert overall.mota == pytest.approx(1 - 10 / 20)

    def test_moving_everything_changes_nothing(self) -> None:
        truth, result = scene(3)
        shift = np.array([1e3, -5e3, 2e3])
        first = numbers(score_identity(world(result), world(truth)))
        second = numbers(score_identity(world(result + shift), world(truth + shift)))
        for name, value in first.items():
            np.testing.assert_allclose(second[name], value, rtol=1e-5, err_msg=name)


class TestCountedByHand:
    def test_two_animals_exchanged_half_way(self) -> None:
        truth = standing(frames=10)
        result = truth.copy()
        result[5:] = result[5:, ::-1]
        scores = score_identity(world(result, "track"), world(truth))
        overall = scores.overall
        # whoever is called what, half of the 20 poses have the wrong name
        assert (overall.idf1, overall.idp, overall.idr) == (0.5, 0.5, 0.5)
        assert overall.switches == 2
        assert overall.mota == pytest.approx(1 - 2 / 20)
        assert overall.switches_per_10000 == pytest.approx(2000)
        # every pair is together in 5 frames of 10 + 10 - 5
        assert overall.assa == pytest.approx(1 / 3)
        assert overall.deta == 1
        assert overall.hota == pytest.approx(np.sqrt(1 / 3))
        assert [(one.frame, one.individual, one.before, one.after) for one in scores.switches] == [
            (5, "animal_0", "track_0", "track_1"),
            (5, "animal_1", "track_1", "track_0"),
        ]
        # a name that is with the other animal is 1 m off
        assert [one.mpjpe for one in scores.individuals] == [500.0, 500.0]
        assert [one.right for one in scores.individuals] == [0.5, 0.5]

    def test_exchanged_after_three_of_ten_frames(self) -> None:
        truth = standing(frames=10)
        result = truth.copy()
        result[3:] = result[3:, ::-1]
        scores = score_identity(world(result, "track"), world(truth))
        assert scores.overall.idf1 == pytest.approx(0.7)
        assert [one.matched for one in scores.individuals] == ["track_1", "track_0"]
        # pairs of 3 frames (of 17) and of 7 frames (of 13)
        assert scores.overall.assa == pytest.approx((3 * 3 / 17 + 7 * 7 / 13) / 10)

    def test_misses_and_fragmentations(self) -> None:
        truth = standing(frames=10)
        result = truth.copy()
        result[[0, 3, 4, 6], 0] = np.nan  # two gaps with something before and after
        result[7:, 1] = np.nan  # lost for good
        overall = score_identity(world(result), world(truth)).overall
        assert (overall.misses, overall.false_positives, overall.fragmentations, overall.switches) == (7, 0, 2, 0)
        assert overall.idr == pytest.approx(13 / 20)
        assert overall.idp == 1

    def test_another_name_after_a_gap_is_a_switch(self) -> None:
        truth = standing(frames=10, animals=1)
        result = np.full((10, 2, 4, 3), np.nan)
        result[:4, 0] = truth[:4, 0]
        result[6:, 1] = truth[6:, 0]
        scores = score_identity(world(result, "track"), world(truth))
        assert scores.overall.switches == 1
        assert scores.switches[0].frame == 6
        assert scores.unmatched in {("track_0",), ("track_1",)}

    def test_the_one_that_followed_before_stays_while_it_is_near(self) -> None:
        """A second one that is nearer takes over only when the first leaves (CLEAR)."""
        truth = standing(frames=6, animals=1)
        result = np.repeat(truth, 2, axis=1)
        result[:, 0, :, 2] += 10.0
        result[:2, 1] = np.nan
        result[4:, 0] = np.nan
        scores = score_identity(world(result, "track"), world(truth), threshold=20.0)
        assert [(one.frame, one.before, one.after) for one in scores.switches] == [(4, "track_0", "track_1")]
        assert scores.overall.motp == pytest.approx(10 * 4 / 6)

    def test_as_many_as_possible_are_matched(self) -> None:
        """The nearest pair is given up where that matches two."""
        truth = np.zeros((1, 2, 4, 3))
        truth[:, 1, :, 0] = 15.0
        result = np.zeros((1, 2, 4, 3))
        result[:, 0, :, 0] = 14.0  # 14 from the first, 1 from the second
        result[:, 1, :, 0] = 33.0  # 18 from the second, too far from the first
        overall = score_identity(world(result), world(truth), threshold=20.0).overall
        assert (overall.misses, overall.false_positives) == (0, 0)
        assert overall.motp == pytest.approx((14 + 18) / 2)

    def test_the_threshold_is_closed_and_by_default_half_a_body(self) -> None:
        truth = standing()
        result = truth + np.array([0.0, 0.0, 30.0])
        scores = score_identity(world(result), world(truth))
        assert scores.thresholds == {"": 30.0}
        assert scores.unit == "mm"
        assert scores.overall.idf1 == 1
        # similarity 0.5 reaches the levels 0.05 to 0.5
        np.testing.assert_array_equal(scores.overall.hota_levels, [1.0] * 10 + [0.0] * 9)
        assert scores.overall.loca == pytest.approx(0.5)
        assert score_identity(world(result), world(truth), threshold=29.9).overall.idf1 == 0

    def test_distance_is_the_mean_over_the_keypoints_that_both_have(self) -> None:
        truth, result = standing(animals=1), standing(animals=1)
        result[:, :, 0, 2] += 12.0
        result[:, :, 1] = np.nan
        truth[:, :, 2] = np.nan
        scores = score_identity(world(result), world(truth), threshold=100.0)
        assert scores.overall.motp == pytest.approx(6.0)
        assert scores.mpjpe == pytest.approx(6.0)

    def test_a_keypoint_that_is_anywhere_does_not_make_it_another_animal(self) -> None:
        """It counts as twice the threshold, of four: half the threshold on the mean."""
        truth, result = standing(animals=1), standing(animals=1)
        result[:, :, 2] += 1e4
        scores = score_identity(world(result), world(truth), threshold=20.0)
        assert scores.overall.idf1 == 1
        assert scores.overall.motp == pytest.approx(10.0)
        assert scores.mpjpe == pytest.approx(1e4 * np.sqrt(3) / 4)

    def test_poses_without_a_common_keypoint_are_a_miss_and_a_false_pose(self) -> None:
        truth, result = standing(animals=1), standing(animals=1)
        truth[:, :, :2] = np.nan
        result[:, :, 2:] = np.nan
        overall = score_identity(world(result), world(truth), threshold=100.0).overall
        assert (overall.misses, overall.false_positives, overall.idf1) == (10, 10, 0.0)

    def test_parts_are_correct_where_both_ends_are_within_half_their_length(self) -> None:
        truth = standing(frames=4, animals=1)
        result = truth.copy()
        result[0, 0, 0, 2] = 5.0  # nose-neck is 10 long: just right
        result[1, 0, 1, 2] = 5.1  # wrong for nose-neck, right for neck-hip (30 long)
        result[2, 0, 3] = np.nan  # hip-tail is missing
        scores = score_identity(world(result), world(truth), skeleton=SKELETON)
        assert scores.pcp == pytest.approx(10 / 12)
        assert scores.individuals[0].pcp == pytest.approx(10 / 12)

    def test_an_animal_that_nobody_followed(self) -> None:
        truth = standing(animals=3)
        scores = score_identity(world(truth[:, :2]), world(truth), skeleton=SKELETON)
        lost = scores.individuals[2]
        assert (lost.matched, lost.seen, lost.right, lost.pcp) == (None, 0.0, 0.0, 0.0)
        assert np.isnan(lost.mpjpe)
        assert scores.pcp == pytest.approx(2 / 3)

    def test_without_a_skeleton_there_are_no_parts(self) -> None:
        assert np.isnan(score_identity(world(standing()), world(standing())).pcp)


class TestMatching:
    def test_frames_by_number_and_keypoints_by_name(self) -> None:
        truth = standing(frames=10)
        result = np.concatenate([truth + 7e4, truth])[:, :, ::-1]
        moved = world(result, keypoints=KEYPOINTS[::-1], frames=[*range(90, 100), *range(200, 210)])
        scores = score_identity(moved, world(truth, frames=range(200, 210)))
        assert scores.overall.idf1 == 1
        assert scores.overall.frames == 10

    def test_frames_that_the_result_lacks_are_missed_and_its_others_do_not_count(self) -> None:
        truth = standing(frames=10)
        scores = score_identity(world(truth[:6], frames=range(4, 10)), world(truth))
        assert (scores.overall.misses, scores.overall.false_positives) == (8, 0)
        early = score_identity(world(truth), world(truth[:6]))
        assert (early.overall.misses, early.overall.false_positives) == (0, 0)

    def test_a_few_labeled_frames_of_a_long_file(self, tmp_path) -> None:
        truth, result = scene(1, frames=2500)
        whole = world(result, "track", frame_rate=30.0)
        rows = np.arange(3, 2500, 100)
        few = world(truth[rows], frames=rows)
        expected = numbers(score_identity(world(result[rows], "track", frames=rows), few, skeleton=SKELETON))
        save_session(tmp_path / "result.nc", poses3d=whole)
        with open_session(tmp_path / "result.nc") as session:
            assert numbers(score_identity(session.require("poses3d"), few, skeleton=SKELETON)) == expected
            done: list[int] = []
            score_identity(session.require("poses3d"), world(truth), progress=done.append)
            assert sum(done) == 2500

    def test_keypoints_that_the_result_does_not_have(self) -> None:
        truth = standing()
        fewer = world(truth[:, :, :3])
        scores = score_identity(fewer, world(truth), skeleton=SKELETON)
        assert scores.overall.idf1 == 1
        assert scores.pcp == pytest.approx(2 / 3)

    @pytest.mark.parametrize(("ours", "theirs"), [(0, 2), (2, 0), (0, 0)])
    def test_no_animals(self, ours: int, theirs: int) -> None:
        scores = score_identity(world(standing(animals=ours)), world(standing(animals=theirs)))
        assert (scores.overall.misses, scores.overall.false_positives) == (10 * theirs, 10 * ours)
        if ours + theirs:
            assert (scores.overall.idf1, scores.overall.hota) == (0.0, 0.0)
        else:
            assert np.isnan(scores.overall.idf1)
            assert np.isnan(scores.overall.hota)


class TestCameras:
    def flat(self, swapped: str = "") -> tuple[xr.Dataset, xr.Dataset]:
        """Two cameras that see two animals; one of them may have the names exchanged."""
        truth = np.repeat(standing()[:, None, ..., :2], 2, axis=1)
        result = truth.copy()
        if swapped:
            result[:, 0 if swapped == "left" else 1] = result[:, 0 if swapped == "left" else 1][:, ::-1]
        names = {"cameras": ["left", "right"], "keypoints": KEYPOINTS}
        return (
            poses2d(result, individuals=["a", "b"], **names),  # type: ignore[arg-type]
            poses2d(truth, individuals=["x", "y"], **names),  # type: ignore[arg-type]
        )

    def test_all_cameras_together_ask_for_the_same_name_in_all(self) -> None:
        scores = score_identity(*self.flat("right"))
        assert {name: one.idf1 for name, one in scores.cameras.items()} == {"left": 1.0, "right": 1.0}
        assert scores.overall.idf1 == 0.5
        assert scores.overall.assa == pytest.approx(1 / 3)
        assert scores.overall.switches == 0
        assert scores.overall.frames == 20
        assert scores.thresholds == {"left": 30.0, "right": 30.0}

    def test_cameras_that_only_one_has_do_not_count(self) -> None:
        result, truth = self.flat()
        scores = score_identity(result.sel(camera=["right"]), truth)
        assert list(scores.cameras) == ["right"]
        assert scores.overall.idf1 == 1

    def test_a_truth_in_3d_is_projected(self) -> None:
        rig = make_rig(2, seed=0)
        truth, _ = scene(0, 2, 2, frames=20)
        flat = projected_truth(world(truth), rig)
        pixels = flat["position"].values
        np.testing.assert_allclose(pixels[:, 1], rig.cameras[1].project(truth), rtol=1e-12)
        assert score_identity(flat, flat).overall.idf1 == 1
        away = projected_truth(world(truth + 1e4), rig)
        assert np.isnan(away["position"].values).all()
        with pytest.raises(MismatchError, match="the same unit"):
            projected_truth(world(truth, unit="m"), rig)


def plain_mean_distances(truth: np.ndarray, result: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For every frame who is there, and their distances."""
    frames = []
    for theirs, ours in zip(truth, result, strict=True):
        here, there = (np.flatnonzero(np.isfinite(one).all(-1).any(-1)) for one in (theirs, ours))
        distance = np.full((len(here), len(there)), np.nan)
        for row, one in enumerate(here):
            for column, other in enumerate(there):
                error = np.minimum(np.linalg.norm(theirs[one] - ours[other], axis=-1), 2 * THRESHOLD)
                if np.isfinite(error).any():
                    distance[row, column] = np.nanmean(error)
        frames.append((here, there, distance))
    return frames


def trackeval_scores(seed: int) -> list[float]:
    """What TrackEval says of a scene; it is not needed for the tests."""
    from trackeval.metrics import HOTA, Identity

    frames = plain_mean_distances(*scene(seed))
    data = {
        "gt_ids": [here for here, _, _ in frames],
        "tracker_ids": [there for _, there, _ in frames],
        "similarity_scores": [np.nan_to_num(np.clip(1 - one / (2 * THRESHOLD), 0, None)) for _, _, one in frames],
        "num_timesteps": len(frames),
        "num_gt_ids": 4,
        "num_tracker_ids": 5,
        "num_gt_dets": sum(len(here) for here, _, _ in frames),
        "num_tracker_dets": sum(len(there) for _, there, _ in frames),
    }
    found = HOTA().eval_sequence(data)
    means = [float(np.mean(found[name])) for name in ("HOTA", "DetA", "AssA")]
    return [*means, float(found["LocA"][0]), float(Identity({"PRINT_CONFIG": False}).eval_sequence(data)["IDF1"])]


# Of scenes 0 to 3, see TestIndependentImplementations.
# HOTA, DetA, AssA, LocA at the lowest level, IDF1
TRACKEVAL = (
    (0.3604570914, 0.5159789954, 0.2519609349, 0.7636304863, 0.4694993690),
    (0.3631666733, 0.5081942018, 0.2596261540, 0.7626981735, 0.4668930390),
    (0.3491824923, 0.4977139393, 0.2452151371, 0.7590086320, 0.4585824082),
    (0.3573601009, 0.5115091307, 0.2498473636, 0.7536661545, 0.4597798476),
)
# IDF1, IDP, IDR, MOTA, MOTP, switches, misses, false positives, fragmentations
MOTMETRICS = (
    (0.4694993690, 0.4373040752, 0.5068119891, 0.5376930064, 12.8284866609, 8, 163, 338, 139),
    (0.4668930390, 0.4306969460, 0.5097312326, 0.5310472660, 12.7149446293, 8, 150, 348, 126),
    (0.4585824082, 0.4265289913, 0.4958448753, 0.4976915974, 12.8645768956, 8, 180, 356, 146),
    (0.4597798476, 0.4272226593, 0.4977085243, 0.5288725940, 12.7639145082, 6, 164, 344, 141),
)


class TestIndependentImplementations:
    @pytest.mark.parametrize("seed", range(4))
    def test_hota_and_idf1_are_those_of_trackeval(self, seed: int) -> None:
        """HOTA, DetA, AssA, LocA at the lowest level, and IDF1 of trackeval 1.3.0, the program of HOTA's authors.

        It wants an OpenCV that is not ours, hence numbers. In an environment with it:
        python -c "import runpy; f = runpy.run_path('tests/pose3d/test_identity_scores.py')['trackeval_scores'];
        print([f(seed) for seed in range(4)])"
        """
        truth, result = scene(seed)
        overall = score_identity(world(result), world(truth), threshold=THRESHOLD).overall
        ours = [overall.hota, overall.deta, overall.assa, overall.loca_levels[0], overall.idf1]
        np.testing.assert_allclose(ours, TRACKEVAL[seed], rtol=1e-7)

    @pytest.mark.parametrize("seed", range(4))
    def test_identities_and_clear_are_those_of_motmetrics(self, seed: int) -> None:
        """Numbers of motmetrics 1.4.0, which the next test computes where it is installed."""
        np.testing.assert_allclose(our_clear(seed), MOTMETRICS[seed], rtol=1e-6)

    @pytest.mark.parametrize("seed", range(10, 16))
    def test_motmetrics_says_the_same(self, seed: int) -> None:
        np.testing.assert_allclose(our_clear(seed), motmetrics_scores(seed), rtol=1e-6)


def our_clear(seed: int) -> list[float]:
    truth, result = scene(seed)
    one = score_identity(world(result), world(truth), threshold=THRESHOLD).overall
    counts = (one.switches, one.misses, one.false_positives, one.fragmentations)
    return [one.idf1, one.idp, one.idr, one.mota, one.motp, *counts]


def motmetrics_scores(seed: int) -> list[float]:
    motmetrics = pytest.importorskip("motmetrics")
    collected = motmetrics.MOTAccumulator(auto_id=True)
    for here, there, distance in plain_mean_distances(*scene(seed)):
        collected.update(list(here), list(there), np.where(distance <= THRESHOLD, distance, np.nan))
    counts = ["num_switches", "num_misses", "num_false_positives", "num_fragmentations"]
    wanted = ["idf1", "idp", "idr", "mota", "motp", *counts]
    return [float(one) for one in motmetrics.metrics.create().compute(collected, metrics=wanted).iloc[0]]


class TestBadInput:
    def test_frames_that_do_not_overlap(self) -> None:
        truth = standing()
        with pytest.raises(MismatchError, match="frames of result and truth"):
            score_identity(world(truth, frames=range(100, 110)), world(truth))

    def test_no_frames_at_all(self) -> None:
        with pytest.raises(MismatchError, match="none in the result"):
            score_identity(world(standing(frames=0)), world(standing()))
        with pytest.raises(MismatchError, match="at least one frame in the truth"):
            score_identity(world(standing()), world(standing(frames=0)))

    def test_no_common_keypoint(self) -> None:
        other = world(standing(), keypoints=("a", "b", "c", "d"))
        with pytest.raises(MismatchError, match="keypoints of result and truth"):
            score_identity(other, world(standing()))

    def test_other_units(self) -> None:
        with pytest.raises(MismatchError, match="m and mm"):
            score_identity(world(standing(), unit="m"), world(standing()))

    def test_2d_with_3d(self) -> None:
        flat = poses2d(standing()[:, None, ..., :2], cameras=["a"], individuals=["x", "y"], keypoints=KEYPOINTS)
        with pytest.raises(MismatchError, match="3D and 2D"):
            score_identity(world(standing()), flat)

    @pytest.mark.parametrize("threshold", [0.0, -1.0, np.nan, np.inf])
    def test_thresholds_that_are_no_lengths(self, threshold: float) -> None:
        with pytest.raises(InvalidValueError, match="threshold"):
            score_identity(world(standing()), world(standing()), threshold=threshold)

    def test_animals_of_one_keypoint_need_a_threshold(self) -> None:
        dots = standing()[:, :, :1]
        with pytest.raises(InvalidValueError, match="Give the threshold"):
            score_identity(world(dots), world(dots))
        assert score_identity(world(dots), world(dots), threshold=5.0).overall.idf1 == 1

    def test_frames_in_another_order(self) -> None:
        mixed = world(standing()).isel(time=[1, 0, 2])
        with pytest.raises(InvalidValueError, match="frame numbers that increase"):
            score_identity(mixed, world(standing()))

    def test_a_name_twice(self) -> None:
        twice = world(standing()).assign_coords(individual=["a", "a"])
        with pytest.raises(InvalidValueError, match="repeated"):
            score_identity(twice, world(standing()))


def identity(instance: np.ndarray) -> xr.Dataset:
    """An Identity Dataset of (time, camera, individual) places; nothing else in it is known."""
    sizes = dict(zip(("time", "camera", "individual"), instance.shape, strict=True))
    variables = {
        name: (
            kind.dims,
            np.zeros([sizes.get(dim, 0) for dim in kind.dims], dtype=kind.kind[0]),
            {"units": kind.units},
        )
        for name, kind in IDENTITY.variables.items()
        if name != "instance"
    }
    dims = IDENTITY.variables["instance"].dims
    return xr.Dataset(
        {**variables, "instance": (dims, instance, {"units": "1"})},  # type: ignore[arg-type]
        coords={
            **time_coordinates(sizes["time"], None, None),
            "camera": [f"cam_{number}" for number in range(sizes["camera"])],
            "individual": [f"animal_{number}" for number in range(sizes["individual"])],
        },
    )


class TestAssociation:
    @given(seed=st.integers(0, 10_000))
    @settings(max_examples=30, deadline=None)
    def test_pairs_are_those_of_a_plain_count(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        groups, animals = rng.integers(-1, 4, (3, 4, 5)), rng.integers(-1, 3, (3, 4, 5))
        true = found = right = 0
        for group, animal in zip(groups, animals, strict=True):
            for first, second in combinations(np.ndindex(4, 5), 2):
                if first[0] != second[0]:
                    together, same = group[first] == group[second] >= 0, animal[first] == animal[second] >= 0
                    true, found, right = true + same, found + together, right + (same and together)
        scores = score_association(1000 * groups.astype(np.int64) * (groups >= 0) - (groups < 0), animals)
        assert (scores.pairs, scores.pairs_found, scores.pairs_right) == (true, found, right)

    def test_perfect_whatever_the_groups_are_called_in_each_frame(self) -> None:
        animals = np.random.default_rng(0).permuted(np.tile(np.arange(-1, 3), (20, 6, 1)), axis=2)
        groups = np.where(animals >= 0, (animals + np.arange(20)[:, None, None]) % 3, -1)
        scores = score_association(groups, animals)
        assert (scores.precision, scores.recall, scores.f1, scores.pcp) == (1, 1, 1, 1)
        assert scores.false_grouped == 0
        assert scores.instances == 20 * 6 * 3

    def test_counted_by_hand(self) -> None:
        # three cameras; animals 0 and 1, a false instance in the last camera
        animals = np.array([[[0, 1, -1], [0, 1, -1], [0, 1, -1]]])
        # the second camera has them exchanged, the last one took the false one for animal 1
        groups = np.array([[[0, 1, -1], [1, 0, -1], [0, -1, 1]]])
        scores = score_association(groups, animals)
        assert scores.pairs == 6
        assert scores.pairs_found == 6
        assert scores.pairs_right == 1  # of animal 0: first and last camera
        assert scores.instances_right == 3  # two of animal 0, one of animal 1
        assert scores.pcp == 0.5
        assert scores.false_grouped == 1

    def test_places_of_individuals_become_groups(self) -> None:
        instance = np.array([[[2, 0], [-1, 1]]])
        np.testing.assert_array_equal(instance_groups(instance, 3), [[[1, -1, 0], [-1, 1, -1]]])

    def test_an_identity_dataset(self) -> None:
        """One animal of two cameras is put together rightly, the other one is found in one camera only."""
        animals = np.array([[[0, 1], [1, 0]]])
        instance = np.array([[[0, 1], [1, -1]]])
        scores = score_association(identity(instance), animals)
        assert (scores.pairs, scores.pairs_found, scores.pairs_right) == (2, 1, 1)
        assert (scores.precision, scores.recall, scores.pcp) == (1.0, 0.5, 0.75)

    def test_nothing_to_associate(self) -> None:
        nobody = np.full((5, 3, 0), -1)
        scores = score_association(nobody, nobody)
        assert scores.pairs == 0
        assert np.isnan(scores.f1)
        assert np.isnan(scores.pcp)

    def test_bad_input(self) -> None:
        good = np.zeros((2, 3, 1), dtype=int)
        with pytest.raises(MismatchError, match="groups and truth"):
            score_association(np.zeros((2, 3, 2), dtype=int), good)
        for wrong in (np.zeros((2, 3)), np.zeros((2, 3, 1)), good - 2):
            with pytest.raises(InvalidValueError, match="whole numbers from -1 on"):
                score_association(wrong, good)
        with pytest.raises(InvalidValueError, match="one individual at most"):
            instance_groups([[[1, 1]]], 2)
        with pytest.raises(InvalidValueError, match="places from -1 to 0"):
            instance_groups([[[1]]], 1)


def test_poses3d_that_say_which_cameras_were_used_are_still_3d() -> None:
    from pose3d.reconstruction import triangulate
    from pose3d.synthetic import SimulationSettings, simulate

    scene = simulate(SimulationSettings(individuals=2, duration=0.2, outlier_rate=0.0, dropout_rate=0.0))
    found = triangulate(scene.poses2d, scene.rig)
    assert "camera" in found.dims
    assert score_identity(found, scene.poses3d).overall.idf1 == 1.0
